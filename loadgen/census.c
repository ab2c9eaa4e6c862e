// SPDX-License-Identifier: Apache-2.0
#include "loadgen/census.h"

#include "base/clock.h"
#include "base/netstat.h"
#include "base/sockdiag.h"
#include "loadgen/foreign.h"
#include "loadgen/list_grow.h"
#include "loadgen/numbers.h"
#include "loadgen/outgoing.h"
#include "loadgen/seen.h"

#include <arpa/inet.h>
#include <dirent.h>
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum {
    PORTS = 1 << 16,
    OWN_MAX = 20000,      // descriptors of workers that are looked at
    OWN_BYTES = 64 << 10, // a client that comes and goes carries less: CONNECT, will, SUBSCRIBE, PINGREQ
};
#define LOOK_EVERY_NS (20 * NS_PER_S) // a third of a TIME-WAIT

struct census {
    struct ports own_ports;      // of the plan,
    int64_t per_route;           // and how many clients share a route
    uint8_t ports[PORTS / 8];    // a bit for each of the target's
    pid_t pid;                   // whose counters are read; 0: ours, in the same network namespace
    struct sockdiag_ports range; // of these
    bool whole;                  // the last list was of all sockets
    bool many;                   // there were more sockets than are listed
    bool shared;                 // with other ranks, whose clients look like those of others
    bool begun, listed;          // the target's sockets, and all, were listed before
    bool failed;                 // memory ran out, or the kernel gave no list
    int64_t looked_ns, strange_bytes;
    struct seen at_target, elsewhere, outside; // connections
    struct seen strange;              // of those at the target, from ports that are no client's first
    struct numbers own_ends, inodes;  // of this reading
    struct numbers internal;          // between processes of the target, likewise
    struct outgoing outgoing;         // connections that these made
    uint8_t further_ports[PORTS / 8]; // of `ports`, those at which no client of the run comes
    struct foreign further;           // connections of others there at the last reading
    int64_t outgoing_bytes, further_bytes;
    struct sockdiag_row *rows; // at the target's ports, both ends, established
    size_t row_count, row_capacity;
    struct foreign foreign;      // those of others at the last reading
    bool compared;               // there was such a reading
    bool deaf;                   // since then some ends were not heard
    int64_t came, left, unheard; // of these, since the first reading
    int64_t before;              // at the target's ports at the first reading, without ours; -1: not known
    int ends;                    // tells sockets that end; -1: nobody listens
    // Of connections at the target's ports that ended since the last reading, which had none of them as others':
    int64_t ended;            // how many
    int64_t ended_bytes;      // on them
    int64_t ended_much_bytes; // of these, on those that carried more than OWN_BYTES
    bool whole_ends;          // all of these since the last reading were heard
    int64_t went;             // connections of others that ended between readings, where all were heard
    int64_t parts, heard;     // times between two readings, and those of which all ends were heard
    int64_t own_ended;        // connections of this run that had ended at the last reading
    const char *why_deaf;     // why not all ends are heard; NULL: they are
    const char *was_deaf;     // the same of the last part of which they were not
};

// Both ends are of this host: the same address, or two of 127.0.0.0/8.
static bool is_within_host(const struct sockdiag_row *row)
{
    static const uint8_t loopback[13] = {[10] = 0xff, [11] = 0xff, [12] = 127};
    return memcmp(row->local.address, row->peer.address, 16) == 0 ||
           (memcmp(row->local.address, loopback, 13) == 0 && memcmp(row->peer.address, loopback, 13) == 0);
}

static bool is_target(const struct census *census, uint16_t port)
{
    return census->ports[port / 8] >> port % 8 & 1;
}

// A connection that the target made: to itself, or to others.
static void see_outgoing(struct census *census, const struct sockdiag_row *row)
{
    if (is_target(census, row->local.port))
        return;
    if (!is_target(census, row->peer.port) || !is_within_host(row))
        outgoing_see(&census->outgoing, row);
    else if (outgoing_has(&census->outgoing, row->inode) && !numbers_add(&census->internal, seen_number(row)))
        census->failed = true;
}

static bool is_further(const struct census *census, uint16_t port)
{
    return census->further_ports[port / 8] >> port % 8 & 1;
}

static void visit(void *context, const struct sockdiag_row *row)
{
    struct census *census = context;
    bool ours = is_target(census, row->local.port) || is_target(census, row->peer.port);
    see_outgoing(census, row);
    struct seen *seen = ours                  ? &census->at_target
                        : is_within_host(row) ? &census->elsewhere
                                              : &census->outside;
    if (!seen_add(seen, row))
        census->failed = true;
    uint16_t port = is_target(census, row->local.port) ? row->peer.port : row->local.port;
    if (ours && !ports_is_first(&census->own_ports, census->per_route, port) &&
        !seen_add(&census->strange, row))
        census->failed = true;
    if (!ours || !row->established)
        return;
    struct sockdiag_row *grown =
        list_grow(census->rows, &census->row_capacity, census->row_count, sizeof *grown);
    if (!grown) {
        census->failed = true;
        return;
    }
    census->rows = grown;
    census->rows[census->row_count++] = *row;
}

// Reads the list, and counts what is new in it. False when it is not known.
static bool list(struct census *census)
{
    int64_t sockets = sockdiag_count();
    census->looked_ns = clock_now_ns();
    struct seen *const lists[] = {&census->at_target, &census->elsewhere, &census->outside, &census->strange};
    for (size_t i = 0; i < sizeof lists / sizeof lists[0]; i++)
        lists[i]->now.count = 0;
    census->row_count = 0;
    census->internal.count = 0;
    outgoing_begin(&census->outgoing);
    census->whole = false;
    census->many = sockets > CENSUS_SOCKETS_MAX;
    if (census->pid != 0 || census->failed || sockets < 0 || census->many)
        return false;
    bool all = sockets <= CENSUS_LISTED_MAX;
    if (sockdiag_list(all ? (struct sockdiag_ports){0, PORTS - 1} : census->range, visit, census) < 0)
        census->failed = true;
    if (census->failed)
        return false;
    bool begun = census->begun;
    seen_count_new(&census->strange, &begun);
    seen_count_new(&census->at_target, &census->begun);
    census->whole = all;
    if (all) {
        bool listed = census->listed;
        seen_count_new(&census->outside, &listed);
        seen_count_new(&census->elsewhere, &census->listed);
    }
    return true;
}

static uint16_t port_of(const struct plan_target *target)
{
    return ntohs(target->address.ss_family == AF_INET6
                     ? ((const struct sockaddr_in6 *)&target->address)->sin6_port
                     : ((const struct sockaddr_in *)&target->address)->sin_port);
}

static bool has_own_network(int64_t pid)
{
    char path[64];
    struct stat own, other;
    snprintf(path, sizeof path, "/proc/%" PRId64 "/ns/net", pid);
    return stat("/proc/self/ns/net", &own) == 0 && stat(path, &other) == 0 && own.st_ino != other.st_ino;
}

static void add_port(struct census *census, uint16_t port)
{
    if (port < census->range.first)
        census->range.first = port;
    if (port > census->range.last)
        census->range.last = port;
    census->ports[port / 8] |= (uint8_t)(1U << port % 8);
}

int census_open(struct census **census, const struct plan *plan, int64_t clients_per_route, int64_t pid)
{
    *census = calloc(1, sizeof **census);
    if (!*census)
        return -ENOMEM;
    (*census)->range.first = UINT16_MAX;
    for (int i = 0; i < plan->target_count; i++)
        add_port(*census, port_of(&plan->targets[i]));
    (*census)->pid = has_own_network(pid) ? (pid_t)pid : 0;
    (*census)->ends = -1;
    (*census)->own_ports = plan->ports;
    (*census)->shared = plan->ranks > 1;
    if ((*census)->shared) // the ports of each rank's clients are those of its host
        (*census)->own_ports.way = PORTS_KERNEL;
    (*census)->per_route = (*census)->own_ports.way != PORTS_KERNEL ? clients_per_route : 0;
    (*census)->before = -1;
    return 0;
}

void census_widen(struct census *census, const struct census_target *target)
{
    if (!census || census->pid != 0)
        return;
    for (int i = 0; i < target->port_count; i++)
        if (!is_target(census, target->ports[i])) {
            add_port(census, target->ports[i]);
            census->further_ports[target->ports[i] / 8] |= (uint8_t)(1U << target->ports[i] % 8);
        }
    census->outgoing.pids = target->pids;
    census->outgoing.count = target->pid_count;
    census->outgoing.known = target->outgoing;
}

// The lists of this reading: they would be in the generator's memory, which is a figure.
static void forget(struct census *census)
{
    seen_forget(&census->at_target);
    seen_forget(&census->elsewhere);
    seen_forget(&census->outside);
    seen_forget(&census->strange);
    numbers_free(&census->own_ends);
    numbers_free(&census->internal);
    numbers_free(&census->inodes);
    free(census->rows);
    census->rows = NULL;
    census->row_count = census->row_capacity = 0;
}

// The sockets that a worker has open. False when they are too many, or cannot be listed.
static bool add_inodes(struct census *census, pid_t pid)
{
    char path[64];
    snprintf(path, sizeof path, "/proc/%d/fd", (int)pid);
    DIR *dir = opendir(path);
    bool whole = dir != NULL;
    for (struct dirent *entry; whole && (entry = readdir(dir));) {
        char link[64] = "";
        uint64_t inode;
        if (readlinkat(dirfd(dir), entry->d_name, link, sizeof link - 1) > 0 &&
            sscanf(link, "socket:[%" SCNu64 "]", &inode) == 1)
            whole = census->inodes.count < OWN_MAX && numbers_add(&census->inodes, inode);
    }
    if (dir)
        closedir(dir);
    return whole;
}

static bool know_own_ends(struct census *census, struct fleet *const fleets[], int count)
{
    census->inodes.count = census->own_ends.count = 0;
    for (int i = 0; i < count; i++)
        for (int worker = 0; fleets[i] && worker < fleet_workers(fleets[i]); worker++)
            if (fleet_pid(fleets[i], worker) > 0 && !add_inodes(census, fleet_pid(fleets[i], worker)))
                return false;
    numbers_sort(&census->inodes);
    for (size_t i = 0; i < census->row_count; i++)
        if (numbers_has(&census->inodes, census->rows[i].inode) &&
            !numbers_add(&census->own_ends, seen_number(&census->rows[i])))
            return false;
    numbers_sort(&census->own_ends);
    return true;
}

// The server's end of a connection at the target's ports, whose bytes are known?
static bool is_server_end(const struct census *census, const struct sockdiag_row *row)
{
    return is_target(census, row->local.port) && row->bytes >= 0;
}

// Adds what connections of others have carried since the last reading, and compares them with those of that.
static void add_bytes(struct census *census, int64_t clients, int64_t *own_bytes)
{
    struct foreign_change change;
    *own_bytes = 0;
    numbers_sort(&census->internal);
    foreign_begin(&census->foreign);
    foreign_begin(&census->further);
    for (size_t i = 0; i < census->row_count; i++) {
        const struct sockdiag_row *row = &census->rows[i];
        if (!is_server_end(census, row))
            continue;
        if (numbers_has(&census->own_ends, seen_number(row)))
            *own_bytes += row->bytes;
        else if (numbers_has(&census->internal, seen_number(row)))
            continue;
        else if (!foreign_add(is_further(census, row->local.port) ? &census->further : &census->foreign,
                              row->cookie, row->bytes))
            census->failed = true;
    }
    foreign_end(&census->foreign, !census->deaf, &change);
    census->strange_bytes += census->compared ? change.bytes : 0;
    census->came += census->compared ? change.came : 0;
    census->left += change.left;
    census->unheard += change.unheard;
    // Those may be looks of a monitor, which come and go: only what they carry is judged.
    foreign_end(&census->further, !census->deaf, &change);
    census->further_bytes += census->compared ? change.bytes : 0;
    census->came += census->compared ? change.came : 0;
    census->outgoing_bytes += outgoing_end(&census->outgoing, clients);
    census->compared = true;
    census->deaf = false;
}

// The server's end of a connection that has ended.
static void visit_end(void *context, const struct sockdiag_row *row)
{
    struct census *census = context;
    bool known;
    if (row->peer.port == 0 || !is_target(census, row->local.port))
        return;
    bool further = is_further(census, row->local.port);
    int64_t bytes =
        foreign_hear(further ? &census->further : &census->foreign, row->cookie, row->bytes, &known);
    *(further ? &census->further_bytes : &census->strange_bytes) += bytes;
    if (known)
        return;
    census->ended++;
    if (further) { // no client of the run ends there
        census->further_bytes += census->compared && row->bytes > 0 ? row->bytes : 0;
        return;
    }
    census->ended_bytes += row->bytes > 0 ? row->bytes : 0;
    census->ended_much_bytes += row->bytes > OWN_BYTES ? row->bytes : 0;
}

static void stop_hearing(struct census *census)
{
    if (census->ends >= 0)
        close(census->ends);
    census->ends = -1;
    census->whole_ends = false;
}

const char census_paused[] = "nobody listens while connections of this run end";
static const char not_told[] = "the kernel does not tell which sockets end";

// Events that the kernel dropped are missing: the bytes are those of others at least.
static void hear(struct census *census)
{
    int code = census->ends < 0 ? 0 : -ENOBUFS;
    while (code == -ENOBUFS) {
        code = sockdiag_ends_read(census->ends, visit_end, census);
        census->whole_ends = census->whole_ends && code != -ENOBUFS;
        census->why_deaf =
            code == -ENOBUFS ? "the kernel dropped some of what it tells of them" : census->why_deaf;
    }
    if (code < 0) {
        census->why_deaf = not_told;
        stop_hearing(census);
    }
}

static void hear_from_now_on(struct census *census)
{
    if (census->ends < 0 && census->pid == 0)
        census->ends = sockdiag_ends_open();
    if (census->ends < 0)
        census->ends = -1;
    census->whole_ends = census->ends >= 0;
    census->why_deaf = census->ends < 0 ? not_told : NULL;
}

// What connections of others carried that ended since the last reading.
static int64_t ended_bytes(const struct census *census, const struct census_own *own)
{
    if (own->ended == census->own_ended)
        return census->ended_bytes;
    return own->publishing ? 0 : census->ended_much_bytes;
}

// Adds the connections of others to the target that ended since the last time, also those that were reset.
static void add_ended(struct census *census, const struct census_own *own)
{
    int64_t others = census->ended - (own->ended - census->own_ended);
    census->went += census->whole_ends && others > 0 ? others : 0;
    census->strange_bytes += ended_bytes(census, own);
    census->ended_bytes = census->ended_much_bytes = census->ended = 0;
    census->own_ended = own->ended;
}

void census_pause(struct census *census, const struct census_own *own)
{
    if (!census || census->ends < 0)
        return;
    hear(census);
    if (census->begun)
        add_ended(census, own);
    stop_hearing(census);
    census->why_deaf = census_paused;
}

void census_close(struct census *census)
{
    if (!census)
        return;
    stop_hearing(census);
    forget(census);
    foreign_close(&census->foreign);
    foreign_close(&census->further);
    outgoing_close(&census->outgoing);
    seen_close(&census->at_target);
    seen_close(&census->elsewhere);
    seen_close(&census->outside);
    seen_close(&census->strange);
    free(census);
}

static void fill(const struct census *census, struct census_reading *reading)
{
    reading->went = census->went;
    reading->parts = census->parts;
    reading->heard = census->heard;
    reading->deaf = census->was_deaf;
    reading->came = census->came;
    reading->left = census->left;
    reading->unheard = census->unheard;
    reading->before = census->before;
    reading->at_target = census->pid != 0 ? reading->opened : census->at_target.count;
    reading->elsewhere = census->elsewhere.count;
    reading->outside = census->outside.count;
    if (census->pid == 0 && census->own_ports.way != PORTS_KERNEL)
        reading->strange = census->strange.count;
    reading->listed = census->pid != 0 || census->whole;
    reading->strange_bytes = census->strange_bytes;
    reading->outgoing_bytes = census->outgoing_bytes;
    reading->further_bytes = census->further_bytes;
}

const char *census_blind(const struct census *census)
{
    return census->shared ? "sockets of the clients of other ranks look like theirs"
           : census->pid != 0
               ? "the target has a network namespace of its own, and its sockets are not listed"
           : census->many ? "there are more sockets than are listed"
                          : "the kernel gives no list of sockets, or the generator has too many of its own";
}

void census_take(struct census *census, struct fleet *const fleets[], int count, const struct census_own *own,
                 struct census_reading *reading)
{
    *reading = (struct census_reading){.opened = -1,
                                       .begun = own->begun,
                                       .ended = own->ended,
                                       .own_bytes = -1,
                                       .strange = -1,
                                       .before = -1,
                                       .passed = own->passed};
    if (!census)
        return;
    struct netstat net;
    netstat_read(&net, census->pid);
    reading->opened = net.count[NETSTAT_PASSIVE_OPENS];
    bool first = !census->begun;
    hear(census);
    bool listened = census->whole_ends;
    if (!first) {
        add_ended(census, own);
        census->parts++;
        census->heard += listened;
        census->was_deaf = listened ? census->was_deaf : census->why_deaf;
    }
    census->deaf = census->deaf || !listened;
    census->ended_bytes = census->ended_much_bytes = census->ended = 0;
    census->own_ended = own->ended;
    hear_from_now_on(census);
    if (list(census) && !census->shared && know_own_ends(census, fleets, count)) {
        add_bytes(census, own->begun - own->ended, &reading->own_bytes);
        if (first)
            census->before = (int64_t)census->at_target.before.count - (int64_t)census->own_ends.count;
    }
    forget(census);
    if (first && census->pid != 0 && reading->opened >= 0)
        census->before = reading->opened - own->begun;
    fill(census, reading);
}

// What those of others that the last reading had have carried since then, though they may end before the next.
static void look_at_known(struct census *census)
{
    for (size_t i = 0; i < census->row_count; i++)
        if (is_server_end(census, &census->rows[i]) && !is_further(census, census->rows[i].local.port))
            census->strange_bytes +=
                foreign_look(&census->foreign, census->rows[i].cookie, census->rows[i].bytes);
}

void census_look(struct census *census)
{
    if (!census)
        return;
    hear(census);
    if (census->begun && clock_now_ns() - census->looked_ns >= LOOK_EVERY_NS) {
        if (list(census))
            look_at_known(census);
        forget(census);
    }
}
