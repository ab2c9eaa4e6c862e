// SPDX-License-Identifier: Apache-2.0
#include "tests/faults/load_case.h"

#include "base/clock.h"
#include "tests/faults/subject.h"
#include "tests/faults/told.h"

#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int broker_main(int argc, char **argv);  // broker/main.c
int loadgen_main(int argc, char **argv); // loadgen/main.c

// The broker that nothing fails in: one for all cases of a process.
static struct subject broker;
static bool has_broker;

static void need_broker(void)
{
    static const char *const argv[] = {"poolmark-broker", "--listen", "127.0.0.1:0", NULL};
    if (has_broker)
        return;
    subject_start(&broker, broker_main, (char **)(uintptr_t)argv, false);
    has_broker = subject_line(&broker, "ready") != NULL;
    if (!has_broker) {
        fprintf(stderr, "faults: the broker for the generator does not start: %s\n", subject_errors(&broker));
        exit(1);
    }
}

void load_case_end(void)
{
    if (!has_broker)
        return;
    subject_signal(&broker, SIGTERM);
    (void)subject_wait(&broker);
    has_broker = false;
}

static void check_end(struct subject *subject, int code, struct verdict *verdict)
{
    const char *said = subject_errors(subject);
    if (code == SUBJECT_HUNG)
        verdict_fail(verdict, "it does not end");
    else if (fault_has_crashed())
        verdict_fail(verdict, "a process of it crashed");
    else if (strstr(said, "Sanitizer") || strstr(said, "runtime error"))
        verdict_fail(verdict, "a sanitizer's finding");
    else if (code < 0 || code > 2)
        verdict_fail(verdict, "ended with %d", code);
    else if (code != 0 && !verdict->was_hit)
        verdict_fail(verdict, "ended with %d, and nothing failed", code);
    else if (code != 0 && said[0] == '\0')
        verdict_fail(verdict, "ended with %d, without a reason", code);
    verdict->was_refused = code == 2;
    if (!verdict->is_well) {
        size_t used = strlen(verdict->wrong);
        snprintf(verdict->wrong + used, sizeof verdict->wrong - used, "; on stderr: %.1500s", said);
    }
}

static void check_rest(struct verdict *verdict)
{
    int64_t deadline_ns = clock_now_ns() + SUBJECT_GUARD_S * NS_PER_S;
    struct told told;
    while (told_read(&broker, &told) && told.connections > 0) {
        if (clock_now_ns() > deadline_ns) {
            verdict_fail(verdict, "%" PRId64 " connections are left", told.connections);
            return;
        }
        clock_sleep_until_ns(clock_now_ns() + NS_PER_MS);
    }
}

void load_case_run(const struct setting *setting, const struct fault *fault, struct verdict *verdict)
{
    static struct subject subject;
    char target[64];
    const char *argv[SETTINGS_MAX + 12] = {"poolmark-loadgen"};
    int argc = 1;
    need_broker();
    for (int i = 0; setting->options[i]; i++)
        argv[argc++] = setting->options[i];
    snprintf(target, sizeof target, "mqtt://127.0.0.1:%u", broker.port);
    const char *const common[] = {"--engine", "raw", "--target", target, "--workers", "1", "--timeout", "1s"};
    for (size_t i = 0; i < sizeof common / sizeof common[0]; i++)
        argv[argc++] = common[i];
    fault_arm(fault);
    subject_start(&subject, loadgen_main, (char **)(uintptr_t)argv, true);
    while (subject_line(&subject, ""))
        ;
    int code = subject_wait(&subject);
    verdict->was_hit = fault_was_hit();
    check_end(&subject, code, verdict);
    check_rest(verdict);
}
