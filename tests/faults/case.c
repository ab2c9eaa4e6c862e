// SPDX-License-Identifier: Apache-2.0
#include "tests/faults/case.h"

#include "base/clock.h"
#include "base/err.h"
#include "tests/faults/life.h"
#include "tests/faults/load_case.h"
#include "tests/faults/subject.h"
#include "tests/faults/told.h"

#include <inttypes.h>
#include <jansson.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

int broker_main(int argc, char **argv); // broker/main.c

const struct setting settings[] = {
    {.name = "lean", .options = {"--threads", "1"}},
    {.name = "small",
     .options = {"--shape", "object=512,read=256,write=256,arena=512,eager", "--pool", "sync", "--pressure",
                 "bound=1"}},
    {.name = "grows",
     .options = {"--shape", "classic", "--pool", "expand", "--initial", "2", "--expand", "inline"}},
    {.name = "slab", .options = {"--shape", "classic-lazy", "--pool", "slab", "--initial", "2"}},
    {.name = "blocks", .options = {"--pool", "blocks", "--initial", "2"}},
    {.name = "loops",
     .options = {"--threads", "2", "--pool", "expand", "--initial", "2", "--max-connections-per-address",
                 "100"}},
    {.name = "state", .options = {"--threads", "2", "--state-sync", "normal"}, .has_state = true},
    {.name = "record", .options = {"--threads", "1"}, .has_record = true},
    {.name = "connect",
     .options = {"connect", "--connections", "3", "--subscribe", "--settle", "0"},
     .is_load = true},
    {.name = "publish",
     .options = {"publish", "--pairs", "1", "--publish-rate", "100", "--duration", "20ms", "--warmup", "0",
                 "--drain", "1s", "--qos", "2"},
     .is_load = true},
};
const int setting_count = sizeof settings / sizeof settings[0];

void verdict_fail(struct verdict *verdict, const char *format, ...)
{
    va_list rest;
    va_start(rest, format);
    if (verdict->is_well)
        vsnprintf(verdict->wrong, sizeof verdict->wrong, format, rest);
    va_end(rest);
    verdict->is_well = false;
}

// --- the record's folder -----------------------------------------------------------------------------------

static void name_folder(char path[static 64])
{
    snprintf(path, 64, "/tmp/poolmark-faults-%d", (int)getpid());
}

static void remove_record(const char *folder)
{
    static const char *const names[] = {"run.json",  "run.json.new", "run.json.sha256",
                                        "pools.csv", "events.csv",   "account.csv"};
    char path[128];
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        snprintf(path, sizeof path, "%s/%s", folder, names[i]);
        unlink(path);
    }
    rmdir(folder);
}

static void remove_state(const char *file)
{
    static const char *const ends[] = {"", "-wal", "-journal"};
    char path[128];
    for (size_t i = 0; i < sizeof ends / sizeof ends[0]; i++) {
        snprintf(path, sizeof path, "%s%s", file, ends[i]);
        unlink(path);
    }
}

// What a broker that ended with 0 has written is whole.
static void check_record(const char *folder, struct verdict *verdict)
{
    char path[128];
    snprintf(path, sizeof path, "%s/run.json", folder);
    json_t *record = json_load_file(path, 0, NULL);
    const char *status = json_string_value(json_object_get(record, "status"));
    if (!status || strcmp(status, "complete") != 0)
        verdict_fail(verdict, "exit 0, and the record's status is %s", status ? status : "not there");
    json_decref(record);
}

// --- while it serves ---------------------------------------------------------------------------------------

static int64_t dropped(void *context)
{
    struct told told;
    return told_read(context, &told) ? told.dropped : -1;
}

// All have left: the broker notices within a few turns, or after its next tick.
static void check_rest(struct subject *subject, int *descriptors, struct verdict *verdict)
{
    int64_t deadline_ns = clock_now_ns() + SUBJECT_GUARD_S * NS_PER_S;
    struct told told;
    for (;;) {
        bool is_told = told_read(subject, &told);
        int open = subject_descriptors(subject);
        if (is_told && told_is_empty(&told) && *descriptors == 0)
            *descriptors = open;
        if (is_told && told_is_empty(&told) && open == *descriptors)
            return;
        if (!is_told || clock_now_ns() > deadline_ns) {
            verdict_fail(verdict,
                         "when all have left: %" PRId64 " connections, %" PRId64 " sessions, %" PRId64
                         " subscriptions, %" PRId64 " retained, %" PRId64 " objects in use, %" PRId64
                         " bytes in the account; %d descriptors instead of %d",
                         told.connections, told.sessions, told.subscriptions, told.retained, told.in_use,
                         told.accounts, open, *descriptors);
            return;
        }
        clock_sleep_until_ns(clock_now_ns() + NS_PER_MS);
    }
}

static void serve(struct subject *subject, int *descriptors, struct verdict *verdict)
{
    char text[LIFE_WRONG_BYTES];
    if (!life_play(subject->port, dropped, subject, text)) {
        verdict_fail(verdict, "%s", text);
        return;
    }
    if (fault_was_hit() && !life_of_later(subject->port, text))
        verdict_fail(verdict, "%s", text);
    if (verdict->is_well)
        check_rest(subject, descriptors, verdict);
}

// --- its end -----------------------------------------------------------------------------------------------

static bool says(const char *said, const char *word)
{
    return strstr(said, "poolmark-broker: ") && strstr(said, word);
}

static void check_end(struct subject *subject, bool was_ready, const struct fault *fault, int code,
                      struct verdict *verdict)
{
    const char *said = subject_errors(subject);
    bool is_failure = code == EXIT_FAILED || code == EXIT_USAGE;
    if (code == SUBJECT_HUNG)
        verdict_fail(verdict, "it does not end");
    else if (fault_has_crashed())
        verdict_fail(verdict, "it crashed");
    else if (strstr(said, "Sanitizer") || strstr(said, "runtime error"))
        verdict_fail(verdict, "a sanitizer's finding");
    else if (code != 0 && !is_failure)
        verdict_fail(verdict, "ended with %d", code);
    else if (!was_ready && (!is_failure || !verdict->was_hit))
        verdict_fail(verdict, "did not start, and ended with %d", code);
    else if (!was_ready && !says(said, fault_kind(fault->call)->word) &&
             !says(said, fault_kind(fault->call)->name))
        verdict_fail(verdict, "did not start, and does not say that it was \"%s\"",
                     fault_kind(fault->call)->word);
    else if (was_ready && is_failure &&
             !(verdict->was_hit && (says(said, "cannot ") || says(said, "lacks") || says(said, "not whole"))))
        verdict_fail(verdict, "ended with %d and does not say why", code);
    else
        verdict->was_refused = !was_ready;
    if (!verdict->is_well) {
        size_t used = strlen(verdict->wrong);
        snprintf(verdict->wrong + used, sizeof verdict->wrong - used, "; on stderr: %.1500s", said);
    }
}

static void run_broker(const struct setting *setting, const struct fault *fault, int *descriptors,
                       struct verdict *verdict)
{
    static struct subject subject;
    char folder[64];
    const char *argv[SETTINGS_MAX + 8] = {"poolmark-broker", "--listen", "127.0.0.1:0"};
    int argc = 3;
    for (int i = 0; setting->options[i]; i++)
        argv[argc++] = setting->options[i];
    name_folder(folder);
    if (setting->has_record) {
        argv[argc++] = "--record";
        argv[argc++] = folder;
    }
    if (setting->has_state) {
        argv[argc++] = "--state";
        argv[argc++] = folder; // a file of this name
    }
    fault_arm(fault);
    subject_start(&subject, broker_main, (char **)(uintptr_t)argv, true);
    bool is_ready = subject_line(&subject, "ready") != NULL;
    if (is_ready) {
        serve(&subject, descriptors, verdict);
        subject_signal(&subject, SIGTERM);
    }
    int code = subject_wait(&subject);
    verdict->was_hit = fault_was_hit();
    check_end(&subject, is_ready, fault, code, verdict);
    if (setting->has_record && is_ready && code == 0)
        check_record(folder, verdict);
    if (setting->has_record)
        remove_record(folder);
    if (setting->has_state)
        remove_state(folder);
}

void case_run(const struct setting *setting, const struct fault *fault, int *descriptors,
              struct verdict *verdict)
{
    *verdict = (struct verdict){.is_well = true};
    if (setting->is_load)
        load_case_run(setting, fault, verdict);
    else
        run_broker(setting, fault, descriptors, verdict);
}

void case_end(void)
{
    load_case_end();
}
