// SPDX-License-Identifier: Apache-2.0
// poolmark-bench: every workload over every strategy, on Google Benchmark. It takes the library's flags. The
// context of its reports tells which allocator was really loaded, and how the program was built.
#include "base/build.h"
#include "base/clock.h"
#include "base/describe.h"
#include "base/heap.h"
#include "base/opts.h"
#include "bench/catalogue.h"
#include "bench/gbench.h"
#include "bench/gbench_flags.h"
#include "bench/own_pools.h"
#include "bench/speed.h"
#include "bench/workload.h"

#include <errno.h>
#include <semaphore.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#define PROBE_NS NS_PER_S

// glibc and others take short cuts in a process that never had a second thread. No server is such a process.
// So there is a second thread, asleep, as long as benchmarks run.
struct sleeper {
    pthread_t thread;
    sem_t wake;
};

static void *sleep_until_woken(void *context)
{
    struct sleeper *sleeper = context;
    while (sem_wait(&sleeper->wake) < 0 && errno == EINTR) {
    }
    return NULL;
}

static int sleeper_start(struct sleeper *sleeper)
{
    if (sem_init(&sleeper->wake, 0, 0) < 0)
        return -errno;
    int code = pthread_create(&sleeper->thread, NULL, sleep_until_woken, sleeper);
    if (code != 0)
        sem_destroy(&sleeper->wake);
    return -code;
}

static void sleeper_stop(struct sleeper *sleeper)
{
    sem_post(&sleeper->wake);
    pthread_join(sleeper->thread, NULL);
    sem_destroy(&sleeper->wake);
}

static void add_context(const struct own_pools *pools)
{
    const struct build_facts *facts = build_facts();
    char version[128];
    gb_add_context("poolmark_version", facts->version);
    gb_add_context("poolmark_commit", facts->commit);
    gb_add_context("poolmark_dirty", facts->dirty < 0 ? "unknown" : facts->dirty ? "true" : "false");
    gb_add_context("poolmark_compiler", facts->compiler);
    gb_add_context("poolmark_flags", facts->flags);
    gb_add_context("allocator", heap_name());
    gb_add_context("allocator_version", heap_version(version, sizeof version));
    char settings[2048];
    gb_add_context("allocator_environment", heap_settings(settings, sizeof settings));
    own_pools_add_context(pools);
}

enum { ROW_HEADING, ROW_POOL, ROW_CHECK, ROW_TRACE, ROW_STEP, ROW_PATIENCE, ROW_SHIFT };
// Google Benchmark owns the command line; these are the options that it does not know. They are read here,
// so `offset` is unused.
static const struct opt table[] = {
    [ROW_HEADING] = {.kind = OPT_HEADING, .help = "Options"},
    [ROW_POOL] = {.name = "pool",
                  .argument = "FILE",
                  .kind = OPT_LIST,
                  .help = "measure the strategy of this shared library too (pool_plugin.h); several times"},
    [ROW_CHECK] =
        {.name = "check-pool",
         .argument = "FILE",
         .kind = OPT_TEXT,
         .help = "say of each promise of a pool whether the strategy of this shared library keeps it, and "
                 "end"},
    [ROW_TRACE] = {.name = "poolmark_trace",
                   .argument = "FILE",
                   .kind = OPT_TEXT,
                   .help = "where `grow` writes what each get cost"},
    [ROW_STEP] = {.name = "poolmark_step_ns",
                  .argument = "NS",
                  .kind = OPT_NUMBER,
                  .low = 1e-3,
                  .high = 1e3,
                  .help =
                      "what one addition takes at the processor's full speed, at which alone a figure counts "
                      "(docs/benchmarks.md); otherwise the fastest that the process sees"},
    [ROW_PATIENCE] = {.name = "poolmark_patience_ms",
                      .argument = "MS",
                      .kind = OPT_NUMBER,
                      .fallback = "200",
                      .low = 0,
                      .high = 1e6,
                      .help = "how long to wait for full speed, in all"},
    [ROW_SHIFT] = {.name = "poolmark_heap_shift",
                   .argument = "BYTES",
                   .kind = OPT_NUMBER,
                   .fallback = "0",
                   .low = 0,
                   .high = 65536,
                   .help = "the heap begins so many bytes later"},
    {.name = "poolmark_list_workloads", .kind = OPT_FLAG, .help = "print the workloads, and end"},
    {.name = "poolmark_probe", .kind = OPT_FLAG, .help = "measure --poolmark_step_ns, print it, and end"},
    {.name = NULL}};

static void print_help(void)
{
    opts_print_help(table, "poolmark-bench", "[OPTION]... [--benchmark_...=VALUE]...",
                    "Micro-benchmarks WORKLOAD/CONTENDER/BYTES[/threads:N] of every pool strategy. "
                    "--benchmark_filter=RE picks\nsome, --benchmark_list_tests lists them; with LD_PRELOAD "
                    "another allocator is measured.",
                    stdout);
    printf("\nGoogle Benchmark's flags:\n");
    fflush(stdout);
}

static int print_workloads(void)
{
    const struct workload *row;
    for (size_t i = 0; (row = workload_at(i)); i++)
        printf("%-26s %s\n", row->name, row->summary);
    return EXIT_OK;
}

static int print_description(const struct own_pools *pools)
{
    json_t *root = describe_new("poolmark-bench", table, bench_catalogue), *list = json_array();
    const struct workload *row;
    for (size_t i = 0; (row = workload_at(i)); i++)
        json_array_append_new(list, json_pack("{s:s,s:s}", "name", row->name, "summary", row->summary));
    json_object_set_new(root, "workloads", list);
    json_object_set_new(root, "pools", own_pools_json(pools));
    return describe_print(root);
}

static int print_probe(void)
{
    speed_learn(PROBE_NS);
    printf("%.6f\n", speed_step_ns());
    return EXIT_OK;
}

// Removes the first occurrence of the option from the arguments, as `--NAME=VALUE` or `--NAME VALUE`. NULL when
// there is none.
static const char *take_first(const struct opt *row, int *argc, char **argv)
{
    size_t length = strlen(row->name);
    for (int i = 0; i < *argc; i++) {
        bool is_it = strncmp(argv[i], "--", 2) == 0 && strncmp(argv[i] + 2, row->name, length) == 0;
        char after = is_it ? argv[i][2 + length] : 'x';
        int words = after == '=' ? 1 : after == '\0' && i + 1 < *argc ? 2 : 0;
        if (words == 0)
            continue;
        const char *value = words == 1 ? argv[i] + 2 + length + 1 : argv[i + 1];
        *argc -= words;
        for (int at = i; at < *argc; at++)
            argv[at] = argv[at + words];
        argv[*argc] = NULL;
        return value;
    }
    return NULL;
}

// Removes the option. Main has refused several of one that takes one value.
static const char *take_option(const struct opt *row, int *argc, char **argv)
{
    const char *last = NULL, *value;
    while ((value = take_first(row, argc, argv)))
        last = value;
    return last;
}

static int load_pools(struct own_pools *pools, int *argc, char **argv, struct err *err)
{
    const char *path;
    own_pools_open(pools);
    while ((path = take_first(&table[ROW_POOL], argc, argv))) {
        int code = own_pools_load(pools, path, err);
        if (code < 0)
            return err_prefix(err, code, "--pool");
    }
    return 0;
}

// True when the option is present and valid; `code` is set when it is invalid.
static bool take_number(const struct opt *row, int *argc, char **argv, double *number, int *code,
                        struct err *err)
{
    const char *value = take_option(row, argc, argv);
    if (!value || *code < 0)
        return false;
    char *end;
    *number = strtod(value, &end);
    if (end == value || *end || !(*number >= row->low && *number <= row->high))
        *code = err_set(err, -EINVAL, "--%s: '%s': it takes a number from %g to %g", row->name, value,
                        row->low, row->high);
    return *code == 0;
}

// `heap_shift`: memory to be kept and freed at the end. The position of objects in pages and cache sets
// changes results by some per cent, and the start of the heap depends on the length of each argument. So two
// runs that differ only in such a length would differ in position every time. A caller of many runs
// therefore starts the heap at another place in each (after Curtsinger and Berger, "Stabilizer", 2013). This
// moves heaps that grow in one direction, as glibc's does.
static int read_options(int *argc, char **argv, void **heap_shift, struct err *err)
{
    double number;
    int code = 0;
    if (take_number(&table[ROW_STEP], argc, argv, &number, &code, err))
        speed_set_step_ns(number);
    if (take_number(&table[ROW_PATIENCE], argc, argv, &number, &code, err))
        speed_set_patience_ns((int64_t)(number * (double)NS_PER_MS));
    if (take_number(&table[ROW_SHIFT], argc, argv, &number, &code, err))
        *heap_shift = malloc((size_t)number + 1);
    return code;
}

static int run(const struct own_pools *pools, int argc, char **argv)
{
    struct err err = {0};
    struct gb_suite *suite = NULL;
    struct bench_case *cases = NULL;
    struct gb_outcome outcome = {0};
    struct sleeper sleeper;
    void *heap_shift = NULL;
    const char *trace = take_option(&table[ROW_TRACE], &argc, argv);
    int code = read_options(&argc, argv, &heap_shift, &err);
    if (code == 0)
        code = gb_suite_new(&suite);
    if (code == 0)
        code = workloads_register(suite, pools->strategies, trace, &cases, &err);
    if (code < 0)
        goto done;
    code = sleeper_start(&sleeper);
    if (code < 0)
        goto done;
    add_context(pools);
    code = gb_run(suite, &argc, argv, &outcome, &err);
    sleeper_stop(&sleeper);
done:
    gb_suite_free(suite);
    free(cases);
    free(heap_shift);
    if (code < 0) {
        fprintf(stderr, "poolmark-bench: %s\n", err.text[0] ? err.text : strerror(-code));
        return code == -EINVAL ? EXIT_USAGE : EXIT_FAILED;
    }
    if (outcome.failed > 0)
        fprintf(stderr, "poolmark-bench: %lld of %lld benchmarks gave no figure\n", (long long)outcome.failed,
                (long long)outcome.run);
    return outcome.failed > 0 ? EXIT_FAILED : EXIT_OK;
}

int main(int argc, char **argv)
{
    struct own_pools pools;
    struct err err = {.text = ""};
    if (load_pools(&pools, &argc, argv, &err) < 0 || gb_flags_refuse_second(argc, argv, &err) < 0) {
        fprintf(stderr, "poolmark-bench: %s\n", err.text);
        return EXIT_USAGE;
    }
    const char *checked = take_option(&table[ROW_CHECK], &argc, argv);
    if (checked)
        return own_pools_check(checked, stdout);
    for (int i = 1; i < argc; i++) {
        if (strcmp(argv[i], "--poolmark_list_workloads") == 0) {
            return print_workloads();
        }
        if (strcmp(argv[i], "--describe") == 0)
            return print_description(&pools);
        if (strcmp(argv[i], "--poolmark_probe") == 0)
            return print_probe();
        if (strcmp(argv[i], "--version") == 0) {
            build_print_version("poolmark-bench");
            return EXIT_OK;
        }
        // The library then prints its own help and exits.
        if (strcmp(argv[i], "--help") == 0 || strcmp(argv[i], "-h") == 0) {
            print_help();
            return run(&pools, 2, (char *[]){argv[0], "--help", NULL});
        }
    }
    return run(&pools, argc, argv);
}
