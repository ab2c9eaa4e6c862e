// SPDX-License-Identifier: Apache-2.0
// How busy this process's busiest thread is: its time on a CPU, and the time in which it was ready to run and
// had none (/proc/self/task/TID/schedstat). A thread that has neither left is the limit of what its process
// can do, whatever the others have.
//
//     struct thread_load from, to;
//     if (thread_load_read(&from) == 0) ... work ...
//     if (thread_load_read(&to) == 0) thread_load_between(&from, &to, &ran, &waited);   // 0.7, 0.1
#ifndef POOLMARK_LOADGEN_THREAD_LOAD_H
#define POOLMARK_LOADGEN_THREAD_LOAD_H

#include <stdint.h>

enum { THREAD_LOAD_MAX = 8 };

struct thread_load {
    int64_t at_ns;
    int count; // threads; those past THREAD_LOAD_MAX are not looked at
    struct {
        long tid;
        int64_t ran_ns, waited_ns; // since the thread began
    } threads[THREAD_LOAD_MAX];
};

// -errno, -ENOENT where the kernel does not account for it.
int thread_load_read(struct thread_load *load) __attribute__((warn_unused_result));

// Shares of the time between two readings, 0 to 1, of the thread for which their sum is largest; of threads
// that are in both. 0 when there is none.
void thread_load_between(const struct thread_load *from, const struct thread_load *to, double *ran,
                         double *waited);

#endif
