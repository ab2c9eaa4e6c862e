// SPDX-License-Identifier: Apache-2.0
#include "loadgen/plan.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netdb.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

// Calls `add` with each comma-separated part of each text.
static int each_part(const char *const *texts, int count,
                     int (*add)(struct plan *, const char *, struct err *), struct plan *plan,
                     struct err *err)
{
    for (int i = 0; i < count; i++) {
        const char *at = texts[i];
        while (*at) {
            size_t bytes = strcspn(at, ",");
            char part[256];
            if (bytes >= sizeof part)
                return err_set(err, -EINVAL, "\"%.40s...\" is too long for an address", at);
            memcpy(part, at, bytes);
            part[bytes] = '\0';
            if (bytes == 0 || (at[bytes] == ',' && !at[bytes + 1]))
                return err_set(err, -EINVAL, "\"%.100s\" has a comma without an address", texts[i]);
            int code = add(plan, part, err);
            if (code < 0)
                return code;
            at += bytes + (at[bytes] == ',');
        }
    }
    return 0;
}

// Names the part of an address that is not supported; "" when it is a host with or without a port.
static const char *what_is_wrong(const char *text, const char *at)
{
    if (strstr(text, "://") && at == text)
        return "only mqtt:// and tcp:// are supported, no TLS and no WebSocket";
    if (strchr(at, '@'))
        return "a user name or password is not supported";
    if (strpbrk(at, "/?#"))
        return "a path is not supported: it ends with the port";
    if (at[0] == '[' && !strchr(at, ']'))
        return "the bracket of its IPv6 address is not closed";
    if (at[0] != '[' && strchr(at, ':') != strrchr(at, ':'))
        return "an IPv6 address takes brackets, as mqtt://[::1]:1883";
    return "";
}

// HOST and PORT of "mqtt://HOST:PORT".
static int split_target(const char *text, char *host, size_t host_size, char *port, size_t port_size,
                        struct err *err)
{
    const char *at = text;
    if (strncmp(at, "mqtt://", 7) == 0 || strncmp(at, "tcp://", 6) == 0)
        at = strstr(at, "://") + 3;
    const char *wrong = what_is_wrong(text, at);
    if (wrong[0])
        return err_set(err, -EINVAL, "--target \"%s\": %s", text, wrong);
    const char *end = at[0] == '[' ? strchr(at, ']') : at + strcspn(at, ":");
    at += at[0] == '[';
    size_t host_bytes = (size_t)(end - at);
    if (host_bytes == 0 || host_bytes >= host_size)
        return err_set(err, -EINVAL, "--target \"%s\" is not mqtt://HOST:PORT: it has no host%s", text,
                       host_bytes ? " of fewer than 256 characters" : "");
    memcpy(host, at, host_bytes);
    host[host_bytes] = '\0';
    end += *end == ']';
    int written = snprintf(port, port_size, "%s", *end ? end + 1 : "1883");
    long number = strtol(port, NULL, 10);
    if ((*end && *end != ':') || written <= 0 || (size_t)written >= port_size ||
        strspn(port, "0123456789") != (size_t)written || number < 1 || number > 65535)
        return err_set(err, -EINVAL, "--target \"%s\": its port is not a number from 1 to 65535", text);
    return 0;
}

// Takes IPv4 where a name has both: most brokers listen on it.
static int find_host(const char *host, const char *port, struct addrinfo **found)
{
    static const int families[] = {AF_INET, AF_INET6};
    int code = EAI_NONAME;
    for (int i = 0; i < 2; i++) {
        struct addrinfo hints = {.ai_family = families[i], .ai_socktype = SOCK_STREAM};
        int other = getaddrinfo(host, port, &hints, found);
        if (other == 0)
            return 0;
        code = i == 0 || code == EAI_NONAME || code == EAI_ADDRFAMILY ? other : code;
    }
    return code;
}

static int add_target(struct plan *plan, const char *text, struct err *err)
{
    char host[256], port[8], numeric[64];
    int code = split_target(text, host, sizeof host, port, sizeof port, err);
    if (code < 0)
        return code;
    if (plan->target_count == PLAN_TARGETS_MAX)
        return err_set(err, -EINVAL, "more than %d targets", PLAN_TARGETS_MAX);
    struct addrinfo *found = NULL;
    code = find_host(host, port, &found);
    if (code != 0)
        return err_set(err, -EINVAL, "--target \"%s\": cannot find \"%s\": %s", text, host,
                       gai_strerror(code));
    struct plan_target *target = &plan->targets[plan->target_count++];
    memcpy(&target->address, found->ai_addr, found->ai_addrlen);
    target->address_bytes = found->ai_addrlen;
    freeaddrinfo(found);
    for (const struct plan_target *other = plan->targets; other < target; other++)
        if (other->address_bytes == target->address_bytes &&
            memcmp(&other->address, &target->address, target->address_bytes) == 0)
            return err_set(err, -EINVAL, "--target \"%s\" is there twice", text);
    code = getnameinfo((const struct sockaddr *)&target->address, target->address_bytes, numeric,
                       sizeof numeric, NULL, 0, NI_NUMERICHOST);
    if (code != 0)
        return err_set(err, -EINVAL, "--target \"%s\": %s", text, gai_strerror(code));
    bool v6 = target->address.ss_family == AF_INET6;
    snprintf(target->uri, sizeof target->uri, v6 ? "tcp://[%s]:%s" : "tcp://%s:%s", numeric, port);
    return 0;
}

static int add_source(struct plan *plan, const char *text, struct err *err)
{
    if (plan->source_count == PLAN_SOURCES_MAX)
        return err_set(err, -EINVAL, "more than %d source addresses", PLAN_SOURCES_MAX);
    if (inet_pton(AF_INET, text, &plan->sources[plan->source_count]) != 1)
        return err_set(err, -EINVAL, "--source \"%s\" is not an IPv4 address", text);
    for (int i = 0; i < plan->source_count; i++)
        if (memcmp(&plan->sources[i], &plan->sources[plan->source_count], sizeof plan->sources[i]) == 0)
            return err_set(err, -EINVAL, "--source \"%s\" is there twice", text);
    plan->source_count++;
    return 0;
}

static bool is_here(const struct in_addr *source)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr = *source};
    int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    bool here = fd >= 0 && bind(fd, (const struct sockaddr *)&address, sizeof address) == 0;
    if (fd >= 0)
        close(fd);
    return here;
}

int plan_sources_here(const struct plan *plan)
{
    int here = 0;
    for (int i = 0; i < plan->source_count; i++)
        here += is_here(&plan->sources[i]);
    return here;
}

static int keep_own_sources(struct plan *plan, struct err *err)
{
    int own = 0, all = plan->source_count;
    for (int i = 0; i < all; i++)
        if (is_here(&plan->sources[i]))
            plan->sources[own++] = plan->sources[i];
    plan->source_count = own;
    return own > 0 || all == 0
               ? 0
               : err_set(err, -EINVAL, "--source: none of the %d addresses is of this host", all);
}

static bool all_loopback(const struct plan *plan)
{
    for (int i = 0; i < plan->target_count; i++) {
        const struct sockaddr_in *in = (const struct sockaddr_in *)&plan->targets[i].address;
        if (in->sin_family != AF_INET || ntohl(in->sin_addr.s_addr) >> 24 != 127)
            return false;
    }
    return true;
}

static int workers_of(const struct plan *plan, int rank)
{
    return plan->rank_workers ? plan->rank_workers[rank] : plan->workers;
}

int64_t plan_clients_of(const struct plan *plan, int rank)
{
    int64_t clients = 0;
    for (int worker = 0; worker < workers_of(plan, rank); worker++)
        clients += plan_share(plan, rank, worker).count;
    return clients;
}

// The clients of those that share their source addresses: of all ranks, or of the largest.
static int64_t most_of_network(const struct plan *plan)
{
    int64_t most = 0;
    if (plan->network_clients > 0)
        return plan->network_clients;
    for (int rank = 0; plan->apart && rank < plan->ranks; rank++) {
        int64_t clients = plan_clients_of(plan, rank);
        most = clients > most ? clients : most;
    }
    return plan->apart ? most : plan->clients;
}

// What bounds a route, and what else helps than more of them.
static const char *say_bound(const struct plan *plan, bool can_bind, char *text, size_t size)
{
    const struct ports *ports = &plan->ports;
    long long last = (long long)ports->first + ports->count - 1;
    if (ports->way == PORTS_KERNEL)
        snprintf(
            text, size,
            ", or %s. The bound is this program's own where the kernel searches the local ports, because "
            "past half of its range a search takes up to 200 times as long; so each client gets a port of "
            "its own",
            can_bind ? "--ports auto" : "--engine raw, which takes them at one target");
    else if (ports->count < PORTS_WIDE)
        snprintf(
            text, size,
            ", or more local ports: there are %lld (%u to %lld), an eighth is left to others. sudo sysctl -w "
            "net.ipv4.ip_local_port_range=\"1024 65535\"",
            (long long)ports->count, (unsigned)ports->first, last);
    else
        snprintf(text, size,
                 ". The bound is the local ports (%u to %lld), an eighth of which is left to others",
                 (unsigned)ports->first, last);
    return text;
}

// Where every address of 127/8 belongs to this host, the plan may take as many of them as it needs.
static bool may_add_sources(const struct plan *plan, const struct plan_request *request)
{
    return request->can_bind && plan->source_count == 0 && plan->target_count > 0 && all_loopback(plan);
}

static int sources_at_most(const struct plan *plan, const struct plan_request *request)
{
    return may_add_sources(plan, request) ? PLAN_SOURCES_MAX
           : plan->source_count > 0       ? plan->source_count
                                          : 1;
}

// Finds routes for all clients. Adds sources (127.0.1.1, 127.0.1.2, ...) when the engine can bind, no source
// was given, and all targets are on the loopback, where every address of 127/8 belongs to this host.
static int find_routes(struct plan *plan, const struct plan_request *request, struct err *err)
{
    int64_t most = ports_per_route(&plan->ports), clients = most_of_network(plan);
    int64_t needed = (clients + most - 1) / most;
    int sources = plan->source_count > 0 ? plan->source_count : 1;
    if (needed <= (int64_t)sources * plan->target_count)
        return 0;
    if (!may_add_sources(plan, request)) {
        char bound[320];
        return err_set(err, -EINVAL,
                       "%lld clients need %lld routes of at most %lld each (a route is one source address to "
                       "one target); there are %lld: give more --target%s%s",
                       (long long)clients, (long long)needed, (long long)most,
                       (long long)sources * plan->target_count,
                       request->can_bind ? " or --source" : " addresses or ports",
                       say_bound(plan, request->can_bind, bound, sizeof bound));
    }
    int64_t wanted = (needed + plan->target_count - 1) / plan->target_count;
    if (wanted > PLAN_SOURCES_MAX)
        return err_set(
            err, -EINVAL,
            "%lld clients need %lld source addresses for %d targets, %d is the most: give more --target",
            (long long)clients, (long long)wanted, plan->target_count, PLAN_SOURCES_MAX);
    for (int i = 0; i < wanted; i++)
        plan->sources[i].s_addr =
            htonl((127U << 24) + (1U << 8) + (uint32_t)i / 250 * 256 + (uint32_t)i % 250 + 1);
    plan->source_count = (int)wanted;
    return 0;
}

// A source address and a target must be of one family, and sources are IPv4.
static int check_families(const struct plan *plan, struct err *err)
{
    for (int i = 0; i < plan->target_count && plan->source_count > 0; i++)
        if (plan->targets[i].address.ss_family != AF_INET)
            return err_set(err, -EINVAL, "--source is of IPv4, and the target %s is not",
                           plan->targets[i].uri);
    return 0;
}

static int64_t round_up(int64_t value, int64_t to)
{
    return (value + to - 1) / to * to;
}

int plan_divide(struct plan *plan, const struct plan_request *request, struct err *err)
{
    int64_t unit = request->even ? 2 : 1;
    int64_t per_worker = request->clients_per_worker;
    if (per_worker == 0 && request->workers > 0)
        per_worker = (plan->clients + (int64_t)request->workers * plan->ranks - 1) /
                     ((int64_t)request->workers * plan->ranks);
    if (per_worker == 0) {
        int64_t spread = (plan->clients + (int64_t)request->cores * plan->ranks - 1) /
                         ((int64_t)request->cores * plan->ranks);
        per_worker = spread < request->engine_clients ? spread : request->engine_clients;
    }
    if (per_worker < 1)
        per_worker = 1;
    per_worker = round_up(per_worker, unit);
    bool has_some = !request->rank_workers || request->rank_workers[request->rank] > 0;
    if (has_some && per_worker > request->clients_max)
        return err_set(err, -EINVAL,
                       "%lld clients a worker are more than one process can hold (%lld): give more "
                       "--workers%s",
                       (long long)per_worker, (long long)request->clients_max,
                       request->clients_max == request->engine_most
                           ? " or a smaller --clients-per-worker. The bound is this engine's own, and open "
                             "files do not move it"
                           : ", or raise the limit of open files");
    plan->split = request->split > 0 && request->split < plan->clients ? request->split : 0;
    int64_t global = (plan->split + per_worker - 1) / per_worker +
                     (plan->clients - plan->split + per_worker - 1) / per_worker;
    int64_t workers = (global + plan->ranks - 1) / plan->ranks;
    if (workers < 1)
        workers = 1;
    if (request->rank_workers) {
        int64_t all = 0;
        for (int rank = 0; rank < plan->ranks; rank++)
            all += request->rank_workers[rank];
        if (all < global)
            return err_set(
                err, -EINVAL, "%lld clients at %lld a worker need %lld workers, the ranks have %lld",
                (long long)plan->clients, (long long)per_worker, (long long)global, (long long)all);
        plan->rank_workers = request->rank_workers;
        workers = request->rank_workers[request->rank] > 0 ? request->rank_workers[request->rank] : 1;
    }
    if (request->workers > 0 && workers > request->workers)
        return err_set(err, -EINVAL, "%lld clients at %lld a worker need %lld workers, --workers gives %d",
                       (long long)plan->clients, (long long)per_worker, (long long)workers, request->workers);
    plan->clients_per_worker = per_worker;
    plan->workers = (int)workers;
    return 0;
}

static int read_addresses(struct plan *plan, const struct plan_request *request, struct err *err)
{
    plan->targets = calloc(PLAN_TARGETS_MAX, sizeof *plan->targets);
    plan->sources = calloc(PLAN_SOURCES_MAX, sizeof *plan->sources);
    if (!plan->targets || !plan->sources)
        return err_set(err, -ENOMEM, "out of memory for the plan");
    int code = each_part(request->targets, request->target_count, add_target, plan, err);
    return code < 0 ? code : each_part(request->sources, request->source_count, add_source, plan, err);
}

int plan_count_routes(const struct plan_request *request, int *targets, int *sources, struct err *err)
{
    struct plan plan = {0};
    int code = read_addresses(&plan, request, err);
    *targets = plan.target_count;
    *sources = code < 0 ? 0 : sources_at_most(&plan, request);
    plan_free(&plan);
    return code;
}

int plan_make(struct plan *plan, const struct plan_request *request, struct err *err)
{
    *plan = (struct plan){.clients = request->clients,
                          .ports = request->ports,
                          .ranks = request->ranks > 0 ? request->ranks : 1,
                          .apart = request->apart,
                          .network_clients = request->network_clients,
                          .together = request->even && !request->spread_pairs ? 2 : 1};
    int code = read_addresses(plan, request, err);
    if (code == 0 && plan->target_count == 0)
        code = err_set(err, -EINVAL, "no --target: give at least one, as mqtt://127.0.0.1:1883");
    if (code == 0 && request->mesh && plan->target_count > 1 && !request->spread_pairs)
        code = err_set(
            err, -EINVAL,
            "%d targets: with this --pattern publishers and subscribers come to different ones; say by "
            "--spread-pairs that they are one cluster",
            plan->target_count);
    if (code == 0 && request->own_sources)
        code = keep_own_sources(plan, err);
    if (code == 0 && plan->source_count > 0 && !request->can_bind)
        code = err_set(err, -EINVAL,
                       "--source: this engine cannot choose its source address; spread the targets, or use "
                       "--engine raw");
    if (code == 0)
        code = check_families(plan, err);
    if (code == 0)
        code = plan_divide(plan, request, err);
    if (code == 0)
        code = find_routes(plan, request, err);
    if (code < 0)
        goto fail;
    return 0;
fail:
    plan_free(plan);
    return code;
}

void plan_free(struct plan *plan)
{
    free(plan->targets);
    free(plan->sources);
    *plan = (struct plan){0};
}

// The place of a worker in the order of all: those of rounds before, and of lower ranks in its own.
static int64_t place_of(const struct plan *plan, int rank, int worker)
{
    int64_t place = 0;
    if (!plan->rank_workers)
        return (int64_t)worker * plan->ranks + rank;
    for (int other = 0; other < plan->ranks; other++) {
        // A worker that the division does not have comes behind all that it has.
        int rounds = worker >= plan->rank_workers[rank] ? plan->rank_workers[other] : worker + (other < rank);
        place += plan->rank_workers[other] < rounds ? plan->rank_workers[other] : rounds;
    }
    return place;
}

// The client's number among those of its own rank, where ranks are apart; elsewhere its own. Whole workers come before
// it, so that groups (`together`) stay whole.
static int64_t own_number(const struct plan *plan, int64_t client)
{
    int64_t each = plan->clients_per_worker;
    if (!plan->apart || each == 0)
        return client;
    int64_t place = client / each;
    for (int worker = 0;; worker++)
        for (int rank = 0; rank < plan->ranks; rank++) {
            if (worker >= workers_of(plan, rank))
                continue;
            if (place-- == 0)
                return (int64_t)worker * each + client % each;
        }
}

struct plan_share plan_share(const struct plan *plan, int rank, int worker)
{
    int64_t global = place_of(plan, rank, worker), each = plan->clients_per_worker;
    // Workers of clients before the split; they end there.
    int64_t before = each > 0 ? (plan->split + each - 1) / each : 0, end = plan->clients;
    struct plan_share share = {.first = global * each, .count = each};
    if (global < before)
        end = plan->split;
    else
        share.first = plan->split + (global - before) * each;
    if (share.first > end)
        share.first = end;
    if (share.count > end - share.first)
        share.count = end - share.first;
    return share;
}

int64_t plan_goal(struct plan_share share, int64_t goal)
{
    int64_t within = goal - share.first;
    if (within < 0)
        return 0;
    return within < share.count ? within : share.count;
}

struct plan_route plan_route(const struct plan *plan, int64_t client)
{
    int64_t group = own_number(plan, client) / plan->together;
    struct plan_route route = {.target = &plan->targets[group % plan->target_count]};
    if (plan->source_count > 0)
        route.source = &plan->sources[group / plan->target_count % plan->source_count];
    return route;
}

// The groups of clients (`together`) take the routes in turn, so each round gives every route one group.
static int64_t round_of(const struct plan *plan)
{
    return (int64_t)plan->together * plan->target_count * (plan->source_count > 0 ? plan->source_count : 1);
}

int64_t plan_per_route(const struct plan *plan)
{
    return (most_of_network(plan) + round_of(plan) - 1) / round_of(plan) * plan->together;
}

struct ports_range plan_ports(const struct plan *plan, int64_t client, int attempt)
{
    int64_t number = own_number(plan, client);
    int64_t place = number / round_of(plan) * plan->together + number % plan->together;
    return ports_range(&plan->ports, place, plan_per_route(plan), attempt);
}
