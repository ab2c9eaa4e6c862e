// SPDX-License-Identifier: Apache-2.0
#include "loadgen/kernel_growth.h"

#include <math.h>

enum {
    SOCKET_BYTES = 1024,   // less than the size of a socket is chance
    ENDS = 2,              // sockets of a connection, both on this host
    SPARE_SOCKETS = 200,   // those of other programs that come and go
    LOW_CONNECTIONS = 400, // fewer are lost in the slabs of each processor
};
#define SHARE 0.2      // of the sockets' own growth
#define LOW_SHARE 0.35 // between the first connections and the others

static double each(const struct sample *from, const struct sample *to)
{
    int64_t more = to->connections - from->connections;
    if (from->kernel_slab_bytes < 0 || to->kernel_slab_bytes < 0 || more <= 0)
        return NAN;
    return (double)(to->kernel_slab_bytes + to->kernel_tcp_bytes - from->kernel_slab_bytes -
                    from->kernel_tcp_bytes) /
           (double)more;
}

// Judged by the caches of sockets. The TCP line (queued data) is in both.
static bool differs_from_sockets(struct run *run, double figure, const struct sample *start,
                                 const struct sample *full)
{
    double more = (double)(full->connections - start->connections);
    double own = (double)(full->kernel_socket_bytes + full->kernel_tcp_bytes - start->kernel_socket_bytes -
                          start->kernel_tcp_bytes) /
                 more;
    int64_t sockets = full->kernel_sockets - start->kernel_sockets;
    if ((double)sockets > ENDS * 1.1 * more + SPARE_SOCKETS)
        run_anomaly(
            run, "kernel_noise",
            "kernel.per_connection_bytes: %lld sockets came on this host while %.0f connections were made: "
            "other programs opened some, and the kernel's memory is of all: no figure",
            (long long)sockets, more);
    else if (fabs(figure - own) > SHARE * fabs(own))
        run_anomaly(
            run, "kernel_noise",
            "kernel.per_connection_bytes: the kernel's memory grew by %.0f bytes a connection, its caches of "
            "sockets by %.0f: the rest of the host took or gave memory meanwhile, or slabs had free places: "
            "no figure. Measure on a quiet host, or with more connections",
            figure, own);
    else
        return false;
    return true;
}

static bool differs_between(struct run *run, const struct sample *start, const struct sample *low,
                            const struct sample *full)
{
    double first = each(start, low), others = each(low, full);
    if (low->connections - start->connections < LOW_CONNECTIONS || !isfinite(first) || !isfinite(others) ||
        fabs(first - others) <= LOW_SHARE * fmax(first, others))
        return false;
    run_anomaly(
        run, "kernel_noise",
        "kernel.per_connection_bytes: the kernel's memory grew by %.0f bytes for each of the first "
        "connections "
        "and by %.0f for each of the others: the rest of the host took or gave memory meanwhile: no figure. "
        "Measure on a quiet host; as root it is judged by the caches of sockets",
        first, others);
    return true;
}

double kernel_growth(struct run *run, const struct sample *start, const struct sample *low,
                     const struct sample *full)
{
    double figure = each(start, full);
    if (!isfinite(figure))
        return NAN;
    if (figure < SOCKET_BYTES) {
        run_anomaly(
            run, "resolution",
            "kernel.per_connection_bytes: %.0f bytes came out, and a socket alone takes more: lost in what "
            "the rest of the host does meanwhile; it takes more connections",
            figure);
        return NAN;
    }
    bool known = start->kernel_sockets > 0 && full->kernel_sockets > 0;
    bool noisy =
        known ? differs_from_sockets(run, figure, start, full) : differs_between(run, start, low, full);
    return noisy ? NAN : figure;
}
