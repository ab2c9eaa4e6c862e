// SPDX-License-Identifier: Apache-2.0
// Wakes paho's two threads (1.3.12). The receive thread polls the sockets it knew when the wait began, for up
// to a second, and then sleeps 100 ms when nothing came: a socket added meanwhile is seen that much later.
// The send thread looks for commands before it takes the lock it waits with, so that a command may be missed
// for a second. Either wait would be counted as latency of the target. So each process keeps one more client,
// connected to the process itself; a PINGRESP written to it ends the one wait, a message sent by it the
// other.
//
// One thread uses a waker: the one that calls the engine.
#ifndef POOLMARK_LOADGEN_ENGINES_PAHO_WAKER_H
#define POOLMARK_LOADGEN_ENGINES_PAHO_WAKER_H

#include <stdint.h>

struct paho_waker {
    void *handle; // the client
    int peer;     // our end of its connection; -1: there is no waker, and waits take what they take
    int64_t next_ns,
        step_ns;       // the next wake while connects are under way, and how long after it the one after
    int64_t woken_ns;  // the last one
    int64_t active_ns; // the last time that anything was begun
};

// Starts the library's threads. Without a waker (no port, no memory) the engine works, only slower.
void paho_waker_open(struct paho_waker *waker, const char *client_id);
void paho_waker_close(struct paho_waker *waker);

// A connect was begun: wakes follow at 50 us, 150 us, 350 us, ..., 50 ms apart in the end.
void paho_waker_connecting(struct paho_waker *waker, int64_t now_ns);
void paho_waker_active(struct paho_waker *waker, int64_t now_ns); // something else was begun

// Wakes when it is time; gives the time of the next wake, INT64_MAX when none is due. `connecting`: connects
// under way.
int64_t paho_waker_tick(struct paho_waker *waker, int64_t now_ns, int64_t connecting);

#endif
