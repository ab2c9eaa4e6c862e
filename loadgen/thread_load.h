// SPDX-License-Identifier: Apache-2.0
// How busy a process's busiest thread is: its time on a CPU, and its time ready to run without one
// (/proc/PID/task/TID/schedstat). If both leave a thread no spare time, it limits its process, whatever the
// other threads do.
//
//     struct thread_load from = {0}, to = {0};
//     if (thread_load_read(&from) == 0) ... work ...
//     if (thread_load_read(&to) == 0) thread_load_between(&from, &to, &ran, &waited);   // 0.7, 0.1
#ifndef POOLMARK_LOADGEN_THREAD_LOAD_H
#define POOLMARK_LOADGEN_THREAD_LOAD_H

#include <stdint.h>
#include <sys/types.h>

// The kernel counts a running thread's time at its ticks, so a reading is up to some 10 ms old. Shares of a
// shorter time than this would be made of that.
enum { THREAD_LOAD_LEAST_NS = 100 * 1000 * 1000 };
// Of the thread that reads it is exact.
enum { THREAD_LOAD_LEAST_OWN_NS = 20 * 1000 * 1000 };

struct thread_load {
    int64_t at_ns;
    int count, capacity;
    struct thread_times {
        long tid;
        int64_t ran_ns, waited_ns; // since the thread began
    } * threads;
};

// Of this process, all its threads; that of the caller as of now. `load` was read before or is zero, and takes memory that thread_load_free gives back, also
// after a failure. Returns 0 or -errno; -ENOENT where the kernel does not count these times.
int thread_load_read(struct thread_load *load) __attribute__((warn_unused_result));
// Of another process.
int thread_load_read_of(pid_t pid, struct thread_load *load) __attribute__((warn_unused_result));

// Gives its memory back; it can be read again.
void thread_load_free(struct thread_load *load);

// The same times in nanoseconds, however short: for sums. Of the time between the readings neither is more.
void thread_load_spent(const struct thread_load *from, const struct thread_load *to, int64_t *ran_ns,
                       int64_t *waited_ns);
// Shares of the time between two readings, 0 to 1, of the thread with the largest sum of both shares. Only
// threads in both readings count. Both 0 when there is none, or less than THREAD_LOAD_LEAST_NS between them.
void thread_load_between(const struct thread_load *from, const struct thread_load *to, double *ran,
                         double *waited);

#endif
