// SPDX-License-Identifier: Apache-2.0
#include "loadgen/program.h"

#include "base/build.h"
#include "base/clock.h"
#include "base/streams.h"
#include "base/time_namespace.h"
#include "base/describe.h"
#include "loadgen/catalogue.h"
#include "loadgen/command_line.h"
#include "loadgen/command_table.h"
#include "loadgen/overview.h"
#include "loadgen/overview_json.h"
#include "loadgen/program_ranks.h"
#include "loadgen/memory_notes.h"
#include "loadgen/ranks_start.h"
#include "loadgen/run_books.h"
#include "loadgen/run_plan.h"
#include "loadgen/run_setup.h"
#include "loadgen/scenario.h"
#include "loadgen/self_latency.h"
#include "loadgen/summary_ceilings.h"
#include "loadgen/summary_ranks.h"
#include "loadgen/summary_surroundings.h"
#include "loadgen/target_settings.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static int complain(const char *program, const struct err *err, int code)
{
    fprintf(stderr, "%s: %s\n", program, err->text);
    return code;
}

// Which ports the clients connect from, and who chooses them.
static json_t *ports_json(const struct plan *plan)
{
    const struct ports *ports = &plan->ports;
    json_t *json = json_pack("{s:s}", "way", ports_way_name(ports->way));
    if (json && ports->way != PORTS_KERNEL)
        json_object_update_missing_new(json, json_pack("{s:I,s:I,s:I,s:I}", "first", (json_int_t)ports->first,
                                                       "count", (json_int_t)ports->count, "start",
                                                       (json_int_t)ports->start, "per_route",
                                                       (json_int_t)plan_per_route(plan)));
    return json;
}

static int all_workers(const struct run *run)
{
    int workers = run->ranks ? 0 : run->plan.workers;
    for (int rank = 0; run->ranks && rank < run->ranks->size; rank++)
        workers += ranks_shares_workers(&run->ranks->shares, rank);
    return workers;
}

static void describe(struct record *record, const struct config *config, const struct run *run,
                     const json_t *of_target)
{
    record_set(record, "seed", json_integer(config->seed));
    record_set(record, "config", command_line_json(config));
    record_set(record, "config.prefix", json_string(config->prefix));
    record_set(record, "config.workers", json_integer(all_workers(run)));
    if (run->ranks)
        record_set(record, "config.ranks", json_integer(run->ranks->size));
    if (run->ranks)
        record_set(record, "config.share", json_string(config->share == DIVISION_FIT ? "fit" : "even"));
    record_set(record, "config.clients_per_worker", json_integer(run->plan.clients_per_worker));
    record_set(record, "config.source_addresses", json_integer(run->plan.source_count));
    record_set(record, "config.ports", ports_json(&run->plan));
    const char *name;
    json_t *value;
    json_object_foreach((json_t *)of_target, name, value)
    {
        char path[64];
        snprintf(path, sizeof path, "host.settings.%s", name);
        record_set(record, path, json_incref(value));
    }
    if (config->engine->library) {
        char path[64];
        snprintf(path, sizeof path, "libraries.%s", config->engine->name);
        record_set(record, path, json_string(config->engine->library()));
    }
}

// --describe: with a scenario also the division of its clients; targets that are given must be found.
static int describe_program(const struct config *config)
{
    json_t *root = command_line_describe(config->program);
    struct err err = {0};
    struct run_plan_told told;
    if (config->scenario) {
        if (run_plan_tell(&told, config, &err) < 0) {
            json_decref(root);
            return complain(config->program, &err, EXIT_USAGE);
        }
        json_object_set_new(root, "plan",
                            json_pack("{s:I,s:i,s:I,s:I,s:I,s:i,s:i}", "clients",
                                      (json_int_t)config->connections, "workers", told.plan.workers,
                                      "clients_per_worker", (json_int_t)told.plan.clients_per_worker,
                                      "connections_per_route", (json_int_t)ports_per_route(&told.plan.ports),
                                      "process_clients", (json_int_t)told.process_clients, "targets",
                                      told.targets, "sources", told.sources));
        json_object_set_new(root, "config", command_line_json(config));
    }
    return describe_print(root);
}

// What a target has to keep to, whatever else it does.
static int64_t breaches(const struct tally *tally)
{
    return tally->count[TALLY_MISDELIVERED] + tally->count[TALLY_DUPLICATES_EXCLUDED] +
           tally->count[TALLY_OUT_OF_ORDER] + tally->count[TALLY_TOPIC_CHANGED] +
           tally->count[TALLY_RETAIN_CHANGED] + tally->count[TALLY_SESSION_UNASKED] +
           tally_other_qos(tally, TALLY_GRANTED_OTHER) + tally_other_qos(tally, TALLY_DELIVERED_OTHER);
}

static int64_t losses(const struct run *run)
{
    const int64_t *count = run->tally.count;
    return tally_failed(&run->tally) + tally_dropped(&run->tally) + tally_away(&run->tally) +
           tally_dropped(&run->probe_tally) + tally_away(&run->probe_tally) + count[TALLY_NOT_SENT] +
           count[TALLY_LOST] + count[TALLY_UNACKED] + count[TALLY_ARRIVAL_NOT_SENT] +
           count[TALLY_ADD_NOT_SENT] + count[TALLY_ADD_FAILED] + count[TALLY_ADD_LOST] +
           count[TALLY_REMOVE_NOT_SENT] + count[TALLY_REMOVE_FAILED] + count[TALLY_REMOVE_LOST] +
           breaches(&run->tally) + breaches(&run->probe_tally);
}

// A run that ended early is incomplete. If no client ever connected, it has failed, unless interrupted.
static const char *status_of(const struct run *run, int open_books)
{
    if (run_is_broken(run))
        return run->tally.count[TALLY_CONNECTED] > 0 || run->interrupted ? "incomplete" : "failed";
    return open_books == 0 ? "complete" : "incomplete";
}

// --hgrm: the percentiles of each latency.
static int write_percentiles(const struct run *run, struct err *err)
{
    int code = 0;
    for (int kind = 0; kind < LATENCY_COUNT && code == 0; kind++) {
        char name[64], path[4096];
        if (hist_count(run->total[kind]) == 0)
            continue;
        snprintf(name, sizeof name, "%s.hgrm", latency_name((enum latency_kind)kind));
        code =
            hist_write_percentiles(run->total[kind], record_path(run->record, name, path, sizeof path), err);
    }
    return code;
}

// Ends the record's files and closes the books. Gives the exit code.
static int conclude(struct run *run, const char **status)
{
    struct err err = {0};
    bool whole = !run->config->hgrm || write_percentiles(run, &err) == 0;
    if (!whole)
        run_anomaly(run, "disk", "%s", err.text);
    run_close_files(run);
    struct books books = {.count = 0};
    run_books(&books, run);
    *status = status_of(run, books_close(&books, run->record));
    if (!whole && strcmp(*status, "complete") == 0)
        *status = "incomplete";
    return losses(run) > 0 || strcmp(*status, "complete") != 0 ? EXIT_FAILED : EXIT_OK;
}

// Settings of the watched processes that are others than at the start. Of those that have ended nothing is known.
static void tell_changes(struct run *run, const json_t *before)
{
    const struct config *config = run->config;
    json_t *was, *now = target_settings(config->watch_pids, config->watch.count);
    const char *name;
    json_object_foreach((json_t *)before, name, was)
    {
        json_t *is = json_object_get(now, name);
        if (json_equal(was, is) || json_is_null(was) || json_is_null(is) || run->targets.ended > 0)
            continue;
        char *old = json_dumps(was, JSON_ENCODE_ANY), *fresh = json_dumps(is, JSON_ENCODE_ANY);
        run_anomaly(
            run, "target_changed",
            "%s (host.settings) of the watched processes was %s at the start of the run and is %s at its "
            "end: figures are of both",
            name, old ? old : "?", fresh ? fresh : "?");
        free(old);
        free(fresh);
    }
    json_decref(now);
}

static int play(struct run *run, const struct config *config, struct record *record, struct summary *summary,
                const char **status, struct err *err)
{
    struct self_latency self = {0};
    int code = config->self_latency ? self_latency_measure(&self, config->engine, err) : 0;
    if (code == 0 && (code = run_open(run, config, record, err)) == 0 &&
        (code = ranks_ready(config->ranks, code, err)) < 0)
        run_close(run);
    if (code < 0)
        return code;
    json_t *of_target = target_settings(config->watch_pids, config->watch.count);
    if (record) {
        describe(record, config, run, of_target);
        code = record_save(record, err);
        if (code < 0) {
            json_decref(of_target);
            run_close(run);
            return code;
        }
    }
    if (config->beside)
        run_anomaly(
            run, "beside",
            "%s loads the target on purpose beside this run: memory, kernel memory and CPU time have no "
            "figure for an act, and other clients were not looked for. Latencies and losses are those of a "
            "target with that load",
            config->beside);
    char stopped[300];
    if (stops_now(&run->stops, stopped, sizeof stopped)[0])
        run_anomaly(run, "target_stopped", "%s: what follows waits for that", stopped);
    config->scenario->play(run, summary);
    program_end_ranks(run);
    run_phase(run, "end"); // collects the last latencies
    views_close(&run->views);
    run_end_targets(run);
    tell_changes(run, of_target);
    json_decref(of_target);
    memory_notes_kept(run);
    summary_add_clients(summary, run);
    summary_add_surroundings(summary, run);
    summary_add_ceilings(summary, run);
    summary_add_ranks(summary, run);
    if (self.messages >= hist_percentile_takes(99)) {
        summary_add(summary, "generator.added_latency_p50", (double)self.p50_ns, "ns", "none");
        summary_add(summary, "generator.added_latency_p99", (double)self.p99_ns, "ns", "none");
    }
    for (int kind = 0; kind < LATENCY_LAG; kind++)
        summary_add_latency(summary, latency_name((enum latency_kind)kind), run->total[kind],
                            run->censored[kind]);
    summary_withhold(summary, run);
    summary_write(summary, record);
    return conclude(run, status);
}

// A scaled scenario of another suite: what it is.
static void tell_open(const struct config *config)
{
    if (config->open && !config->quiet)
        fprintf(stderr, "%s: %s at scale %g: %s\n", config->program, config->open, config->scale,
                config->open_says);
}

struct words { // the command line, and as it was given
    const char *program;
    int argc, given;
    char **argv, **command;
};

// What the command line asks for, other than a run. Only rank 0 answers.
static int answer(int parsed, const struct config *config, const struct ranks *ranks,
                  const struct words *words)
{
    if (ranks && !ranks_lead(ranks))
        return EXIT_OK;
    switch (parsed) {
    case OPTS_HELP:
        command_line_print_help(words->program, words->argc, words->argv, stdout);
        return EXIT_OK;
    case OPTS_DESCRIBE:
        return describe_program(config);
    default:
        build_print_version(words->program);
        return EXIT_OK;
    }
}

// Checks the plan, and opens the record: nothing is opened when this fails, here or on other ranks.
static int begin(struct config *config, struct record **record, int argc, char **command, struct err *err)
{
    struct plan plan;
    // An impossible plan is found before anything is written.
    if (run_plan_check(&plan, config, err) < 0)
        return -EINVAL;
    tell_open(config);
    int code = 0;
    if (config->record_dir && record_open(record, config->record_dir, "load", argc, command, err) < 0)
        code = err_prefix(err, -EINVAL, "--record");
    if (code == 0 && (code = ranks_begin(config->ranks, config, &plan, err)) < 0)
        (void)!record_close(*record, "failed", NULL);
    plan_free(&plan);
    if (code == 0 && *record)
        record_use(*record, loadgen_catalogue, config->scenario->measures);
    return code;
}

static int run_begun(struct config *config, struct record *record)
{
    struct err err = {0};
    struct run run;
    struct summary summary = {.count = 0};
    const char *status = "failed", *program = config->program;
    int code = play(&run, config, record, &summary, &status, &err);
    program_leave_out_lost(config->ranks, record);
    if (code < 0) {
        complain(program, &err, EXIT_FAILED);
        (void)!record_close(record, "failed", NULL);
        return EXIT_FAILED;
    }
    // Close the record before anything is printed, which a reader of stdout may hold up, and before the workers
    // end, which may take the kernel a while.
    struct overview overview = {.run = &run,
                                .summary = &summary,
                                .status = status,
                                .took_ns = clock_now_ns() - run.started_ns,
                                .all = config->all};
    if (record_close(record, status, &err) < 0) {
        code = complain(program, &err, EXIT_FAILED);
        overview.status = "unrecorded";
    }
    run.record = NULL;
    if (config->json)
        json_lines_print(&run.views.lines, overview_json(&overview, run.views.lines.left_out));
    else if (!config->quiet)
        overview_print(&overview, stdout);
    else if (!config->record_dir && code != EXIT_OK)
        fprintf(stderr, "%s: %s: %s\n", program, overview.status,
                run_is_broken(&run)
                    ? run.broken
                    : "clients failed or were dropped, or something was lost; without --quiet "
                      "the summary says what");
    run_close(&run);
    return code;
}

static int run_parsed(struct config *config, const struct words *words, struct ranks *ranks)
{
    struct err err = {0};
    char text[sizeof err.text] = "";
    int in_use;
    int parsed = command_line_parse_ranks(config, ranks ? ranks->size : 1, words->argc, words->argv, &err);
    config->program = words->program;
    if (parsed > OPTS_RUN)
        return answer(parsed, config, ranks, words);
    bool alone = strcmp(words->program, COMMAND_ONE_RANK) == 0;
    if (parsed >= 0 &&
        ((alone && command_line_gave("share", words->argc, words->argv)) || (!ranks && config->only_watch)))
        parsed = err_set(&err, -EINVAL, "--%s: this is one rank; poolmark-loadgen-mpi has several, by mpirun",
                         config->only_watch ? "only-watch" : "share");
    if (parsed < 0)
        snprintf(text, sizeof text, "%s", err.text);
    else if (ranks)
        (void)program_one_rank(config, text, sizeof text);
    struct ranks_asked asked = {.wrong = text[0] ? text : NULL};
    asked.sum = ranks && !asked.wrong ? program_sum(config) : 0;
    if (ranks && ranks_start(ranks, config, &asked, &err) < 0)
        return ranks_lead(ranks) ? complain(words->program, &err, EXIT_USAGE) : EXIT_OK;
    if (parsed < 0)
        return complain(words->program, &err, EXIT_USAGE);
    if (ranks && !ranks_lead(ranks))
        return program_follow(config, &err);
    // The page is opened when the workers are there (live_page.h); what is known before leaves no record.
    if (config->metrics && (in_use = address_is_free(&config->metrics_address)) < 0) {
        char at[ADDRESS_TEXT_BYTES];
        err_set(&err, in_use, "--metrics %s: %s", address_format(&config->metrics_address, at),
                strerror(-in_use));
        ranks_refuse(ranks);
        return complain(words->program, &err, EXIT_FAILED);
    }
    struct record *record = NULL;
    if (begin(config, &record, words->given, words->command, &err) < 0) {
        ranks_refuse(ranks);
        return complain(words->program, &err, EXIT_USAGE);
    }
    return run_begun(config, record);
}

static int run_command(struct words *words, const struct loadgen_relay *relay)
{
    struct config config = {0};
    struct ranks *ranks = NULL;
    struct err err = {0};
    if (relay && relay->fd >= 0 && ranks_open(&ranks, relay->fd, &err) < 0)
        return complain(words->program, &err, EXIT_FAILED);
    if (ranks && !ranks_lead(ranks))
        program_leave_to_leader(&words->argc, words->argv);
    int code = run_parsed(&config, words, ranks);
    command_line_free(&config);
    ranks_close(ranks);
    return code;
}

// Parsing reorders the words, and a rank may have one more.
static char **copy_of(int argc, char **argv)
{
    char **copy = calloc((size_t)argc + 2, sizeof *copy);
    if (copy)
        memcpy(copy, argv, (size_t)argc * sizeof *copy);
    return copy;
}

int loadgen_program(int argc, char **argv, const struct loadgen_relay *relay)
{
    const char *program = relay ? "poolmark-loadgen-mpi" : COMMAND_ONE_RANK;
    struct err err = {0};
    streams_open();
    if (time_namespace_join(&err) == -EXDEV)
        return streams_close(program, complain(program, &err, EXIT_FAILED));
    struct words words = {.program = program,
                          .argc = argc,
                          .given = argc,
                          .argv = copy_of(argc, argv),
                          .command = copy_of(argc, argv)};
    int code = words.argv && words.command
                   ? run_command(&words, relay)
                   : complain(program, &(struct err){.text = "out of memory"}, EXIT_FAILED);
    free(words.argv);
    free(words.command);
    return streams_close(program, code);
}
