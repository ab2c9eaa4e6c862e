// SPDX-License-Identifier: Apache-2.0
// The state that the parts of a worker share; private to them. worker.c takes orders and passes them to the
// part that carries them out: worker_connect.c, worker_publish.c (with worker_receive.c), worker_sweep.c,
// worker_subscribe.c (with worker_replay.c), worker_retain.c or worker_arrive.c; worker_return.c works beside all of them; worker_slow.c is the part of publishing that slow readers add. These share worker_state.c; worker_arrive.c also uses worker_connect.c.
#ifndef POOLMARK_LOADGEN_WORKER_STATE_H
#define POOLMARK_LOADGEN_WORKER_STATE_H

#include "loadgen/flights.h"
#include "loadgen/schedule.h"
#include "loadgen/stream.h"
#include "loadgen/thread_load.h"
#include "loadgen/worker.h"

#include "base/clock.h"

// A worker whose tick comes so much later than planned was kept from running.
#define WORKER_STALL_NS (250 * NS_PER_MS)
// The same in the share of the time of its acts in which it was (LOAD_STALLED_PPM).
#define WORKER_HELD_NS (50 * NS_PER_MS)
enum { WORKER_NAME_BYTES = 64 };         // of a topic that was not given
#define WORKER_IDLE_NS (3600 * NS_PER_S) // a signal comes before that

enum worker_client {
    CLIENT_NEW,
    CLIENT_CONNECTING,
    CLIENT_SUBSCRIBING, // open, and a SUBACK is awaited
    CLIENT_OPEN,
    CLIENT_USELESS, // open, and counted as dropped: its subscription failed
    CLIENT_PROVING, // open, and a sign of life is awaited
    CLIENT_CLOSING,
    CLIENT_ENDED,         // failed, dropped or closed
    CLIENT_WAITING,       // not connected, and tries again by itself
    CLIENT_RESUBSCRIBING, // open again by itself, and a SUBACK is awaited
};

// A publisher's messages; of a pair seen from both ends, since its subscriber is in the same worker.
struct worker_pair {
    uint64_t sent;             // sequence of the next message
    uint64_t arrived;          // sequence after the latest that has arrived (all passed), or given up
    uint64_t newest;           // pairs: sequence after the highest that has arrived
    uint64_t warm_up;          // sequence after the last of the warm-up; patterns other than pairs
    uint64_t passed, given_up; // no rate, and not pairs: by the board; messages not waited for
    uint64_t topic;            // pairs: its number (topic_mark.h); 0: not known yet
    bool may_send;             // no rate: is among `ready`
    int64_t last_sent_ns;      // sent_ns of a pair's messages rises and identifies them
    int64_t last_arrived_ns, last_acked_ns; // 0: none
    struct flights arriving, acking; // on their way to the subscriber; awaiting an acknowledgement (QoS 1, 2)
};

// The subscribers of a pattern other than pairs. Their publishers may be in other workers.
struct worker_reception {
    int64_t first, count;   // subscribers of this worker
    struct stream *streams; // those of subscriber i from starts[i] on, one for each publisher of its topic
    int64_t *starts;
    uint64_t *topics; // of each publisher's messages the number (topic_mark.h); 0: not known yet
    bool *there;      // those that are connected
    int64_t arrived;  // deliveries, each once
    int64_t expected; // known when all publishers have finished; before -1
};

struct worker_load { // of all acts of a kind with one fleet_order.load
    int64_t number, ns, ran_ns, waited_ns, held_ns;
    int threads; // of the worker
};

// Slow readers. They have workers of their own, so all subscribers of a worker are, or none is.
struct worker_slow {
    int64_t first; // the first client of the plan that is one, from their order on; 0: none is
    enum { SLOW_NONE, SLOW_BEFORE, SLOW_NOW, SLOW_AGAIN } stage; // of this worker's, while their order runs
    int64_t *heard_ns; // SLOW_AGAIN: for each subscriber when it recovered; 0: not yet
};

struct worker_due { // a message that is due
    int64_t pair, intended_ns;
    bool sent;
};

struct worker {
    const struct worker_setup *setup;
    struct fleet_worker *fleet;
    struct tally_page *page;
    struct engine_run *run;
    struct plan_share share;
    int64_t place;    // the number of its first client in the pattern of an order
    uint8_t *clients; // enum worker_client each
    char *name;       // the topic or filter that was named last
    struct latency_batch batch;

    struct fleet_order order;
    struct schedule schedule;
    bool busy;    // an order is being carried out
    int64_t next; // CONNECT, PROVE, CLOSE: the next client to begin with
    int64_t goal; // where to end
    int64_t *
        intended_ns; // CONNECT by a Poisson process: of each client's connect, which has no formula; otherwise NULL
    int64_t pending;      // clients begun and not ended
    int64_t subscribing;  // of these, clients that await a SUBACK
    int64_t subscribe_ns; // the last SUBSCRIBE
    int64_t deadline_ns;  // PROVE, CLOSE: when to give up; PUBLISH: when the drain ends; 0: not yet known
    bool
        arrived; // PUBLISH, SUBSCRIBE: all messages have, and until the deadline the worker listens for what comes twice
    int64_t cpu_read_ns;

    bool heard;             // an event came since the last tick
    int64_t tick_ns;        // the last tick
    int64_t next_tick_ns;   // the latest planned time of the next tick; 0: no order is being carried out
    int64_t stall_ended_ns; // the end of the last time that this process was kept from running

    struct worker_reception reception;
    struct worker_slow slow;
    struct worker_pair *pairs; // PUBLISH: the publishers of this worker
    int64_t first_pair, pair_count;
    int64_t turn; // next of schedule_turn
    struct worker_due *burst;
    // No rate: pairs that may send, a ring of `pair_count`.
    uint32_t *ready;
    int64_t ready_first, ready_count;
    int64_t looked_ns; // for pairs that stand still
    int64_t board_ns;  // when to look at the board again
    bool finished;     // all publishers of all workers have
    struct payload_maker payloads;
    struct worker_load loads[LOAD_KINDS];
    struct thread_load load;                        // when the acts of the order began
    int64_t held_ns, load_held_ns, load_stalled_ns; // how long it was kept from running, so far and by then
    enum { LOAD_NONE, LOAD_READ, LOAD_COUNTED } load_stage;
    bool sending;           // not yet past the end of the schedule
    int64_t flights_budget; // bytes that the pairs' messages under way may take

    struct worker_arrivals *arrivals; // ARRIVE; worker_arrive.c
    struct worker_changes *changes;   // SUBSCRIBE; worker_subscribe.c
    struct worker_replays *replays;   // SUBSCRIBE with retained messages; worker_replay.c
    struct worker_retains *retains;   // RETAIN; worker_retain.c
    struct worker_returns
        *returns; // whatever the order; worker_return.c; NULL: no client comes back by itself
    int64_t *
        subscribed_ns; // with `returns`: when each client had subscribed again; INT64_MAX: not yet; 0: it never did
};

// Ends the process, because it has no memory. The parent counts the worker as dead, and says why.
_Noreturn void worker_has_no_memory(const struct worker *worker);

bool worker_is_open(uint8_t client);
// Has the deadline passed, and has everything that came before been read? Then a missing answer is lost.
bool worker_is_past(const struct worker *worker, int64_t deadline_ns, int64_t now_ns);

// All messages of the order have arrived. True: the order is done. False: the deadline has moved, and it is done then.
bool worker_has_listened(struct worker *worker, int64_t now_ns);

void worker_topic(const struct worker *worker, char kind, int64_t number, char topic[static 64]);
// By the order's pattern: the topic of a publisher's messages, and what a subscriber subscribes to.
void worker_message_topic(const struct worker *worker, int64_t publisher, char topic[static 64]);
void worker_filter(const struct worker *worker, int64_t subscriber, char filter[static 64]);

// The topic of a retained message (RETAIN), and the filter that all of them match.
void worker_retained_topic(const struct worker *worker, int64_t number, char topic[static 64]);
void worker_retained_filter(const struct worker *worker, char filter[static 64]);

// The same where --topic may have given another: the topic of a publisher's messages, what a subscriber subscribes to, and
// a topic of the client's own. Valid until the next call.
const char *worker_name_messages(struct worker *worker, int64_t publisher);
const char *worker_name_filter(struct worker *worker, int64_t subscriber);
const char *worker_name_own(struct worker *worker, int64_t global);

// What the client subscribes to by the order; NULL: nothing. Valid until the next call that names a topic.
const char *worker_wanted_topic(struct worker *worker, int64_t global);

// Was this process kept from running since `from_ns`? What seems late may be its own doing. Then a time-out of a connect is not counted as the
// target's.
bool worker_came_too_late(const struct worker *worker, const struct engine_event *event);
bool worker_stalled_since(const struct worker *worker, int64_t from_ns);
enum tally_reason worker_failure(const struct worker *worker, const struct engine_event *event);

bool worker_is_warm_up(const struct worker *worker, int64_t intended_ns);
void worker_count(struct worker *worker, enum tally_count what, int64_t intended_ns); // a message

// Would a client with one message under way at a time have sent this one then? Yes, if the one before it had
// ended. With a schedule, messages that pile up during a standstill of the target are not samples of such a
// client. Without a schedule every message is one: the publisher's window decides when it is sent.
bool worker_had_its_turn(const struct worker *worker, int64_t sent_ns, int64_t before_ended_ns);

// Counts a message of publisher `publisher` that has arrived under another topic than it was published to, or with another
// RETAIN flag than MQTT gives it. `*topic`: the number of the topic (topic_mark.h); 0: not known yet.
void worker_count_changed(struct worker *worker, const struct engine_event *event, uint64_t *topic,
                          int64_t publisher);

// Counts a subscription that was granted another QoS than was asked for, or a delivery that has one.
void worker_count_qos(struct worker *worker, const struct engine_event *event);

// Counts a message that has arrived before.
void worker_count_duplicate(struct worker *worker, const struct engine_event *event);

// Counts a message that has arrived for the first time; only a whole one is measured. `before_ns`: when the one before it arrived; 0: none.
void worker_record_delivery(struct worker *worker, const struct engine_event *event, int64_t before_ns);

// At those that read, with slow readers beside them: which of the three times of the order a message belongs to.
enum latency_kind worker_delivery_kind(const struct worker *worker, int64_t intended_ns);

// Returns the time to look again before an act at `at_ns`; lets the engine get ready for it.
int64_t worker_await_turn(struct worker *worker, int64_t at_ns, int64_t now_ns);

// The parts. `tick` begins the acts that are due and returns the time of the next tick. `end` counts the acts
// under way.
int worker_connect_begin(struct worker *worker);
int64_t worker_connect_tick(struct worker *worker, int64_t now_ns);
void worker_connect_event(struct worker *worker, const struct engine_event *event);
bool worker_connect_done(struct worker *worker, int64_t now_ns);
void worker_connect_halt(struct worker *worker, int64_t now_ns);
// For connects of any order. The client, which was counted in `pending`, is open: subscribes as the order says,
// unless the target has kept its session.
void worker_connect_subscribe(struct worker *worker, int64_t client, bool session_present);
void worker_connect_forget_subscribes(struct worker *worker, int64_t now_ns); // that are too late
void worker_connect_give_up_subscribes(struct worker *worker, bool halted);

// Clients that try again by themselves. Without them `worker->returns` is NULL, and the calls do nothing and say no.
int worker_return_open(struct worker *worker);
void worker_return_follow(struct worker *worker); // an order to connect
// A first connect has failed: is it tried again, later? `begun_ns`: when it was begun.
bool worker_return_retries(struct worker *worker, int64_t client, enum tally_reason reason, int64_t begun_ns,
                           int64_t now_ns);
// A first connect was made, by a try that began at `started_ns`. When was the first begun?
int64_t worker_return_begun_ns(struct worker *worker, int64_t client, int64_t started_ns);
bool worker_return_lost(struct worker *worker, const struct engine_event *event);  // does it come back?
bool worker_return_is_back(const struct worker *worker, int64_t client);           // is it on its way back?
bool worker_return_event(struct worker *worker, const struct engine_event *event); // of one that comes back?
bool worker_return_answered(struct worker *worker, const struct engine_event *event); // SUBACK of such a one?
int64_t worker_return_tick(struct worker *worker,
                           int64_t now_ns);                  // the time of the next; nothing to do: INT64_MAX
void worker_return_stop(struct worker *worker, bool halted); // the run ends

int worker_arrive_begin(struct worker *worker);
int64_t worker_arrive_tick(struct worker *worker, int64_t now_ns);
// Is this client's loss awaited by the order?
bool worker_arrive_awaits(const struct worker *worker, int64_t client);
void worker_arrive_event(struct worker *worker, const struct engine_event *event);
bool worker_arrive_done(struct worker *worker, int64_t now_ns);
void worker_arrive_end(struct worker *worker, bool halted);

int worker_subscribe_begin(struct worker *worker);
int64_t worker_subscribe_tick(struct worker *worker, int64_t now_ns);
void worker_subscribe_event(struct worker *worker, const struct engine_event *event); // an answer
void worker_subscribe_lost(struct worker *worker, int64_t client);                    // its connection
bool worker_subscribe_done(struct worker *worker, int64_t now_ns);
void worker_subscribe_end(struct worker *worker, bool halted);

// Of an order with retained messages; otherwise they do nothing. A SUBSCRIBE of the client was sent; a message arrived
// (only with such an order); the client's connection or subscription is lost; no replay is under way.
int worker_replay_begin(struct worker *worker);
void worker_replay_start(struct worker *worker, int64_t client, int64_t intended_ns);
void worker_replay_message(struct worker *worker, const struct engine_event *event);
void worker_replay_lost(struct worker *worker, int64_t client);
bool worker_replay_done(const struct worker *worker);
void worker_replay_end(struct worker *worker, bool halted);

int worker_retain_begin(struct worker *worker);
int64_t worker_retain_tick(struct worker *worker, int64_t now_ns);
void worker_retain_acked(struct worker *worker, const struct engine_event *event);
void worker_retain_lost(struct worker *worker, int64_t client); // its connection
bool worker_retain_done(struct worker *worker, int64_t now_ns);
void worker_retain_end(struct worker *worker, bool halted);

void worker_sweep_begin(struct worker *worker);
int64_t worker_sweep_tick(struct worker *worker, int64_t now_ns);
void worker_sweep_proven(struct worker *worker, int64_t client);
bool worker_sweep_done(struct worker *worker, int64_t now_ns);
void worker_sweep_end(struct worker *worker, bool halted);

// worker_receive_lost does nothing without such an order.
int worker_receive_begin(struct worker *worker);
void worker_receive_message(struct worker *worker, const struct engine_event *event);
void worker_receive_lost(struct worker *worker, int64_t client);     // its connection
void worker_receive_returned(struct worker *worker, int64_t client); // it is back, and subscribed
bool worker_receive_done(struct worker *worker);                     // has everything that was sent arrived?
void worker_receive_end(struct worker *worker, bool halted);

bool worker_is_slow(const struct worker *worker, int64_t client);
void worker_slow_begin(struct worker *worker);
int64_t worker_slow_tick(struct worker *worker, int64_t now_ns); // nothing to do: INT64_MAX
// A delivery that has arrived for the first time, at subscriber `subscriber` of this worker.
void worker_slow_delivery(struct worker *worker, int64_t subscriber, const struct engine_event *event);
bool worker_slow_is_over(const struct worker *worker); // nothing more is read in this order
// When the client's application next reads, from a time on: that time, unless it is slow. INT64_MAX: not in this order.
int64_t worker_slow_reads_ns(const struct worker *worker, int64_t client, int64_t from_ns);
void worker_slow_end(struct worker *worker, bool halted);

// How busy this worker is from the first act of an order to its end, of messages to the end of the schedule (worker_load.c).
// `end` counts it, once; `look` does so when the schedule is over; after `pause` it may begin again. Of an order whose acts
// have no kind (loads.h) they do nothing.
void worker_load_begin(struct worker *worker);
void worker_load_look(struct worker *worker, int64_t now_ns);
void worker_load_end(struct worker *worker);
void worker_load_pause(struct worker *worker);
void worker_load_unread(
    struct worker *worker); // counts the bytes that have come from the target and are not read

int worker_publish_begin(struct worker *worker);
int64_t worker_publish_tick(struct worker *worker, int64_t now_ns);
void worker_publish_event(struct worker *worker, const struct engine_event *event);
void worker_publish_returned(struct worker *worker,
                             int64_t client); // it is back, and subscribed; of no order to publish: nothing
bool worker_publish_done(struct worker *worker, int64_t now_ns);
void worker_publish_end(struct worker *worker, bool halted);

#endif
