// SPDX-License-Identifier: Apache-2.0
#include "loadgen/sampler.h"

#include "base/clock.h"
#include "base/csv.h"
#include "base/procmem.h"

#include <errno.h>
#include <inttypes.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum {
    FULL_SHARE = 20
}; // a full row comes unasked if the last one took less than a twentieth of the time since then

struct sampler {
    pthread_mutex_t lock; // guards the fields up to `account`
    pthread_cond_t word;  // signalled on a request and on the end
    const char *phase;
    int64_t connections, cpu_ns;
    uint64_t asked, answered; // full rows
    _Atomic bool ending;      // also read without the lock, relaxed: it only ends a reading early
    struct sample full;       // the last full row
    struct sample last;
    int64_t peak_rss_bytes, peak_pss_bytes, peak_private_bytes, peak_swap_bytes; // -1: no reading yet
    const char *keep_phase;                                                      // NULL: none is kept
    struct sampler_kept *kept;
    size_t kept_count, kept_capacity;
    bool kept_lost; // out of memory: what is kept has a gap
    struct sampler_account account;
    // The thread's own, or unchanging:
    struct csv *csv;
    int64_t *targets;
    int target_count;
    pid_t *workers;
    int worker_count;
    pthread_t thread;
    int64_t full_ended_ns, full_took_ns;
};

static void add(int64_t *sum, int64_t value)
{
    if (value >= 0)
        *sum = *sum < 0 ? value : *sum + value;
}

static void read_targets(struct sample *sample, const int64_t *targets, int count, bool full)
{
    bool counted = true;
    for (int i = 0; i < count; i++) {
        struct procmem mem;
        int code = full ? procmem_read((pid_t)targets[i], &mem) : procmem_read_quick((pid_t)targets[i], &mem);
        if (code == -ESRCH)
            sample->targets_gone++;
        else if (code < 0)
            sample->target_error = code;
        if (code < 0)
            continue;
        add(&sample->target_rss_bytes, mem.rss_bytes);
        add(&sample->target_cpu_ns, mem.cpu_ns);
        int64_t descriptors = procmem_descriptors((pid_t)targets[i]);
        counted = counted && descriptors >= 0;
        add(&sample->target_descriptors, descriptors);
        if (full) {
            add(&sample->target_pss_bytes, mem.pss_bytes);
            add(&sample->target_private_bytes,
                count > 1 && mem.share_bytes >= 0 ? mem.share_bytes : mem.private_bytes);
            add(&sample->target_forked_bytes, mem.forked_bytes);
            add(&sample->target_lazy_free_bytes, mem.lazy_free_bytes);
            add(&sample->target_shared_bytes, mem.shared_bytes);
            add(&sample->target_swap_bytes, mem.swap_bytes);
            add(&sample->target_merged_bytes, mem.merged_bytes);
            sample->rollup_error = mem.rollup_error < 0 ? mem.rollup_error : sample->rollup_error;
        }
    }
    // A sum over only some of the processes would be a wrong figure.
    if (sample->targets_gone > 0 || sample->target_error < 0 || !counted)
        sample->target_descriptors = -1;
    if (sample->targets_gone > 0 || sample->target_error < 0)
        sample->target_rss_bytes = sample->target_cpu_ns = sample->target_shared_bytes =
            sample->target_swap_bytes = sample->target_merged_bytes = sample->target_forked_bytes =
                sample->target_lazy_free_bytes = -1;
    if (sample->targets_gone > 0 || sample->target_error < 0 || sample->rollup_error < 0)
        sample->target_pss_bytes = sample->target_private_bytes = -1;
}

// A thousand workers take a second to read; `ending` ends the loop early.
static void read_generator(struct sample *sample, const pid_t *workers, int count, const _Atomic bool *ending)
{
    struct procmem mem;
    bool whole = procmem_read(getpid(), &mem) == 0 && mem.pss_bytes >= 0;
    if (whole)
        add(&sample->generator_pss_bytes, mem.pss_bytes);
    for (int i = 0; i < count; i++) {
        if (ending && atomic_load_explicit(ending, memory_order_relaxed)) {
            sample->generator_pss_bytes = -1;
            return;
        }
        if (procmem_read(workers[i], &mem) < 0) // it has ended
            continue;
        whole = whole && mem.pss_bytes >= 0;
        add(&sample->generator_pss_bytes, mem.pss_bytes);
    }
    if (!whole)
        sample->generator_pss_bytes = -1;
}

static void read_all(struct sample *sample, const int64_t *targets, int target_count, const pid_t *workers,
                     int worker_count, bool full, const _Atomic bool *ending)
{
    *sample = (struct sample){.connections = -1,
                              .target_rss_bytes = -1,
                              .target_pss_bytes = -1,
                              .target_private_bytes = -1,
                              .target_shared_bytes = -1,
                              .target_swap_bytes = -1,
                              .target_merged_bytes = -1,
                              .target_forked_bytes = -1,
                              .target_lazy_free_bytes = -1,
                              .target_cpu_ns = -1,
                              .target_descriptors = -1,
                              .generator_pss_bytes = -1,
                              .generator_cpu_ns = -1,
                              .kernel_slab_bytes = -1,
                              .kernel_tcp_bytes = -1,
                              .kernel_page_table_bytes = -1,
                              .kernel_proc_bytes = -1,
                              .kernel_socket_bytes = -1,
                              .kernel_sockets = -1,
                              .census = {.opened = -1, .own_bytes = -1}};
    struct kernmem kernel;
    if (kernmem_read(&kernel) == 0) {
        sample->kernel_slab_bytes = kernel.slab_bytes - (kernel.proc_bytes > 0 ? kernel.proc_bytes : 0);
        sample->kernel_proc_bytes = kernel.proc_bytes;
        sample->kernel_socket_bytes = kernel.socket_bytes;
        sample->kernel_sockets = kernel.sockets;
        sample->kernel_tcp_bytes = kernel.tcp_bytes;
        sample->kernel_page_table_bytes = kernel.page_table_bytes;
    }
    read_targets(sample, targets, target_count, full);
    if (full)
        read_generator(sample, workers, worker_count, ending);
    sample->at_ns = clock_now_ns();
}

void sample_read(struct sample *sample, const int64_t *targets, int target_count, const pid_t *workers,
                 int worker_count, bool full)
{
    read_all(sample, targets, target_count, workers, worker_count, full, NULL);
}

// "" for a value that was not read.
static const char *field(int64_t value, char text[static 24])
{
    text[0] = '\0';
    if (value >= 0)
        snprintf(text, 24, "%" PRId64, value);
    return text;
}

static void write_row(struct csv *csv, const char *phase, const struct sample *s)
{
    char t[12][24];
    csv_row(csv, "%" PRId64 ",%s,%s,%s,%s,%s,%s,%s,%s,%s,%s,%s,%s,%s", s->at_ns, phase,
            field(s->connections, t[0]), field(s->target_rss_bytes, t[1]), field(s->target_pss_bytes, t[2]),
            field(s->target_private_bytes, t[3]), field(s->target_cpu_ns, t[4]),
            field(s->generator_pss_bytes, t[5]), field(s->generator_cpu_ns, t[6]),
            field(s->kernel_slab_bytes, t[7]), field(s->kernel_tcp_bytes, t[8]),
            field(s->kernel_page_table_bytes, t[9]), field(s->kernel_proc_bytes, t[10]),
            field(s->target_swap_bytes, t[11]));
}

static bool wants_full(const struct sampler *sampler, int64_t now_ns)
{
    return now_ns - sampler->full_ended_ns >= FULL_SHARE * sampler->full_took_ns;
}

static void raise_to(int64_t *most, int64_t value)
{
    if (value > *most)
        *most = value;
}

// The caller holds the lock.
static void keep(struct sampler *sampler, const char *phase, const struct sample *sample)
{
    if (!sampler->keep_phase || strcmp(phase, sampler->keep_phase) != 0)
        return;
    if (sampler->kept_count == sampler->kept_capacity) {
        size_t capacity = sampler->kept_capacity ? sampler->kept_capacity * 2 : 256;
        struct sampler_kept *kept = realloc(sampler->kept, capacity * sizeof *kept);
        sampler->kept_lost = sampler->kept_lost || !kept;
        if (!kept)
            return;
        sampler->kept = kept;
        sampler->kept_capacity = capacity;
    }
    sampler->kept[sampler->kept_count++] =
        (struct sampler_kept){.at_ns = sample->at_ns,
                              .rss_bytes = sample->target_rss_bytes,
                              .pss_bytes = sample->target_pss_bytes,
                              .private_bytes = sample->target_private_bytes};
}

// The caller holds the lock. It is released during the reading.
static void take_row(struct sampler *sampler)
{
    uint64_t asked = sampler->asked;
    int64_t start_ns = clock_now_ns();
    bool full = asked != sampler->answered || wants_full(sampler, start_ns);
    pthread_mutex_unlock(&sampler->lock);

    struct sample sample;
    read_all(&sample, sampler->targets, sampler->target_count, sampler->workers, sampler->worker_count, full,
             &sampler->ending);
    if (full) {
        sampler->full_ended_ns = sample.at_ns;
        sampler->full_took_ns = sample.at_ns - start_ns;
    }

    pthread_mutex_lock(&sampler->lock);
    // The label is read after the memory, so it has a few connections too many. A label from before the
    // reading would lack those made during the reading, which are more.
    sample.connections = sampler->connections;
    sample.generator_cpu_ns = sampler->cpu_ns + clock_cpu_ns();
    sampler->last = sample;
    raise_to(&sampler->peak_rss_bytes, sample.target_rss_bytes);
    raise_to(&sampler->peak_pss_bytes, sample.target_pss_bytes);
    raise_to(&sampler->peak_private_bytes, sample.target_private_bytes);
    raise_to(&sampler->peak_swap_bytes, sample.target_swap_bytes);
    sampler->account.readings++;
    if (sample.targets_gone > 0 || sample.target_error < 0) {
        sampler->account.unreadable++;
        sampler->account.error = sample.target_error < 0 ? sample.target_error : -ESRCH;
    }
    if (full) {
        sampler->full = sample;
        sampler->answered = asked;
    }
    const char *phase = sampler->phase;
    keep(sampler, phase, &sample);
    if (sampler->csv) {
        pthread_mutex_unlock(&sampler->lock);
        write_row(sampler->csv, phase, &sample);
        pthread_mutex_lock(&sampler->lock);
    }
}

static void *sampler_thread(void *context)
{
    struct sampler *sampler = context;
    pthread_mutex_lock(&sampler->lock);
    int64_t next_ns = clock_now_ns();
    for (;;) {
        take_row(sampler);
        next_ns += NS_PER_S;
        int64_t now_ns = clock_now_ns();
        if (next_ns < now_ns)
            next_ns = now_ns;
        struct timespec until = clock_deadline(next_ns);
        while (!sampler->ending && sampler->asked == sampler->answered)
            if (pthread_cond_timedwait(&sampler->word, &sampler->lock, &until) == ETIMEDOUT)
                break;
        int64_t late_ns = clock_now_ns() - next_ns;
        if (late_ns > NS_PER_S)
            sampler->account.late_ns += late_ns;
        if (sampler->ending)
            break;
    }
    pthread_mutex_unlock(&sampler->lock);
    return NULL;
}

static int copy_config(struct sampler *sampler, const struct sampler_config *config)
{
    sampler->target_count = config->target_count;
    sampler->worker_count = config->worker_count;
    sampler->targets = calloc((size_t)config->target_count + 1, sizeof *sampler->targets);
    sampler->workers = calloc((size_t)config->worker_count + 1, sizeof *sampler->workers);
    if (!sampler->targets || !sampler->workers)
        return -ENOMEM;
    for (int i = 0; i < config->target_count; i++)
        sampler->targets[i] = config->targets[i];
    for (int i = 0; i < config->worker_count; i++)
        sampler->workers[i] = config->workers[i];
    return 0;
}

static void free_all(struct sampler *sampler)
{
    pthread_cond_destroy(&sampler->word);
    pthread_mutex_destroy(&sampler->lock);
    free(sampler->kept);
    free(sampler->targets);
    free(sampler->workers);
    free(sampler);
}

int sampler_open(struct sampler **sampler_out, const struct sampler_config *config, struct err *err)
{
    struct sampler *sampler = calloc(1, sizeof *sampler);
    if (!sampler)
        return err_set(err, -ENOMEM, "out of memory for the sampler");
    sampler->peak_rss_bytes = sampler->peak_pss_bytes = sampler->peak_private_bytes =
        sampler->peak_swap_bytes = -1;
    sampler->phase = "start";
    sampler->last.target_rss_bytes = -1; // until the first row
    pthread_mutex_init(&sampler->lock, NULL);
    pthread_condattr_t attr;
    pthread_condattr_init(&attr);
    pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
    pthread_cond_init(&sampler->word, &attr);
    pthread_condattr_destroy(&attr);
    int code = copy_config(sampler, config);
    if (code < 0)
        err_set(err, code, "out of memory for the sampler");
    if (code == 0 && config->path)
        code = csv_open(&sampler->csv, config->path, SAMPLER_HEADER, err);
    if (code < 0)
        goto fail;
    code = -pthread_create(&sampler->thread, NULL, sampler_thread, sampler);
    if (code < 0) {
        err_set(err, code, "cannot start the sampler's thread: %s", strerror(-code));
        goto fail_csv;
    }
    *sampler_out = sampler;
    return 0;
fail_csv:
    (void)!csv_close(sampler->csv);
fail:
    free_all(sampler);
    return code;
}

void sampler_label(struct sampler *sampler, const char *phase, int64_t connections, int64_t cpu_ns)
{
    pthread_mutex_lock(&sampler->lock);
    sampler->phase = phase;
    sampler->connections = connections;
    sampler->cpu_ns = cpu_ns;
    pthread_mutex_unlock(&sampler->lock);
}

uint64_t sampler_request(struct sampler *sampler)
{
    pthread_mutex_lock(&sampler->lock);
    uint64_t ticket = ++sampler->asked;
    pthread_cond_signal(&sampler->word);
    pthread_mutex_unlock(&sampler->lock);
    return ticket;
}

bool sampler_ready(struct sampler *sampler, uint64_t ticket, struct sample *sample)
{
    pthread_mutex_lock(&sampler->lock);
    bool ready = sampler->answered >= ticket;
    if (ready)
        *sample = sampler->full;
    pthread_mutex_unlock(&sampler->lock);
    return ready;
}

void sampler_last(struct sampler *sampler, struct sample *sample)
{
    pthread_mutex_lock(&sampler->lock);
    *sample = sampler->last;
    pthread_mutex_unlock(&sampler->lock);
}

void sampler_peak(struct sampler *sampler, struct sample *peak)
{
    pthread_mutex_lock(&sampler->lock);
    *peak = sampler->last;
    peak->target_rss_bytes = sampler->peak_rss_bytes;
    peak->target_pss_bytes = sampler->peak_pss_bytes;
    peak->target_private_bytes = sampler->peak_private_bytes;
    peak->target_swap_bytes = sampler->peak_swap_bytes;
    pthread_mutex_unlock(&sampler->lock);
}

void sampler_keep(struct sampler *sampler, const char *phase)
{
    pthread_mutex_lock(&sampler->lock);
    sampler->keep_phase = phase;
    pthread_mutex_unlock(&sampler->lock);
}

size_t sampler_take_kept(struct sampler *sampler, struct sampler_kept **kept)
{
    pthread_mutex_lock(&sampler->lock);
    size_t count = sampler->kept_lost ? 0 : sampler->kept_count;
    *kept = sampler->kept;
    sampler->kept = NULL;
    sampler->kept_count = sampler->kept_capacity = 0;
    pthread_mutex_unlock(&sampler->lock);
    return count;
}

int sampler_close(struct sampler *sampler, struct sampler_account *account)
{
    if (!sampler)
        return 0;
    pthread_mutex_lock(&sampler->lock);
    sampler->ending = true;
    pthread_cond_signal(&sampler->word);
    pthread_mutex_unlock(&sampler->lock);
    pthread_join(sampler->thread, NULL);
    pthread_mutex_lock(&sampler->lock);
    sampler->full_took_ns = INT64_MAX / FULL_SHARE; // the last row is a quick one
    sampler->answered = sampler->asked;
    take_row(sampler);
    pthread_mutex_unlock(&sampler->lock);
    int code = csv_close_account(sampler->csv, &sampler->account.file);
    if (account)
        *account = sampler->account;
    free_all(sampler);
    return code;
}
