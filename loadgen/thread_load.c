// SPDX-License-Identifier: Apache-2.0
#include "loadgen/thread_load.h"

#include "base/clock.h"

#include <dirent.h>
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

static int read_thread(const char *tasks, long tid, int64_t *ran_ns, int64_t *waited_ns)
{
    char path[96];
    snprintf(path, sizeof path, "%s/%ld/schedstat", tasks, tid);
    FILE *file = fopen(path, "re");
    if (!file)
        return -errno;
    int read = fscanf(file, "%" SCNd64 " %" SCNd64, ran_ns, waited_ns);
    fclose(file);
    return read == 2 ? 0 : -ENOENT;
}

// Room for one more thread. Memory is kept from reading to reading.
static struct thread_times *next_of(struct thread_load *load)
{
    if (load->count == load->capacity) {
        int capacity = load->capacity > 0 ? 2 * load->capacity : 16;
        struct thread_times *more = realloc(load->threads, (size_t)capacity * sizeof *more);
        if (!more)
            return NULL;
        load->threads = more;
        load->capacity = capacity;
    }
    return &load->threads[load->count];
}

static int read_all(const char *tasks, struct thread_load *load)
{
    load->at_ns = clock_now_ns();
    load->count = 0;
    DIR *dir = opendir(tasks);
    if (!dir)
        return -errno;
    int code = -ENOENT;
    for (struct dirent *entry; (entry = readdir(dir));) {
        long tid = strtol(entry->d_name, NULL, 10);
        struct thread_times *times = tid > 0 ? next_of(load) : NULL;
        if (tid > 0 && !times) { // some threads alone would not say which is the busiest
            load->count = 0;
            code = -ENOMEM;
            break;
        }
        if (tid <= 0)
            continue;
        code = read_thread(tasks, tid, &times->ran_ns, &times->waited_ns);
        if (code < 0) // the thread has ended, or the kernel does not count its times
            continue;
        times->tid = tid;
        load->count++;
    }
    closedir(dir);
    return load->count > 0 ? 0 : code;
}

void thread_load_free(struct thread_load *load)
{
    free(load->threads);
    *load = (struct thread_load){.at_ns = 0};
}

int thread_load_read(struct thread_load *load)
{
    struct timespec ran;
    int code = read_all("/proc/self/task", load);
    for (int i = 0; i < load->count && clock_gettime(CLOCK_THREAD_CPUTIME_ID, &ran) == 0; i++)
        if (load->threads[i].tid == gettid())
            load->threads[i].ran_ns = ran.tv_sec * NS_PER_S + ran.tv_nsec;
    return code;
}

int thread_load_read_of(pid_t pid, struct thread_load *load)
{
    char tasks[48];
    snprintf(tasks, sizeof tasks, "/proc/%lld/task", (long long)pid);
    return read_all(tasks, load);
}

void thread_load_spent(const struct thread_load *from, const struct thread_load *to, int64_t *ran_ns,
                       int64_t *waited_ns)
{
    int64_t time_ns = to->at_ns - from->at_ns;
    *ran_ns = *waited_ns = 0;
    // The kernel lists threads in one order, so those of both readings are mostly found at once.
    for (int i = 0, next = 0; i < to->count; i++)
        for (int tried = 0; tried < from->count; tried++, next++) {
            const struct thread_times *before = &from->threads[next % from->count], *now = &to->threads[i];
            if (before->tid != now->tid)
                continue;
            int64_t ran = now->ran_ns - before->ran_ns, waited = now->waited_ns - before->waited_ns;
            ran = ran < time_ns ? ran : time_ns;
            waited = waited < time_ns - ran ? waited : time_ns - ran;
            if (ran + waited > *ran_ns + *waited_ns) {
                *ran_ns = ran;
                *waited_ns = waited;
            }
            next++;
            break;
        }
}

void thread_load_between(const struct thread_load *from, const struct thread_load *to, double *ran,
                         double *waited)
{
    int64_t time_ns = to->at_ns - from->at_ns, ran_ns, waited_ns;
    *ran = *waited = 0;
    if (time_ns < THREAD_LOAD_LEAST_NS)
        return;
    thread_load_spent(from, to, &ran_ns, &waited_ns);
    *ran = (double)ran_ns / (double)time_ns;
    *waited = (double)waited_ns / (double)time_ns;
}
