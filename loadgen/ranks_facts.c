// SPDX-License-Identifier: Apache-2.0
#include "loadgen/ranks_facts.h"

#include "base/build.h"
#include "base/host.h"
#include "base/text_file.h"
#include "loadgen/engine.h"
#include "loadgen/ranks_frames.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

int64_t ranks_facts_number(const json_t *json, const char *key)
{
    json_t *value = json_object_get(json, key);
    return json_is_integer(value) ? json_integer_value(value) : -1;
}

const char *ranks_facts_text(const json_t *json, const char *key)
{
    const char *text = json_string_value(json_object_get(json, key));
    return text ? text : "";
}

// --- what a rank says --------------------------------------------------------------------------------------

// The kernel and its network namespace: ranks with the same have the same addresses and ports.
static void network_name(char *name, size_t size)
{
    char boot[64] = "", space[64] = "";
    if (text_file_read("/proc/sys/kernel/random/boot_id", boot, sizeof boot) < 0)
        boot[0] = '\0';
    ssize_t bytes = readlink("/proc/self/ns/net", space, sizeof space - 1);
    space[bytes > 0 ? bytes : 0] = '\0';
    boot[strcspn(boot, "\n")] = '\0';
    snprintf(name, size, "%s %s", boot, space);
}

// Whether two ranks run one build: they exchange its structs.
static void build_name(char *name, size_t size)
{
    snprintf(name, size, "%s %s %zu %zu", build_facts()->version, build_facts()->commit,
             sizeof(struct crew_act), sizeof(struct ranks_told));
}

// Are targets found here, and sources read? `*here`: how many of the sources are of this host.
static int check_addresses(const struct config *config, int *here, struct err *err)
{
    struct plan_request request = {.clients = 1,
                                   .engine_clients = 1,
                                   .clients_max = 1,
                                   .cores = 1,
                                   .spread_pairs = true,
                                   .can_bind = config->engine->caps & ENGINE_CAP_BIND,
                                   .targets = config->targets.values,
                                   .target_count = config->targets.count,
                                   .sources = config->sources.values,
                                   .source_count = config->sources.count,
                                   .ports = {.way = PORTS_KERNEL}};
    struct plan plan;
    int code = plan_make(&plan, &request, err);
    if (code < 0)
        return code;
    *here = plan_sources_here(&plan);
    plan_free(&plan);
    return 0;
}

json_t *ranks_facts_json(const struct config *config, const struct ranks_asked *asked)
{
    const char *wrong = asked->wrong;
    char network[160], build[160], run[20];
    struct room_facts room;
    struct ports ports = {.way = PORTS_KERNEL};
    struct err err = {0};
    int64_t limit = 0;
    int here = 0;
    const struct engine *engine = config->engine;
    network_name(network, sizeof network);
    build_name(build, sizeof build);
    room_facts_read(&room);
    if (!wrong && host_raise_nofile(&limit, &err) < 0)
        wrong = err.text;
    if (!wrong &&
        ports_choose(&ports, config->ports, engine->caps & ENGINE_CAP_BIND, config->prefix, &err) < 0)
        wrong = err.text;
    if (!wrong && check_addresses(config, &here, &err) < 0)
        wrong = err.text;
    snprintf(run, sizeof run, "%016" PRIx64, asked->sum);
    int64_t holds = wrong ? 0 : engine_process_clients(engine, limit);
    return json_pack("{s:s?,s:s,s:s,s:s,s:b,s:i,s:o,s:I,s:I,s:{s:I,s:I,s:I,s:I,s:I}}", "wrong", wrong,
                     "network", network, "build", build, "run", run, "only_watches", config->only_watch,
                     "sources_here", here, "host", host_facts(), "process_clients", (json_int_t)holds,
                     "ports_each", (json_int_t)(wrong ? 0 : ports_per_route(&ports)), "room", "memory_bytes",
                     (json_int_t)room.memory_bytes, "file_max", (json_int_t)room.file_max, "files",
                     (json_int_t)room.files, "processors", (json_int_t)room.processors, "processes",
                     (json_int_t)room.processes);
}

// --- what rank 0 reads in it -------------------------------------------------------------------------------

static int check_one(const struct ranks *ranks, int rank, struct err *err)
{
    const json_t *facts = ranks->of[rank].facts, *first = ranks->of[0].facts;
    const char *wrong = ranks_facts_text(facts, "wrong");
    if (wrong[0])
        return rank == 0 ? err_set(err, -EINVAL, "%s", wrong)
                         : err_set(err, -EINVAL, "rank %d: %s", rank, wrong);
    if (rank == 0 && ranks_only_watches(ranks, 0))
        return err_set(err, -EINVAL, "--only-watch: rank 0 leads the run, and has clients");
    if (strcmp(ranks_facts_text(facts, "build"), ranks_facts_text(first, "build")) != 0)
        return err_set(err, -EINVAL,
                       "rank %d runs another build than rank 0 (%s, %s): install the same on all hosts", rank,
                       ranks_facts_text(facts, "build"), ranks_facts_text(first, "build"));
    if (strcmp(ranks_facts_text(facts, "run"), ranks_facts_text(first, "run")) != 0)
        return err_set(err, -EINVAL,
                       "rank %d would play another run than rank 0: its options, or the files that they name "
                       "(--mix, --users, --payload-file, --payload-template), are others there. Give all "
                       "ranks the same options, and all hosts the same files at the same paths",
                       rank);
    return 0;
}

// Each rank takes those of --source that its host has.
static int check_sources(const struct ranks *ranks, const struct config *config, struct err *err)
{
    for (int rank = 0; config->sources.count > 0 && rank < ranks->size; rank++)
        if (!ranks_only_watches(ranks, rank) &&
            ranks_facts_number(ranks->of[rank].facts, "sources_here") == 0)
            return err_set(err, -EINVAL, "rank %d: --source: none of the addresses is of its host", rank);
    return 0;
}

int ranks_facts_check(const struct ranks *ranks, const struct config *config, bool *apart, struct err *err)
{
    *apart = true;
    for (int rank = 0; rank < ranks->size; rank++) {
        int code = check_one(ranks, rank, err);
        if (code < 0)
            return code;
        for (int other = 0; other < rank; other++)
            if (strcmp(ranks_facts_text(ranks->of[rank].facts, "network"),
                       ranks_facts_text(ranks->of[other].facts, "network")) == 0)
                *apart = false;
    }
    return check_sources(ranks, config, err);
}

int ranks_facts_beside(const struct ranks *ranks, int rank)
{
    int count = 0;
    for (int other = 0; other < ranks->size; other++)
        count += other == rank || ranks_facts_same_host(ranks, rank, other);
    return count;
}

void ranks_facts_room(const struct ranks *ranks, const struct config *config, int rank, int64_t clients,
                      struct room *room)
{
    const json_t *facts = json_object_get(ranks->of[rank].facts, "room");
    struct room_facts has = {.memory_bytes = ranks_facts_number(facts, "memory_bytes"),
                             .file_max = ranks_facts_number(facts, "file_max"),
                             .files = ranks_facts_number(facts, "files"),
                             .processors = ranks_facts_number(facts, "processors"),
                             .processes = ranks_facts_number(facts, "processes")};
    struct room_asked asked = {.engine = config->engine,
                               .clients = clients,
                               .ranks = ranks_facts_beside(ranks, rank),
                               .workers = config->crew_count > 0 ? 0 : config->workers};
    room_judge(room, &has, &asked);
}

// Ranks of one host share its room.
bool ranks_facts_same_host(const struct ranks *ranks, int a, int b)
{
    const char *one = ranks_facts_text(ranks->of[a].facts, "network"),
               *other = ranks_facts_text(ranks->of[b].facts, "network");
    size_t boot = strcspn(one, " ");
    return boot > 0 && strncmp(one, other, boot + 1) == 0;
}
