// SPDX-License-Identifier: Apache-2.0
// HdrHistogram_c does the arithmetic. Its struct has a pointer to the counts, which would be wrong in another
// process. So ours keeps that pointer empty and the counts right behind the struct. A call into the library
// gets a view: a copy of the struct whose pointer is valid in this process.
//
// Values are tracked from 1 ns, so that those of 1 us and more have three significant digits (2 048 linear
// steps of 1 ns, then 1 024 steps for each doubling). Adding, merging and resetting stay between the smallest
// and the largest value seen, so that only used pages of counts are touched.
#include "base/hist.h"

#include "base/clock.h"

#include <errno.h>
#include <math.h>
#include <hdr_histogram.h>
#include <hdr_histogram_log.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { SIGNIFICANT_DIGITS = 3, ALIGNMENT = 64 };
static const int64_t LOWEST_NS = 1, HIGHEST_NS = HIST_HIGHEST_NS;

// Other processes read the changing fields while the writer goes on. These are plain integers, always
// accessed by the __atomic builtins below. Relaxed is enough for each by itself. `total` is stored last with
// release and read first with acquire: a reader who sees n values also sees their min, max and counts.
struct hist {
    struct hdr_histogram config; // only its geometry is used: counts is NULL, totals stand below
    int64_t total;
    int64_t clipped;
    int64_t min, max; // exact; min is INT64_MAX and max 0 when empty
    _Alignas(ALIGNMENT) int64_t counts[];
};

// Exported by the library for its own log module, and in none of its headers.
int32_t counts_index_for(const struct hdr_histogram *h, int64_t value);

static int64_t load(const int64_t *word)
{
    return __atomic_load_n(word, __ATOMIC_RELAXED);
}

static void store(int64_t *word, int64_t value)
{
    __atomic_store_n(word, value, __ATOMIC_RELAXED);
}

// One writer: a load and a store, no locked instruction.
static void bump(int64_t *word, int64_t by)
{
    store(word, load(word) + by);
}

static void get_geometry(struct hdr_histogram_bucket_config *geometry)
{
    // Fails for arguments out of bounds only, and these are constants.
    if (hdr_calculate_bucket_config(LOWEST_NS, HIGHEST_NS, SIGNIFICANT_DIGITS, geometry) != 0) {
        abort();
    }
}

size_t hist_bytes(void)
{
    struct hdr_histogram_bucket_config geometry;
    get_geometry(&geometry);
    size_t bytes = sizeof(struct hist) + (size_t)geometry.counts_len * sizeof(int64_t);
    return (bytes + ALIGNMENT - 1) / ALIGNMENT * ALIGNMENT;
}

struct hist *hist_init(void *memory)
{
    struct hist *hist = memory;
    struct hdr_histogram_bucket_config geometry;
    get_geometry(&geometry);
    hdr_init_preallocated(&hist->config, &geometry);
    hist->config.counts = NULL;
    hist->min = INT64_MAX;
    return hist;
}

// A view for the library's read functions. They read the counts through it and write nothing.
static struct hdr_histogram view_of(const struct hist *hist)
{
    struct hdr_histogram view = hist->config;
    view.total_count = __atomic_load_n(&hist->total, __ATOMIC_ACQUIRE);
    view.min_value = load(&hist->min);
    view.max_value = load(&hist->max);
    view.counts = (int64_t *)hist->counts;
    return view;
}

static int32_t index_of(const struct hist *hist, int64_t value_ns)
{
    return counts_index_for(&hist->config, value_ns);
}

bool hist_same_step(int64_t a_ns, int64_t b_ns)
{
    enum { LINEAR = 2048, STEPS_LOG2 = 10 };
    if (a_ns == b_ns) {
        return true;
    }
    if (a_ns < LINEAR || b_ns < LINEAR || a_ns > HIGHEST_NS || b_ns > HIGHEST_NS) {
        return false;
    }
    int width_log2 = 63 - __builtin_clzll((unsigned long long)a_ns) - STEPS_LOG2;
    return a_ns >> width_log2 == b_ns >> width_log2;
}

void hist_add_run(struct hist *hist, int64_t min_ns, int64_t max_ns, int64_t count)
{
    if (min_ns < 0 || max_ns > HIGHEST_NS) { // min and max are equal then
        min_ns = max_ns = min_ns < 0 ? 0 : HIGHEST_NS;
        bump(&hist->clipped, count);
    }
    if (min_ns < load(&hist->min)) {
        store(&hist->min, min_ns);
    }
    if (max_ns > load(&hist->max)) {
        store(&hist->max, max_ns);
    }
    bump(&hist->counts[index_of(hist, max_ns)], count);
    __atomic_store_n(&hist->total, load(&hist->total) + count, __ATOMIC_RELEASE);
}

void hist_add(struct hist *hist, int64_t value_ns)
{
    hist_add_run(hist, value_ns, value_ns, 1);
}

void hist_merge(struct hist *to, const struct hist *from)
{
    if (__atomic_load_n(&from->total, __ATOMIC_ACQUIRE) == 0) {
        return;
    }
    int64_t min = load(&from->min), max = load(&from->max);
    if (min > max) {
        return; // its writer is resetting it
    }
    // The new total is the sum of the counts read here: the writer may be ahead of its own total.
    int64_t merged = 0;
    for (int32_t i = index_of(from, min); i <= index_of(from, max); i++) {
        int64_t count = load(&from->counts[i]);
        if (count != 0) {
            bump(&to->counts[i], count);
            merged += count;
        }
    }
    store(&to->min, min < load(&to->min) ? min : load(&to->min));
    store(&to->max, max > load(&to->max) ? max : load(&to->max));
    bump(&to->clipped, load(&from->clipped));
    __atomic_store_n(&to->total, load(&to->total) + merged, __ATOMIC_RELEASE);
}

void hist_reset(struct hist *hist)
{
    if (load(&hist->min) <= load(&hist->max)) {
        int32_t last = index_of(hist, load(&hist->max));
        for (int32_t i = index_of(hist, load(&hist->min)); i <= last; i++) {
            if (load(&hist->counts[i]) != 0) {
                store(&hist->counts[i], 0);
            }
        }
    }
    store(&hist->min, INT64_MAX);
    store(&hist->max, 0);
    store(&hist->clipped, 0);
    __atomic_store_n(&hist->total, 0, __ATOMIC_RELEASE);
}

char *hist_encode(const struct hist *hist)
{
    struct hdr_histogram view = view_of(hist);
    char *counts = NULL, *text = NULL;
    if (hdr_log_encode(&view, &counts) != 0) {
        return NULL;
    }
    // The encoding has neither the exact minimum and maximum nor the clipped values.
    if (asprintf(&text, "%" PRId64 " %" PRId64 " %" PRId64 " %" PRId64 " %s", hist_count(hist),
                 load(&hist->min), load(&hist->max), load(&hist->clipped), counts) < 0) {
        text = NULL;
    }
    free(counts);
    return text;
}

// Whether the library's histogram has the geometry of ours, and as many values as it is said to have.
static bool is_ours(const struct hist *hist, const struct hdr_histogram *other, int64_t count)
{
    if (other->counts_len != hist->config.counts_len ||
        other->unit_magnitude != hist->config.unit_magnitude ||
        other->significant_figures != hist->config.significant_figures ||
        other->normalizing_index_offset != 0) {
        return false;
    }
    int64_t total = 0;
    for (int32_t i = 0; i < other->counts_len; i++) {
        if (other->counts[i] < 0 || other->counts[i] > count - total) {
            return false;
        }
        total += other->counts[i];
    }
    return total == count;
}

int hist_merge_encoded(struct hist *to, const char *text)
{
    int64_t count, min, max, clipped;
    int used = 0;
    if (sscanf(text, "%" SCNd64 " %" SCNd64 " %" SCNd64 " %" SCNd64 " %n", &count, &min, &max, &clipped,
               &used) != 4 ||
        used == 0 || count < 0 || clipped < 0 || clipped > count) {
        return -EINVAL;
    }
    if (count > 0 && (min < 0 || min > max || max > HIGHEST_NS)) {
        return -EINVAL;
    }
    struct hdr_histogram *other = NULL;
    size_t bytes = strlen(text + used);
    char *counts = strdup(text + used); // the library takes it as writable
    int code = counts ? hdr_log_decode(&other, counts, bytes) : ENOMEM;
    free(counts);
    if (code != 0) {
        return code == ENOMEM || code == -ENOMEM ? -ENOMEM : -EINVAL;
    }
    code = is_ours(to, other, count) ? 0 : -EINVAL;
    for (int32_t i = 0; code == 0 && i < other->counts_len; i++) {
        if (other->counts[i] > 0) {
            bump(&to->counts[i], other->counts[i]);
        }
    }
    if (code == 0 && count > 0) {
        store(&to->min, min < load(&to->min) ? min : load(&to->min));
        store(&to->max, max > load(&to->max) ? max : load(&to->max));
        bump(&to->clipped, clipped);
        __atomic_store_n(&to->total, load(&to->total) + count, __ATOMIC_RELEASE);
    }
    hdr_close(other);
    return code;
}

int64_t hist_count(const struct hist *hist)
{
    return __atomic_load_n(&hist->total, __ATOMIC_ACQUIRE);
}

int64_t hist_clipped(const struct hist *hist)
{
    return load(&hist->clipped);
}

int64_t hist_min(const struct hist *hist)
{
    return hist_count(hist) == 0 ? 0 : load(&hist->min);
}

int64_t hist_max(const struct hist *hist)
{
    return hist_count(hist) == 0 ? 0 : load(&hist->max);
}

double hist_mean(const struct hist *hist)
{
    struct hdr_histogram view = view_of(hist);
    return view.total_count == 0 ? 0 : hdr_mean(&view);
}

double hist_stddev(const struct hist *hist)
{
    struct hdr_histogram view = view_of(hist);
    return view.total_count == 0 ? 0 : hdr_stddev(&view);
}

int64_t hist_percentile(const struct hist *hist, double percent)
{
    struct hdr_histogram view = view_of(hist);
    if (view.total_count == 0) {
        return 0;
    }
    int64_t value = hdr_value_at_percentile(&view, percent);
    // The library returns the upper end of a step, which may lie beyond the exact minimum and maximum.
    return value < view.min_value ? view.min_value : value > view.max_value ? view.max_value : value;
}

int64_t hist_percentile_rank(int64_t count, double percent)
{
    int64_t rank = (int64_t)(percent / 100 * (double)count + 0.5); // as hdr_value_at_percentile
    return rank < 1 ? 1 : rank > count ? count : rank;
}

int64_t hist_percentile_takes(double percent)
{
    return percent < 100 ? (int64_t)ceil(100 / (100 - percent) - 1e-6) : 1;
}

int64_t hist_percentile_known(const struct hist *hist, double percent)
{
    return hist_count(hist) < hist_percentile_takes(percent) ? -1 : hist_percentile(hist, percent);
}

// csv writes the lines: only whole ones, each at once.
int hist_write_percentiles(const struct hist *hist, const char *path, struct err *err)
{
    enum { TICKS_PER_HALF_DISTANCE = 5 }; // as every HdrHistogram prints by default
    struct hdr_histogram view = view_of(hist);
    FILE *file = fopen(path, "wxe");
    if (!file) {
        return err_set(err, -errno, "cannot make %s: %m", path);
    }
    errno = 0;
    int failed = hdr_percentiles_print(&view, file, TICKS_PER_HALF_DISTANCE, 1e6, CLASSIC) != 0;
    failed = fclose(file) != 0 || failed;
    if (!failed) {
        return 0;
    }
    int code = errno ? -errno : -EIO;
    unlink(path);
    return err_set(err, code, "cannot write %s: %s", path, strerror(-code));
}

struct hist_log {
    struct csv *lines;
    int64_t start_wall_ns;
    struct hist *scratch; // a stable copy of the histogram to write
    int failed;           // the first -errno of the encoder
    int64_t not_encoded;  // lines that the encoder lost
};

static double seconds(int64_t ns)
{
    return (double)ns / (double)NS_PER_S;
}

int hist_log_open(struct hist_log **log, const char *path, int64_t start_wall_ns, struct err *err)
{
    char header[500], utc[21];
    clock_format_utc(start_wall_ns, utc);
    // The library's own header is of version 1.2 and has no base time, which readers of 1.3 need for offsets.
    snprintf(header, sizeof header,
             "#[Poolmark latencies in nanoseconds]\n"
             "#[Histogram log format version 1.3]\n"
             "#[StartTime: %.3f (seconds since epoch), %s]\n"
             "#[BaseTime: %.3f (seconds since epoch)]\n"
             "\"StartTimestamp\",\"Interval_Length\",\"Interval_Max\",\"Interval_Compressed_Histogram\"",
             seconds(start_wall_ns), utc, seconds(start_wall_ns));
    struct hist_log *made = calloc(1, sizeof *made);
    if (!made) {
        return err_set(err, -ENOMEM, "cannot write %s: out of memory", path);
    }
    int code;
    void *memory = aligned_alloc(ALIGNMENT, hist_bytes());
    if (!memory) {
        code = err_set(err, -ENOMEM, "cannot write %s: out of memory", path);
        goto fail_log;
    }
    memset(memory, 0, hist_bytes());
    made->scratch = hist_init(memory);
    made->start_wall_ns = start_wall_ns;
    code = csv_open(&made->lines, path, header, err);
    if (code < 0) {
        goto fail_scratch;
    }
    *log = made;
    return 0;

fail_scratch:
    free(made->scratch);
fail_log:
    free(made);
    return code;
}

int hist_log_write(struct hist_log *log, const char *tag, int64_t from_wall_ns, int64_t to_wall_ns,
                   const struct hist *hist)
{
    hist_reset(log->scratch);
    hist_merge(log->scratch, hist);
    struct hdr_histogram view = view_of(log->scratch);
    char *encoded = NULL;
    int code = hdr_log_encode(&view, &encoded);
    if (code != 0) {
        // The library mixes errno with codes of its own below -29000.
        code = code == ENOMEM || code == -ENOMEM ? -ENOMEM : -EIO;
        log->failed = log->failed < 0 ? log->failed : code;
        log->not_encoded++;
        return code;
    }
    // This format has no negative offsets.
    int64_t from_ns = from_wall_ns > log->start_wall_ns ? from_wall_ns - log->start_wall_ns : 0;
    int64_t length_ns = to_wall_ns > from_wall_ns ? to_wall_ns - from_wall_ns : 0;
    csv_row(log->lines, "Tag=%s,%.3f,%.3f,%" PRId64 ".0,%s", tag, seconds(from_ns), seconds(length_ns),
            hist_max(log->scratch), encoded);
    free(encoded);
    return csv_failure(log->lines);
}

int hist_log_close(struct hist_log *log, struct csv_account *account)
{
    if (!log) {
        return 0;
    }
    struct csv_account lines = {0};
    int code = csv_close_account(log->lines, &lines);
    code = log->failed < 0 ? log->failed : code;
    lines.rows += log->not_encoded;
    lines.lost += log->not_encoded;
    lines.failure = lines.failure < 0 ? lines.failure : log->failed;
    if (account) {
        *account = lines;
    }
    free(log->scratch);
    free(log);
    return code;
}
