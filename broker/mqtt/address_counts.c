// SPDX-License-Identifier: Apache-2.0
#include "broker/mqtt/address_counts.h"

#include "broker/mqtt/account.h"
#include "broker/mqtt/name_hash.h"

#include <errno.h>
#include <netinet/in.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

// Lists of a fixed number of buckets: with a million addresses a list has about fifteen.
enum { KEY_BYTES = 16, NETWORK_BYTES = 8, BUCKETS = 1 << 16, FDS_MIN = 1024 };

struct peer {
    struct peer *next;
    int64_t connections;
    uint8_t key[KEY_BYTES];
};

struct address_counts {
    pthread_mutex_t lock; // guards all below
    struct account *account;
    int64_t most;
    struct name_key hash_key;
    struct peer **by_fd; // NULL: not counted
    size_t fd_capacity;
    struct peer *buckets[BUCKETS];
};

int address_counts_open(struct address_counts **opened, struct account *account, int64_t most)
{
    struct address_counts *counts = calloc(1, sizeof *counts);
    if (!counts)
        return -ENOMEM;
    counts->account = account;
    counts->most = most;
    name_key_make(&counts->hash_key);
    pthread_mutex_init(&counts->lock, NULL);
    *opened = counts;
    return 0;
}

static size_t table_bytes(size_t capacity)
{
    return capacity ? account_heap_bytes(capacity * sizeof(struct peer *)) : 0;
}

static void free_peer(struct address_counts *counts, struct peer *peer)
{
    free(peer);
    account_give(counts->account, ACCOUNT_CONNECTIONS, account_heap_bytes(sizeof *peer));
}

void address_counts_close(struct address_counts *counts)
{
    if (!counts)
        return;
    for (int i = 0; i < BUCKETS; i++)
        while (counts->buckets[i]) {
            struct peer *peer = counts->buckets[i];
            counts->buckets[i] = peer->next;
            free_peer(counts, peer);
        }
    account_give(counts->account, ACCOUNT_CONNECTIONS, table_bytes(counts->fd_capacity));
    free(counts->by_fd);
    pthread_mutex_destroy(&counts->lock);
    free(counts);
}

bool address_counts_key(const struct sockaddr_storage *address, uint8_t key[16])
{
    memset(key, 0, KEY_BYTES);
    if (address->ss_family == AF_INET) {
        memcpy(key + 12, &((const struct sockaddr_in *)address)->sin_addr, 4);
        key[0] = 4;
        return true;
    }
    if (address->ss_family != AF_INET6)
        return false;
    const struct in6_addr *in6 = &((const struct sockaddr_in6 *)address)->sin6_addr;
    if (IN6_IS_ADDR_V4MAPPED(in6)) {
        memcpy(key + 12, in6->s6_addr + 12, 4);
        key[0] = 4;
    } else {
        memcpy(key + KEY_BYTES - NETWORK_BYTES, in6->s6_addr, NETWORK_BYTES);
        key[0] = 6;
    }
    return true;
}

static struct peer **place_of(struct address_counts *counts, const uint8_t key[KEY_BYTES])
{
    uint32_t hash = name_hash(&counts->hash_key, (const char *)key, KEY_BYTES);
    struct peer **place = &counts->buckets[hash % BUCKETS];
    while (*place && memcmp((*place)->key, key, KEY_BYTES) != 0)
        place = &(*place)->next;
    return place;
}

static bool has_room(struct address_counts *counts, size_t fd)
{
    size_t capacity = counts->fd_capacity ? counts->fd_capacity : FDS_MIN;
    while (capacity <= fd)
        capacity *= 2;
    if (capacity == counts->fd_capacity)
        return true;
    if (!account_take(counts->account, ACCOUNT_CONNECTIONS, table_bytes(capacity)))
        return false;
    struct peer **by_fd = realloc(counts->by_fd, capacity * sizeof *by_fd);
    if (!by_fd) {
        account_give(counts->account, ACCOUNT_CONNECTIONS, table_bytes(capacity));
        return false;
    }
    memset(by_fd + counts->fd_capacity, 0, (capacity - counts->fd_capacity) * sizeof *by_fd);
    account_give(counts->account, ACCOUNT_CONNECTIONS, table_bytes(counts->fd_capacity));
    counts->by_fd = by_fd;
    counts->fd_capacity = capacity;
    return true;
}

static struct peer *need_peer(struct address_counts *counts, const uint8_t key[KEY_BYTES])
{
    struct peer **place = place_of(counts, key);
    struct peer *known = *place;
    if (known)
        return known;
    if (!account_take(counts->account, ACCOUNT_CONNECTIONS, account_heap_bytes(sizeof **place)))
        return NULL;
    struct peer *peer = calloc(1, sizeof *peer);
    if (!peer) {
        account_give(counts->account, ACCOUNT_CONNECTIONS, account_heap_bytes(sizeof *peer));
        return NULL;
    }
    memcpy(peer->key, key, KEY_BYTES);
    *place = peer;
    return peer;
}

bool address_counts_take(struct address_counts *counts, int fd)
{
    struct sockaddr_storage address;
    socklen_t bytes = sizeof address;
    uint8_t key[KEY_BYTES];
    if (!counts || getpeername(fd, (struct sockaddr *)&address, &bytes) < 0 ||
        !address_counts_key(&address, key))
        return true;
    pthread_mutex_lock(&counts->lock);
    struct peer *peer = has_room(counts, (size_t)fd) ? need_peer(counts, key) : NULL;
    bool is_taken = peer && peer->connections < counts->most;
    if (is_taken) {
        peer->connections++;
        counts->by_fd[fd] = peer;
    }
    pthread_mutex_unlock(&counts->lock);
    return is_taken;
}

void address_counts_give(struct address_counts *counts, int fd)
{
    if (!counts)
        return;
    pthread_mutex_lock(&counts->lock);
    struct peer *peer = (size_t)fd < counts->fd_capacity ? counts->by_fd[fd] : NULL;
    if (peer) {
        counts->by_fd[fd] = NULL;
        if (--peer->connections == 0) {
            struct peer **place = place_of(counts, peer->key);
            *place = peer->next;
            free_peer(counts, peer);
        }
    }
    pthread_mutex_unlock(&counts->lock);
}
