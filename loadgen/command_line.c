// SPDX-License-Identifier: Apache-2.0
#include "loadgen/command_line.h"

#include "base/clock.h"
#include "base/describe.h"
#include "base/units.h"
#include "loadgen/catalogue.h"
#include "loadgen/engine.h"
#include "loadgen/engines/engines.h"
#include "loadgen/scenarios/scenarios.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <unistd.h>

static int parse_engine(const char *value, void *place, struct err *err)
{
    const struct engine *engine = engine_find(value);
    if (engine) {
        *(const struct engine **)place = engine;
        return 0;
    }
    char names[200] = "";
    for (const struct engine *const *at = engine_list(); *at; at++)
        snprintf(names + strlen(names), sizeof names - strlen(names), "%s%s", names[0] ? ", " : "",
                 (*at)->name);
    return err_set(err, -EINVAL, "there is no such engine; there are: %s", names);
}

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
     "what drives the clients; --describe has what each can do and what it costs", parse_engine},
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
    {"record", "DIR", OPT_TEXT, AT(record_dir), NULL, 0, 0, NULL,
     "write run.json, latency.hlog, memory.csv there", NULL},
    {"hgrm", NULL, OPT_FLAG, AT(hgrm), NULL, 0, 0, NULL,
     "also write the percentiles of each latency there, NAME.hgrm, which HdrHistogram's plotters read", NULL},
    {"self-latency", NULL, OPT_FLAG, AT(self_latency), NULL, 0, 0, NULL,
     "first measure what the generator itself adds, against a peer that answers at once", NULL},
    {"seed", "N", OPT_COUNT, AT(seed), "1", 0, FAR, NULL, "for the record: the schedule has no randomness",
     NULL},
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

enum { ROWS_MAX = 128, SCENARIOS_MAX = 16, HEADING_BYTES = 240, NAMES_BYTES = 200 };

struct table {
    struct opt rows[ROWS_MAX];
    int count;
    char headings[SCENARIOS_MAX][HEADING_BYTES];
    int heading_count;
    size_t bytes; // size of the parsed configuration
};

static const struct opt *row_of(const struct opt *rows, const char *option)
{
    for (const struct opt *row = rows; row->name; row++)
        if (strcmp(row->name, option) == 0)
            return row;
    return NULL;
}

static bool is_common(const char *option)
{
    for (const struct opt *row = common; row->name || row->kind == OPT_HEADING; row++)
        if (row->name && strcmp(row->name, option) == 0)
            return true;
    return false;
}

static bool has(const struct table *table, const char *option)
{
    for (int i = 0; i < table->count; i++)
        if (table->rows[i].name && strcmp(table->rows[i].name, option) == 0)
            return true;
    return false;
}

static void put(struct table *table, const struct opt *row, size_t offset)
{
    if (table->count == ROWS_MAX - 1)
        abort(); // more options than there is room for
    table->rows[table->count] = *row;
    table->rows[table->count++].offset += offset;
}

// "steps: connects in rising steps; ...; also --hold": an option of several scenarios is in the first's list.
static const char *make_heading(struct table *table, const struct scenario *scenario)
{
    if (table->heading_count == SCENARIOS_MAX)
        abort(); // as above
    char *text = table->headings[table->heading_count++];
    size_t used = (size_t)snprintf(text, HEADING_BYTES, "%s: %s", scenario->name, scenario->summary);
    const char *joint = "; also";
    for (const struct opt *row = scenario->options; row->name && used < HEADING_BYTES; row++)
        if (has(table, row->name)) {
            used += (size_t)snprintf(text + used, HEADING_BYTES - used, "%s --%s", joint, row->name);
            joint = ",";
        }
    return text;
}

// The rows of every run, then under headings the rows of one scenario, or of each (NULL). They fill a struct
// config. With the rows of each, the scenarios' options are stored one after another behind it, so that none
// overwrites another's.
static void make_table(struct table *table, const struct scenario *scenario)
{
    *table = (struct table){.bytes = sizeof(struct config)};
    for (const struct opt *row = common; row->name || row->kind == OPT_HEADING; row++)
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

// "connect, publish or steps": those that have the option, or all (NULL); `joint` stands before the last.
static const char *join_scenarios(const char *option, const char *joint, char text[static NAMES_BYTES])
{
    const char *names[ROWS_MAX];
    int count = 0;
    for (const struct scenario *const *at = scenario_list(); *at && count < ROWS_MAX; at++)
        if (!option || row_of((*at)->options, option))
            names[count++] = (*at)->name;
    size_t used = 0;
    text[0] = '\0';
    for (int i = 0; i < count && used < NAMES_BYTES; i++)
        used += (size_t)snprintf(text + used, NAMES_BYTES - used, "%s%s",
                                 i == 0                            ? ""
                                 : i == count - 1 || *joint == '|' ? joint
                                                                   : ", ",
                                 names[i]);
    return text;
}

static int find_scenario(const struct scenario **scenario, int argc, char **argv, int rest, struct err *err)
{
    char names[NAMES_BYTES];
    join_scenarios(NULL, " or ", names);
    if (rest >= argc)
        return err_set(err, -EINVAL, "no scenario: %s (see --help)", names);
    *scenario = scenario_find(argv[rest]);
    if (!*scenario)
        return err_set(err, -EINVAL, "\"%s\" is no scenario: %s", argv[rest], names);
    if (rest + 1 < argc)
        return err_set(err, -EINVAL, "\"%s\": one scenario at a time", argv[rest + 1]);
    return 0;
}

// An option that the scenario does not have is refused, not silently ignored.
static int check_own(const struct table *all, const struct scenario *scenario, int argc, char **argv,
                     struct err *err)
{
    char names[NAMES_BYTES];
    for (int i = 0; i < all->count; i++) {
        const char *option = all->rows[i].name;
        if (option && !row_of(scenario->options, option) && !is_common(option) &&
            opts_was_given(all->rows, argc, argv, option))
            return err_set(err, -EINVAL, "--%s: scenario %s does not use it; it is for %s", option,
                           scenario->name, join_scenarios(option, " and ", names));
    }
    return 0;
}

// --- checks ------------------------------------------------------------------------------------------------

static int check_watch(struct config *config, struct err *err)
{
    for (int i = 0; i < config->watch.count; i++) {
        int64_t pid;
        if (units_parse_count(config->watch.values[i], &pid) < 0 || pid < 1 || pid > 4194304)
            return err_set(err, -EINVAL, "--watch-pid \"%s\" is not the number of a process",
                           config->watch.values[i]);
        char path[64];
        snprintf(path, sizeof path, "/proc/%lld", (long long)pid);
        if (access(path, F_OK) < 0)
            return err_set(err, -EINVAL, "--watch-pid %lld: there is no such process", (long long)pid);
        for (int j = 0; j < i; j++)
            if (config->watch_pids[j] == pid)
                return err_set(err, -EINVAL, "--watch-pid %lld: is given twice", (long long)pid);
        config->watch_pids[i] = pid;
    }
    return 0;
}

static const char digits[] = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";

// Several generators may share a broker, from containers where all have the same pid. 64 random bits keep
// their clients apart. With a number of nine digits an identifier has 23 bytes, which every broker accepts
// [MQTT-3.1.3-5].
static int make_prefix(struct config *config, struct err *err)
{
    if (config->prefix_asked) {
        size_t bytes = strlen(config->prefix_asked);
        if (bytes == 0 || bytes >= sizeof config->prefix || strspn(config->prefix_asked, digits) != bytes)
            return err_set(err, -EINVAL, "--prefix \"%s\" is not 1 to %d letters and digits",
                           config->prefix_asked, (int)sizeof config->prefix - 1);
        memcpy(config->prefix, config->prefix_asked, bytes + 1);
        return 0;
    }
    uint64_t random;
    if (getrandom(&random, sizeof random, 0) != (ssize_t)sizeof random)
        return err_set(err, -EIO, "no random number for client identifiers: %m; give --prefix");
    char *at = config->prefix;
    *at++ = 'p';
    *at++ = 'm';
    for (int i = 0; i < 11; i++, random /= 62) // 62 ^ 11 is above 2 ^ 64
        *at++ = digits[random % 62];
    *at = '\0';
    return 0;
}

// Checks only before a run. The options that a description needs are checked already.
static int check_run(struct config *config, struct err *err)
{
    int code = 0;
    if (config->targets.count == 0)
        code = err_set(err, -EINVAL, "no --target: give at least one, as mqtt://127.0.0.1:1883");
    if (code == 0)
        code = check_watch(config, err);
    if (code == 0 && config->metrics && address_parse(config->metrics, &config->metrics_address, err) < 0)
        code = err_prefix(err, -EINVAL, "--metrics");
    if (code == 0 && config->hgrm && !config->record_dir)
        code = err_set(err, -EINVAL, "--hgrm: its files are part of a record: give --record DIR");
    if (code == 0 && config->scenario->check_run)
        code = config->scenario->check_run(config, err);
    if (code == 0)
        code = make_prefix(config, err);
    return code;
}

// The scenario decides which options there are. But the scenario's word is only found when the values of all
// options are known. So the first pass accepts the options of all scenarios.
static int choose(const struct scenario **scenario, int argc, char **argv, struct err *err)
{
    struct table all;
    make_table(&all, NULL);
    void *unused = calloc(1, all.bytes);
    if (!unused)
        return err_set(err, -ENOMEM, "out of memory");
    int rest = 0;
    int parsed = opts_parse(all.rows, unused, argc, argv, &rest, err);
    free(unused);
    if ((parsed != OPTS_RUN && parsed != OPTS_DESCRIBE) || (parsed == OPTS_DESCRIBE && rest >= argc))
        return parsed;
    int code = find_scenario(scenario, argc, argv, rest, err);
    if (code == 0)
        code = check_own(&all, *scenario, argc, argv, err);
    return code < 0 ? code : parsed;
}

int command_line_parse(struct config *config, int argc, char **argv, struct err *err)
{
    const struct scenario *scenario = NULL;
    *config = (struct config){0};
    int parsed = choose(&scenario, argc, argv, err);
    if (!scenario || (parsed != OPTS_RUN && parsed != OPTS_DESCRIBE))
        return parsed;
    struct table table;
    make_table(&table, scenario);
    int code = opts_parse(table.rows, config, argc, argv, NULL, err);
    config->scenario = scenario;
    if (code >= 0)
        code = parsed == OPTS_RUN ? check_run(config, err) : 0;
    if (code == 0)
        code = scenario->check(config, err);
    return code < 0 ? code : parsed;
}

// --- help, record, description -----------------------------------------------------------------------------

static const struct scenario *scenario_among(int argc, char **argv)
{
    const struct scenario *scenario = NULL;
    for (int i = 1; i < argc && !scenario; i++)
        scenario = scenario_find(argv[i]);
    return scenario;
}

void command_line_print_help(int argc, char **argv, FILE *to)
{
    const struct scenario *scenario = scenario_among(argc, argv);
    struct table table;
    char usage[NAMES_BYTES + 32], names[NAMES_BYTES];
    make_table(&table, scenario);
    snprintf(usage, sizeof usage, "%s --target URI [OPTION]...",
             scenario ? scenario->name : join_scenarios(NULL, "|", names));
    opts_print_help(table.rows, "poolmark-loadgen", usage,
                    "Opens MQTT connections, publishes over them, and records latencies and memory.", to);
    if (!scenario)
        fprintf(to, "\nA scenario's own options, alone: poolmark-loadgen SCENARIO --help\n");
    fprintf(
        to,
        "\nExit code: 0 all fine; 1 a client failed or was dropped, or the run was ended early, by SIGINT "
        "too (what\nwas measured is kept); 2 wrong call.\n");
}

static json_t *texts(const struct opt_list *list)
{
    json_t *array = json_array();
    for (int i = 0; i < list->count; i++)
        json_array_append_new(array, json_string(list->values[i]));
    return array;
}

json_t *command_line_json(const struct config *config)
{
    json_t *json =
        json_pack("{s:s, s:s, s:o, s:o, s:I, s:f, s:b, s:I, s:I}", "scenario", config->scenario->name,
                  "engine", config->engine->name, "targets", texts(&config->targets), "sources",
                  texts(&config->sources), "connections", (json_int_t)config->connections, "rate_per_s",
                  config->connect_rate_per_s, "prove", (int)config->prove, "keep_alive_s",
                  (json_int_t)config->keep_alive_s, "timeout_ns", (json_int_t)config->timeout_ns);
    if (json)
        config->scenario->describe(config, json);
    return json;
}

static json_t *describe_scenarios(const struct table *all)
{
    json_t *list = json_array();
    for (const struct scenario *const *at = scenario_list(); *at; at++) {
        json_t *options = json_array();
        for (int i = 0; i < all->count; i++) {
            const char *option = all->rows[i].name;
            if (option && (is_common(option) || row_of((*at)->options, option)))
                json_array_append_new(options, json_string(option));
        }
        json_array_append_new(list, json_pack("{s:s,s:s,s:o}", "name", (*at)->name, "summary", (*at)->summary,
                                              "options", options));
    }
    return list;
}

static json_t *describe_engines(void)
{
    static const struct describe_flag caps[] = {
        {ENGINE_CAP_BIND, "bind"}, {ENGINE_CAP_PING, "ping"}, {ENGINE_CAP_RESTLESS, "restless"}, {0}};
    json_t *list = json_array();
    for (const struct engine *const *at = engine_list(); *at; at++)
        json_array_append_new(
            list,
            json_pack("{s:s,s:s,s:o,s:I,s:I,s:i,s:I,s:I,s:i}", "name", (*at)->name, "summary", (*at)->summary,
                      "capabilities", describe_flags(caps, (*at)->caps), "clients",
                      (json_int_t)(*at)->clients, "clients_max", (json_int_t)(*at)->clients_max, "tokens",
                      (*at)->tokens, "client_bytes", (json_int_t)(*at)->client_bytes, "process_bytes",
                      (json_int_t)(*at)->process_bytes, "process_threads", (*at)->process_threads));
    return list;
}

json_t *command_line_describe(void)
{
    struct table all;
    make_table(&all, NULL);
    json_t *root = describe_new("poolmark-loadgen", all.rows, loadgen_catalogue);
    json_object_set_new(root, "scenarios", describe_scenarios(&all));
    json_object_set_new(root, "engines", describe_engines());
    return root;
}
