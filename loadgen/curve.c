// SPDX-License-Identifier: Apache-2.0
#include "loadgen/curve.h"

#include "base/procmem.h"

#include <stddef.h>

enum { PARTS = 60 };

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
    bool can_have_served = (double)curve->points[0].cpu_ns >= 1.2 * each_ns * kept;
    return can_have_served && kept - (double)low > (double)(all - low) / 10 ? (int64_t)kept : 0;
}
