// SPDX-License-Identifier: Apache-2.0
// A small dense number for each thread. A strategy can keep an array with one row for each thread, and reach
// its own row without a lock, a hash or a shared cache line.
//
// Slots are 1 to THREAD_SLOT_ROWS - 1, the lowest free one first. A thread takes its slot at its first use
// and gives it back when it exits. The next thread with that slot inherits the contents of its rows (ordered
// after everything the old owner did). Row 0 belongs to no thread: threads beyond the last slot share it. So
// work on row 0 needs a lock or atomic additions. All other rows have exactly one thread that writes them.
//
//     struct row *row = &pool->rows[thread_slot()];
//     for (int slot = 0; slot <= thread_slot_ever(); slot++) add_up(&pool->rows[slot]);
//
// Any thread may call. Nothing here fails. The register of slots is global to the process, the only thing in
// pools/ that is not passed as context: a thread-local index has no other place. After fork() the child's
// one thread keeps its slot; those of the parent's other threads are free again, and their rows are
// unchanged.
#ifndef POOLMARK_POOLS_SHARED_THREAD_SLOT_H
#define POOLMARK_POOLS_SHARED_THREAD_SLOT_H

enum { THREAD_SLOT_ROWS = 1024 }; // rows to make in an array indexed by slot

extern _Thread_local int pool_thread_slot_cached; // this thread's slot; 0: none yet, or none was left

int thread_slot_take(void); // the slow half of thread_slot()

// This thread's slot, taken now if it has none; 0 when all are taken.
static inline int thread_slot(void)
{
    int slot = pool_thread_slot_cached;
    return __builtin_expect(slot != 0, 1) ? slot : thread_slot_take();
}

int thread_slot_ever(void); // the highest slot ever taken; only rises

// Called on a thread that exits, while it still has its slot, so that a strategy can pass on the objects in
// the row. May call into pools; must not add or remove a watch. The caller owns the struct, from add to
// remove.
struct thread_slot_watch {
    void (*on_exit)(void *context, int slot);
    void *context;
    struct thread_slot_watch *next, *previous; // the register's
};
void thread_slot_watch_add(struct thread_slot_watch *watch);
void thread_slot_watch_remove(
    struct thread_slot_watch *watch); // when it returns, on_exit is not running and never will

// Around fork, see pools/pool_fork.h: no thread starts or exits between prepare and the others.
void thread_slot_fork_prepare(void);
void thread_slot_fork_parent(void);
void thread_slot_fork_child(void);

#endif
