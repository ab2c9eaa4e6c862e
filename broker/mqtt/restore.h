// SPDX-License-Identifier: Apache-2.0
// Brings back what the state file has: sessions with their subscriptions, queues, windows and received packet ids,
// and retained messages. Then it publishes the wills of clients that were connected when the broker ended
// (section 3.1.2.5 allows that after a restart).
//
// The bounds of the options hold. Messages past those of a queue, a window or the retained messages are dropped and
// counted, as are sessions that have expired meanwhile. A state that does not fit into the memory limit or a pool
// is an error, and nothing of it is lost.
#ifndef POOLMARK_BROKER_MQTT_RESTORE_H
#define POOLMARK_BROKER_MQTT_RESTORE_H

#include "base/err.h"

struct server;

// Before the loops start; the workers are open. `path`: of the state file, for error texts. The sessions are spread over them. 0, or -errno with the text in
// `err`: the file is unchanged, and the caller closes the server. -EUCLEAN: the file has what no broker writes.
int restore(struct server *server, const char *path, struct err *err) __attribute__((warn_unused_result));

#endif
