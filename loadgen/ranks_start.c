// SPDX-License-Identifier: Apache-2.0
#include "loadgen/ranks_start.h"

#include "base/build.h"
#include "base/clock.h"
#include "base/host.h"
#include "base/text_file.h"
#include "loadgen/engine.h"
#include "loadgen/pattern_parts.h"
#include "loadgen/payload.h"
#include "loadgen/plan.h"
#include "loadgen/ranks_frames.h"
#include "loadgen/room.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/random.h>
#include <unistd.h>

#define FINISH_NS (30 * NS_PER_S)

// --- opening -----------------------------------------------------------------------------------------------

static int map_histograms(struct ranks *ranks)
{
    size_t each = hist_bytes();
    char *at = mmap(NULL, LATENCY_COUNT * each, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (at == MAP_FAILED)
        return -ENOMEM;
    ranks->hist_memory = at;
    for (int kind = 0; kind < LATENCY_COUNT; kind++, at += each)
        ranks->in[kind] = hist_init(at);
    return 0;
}

static int await_hello(struct ranks *ranks, struct err *err)
{
    struct link_frame frame;
    struct ranks_hello hello;
    int code;
    while ((code = link_next(&ranks->link, &frame)) == 0)
        link_wait(&ranks->link, NS_PER_S);
    if (code < 0 || frame.kind != RANKS_HELLO || frame.count != sizeof hello)
        return err_set(err, -EPIPE, "MPI could not be started: its process beside this one has ended");
    memcpy(&hello, frame.bytes, sizeof hello);
    ranks->rank = hello.rank;
    ranks->size = hello.size;
    if (ranks->size > RANKS_MAX)
        return err_set(err, -EINVAL, "%d ranks are more than %d", ranks->size, RANKS_MAX);
    return 0;
}

int ranks_open(struct ranks **ranks, int fd, struct err *err)
{
    struct ranks *made = calloc(1, sizeof *made);
    *ranks = NULL;
    if (!made) {
        close(fd);
        return err_set(err, -ENOMEM, "out of memory");
    }
    link_open(&made->link, fd);
    made->last = &made->waiting;
    int code = await_hello(made, err);
    if (code == 0 && made->rank == 0 && made->size > 1) {
        made->of = calloc((size_t)made->size, sizeof *made->of);
        if (!made->of || map_histograms(made) < 0)
            code = err_set(err, -ENOMEM, "out of memory for %d ranks", made->size);
    }
    if (code == 0 && made->size > 1) {
        *ranks = made;
        return 0;
    }
    if (code == 0) {
        free(made->link.in.bytes); // alone: the relay only waits for the end of this process
        free(made);
        return 0;
    }
    ranks_close(made);
    return code;
}

void ranks_close(struct ranks *ranks)
{
    if (!ranks)
        return;
    for (int rank = 0; ranks->of && rank < ranks->size; rank++) {
        json_decref(ranks->of[rank].facts);
        json_decref(ranks->of[rank].part);
        free(ranks->of[rank].curve);
    }
    ranks_forget_latencies(ranks);
    if (ranks->hist_memory)
        munmap(ranks->hist_memory, LATENCY_COUNT * hist_bytes());
    json_decref(ranks->settings);
    free(ranks->order);
    free(ranks->parts);
    free(ranks->of);
    division_free(&ranks->division);
    (void)!link_drain(&ranks->link, 5 * NS_PER_S);
    link_close(&ranks->link);
    free(ranks);
}

// --- what a rank says of itself ----------------------------------------------------------------------------

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
             sizeof(struct ranks_order), sizeof(struct ranks_counts));
}

static json_t *facts_json(const struct config *config, const char *wrong)
{
    char network[160], build[160];
    struct room_facts room;
    struct ports ports = {.way = PORTS_KERNEL};
    struct err err = {0};
    int64_t limit = 0;
    const struct engine *engine = config->engine;
    network_name(network, sizeof network);
    build_name(build, sizeof build);
    room_facts_read(&room);
    if (!wrong && host_raise_nofile(&limit, &err) < 0)
        wrong = err.text;
    if (!wrong &&
        ports_choose(&ports, config->ports, engine->caps & ENGINE_CAP_BIND, config->prefix, &err) < 0)
        wrong = err.text;
    int64_t holds = wrong ? 0 : engine_process_clients(engine, limit);
    return json_pack("{s:s?,s:s,s:s,s:b,s:o,s:I,s:I,s:{s:I,s:I,s:I,s:I}}", "wrong", wrong, "network", network,
                     "build", build, "only_watches", config->only_watch, "host", host_facts(),
                     "process_clients", (json_int_t)holds, "ports_each",
                     (json_int_t)(wrong ? 0 : ports_per_route(&ports)), "room", "memory_bytes",
                     (json_int_t)room.memory_bytes, "file_max", (json_int_t)room.file_max, "files",
                     (json_int_t)room.files, "processors", (json_int_t)room.processors);
}

static int64_t number_of(const json_t *json, const char *key)
{
    json_t *value = json_object_get(json, key);
    return json_is_integer(value) ? json_integer_value(value) : -1;
}

static const char *text_of(const json_t *json, const char *key)
{
    const char *text = json_string_value(json_object_get(json, key));
    return text ? text : "";
}

static void send_json(struct ranks *ranks, int kind, int rank, const json_t *json)
{
    char *text = json ? json_dumps(json, JSON_COMPACT) : NULL;
    if (text)
        (void)!link_send(&ranks->link, kind, rank, text, strlen(text));
    free(text);
}

// --- rank 0 ------------------------------------------------------------------------------------------------

// Waits until `there` is true of each other rank. -ETIMEDOUT, -EPIPE with the text.
static int await_others(struct ranks *ranks, bool (*there)(const struct rank_state *), const char *what,
                        struct err *err)
{
    int64_t until_ns = clock_now_ns() + RANKS_START_NS;
    for (;;) {
        char text[300];
        int missing = 0;
        (void)!ranks_hear(ranks);
        for (int rank = ranks->size - 1; rank > 0; rank--)
            missing = there(&ranks->of[rank]) ? missing : rank;
        if (ranks_trouble(ranks, text, sizeof text)[0])
            return err_set(err, -ECHILD, "%s", text);
        if (missing == 0)
            return 0;
        if (ranks->asked[0])
            return err_set(err, -EINTR, "interrupted by %s", ranks->asked);
        if (clock_now_ns() > until_ns)
            return err_set(err, -ETIMEDOUT, "rank %d did not %s in time", missing, what);
        link_wait(&ranks->link, 10 * NS_PER_MS);
    }
}

static bool has_facts(const struct rank_state *of)
{
    return of->facts != NULL;
}

static bool is_ready(const struct rank_state *of)
{
    return of->ready;
}

static int check_facts(const struct ranks *ranks, bool *apart, struct err *err)
{
    *apart = true;
    for (int rank = 0; rank < ranks->size; rank++) {
        const json_t *facts = ranks->of[rank].facts, *first = ranks->of[0].facts;
        const char *wrong = text_of(facts, "wrong");
        if (wrong[0])
            return rank == 0 ? err_set(err, -EINVAL, "%s", wrong)
                             : err_set(err, -EINVAL, "rank %d: %s", rank, wrong);
        if (rank == 0 && ranks_only_watches(ranks, 0))
            return err_set(err, -EINVAL, "--only-watch: rank 0 leads the run, and has clients");
        if (strcmp(text_of(facts, "build"), text_of(first, "build")) != 0)
            return err_set(err, -EINVAL,
                           "rank %d runs another build than rank 0 (%s, %s): install the same on all hosts",
                           rank, text_of(facts, "build"), text_of(first, "build"));
        for (int other = 0; other < rank; other++)
            if (strcmp(text_of(facts, "network"), text_of(ranks->of[other].facts, "network")) == 0)
                *apart = false;
    }
    return 0;
}

static void judge(const struct ranks *ranks, const struct config *config, int rank, int64_t clients,
                  struct room *room)
{
    const json_t *facts = json_object_get(ranks->of[rank].facts, "room");
    struct room_facts has = {.memory_bytes = number_of(facts, "memory_bytes"),
                             .file_max = number_of(facts, "file_max"),
                             .files = number_of(facts, "files"),
                             .processors = number_of(facts, "processors")};
    room_judge(room, &has, config->engine, clients);
}

// Parts of such a pattern (pattern_parts.h) have as many of both ends, too.
static bool has_as_many(const struct pattern *pattern)
{
    return pattern->kind != PATTERN_PAIRS && pattern->publishers == pattern->subscribers - pattern->apart;
}

static int make_parts(struct ranks *ranks, const struct config *config, struct err *err)
{
    if (config->pattern.kind == PATTERN_PAIRS)
        return 0;
    ranks->parts = calloc((size_t)ranks->size, sizeof *ranks->parts);
    if (!ranks->parts)
        return err_set(err, -ENOMEM, "out of memory for %d ranks", ranks->size);
    return pattern_parts_make(ranks->parts, &config->pattern, &ranks->division, config->connections, err);
}

static int divide(struct ranks *ranks, const struct config *config, bool apart, struct err *err)
{
    struct division_rank *of = calloc((size_t)ranks->size, sizeof *of);
    if (!of)
        return err_set(err, -ENOMEM, "out of memory for %d ranks", ranks->size);
    for (int rank = 0; rank < ranks->size; rank++) {
        const json_t *facts = ranks->of[rank].facts;
        struct room room;
        judge(ranks, config, rank, 0, &room);
        of[rank] = (struct division_rank){.cores = number_of(json_object_get(facts, "host"), "cores"),
                                          .process_clients = number_of(facts, "process_clients"),
                                          .room_clients = room.clients,
                                          .only_watches = ranks_only_watches(ranks, rank)};
    }
    struct division_request request = {.way = config->share,
                                       .clients = config->connections,
                                       .engine_clients = config->engine->clients,
                                       .clients_per_worker = config->clients_per_worker,
                                       .workers = config->workers,
                                       .split = config->split,
                                       .even = config->even || has_as_many(&config->pattern),
                                       .ranks = ranks->size,
                                       .of = of};
    int code = division_make(&ranks->division, &request, err);
    free(of);
    ranks->division.apart = apart;
    return code < 0 ? code : make_parts(ranks, config, err);
}

// Ranks of one host share its room.
static bool same_host(const struct ranks *ranks, int a, int b)
{
    const char *one = text_of(ranks->of[a].facts, "network"), *other = text_of(ranks->of[b].facts, "network");
    size_t boot = strcspn(one, " ");
    return boot > 0 && strncmp(one, other, boot + 1) == 0;
}

static int check_room(const struct ranks *ranks, const struct config *config, struct err *err)
{
    for (int rank = 0; rank < ranks->size; rank++) {
        int64_t clients = division_clients(&ranks->division, config->connections, rank), all = 0;
        struct room room;
        for (int other = 0; other < ranks->size; other++)
            if (same_host(ranks, rank, other))
                all += division_clients(&ranks->division, config->connections, other);
        judge(ranks, config, rank, all > clients ? all : clients, &room);
        if (all > room.clients)
            return err_set(err, -EINVAL,
                           "rank %d has no room for its %lld clients%s: %s: %s. Mend it there: %s", rank,
                           (long long)clients, all > clients ? ", beside those of ranks on its host" : "",
                           room.by, room.text, room.mend);
    }
    return 0;
}

static int tell_settings(struct ranks *ranks, const struct config *config, struct err *err)
{
    uint32_t random; // the run's number, which no other run on the same topics has
    json_t *workers = json_array();
    if (getrandom(&random, sizeof random, 0) != (ssize_t)sizeof random)
        return err_set(err, -EIO, "cannot get random bytes: %m");
    for (int rank = 0; rank < ranks->size; rank++)
        json_array_append_new(workers, json_integer(ranks->division.workers[rank]));
    ranks->settings = json_pack("{s:s,s:I,s:I,s:b,s:o}", "prefix", config->prefix, "number",
                                (json_int_t)(random >> (32 - PAYLOAD_RUN_BITS)), "clients_per_worker",
                                (json_int_t)ranks->division.clients_per_worker, "apart",
                                ranks->division.apart, "workers", workers);
    for (int rank = 1; rank < ranks->size; rank++)
        send_json(ranks, RANKS_SETTINGS, rank, ranks->settings);
    return 0;
}

static int lead(struct ranks *ranks, struct config *config, struct err *err)
{
    bool apart;
    int code = await_others(ranks, has_facts, "say what it has", err);
    if (code == 0)
        code = check_facts(ranks, &apart, err);
    if (code == 0)
        code = divide(ranks, config, apart, err);
    if (code == 0)
        code = check_room(ranks, config, err);
    if (code < 0)
        ranks_refuse(ranks);
    return code < 0 ? -EINVAL : 0;
}

void ranks_refuse(struct ranks *ranks)
{
    for (int rank = 1; ranks_lead(ranks) && rank < ranks->size; rank++)
        (void)!link_send(&ranks->link, RANKS_REFUSED, rank, NULL, 0);
}

// Ports are looked at by the plan, which only rank 0 has seen so far.
static int check_ports(const struct ranks *ranks, const struct plan *plan, struct err *err)
{
    int64_t needed = plan_per_route(plan);
    for (int rank = 1; rank < ranks->size; rank++) {
        int64_t has = number_of(ranks->of[rank].facts, "ports_each");
        if (needed > has && !ranks_only_watches(ranks, rank))
            return err_set(
                err, -EINVAL,
                "rank %d has no room for its clients: they need %lld local ports a route, and there are "
                "%lld. Mend it there: sudo sysctl -w net.ipv4.ip_local_port_range=\"1024 65535\"",
                rank, (long long)needed, (long long)has);
    }
    return 0;
}

int ranks_begin(struct ranks *ranks, const struct config *config, const struct plan *plan, struct err *err)
{
    if (!ranks_lead(ranks))
        return 0;
    int code = check_ports(ranks, plan, err);
    if (code == 0)
        code = tell_settings(ranks, config, err);
    return code;
}

// --- the others --------------------------------------------------------------------------------------------

static int take_settings(struct ranks *ranks, struct config *config)
{
    const json_t *settings = ranks->settings, *workers = json_object_get(settings, "workers");
    struct division *division = &ranks->division;
    *division = (struct division){.rank = ranks->rank,
                                  .ranks = ranks->size,
                                  .clients_per_worker = number_of(settings, "clients_per_worker"),
                                  .apart = json_is_true(json_object_get(settings, "apart")),
                                  .split = config->split,
                                  .workers = calloc((size_t)ranks->size, sizeof *division->workers)};
    if (!division->workers || json_array_size(workers) != (size_t)ranks->size)
        return -EPROTO;
    for (int rank = 0; rank < ranks->size; rank++)
        division->workers[rank] = (int)json_integer_value(json_array_get(workers, (size_t)rank));
    snprintf(config->prefix, sizeof config->prefix, "%s", text_of(settings, "prefix"));
    return make_parts(ranks, config, NULL);
}

static int follow(struct ranks *ranks, struct config *config)
{
    int64_t until_ns = clock_now_ns() + 2 * RANKS_START_NS;
    while (!ranks->settings && !ranks->ended && !ranks->trouble[0] && clock_now_ns() < until_ns) {
        if (ranks_hear(ranks) == 0)
            link_wait(&ranks->link, 10 * NS_PER_MS);
    }
    return ranks->settings && !ranks->ended && take_settings(ranks, config) == 0 ? 0 : -ECANCELED;
}

int ranks_start(struct ranks *ranks, struct config *config, const char *wrong, struct err *err)
{
    json_t *facts = facts_json(config, wrong);
    int code;
    ranks->clients = config->connections;
    ranks->connecting = config->connections - config->later;
    if (ranks->rank == 0) {
        ranks->of[0].facts = facts;
        code = lead(ranks, config, err);
    } else {
        send_json(ranks, RANKS_FACTS, 0, facts);
        json_decref(facts);
        code = follow(ranks, config);
    }
    if (code == 0)
        config->ranks = ranks;
    return code;
}

uint32_t ranks_number(const struct ranks *ranks)
{
    return (uint32_t)number_of(ranks->settings, "number");
}

// --- the workers are there, the end ------------------------------------------------------------------------

int ranks_ready(struct ranks *ranks, int code, struct err *err)
{
    if (!ranks)
        return code;
    if (ranks->rank > 0) {
        if (code < 0)
            ranks_tell_trouble(ranks, err->text);
        else
            (void)!link_send(&ranks->link, RANKS_READY, 0, NULL, 0);
        return code;
    }
    if (code == 0)
        code = await_others(ranks, is_ready, "start its workers", err);
    for (int rank = 1; code < 0 && rank < ranks->size; rank++)
        (void)!link_send(&ranks->link, RANKS_END, rank, NULL, 0);
    return code;
}

void ranks_finish(struct ranks *ranks)
{
    if (!ranks_lead(ranks))
        return;
    int64_t until_ns = clock_now_ns() + FINISH_NS;
    for (int rank = 1; rank < ranks->size; rank++)
        (void)!link_send(&ranks->link, RANKS_END, rank, NULL, 0);
    for (int rank = 1; rank < ranks->size; rank++) {
        while (!ranks->of[rank].part && !ranks->of[rank].lost && clock_now_ns() < until_ns)
            if (ranks_hear(ranks) == 0)
                link_wait(&ranks->link, 10 * NS_PER_MS);
        if (!ranks->of[rank].part)
            ranks_lose(ranks, rank, "it did not end in time");
    }
}
