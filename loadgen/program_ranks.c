// SPDX-License-Identifier: Apache-2.0
#include "loadgen/program_ranks.h"

#include "base/record.h"
#include "loadgen/command_line.h"
#include "loadgen/ranks_follow.h"
#include "loadgen/ranks_start.h"
#include "loadgen/run_setup.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
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

static bool only_watches(int argc, char **argv)
{
    for (int i = 1; i < argc; i++)
        if (strcmp(argv[i], "--only-watch") == 0)
            return true;
    return false;
}

void program_leave_to_leader(int *argc, char **argv)
{
    static const struct {
        const char *option;
        bool takes;
    } leaders[] = {{"--watch-pid", true}, {"--watch-record", true},  {"--metrics", true},
                   {"--beside", true},    {"--json", false},         {"--all", false},
                   {"--hgrm", false},     {"--self-latency", false}, {"--quiet", false}};
    size_t first = only_watches(*argc, argv); // --watch-pid stays
    for (int i = 1; i < *argc;) {
        int words = 0;
        for (size_t j = first; j < sizeof leaders / sizeof *leaders && words == 0; j++)
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
    if (config->only_watch && config->watch.count == 0)
        snprintf(text, size, "--only-watch: give --watch-pid, the processes on this rank's host");
    else if (config->pattern.kind != PATTERN_PAIRS)
        (void)ranks_shares_topic(&config->identity, pattern_name(&config->pattern), text, size);
    return text;
}

// FNV-1a of 64 bits: against accidents, not against a forger.
static uint64_t sum_bytes(uint64_t sum, const void *bytes, size_t count)
{
    for (size_t i = 0; i < count; i++)
        sum = (sum ^ ((const uint8_t *)bytes)[i]) * 1099511628211U;
    return sum;
}

static uint64_t sum_users(uint64_t sum, const struct users *users)
{
    for (int64_t i = 0; i < users->count; i++) {
        const struct users_row *row = &users->rows[i];
        sum = sum_bytes(sum, row->user, row->user_bytes + 1);
        sum = sum_bytes(sum, row->password, row->has_password ? row->password_bytes : 0);
        sum = sum_bytes(sum, &row->has_password, sizeof row->has_password);
    }
    return sum;
}

static uint64_t sum_files(uint64_t sum, const struct config *config)
{
    const char *password = config->identity.password;
    sum = sum_users(sum, &config->identity.users);
    sum = sum_bytes(sum, password, password ? strlen(password) : 0);
    return sum_bytes(sum, config->payload.file, config->payload.file ? config->payload.file_bytes : 0);
}

// The options as the record has them, and what is in the files that they name.
uint64_t program_sum(const struct config *config)
{
    uint64_t sum = 14695981039346656037U;
    json_t *json = command_line_json(config);
    json_object_del(json, "beside"); // rank 0 alone has it
    char *text = json ? json_dumps(json, JSON_COMPACT | JSON_SORT_KEYS) : NULL;
    sum = sum_bytes(sum, text, text ? strlen(text) : 0);
    sum = sum_bytes(sum, &config->seed, sizeof config->seed);
    sum = sum_files(sum, config);
    for (int i = 0; i < config->crew_count; i++)
        sum = sum_files(sum, config->crews[i].config);
    free(text);
    json_decref(json);
    return sum;
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

void program_leave_out_lost(const struct ranks *ranks, struct record *record)
{
    char folder[32];
    for (int rank = 1; record && ranks_lead(ranks) && rank < ranks->size; rank++) {
        snprintf(folder, sizeof folder, "ranks/%d", rank);
        if (!ranks->of[rank].part) // what it tells is sent when its files are closed
            record_leave_out(record, folder);
    }
}

// The curve of a rank that only watches, where that rank's own folder is on another disk.
static int write_curve(const struct ranks *ranks, int rank, const struct record *record)
{
    char folder[4096], path[4112];
    const struct rank_state *of = &ranks->of[rank];
    snprintf(folder, sizeof folder, "%s/ranks/%d", record_dir(record), rank);
    snprintf(path, sizeof path, "%s/memory.csv", folder);
    int code = record_make_folder(folder);
    FILE *file = code == 0 ? fopen(path, "wxe") : NULL;
    if (!file)
        return code < 0 ? code : errno == EEXIST ? 0 : -errno;
    bool whole = fwrite(of->curve, 1, of->curve_bytes, file) == of->curve_bytes;
    return fclose(file) == 0 && whole ? 0 : -EIO;
}

static void write_curves(struct run *run)
{
    for (int rank = 1; run->record && rank < run->ranks->size; rank++) {
        int code = run->ranks->of[rank].curve ? write_curve(run->ranks, rank, run->record) : 0;
        if (code < 0)
            run_anomaly(run, "disk", "ranks/%d/memory.csv cannot be written: %s", rank, strerror(-code));
    }
}

void program_end_ranks(struct run *run)
{
    char text[400];
    if (!run->ranks)
        return;
    ranks_measure_clocks(run->ranks);
    ranks_finish(run->ranks);
    write_curves(run);
    run_collect(run);
    if (ranks_trouble(run->ranks, text, sizeof text)[0])
        run_break(run, "%s", text);
}
