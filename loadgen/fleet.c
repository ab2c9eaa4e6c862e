// SPDX-License-Identifier: Apache-2.0
#include "loadgen/fleet.h"

#include "base/clock.h"

#include <assert.h>
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

enum {
    REAP_EVERY_NS = 100000000,
    COMPLAINT_BYTES = 256,
    WAIT_OPEN = 10000,
    PATROL = 16, // workers awake at a time
    PATROL_NS = 500000000,
};
#define WAIT_FEW_NS (30 * NS_PER_S)
#define WAIT_MANY_NS (400 * NS_PER_MS)

struct page {
    _Alignas(64) struct tally_page tally;
    _Atomic bool ready;              // release by the worker, acquire by the parent
    _Atomic uint64_t done;           // number of the last order done; release and acquire likewise
    _Atomic uint64_t rests;          // number of the order in which it rests, or 0; relaxed: a flag alone
    char complaint[COMPLAINT_BYTES]; // written before the worker exits, read after it was reaped
};

struct shared {
    _Atomic uint64_t number; // of the order; 0: none yet. The header explains the memory order.
    _Atomic uint64_t halted; // number of the last order that was broken off; relaxed, as `stop`
    _Atomic uint64_t rested; // number of the last order in which all workers rested; relaxed likewise
    _Atomic bool stop;       // relaxed: no other data depends on it
    _Atomic int gate; // workers below this number may begin; relaxed: the order itself was acquired before
    struct fleet_order orders[FLEET_ORDERS_MAX]; // order n is in place n - 1
    struct page pages[];
};

struct member {
    pid_t pid;   // 0: reaped
    bool died;   // not by fleet_stop
    bool killed; // of those: by SIGKILL
    bool asleep; // paused by SIGSTOP
};

struct fleet {
    struct fleet_config config;
    struct shared *shared;
    size_t shared_bytes;
    struct member *members;
    int64_t reaped_ns;
    bool stopping;
    int patrol; // the next worker to resume on patrol
    int64_t patrol_ns;
};

struct fleet_worker {
    struct shared *shared;
    int number;
    uint64_t taken;
};

// --- the parent's side -------------------------------------------------------------------------------------

static void no_op(int signal_number)
{
    (void)signal_number;
}

// The signals of a worker: SIGUSR1 only interrupts waits; the parent handles those that end a run, which may go to the whole
// process group (a terminal, `timeout`, a service manager).
static void set_signals(void)
{
    struct sigaction action = {.sa_handler = no_op};
    sigaction(SIGUSR1, &action, NULL);
    action.sa_handler = SIG_IGN;
    sigaction(SIGINT, &action, NULL);
    sigaction(SIGTERM, &action, NULL);
    sigaction(SIGHUP, &action, NULL);
    sigaction(SIGPIPE, &action, NULL);
    sigset_t mask;
    sigemptyset(&mask);
    sigaddset(&mask, SIGUSR1);
    pthread_sigmask(SIG_SETMASK, &mask, NULL);
}

// A worker keeps only the shared memory of the fleet.
static void run_child(struct fleet *fleet, int number, pid_t parent)
{
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (getppid() != parent)
        _exit(1); // the parent died before prctl
    set_signals();
    struct fleet_worker worker = {.shared = fleet->shared, .number = number};
    struct fleet_config config = fleet->config;
    free(fleet->members);
    free(fleet);
    int code = config.work(&worker, config.context);
    // Not exit(): buffers and exit handlers belong to the parent.
    _exit(code);
}

static int fork_all(struct fleet *fleet, struct err *err)
{
    pid_t parent = getpid();
    fflush(NULL);
    // SIGUSR1 must not reach a child before its handler is set.
    sigset_t block, old;
    sigemptyset(&block);
    sigaddset(&block, SIGUSR1);
    pthread_sigmask(SIG_BLOCK, &block, &old);
    int code = 0;
    for (int i = 0; i < fleet->config.workers && code == 0; i++) {
        pid_t pid = fork();
        if (pid == 0)
            run_child(fleet, i, parent);
        if (pid < 0)
            code = err_set(err, -errno, "cannot start worker %d of %d: %m", i + 1, fleet->config.workers);
        else
            fleet->members[i].pid = pid;
    }
    pthread_sigmask(SIG_SETMASK, &old, NULL);
    return code;
}

int fleet_open(struct fleet **fleet_out, const struct fleet_config *config, struct err *err)
{
    struct fleet *fleet = calloc(1, sizeof *fleet);
    if (!fleet)
        return err_set(err, -ENOMEM, "out of memory for the workers");
    fleet->config = *config;
    int code = -ENOMEM;
    fleet->members = calloc((size_t)config->workers, sizeof *fleet->members);
    if (!fleet->members) {
        err_set(err, code, "out of memory for %d workers", config->workers);
        goto fail_fleet;
    }
    fleet->shared_bytes = sizeof *fleet->shared + (size_t)config->workers * sizeof fleet->shared->pages[0];
    fleet->shared =
        mmap(NULL, fleet->shared_bytes, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (fleet->shared == MAP_FAILED) {
        code = err_set(err, -errno, "cannot map %zu bytes for %d workers: %m", fleet->shared_bytes,
                       config->workers);
        goto fail_members;
    }
    code = fork_all(fleet, err);
    if (code < 0) {
        fleet_close(fleet);
        return code;
    }
    *fleet_out = fleet;
    return 0;
fail_members:
    free(fleet->members);
fail_fleet:
    free(fleet);
    return code;
}

static void lull(struct fleet *fleet, int worker)
{
    struct member *member = &fleet->members[worker];
    if (!fleet->config.deep_sleep || member->asleep || member->pid == 0)
        return;
    kill(member->pid, SIGSTOP);
    member->asleep = true;
}

static void rouse(struct fleet *fleet, int worker)
{
    struct member *member = &fleet->members[worker];
    if (!member->asleep)
        return;
    member->asleep = false;
    if (member->pid > 0)
        kill(member->pid, SIGCONT);
}

static void wake(struct fleet *fleet, int worker)
{
    rouse(fleet, worker);
    if (fleet->members[worker].pid > 0)
        kill(fleet->members[worker].pid, SIGUSR1);
}

static uint64_t current(const struct fleet *fleet)
{
    return atomic_load_explicit(&fleet->shared->number, memory_order_relaxed); // we alone write it
}

static const struct fleet_order *current_order(const struct fleet *fleet)
{
    return &fleet->shared->orders[current(fleet) - 1];
}

static bool is_concerned(const struct fleet *fleet, int worker)
{
    return !fleet->config.concerns ||
           fleet->config.concerns(fleet->config.context, worker, current_order(fleet));
}

static bool is_done(const struct fleet *fleet, int worker)
{
    const struct page *page = &fleet->shared->pages[worker];
    if (fleet->members[worker].pid == 0)
        return true;
    if (current(fleet) == 0)
        return atomic_load_explicit(&page->ready, memory_order_acquire);
    return atomic_load_explicit(&page->done, memory_order_acquire) == current(fleet) ||
           !is_concerned(fleet, worker);
}

// The gate stands behind the first `tokens` workers that are not done. Workers that are done may be paused.
static void move_gate(struct fleet *fleet)
{
    int waiting = 0, gate = 0;
    while (gate < fleet->config.workers && waiting < fleet->config.tokens) {
        if (!is_done(fleet, gate))
            waiting++;
        else
            lull(fleet, gate);
        gate++;
    }
    int old = atomic_load_explicit(&fleet->shared->gate, memory_order_relaxed);
    if (gate <= old)
        return;
    atomic_store_explicit(&fleet->shared->gate, gate, memory_order_relaxed);
    for (int i = old; i < gate; i++)
        if (!is_done(fleet, i))
            wake(fleet, i);
}

void fleet_patrol(struct fleet *fleet, int64_t now_ns)
{
    if (!fleet->config.deep_sleep || now_ns - fleet->patrol_ns < PATROL_NS)
        return;
    fleet->patrol_ns = now_ns;
    for (int i = 0; i < fleet->config.workers; i++)
        lull(fleet, i); // those of the last patrol; the others are paused already
    for (int i = 0; i < PATROL && i < fleet->config.workers; i++) {
        rouse(fleet, fleet->patrol);
        fleet->patrol = (fleet->patrol + 1) % fleet->config.workers;
    }
}

void fleet_give(struct fleet *fleet, const struct fleet_order *order)
{
    assert(current(fleet) < FLEET_ORDERS_MAX);
    fleet->shared->orders[current(fleet)] = *order;
    bool gated = order->gated && fleet->config.tokens > 0;
    atomic_store_explicit(&fleet->shared->gate, gated ? 0 : fleet->config.workers, memory_order_relaxed);
    atomic_store_explicit(&fleet->shared->number, current(fleet) + 1, memory_order_release);
    if (gated)
        return; // fleet_poll lets them in
    for (int i = 0; i < fleet->config.workers; i++)
        if (is_concerned(fleet, i))
            wake(fleet, i);
}

void fleet_halt(struct fleet *fleet)
{
    atomic_store_explicit(&fleet->shared->halted, current(fleet), memory_order_relaxed);
    for (int i = 0; i < fleet->config.workers; i++)
        if (!is_done(fleet, i))
            wake(fleet, i);
}

static bool reap(struct fleet *fleet, int worker)
{
    struct member *member = &fleet->members[worker];
    int status;
    if (member->pid == 0 || waitpid(member->pid, &status, WNOHANG) != member->pid)
        return false;
    member->pid = 0;
    if (!fleet->stopping) {
        member->died = true;
        member->killed = WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL;
        // Its writer is dead and reaped, so this process may write the page now.
        tally_bury(&fleet->shared->pages[worker].tally,
                   fleet->config.clients_of(fleet->config.context, worker), fleet->config.apart);
    }
    return true;
}

static int reap_all(struct fleet *fleet)
{
    for (int i = 0; i < fleet->config.workers; i++)
        reap(fleet, i);
    return fleet_living(fleet);
}

// Of an order whose clients come back when they are lost: ends it for all when nothing is under way in any worker.
static void look_for_rest(struct fleet *fleet)
{
    struct shared *shared = fleet->shared;
    uint64_t number = current(fleet);
    if (atomic_load_explicit(&shared->rested, memory_order_relaxed) == number)
        return;
    for (int i = 0; i < fleet->config.workers; i++)
        if (!is_done(fleet, i) &&
            atomic_load_explicit(&shared->pages[i].rests, memory_order_relaxed) != number)
            return;
    atomic_store_explicit(&shared->rested, number, memory_order_relaxed);
    for (int i = 0; i < fleet->config.workers; i++)
        if (!is_done(fleet, i))
            wake(fleet, i);
}

static bool is_on_loss(const struct fleet_order *order)
{
    return order->act == FLEET_ARRIVE && order->arrivals == FLEET_ARRIVALS_ON_LOSS;
}

int fleet_poll(struct fleet *fleet, int64_t now_ns)
{
    if (now_ns - fleet->reaped_ns >= REAP_EVERY_NS) {
        fleet->reaped_ns = now_ns;
        reap_all(fleet);
    }
    if (current(fleet) > 0 && current_order(fleet)->gated && fleet->config.tokens > 0)
        move_gate(fleet);
    if (current(fleet) > 0 && is_on_loss(current_order(fleet)))
        look_for_rest(fleet);
    int busy = 0;
    for (int i = 0; i < fleet->config.workers; i++)
        busy += !is_done(fleet, i);
    return busy;
}

void fleet_sum(const struct fleet *fleet, struct tally *sum)
{
    for (int i = 0; i < fleet->config.workers; i++)
        tally_sum(sum, &fleet->shared->pages[i].tally);
}

int fleet_workers(const struct fleet *fleet)
{
    return fleet->config.workers;
}

int fleet_died(const struct fleet *fleet)
{
    int died = 0;
    for (int i = 0; i < fleet->config.workers; i++)
        died += fleet->members[i].died;
    return died;
}

int fleet_killed(const struct fleet *fleet)
{
    int killed = 0;
    for (int i = 0; i < fleet->config.workers; i++)
        killed += fleet->members[i].killed;
    return killed;
}

int fleet_living(const struct fleet *fleet)
{
    int living = 0;
    for (int i = 0; i < fleet->config.workers; i++)
        living += fleet->members[i].pid > 0;
    return living;
}

pid_t fleet_pid(const struct fleet *fleet, int worker)
{
    return fleet->members[worker].pid;
}

const char *fleet_complaint(const struct fleet *fleet)
{
    for (int i = 0; i < fleet->config.workers; i++)
        if (fleet->members[i].pid == 0 && fleet->shared->pages[i].complaint[0])
            return fleet->shared->pages[i].complaint;
    return "";
}

void fleet_stop(struct fleet *fleet, int64_t patience_ns)
{
    reap_all(fleet); // a worker that died before this died unexpectedly
    fleet->stopping = true;
    atomic_store_explicit(&fleet->shared->stop, true, memory_order_relaxed);
    for (int i = 0; i < fleet->config.workers; i++)
        if (!fleet->members[i].asleep) // a paused worker has nothing to finish
            wake(fleet, i);
        else if (fleet->members[i].pid > 0)
            kill(fleet->members[i].pid, SIGKILL);
    int64_t until_ns = clock_now_ns() + patience_ns;
    while (reap_all(fleet) > 0 && clock_now_ns() < until_ns)
        clock_sleep_until_ns(clock_now_ns() + 5 * NS_PER_MS);
    for (int i = 0; i < fleet->config.workers; i++)
        if (fleet->members[i].pid > 0)
            kill(fleet->members[i].pid, SIGKILL);
    // Wait long only for few sockets. The kernel takes many seconds to close a million sockets, and needs no
    // process for that.
    struct tally sum = {0};
    fleet_sum(fleet, &sum);
    int64_t limit_ns = clock_now_ns() + (sum.count[TALLY_OPEN] <= WAIT_OPEN ? WAIT_FEW_NS : WAIT_MANY_NS);
    while (reap_all(fleet) > 0 && clock_now_ns() < limit_ns)
        clock_sleep_until_ns(clock_now_ns() + 5 * NS_PER_MS);
}

void fleet_close(struct fleet *fleet)
{
    if (!fleet)
        return;
    fleet_stop(fleet, 200 * NS_PER_MS);
    munmap(fleet->shared, fleet->shared_bytes);
    free(fleet->members);
    free(fleet);
}

// --- a worker's side ---------------------------------------------------------------------------------------

int fleet_worker_number(const struct fleet_worker *worker)
{
    return worker->number;
}

static struct page *page_of(const struct fleet_worker *worker)
{
    return &worker->shared->pages[worker->number];
}

struct tally_page *fleet_worker_page(struct fleet_worker *worker)
{
    return &page_of(worker)->tally;
}

void fleet_worker_ready(struct fleet_worker *worker)
{
    atomic_store_explicit(&page_of(worker)->ready, true, memory_order_release);
}

void fleet_worker_complain(struct fleet_worker *worker, const char *text)
{
    snprintf(page_of(worker)->complaint, COMPLAINT_BYTES, "worker %d: %s", worker->number, text);
}

bool fleet_worker_stopped(const struct fleet_worker *worker)
{
    return atomic_load_explicit(&worker->shared->stop, memory_order_relaxed);
}

bool fleet_worker_take(struct fleet_worker *worker, struct fleet_order *order)
{
    uint64_t number = atomic_load_explicit(&worker->shared->number, memory_order_acquire);
    if (number == worker->taken)
        return false;
    worker->taken = number;
    *order = worker->shared->orders[number - 1];
    return true;
}

bool fleet_worker_halted(const struct fleet_worker *worker)
{
    return worker->taken > 0 &&
           atomic_load_explicit(&worker->shared->halted, memory_order_relaxed) == worker->taken;
}

bool fleet_worker_admitted(const struct fleet_worker *worker)
{
    return worker->number < atomic_load_explicit(&worker->shared->gate, memory_order_relaxed);
}

void fleet_worker_done(struct fleet_worker *worker)
{
    atomic_store_explicit(&page_of(worker)->done, worker->taken, memory_order_release);
}

void fleet_worker_rest(struct fleet_worker *worker, bool rests)
{
    atomic_store_explicit(&page_of(worker)->rests, rests ? worker->taken : 0, memory_order_relaxed);
}

bool fleet_worker_all_rest(const struct fleet_worker *worker)
{
    return atomic_load_explicit(&worker->shared->rested, memory_order_relaxed) == worker->taken;
}
