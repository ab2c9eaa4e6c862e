// SPDX-License-Identifier: Apache-2.0
// The slabs of one pool, and the objects that lie in them: not in use, and in no magazine. Objects are taken
// from and given to the store many at a time; the fullest slab that has any gives first, so that the emptier
// ones run empty and can be given back.
//
// Two locks. `lock` guards what a taker sees and is held for a few hundred nanoseconds at most: no page is
// mapped, faulted in or given back under it. `grow_lock` is held by whoever grows or retires, for as long as
// the system needs; a thread that holds it may take `lock`, never the other way round.
//
// Constructed objects. Where state is kept the store gives constructed objects, and raw ones, one at a time,
// to who asks for one, who constructs it before anybody else sees it. Constructed objects that are retired
// leave first: whoever retired lets go of its locks and destructs them (pools/slab/policy_construct.c).
//
//     pthread_mutex_lock(&store->grow_lock);
//     int64_t made = slab_store_grow(store, 512, NULL);     // fewer: the system had no more memory
//     slab_store_grow_unlock(store);
//     size_t got = slab_store_take(store, objects, 128);
#ifndef POOLMARK_POOLS_SLAB_STORE_H
#define POOLMARK_POOLS_SLAB_STORE_H

#include "pools/slab/pages.h"

#include <pthread.h>
#include <stdatomic.h>

// Partly used slabs by how full they are, fullest first, and behind them those of which nothing is in use.
enum { SLAB_LISTS = 9, SLAB_LIST_UNUSED = SLAB_LISTS - 1, SLAB_LIST_NONE = SLAB_LISTS };

struct slab_store {
    struct slab_geometry geometry;
    size_t object_bytes;
    bool touch, inherits;

    pthread_mutex_t lock;           // guards all down to `generation`, and `free` and `ready` of the slabs
    struct slab *lists[SLAB_LISTS]; // slabs that have free objects
    struct slab **slabs;            // all, by address
    size_t slab_count;
    uint64_t generation;      // counts what was announced
    pthread_cond_t published; // objects were added, or a growth ended

    pthread_mutex_t grow_lock; // guards which objects are ready and which pages resident; see above
    int64_t small_until_ns;    // until then slabs are made of small pages, see enum slab_haste; grow_lock
    size_t grow_at;            // in `slabs`: none before it has room for more ready objects; grow_lock
    size_t collapse_at;        // in `slabs`: none before it can be made a huge page; grow_lock
    bool never_collapses;      // the system cannot; grow_lock
    _Atomic bool to_collapse;  // there may be slabs to be made huge pages; written under grow_lock, relaxed

    // Written under a lock, read without by statistics, which must not wait for a growth: atomic, in the
    // default order, since they change rarely.
    _Atomic int64_t resident_pages; // of all slabs; written under grow_lock
    _Atomic int64_t filled_pages;   // that ever became resident; likewise
    _Atomic int64_t slab_room;      // of `slabs`; written under both

    // Written under `lock`; relaxed reads elsewhere are estimates, or are checked by whoever reads.
    _Atomic int64_t owned; // objects ready
    _Atomic int64_t taken; // of those, the ones that do not lie here
    _Atomic int64_t raw;   // of those that lie here, the ones that are not constructed

    struct slab *awaiting;   // slabs with leaving objects that nobody destructs yet; grow_lock
    _Atomic int64_t leaving; // objects; written under grow_lock, relaxed
};

// `inherits`: who holds a lock inherits the priority of those who wait for it. `keeps`: objects are
// constructed.
int slab_store_open(struct slab_store *store, size_t object_bytes, bool touch, bool inherits, bool keeps)
    __attribute__((warn_unused_result));
void slab_store_locks_anew(struct slab_store *store); // in a child of fork
void slab_store_close(struct slab_store *store);      // all memory goes back, whoever uses it

// At most `count` objects, addresses falling, so that taking them from the end goes upwards. Returns how
// many.
size_t slab_store_take(struct slab_store *store, void **objects, size_t count)
    __attribute__((warn_unused_result));
void slab_store_give(struct slab_store *store, void **objects, size_t count);

// The same for who has `lock`.
size_t slab_store_take_locked(struct slab_store *store, void **objects, size_t count)
    __attribute__((warn_unused_result));
void slab_store_give_locked(struct slab_store *store, void **objects, size_t count);

// Who waits for what is made?
enum slab_haste {
    SLAB_AT_LEISURE, // nobody: a slab that is made as a whole is one huge page
    SLAB_AHEAD,      // somebody may soon: the same, but not for a while after the system was slow to find one
    SLAB_NOW,        // somebody does: small pages
};

// Under grow_lock. Makes `count` more objects ready, first in slabs that have room, and publishes them piece
// by piece. Returns how many: fewer when the system has no more memory.
int64_t slab_store_grow(struct slab_store *store, int64_t count, enum slab_haste haste);

// Under grow_lock: objects that fit in the first slab that has room for more; 0: none has.
int64_t slab_store_room(struct slab_store *store);

int64_t
slab_store_piece(const struct slab_store *store); // objects that are made in a fraction of a millisecond

// One that is not constructed, NULL for none; counts as constructed from now on. The caller constructs it, or
// gives it back raw.
void *slab_store_take_raw_locked(struct slab_store *store) __attribute__((warn_unused_result));
void *slab_store_take_raw(struct slab_store *store) __attribute__((warn_unused_result));
void slab_store_give_raw(struct slab_store *store, void *object);

// Under grow_lock. Takes `count` free objects out of service, those in the least used slabs first, and gives
// back their pages, and slabs of which nothing is ready; of constructed ones when they have left. Returns how
// many there were; adds to `bytes` what the system got back.
int64_t slab_store_retire(struct slab_store *store, int64_t count, int64_t *bytes);

// Leaving objects, under grow_lock: claims a slab that has some, NULL for none; tells up to `count` of them;
// has those go that were destructed; and lets go of the slab, adding to `bytes` what the system got back. The
// lock may be let go in between.
struct slab *slab_store_leaving_claim(struct slab_store *store) __attribute__((warn_unused_result));
size_t slab_store_leaving_list(struct slab_store *store, struct slab *slab, void **objects, size_t count)
    __attribute__((warn_unused_result));
void slab_store_leaving_gone(struct slab_store *store, struct slab *slab, void **objects, size_t count);
void slab_store_leaving_end(struct slab_store *store, struct slab *slab, int64_t *bytes);

// Under grow_lock. Makes a huge page of a slab that became ready by pieces, so that walks over objects need
// fewer translations: one at most, since that takes the time of a growth. False: there is none.
bool slab_store_collapse(struct slab_store *store);

// Wakes everyone who waits on `published`, and lets them see that something changed.
void slab_store_announce(struct slab_store *store);

// Lets go of the grow lock, and whoever waits for what its holder was about looks again.
void slab_store_grow_unlock(struct slab_store *store);

bool slab_store_owns(struct slab_store *store, const void *object); // takes `lock`
bool slab_store_owns_locked(const struct slab_store *store, const void *object);
bool slab_store_is_valid(struct slab_store *store); // nobody may grow or retire meanwhile

#endif
