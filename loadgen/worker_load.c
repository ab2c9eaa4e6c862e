// SPDX-License-Identifier: Apache-2.0
// How busy a worker was while messages were published, whether it sent them, received them or did both: what it did not
// read in time is not the target's.
#include "loadgen/worker_state.h"

#include <dirent.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

// Of the time: none to spare (limit.c); so often that it was no single moment of a busy host.
enum { FULL_PPM = 900000, CROWDED_PPM = 100000 };

void worker_load_begin(struct worker *worker)
{
    if (worker->load_stage != LOAD_NONE)
        return;
    worker->load_stage = LOAD_READ;
    worker->load_held_ns = worker->held_ns;
    worker->load_stalled_ns = tally_get(worker->page, TALLY_STALLED_NS);
    if (thread_load_read(&worker->load) < 0) {
        worker->load.count = 0; // not known
        worker->load.at_ns = clock_now_ns();
    }
}

static bool receives(const struct worker *worker)
{
    return worker->order.pattern.kind == PATTERN_PAIRS ||
           (worker->reception.count > 0 && worker->slow.stage == SLOW_NONE);
}

// Of several orders the busiest counts. Of a worker that sends too the lag tells how long it waits, unless it has no time left.
static void keep_reading(struct worker *worker, int64_t ran, int64_t waited, int64_t held)
{
    struct tally_page *page = worker->page;
    bool tells = worker->pair_count == 0 || ran + waited >= FULL_PPM;
    if (tells &&
        ran + waited > tally_get(page, TALLY_READ_RAN_PPM) + tally_get(page, TALLY_READ_WAITED_PPM)) {
        tally_set(page, TALLY_READ_RAN_PPM, ran);
        tally_set(page, TALLY_READ_WAITED_PPM, waited);
    }
    if (held > tally_get(page, TALLY_READ_STALLED_PPM))
        tally_set(page, TALLY_READ_STALLED_PPM, held);
}

void worker_load_end(struct worker *worker)
{
    struct thread_load now = {0};
    double ran = 0, waited = 0;
    if (worker->load_stage != LOAD_READ)
        return;
    worker->load_stage = LOAD_COUNTED;
    int64_t time_ns = clock_now_ns() - worker->load.at_ns, held = 0, stalled = 0;
    if (time_ns > 0) {
        held = (worker->held_ns - worker->load_held_ns) * 1000000 / time_ns;
        stalled = (tally_get(worker->page, TALLY_STALLED_NS) - worker->load_stalled_ns) * 1000000 / time_ns;
    }
    tally_set(worker->page, TALLY_STALLED_PPM, held);
    if (worker->load.count > 0 && thread_load_read(&now) == 0)
        thread_load_between(&worker->load, &now, &ran, &waited);
    thread_load_free(&now);
    thread_load_free(&worker->load);
    tally_set(worker->page, TALLY_RAN_PPM, (int64_t)(ran * 1e6));
    tally_set(worker->page, TALLY_WAITED_PPM, (int64_t)(waited * 1e6));
    // Without a rate the latencies are those of queues that are full by design.
    if (receives(worker) && worker->order.rate_per_s > 0)
        keep_reading(worker, (int64_t)(ran * 1e6), (int64_t)(waited * 1e6),
                     held >= CROWDED_PPM ? held : stalled);
}

void worker_load_look(struct worker *worker, int64_t now_ns)
{
    if (now_ns >= worker->order.at_ns + worker->order.duration_ns)
        worker_load_end(worker);
}

// Is the other end of the socket the port of a target?
static bool is_of_target(const struct worker *worker, int fd)
{
    struct sockaddr_storage peer;
    socklen_t bytes = sizeof peer;
    if (getpeername(fd, (struct sockaddr *)&peer, &bytes) < 0 ||
        (peer.ss_family != AF_INET && peer.ss_family != AF_INET6))
        return false;
    const struct plan *plan = worker->setup->plan;
    for (int i = 0; i < plan->target_count; i++) // the port has the same place in both families
        if (((const struct sockaddr_in *)&plan->targets[i].address)->sin_port ==
            ((const struct sockaddr_in *)&peer)->sin_port)
            return true;
    return false;
}

void worker_load_unread(struct worker *worker)
{
    DIR *folder = opendir("/proc/self/fd");
    int64_t sum = 0;
    for (struct dirent *entry; folder && (entry = readdir(folder));) {
        int fd = (int)strtol(entry->d_name, NULL, 10), bytes = 0;
        if (fd > 2 && fd != dirfd(folder) && is_of_target(worker, fd) && ioctl(fd, FIONREAD, &bytes) == 0)
            sum += bytes;
    }
    if (folder)
        closedir(folder);
    tally_add(worker->page, TALLY_UNREAD_BYTES, sum);
}
