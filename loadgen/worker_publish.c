// SPDX-License-Identifier: Apache-2.0
// The publishing part of a worker: its publishers, and the subscribers of pairs. worker_receive.c has those of
// other patterns, whose publishers may be in other workers.
#include "loadgen/worker_state.h"

#include "base/clock.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

enum {
    BURST = 1024, // messages sent before events are handled again
    STILL_NS = 1000000000,
    LOOK_NS = 100000000, // between two looks for such pairs
    POLL_NS = 200000,    // between two looks at the board, and for each publisher:
    POLL_EACH_NS = 100,
    FLIGHTS_BYTES = 64 << 20, // bound on the lists of messages under way of one worker
};

// --- pairs that may send, when there is no rate ------------------------------------------------------------

static bool is_pairs(const struct worker *worker)
{
    return worker->order.pattern.kind == PATTERN_PAIRS;
}

// Messages of a pair that may be sent now. A message that a later one has overtaken is lost and not waited
// for: the target keeps the order of a pair's messages [MQTT-4.6.0-5].
static int64_t credit(const struct worker *worker, const struct worker_pair *pair)
{
    int64_t arriving = (int64_t)(pair->sent - pair->arrived), acking = flights_left(&pair->acking);
    return worker->order.in_flight - (arriving > acking ? arriving : acking);
}

// A pair sends again when half of its messages have arrived. The other half keeps the target busy meanwhile.
static void let_send(struct worker *worker, struct worker_pair *pair)
{
    if (!worker->sending || worker->order.rate_per_s > 0 || pair->may_send ||
        credit(worker, pair) < (worker->order.in_flight + 1) / 2)
        return;
    pair->may_send = true;
    int64_t last = (worker->ready_first + worker->ready_count++) % worker->pair_count;
    worker->ready[last] = (uint32_t)(pair - worker->pairs);
}

int worker_publish_begin(struct worker *worker)
{
    const struct pattern *pattern = &worker->order.pattern;
    worker->first_pair = pattern_publishers_before(pattern, worker->place);
    worker->pair_count =
        pattern_publishers_before(pattern, worker->place + worker->share.count) - worker->first_pair;
    worker->turn = 0;
    worker->board_ns = 0;
    worker->finished = false;
    worker->sending = worker->pair_count > 0;
    worker->deadline_ns = worker->order.at_ns + worker->order.duration_ns + worker->order.drain_ns;
    worker->pairs = calloc((size_t)worker->pair_count + 1, sizeof *worker->pairs);
    worker->ready = calloc((size_t)worker->pair_count + 1, sizeof *worker->ready);
    worker->burst = calloc(BURST, sizeof *worker->burst);
    worker->ready_first = worker->ready_count = 0;
    worker->flights_budget = FLIGHTS_BYTES;
    if (!worker->pairs || !worker->ready || !worker->burst ||
        payload_maker_open(&worker->payloads, worker->setup->payloads, (size_t)worker->order.payload_bytes) <
            0)
        return -ENOMEM;
    for (int64_t i = 0; i < worker->pair_count; i++) {
        worker->pairs[i].arriving.budget = worker->pairs[i].acking.budget = &worker->flights_budget;
        let_send(worker, &worker->pairs[i]);
    }
    return is_pairs(worker) ? 0 : worker_receive_begin(worker);
}

// --- sending -----------------------------------------------------------------------------------------------

// Tells subscribers in other workers. Before the message leaves: none may have it that the board does not know.
static void tell_sent(struct worker *worker, struct worker_pair *pair, int64_t publisher, uint64_t sent,
                      const struct engine_message *message)
{
    if (worker_is_warm_up(worker, message->intended_ns))
        pair->warm_up = sent;
    board_set_sent(worker->setup->board, publisher,
                   &(struct board_sent){.sent = sent,
                                        .warm_up = pair->warm_up < sent ? pair->warm_up : sent,
                                        .last_ns = message->sent_ns});
}

static void count_published(struct worker *worker, int64_t publisher, const struct engine_message *message)
{
    worker_count(worker, TALLY_PUBLISHED, message->intended_ns);
    const struct pattern *pattern = &worker->order.pattern;
    int64_t receivers = pattern_receivers(pattern, publisher);
    bool warm_up = worker_is_warm_up(worker, message->intended_ns);
    if (pattern->slow > 0) {
        int64_t slow = pattern_receivers_slow(pattern, publisher);
        tally_add_messages(worker->page, TALLY_SLOW_DUE, slow, warm_up);
        receivers -= slow;
    }
    tally_add_messages(worker->page, TALLY_DELIVERY_DUE, receivers, warm_up);
    if (message->qos > 0)
        worker_count(worker, TALLY_ACK_DUE, message->intended_ns);
}

// Adds the message to the list of those under way, and passes it to the engine.
static int hand_over(struct worker *worker, struct worker_pair *pair, int64_t publisher,
                     const struct engine_message *message)
{
    if (worker->clients[publisher] != CLIENT_OPEN)
        return -ENOTCONN;
    int code = 0;
    if (is_pairs(worker))
        code = flights_add(&pair->arriving, message->intended_ns, message->sent_ns);
    if (code < 0)
        return code;
    if (message->qos > 0)
        code = flights_add(&pair->acking, message->intended_ns, message->sent_ns);
    if (code == 0) {
        code = worker->setup->engine->publish(worker->run, publisher, message);
        if (code < 0 && message->qos > 0)
            (void)flights_take(&pair->acking, message->sent_ns);
    }
    if (code < 0 && is_pairs(worker))
        (void)flights_take(&pair->arriving, message->sent_ns);
    return code;
}

// Several messages in a row may share `now_ns`. Their `sent_ns` is then too early by at most their processing
// time, but it still differs for each.
static int send_one(struct worker *worker, struct worker_pair *pair, const char *topic, int64_t intended_ns,
                    int64_t now_ns)
{
    int64_t number = worker->first_pair + (pair - worker->pairs);
    if (now_ns <= pair->last_sent_ns)
        now_ns = pair->last_sent_ns + 1;
    struct payload payload = {.pair = (uint32_t)number,
                              .run = worker->setup->run,
                              .sequence = pair->sent,
                              .intended_ns = intended_ns,
                              .sent_ns = now_ns};
    size_t bytes;
    const uint8_t *data = payload_make(&worker->payloads, &payload, &bytes);
    struct engine_message message = {.topic = topic,
                                     .payload = data,
                                     .payload_bytes = (uint32_t)bytes,
                                     .qos = worker->order.qos,
                                     .retain = worker->order.retain,
                                     .intended_ns = intended_ns,
                                     .sent_ns = now_ns};
    int64_t client = pattern_publisher_client(&worker->order.pattern, number) - worker->place;
    if (!is_pairs(worker))
        tell_sent(worker, pair, number, pair->sent + 1, &message);
    int code = hand_over(worker, pair, client, &message);
    // Without a schedule no message is due: a pair that cannot send now tries again.
    if (code == 0 || worker->order.rate_per_s > 0)
        worker_count(worker, TALLY_DUE, intended_ns);
    if (code < 0) {
        if (!is_pairs(worker))
            tell_sent(worker, pair, number, pair->sent, &message);
        if (worker->order.rate_per_s > 0)
            worker_count(worker, TALLY_NOT_SENT, intended_ns);
        return code;
    }
    pair->sent++;
    pair->last_sent_ns = now_ns;
    count_published(worker, number, &message);
    return 0;
}

static int64_t stop_sending(struct worker *worker, int64_t now_ns)
{
    worker_load_end(worker);
    worker->sending = false;
    if (!is_pairs(worker))
        board_finish(worker->setup->board, worker->pair_count);
    worker->deadline_ns = now_ns + worker->order.drain_ns;
    return worker->deadline_ns;
}

// A pair of which nothing arrived for STILL_NS has lost its whole window: no later message will overtake what is
// missing. It goes on without these; they stay under way until the end, and count as lost there.
static void forgive_still_pairs(struct worker *worker, int64_t now_ns)
{
    if (now_ns - worker->looked_ns < LOOK_NS)
        return;
    worker->looked_ns = now_ns;
    for (int64_t i = 0; i < worker->pair_count; i++) {
        struct worker_pair *pair = &worker->pairs[i];
        int64_t last_ns =
            pair->last_sent_ns > pair->last_arrived_ns ? pair->last_sent_ns : pair->last_arrived_ns;
        if (pair->may_send || pair->arrived == pair->sent || now_ns - last_ns < STILL_NS)
            continue;
        pair->given_up += pair->sent - pair->arrived;
        pair->arrived = pair->sent;
        let_send(worker, pair);
    }
}

// Other workers have the subscribers: asks the board what they have passed.
static void look_at_board(struct worker *worker, int64_t now_ns)
{
    if (is_pairs(worker) || now_ns < worker->board_ns)
        return;
    worker->board_ns = now_ns + POLL_NS + POLL_EACH_NS * worker->pair_count;
    for (int64_t i = 0; i < worker->pair_count; i++) {
        struct worker_pair *pair = &worker->pairs[i];
        uint64_t passed = board_passed(worker->setup->board, worker->first_pair + i);
        if (passed > pair->sent)
            passed = pair->sent;
        if (passed > pair->passed)
            pair->last_arrived_ns = now_ns;
        pair->passed = passed;
        // What was given up may have come late after all.
        if (pair->given_up > pair->sent - passed)
            pair->given_up = pair->sent - passed;
        pair->arrived = passed + pair->given_up;
        let_send(worker, pair);
    }
}

// Sends as fast as messages are delivered: each pair has a few under way. A pair that cannot send tries
// again.
static int64_t flood_tick(struct worker *worker, int64_t now_ns)
{
    int64_t end_ns = worker->order.at_ns + worker->order.duration_ns;
    int64_t until_ns = end_ns < now_ns + 100 * NS_PER_MS ? end_ns : now_ns + 100 * NS_PER_MS;
    if (now_ns >= end_ns)
        return stop_sending(worker, now_ns);
    int64_t sent = 0;
    look_at_board(worker, now_ns);
    forgive_still_pairs(worker, now_ns);
    if (!is_pairs(worker) && worker->board_ns < until_ns)
        until_ns = worker->board_ns;
    for (int64_t turns = worker->ready_count; turns > 0 && sent < BURST; turns--) {
        struct worker_pair *pair = &worker->pairs[worker->ready[worker->ready_first]];
        worker->ready_first = (worker->ready_first + 1) % worker->pair_count;
        worker->ready_count--;
        pair->may_send = false;
        const char *topic = worker_name_messages(worker, worker->first_pair + (pair - worker->pairs));
        int64_t pair_ns = clock_now_ns();
        for (int64_t left = credit(worker, pair); left > 0; left--, sent++)
            if (send_one(worker, pair, topic, pair_ns, pair_ns) < 0)
                break;
        let_send(worker, pair);
    }
    return sent >= BURST ? now_ns : until_ns;
}

// Message k of this worker. Publishers of all ranks take turns.
static struct schedule_turn turn_of(struct worker *worker, int64_t k)
{
    const struct pattern *pattern = &worker->order.pattern;
    int64_t all = pattern->turns > 0 ? pattern->turns : pattern->publishers;
    struct schedule_turn turn =
        schedule_turn(&worker->schedule, all, pattern->before + worker->first_pair, worker->pair_count, k);
    turn.pair -= pattern->before;
    return turn;
}

// Takes the messages that are due, up to BURST. `*next_ns` becomes the intended time of the next message.
static int take_due(struct worker *worker, int64_t now_ns, int64_t end_ns, int64_t *next_ns)
{
    int due = 0;
    for (;; due++) {
        struct schedule_turn turn = turn_of(worker, worker->turn);
        *next_ns = turn.intended_ns;
        if (due == BURST || turn.intended_ns > now_ns || turn.intended_ns >= end_ns)
            return due;
        worker->turn++;
        worker->burst[due] = (struct worker_due){.pair = turn.pair, .intended_ns = turn.intended_ns};
    }
}

// Sends the messages burst[first], burst[first + stride] and so on, which are of one pair. The clock is read
// after the gathered messages were sent: all get the lag of the last.
static int64_t send_of_pair(struct worker *worker, int first, int due, int64_t stride, int64_t now_ns)
{
    const struct engine *engine = worker->setup->engine;
    int64_t number = worker->burst[first].pair;
    const char *topic = worker_name_messages(worker, number);
    for (int64_t i = first; i < due; i += stride)
        worker->burst[i].sent = send_one(worker, &worker->pairs[number - worker->first_pair], topic,
                                         worker->burst[i].intended_ns, now_ns) == 0;
    if (engine->flush)
        engine->flush(worker->run);
    now_ns = clock_now_ns();
    for (int64_t i = first; i < due; i += stride) {
        const struct worker_due *message = &worker->burst[i];
        if (message->sent && !worker_is_warm_up(worker, message->intended_ns))
            latency_add(&worker->batch, LATENCY_LAG, now_ns - message->intended_ns, now_ns);
    }
    return now_ns;
}

int64_t worker_publish_tick(struct worker *worker, int64_t now_ns)
{
    worker_load_begin(worker);
    if (!worker->sending) {
        worker_load_look(worker, now_ns);
        return worker->deadline_ns;
    }
    if (!(worker->order.rate_per_s > 0))
        return flood_tick(worker, now_ns);
    int64_t end_ns = worker->order.at_ns + worker->order.duration_ns, next_ns;
    int due = take_due(worker, now_ns, end_ns, &next_ns);
    // Pairs take turns, so the messages of a pair are `pair_count` apart.
    int64_t stride = worker->setup->engine->flush ? worker->pair_count : due;
    int64_t sent_ns = clock_now_ns();
    for (int i = 0; i < due && i < stride; i++)
        sent_ns = send_of_pair(worker, i, due, stride, sent_ns);
    return next_ns >= end_ns ? stop_sending(worker, now_ns) : next_ns;
}

// --- events ------------------------------------------------------------------------------------------------

static void on_message(struct worker *worker, const struct engine_event *event)
{
    int64_t number = event->payload.pair - worker->first_pair;
    if (event->content != PAYLOAD_STRANGE && (!worker->pairs || event->payload.sent_ns < worker->order.at_ns))
        return; // of an order that has ended, where it counts as lost
    if (event->content == PAYLOAD_STRANGE) {
        tally_add(worker->page, TALLY_STRANGE, 1);
        return;
    }
    if (number < 0 || number >= worker->pair_count ||
        worker->place + event->client != 2 * (int64_t)event->payload.pair) {
        tally_add(worker->page, TALLY_MISDELIVERED, 1);
        return;
    }
    struct worker_pair *pair = &worker->pairs[number];
    worker_count_changed(worker, event, &pair->topic, event->payload.pair);
    if (event->again || !flights_take(&pair->arriving, event->payload.sent_ns)) {
        worker_count_duplicate(worker, event);
        return;
    }
    if (event->payload.sequence < pair->newest)
        tally_add(worker->page, TALLY_OUT_OF_ORDER, 1);
    else if (event->payload.sequence < pair->sent)
        pair->newest = event->payload.sequence + 1;
    if (event->payload.sequence >= pair->arrived && event->payload.sequence < pair->sent)
        pair->arrived = event->payload.sequence + 1;
    let_send(worker, pair);
    worker_record_delivery(worker, event, pair->last_arrived_ns);
    if (event->at_ns > pair->last_arrived_ns)
        pair->last_arrived_ns = event->at_ns;
}

void worker_publish_event(struct worker *worker, const struct engine_event *event)
{
    if (event->kind == ENGINE_MESSAGE) {
        bool strange = event->content == PAYLOAD_STRANGE;
        if (!strange && event->payload.run != worker->setup->run)
            tally_add(worker->page, TALLY_FOREIGN, 1);
        else if (is_pairs(worker))
            on_message(worker, event);
        else
            worker_receive_message(worker, event);
        return;
    }
    int64_t client = worker->place + event->client;
    int64_t number = pattern_publishers_before(&worker->order.pattern, client) - worker->first_pair;
    if (!worker->pairs || number < 0 || number >= worker->pair_count)
        return;
    struct worker_pair *pair = &worker->pairs[number];
    if (!flights_take(&pair->acking, event->started_ns))
        return; // of an earlier order
    let_send(worker, pair);
    bool alone = worker_had_its_turn(worker, event->started_ns, pair->last_acked_ns);
    if (event->at_ns > pair->last_acked_ns)
        pair->last_acked_ns = event->at_ns;
    worker_count(worker, TALLY_ACKED, event->intended_ns);
    if (worker_is_warm_up(worker, event->intended_ns))
        return;
    latency_add(&worker->batch, LATENCY_ACK, event->at_ns - event->intended_ns, event->at_ns);
    if (alone)
        latency_add(&worker->batch, LATENCY_ACK_UNCORRECTED, event->at_ns - event->started_ns, event->at_ns);
}

// The drain begins when the last publisher of all workers has sent its last message.
static bool all_finished(struct worker *worker, int64_t now_ns)
{
    if (!worker->finished && board_finished(worker->setup->board)) {
        worker->finished = true;
        worker->deadline_ns = now_ns + worker->order.drain_ns;
    }
    return worker->finished;
}

bool worker_publish_done(struct worker *worker, int64_t now_ns)
{
    if (worker->sending || (!is_pairs(worker) && !all_finished(worker, now_ns)))
        return false;
    if (worker_is_past(worker, worker->deadline_ns, now_ns))
        return true;
    for (int64_t i = 0; i < worker->pair_count; i++)
        if (flights_left(&worker->pairs[i].arriving) > 0 || flights_left(&worker->pairs[i].acking) > 0)
            return false;
    return (is_pairs(worker) || worker_receive_done(worker)) && worker_has_listened(worker, now_ns);
}

// Counts messages that have not ended, and adds their age to the histograms.
static void give_up(struct worker *worker, struct flights *flights, int64_t last_ended_ns,
                    enum tally_count what, enum latency_kind corrected, enum latency_kind uncorrected)
{
    int64_t now_ns = clock_now_ns();
    for (uint32_t i = flights->first; i < flights->count; i++) {
        const struct flight *flight = &flights->list[i];
        if (flight->sent_ns == 0)
            continue;
        bool alone = worker_had_its_turn(worker, flight->sent_ns, last_ended_ns);
        last_ended_ns = INT64_MAX; // this one has not ended, so with a schedule no later one had its turn
        worker_count(worker, what, flight->intended_ns);
        if (worker_is_warm_up(worker, flight->intended_ns))
            continue;
        latency_add_censored(&worker->batch, corrected, now_ns - flight->intended_ns, now_ns);
        if (alone)
            latency_add_censored(&worker->batch, uncorrected, now_ns - flight->sent_ns, now_ns);
    }
    flights_free(flights);
}

// What a client had under way on the connection that it lost has no answer on the new one: a publisher's messages were not
// acknowledged, and without a rate it must not wait for that.
void worker_publish_returned(struct worker *worker, int64_t client)
{
    const struct pattern *pattern = &worker->order.pattern;
    int64_t global = worker->place + client;
    if (!worker->pairs)
        return;
    if (!is_pairs(worker))
        worker_receive_returned(worker, client);
    int64_t number = pattern_publishers_before(pattern, global);
    if (number < worker->first_pair || number >= worker->first_pair + worker->pair_count ||
        pattern_publisher_client(pattern, number) != global)
        return;
    struct worker_pair *pair = &worker->pairs[number - worker->first_pair];
    give_up(worker, &pair->acking, pair->last_acked_ns, TALLY_UNACKED, LATENCY_ACK, LATENCY_ACK_UNCORRECTED);
    let_send(worker, pair);
}

// The order was broken off: messages that were due by now and have not been sent count as not sent.
static void count_unsent(struct worker *worker)
{
    int64_t now_ns = clock_now_ns();
    int64_t end_ns = worker->order.at_ns + worker->order.duration_ns;
    while (worker->sending && worker->order.rate_per_s > 0) {
        struct schedule_turn turn = turn_of(worker, worker->turn);
        if (turn.intended_ns > now_ns || turn.intended_ns >= end_ns)
            return;
        worker->turn++;
        worker_count(worker, TALLY_DUE, turn.intended_ns);
        worker_count(worker, TALLY_NOT_SENT, turn.intended_ns);
    }
}

void worker_publish_end(struct worker *worker, bool halted)
{
    int64_t lost = tally_get(worker->page, TALLY_LOST);
    worker_load_end(worker);
    if (halted)
        count_unsent(worker);
    for (int64_t i = 0; i < worker->pair_count; i++) {
        struct worker_pair *pair = &worker->pairs[i];
        give_up(worker, &pair->arriving, pair->last_arrived_ns, halted ? TALLY_UNFINISHED : TALLY_LOST,
                LATENCY_DELIVERY, LATENCY_DELIVERY_UNCORRECTED);
        give_up(worker, &pair->acking, pair->last_acked_ns, halted ? TALLY_ACK_UNFINISHED : TALLY_UNACKED,
                LATENCY_ACK, LATENCY_ACK_UNCORRECTED);
    }
    if (!is_pairs(worker))
        worker_receive_end(worker, halted);
    if (tally_get(worker->page, TALLY_LOST) > lost)
        worker_load_unread(worker);
    free(worker->pairs);
    payload_maker_close(&worker->payloads);
    free(worker->ready);
    free(worker->burst);
    worker->ready = NULL;
    worker->burst = NULL;
    worker->pairs = NULL;
    worker->pair_count = 0;
}
