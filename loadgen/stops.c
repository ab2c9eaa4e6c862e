// SPDX-License-Identifier: Apache-2.0
#include "loadgen/stops.h"

#include "base/clock.h"
#include "base/text_file.h"

#include <dirent.h>
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define LOOK_EVERY_NS (100 * NS_PER_MS)
#define LIST_EVERY_NS NS_PER_S // of its threads

static const struct {
    const char *name, *words, *effect, *mend;
} kinds[STOP_KINDS] = {
    [STOP_STOPPED] = {"stopped", "was stopped (SIGSTOP or another signal that stops, state T)",
                      "It did no work meanwhile", "kill -CONT resumes it"},
    [STOP_HELD] = {"held", "was held by a debugger (ptrace, state t)", "It did no work meanwhile",
                   "let the debugger continue it, or detach"},
    [STOP_FROZEN] = {"frozen", "was frozen (freezer of its control group, as by docker pause)",
                     "It did no work meanwhile", "docker unpause, or 0 into the group's cgroup.freeze"},
    [STOP_ATTACHED] = {"traced", "ran under a debugger or tracer (ptrace)",
                       "Its system calls and signals may have waited for that", "detach it"},
};

// The letter of the thread's state, '?' when it cannot be read (it has ended, or is hidden), and who traces it (0: nobody).
static char state_of(const char *path, int64_t *tracer)
{
    char text[4096];
    *tracer = 0;
    if (text_file_read(path, text, sizeof text) < 0)
        return '?';
    const char *state = strstr(text, "\nState:\t");
    (void)!text_file_number(text, "TracerPid:", tracer);
    return state ? state[strlen("\nState:\t")] : '?';
}

static void note_tracer(struct stops_of *of, int64_t tracer)
{
    char path[64];
    if (tracer <= 0 || tracer == of->tracer)
        return;
    of->tracer = tracer;
    snprintf(path, sizeof path, "/proc/%" PRId64 "/comm", tracer);
    if (text_file_read(path, of->tracer_name, sizeof of->tracer_name) < 0)
        of->tracer_name[0] = '\0';
    of->tracer_name[strcspn(of->tracer_name, "\n")] = '\0';
    for (char *at = of->tracer_name; *at; at++) // a name may hold anything
        *at = *at >= ' ' && *at <= '~' ? *at : '?';
}

// Lists the process's threads but the first.
static void list_threads(struct stops_of *of, int64_t now_ns)
{
    char path[64];
    of->thread_count = of->turn = 0;
    of->listed_ns = now_ns;
    snprintf(path, sizeof path, "/proc/%" PRId64 "/task", of->pid);
    DIR *folder = opendir(path);
    for (struct dirent *entry; folder && (entry = readdir(folder));) {
        int64_t tid = strtoll(entry->d_name, NULL, 10);
        if (tid <= 0 || tid == of->pid)
            continue;
        if (of->thread_count == of->thread_capacity) {
            int capacity = of->thread_capacity > 0 ? 2 * of->thread_capacity : 16;
            int64_t *more = realloc(of->threads, (size_t)capacity * sizeof *more);
            if (!more)
                break;
            of->threads = more;
            of->thread_capacity = capacity;
        }
        of->threads[of->thread_count++] = tid;
    }
    if (folder)
        closedir(folder);
}

// One more thread at each look, in turn: a debugger may hold one alone, and the first may have ended while others work. One
// that is held is looked at until it is not.
static char state_of_another(struct stops_of *of, int64_t *tracer, int64_t now_ns)
{
    char path[96];
    *tracer = 0;
    if (of->thread == 0 && of->turn >= of->thread_count && now_ns - of->listed_ns >= LIST_EVERY_NS)
        list_threads(of, now_ns);
    if (of->thread == 0 && of->thread_count > 0 && of->turn >= of->thread_count)
        of->turn = 0;
    int64_t tid = of->thread > 0 ? of->thread : of->turn < of->thread_count ? of->threads[of->turn++] : 0;
    of->thread = 0;
    if (tid == 0)
        return '?';
    snprintf(path, sizeof path, "/proc/%" PRId64 "/task/%" PRId64 "/status", of->pid, tid);
    char letter = state_of(path, tracer);
    if (letter == 'T' || letter == 't')
        of->thread = of->seen_thread = tid;
    return letter;
}

static enum stop_kind kind_of(const struct stops *stops, struct stops_of *of, int64_t now_ns)
{
    char path[64];
    int64_t tracer, other = 0;
    snprintf(path, sizeof path, "/proc/%" PRId64 "/status", of->pid);
    char letter = state_of(path, &tracer);
    if (letter == '?')
        return STOP_NONE;
    note_tracer(of, tracer);
    if (letter != 'T' && letter != 't') {
        letter = state_of_another(of, &other, now_ns);
        note_tracer(of, other);
    }
    if (letter == 'T' || letter == 't')
        return letter == 'T' ? STOP_STOPPED : STOP_HELD;
    if (cgroup_is_frozen(stops->freezers, "", (pid_t)of->pid) == 1)
        return STOP_FROZEN;
    return tracer > 0 || other > 0 ? STOP_ATTACHED : STOP_NONE;
}

// The time since the last look is of the state that this look finds. Where that had begun is not known: a long gap counts
// only if the process was so at both of its ends.
static void look_at(struct stops *stops, struct stops_of *of, int64_t now_ns)
{
    enum stop_kind before = of->kind;
    int64_t gap_ns = of->looked_ns > 0 ? now_ns - of->looked_ns : 0;
    of->kind = kind_of(stops, of, now_ns);
    of->looked_ns = now_ns;
    if (before != of->kind && before != STOP_NONE)
        of->stop[before].now_ns = 0;
    if (of->kind == STOP_NONE)
        return;
    struct stop *stop = &of->stop[of->kind];
    if (before != of->kind && gap_ns > LOOK_EVERY_NS)
        gap_ns = LOOK_EVERY_NS;
    stops->seen = true;
    stop->looks++;
    stop->ns += gap_ns;
    stop->now_ns += gap_ns;
    if (stop->now_ns >= stop->longest_ns) {
        stop->longest_ns = stop->now_ns;
        stop->from_ns = now_ns - stops->started_ns - stop->now_ns;
    }
}

void stops_look(struct stops *stops, int64_t now_ns)
{
    if (stops->looks > 0 && now_ns - stops->looked_ns < LOOK_EVERY_NS)
        return;
    stops->looked_ns = now_ns;
    stops->looks++;
    for (int i = 0; i < stops->count; i++)
        look_at(stops, &stops->list[i], now_ns);
}

int stops_open(struct stops *stops, const int64_t *pids, int count, int64_t now_ns)
{
    *stops = (struct stops){.started_ns = now_ns};
    stops->list = calloc((size_t)count + 1, sizeof *stops->list);
    if (!stops->list)
        return -ENOMEM;
    stops->count = count;
    stops->freezers = count > 0 ? cgroup_find_freezers("") : NULL;
    for (int i = 0; i < count; i++)
        stops->list[i] = (struct stops_of){.pid = pids[i], .kind = STOP_NONE};
    stops_look(stops, clock_now_ns());
    return 0;
}

void stops_close(struct stops *stops)
{
    for (int i = 0; i < stops->count; i++)
        free(stops->list[i].threads);
    free(stops->list);
    free(stops->freezers);
    *stops = (struct stops){.count = 0};
}

int64_t stops_ns(const struct stops *stops)
{
    int64_t most_ns = 0;
    for (int i = 0; i < stops->count; i++) {
        int64_t ns = 0;
        for (int kind = 0; kind < STOP_ATTACHED; kind++)
            ns += stops->list[i].stop[kind].ns;
        most_ns = ns > most_ns ? ns : most_ns;
    }
    return most_ns;
}

// --- words -------------------------------------------------------------------------------------------------

// The process that this held longest; NULL: none. `*more` is the number of the others.
static const struct stops_of *longest(const struct stops *stops, enum stop_kind kind, int *more)
{
    const struct stops_of *found = NULL;
    *more = -1;
    for (int i = 0; i < stops->count; i++) {
        const struct stops_of *of = &stops->list[i];
        if (of->stop[kind].looks == 0)
            continue;
        ++*more;
        if (!found || of->stop[kind].ns > found->stop[kind].ns)
            found = of;
    }
    return found;
}

static const char *by_whom(const struct stops_of *of, enum stop_kind kind, char text[static 64])
{
    text[0] = '\0';
    if ((kind == STOP_HELD || kind == STOP_ATTACHED) && of->tracer > 0)
        snprintf(text, 64, ", by process %lld%s%s", (long long)of->tracer, of->tracer_name[0] ? ", " : "",
                 of->tracer_name);
    return text;
}

bool stops_tell(const struct stops *stops, enum stop_kind kind, char *text, size_t size)
{
    int more;
    char others[48] = "", thread[64] = "", tracer[64];
    const struct stops_of *of = longest(stops, kind, &more);
    text[0] = '\0';
    if (!of)
        return false;
    const struct stop *stop = &of->stop[kind];
    if (of->seen_thread > 0 && kind <= STOP_HELD)
        snprintf(thread, sizeof thread, ", seen at its thread %lld, not at its first",
                 (long long)of->seen_thread);
    if (more > 0)
        snprintf(others, sizeof others, ", and %d other%s for no longer", more, more == 1 ? "" : "s");
    snprintf(text, size,
             "the watched process %lld %s%s%s for about %.1f s of the run, as far as sampled: %lld of %lld "
             "looks, one "
             "each 0.1 s, found it so; the longest time was about %.1f s, from %.1f s on%s. %s: latencies, "
             "rates and "
             "losses of that time are not the target's work, and the figures are marked",
             (long long)of->pid, kinds[kind].words, by_whom(of, kind, tracer), thread, (double)stop->ns / 1e9,
             (long long)stop->looks, (long long)stops->looks, (double)stop->longest_ns / 1e9,
             (double)stop->from_ns / 1e9, others, kinds[kind].effect);
    return true;
}

const char *stops_describe(const struct stops *stops, char *text, size_t size)
{
    const struct stops_of *found = NULL;
    enum stop_kind what = STOP_NONE;
    text[0] = '\0';
    for (int kind = 0; kind < STOP_KINDS; kind++) {
        int more;
        const struct stops_of *of = longest(stops, (enum stop_kind)kind, &more);
        // An attached debugger explains least.
        if (of && (!found || (kind != STOP_ATTACHED && of->stop[kind].ns > found->stop[what].ns))) {
            found = of;
            what = (enum stop_kind)kind;
        }
    }
    if (found)
        snprintf(text, size, "the watched process %lld %s for about %.1f s", (long long)found->pid,
                 kinds[what].words, (double)found->stop[what].ns / 1e9);
    return text;
}

const char *stops_now(const struct stops *stops, char *text, size_t size)
{
    char tracer[64];
    text[0] = '\0';
    for (int i = 0; i < stops->count && !text[0]; i++) {
        const struct stops_of *of = &stops->list[i];
        if (of->kind != STOP_NONE)
            snprintf(text, size, "the watched process %lld %s%s already when the run began (%s)",
                     (long long)of->pid, kinds[of->kind].words, by_whom(of, of->kind, tracer),
                     kinds[of->kind].mend);
    }
    return text;
}

json_t *stops_json(const struct stops *stops)
{
    json_t *list = stops->seen ? json_array() : NULL;
    for (int i = 0; list && i < stops->count; i++)
        for (int kind = 0; kind < STOP_KINDS; kind++) {
            const struct stop *stop = &stops->list[i].stop[kind];
            if (stop->looks > 0)
                json_array_append_new(
                    list,
                    json_pack("{s:I,s:s,s:I,s:I,s:I,s:I,s:I}", "pid", (json_int_t)stops->list[i].pid, "kind",
                              kinds[kind].name, "looks", (json_int_t)stop->looks, "of_looks",
                              (json_int_t)stops->looks, "ns", (json_int_t)stop->ns, "longest_ns",
                              (json_int_t)stop->longest_ns, "longest_from_ns", (json_int_t)stop->from_ns));
        }
    return list;
}
