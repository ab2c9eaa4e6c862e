// SPDX-License-Identifier: Apache-2.0
#include "loadgen/run.h"

#include "base/clock.h"
#include "base/procmem.h"

#include <poll.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/signalfd.h>
#include <unistd.h>

enum {
    TICK_NS = 10000000,
    COUNT_EVERY_NS = 100000000, // of the target's descriptors
};
#define ENDING_NS (NS_PER_S / 2) // limit for a process to end after its sockets have closed
#define HALT_NS (10 * NS_PER_S)  // limit for workers to count their acts under way

void run_break(struct run *run, const char *format, ...)
{
    if (run->broken[0])
        return; // the first reason is the cause
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(run->broken, sizeof run->broken, format, arguments);
    va_end(arguments);
    run->broken_ns = clock_now_ns();
}

void run_anomaly(struct run *run, const char *what, const char *format, ...)
{
    char text[1000];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);
    run->withheld |= withheld_bit(what);
    progress_leave(&run->views.progress);
    if (run->record)
        record_anomaly(run->record, what, "%s", text);
    else if (!run->config->quiet)
        fprintf(stderr, "%s: %s: %s\n", run->config->program, what, text);
}

bool run_is_broken(const struct run *run)
{
    return run->broken[0] != '\0';
}

// The sockets of a process close before it has ended, so clients may notice first. Wait a while for the end.
static void await_targets(struct run *run, int64_t ns)
{
    int64_t limit_ns = clock_now_ns() + (run->targets.count > 0 ? ns : 0);
    targets_look(&run->targets, clock_now_ns());
    while (run->targets.ended == 0 && clock_now_ns() < limit_ns) {
        clock_sleep_until_ns(clock_now_ns() + TICK_NS);
        targets_look(&run->targets, clock_now_ns());
    }
}

// Whether the watched processes still run the programs that they ran at the start.
static void look_at_programs(struct run *run, bool at_once)
{
    char text[500];
    if (execs_look(&run->execs, clock_now_ns(), at_once))
        run_anomaly(
            run, "target_replaced",
            "%s. Memory and CPU time from then on are of that, and have no value: watch one program from "
            "start to end",
            execs_tell(&run->execs, text, sizeof text));
}

// What has come of other ranks, and whether the run can go on there.
static void look_at_ranks(struct run *run)
{
    char text[sizeof run->broken];
    if (!run->ranks)
        return;
    (void)!ranks_hear(run->ranks);
    if (ranks_trouble(run->ranks, text, sizeof text)[0])
        run_break(run, "%s", text);
    if (run->ranks->halted)
        run_break(run, "rank 0 broke the order off");
    if (run->ranks->asked[0]) {
        run->interrupted = true;
        run_break(run, "interrupted by %s", run->ranks->asked);
    }
}

static void look_for_trouble(struct run *run)
{
    struct signalfd_siginfo info;
    if (read(run->signals, &info, sizeof info) == sizeof info) {
        run->interrupted = true;
        run_break(run, "interrupted by SIG%s", sigabbrev_np((int)info.ssi_signo));
    }
    struct fleet *fleets[RUN_FLEETS_MAX];
    int died = 0, killed = 0, count = run_fleets(run, fleets);
    const char *why = "";
    for (int i = 0; i < count; i++) {
        died += fleet_died(fleets[i]);
        killed += fleet_killed(fleets[i]);
        if (!why[0])
            why = fleet_complaint(fleets[i]);
    }
    look_at_ranks(run);
    if (died > 0)
        run_break(run, "%d worker process%s died%s%s%s", died, died == 1 ? "" : "es",
                  killed > 0 ? ", killed by SIGKILL" : "", why[0] ? ": " : "", why);
    bool all_lost = run->lossy && run->tally.count[TALLY_OPEN] == 0 && tally_dropped(&run->tally) > 0;
    char text[sizeof run->broken];
    await_targets(run, all_lost && !run_is_broken(run) ? ENDING_NS : 0);
    stops_look(&run->stops, clock_now_ns());
    look_at_programs(run, false);
    if (run->targets.ended > 0)
        run_break(run, "%s", targets_describe(&run->targets, text, sizeof text));
    if (all_lost)
        run_break(run, "every connection was lost");
}

static void add_to_curve(struct run *run, bool going_on)
{
    const struct config *config = run->config;
    if (config->watch.count == 0)
        return;
    if (run->curve.count == 0)
        run->curve.slots = curve_slots(config->watch_pids, config->watch.count);
    curve_add(&run->curve, curve_read(config->watch_pids, config->watch.count, run->tally.count[TALLY_OPEN]),
              going_on);
}

// Descriptors of the target, against the connects that were begun when they had been read.
static void count_descriptors(struct run *run, int64_t now_ns, bool at_once)
{
    const struct config *config = run->config;
    // What other ranks have begun is known a second later.
    if (config->watch.count == 0 || run->ranks || (!at_once && now_ns - run->counted_ns < COUNT_EVERY_NS))
        return;
    run->counted_ns = now_ns;
    int64_t open = 0;
    for (int i = 0; i < config->watch.count && open >= 0; i++) {
        int64_t more = procmem_descriptors((pid_t)config->watch_pids[i]);
        open = more >= 0 ? open + more : -1;
    }
    run_read_tallies(run);
    strangers_count(&run->strangers, open, run->tally.count[TALLY_STARTED]);
}

static void look_at_marks(struct run *run, int64_t now_ns)
{
    for (int i = 0; i < run->mark_count; i++) {
        struct run_mark *mark = &run->marks[i];
        if (mark->taken || now_ns < run->order_ns + mark->after_ns)
            continue;
        if (mark->ticket == 0) {
            mark->ticket = sampler_request(run->sampler);
            run->phase = mark->phase ? mark->phase : run->phase;
        }
        mark->taken = sampler_ready(run->sampler, mark->ticket, &mark->sample);
    }
}

static void tick(struct run *run)
{
    struct pollfd waits[] = {
        {.fd = run->signals, .events = POLLIN},
        {.fd = run->ranks && run->ranks->link.failed == 0 ? run->ranks->link.fd : -1, .events = POLLIN}};
    struct timespec time = {.tv_nsec = TICK_NS};
    ppoll(waits, 2, &time, NULL);
    int64_t now_ns = clock_now_ns();
    if (run->climbing)
        count_descriptors(run, now_ns, false);
    run_read_tallies(run);
    sampler_label(run->sampler, run->phase,
                  run->config->only_watch ? run->ranks->open : run->tally.count[TALLY_OPEN],
                  run->tally.count[TALLY_CPU_NS] + run->probe_tally.count[TALLY_CPU_NS]);
    if (run->publishing)
        look_at_marks(run, now_ns);
    census_look(run->census);
    ceilings_look(&run->ceilings, tally_failed(&run->tally) + tally_dropped(&run->tally), now_ns);
    if (run->climbing && !run->ranks &&
        curve_wants(&run->curve, run->tally.count[TALLY_OPEN], run->config->connections))
        add_to_curve(run, true);
    look_for_trouble(run);
    if (run->shown && now_ns - run->moment.at_ns < NS_PER_S)
        return;
    run->shown = true;
    run_take_latencies(run);
    if (run->ranks && !ranks_lead(run->ranks))
        run_tell(run);
    ranks_tell_open(run->ranks, run->tally.count[TALLY_OPEN]);
    surroundings_look(&run->surroundings);
    run_show(run, now_ns);
}

// --- the calls of scenarios --------------------------------------------------------------------------------

void run_phase(struct run *run, const char *phase)
{
    run_take_latencies(run);
    for (int kind = 0; kind < LATENCY_COUNT; kind++) {
        hist_reset(run->phase_hist[kind]);
        run->phase_censored[kind] = 0;
    }
    for (int i = 0; run->crews && i < run->config->crew_count; i++)
        crew_begin_phase(&run->crews[i]);
    run->phase = phase;
}

// Polls all fleets. The number of living workers of `awaited` (NULL: of all) that are not done.
static int poll_fleets(struct run *run, const struct fleet *awaited)
{
    struct fleet *fleets[RUN_FLEETS_MAX];
    int busy = 0, count = run_fleets(run, fleets);
    int64_t now_ns = clock_now_ns();
    for (int i = 0; i < count; i++) {
        int of_one = fleet_poll(fleets[i], now_ns);
        busy += !awaited || awaited == fleets[i] ? of_one : 0;
    }
    return busy + (!awaited || awaited != run->probes ? ranks_busy(run->ranks) : 0); // others have no probes
}

// The run ends in the middle of an order. Acts under way are counted before anything is closed.
static void halt(struct run *run)
{
    struct fleet *fleets[RUN_FLEETS_MAX];
    int count = run_fleets(run, fleets);
    run->halted = true;
    for (int i = 0; i < count; i++)
        fleet_halt(fleets[i]);
    ranks_halt(run->ranks);
    int64_t limit_ns = clock_now_ns() + HALT_NS;
    while (poll_fleets(run, NULL) > 0 && clock_now_ns() < limit_ns) {
        clock_sleep_until_ns(clock_now_ns() + 2 * NS_PER_MS);
        if (run->ranks)
            (void)!ranks_hear(run->ranks);
    }
    run_collect(run);
}

// Waits for a fleet; NULL: for all.
static bool wait_for(struct run *run, const struct fleet *fleet, int64_t limit_ns)
{
    for (;;) {
        int64_t now_ns = clock_now_ns();
        int busy = poll_fleets(run, fleet);
        tick(run);
        if (busy == 0) {
            run_take_latencies(run);
            ranks_tell_open(run->ranks, run->tally.count[TALLY_OPEN]);
            return true;
        }
        if (now_ns >= limit_ns) {
            char text[300];
            stops_describe(&run->stops, text, sizeof text);
            run_break(run, "%d workers did not end the phase \"%s\" in time%s%s", busy, run->phase,
                      text[0] ? ": " : "", text);
        }
        if (run_is_broken(run)) {
            halt(run);
            return false;
        }
    }
}

// The common instant of an order for so many workers: time for each to resume and read it, and for its engine, if that
// needs any and the first act of the schedule would show it.
static int64_t instant(const struct run *run, const struct fleet_order *order, int workers)
{
    bool expects = order->rate_per_s > 0 && run->setup.engine->expect;
    return clock_now_ns() + 20 * NS_PER_MS + workers * 100 * NS_PER_US + (expects ? NS_PER_S / 4 : 0) +
           ranks_notice_ns(run->ranks);
}

// No order is under way any more.
static void end_asked(struct run *run)
{
    asked_end(&run->asked, run->moment.at_ns, clock_now_ns());
    run->publishing = false;
}

// Of an order that ends connections of ours, see census.h.
static void hear_no_ends(struct run *run, const struct fleet_order *order)
{
    if (order->act != FLEET_ARRIVE && order->act != FLEET_CLOSE)
        return;
    run_read_tallies(run);
    run_pause_census(run);
}

// Gives the order to all other ranks.
static void give_ranks(struct run *run, int crew, const struct fleet_order *order, int64_t limit_ns)
{
    struct crew_act act = {.crew = crew, .order = *order};
    ranks_give(run->ranks, run->crews ? run->phase : NULL, &act, 1, limit_ns);
}

bool run_order(struct run *run, struct fleet *fleet, struct fleet_order *order, int64_t limit_ns)
{
    if (run_is_broken(run))
        return false;
    bool shared = fleet == run->fleet; // with other ranks
    if (shared)
        ranks_measure_clocks(run->ranks);
    run_begin_loads(run);
    if (!run->ranks || ranks_lead(run->ranks))
        order->at_ns = instant(run, order, fleet_workers(fleet));
    run->climbing = order->act == FLEET_CONNECT && fleet == run->fleet;
    if (run->climbing) {
        count_descriptors(run, order->at_ns, true);
        add_to_curve(run, false);
    }
    run->publishing = order->act == FLEET_PUBLISH;
    asked_begin(&run->asked, order);
    if (run->publishing && run->board)
        board_reset(run->board);
    run->order_ns = order->at_ns;
    hear_no_ends(run, order);
    if (shared)
        give_ranks(run, 0, order, limit_ns);
    struct fleet_order own = run_own_order(run, 0, order);
    fleet_give(fleet, &own);
    wait_for(run, fleet, order->at_ns + limit_ns);
    run_end_loads(run, fleet == run->probes && order->act == FLEET_CONNECT ? 0 : run_loads_of(order));
    if (run->climbing)
        add_to_curve(run, true);
    run->climbing = false;
    end_asked(run);
    return !run_is_broken(run);
}

bool run_orders(struct run *run, struct fleet_order *order, struct fleet_order *beside, int64_t limit_ns)
{
    if (run_is_broken(run))
        return false;
    ranks_measure_clocks(run->ranks);
    run_begin_loads(run);
    order->at_ns = beside->at_ns =
        instant(run, order, fleet_workers(run->fleet) + fleet_workers(run->probes));
    run->publishing = beside->act == FLEET_PUBLISH;
    asked_begin(&run->asked, order);
    asked_begin(&run->asked, beside);
    hear_no_ends(run, order);
    give_ranks(run, 0, order, limit_ns);
    fleet_give(run->probes, beside);
    fleet_give(run->fleet, order);
    wait_for(run, NULL, order->at_ns + limit_ns);
    run_end_loads(run, run_loads_of(order) | run_loads_of(beside));
    end_asked(run);
    return !run_is_broken(run);
}

// The common instant of orders to crews; on ranks above 0 rank 0 has set it.
static int64_t place_acts(struct run *run, struct crew_act acts[], int count)
{
    int workers = 0;
    int64_t at_ns = 0;
    if (run->ranks && !ranks_lead(run->ranks))
        return acts[0].order.at_ns;
    for (int i = 0; i < count; i++)
        workers += fleet_workers(run->crews[acts[i].crew].fleet);
    for (int i = 0; i < count; i++) {
        int64_t one_ns = instant(run, &acts[i].order, workers);
        at_ns = one_ns > at_ns ? one_ns : at_ns;
    }
    run->load_number++;
    for (int i = 0; i < count; i++) {
        acts[i].order.at_ns = at_ns;
        acts[i].order.load = run->load_number;
    }
    return at_ns;
}

bool run_acts(struct run *run, struct crew_act acts[], int count, int64_t limit_ns)
{
    if (run_is_broken(run))
        return false;
    ranks_measure_clocks(run->ranks);
    run_begin_loads(run);
    int64_t at_ns = place_acts(run, acts, count);
    unsigned kinds = 0;
    for (int i = 0; i < count; i++)
        run->publishing = run->publishing || acts[i].order.act == FLEET_PUBLISH;
    for (int i = 0; run->crews && i < run->config->crew_count; i++)
        if (run->crews[i].board)
            board_reset(run->crews[i].board);
    run->order_ns = at_ns;
    for (int i = 0; i < count; i++)
        hear_no_ends(run, &acts[i].order);
    ranks_give(run->ranks, run->phase, acts, count, limit_ns);
    for (int i = 0; i < count; i++) {
        struct fleet_order own = run_own_order(run, acts[i].crew, &acts[i].order);
        kinds |= run_loads_of(&own);
        if (acts[i].shown)
            asked_begin(&run->asked, &acts[i].order);
        fleet_give(run->crews[acts[i].crew].fleet, &own);
    }
    wait_for(run, NULL, at_ns + limit_ns);
    run_end_loads(run, kinds);
    end_asked(run);
    return !run_is_broken(run);
}

bool run_hold(struct run *run, int64_t ns)
{
    struct fleet *fleets[RUN_FLEETS_MAX];
    int count = run_fleets(run, fleets);
    int64_t until_ns = clock_now_ns() + ns;
    while (!run_is_broken(run) && clock_now_ns() < until_ns) {
        for (int i = 0; i < count; i++) {
            fleet_poll(fleets[i], clock_now_ns());
            if (fleets[i] != run->probes)
                fleet_patrol(fleets[i], clock_now_ns());
        }
        tick(run);
    }
    return !run_is_broken(run);
}

bool run_sample(struct run *run, struct sample *sample)
{
    uint64_t ticket = sampler_request(run->sampler);
    while (!sampler_ready(run->sampler, ticket, sample)) {
        if (run_is_broken(run))
            return false;
        poll_fleets(run, NULL);
        tick(run);
    }
    run_read_tallies(run);
    sample->lost = tally_dropped(&run->tally);
    if (run->config->backoff.first_ns > 0) // those that came back, too
        sample->lost += run->tally.count[TALLY_ARRIVAL_DUE];
    run_take_census(run, &sample->census);
    run_look_at_holders(run);
    return !run_is_broken(run);
}

void run_disconnect(struct run *run)
{
    run->lossy = false;
    run_pause_census(run);
    // What the last second had of the orders, which is one in part: a short life would not be seen at all.
    if (run->shown && asked_has_ended(&run->asked)) {
        run_collect(run);
        run_show(run, clock_now_ns());
    }
    run_phase(run, "close");
    run->over = run->interrupted || run->halted;
    if (run->over) {
        run_read_tallies(run);
        return;
    }
    struct fleet_order order = {.act = FLEET_CLOSE, .gated = true, .drain_ns = 30 * NS_PER_S};
    struct fleet *fleets[RUN_FLEETS_MAX];
    for (int i = run_fleets(run, fleets) - 1; i >= 0; i--) { // the probes first
        int64_t limit_ns = 60 * NS_PER_S;
        order.at_ns = clock_now_ns() + 20 * NS_PER_MS + ranks_notice_ns(run->ranks);
        // A fleet still busy with an order that was broken off gets no other order; it is stopped later.
        if (poll_fleets(run, fleets[i]) > 0)
            continue;
        if (fleets[i] != run->probes)
            give_ranks(run, run->crews ? i : 0, &order, limit_ns);
        fleet_give(fleets[i], &order);
        int64_t until_ns = clock_now_ns() + limit_ns;
        while (poll_fleets(run, fleets[i]) > 0 && clock_now_ns() < until_ns && !run->interrupted)
            tick(run);
    }
    run->over = true;
    tick(run);
}

void run_end_targets(struct run *run)
{
    const int64_t *failed = run->tally.failed;
    bool cut_off = failed[REASON_TCP_REFUSED] > 0 || failed[REASON_RESET] > 0 || failed[REASON_CLOSED] > 0 ||
                   failed[REASON_UNTOLD] > 0 || tally_dropped(&run->tally) > 0;
    await_targets(run, cut_off ? ENDING_NS : 0);
    char text[sizeof run->broken];
    if (run->targets.ended > 0)
        run_anomaly(run, "target_ended",
                    "%s. Connections that were refused or closed from then on, and messages that were lost, "
                    "are of that",
                    targets_describe(&run->targets, text, sizeof text));
    look_at_programs(run, true);
    char told[900];
    for (int kind = 0; kind < STOP_KINDS; kind++)
        if (stops_tell(&run->stops, (enum stop_kind)kind, told, sizeof told))
            run_anomaly(run, "target_stopped", "%s", told);
    if (run->record && run->stops.seen)
        record_set(run->record, "target_stops", stops_json(&run->stops));
}
