// SPDX-License-Identifier: Apache-2.0
#include "loadgen/ranks_start.h"

#include "base/clock.h"
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
        if (!made->of)
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
        free(ranks->of[rank].shares);
    }
    ranks_forget_latencies(ranks);
    if (ranks->hist_memory)
        munmap(ranks->hist_memory, ranks->hist_memory_bytes);
    json_decref(ranks->settings);
    free(ranks->order);
    free(ranks->of);
    ranks_shares_close(&ranks->shares);
    (void)!link_drain(&ranks->link, 5 * NS_PER_S);
    link_close(&ranks->link);
    free(ranks);
}

// --- counts and latencies of the others --------------------------------------------------------------------

static int map_histograms(struct ranks *ranks)
{
    size_t each = hist_bytes(), bytes = (size_t)ranks->shares.count * LATENCY_COUNT * each;
    // Zeroed, and a histogram that stays empty takes no memory.
    char *at = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (at == MAP_FAILED)
        return -ENOMEM;
    ranks->hist_memory = at;
    ranks->hist_memory_bytes = bytes;
    for (int share = 0; share < ranks->shares.count; share++)
        for (int kind = 0; kind < LATENCY_COUNT; kind++, at += each)
            ranks->in[share][kind] = hist_init(at);
    return 0;
}

int ranks_share_out(struct ranks *ranks, const struct config *config, struct err *err)
{
    ranks_shares_open(&ranks->shares, config, ranks->rank, ranks->size);
    bool fine = ranks->rank > 0 || map_histograms(ranks) == 0;
    for (int rank = 1; ranks_lead(ranks) && rank < ranks->size && fine; rank++) {
        ranks->of[rank].shares = calloc((size_t)ranks->shares.count, sizeof *ranks->of[rank].shares);
        fine = ranks->of[rank].shares != NULL;
    }
    return fine ? 0 : err_set(err, -ENOMEM, "out of memory for the counts of %d ranks", ranks->size);
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

struct bound { // what bounds a rank's room
    char text[520];
};

// The room of a host is for all of its ranks.
static void tell_room(struct division_rank *of, struct bound *bound, const struct ranks *ranks,
                      const struct config *config, int rank)
{
    const json_t *facts = ranks->of[rank].facts;
    struct room room;
    ranks_facts_room(ranks, config, rank, config->connections, &room);
    snprintf(bound->text, sizeof bound->text, "%s: %s. Mend it there: %s", room.by, room.text, room.mend);
    *of = (struct division_rank){.cores = ranks_facts_number(json_object_get(facts, "host"), "cores"),
                                 .process_clients = ranks_facts_number(facts, "process_clients"),
                                 .room_clients = room.clients / ranks_facts_beside(ranks, rank),
                                 .only_watches = ranks_only_watches(ranks, rank),
                                 .bound = room.by[0] ? bound->text : NULL};
}

static int divide(struct ranks *ranks, const struct config *config, bool apart, struct err *err)
{
    struct division_rank *of = calloc((size_t)ranks->size, sizeof *of);
    struct bound *bounds = calloc((size_t)ranks->size, sizeof *bounds);
    int code = -ENOMEM;
    if (of && bounds) {
        for (int rank = 0; rank < ranks->size; rank++)
            tell_room(&of[rank], &bounds[rank], ranks, config, rank);
        code = ranks_shares_make(&ranks->shares, config, of, apart, err);
    } else {
        err_set(err, code, "out of memory for %d ranks", ranks->size);
    }
    free(of);
    free(bounds);
    return code;
}

static int check_room(const struct ranks *ranks, const struct config *config, struct err *err)
{
    for (int rank = 0; rank < ranks->size; rank++) {
        int64_t clients = ranks_shares_clients(&ranks->shares, rank), all = clients;
        struct room room;
        for (int other = 0; other < ranks->size; other++)
            if (other != rank && ranks_facts_same_host(ranks, rank, other))
                all += ranks_shares_clients(&ranks->shares, other);
        ranks_facts_room(ranks, config, rank, all, &room);
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
    if (getrandom(&random, sizeof random, 0) != (ssize_t)sizeof random)
        return err_set(err, -EIO, "cannot get random bytes: %m");
    ranks->settings = json_pack("{s:s,s:I,s:o}", "prefix", config->prefix, "number",
                                (json_int_t)(random >> (32 - PAYLOAD_RUN_BITS)), "shares",
                                ranks_shares_json(&ranks->shares));
    for (int rank = 1; rank < ranks->size; rank++)
        send_json(ranks, RANKS_SETTINGS, rank, ranks->settings);
    return 0;
}

static int lead(struct ranks *ranks, struct config *config, struct err *err)
{
    bool apart;
    int code = await_others(ranks, has_facts, "say what it has", err);
    if (code == 0)
        code = ranks_facts_check(ranks, config, &apart, err);
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

// Ports are looked at by the plan, which only rank 0 has seen so far. Of --source each rank has those of its own host.
static int check_ports(const struct ranks *ranks, const struct plan *plan, struct err *err)
{
    for (int rank = 1; rank < ranks->size; rank++) {
        const json_t *facts = ranks->of[rank].facts;
        struct plan theirs = *plan;
        if (ranks_only_watches(ranks, rank))
            continue;
        int64_t sources = ranks_facts_number(facts, "sources_here");
        if (sources > 0)
            theirs.source_count = (int)sources;
        int64_t needed = plan_per_route(&theirs), has = ranks_facts_number(facts, "ports_each");
        if (needed > has)
            return err_set(err, -EINVAL,
                           "rank %d has no room for its clients: they need %lld local ports a route, and "
                           "there are %lld. "
                           "Mend it there: sudo sysctl -w net.ipv4.ip_local_port_range=\"1024 65535\", or "
                           "more addresses "
                           "of that host by --source, or more --target",
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
    const json_t *settings = ranks->settings;
    snprintf(config->prefix, sizeof config->prefix, "%s", ranks_facts_text(settings, "prefix"));
    return ranks_shares_take(&ranks->shares, config, json_object_get(settings, "shares"), NULL);
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

int ranks_start(struct ranks *ranks, struct config *config, const struct ranks_asked *asked, struct err *err)
{
    json_t *facts = ranks_facts_json(config, asked);
    int code = asked->wrong ? 0 : ranks_share_out(ranks, config, err);
    if (ranks->rank == 0) {
        ranks->of[0].facts = facts;
        if (code == 0)
            code = lead(ranks, config, err);
        else
            ranks_refuse(ranks);
    } else {
        send_json(ranks, RANKS_FACTS, 0, facts);
        json_decref(facts);
        if (code == 0)
            code = follow(ranks, config);
    }
    if (code == 0)
        config->ranks = ranks;
    return code;
}

uint32_t ranks_number(const struct ranks *ranks)
{
    return (uint32_t)ranks_facts_number(ranks->settings, "number");
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
