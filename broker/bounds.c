// SPDX-License-Identifier: Apache-2.0
#include "broker/bounds.h"

#include "base/units.h"
#include "broker/mqtt/server.h"
#include "broker/state/state.h"

#include <inttypes.h>

// Measured: an instance of the broker without a connection.
enum { INSTANCE_BYTES = 4 << 20 };

static int64_t product(int64_t a, int64_t b)
{
    int64_t result;
    return a == BOUNDS_ANY || b == BOUNDS_ANY || __builtin_mul_overflow(a, b, &result) ? BOUNDS_ANY : result;
}

static int64_t sum(int64_t a, int64_t b)
{
    int64_t result;
    return a == BOUNDS_ANY || b == BOUNDS_ANY || __builtin_add_overflow(a, b, &result) ? BOUNDS_ANY : result;
}

static int64_t or_any(int64_t bound)
{
    return bound ? bound : BOUNDS_ANY;
}

struct bounds bounds_of(const struct broker_config *config, int64_t descriptors)
{
    const struct shape *shape = &config->shape;
    int64_t objects = (int64_t)(shape->object_bytes + 2 * shape_buffer_bytes(shape) + shape->arena_bytes);
    struct bounds bounds = {.clients = or_any(config->max_connections),
                            .retained = or_any(config->max_retained_bytes),
                            .limit = or_any(config->memory_limit_bytes),
                            .own = INSTANCE_BYTES + server_own_bytes((int)config->threads) +
                                   (config->state ? STATE_OWN_BYTES : 0)};
    if (bounds.clients > descriptors)
        bounds.clients = descriptors;
    bounds.client = sum(objects + config->max_packet_bytes, product(2, or_any(config->max_queued_bytes)));
    bounds.all_clients = product(bounds.clients, bounds.client);
    bounds.whole = sum(bounds.limit, bounds.own);
    return bounds;
}

static const char *format(int64_t bytes, char *text, size_t size)
{
    return bytes == BOUNDS_ANY ? "any number of bytes" : units_format_bytes(bytes, text, size);
}

void bounds_print(const struct bounds *bounds, FILE *to)
{
    char a[32], b[32], c[32];
    fprintf(
        to,
        "poolmark-broker: memory is bounded by %s: %s for clients (--memory-limit), %s of the broker's own\n",
        format(bounds->whole, a, sizeof a), format(bounds->limit, b, sizeof b),
        format(bounds->own, c, sizeof c));
    fprintf(to,
            "poolmark-broker: one client takes at most %s, %" PRId64 " clients %s, retained messages %s; "
            "subscriptions and kept sessions are bounded by --memory-limit alone\n",
            format(bounds->client, a, sizeof a), bounds->clients, format(bounds->all_clients, b, sizeof b),
            format(bounds->retained, c, sizeof c));
}
