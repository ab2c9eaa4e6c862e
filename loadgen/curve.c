// SPDX-License-Identifier: Apache-2.0
#include "loadgen/curve.h"

#include "base/procmem.h"

#include <stddef.h>

enum {
    PARTS = 60,
    TELLS_POINTS = 4, // of the curve after `low`, at least
    // Growth that shows a flat tenth: the kernel may count the pages of each processor 256 KiB late.
    TELLS_BYTES = 2560 * 1024,
    MARGIN = 2, // later connections may be cheaper than the first, by which curve_low judges
};
// Connections before the run may have taken less CPU time than ours, though they ended as well.
#define CHEAPER 1.25

void curve_add(struct curve *curve, struct curve_point point, bool going_on)
{
    struct curve_point *last = curve->count > 0 ? &curve->points[curve->count - 1] : NULL;
    if (point.rss_bytes < 0 || point.cpu_ns < 0 || (last && point.connections < curve->before.connections))
        return;
    if (going_on && last) {
        curve->connects_cpu_ns += point.cpu_ns - curve->before.cpu_ns;
        curve->connects += point.connections - curve->before.connections;
    }
    curve->before = point;
    if (last && point.connections == last->connections)
        last->rss_bytes =
            point.rss_bytes; // the later reading holds; the CPU time is that before the connects
    else if (curve->count < CURVE_POINTS)
        curve->points[curve->count++] = point;
}

struct curve_point curve_read(const int64_t *pids, int count, int64_t connections)
{
    struct curve_point point = {.connections = connections};
    for (int i = 0; i < count; i++) {
        struct procmem mem;
        if (procmem_read_quick((pid_t)pids[i], &mem) < 0)
            return (struct curve_point){connections, -1, -1};
        point.rss_bytes += mem.rss_bytes;
        point.cpu_ns += mem.cpu_ns;
    }
    return point;
}

void curve_bound(struct curve *curve, int64_t connections)
{
    if (!curve->bounded || connections < curve->bound)
        curve->bound = connections;
    curve->bounded = true;
}

#define UNBOUNDED 1e12

// The most connections that the target can have had at once, apart from its CPU time.
static double most_at_once(const struct curve *curve)
{
    double most = curve->slots > 0 ? (double)curve->slots : UNBOUNDED;
    return curve->bounded && (double)curve->bound < most ? (double)curve->bound : most;
}

bool curve_wants(const struct curve *curve, int64_t connections, int64_t all)
{
    return curve->count > 0 &&
           connections >= curve->points[curve->count - 1].connections + (all > PARTS ? all / PARTS : 1);
}

// Where a line through the points `at` and the last meets the level of the first.
static double meets_the_start(const struct curve *curve, int at)
{
    const struct curve_point *first = &curve->points[0], *here = &curve->points[at];
    const struct curve_point *last = &curve->points[curve->count - 1];
    double after =
        (double)(last->rss_bytes - here->rss_bytes) / (double)(last->connections - here->connections);
    double before = (double)(here->rss_bytes - first->rss_bytes);
    if (after <= 0 || before > after * (double)here->connections / 4)
        return 0; // not flat before and rising then
    return (double)here->connections - before / after;
}

int64_t curve_kept(const struct curve *curve, int64_t low)
{
    if (curve->count < 3 || curve->connects <= 0)
        return 0;
    int64_t all = curve->points[curve->count - 1].connections;
    double kept = 0;
    for (int at = 1; at < curve->count - 1; at++) {
        // The rise is judged over a twentieth of the connections at least.
        if (curve->points[at].connections > all - all / 20)
            break;
        double meets = meets_the_start(curve, at);
        kept = meets > kept ? meets : kept;
    }
    double each_ns = (double)curve->connects_cpu_ns / (double)curve->connects;
    bool can_have_served =
        (double)curve->points[0].cpu_ns >= 1.2 * each_ns * kept && CHEAPER * most_at_once(curve) >= kept;
    return can_have_served && kept - (double)low > (double)(all - low) / 10 ? (int64_t)kept : 0;
}

int64_t curve_slots(const int64_t *pids, int count)
{
    int64_t slots = 0;
    for (int i = 0; i < count; i++) {
        int64_t more = procmem_descriptor_slots((pid_t)pids[i]);
        if (more < 0)
            return 0;
        slots += more;
    }
    return slots;
}

int64_t curve_served_most(const struct curve *curve)
{
    if (curve->count == 0 || curve->connects <= 0)
        return 0;
    double most = most_at_once(curve);
    if (curve->connects_cpu_ns > 0) { // otherwise its CPU time bounds nothing
        double by_cpu = CHEAPER * (double)curve->points[0].cpu_ns * (double)curve->connects /
                        (double)curve->connects_cpu_ns;
        most = by_cpu < most ? by_cpu : most;
    }
    return (int64_t)(most < UNBOUNDED ? most : UNBOUNDED);
}

int64_t curve_low(const struct curve *curve, int64_t low, int64_t all)
{
    int64_t most = curve_served_most(curve);
    if (most <= low || most > all / 2)
        return low;
    return MARGIN * most < all / 2 ? MARGIN * most : all / 2;
}

int64_t curve_enough(const struct curve *curve)
{
    return 2 * MARGIN * curve_served_most(curve);
}

static bool would_tell(const struct curve *curve, int64_t low)
{
    int at = 0;
    while (at < curve->count && curve->points[at].connections < low)
        at++;
    return curve->count - at > TELLS_POINTS &&
           curve->points[curve->count - 1].rss_bytes - curve->points[at].rss_bytes >= TELLS_BYTES;
}

bool curve_is_fresh(const struct curve *curve, int64_t low)
{
    if (curve->count == 0)
        return true;
    int64_t all = curve->points[curve->count - 1].connections;
    return (curve_served_most(curve) - low) * 10 <= all - low || would_tell(curve, low);
}
