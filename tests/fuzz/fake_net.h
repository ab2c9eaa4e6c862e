// SPDX-License-Identifier: Apache-2.0
// A network and a clock in memory, for a broker whose loop runs in the caller's thread. The linker puts the functions
// of this file before the system's (--wrap; the Makefile lists them): sockets, epoll, eventfd, descriptors, clock_now_ns,
// pthread_create. So the whole broker runs as it is, one system call of it is a few instructions, and time passes only when
// the driver says so.
//
// The kernel's rules that matter: readiness is by level; bytes that were received before a reset can still be read; a socket takes
// as many bytes as its peer leaves room for; a descriptor is the lowest free number.
//
//     fake_net_open(&rules);
//     server_start(...);                 // its thread is noted, not started
//     fake_net_run();                    // the loop, until the driver returns NET_END
//     fake_net_close();                  // aborts when a descriptor is open
#ifndef POOLMARK_TESTS_FUZZ_FAKE_NET_H
#define POOLMARK_TESTS_FUZZ_FAKE_NET_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { NET_CLIENTS = 4, NET_ROOM_ANY = 1 << 30, NET_DESCRIPTORS_MAX = 64 };

// What epoll_wait does after the driver was called.
enum net_next {
    NET_LOOK, // returns when something is ready
    NET_TURN, // returns what is ready, even if it is nothing: a turn of the loop
    NET_END   // fails: the loop ends
};

struct net_rules {
    int descriptors;                        // how many the process may have; NET_DESCRIPTORS_MAX at most
    bool is_reversed;                       // events come in the order of falling descriptors
    enum net_next (*driver)(void *context); // called when nothing is ready
    // The client has got these bytes, in order. They are gone afterwards.
    void (*on_output)(void *context, int client, const uint8_t *data, size_t bytes);
    void (*on_connected)(void *context, int client); // a new connection; output before it was another's
    void *context;
};

void fake_net_open(const struct net_rules *rules);
void fake_net_run(void);
void fake_net_close(void);
void fake_net_advance(int64_t ns);

// A client: not connected, connected, or connected and ended by the broker.
// Does nothing as long as the broker has not closed the client's last connection.
void fake_net_connect(int client);
size_t fake_net_send(int client, const uint8_t *data, size_t bytes); // how many the queue took
void fake_net_finish(int client, bool reads_on); // FIN; without `reads_on` it takes nothing more
void fake_net_reset(int client);
void fake_net_set_room(int client, size_t bytes); // the broker may send so much more
bool fake_net_is_open(int client);                // connected, and the broker has not closed it

_Noreturn void fake_net_fail(const char *what); // prints it and aborts

#endif
