// SPDX-License-Identifier: Apache-2.0
// How many connections each address has, with a bound (--max-connections-per-address). An IPv4 address counts
// by itself, an IPv6 address by its network of 64 bits, which one machine usually has whole.
//
// The address is known by the descriptor, so that connections need no memory when there is no bound. Any
// thread.
//
//     if (!address_counts_take(counts, fd)) ...refuse...
//     address_counts_give(counts, fd);      // before close(fd)
#ifndef POOLMARK_BROKER_MQTT_ADDRESS_COUNTS_H
#define POOLMARK_BROKER_MQTT_ADDRESS_COUNTS_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/socket.h>

struct account;
struct address_counts;

// `most`: connections of an address. 0 or -ENOMEM.
int address_counts_open(struct address_counts **counts, struct account *account, int64_t most)
    __attribute__((warn_unused_result));
void address_counts_close(struct address_counts *counts); // NULL is allowed

// false: the peer of `fd` has as many connections as it may have, or there is no memory to count it. A peer
// without an address (it has gone already) is not counted. For NULL nothing is counted: always true.
bool address_counts_take(struct address_counts *counts, int fd) __attribute__((warn_unused_result));
void address_counts_give(struct address_counts *counts, int fd);

// The part of an address that counts, in 16 bytes. false: it is neither IPv4 nor IPv6.
bool address_counts_key(const struct sockaddr_storage *address, uint8_t key[16]);

#endif
