// SPDX-License-Identifier: Apache-2.0
#include "loadgen/kernel_growth.h"

#include <math.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

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

// Whether this host has the target's address.
static bool is_here(const struct plan_target *target)
{
    struct sockaddr_storage address = target->address;
    if (address.ss_family == AF_INET6)
        ((struct sockaddr_in6 *)&address)->sin6_port = 0;
    else
        ((struct sockaddr_in *)&address)->sin_port = 0;
    int fd = socket(address.ss_family, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    bool here = fd >= 0 && bind(fd, (struct sockaddr *)&address, target->address_bytes) == 0;
    if (fd >= 0)
        close(fd);
    return here;
}

// The figure is of both ends of a connection. By the sockets that came, or by the address of a target that is not watched here.
static bool has_one_end(struct run *run, const struct sample *start, const struct sample *full, bool known)
{
    double more = (double)(full->connections - start->connections);
    double sockets = known ? (double)(full->kernel_sockets - start->kernel_sockets) : ENDS * more;
    bool told = (known && more >= LOW_CONNECTIONS) || (run->config && run->config->watch.count > 0);
    bool elsewhere = !told && run->plan.target_count > 0 && !is_here(&run->plan.targets[0]);
    bool few = sockets + SPARE_SOCKETS < 1.5 * more;
    if (few)
        run_anomaly(run, "kernel_noise",
                    "kernel.per_connection_bytes: %.0f sockets came on this host while %.0f connections were "
                    "made, and the figure is of both ends: no figure. The target's ends are on another host, "
                    "or others "
                    "closed theirs",
                    sockets, more);
    else if (elsewhere)
        run_anomaly(
            run, "kernel_noise",
            "kernel.per_connection_bytes: the target's address is none of this host, and no process of "
            "it is watched: whether its ends of the connections are here cannot be told, and the "
            "figure is of both: no figure");
    return few || elsewhere;
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
    if (has_one_end(run, start, full, known))
        return NAN;
    bool noisy =
        known ? differs_from_sockets(run, figure, start, full) : differs_between(run, start, low, full);
    return noisy ? NAN : figure;
}
