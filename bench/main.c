// SPDX-License-Identifier: Apache-2.0
// poolmark-bench: every workload over every strategy, on Google Benchmark. Its flags are the library's; the
// context of its reports says which allocator was really loaded and what the program was built from.
#include "base/build.h"
#include "base/clock.h"
#include "base/describe.h"
#include "base/heap.h"
#include "bench/catalogue.h"
#include "bench/gbench.h"
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
#define STEP_NS_MIN 1e-3
#define STEP_NS_MAX 1e3
#define PATIENCE_MS_MAX 1e6

#define SHIFT_MAX 65536

// glibc (and not it alone) takes short cuts in a process that never had a second thread, which no server is.
// So there is one, asleep, as long as benchmarks run.
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

extern char **environ;

// The variables that an allocator listens to, as "NAME=VALUE NAME=VALUE" in the order of their names: they
// are configuration. The same beginnings of names as in scripts/python/poolmark/facts/allocators.py.
static bool is_of_allocator(const char *variable)
{
    static const char *const beginnings[] = {
        "GLIBC_TUNABLES", "MALLOC_",    "_RJEM_MALLOC_CONF", "JE_MALLOC_CONF", "JEMALLOC_",
        "TCMALLOC_",      "MIMALLOC_",  "HEAPPROFILE",       "HEAP_PROFILE_",  "HEAPCHECK",
        "HEAP_CHECK_",    "PERFTOOLS_", "SCUDO_OPTIONS",     "SNMALLOC_"};
    const char *value = strchr(variable, '=');
    for (size_t i = 0; i < sizeof beginnings / sizeof beginnings[0]; i++) {
        if (strncasecmp(variable, beginnings[i], strlen(beginnings[i])) == 0)
            return value && value[1];
    }
    return false;
}

static int by_text(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

static void add_allocator_environment(void)
{
    char *found[32], text[2048] = "";
    size_t count = 0, used = 0;
    for (char **variable = environ; *variable && count < sizeof found / sizeof found[0]; variable++) {
        if (is_of_allocator(*variable))
            found[count++] = *variable;
    }
    qsort(found, count, sizeof found[0], by_text);
    for (size_t i = 0; i < count && used < sizeof text - 1; i++)
        used += (size_t)snprintf(text + used, sizeof text - used, "%s%s", i ? " " : "", found[i]);
    gb_add_context("allocator_environment", text);
}

static void add_context(void)
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
    add_allocator_environment();
}

static void print_help(void)
{
    printf("usage: poolmark-bench [--poolmark_list_workloads] [--poolmark_trace=FILE]\n"
           "                      [--poolmark_step_ns=NS] [--poolmark_patience_ms=MS] [--poolmark_probe]\n"
           "                      [--poolmark_heap_shift=BYTES] [--describe] [--version]\n"
           "                      [Google Benchmark's flags]\n"
           "Benchmarks are named WORKLOAD/CONTENDER/BYTES[/threads:N]; --benchmark_filter=RE picks some,\n"
           "--benchmark_list_tests lists them. `grow` writes what each get cost to FILE. Run under\n"
           "LD_PRELOAD to measure another allocator.\n"
           "What counts is what ran at the processor's full speed (docs/benchmarks.md): by the fastest that\n"
           "the process sees, or by NS, what one addition takes, as --poolmark_probe measures it. It waits\n"
           "for full speed, MS milliseconds in all (200). --poolmark_heap_shift has the heap begin BYTES "
           "later.\n"
           "Google Benchmark's flags:\n");
    fflush(stdout);
}

static int print_workloads(void)
{
    const struct workload *row;
    for (size_t i = 0; (row = workload_at(i)); i++)
        printf("%-26s %s\n", row->name, row->summary);
    return EXIT_OK;
}

static int print_description(void)
{
    json_t *root = describe_new("poolmark-bench", NULL, bench_catalogue), *list = json_array();
    const struct workload *row;
    for (size_t i = 0; (row = workload_at(i)); i++)
        json_array_append_new(list, json_pack("{s:s,s:s}", "name", row->name, "summary", row->summary));
    json_object_set_new(root, "workloads", list);
    return describe_print(root);
}

static int print_probe(void)
{
    speed_learn(PROBE_NS);
    printf("%.6f\n", speed_step_ns());
    return EXIT_OK;
}

// Takes the flag (with its '=') out of the arguments, the last one counts; NULL when it is not there.
static const char *take_flag(const char *flag, int *argc, char **argv)
{
    const char *value = NULL;
    size_t length = strlen(flag);
    int kept = 0;
    for (int i = 0; i < *argc; i++) {
        if (strncmp(argv[i], flag, length) == 0)
            value = argv[i] + length;
        else
            argv[kept++] = argv[i];
    }
    argv[kept] = NULL;
    *argc = kept;
    return value;
}

// `value` of the flag: a number from `least` to below `most`. True when it is there and good; `code` says so
// when it is not.
static bool read_number(const char *flag, const char *value, double least, double most, double *number,
                        int *code, struct err *err)
{
    if (!value || *code < 0)
        return false;
    char *end;
    *number = strtod(value, &end);
    if (end == value || *end || !(*number >= least && *number < most))
        *code =
            err_set(err, -EINVAL, "%s'%s': it takes a number from %g to below %g", flag, value, least, most);
    return *code == 0;
}

// `heap_shift`: memory to be kept and freed at the end. Where objects lie in their pages and cache sets is
// worth some per cent, and the heap begins differently for each length of each argument: two runs that differ
// in nothing else would differ in that, each time. So who makes many runs has the heap begin at another place
// in each (after Curtsinger and Berger, "Stabilizer", 2013). Moves the heaps that grow in one direction, as
// glibc's does.
static int read_flags(int *argc, char **argv, void **heap_shift, struct err *err)
{
    static const char step_flag[] = "--poolmark_step_ns=", patience_flag[] = "--poolmark_patience_ms=",
                      shift_flag[] = "--poolmark_heap_shift=";
    const char *step = take_flag(step_flag, argc, argv), *patience = take_flag(patience_flag, argc, argv);
    const char *shift = take_flag(shift_flag, argc, argv);
    double number;
    int code = 0;
    if (read_number(step_flag, step, STEP_NS_MIN, STEP_NS_MAX, &number, &code, err))
        speed_set_step_ns(number);
    if (read_number(patience_flag, patience, 0, PATIENCE_MS_MAX, &number, &code, err))
        speed_set_patience_ns((int64_t)(number * (double)NS_PER_MS));
    if (read_number(shift_flag, shift, 0, SHIFT_MAX, &number, &code, err))
        *heap_shift = malloc((size_t)number + 1);
    return code;
}

static int run(int argc, char **argv)
{
    const char *trace = take_flag("--poolmark_trace=", &argc, argv);
    struct err err = {0};
    struct gb_suite *suite = NULL;
    struct bench_case *cases = NULL;
    struct gb_outcome outcome = {0};
    struct sleeper sleeper;
    void *heap_shift = NULL;
    int code = read_flags(&argc, argv, &heap_shift, &err);
    if (code == 0)
        code = gb_suite_new(&suite);
    if (code == 0)
        code = workloads_register(suite, trace, &cases, &err);
    if (code < 0)
        goto done;
    code = sleeper_start(&sleeper);
    if (code < 0)
        goto done;
    add_context();
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
    for (int i = 1; i < argc; i++) {
        if (strcmp(argv[i], "--poolmark_list_workloads") == 0) {
            return print_workloads();
        }
        if (strcmp(argv[i], "--describe") == 0)
            return print_description();
        if (strcmp(argv[i], "--poolmark_probe") == 0)
            return print_probe();
        if (strcmp(argv[i], "--version") == 0) {
            const struct build_facts *facts = build_facts();
            printf("poolmark-bench %s (%s%s)\n", facts->version, facts->commit,
                   facts->dirty > 0 ? ", changed" : "");
            return EXIT_OK;
        }
        if (strcmp(argv[i], "--help") == 0)
            print_help(); // the library prints its own after it, and exits
    }
    return run(argc, argv);
}
