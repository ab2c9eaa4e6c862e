// SPDX-License-Identifier: Apache-2.0
#include "loadgen/thread_load.h"

#include "base/clock.h"

#include <dirent.h>
#include <errno.h>
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

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

static int read_all(const char *tasks, struct thread_load *load)
{
    *load = (struct thread_load){.at_ns = clock_now_ns()};
    DIR *dir = opendir(tasks);
    if (!dir)
        return -errno;
    int code = -ENOENT;
    for (struct dirent *entry; load->count < THREAD_LOAD_MAX && (entry = readdir(dir));) {
        long tid = strtol(entry->d_name, NULL, 10);
        if (tid <= 0)
            continue;
        int64_t ran_ns, waited_ns;
        code = read_thread(tasks, tid, &ran_ns, &waited_ns);
        if (code < 0) // the thread has ended, or the kernel does not count its times
            continue;
        load->threads[load->count].tid = tid;
        load->threads[load->count].ran_ns = ran_ns;
        load->threads[load->count++].waited_ns = waited_ns;
    }
    closedir(dir);
    return load->count > 0 ? 0 : code;
}

int thread_load_read(struct thread_load *load)
{
    return read_all("/proc/self/task", load);
}

int thread_load_read_of(pid_t pid, struct thread_load *load)
{
    char tasks[48];
    snprintf(tasks, sizeof tasks, "/proc/%lld/task", (long long)pid);
    return read_all(tasks, load);
}

void thread_load_between(const struct thread_load *from, const struct thread_load *to, double *ran,
                         double *waited)
{
    double time_ns = (double)(to->at_ns - from->at_ns);
    *ran = *waited = 0;
    if (time_ns < THREAD_LOAD_LEAST_NS)
        return;
    for (int i = 0; i < to->count; i++)
        for (int j = 0; j < from->count; j++) {
            if (from->threads[j].tid != to->threads[i].tid)
                continue;
            double r = fmin(1, (double)(to->threads[i].ran_ns - from->threads[j].ran_ns) / time_ns);
            double w = fmin(1 - r, (double)(to->threads[i].waited_ns - from->threads[j].waited_ns) / time_ns);
            if (r + w > *ran + *waited) {
                *ran = r;
                *waited = w;
            }
        }
}
