// SPDX-License-Identifier: Apache-2.0
#include "loadgen/command_table.h"

#include "loadgen/engine.h"
#include "loadgen/engines/engines.h"
#include "loadgen/identity_options.h"
#include "loadgen/scenarios/open_suite.h"
#include "loadgen/scenarios/scenarios.h"

#include <errno.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static int parse_ports(const char *value, void *place, struct err *err)
{
    if (ports_way_parse(value, place) < 0)
        return err_set(err, -EINVAL, "it takes kernel, range, bind or auto");
    return 0;
}

#define AT(field) offsetof(struct config, field)
#define FAR 1e18
static const struct opt common[] = {
    {NULL, NULL, OPT_HEADING, 0, NULL, 0, 0, NULL, "Target and engine", NULL},
    {"target", "URI", OPT_LIST, AT(targets), NULL, 0, 0, NULL,
     "a broker, mqtt://HOST[:PORT], an IPv6 address in brackets, port 1883 when none is given; several "
     "times, or several with commas: "
     "clients are spread over them",
     NULL},
    {"engine", "NAME", OPT_PARSE, AT(engine), "paho", 0, 0, NULL,
     "what drives the clients; --describe has what each can do and what it costs", engine_parse},
    {"source", "ADDR", OPT_LIST, AT(sources), NULL, 0, 0, NULL,
     "source addresses (raw); made up on the loopback when they are needed and none is given", NULL},
    {"ports", "WAY", OPT_PARSE, AT(ports), "auto", 0, 0, NULL,
     "who chooses the port that a client connects from (raw). kernel: the kernel searches one. range: each "
     "client has its own, by IP_LOCAL_PORT_RANGE (Linux 6.3). bind: likewise, by bind, which keeps the port "
     "from other programs. auto: range where it can be had, otherwise kernel",
     parse_ports},
    {"workers", "N", OPT_COUNT, AT(workers), "0", 0, 10000, NULL, "worker processes; 0: as many as it takes",
     NULL},
    {"clients-per-worker", "N", OPT_COUNT, AT(clients_per_worker), "0", 0, 1000000, NULL,
     "clients of one process; 0: what the engine likes", NULL},
    {"tokens", "N", OPT_COUNT, AT(tokens), "0", 0, 10000, NULL,
     "workers that connect at a time when there is no --rate; 0: what the engine likes", NULL},
    {"window", "N", OPT_COUNT, AT(window), "0", 0, 100000, NULL,
     "connects under way at once in one worker; 0: what the engine likes", NULL},
    {"share", "WAY", OPT_PARSE, AT(share), "even", 0, 0, NULL,
     "how ranks (poolmark-loadgen-mpi) divide the clients: even; fit, by the room of each", division_parse},
    {"open", "NAME", OPT_TEXT, AT(open), NULL, 0, 0, NULL,
     "a scenario of the Open MQTT Benchmark Suite, in place of a scenario of ours; options that are given "
     "beside it "
     "count instead of its own: " OPEN_SUITE_NAMES,
     NULL},
    {"scale", "N", OPT_NUMBER, AT(scale), "1", 1e-6, 1, NULL,
     "of --open: that share of its clients and rates", NULL},
    {NULL, NULL, OPT_HEADING, 0, NULL, 0, 0, NULL, "Connections", NULL},
    {"rate", "N/s", OPT_RATE, AT(connect_rate_per_s), "0", 0, 1e9, NULL,
     "connects a second, open loop; 0: as fast as it goes", NULL},
    {"prove", NULL, OPT_FLAG, AT(prove), NULL, 0, 0, NULL,
     "at the top, every client shows that it is alive: by PINGRESP, or PUBACK where the engine cannot ping",
     NULL},
    {"prefix", "TEXT", OPT_TEXT, AT(prefix_asked), NULL, 0, 0, NULL,
     "client identifiers are TEXT-NUMBER; at most 15 letters and digits. Otherwise pm and 64 random bits, so "
     "that "
     "generators on one broker do not meet",
     NULL},
    {"keep-alive", "S", OPT_COUNT, AT(keep_alive_s), "0", 0, 65535, NULL,
     "MQTT keep alive in seconds; 0: none", NULL},
    {"timeout", "D", OPT_DURATION, AT(timeout_ns), "120s", 1e6, FAR, NULL,
     "a connect that takes longer has failed", NULL},
    {"qos", "N", OPT_COUNT, AT(qos), "0", 0, 2, NULL, "of messages and subscriptions: 0, 1 or 2", NULL},
    {NULL, NULL, OPT_HEADING, 0, NULL, 0, 0, NULL, "Record", NULL},
    {"watch-pid", "PID", OPT_LIST, AT(watch), NULL, 0, 0, NULL,
     "a process of the target: its memory is sampled; several times", NULL},
    {"only-watch", NULL, OPT_FLAG, AT(only_watch), NULL, 0, 0, NULL,
     "a rank above 0 (poolmark-loadgen-mpi): no clients, it watches processes of a target on its host", NULL},
    {"record", "DIR", OPT_TEXT, AT(record_dir), NULL, 0, 0, NULL,
     "write run.json, latency.hlog, memory.csv there", NULL},
    {"beside", "NAME", OPT_TEXT, AT(beside), NULL, 0, 0, NULL,
     "what else loads the target on purpose, such as an attack: its connections are no strangers'", NULL},
    {"hgrm", NULL, OPT_FLAG, AT(hgrm), NULL, 0, 0, NULL,
     "also write the percentiles of each latency there, NAME.hgrm, which HdrHistogram's plotters read", NULL},
    {"self-latency", NULL, OPT_FLAG, AT(self_latency), NULL, 0, 0, NULL,
     "first measure what the generator itself adds, against a peer that answers at once", NULL},
    {"seed", "N", OPT_COUNT, AT(seed), "1", 0, FAR, NULL,
     "of all randomness: %rand_N, sizes of messages, random intervals, jitter", NULL},
    {NULL, NULL, OPT_HEADING, 0, NULL, 0, 0, NULL, "What is printed", NULL},
    {"quiet", NULL, OPT_FLAG, AT(quiet), NULL, 0, 0, NULL, "no progress, no summary", NULL},
    {"json", NULL, OPT_FLAG, AT(json), NULL, 0, 0, NULL,
     "instead of the summary an object a second on stdout, each in a line; the last is the summary. "
     "docs/commands.md "
     "has the keys",
     NULL},
    {"metrics", "ADDR:PORT", OPT_TEXT, AT(metrics), NULL, 0, 0, NULL,
     "serves the run for Prometheus there, at /metrics", NULL},
    {"all", NULL, OPT_FLAG, AT(all), NULL, 0, 0, NULL,
     "after the summary every figure by its name, as the record has them", NULL},
    {0},
};

// --- rows of scenarios -------------------------------------------------------------------------------------

static bool is_in(const struct opt *rows, const char *option)
{
    for (const struct opt *row = rows; row->name || row->kind == OPT_HEADING; row++)
        if (row->name && strcmp(row->name, option) == 0)
            return true;
    return false;
}

static bool is_among(const char *const *names, const char *option)
{
    for (; names && *names; names++)
        if (strcmp(*names, option) == 0)
            return true;
    return false;
}

// Of the options of every run, --prove is only for scenarios that give the order.
bool command_table_is_in_place(const char *option)
{
    static const char *const in_place[] = {"open", "scale", NULL};
    return is_among(in_place, option);
}

bool command_table_is_refused(const struct scenario *scenario, const char *option)
{
    return is_among(scenario->refuses, option);
}

bool command_table_takes(const struct scenario *scenario, const char *option)
{
    if (strcmp(option, "prove") == 0)
        return scenario->proves;
    if (command_table_is_refused(scenario, option) || command_table_is_in_place(option))
        return false;
    return is_in(common, option) || is_in(identity_options, option) || is_in(scenario->options, option);
}

static bool has(const struct command_table *table, const char *option)
{
    for (int i = 0; i < table->count; i++)
        if (table->rows[i].name && strcmp(table->rows[i].name, option) == 0)
            return true;
    return false;
}

static void put(struct command_table *table, const struct opt *row, size_t offset)
{
    if (table->count == COMMAND_ROWS_MAX - 1)
        abort(); // more options than there is room for
    table->rows[table->count] = *row;
    table->rows[table->count++].offset += offset;
}

// "steps: connects in rising steps; ...; also --hold": an option of several scenarios is in the first's list.
static const char *make_heading(struct command_table *table, const struct scenario *scenario)
{
    if (table->heading_count == COMMAND_SCENARIOS_MAX)
        abort(); // as above
    char *text = table->headings[table->heading_count++];
    size_t used = (size_t)snprintf(text, COMMAND_HEADING_BYTES, "%s: %s", scenario->name, scenario->summary);
    const char *joint = "; also";
    for (const struct opt *row = scenario->options; row->name && used < COMMAND_HEADING_BYTES; row++)
        if (has(table, row->name)) {
            used += (size_t)snprintf(text + used, COMMAND_HEADING_BYTES - used, "%s --%s", joint, row->name);
            joint = ",";
        }
    return text;
}

void command_table_make(struct command_table *table, const struct scenario *scenario)
{
    *table = (struct command_table){.bytes = sizeof(struct config)};
    for (const struct opt *row = common; row->name || row->kind == OPT_HEADING; row++)
        put(table, row, 0);
    for (const struct opt *row = identity_options; row->name || row->kind == OPT_HEADING; row++)
        put(table, row, 0);
    for (const struct scenario *const *at = scenario_list(); *at; at++) {
        if (scenario && *at != scenario)
            continue;
        put(table, &(struct opt){.kind = OPT_HEADING, .help = make_heading(table, *at)}, 0);
        size_t offset = scenario ? offsetof(struct config, options) : table->bytes;
        for (const struct opt *row = (*at)->options; row->name; row++)
            if (!has(table, row->name))
                put(table, row, offset);
        size_t step = alignof(max_align_t);
        table->bytes += scenario ? 0 : ((*at)->options_bytes + step - 1) / step * step;
    }
}

void command_table_leave_out(struct command_table *table, const struct scenario *scenario,
                             const char *program)
{
    static const char *const of_ranks[] = {"share", "only-watch", NULL};
    bool one_rank = strcmp(program, COMMAND_ONE_RANK) == 0;
    int count = 0;
    for (int i = 0; i < table->count; i++) {
        const struct opt *row = &table->rows[i];
        bool out = row->name && ((one_rank && is_among(of_ranks, row->name)) ||
                                 (scenario && !command_table_takes(scenario, row->name)));
        if (row->kind == OPT_HEADING && count > 0 && table->rows[count - 1].kind == OPT_HEADING)
            count--;
        if (!out)
            table->rows[count++] = *row;
    }
    table->count = count;
    table->rows[count] = (struct opt){0};
}

const char *command_table_join(const char *option, const char *joint, char text[static COMMAND_NAMES_BYTES])
{
    const char *names[COMMAND_ROWS_MAX];
    int count = 0;
    for (const struct scenario *const *at = scenario_list(); *at && count < COMMAND_ROWS_MAX; at++)
        if (!option || command_table_takes(*at, option))
            names[count++] = (*at)->name;
    size_t used = 0;
    text[0] = '\0';
    for (int i = 0; i < count && used < COMMAND_NAMES_BYTES; i++)
        used += (size_t)snprintf(text + used, COMMAND_NAMES_BYTES - used, "%s%s",
                                 i == 0                            ? ""
                                 : i == count - 1 || *joint == '|' ? joint
                                                                   : ", ",
                                 names[i]);
    return text;
}
