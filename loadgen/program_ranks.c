// SPDX-License-Identifier: Apache-2.0
#include "loadgen/program_ranks.h"

#include "base/record.h"
#include "loadgen/ranks_follow.h"
#include "loadgen/ranks_start.h"
#include "loadgen/run_setup.h"
#include "loadgen/scenario.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

// The number of words that this option has at argv[at]: 0 when it is another. `takes`: it has a value.
static int words_of(char **argv, int argc, int at, const char *option, bool takes)
{
    size_t bytes = strlen(option);
    if (strncmp(argv[at], option, bytes) != 0)
        return 0;
    if (argv[at][bytes] == '=')
        return takes ? 1 : 0;
    if (argv[at][bytes] != '\0')
        return 0;
    return takes && at + 1 < argc ? 2 : 1;
}

static void take_out(int *argc, char **argv, int at, int count)
{
    memmove(argv + at, argv + at + count, (size_t)(*argc - at - count + 1) * sizeof *argv);
    *argc -= count;
}

int program_take_share(int *argc, char **argv, enum division_way *way, struct err *err)
{
    static const char option[] = "--share";
    bool given = false;
    *way = DIVISION_EVEN;
    for (int i = 1; i < *argc && strcmp(argv[i], "--") != 0;) {
        int words = words_of(argv, *argc, i, option, true);
        if (words == 0) {
            i++;
            continue;
        }
        const char *value = words == 2 ? argv[i + 1] : argv[i] + strlen(option);
        value += words == 1 && *value == '=';
        if (given)
            return err_set(err, -EINVAL, "--share: is given twice");
        if (division_parse(value, way) < 0)
            return err_set(err, -EINVAL, "--share \"%s\": it takes even or fit", value);
        given = true;
        take_out(argc, argv, i, words);
    }
    return 0;
}

void program_leave_to_leader(int *argc, char **argv)
{
    static const struct {
        const char *option;
        bool takes;
    } leaders[] = {{"--watch-pid", true}, {"--watch-record", true},  {"--metrics", true},
                   {"--beside", true},    {"--json", false},         {"--all", false},
                   {"--hgrm", false},     {"--self-latency", false}, {"--quiet", false}};
    for (int i = 1; i < *argc;) {
        int words = 0;
        for (size_t j = 0; j < sizeof leaders / sizeof *leaders && words == 0; j++)
            words = words_of(argv, *argc, i, leaders[j].option, leaders[j].takes);
        if (words > 0)
            take_out(argc, argv, i, words);
        else
            i++;
    }
    static char quiet[] = "--quiet";
    memmove(argv + 2, argv + 1, (size_t)*argc * sizeof *argv);
    argv[1] = quiet;
    ++*argc;
}

const char *program_one_rank(const struct config *config, char *text, size_t size)
{
    text[0] = '\0';
    if (config->scenario->one_rank)
        snprintf(text, size, "scenario %s runs on one rank: %s", config->scenario->name,
                 config->scenario->one_rank);
    else if (config->pattern.kind != PATTERN_PAIRS)
        snprintf(text, size,
                 "--pattern %s runs on one rank: publishers and subscribers of a message are counted "
                 "together, and would be on "
                 "different hosts; pairs run over ranks",
                 pattern_name(&config->pattern));
    return text;
}

// DIR/ranks/RANK, where there is a record.
static int make_folder(const struct config *config, char *folder, size_t size, struct err *err)
{
    folder[0] = '\0';
    if (!config->record_dir)
        return 0;
    snprintf(folder, size, "%s/ranks/%d", config->record_dir, config->ranks->rank);
    int code = record_make_folder(folder);
    return code < 0 ? err_set(err, code, "cannot make the folder %s: %s", folder, strerror(-code)) : 0;
}

int program_follow(struct config *config, struct err *err)
{
    char folder[4096];
    struct run run;
    int code = make_folder(config, folder, sizeof folder, err);
    config->ranks_folder = folder[0] ? folder : NULL;
    bool open = code == 0 && (code = run_open(&run, config, NULL, err)) == 0;
    code = ranks_ready(config->ranks, code, err);
    if (!open)
        return EXIT_FAILED;
    code = code == 0 ? ranks_follow(&run) : EXIT_FAILED;
    run_close(&run);
    return code;
}

void program_end_ranks(struct run *run)
{
    char text[400];
    if (!run->ranks)
        return;
    ranks_measure_clocks(run->ranks);
    ranks_finish(run->ranks);
    run_collect(run);
    if (ranks_trouble(run->ranks, text, sizeof text)[0])
        run_break(run, "%s", text);
}
