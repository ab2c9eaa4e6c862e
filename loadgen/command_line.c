// SPDX-License-Identifier: Apache-2.0
#include "loadgen/command_line.h"

#include "base/clock.h"
#include "base/describe.h"
#include "loadgen/catalogue.h"
#include "loadgen/engine.h"
#include "loadgen/engines/engines.h"
#include "loadgen/host_options.h"
#include "loadgen/identity_options.h"
#include "loadgen/room.h"
#include "loadgen/scenarios/open_suite.h"
#include "loadgen/scenarios/scenarios.h"
#include "loadgen/withheld.h"

#include <errno.h>
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

enum { ROWS_MAX = 192, SCENARIOS_MAX = 16, HEADING_BYTES = 480, NAMES_BYTES = 200 };

struct table {
    struct opt rows[ROWS_MAX];
    int count;
    char headings[SCENARIOS_MAX][HEADING_BYTES];
    int heading_count;
    size_t bytes; // size of the parsed configuration
};

static bool is_in(const struct opt *rows, const char *option)
{
    for (const struct opt *row = rows; row->name || row->kind == OPT_HEADING; row++)
        if (row->name && strcmp(row->name, option) == 0)
            return true;
    return false;
}

// Of the options of every run, --prove is only for scenarios that give the order.
static bool takes(const struct scenario *scenario, const char *option)
{
    if (strcmp(option, "prove") == 0)
        return scenario->proves;
    return is_in(common, option) || is_in(identity_options, option) || is_in(scenario->options, option);
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

// "connect, publish or steps": those that have the option, or all (NULL); `joint` stands before the last.
static const char *join_scenarios(const char *option, const char *joint, char text[static NAMES_BYTES])
{
    const char *names[ROWS_MAX];
    int count = 0;
    for (const struct scenario *const *at = scenario_list(); *at && count < ROWS_MAX; at++)
        if (!option || takes(*at, option))
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
        if (option && !takes(scenario, option) && opts_was_given(all->rows, argc, argv, option))
            return err_set(err, -EINVAL, "--%s: scenario %s does not use it; it is for %s", option,
                           scenario->name, join_scenarios(option, " and ", names));
    }
    return 0;
}

// --- checks ------------------------------------------------------------------------------------------------

// Checks only before a run. The options that a description needs are checked already.
static int check_run(struct config *config, struct err *err)
{
    int code = 0;
    if (config->targets.count == 0)
        code = err_set(err, -EINVAL, "no --target: give at least one, as mqtt://127.0.0.1:1883");
    if (code == 0)
        code = host_options_watch(config, err);
    if (code == 0 && config->metrics && address_parse(config->metrics, &config->metrics_address, err) < 0)
        code = err_prefix(err, -EINVAL, "--metrics");
    if (code == 0 && config->hgrm && !config->record_dir)
        code = err_set(err, -EINVAL, "--hgrm: its files are part of a record: give --record DIR");
    if (code == 0 && config->scenario->check_run)
        code = config->scenario->check_run(config, err);
    if (code == 0)
        code = host_options_prefix(config, err);
    return code;
}

// What the first pass has read.
struct first_pass {
    const struct scenario *scenario; // NULL: none, or --open has it
    const char *open;
    double scale;
};

static bool goes_on(int parsed)
{
    return parsed == OPTS_RUN || parsed == OPTS_DESCRIBE;
}

// The scenario decides which options there are. But the scenario's word is only found when the values of all
// options are known. So the first pass accepts the options of all scenarios. `opened`: --open stands for words that are
// in argv already.
static int choose(struct first_pass *first, bool opened, int argc, char **argv, struct err *err)
{
    struct table all;
    make_table(&all, NULL);
    struct config *unused = calloc(1, all.bytes);
    if (!unused)
        return err_set(err, -ENOMEM, "out of memory");
    int rest = 0;
    for (int i = 1; i < argc; i++) {
        if (strcmp(argv[i], "--find-limit") != 0)
            continue;
        free(unused);
        return err_set(err, -EINVAL,
                       "--find-limit: a run has one rate. `scripts/poolmark limit` searches the highest that "
                       "holds a bound (docs/find-limit.md)");
    }
    int parsed = opts_parse(all.rows, unused, argc, argv, &rest, err);
    *first = (struct first_pass){.open = unused->open, .scale = unused->scale};
    free(unused);
    if (!goes_on(parsed) || (first->open && !opened))
        return parsed;
    if (!first->open && opts_was_given(all.rows, argc, argv, "scale"))
        return err_set(err, -EINVAL,
                       "--scale is of --open: it scales a scenario of the Open MQTT Benchmark Suite");
    if (parsed == OPTS_DESCRIBE && rest >= argc)
        return parsed;
    int code = find_scenario(&first->scenario, argc, argv, rest, err);
    if (code == 0)
        code = check_own(&all, first->scenario, argc, argv, err);
    return code < 0 ? code : parsed;
}

static int parse_with(struct config *config, const struct scenario *scenario, int parsed, int argc,
                      char **argv, struct err *err)
{
    struct table table;
    make_table(&table, scenario);
    int code = opts_parse(table.rows, config, argc, argv, NULL, err);
    config->scenario = scenario;
    if (code >= 0)
        code = parsed == OPTS_RUN ? check_run(config, err) : 0;
    if (code == 0)
        code = scenario->check(config, err);
    if (code == 0)
        code = identity_check(config, err);
    if (code == 0 && parsed == OPTS_RUN && scenario->prepare)
        code = scenario->prepare(config, err);
    if (code == 0 && parsed == OPTS_RUN && (code = identity_prepare(config, err)) == 0)
        code = payload_form_prepare(&config->payload, config->seed, err);
    return code < 0 ? code : parsed;
}

// The words of --open, a scenario and pairs of option and value, without the options that argv has itself.
static int put_opened(char **words, struct open_suite *open, int argc, char **argv)
{
    struct table all;
    int count = 0;
    const char *joint = " Given otherwise: "; // names these, behind what the scenario is
    make_table(&all, NULL);
    words[count++] = open->words[0];
    for (int i = 1; i + 1 < open->count; i += 2) {
        if (opts_was_given(all.rows, argc, argv, open->words[i] + 2)) {
            size_t used = strlen(open->says);
            snprintf(open->says + used, sizeof open->says - used, "%s%s", joint, open->words[i]);
            joint = ", ";
            continue;
        }
        words[count++] = open->words[i];
        words[count++] = open->words[i + 1];
    }
    size_t used = strlen(open->says);
    snprintf(open->says + used, sizeof open->says - used, "%s", *joint == ',' ? "." : "");
    return count;
}

// --open NAME stands for a scenario and options. Those that were given take their place.
static int parse_opened(struct config *config, const struct first_pass *first, int argc, char **argv,
                        struct err *err)
{
    struct open_suite open;
    struct first_pass again = {.open = NULL};
    if (open_suite_find(&open, first->open, first->scale, err) < 0)
        return -EINVAL;
    int count = argc + open.count;
    char **words = calloc((size_t)count + 1, sizeof *words);
    if (!words)
        return err_set(err, -ENOMEM, "out of memory");
    words[0] = argv[0];
    count = 1 + put_opened(words + 1, &open, argc, argv);
    for (int i = 1; i < argc; i++)
        words[count++] = argv[i];
    int parsed = choose(&again, true, count, words, err);
    if (goes_on(parsed))
        parsed = parse_with(config, again.scenario, parsed, count, words, err);
    free(words);
    snprintf(config->open_says, sizeof config->open_says, "%s", open.says);
    return parsed;
}

int command_line_parse(struct config *config, int argc, char **argv, struct err *err)
{
    return command_line_parse_ranks(config, 1, argc, argv, err);
}

int command_line_parse_ranks(struct config *config, int ranks, int argc, char **argv, struct err *err)
{
    struct first_pass first = {.open = NULL};
    *config = (struct config){.rank_count = ranks};
    int parsed = choose(&first, false, argc, argv, err);
    if (goes_on(parsed) && first.open)
        parsed = parse_opened(config, &first, argc, argv, err);
    else if (goes_on(parsed) && first.scenario)
        parsed = parse_with(config, first.scenario, parsed, argc, argv, err);
    if (parsed == OPTS_RUN)
        identity_hide_passwords(argc, argv);
    return parsed;
}

void command_line_free(struct config *config)
{
    if (config->scenario && config->scenario->release)
        config->scenario->release(config);
    identity_free(&config->identity);
    payload_form_free(&config->payload);
}

// --- help, record, description -----------------------------------------------------------------------------

static const struct scenario *scenario_among(int argc, char **argv)
{
    const struct scenario *scenario = NULL;
    for (int i = 1; i < argc && !scenario; i++)
        scenario = scenario_find(argv[i]);
    return scenario;
}

void command_line_print_help(const char *program, int argc, char **argv, FILE *to)
{
    const struct scenario *scenario = scenario_among(argc, argv);
    struct table table;
    char usage[NAMES_BYTES + 32], names[NAMES_BYTES];
    make_table(&table, scenario);
    snprintf(usage, sizeof usage, "%s --target URI [OPTION]...",
             scenario ? scenario->name : join_scenarios(NULL, "|", names));
    opts_print_help(table.rows, program, usage,
                    "Opens MQTT connections, publishes over them, and records latencies and memory.", to);
    if (!scenario)
        fprintf(to, "\nA scenario's own options, alone: %s SCENARIO --help\n", program);
    fprintf(
        to,
        "\nExit code: 0 every sample is accounted for; 1 a client failed or was dropped, something was "
        "lost, not sent, at the\nwrong client, out of order, or came twice, at another QoS, under another "
        "topic or with another RETAIN flag against what\nwas asked for, or the run was ended early, by "
        "SIGINT too (what was measured is kept); 2 wrong call.\n"
        "An anomaly alone leaves it 0: a figure that is not known is null, and says why; a generator "
        "that was "
        "late, stalled\nor the limit has its figures, and the anomaly beside them.\n");
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
    if (!json)
        return NULL;
    json_object_set_new(json, "identity", identity_json(&config->identity));
    json_object_set_new(json, "clean_session", json_boolean(!config->keep_sessions));
    if (config->beside)
        json_object_set_new(json, "beside", json_string(config->beside));
    if (config->open)
        json_object_set_new(json, "open",
                            json_pack("{s:s,s:f,s:s}", "name", config->open, "scale", config->scale, "is",
                                      config->open_says));
    config->scenario->describe(config, json);
    return json;
}

// "measures_with": those of what it measures that it only does with an option.
static json_t *describe_scenarios(const struct table *all)
{
    json_t *list = json_array();
    for (const struct scenario *const *at = scenario_list(); *at; at++) {
        json_t *options = json_array();
        for (int i = 0; i < all->count; i++) {
            const char *option = all->rows[i].name;
            if (option && takes(*at, option))
                json_array_append_new(options, json_string(option));
        }
        json_t *keys = (*at)->describe_keys ? (*at)->describe_keys() : NULL;
        bool returns = strstr((*at)->measures, SCENARIO_MEASURES_RETURNS) != NULL;
        json_t *with =
            json_pack("{s:o,s:o}", "backoff", metric_patterns_json(returns ? SCENARIO_MEASURES_RETURNS : ""),
                      "prove", metric_patterns_json(SCENARIO_MEASURES_ALIVE));
        json_array_append_new(list, json_pack("{s:s,s:s,s:o,s:o,s:o,s:o*}", "name", (*at)->name, "summary",
                                              (*at)->summary, "options", options, "measures",
                                              metric_patterns_json((*at)->measures), "measures_with", with,
                                              "keys", keys));
    }
    return list;
}

json_t *command_line_describe(void)
{
    struct table all;
    make_table(&all, NULL);
    json_t *root = describe_new("poolmark-loadgen", all.rows, loadgen_catalogue);
    json_object_set_new(root, "scenarios", describe_scenarios(&all));
    json_object_set_new(root, "engines", engines_describe());
    json_object_set_new(root, "withheld", withheld_describe());
    json_object_set_new(root, "room", room_describe());
    return root;
}
