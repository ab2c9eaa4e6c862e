// SPDX-License-Identifier: Apache-2.0
// How busy a worker was while it carried out acts of a kind. Of messages, whether it sent them, received them or did both: what
// it did not read in time is not the target's.
#include "loadgen/loads.h"
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
    if (worker->load_stage != LOAD_NONE || loads_kind(&worker->order) < 0)
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

static int64_t ppm(int64_t part_ns, int64_t of_ns)
{
    return of_ns > 0 ? (int64_t)((double)part_ns * 1e6 / (double)of_ns) : 0;
}

// What the kernel counts at its ticks is no share of a shorter time; that of this thread is exact.
static int64_t ppm_of_thread(int64_t part_ns, int64_t of_ns, bool alone)
{
    return of_ns >= (alone ? THREAD_LOAD_LEAST_OWN_NS : THREAD_LOAD_LEAST_NS) ? ppm(part_ns, of_ns) : 0;
}

static void add_load(struct worker *worker, const struct worker_load *of)
{
    enum load_kind kind = (enum load_kind)loads_kind(&worker->order);
    struct worker_load *sum = &worker->loads[kind];
    if (sum->number != worker->order.load)
        *sum = (struct worker_load){.number = worker->order.load};
    sum->ns += of->ns;
    sum->ran_ns += of->ran_ns;
    sum->waited_ns += of->waited_ns;
    sum->held_ns += of->held_ns;
    sum->threads = of->threads > sum->threads ? of->threads : sum->threads;
    bool alone = sum->threads == 1;
    tally_set(worker->page, tally_of_load(kind, LOAD_RAN_PPM), ppm_of_thread(sum->ran_ns, sum->ns, alone));
    tally_set(worker->page, tally_of_load(kind, LOAD_WAITED_PPM),
              ppm_of_thread(sum->waited_ns, sum->ns, alone));
    tally_set(worker->page, tally_of_load(kind, LOAD_STALLED_PPM), ppm(sum->held_ns, sum->ns));
    tally_set(worker->page, tally_of_load(kind, LOAD_NUMBER), sum->number);
}

void worker_load_end(struct worker *worker)
{
    struct thread_load now = {0};
    if (worker->load_stage != LOAD_READ)
        return;
    worker->load_stage = LOAD_COUNTED;
    struct worker_load of = {.ns = clock_now_ns() - worker->load.at_ns,
                             .held_ns = worker->held_ns - worker->load_held_ns,
                             .threads = worker->load.count};
    int64_t stalled_ns = tally_get(worker->page, TALLY_STALLED_NS) - worker->load_stalled_ns;
    if (worker->load.count > 0 && thread_load_read(&now) == 0)
        thread_load_spent(&worker->load, &now, &of.ran_ns, &of.waited_ns);
    thread_load_free(&now);
    thread_load_free(&worker->load);
    add_load(worker, &of);
    // Without a rate the latencies are those of queues that are full by design.
    int64_t held = ppm(of.held_ns, of.ns);
    if (worker->order.act == FLEET_PUBLISH && receives(worker) && worker->order.rate_per_s > 0)
        keep_reading(worker, ppm_of_thread(of.ran_ns, of.ns, false),
                     ppm_of_thread(of.waited_ns, of.ns, false),
                     held >= CROWDED_PPM ? held : ppm(stalled_ns, of.ns));
}

void worker_load_pause(struct worker *worker)
{
    worker_load_end(worker);
    if (worker->load_stage == LOAD_COUNTED)
        worker->load_stage = LOAD_NONE;
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
