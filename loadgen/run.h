// SPDX-License-Identifier: Apache-2.0
// One run, seen from the parent. The parent gives orders to the fleet and waits for them. Meanwhile it
// collects latencies, samples memory and shows the run (views.h). Ctrl-C, a dead worker or a dead target end a run
// early.
//
// A scenario is a sequence of run_order, run_sample, run_settle and run_hold. Each returns false when the run
// has to end (run->broken says why). A scenario then goes straight to its end and keeps its measurements. One
// thread; run_setup.h opens and closes a run.
#ifndef POOLMARK_LOADGEN_RUN_H
#define POOLMARK_LOADGEN_RUN_H

#include "base/books.h"
#include "base/hist.h"
#include "base/record.h"
#include "loadgen/asked.h"
#include "loadgen/ceilings.h"
#include "loadgen/config.h"
#include "loadgen/crew.h"
#include "loadgen/curve.h"
#include "loadgen/execs.h"
#include "loadgen/fleet.h"
#include "loadgen/kept.h"
#include "loadgen/latency.h"
#include "loadgen/loads.h"
#include "loadgen/owners.h"
#include "loadgen/plan.h"
#include "loadgen/ranks.h"
#include "loadgen/moment.h"
#include "loadgen/sampler.h"
#include "loadgen/stops.h"
#include "loadgen/strangers.h"
#include "loadgen/surroundings.h"
#include "loadgen/targets.h"
#include "loadgen/views.h"
#include "loadgen/withheld.h"
#include "loadgen/worker.h"

#include <stdbool.h>

// A reading in the middle of an order, and the phase that begins with it.
struct run_mark {
    int64_t after_ns;  // since the at_ns of the order
    const char *phase; // static; NULL: the same goes on
    struct sample sample;
    uint64_t ticket; // the run's own: of its reading; 0: not asked for yet
    bool taken;      // `sample` is there
};

enum { RUN_FLEETS_MAX = CREWS_MAX + 2 };

struct run {
    const struct config *config;
    struct record *record; // NULL: no --record
    struct ranks *ranks;   // NULL: there is one
    struct plan plan;
    struct worker_setup setup;
    struct fleet *fleet;    // NULL: the clients are in crews
    struct crew *crews;     // config->crew_count of them; NULL: none. `plan` is then of all clients together
    struct plan probe_plan; // steps: the plan of the probes
    struct worker_setup probe_setup;
    struct fleet *probes; // NULL: none
    char probe_prefix[20];
    struct identity probe_identity;
    struct board *board; // NULL: the pattern is pairs
    // With a pattern of which this rank has a part (pattern_parts.h): the beginning of its topics, and of each worker the
    // number of its first client in the part. NULL: it is the whole.
    char topics_prefix[24];
    int64_t *places;
    struct latency_shared *latency;
    struct hist *interval[LATENCY_COUNT];   // since the last line of the log
    struct hist *second[LATENCY_COUNT];     // since the last moment that was shown
    struct hist *total[LATENCY_COUNT];      // of the whole run
    struct hist *phase_hist[LATENCY_COUNT]; // since run_phase
    int64_t censored[LATENCY_COUNT];        // of the samples in `total`, those that had not ended
    int64_t phase_censored[LATENCY_COUNT];  // of those in `phase_hist`
    void *hist_memory;
    size_t hist_memory_bytes;
    struct hist_log *log;
    struct sampler *sampler;
    int64_t highest_bytes;      // VmHWM of the watched process at the start; -1: of several, or not known
    struct owners owners;       // whether the watched processes are the target
    struct kept kept;           // sessions of others that are away
    struct curve curve;         // while clients connect, of the watched processes
    uint32_t number;            // in the header of each message (payload.h)
    struct strangers strangers; // load on the target that is not ours
    bool unseen_told;           // an anomaly says that others' traffic could not be seen,
    bool passing_told;          // or that others came and ended unheard
    struct census *census;      // traffic at the target that is not ours; NULL: nothing is watched
    int64_t counted_ns;         // when the target's descriptors were last counted
    uint64_t withheld;          // anomalies that withhold figures (withheld.h)
    struct withheld_parts withheld_parts; // figures that they withhold beside those
    struct withheld_parts doubted;        // figures that others may be in, which stay and are marked
    struct views views;
    struct moment moment;     // the last that was shown
    struct tally tally;       // of the fleet, or of all crews, refreshed by each tick
    struct tally probe_tally; // of the probes, likewise
    const char *phase;
    int64_t wanted;         // connections, for progress
    int64_t top;            // of all steps, for progress; 0: there are no steps
    struct asked asked;     // the orders under way
    bool publishing;        // one of them publishes
    struct run_mark *marks; // of the order under way, set before it is given; NULL: none
    int mark_count;
    int64_t order_ns; // its at_ns
    bool climbing;    // clients of the run connect (not its probes)
    int64_t started_ns;
    bool shown;                  // a moment has been shown
    int64_t log_wall_ns, log_ns; // one instant by both clocks; log times count from it by the monotonic one
    int64_t interval_from_ns;
    struct surroundings surroundings;
    struct ceilings ceilings;
    struct targets targets; // the watched processes
    struct stops stops;     // times in which they stood still
    struct loads loads;  // how busy they were in orders; with crews in those given last, with `load_number`
    int64_t load_number; // fleet_order.load; on other ranks as rank 0 gave it
    struct execs execs;  // those that executed another program
    bool late_receiver;  // a worker did not read in time (receiving.h)
    int64_t broken_ns;   // when the run ended early; 0: it did not
    int signals;         // signalfd of SIGINT, SIGTERM and SIGHUP
    bool interrupted;
    struct sampler_account sampler_account; // set when the files are closed
    struct csv_account log_account, steps_account, arrivals_account;
    struct books books; // lines that the scenario itself adds
    bool halted;        // an order was broken off: clients are not closed one by one
    bool over;          // by run_disconnect: no client comes back any more
    bool lossy;         // the run ends when all connections are lost: set while they are held
    char broken[400];   // why the run ends early; "" while it does not
};

void run_phase(struct run *run,
               const char *phase); // a word that outlives the run; empties phase_hist, and the crews'
void run_collect(struct run *run); // now, what a tick collects: counts, latencies
// These alone (run_counts.c): counts of all fleets and ranks; latencies, into the histograms and the log.
void run_read_tallies(struct run *run);
void run_show(struct run *run, int64_t now_ns); // what was collected since the last call
// Does the run end early, so that deliveries without an outcome count as unfinished (tally_settle)?
bool run_settles(const struct run *run);
void run_take_latencies(struct run *run);

// Sets the at_ns of `order`, gives it to `fleet` and waits until all workers are done, at most `limit_ns`. Called on rank 0, all
// ranks carry the order out; on another rank at_ns is as rank 0 gave it.
bool run_order(struct run *run, struct fleet *fleet, struct fleet_order *order, int64_t limit_ns);
// The same for both fleets at once: `order` for the clients, `beside` for the probes, at one instant.
bool run_orders(struct run *run, struct fleet_order *order, struct fleet_order *beside, int64_t limit_ns);
// The same for several crews, at one instant: all must be done. The rates of `shown` acts are shown.
bool run_acts(struct run *run, struct crew_act acts[], int count, int64_t limit_ns);
bool run_hold(struct run *run, int64_t ns);
// A rank above 0 tells rank 0 its latencies and counts.
void run_tell(struct run *run);
bool run_sample(struct run *run, struct sample *sample); // a full one, now
// Takes only the part of a sample that is of sockets, by the counts that were read last. Works in a broken run too. Without a
// census nothing in the reading is known.
void run_take_census(struct run *run, struct census_reading *reading);
// Which watched processes have the connections that are there now (holders.h).
void run_look_at_holders(struct run *run);
void run_pause_census(struct run *run); // before orders that end connections: census_pause (census.h)
// The difference that two readings of a target at rest may have: 64 KiB or a thousandth, the larger of both.
int64_t run_level_slack(int64_t bytes);
// A pause of about half a second before the first client, or between orders: what CPU time does the target take by
// itself? Longer, up to 3 s, while it is busy. Nothing without a watched process.
bool run_rest(struct run *run);
// Waits, at most `limit_ns`, until the target's memory is level; takes a full sample. This is such a pause too.
bool run_settle(struct run *run, int64_t limit_ns, struct sample *sample);
// The orderly end: disconnects all clients, also when the run is broken. Does nothing if the run was
// interrupted or an order was broken off.
void run_disconnect(struct run *run);

// Of an order to all ranks what the workers here carry out: of a pattern this rank's part. `share`: its crew (run_own.c).
struct fleet_order run_own_order(const struct run *run, int share, const struct fleet_order *order);

// Reads what limits are judged by before orders are given, and when they are done (loads.h). `kinds`: of these orders.
void run_begin_loads(struct run *run);
void run_end_loads(struct run *run, unsigned kinds);
unsigned run_loads_of(const struct fleet_order *order);

// All fleets of the run: of the clients and the probes, or of the crews. Returns their number.
int run_fleets(const struct run *run, struct fleet *fleets[RUN_FLEETS_MAX]);

// After the scenario: anomalies when a watched process has ended, or stood still meanwhile.
void run_end_targets(struct run *run);

// Adds an anomaly to the record and prints it (base/record.h). Without a record only prints, unless --quiet.
void run_anomaly(struct run *run, const char *what, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

void run_break(struct run *run, const char *format, ...) __attribute__((format(printf, 2, 3)));
bool run_is_broken(const struct run *run);

#endif
