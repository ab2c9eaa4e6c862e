// SPDX-License-Identifier: Apache-2.0
// The slabs of one pool, and the objects in them that are neither in use nor in a magazine. Objects are
// taken from and given to the store many at a time. The fullest slab that has free objects gives first, so
// that the emptier ones run empty and can be given back.
//
// Two locks. `lock` guards the state that a taker sees. It is held for a few hundred nanoseconds at most: no
// page is mapped, faulted in or given back under it. `grow_lock` is held by a thread that grows or retires,
// for as long as the system needs; who retires much releases it after each piece. A thread that holds `grow_lock` may take `lock`, never the other way
// round.
//
// Constructed objects. Where state is kept, the store gives out constructed objects. It gives raw ones
// singly, to a caller that asks for one and constructs it before any other thread sees it. Constructed
// objects that are retired leave first: the thread that retired them releases its locks and destructs them
// (pools/slab/policy_construct.c).
//
//     pthread_mutex_lock(&store->grow_lock);
//     int64_t made = slab_store_grow(store, 512, SLAB_NOW); // fewer: the system had no more memory
//     slab_store_grow_unlock(store);
//     size_t got = slab_store_take(store, objects, 128);
#ifndef POOLMARK_POOLS_SLAB_STORE_H
#define POOLMARK_POOLS_SLAB_STORE_H

#include "pools/slab/pages.h"

#include <pthread.h>
#include <stdatomic.h>

// Partly used slabs by how full they are, fullest first; last, the slabs without an object in use.
enum { SLAB_LISTS = 9, SLAB_LIST_UNUSED = SLAB_LISTS - 1, SLAB_LIST_NONE = SLAB_LISTS };

struct slab_store {
    struct slab_geometry geometry;
    size_t object_bytes;
    bool touch, inherits;

    pthread_mutex_t lock;           // guards all down to `generation`, and `free` and `ready` of the slabs
    struct slab *lists[SLAB_LISTS]; // slabs that have free objects
    struct slab **slabs;            // all, by address
    size_t slab_count;
    int needy;                // threads that found no object and want one
    uint64_t served;          // counts those that were needy, and have one or may have none
    uint64_t generation;      // counts announcements
    pthread_cond_t published; // objects were added, or a growth ended
    pthread_cond_t fed;       // `served` changed

    pthread_mutex_t grow_lock; // guards which objects are ready and which pages resident; see above
    size_t grow_at;            // index in `slabs`: none before it has room; grow_lock
    size_t collapse_at;        // index in `slabs`: none before it can become a huge page; grow_lock
    bool never_collapses;      // the system cannot do it; grow_lock
    _Atomic bool to_collapse;  // some slabs may be made huge pages; written under grow_lock, relaxed

    // Written under a lock. Statistics read them without it, since they must not wait for a growth: atomic,
    // in the default order, since they change rarely.
    _Atomic int64_t resident_pages; // of all slabs; written under grow_lock
    _Atomic int64_t filled_pages;   // pages that ever became resident; likewise
    _Atomic int64_t slab_room;      // of `slabs`; written under both

    // Written under `lock`. Relaxed reads elsewhere are estimates, or the reader checks them.
    _Atomic int64_t owned; // objects ready
    _Atomic int64_t taken; // of those, the ones that are not in the store
    _Atomic int64_t raw;   // of those in the store, the ones that are not constructed

    struct slab *awaiting;   // slabs with leaving objects that no thread destructs yet; grow_lock
    _Atomic int64_t leaving; // objects; written under grow_lock, relaxed
};

// `inherits`: the holder of a lock inherits the priority of its waiters. `keeps`: objects are constructed.
int slab_store_open(struct slab_store *store, size_t object_bytes, bool touch, bool inherits, bool keeps)
    __attribute__((warn_unused_result));
void slab_store_locks_anew(struct slab_store *store); // in a child of fork
void slab_store_close(struct slab_store *store);      // all memory goes back, also of objects in use

// Takes at most `count` objects, in falling order of address, so that taking them from the end goes upwards.
// Returns how many.
size_t slab_store_take(struct slab_store *store, void **objects, size_t count)
    __attribute__((warn_unused_result));
void slab_store_give(struct slab_store *store, void **objects, size_t count);

// The same for a caller that holds `lock`.
size_t slab_store_take_locked(struct slab_store *store, void **objects, size_t count)
    __attribute__((warn_unused_result));
void slab_store_give_locked(struct slab_store *store, void **objects, size_t count);

// Who waits for the new objects?
enum slab_haste {
    SLAB_AT_LEISURE, // no thread: a slab that is made as a whole is one huge page
    SLAB_AHEAD,      // a thread may soon: the same, but not for a while after a huge page took long
    SLAB_NOW,        // a thread does: small pages
};

// What a huge page takes is a matter of the system. So the pools of a process share what they learn about it,
// and do not all try. Relaxed: a thread that sees an older value tries a huge page more, or one less.
struct slab_huge {
    _Atomic int64_t small_until_ns; // SLAB_AHEAD gets small pages until then
    _Atomic int slow; // the pause doubles with each slow huge page, and halves with each fast one
};
extern struct slab_huge slab_huge;
void slab_huge_took(int64_t cpu_ns, int64_t now_ns); // for a huge page of SLAB_BYTES_MIN

// Under grow_lock. Makes `count` more objects ready, first in slabs that have room, and publishes them piece
// by piece. Returns how many were made: fewer when the system has no more memory.
int64_t slab_store_grow(struct slab_store *store, int64_t count, enum slab_haste haste);

// Under grow_lock: how many objects fit in the first slab that has room for more; 0: none has room.
int64_t slab_store_room(struct slab_store *store);

int64_t
slab_store_piece(const struct slab_store *store); // number of objects made in a fraction of a millisecond

// Takes an object that is not constructed, NULL for none. It counts as constructed from now on: the caller
// constructs it, or gives it back raw.
void *slab_store_take_raw_locked(struct slab_store *store) __attribute__((warn_unused_result));
void *slab_store_take_raw(struct slab_store *store) __attribute__((warn_unused_result));
void slab_store_give_raw(struct slab_store *store, void *object);

// Under grow_lock. Takes `count` free objects out of service, those in the least used slabs first. Gives
// back their pages, and slabs without ready objects; for constructed objects only after they were
// destructed. Returns how many objects were taken; adds to `bytes` the memory that the system got back.
int64_t slab_store_retire(struct slab_store *store, int64_t count, int64_t *bytes);
// The same of one slab, SLAB_BYTES_MIN at most: work for one hold of grow_lock. 0: nothing is free.
int64_t slab_store_retire_piece(struct slab_store *store, int64_t count, int64_t *bytes);

// A thread that finds no object is needy until it has one, or may have none. With no lock held.
void slab_store_be_needy(struct slab_store *store);
void slab_store_be_served(struct slab_store *store);
// With no lock held, and not by a needy thread: waits until as many threads were served as are needy now. A mutex goes
// to whoever runs, so a thread that releases grow_lock and takes it again would leave none to those that sleep on
// `published`. False: not all were served within `most_ns`.
bool slab_store_serve_first(struct slab_store *store, int64_t most_ns);

// Leaving objects, under grow_lock. claim: a slab that has some, NULL for none. list: up to `count` of its
// leaving objects. gone: frees the places of objects that were destructed. end: releases the slab, adding to
// `bytes` the memory that the system got back. The lock may be released between the calls.
struct slab *slab_store_leaving_claim(struct slab_store *store) __attribute__((warn_unused_result));
size_t slab_store_leaving_list(struct slab_store *store, struct slab *slab, void **objects, size_t count)
    __attribute__((warn_unused_result));
void slab_store_leaving_gone(struct slab_store *store, struct slab *slab, void **objects, size_t count);
void slab_store_leaving_end(struct slab_store *store, struct slab *slab, int64_t *bytes);

// Under grow_lock. Makes a slab that became ready in pieces a huge page, so that walks over objects need
// fewer address translations. One slab at most, since it takes as long as a growth. False: no such slab.
bool slab_store_collapse(struct slab_store *store);

// Wakes every thread that waits on `published`, and lets it see that something changed.
void slab_store_announce(struct slab_store *store);

// Releases the grow lock. Threads that wait for the result of its holder check again.
void slab_store_grow_unlock(struct slab_store *store);

bool slab_store_owns(struct slab_store *store, const void *object); // takes `lock`
bool slab_store_owns_locked(const struct slab_store *store, const void *object);
bool slab_store_is_valid(struct slab_store *store); // no other thread may grow or retire meanwhile

#endif
