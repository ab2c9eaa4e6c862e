// SPDX-License-Identifier: Apache-2.0
// Every allocation and every system call of the broker, and of the generator's engine raw, fails once: for each setting, call and error,
// the n-th call, for every n that a life reaches (`make faults`).
//
//     faults                         all
//     faults --setting broker        one program, or one of the settings in case.c
//     faults --every 10              each tenth n, another offset for each call
//     faults --setting lean --call accept4 --error EMFILE --nth 3       one case again
//     faults --jobs 4                processes (by default as many as there are processors)
//
// Prints for each call how many are in a life and how often it failed. The last line is the count: "N passed, N failed".
#include "tests/faults/case.h"

#include <errno.h>
#include <inttypes.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

enum { SERIES_MAX = 4000, JOBS_MAX = 64, TOLD_MOST = 40, UNREACHED = 3 };

// One setting, call and error; n counts up until it is not reached.
struct series {
    int setting, call, error;
    int64_t calls; // in an undisturbed life
    _Atomic int64_t failed, refused, wrong;
};

// Shared by the processes of the test.
struct work {
    int count;
    atomic_int next, told;
    int descriptors[16]; // of an undisturbed broker, by setting
    struct series series[SERIES_MAX];
};

struct options {
    const char *setting, *call, *error;
    int64_t every, nth;
    int jobs;
};

static void tell(struct work *work, const struct setting *setting, const struct fault *fault,
                 const struct verdict *verdict)
{
    if (atomic_fetch_add(&work->told, 1) >= TOLD_MOST)
        return;
    const char *name = fault->call == FAULT_NONE ? "none" : fault_kind(fault->call)->name;
    printf("failed: faults --setting %s --call %s --error %s --nth %" PRId64 "\n     %s\n", setting->name,
           name, fault->call == FAULT_NONE ? "none" : fault_error_name(fault->call, fault->error), fault->nth,
           verdict->wrong);
    fflush(stdout);
}

// false: the call was not made so often.
static bool run_one(struct work *work, struct series *series, int64_t nth)
{
    struct verdict verdict;
    struct fault fault = {series->call, nth, series->error};
    case_run(&settings[series->setting], &fault, &work->descriptors[series->setting], &verdict);
    atomic_fetch_add(&series->failed, verdict.was_hit);
    atomic_fetch_add(&series->refused, verdict.was_refused);
    if (!verdict.is_well) {
        atomic_fetch_add(&series->wrong, 1);
        tell(work, &settings[series->setting], &fault, &verdict);
    }
    return verdict.was_hit;
}

// The number of calls differs a little from life to life, so a few that are not reached end a series.
static void run_series(struct work *work, struct series *series, int64_t number,
                       const struct options *options)
{
    int unreached = 0;
    if (options->nth > 0) {
        run_one(work, series, options->nth);
        return;
    }
    for (int64_t nth = 1 + number % options->every; unreached < UNREACHED; nth += options->every) {
        bool was_reached = run_one(work, series, nth);
        unreached = was_reached ? 0 : nth > series->calls ? UNREACHED : unreached + 1;
    }
}

static void run_job(struct work *work, const struct options *options)
{
    fault_open(); // its own counts
    for (;;) {
        int number = atomic_fetch_add(&work->next, 1);
        if (number >= work->count)
            break;
        run_series(work, &work->series[number], number, options);
    }
    case_end();
}

static void add_series(struct work *work, int setting, int call, const struct options *options)
{
    const struct fault_kind *kind = fault_kind(call);
#ifdef POOLMARK_CHECK
    if (call == FAULT_calloc)
        return; // the notes of pool_check.c, without which a checked build ends
#endif
    if (fault_count(call) == 0 || (options->call && strcmp(options->call, kind->name) != 0))
        return;
    for (const int *error = kind->errors; *error; error++) {
        if (options->error && strcmp(options->error, fault_error_name(call, *error)) != 0)
            continue;
        if (work->count < SERIES_MAX)
            work->series[work->count++] = (struct series){
                .setting = setting, .call = call, .error = *error, .calls = fault_count(call)};
    }
}

// By its name, or by that of its program.
static bool is_wanted(const struct setting *setting, const char *name)
{
    return !name || strcmp(name, setting->name) == 0 ||
           strcmp(name, setting->is_load ? "generator" : "broker") == 0;
}

// An undisturbed life of each setting: which calls are made, and that nothing is wrong without a fault.
static bool plan(struct work *work, const struct options *options)
{
    struct fault none = {.call = FAULT_NONE};
    bool is_well = true;
    for (int setting = 0; setting < setting_count; setting++) {
        if (!is_wanted(&settings[setting], options->setting))
            continue;
        struct verdict verdict;
        case_run(&settings[setting], &none, &work->descriptors[setting], &verdict);
        if (!verdict.is_well)
            tell(work, &settings[setting], &none, &verdict);
        is_well = is_well && verdict.is_well;
        for (int call = 0; call < FAULT_CALL_COUNT; call++)
            add_series(work, setting, call, options);
    }
    case_end();
    return is_well;
}

static bool is_allocation(int call)
{
    return call <= FAULT_mmap;
}

// One line for each setting and call; returns how many cases were wrong.
static int64_t report(const struct work *work)
{
    int64_t allocations = 0, calls = 0, refused = 0, bad = 0;
    printf("%-8s %-16s %8s %8s %8s %6s  errors\n", "setting", "call", "in life", "failed", "no start",
           "wrong");
    for (int i = 0; i < work->count;) {
        const struct series *first = &work->series[i];
        int64_t failed = 0, no_start = 0, is_wrong = 0;
        char errors[200] = "";
        for (; i < work->count && work->series[i].call == first->call &&
               work->series[i].setting == first->setting;
             i++) {
            const struct series *series = &work->series[i];
            size_t used = strlen(errors);
            failed += series->failed;
            no_start += series->refused;
            is_wrong += series->wrong;
            snprintf(errors + used, sizeof errors - used, " %s",
                     fault_error_name(series->call, series->error));
        }
        printf("%-8s %-16s %8" PRId64 " %8" PRId64 " %8" PRId64 " %6" PRId64 " %s\n",
               settings[first->setting].name, fault_kind(first->call)->name, first->calls, failed, no_start,
               is_wrong, errors);
        *(is_allocation(first->call) ? &allocations : &calls) += failed;
        refused += no_start;
        bad += is_wrong;
    }
    printf("%" PRId64 " allocations and %" PRId64 " calls failed; %" PRId64
           " starts refused, each with its reason\n",
           allocations, calls, refused);
    printf("%" PRId64 " passed, %" PRId64 " failed\n",
           allocations + calls > bad ? allocations + calls - bad : 0, bad);
    return bad;
}

static int64_t number_of(const char *option, const char *text, int64_t most)
{
    char *end;
    errno = 0;
    long long number = strtoll(text, &end, 10);
    if (errno || *end || end == text || number < 1 || number > most) {
        fprintf(stderr, "faults: %s %s: a number from 1 to %" PRId64 " is wanted\n", option, text, most);
        exit(2);
    }
    return number;
}

static void parse(struct options *options, int argc, char **argv)
{
    for (int i = 1; i < argc; i += 2) {
        const char *name = argv[i], *value = i + 1 < argc ? argv[i + 1] : "";
        if (strcmp(name, "--every") == 0)
            options->every = number_of(name, value, 1000000);
        else if (strcmp(name, "--nth") == 0)
            options->nth = number_of(name, value, INT64_MAX);
        else if (strcmp(name, "--jobs") == 0)
            options->jobs = (int)number_of(name, value, JOBS_MAX);
        else if (strcmp(name, "--setting") == 0 && *value)
            options->setting = value;
        else if (strcmp(name, "--call") == 0 && *value)
            options->call = value;
        else if (strcmp(name, "--error") == 0 && *value)
            options->error = value;
        else {
            fprintf(stderr,
                    "faults: '%s %s' is none of --every N, --nth N, --jobs N, --setting NAME, "
                    "--call NAME, --error NAME\n",
                    name, value);
            exit(2);
        }
    }
}

int main(int argc, char **argv)
{
    int cores = (int)sysconf(_SC_NPROCESSORS_ONLN);
    struct options options = {.every = 1, .jobs = cores < 1 ? 1 : cores > JOBS_MAX ? JOBS_MAX : cores};
    parse(&options, argc, argv);
    struct work *work = mmap(NULL, sizeof *work, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (work == MAP_FAILED) {
        perror("faults: mmap");
        return 1;
    }
    fault_open();
    bool is_well = plan(work, &options);
    if (work->count == 0) {
        fprintf(stderr, "faults: no such call is made: --setting, --call or --error names none\n");
        return 2;
    }
    fflush(NULL);
    for (int i = 0; i < options.jobs; i++) {
        pid_t job = fork();
        if (job == 0) {
            run_job(work, &options);
            fflush(NULL);
            _exit(0);
        }
        if (job < 0) {
            perror("faults: fork");
            return 1;
        }
    }
    int status;
    while (wait(&status) > 0)
        is_well = is_well && status == 0;
    int64_t bad = report(work);
    return is_well && bad == 0 ? 0 : 1;
}
