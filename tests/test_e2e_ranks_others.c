// SPDX-License-Identifier: Apache-2.0
// Others at the target of a run over three ranks on this host: connections are counted, and what cannot be seen is said.
#include "base/clock.h"
#include "tests/load_run.h"
#include "tests/many_clients.h"
#include "tests/ranks_run.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

enum { RANKS = 3, CLIENTS = 90 };

static const char *anomaly(const struct load_run *load, const char *what)
{
    size_t i;
    json_t *one;
    json_array_foreach(json_object_get(load->json, "anomalies"), i, one)
    {
        if (strcmp(json_string_value(json_object_get(one, "what")), what) == 0)
            return json_string_value(json_object_get(one, "text"));
    }
    return "";
}

// A churn over all ranks, with so many clients of others that come meanwhile and stay.
static void churn_beside(struct load_run *load, struct process *broker, int others)
{
    struct many_clients strangers;
    struct ranks_run run;
    char pid[16];
    snprintf(pid, sizeof pid, "%d", (int)process_pid(broker));
    load_run_prepare(load, process_port(broker), "churn", "raw");
    load_run_add(load, "--connections", "90", "--churn-rate", "90", "--away", "10ms", "--duration", "500ms",
                 "--settle", "200ms", "--watch-pid", pid, "--quiet", NULL);
    ranks_run_start(&run, RANKS, load->arguments);
    process_await_connections(broker, CLIENTS);
    if (others > 0)
        many_clients_connect(&strangers, process_port(broker), others, 8, "other");
    assert_int_equal(ranks_run_wait(&run), 0);
    if (others > 0)
        many_clients_close(&strangers);
    load_run_read(load);
    assert_string_equal(load_run_status(load), "complete");
}

static const json_t *cost_of(const struct load_run *load)
{
    return json_object_get(json_object_get(json_object_get(load->json, "metrics"), "cpu.per_arrival_ns"),
                           "value");
}

static void clients_of_other_ranks_are_no_strangers_and_what_is_not_seen_is_said(void **state)
{
    (void)state;
    struct process *broker = process_start_broker(NULL, NULL);
    struct load_run load;
    churn_beside(&load, broker, 0);
    assert_string_equal(anomaly(&load, "other_clients"), "");
    assert_non_null(
        strstr(anomaly(&load, "others_unseen"), "sockets of the clients of other ranks look like theirs"));
    assert_true(json_is_real(cost_of(&load)));
    load_run_finish(&load);
    assert_int_equal(process_stop(broker), 0);
}

static void many_clients_of_others_are_noticed_over_ranks_too(void **state)
{
    (void)state;
    struct process *broker = process_start_broker(NULL, NULL);
    struct load_run load;
    churn_beside(&load, broker, 60);
    assert_non_null(strstr(anomaly(&load, "other_clients"), "have no figure for an act"));
    assert_true(json_is_null(cost_of(&load)));
    load_run_finish(&load);
    assert_int_equal(process_stop(broker), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(clients_of_other_ranks_are_no_strangers_and_what_is_not_seen_is_said),
        cmocka_unit_test(many_clients_of_others_are_noticed_over_ranks_too),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
