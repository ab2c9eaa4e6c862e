// SPDX-License-Identifier: Apache-2.0
// How the accounts add up. The kernel's side: PSS = files + data + stacks + heap + maps of pools + other. The heap's
// side: heap = in use + free. So what no book has is
//
//     rest = (in use - books of the heap) + (maps of pools - books of the pools' maps) + other
//
// and neither needs to be told from the other: rest = PSS - all other accounts.
//
// glibc maps large blocks singly, and says how many bytes these are but not where. So anonymous memory of no known owner counts as heap up to these bytes, and no further. With another
// allocator all of it counts as heap.
#include "broker/bytes.h"

#include "base/clock.h"
#include "base/heap.h"
#include "base/mappings.h"
#include "broker/mqtt/server.h"
#include "broker/pool_maps.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

enum { LOOPS_MAX = CONFIG_THREADS_MAX };
// By the sizes in glibc 2.36: what an arena has before its first block, and the cache of the thread that made it.
enum { ARENA_OWN_BYTES = 2256 + 656 };

// The kernel's side and the heap's.
struct measured {
    struct mappings mappings;
    struct heap_stats heap;
    int64_t heap_bytes, other_bytes;
};

static int64_t most(int64_t a, int64_t b)
{
    return a > b ? a : b;
}

static int64_t least(int64_t a, int64_t b)
{
    return a < b ? a : b;
}

// `measured` has the heap's figures already, of before the caller took memory for `known`.
static int measure(const struct mapping_range *known, size_t count, struct measured *measured)
{
    int code = mappings_read(&measured->mappings, known, count);
    if (code < 0)
        return code;
    const int64_t *pss = measured->mappings.pss_bytes;
    int64_t elsewhere = INT64_MAX;
    const struct heap_stats *heap = &measured->heap;
    if (heap->single_bytes >= 0) // and arenas that are full: nothing marks their end
        elsewhere = heap->single_bytes +
                    most(0, heap->mapped_bytes - heap->single_bytes - measured->mappings.heap_span_bytes);
    int64_t found = least(pss[MAPPING_OTHER], elsewhere);
    measured->heap_bytes = pss[MAPPING_HEAP] + found;
    measured->other_bytes = pss[MAPPING_OTHER] - found;
    return 0;
}

void bytes_begin(struct bytes_start *start)
{
    struct measured measured = {.heap = heap_read()};
    *start = (struct bytes_start){0};
    pool_maps_watch();
    if (measure(NULL, 0, &measured) == 0)
        *start = (struct bytes_start){most(0, measured.heap.in_use_bytes), measured.other_bytes};
}

// The stacks of event loops and the maps of pools, on the heap. NULL: no memory.
static struct mapping_range *list_known(struct broker *broker, size_t *count)
{
    size_t room = 0, needed = pool_maps_list(NULL, 0);
    struct mapping_range *known = NULL;
    do { // again when more came meanwhile
        free(known);
        room = needed + LOOPS_MAX;
        known = malloc(room * sizeof *known);
        if (!known)
            return NULL;
        needed = pool_maps_list(known, room - LOOPS_MAX);
    } while (needed > room - LOOPS_MAX);
    *count = needed;
    struct mapping_range stack = {.kind = MAPPING_STACK};
    for (int i = 0; i < LOOPS_MAX && broker_stack(broker, i, &stack.from, &stack.to) == 0; i++)
        known[(*count)++] = stack;
    return known;
}

// --- the books

// What the allocator takes for a block of `bytes`.
static int64_t block_bytes(size_t bytes)
{
    if (strcmp(heap_name(), "glibc") == 0)
        return (int64_t)account_heap_bytes(bytes);
    void *block = malloc(bytes);
    int64_t usable = block ? heap_usable_bytes(block) : (int64_t)bytes;
    free(block);
    return usable;
}

static int64_t used_bytes(const struct pool_stats *stats, const struct pool_config *config)
{
    return stats->in_use * (int64_t)config->object_bytes;
}

// Strategies that do not preheat have the allocator make each object, the others only strays.
static int64_t made_singly(const struct broker_statistics *statistics, int pool,
                           const struct pool_strategy *strategy)
{
    if (!(pool_strategy_caps(strategy) & POOL_CAP_PREHEATS))
        return most(statistics->pools[pool].owned, statistics->pools[pool].in_use);
    return statistics->strays[pool];
}

static void book_pools(const struct broker_config *config, const struct broker_statistics *statistics,
                       int64_t *account)
{
    for (int i = 0; i < BROKER_POOL_COUNT; i++) {
        int64_t size = (int64_t)config->pools[i].config.object_bytes;
        if (statistics->pools[i].unknown)
            continue;
        account[BYTES_RESERVE] += broker_reserve(statistics, (enum broker_pool)i) * size;
        account[BYTES_BOOKKEEPING] += statistics->pools[i].overhead_bytes;
        account[BYTES_ROUNDING] +=
            statistics->rounding_bytes[i] +
            made_singly(statistics, i, config->pools[i].strategy) * (block_bytes((size_t)size) - size);
    }
}

// The broker's own account has objects of connections together with lists, and arenas together with queues. The pools
// tell them apart.
static void book_purposes(const struct broker_config *config, const struct broker_statistics *statistics,
                          const struct server_books *books, int64_t *account)
{
    const int64_t *held = statistics->memory.bytes;
    const struct pool_stats *connections = &statistics->pools[POOL_CONNECTIONS];
    const struct pool_stats *arenas = &statistics->pools[POOL_ARENAS];
    account[BYTES_OBJECTS] = connections->unknown
                                 ? held[ACCOUNT_CONNECTIONS]
                                 : used_bytes(connections, &config->pools[POOL_CONNECTIONS].config);
    account[BYTES_TABLES] = held[ACCOUNT_CONNECTIONS] - account[BYTES_OBJECTS] + books->sessions;
    account[BYTES_ARENAS] =
        arenas->unknown ? held[ACCOUNT_SESSIONS] : used_bytes(arenas, &config->pools[POOL_ARENAS].config);
    account[BYTES_SESSIONS] = held[ACCOUNT_SESSIONS] - account[BYTES_ARENAS];
    account[BYTES_BUFFERS] = held[ACCOUNT_INPUT] + held[ACCOUNT_OUTPUT] + held[ACCOUNT_UNFINISHED];
    account[BYTES_MESSAGES] = held[ACCOUNT_MESSAGES];
    account[BYTES_SUBSCRIPTIONS] = books->subscriptions;
    account[BYTES_RETAINED] = books->retained;
    account[BYTES_LOOPS] = books->loops + (int64_t)pool_maps_bytes();
}

static void lay_beside(const struct measured *measured, const struct bytes_start *start, struct bytes *bytes)
{
    const struct mappings *mappings = &measured->mappings;
    int64_t *account = bytes->account, sum = 0;
    bytes->pss = mappings->whole_bytes;
    bytes->anonymous = mappings->anonymous_bytes;
    bytes->huge = mappings->huge_bytes;
    bytes->swap = mappings->swap_bytes;
    bytes->heap = measured->heap_bytes;
    bytes->heap_in_use = measured->heap.in_use_bytes;
    bytes->maps = mappings->pss_bytes[MAPPING_POOL];
    bytes->other = measured->other_bytes;
    account[BYTES_ROUNDING] += mappings->arena_count * ARENA_OWN_BYTES;
    account[BYTES_FREE] = bytes->heap_in_use < 0 ? 0 : bytes->heap - bytes->heap_in_use;
    account[BYTES_PROGRAM] = start->heap_in_use + start->other;
    account[BYTES_STACKS] = mappings->pss_bytes[MAPPING_STACK];
    account[BYTES_DATA] = mappings->pss_bytes[MAPPING_DATA];
    account[BYTES_CODE] = mappings->pss_bytes[MAPPING_CODE];
    for (int i = 0; i < BYTES_REST; i++)
        sum += account[i];
    account[BYTES_REST] = bytes->pss - sum;
}

int bytes_read(struct broker *broker, const struct bytes_start *start, struct bytes *bytes)
{
    const struct broker_config *config = broker_config_of(broker);
    struct broker_statistics statistics;
    struct server_books books;
    struct measured measured = {.heap = heap_read()};
    struct bytes made = {.at_ns = clock_now_ns()};
    size_t count;
    broker_statistics(broker, &statistics);
    broker_books(broker, &books);
    made.connections = statistics.connections;
    book_purposes(config, &statistics, &books, made.account);
    book_pools(config, &statistics, made.account);
    struct mapping_range *known = list_known(broker, &count);
    if (!known)
        return -ENOMEM;
    int code = measure(known, count, &measured);
    free(known);
    if (code < 0)
        return code;
    lay_beside(&measured, start, &made);
    *bytes = made;
    return 0;
}

// --- reports

void bytes_print(const struct bytes *bytes, FILE *to)
{
#define X(NAME, name, help)                                                                                  \
    fprintf(to, "%-22s %12" PRId64 "  " help "\n", "bytes_" #name, bytes->account[BYTES_##NAME]);
    BYTES_ACCOUNTS(X)
#undef X
    fprintf(to, "%-22s %12" PRId64 "  all of these: the proportional set size of the process, and its swap\n",
            "bytes_pss", bytes->pss);
    fprintf(to, "%-22s %12" PRId64 "  of it, anonymous\n", "bytes_anonymous", bytes->anonymous);
    fprintf(to, "%-22s %12" PRId64 "  of that, in huge pages\n", "bytes_huge", bytes->huge);
    fprintf(to, "%-22s %12" PRId64 "  of what is anonymous, swapped out\n", "bytes_swap", bytes->swap);
}

void bytes_row(struct csv *csv, const char *moment, const struct bytes *bytes)
{
    enum { TEXT_BYTES = BYTES_ACCOUNT_COUNT * 24 };
    char accounts[TEXT_BYTES], in_use[24] = "";
    size_t used = 0;
    for (int i = 0; i < BYTES_ACCOUNT_COUNT; i++)
        used += (size_t)snprintf(accounts + used, sizeof accounts - used, ",%" PRId64, bytes->account[i]);
    if (bytes->heap_in_use >= 0)
        snprintf(in_use, sizeof in_use, "%" PRId64, bytes->heap_in_use);
    csv_row(csv,
            "%" PRId64 ",%s,%" PRId64 "%s,%" PRId64 ",%" PRId64 ",%" PRId64 ",%" PRId64 ",%s,%" PRId64
            ",%" PRId64,
            bytes->at_ns, moment, bytes->connections, accounts, bytes->pss, bytes->anonymous, bytes->huge,
            bytes->heap, in_use, bytes->maps, bytes->other);
}

const char *bytes_moment(struct bytes_moments *moments, int64_t connections, int64_t now_ns)
{
    enum { SHARE = 20 }; // a level differs from the last by more than a twentieth
    int64_t apart = connections - moments->connections_told;
    bool is_level = connections == moments->connections_before && connections >= BYTES_LEAST_CONNECTIONS &&
                    (apart < 0 ? -apart : apart) > moments->connections_told / SHARE;
    bool is_late = now_ns - moments->told_ns >= BYTES_PERIOD_NS;
    moments->connections_before = connections;
    if (!is_level && !is_late)
        return NULL;
    moments->connections_told = connections;
    moments->told_ns = now_ns;
    return is_level ? "level" : "later";
}
