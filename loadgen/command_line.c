// SPDX-License-Identifier: Apache-2.0
#include "loadgen/command_line.h"

#include "base/clock.h"
#include "base/describe.h"
#include "loadgen/catalogue.h"
#include "loadgen/command_table.h"
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

static int find_scenario(const struct scenario **scenario, int argc, char **argv, int rest, struct err *err)
{
    char names[COMMAND_NAMES_BYTES];
    command_table_join(NULL, " or ", names);
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
static int check_own(const struct command_table *all, const struct scenario *scenario, int argc, char **argv,
                     struct err *err)
{
    char names[COMMAND_NAMES_BYTES];
    for (int i = 0; i < all->count; i++) {
        const char *option = all->rows[i].name;
        if (!option || command_table_takes(scenario, option) || command_table_is_in_place(option) ||
            !opts_was_given(all->rows, argc, argv, option))
            continue;
        if (command_table_is_refused(scenario, option))
            return err_set(err, -EINVAL, "--%s: %s", option, scenario->why_refused);
        return err_set(err, -EINVAL, "--%s: scenario %s does not use it; it is for %s", option,
                       scenario->name, command_table_join(option, " and ", names));
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
    struct command_table all;
    command_table_make(&all, NULL);
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
    if (goes_on(parsed) && first->open && !opened && rest < argc)
        return err_set(err, -EINVAL, "--open %s: it stands in place of a scenario: without \"%s\"",
                       first->open, argv[rest]);
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
    struct command_table table;
    command_table_make(&table, scenario);
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
    struct command_table all;
    int count = 0;
    const char *joint = " Given otherwise: "; // names these, behind what the scenario is
    command_table_make(&all, NULL);
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

bool command_line_gave(const char *option, int argc, char **argv)
{
    struct command_table all;
    command_table_make(&all, NULL);
    return opts_was_given(all.rows, argc, argv, option);
}

int command_line_parse(struct config *config, int argc, char **argv, struct err *err)
{
    return command_line_parse_ranks(config, 1, argc, argv, err);
}

int command_line_parse_ranks(struct config *config, int ranks, int argc, char **argv, struct err *err)
{
    struct first_pass first = {.open = NULL};
    *config = (struct config){.rank_count = ranks, .program = COMMAND_ONE_RANK};
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
    struct command_table table;
    char usage[COMMAND_NAMES_BYTES + 32], names[COMMAND_NAMES_BYTES];
    command_table_make(&table, scenario);
    command_table_leave_out(&table, scenario, program);
    snprintf(usage, sizeof usage, "%s --target URI [OPTION]...",
             scenario ? scenario->name : command_table_join(NULL, "|", names));
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

// "measures_with": those of what it measures that it only does with an option.
static json_t *describe_scenarios(const struct command_table *all)
{
    json_t *list = json_array();
    for (const struct scenario *const *at = scenario_list(); *at; at++) {
        json_t *options = json_array();
        for (int i = 0; i < all->count; i++) {
            const char *option = all->rows[i].name;
            if (option && command_table_takes(*at, option))
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

json_t *command_line_describe(const char *program)
{
    struct command_table all;
    command_table_make(&all, NULL);
    command_table_leave_out(&all, NULL, program);
    json_t *root = describe_new(program, all.rows, loadgen_catalogue);
    json_object_set_new(root, "scenarios", describe_scenarios(&all));
    json_object_set_new(root, "engines", engines_describe());
    json_object_set_new(root, "withheld", withheld_describe());
    json_object_set_new(root, "room", room_describe());
    return root;
}
