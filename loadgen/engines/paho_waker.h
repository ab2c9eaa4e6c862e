// SPDX-License-Identifier: Apache-2.0
// Notifies paho's two threads (1.3.12), whose waits would otherwise count as latency of the target. The
// receive thread polls the sockets it knew when its wait began, for up to a second. If nothing came, it then
// sleeps 100 ms. A socket added meanwhile is noticed that much later. The send thread looks for commands
// before it takes the lock it waits with, so it may miss a command for a second. So each process keeps one
// more client, connected to the process itself. A PINGRESP written to this client ends the wait of the
// receive thread; a message sent by it ends the wait of the send thread.
//
// One thread uses a waker: the one that calls the engine.
#ifndef POOLMARK_LOADGEN_ENGINES_PAHO_WAKER_H
#define POOLMARK_LOADGEN_ENGINES_PAHO_WAKER_H

#include <stdint.h>

struct paho_waker {
    void *handle; // the client
    int peer;     // our end of its connection; -1: there is no waker
    // While connects are under way: the time of the next notification, and the step to the one after it.
    int64_t next_ns, step_ns;
    int64_t woken_ns;  // the last notification
    int64_t active_ns; // the last time that an act was begun
};

// Starts the library's threads. Without a waker (no port, no memory) the engine works, but slower.
void paho_waker_open(struct paho_waker *waker, const char *client_id);
void paho_waker_close(struct paho_waker *waker);

// A connect was begun: notifications follow after 50 us, 150 us, 350 us, ..., in the end 50 ms apart.
void paho_waker_connecting(struct paho_waker *waker, int64_t now_ns);
void paho_waker_active(struct paho_waker *waker, int64_t now_ns); // another act was begun

// Notifies the threads when it is time. Returns the time of the next notification; INT64_MAX: none is due.
// `connecting`: connects under way.
int64_t paho_waker_tick(struct paho_waker *waker, int64_t now_ns, int64_t connecting);

#endif
