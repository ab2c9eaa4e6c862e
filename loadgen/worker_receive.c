// SPDX-License-Identifier: Apache-2.0
// The receiving part of a worker, for patterns other than pairs: each message of a publisher is due once at each
// subscriber of its topic. The publisher may be in another worker, so the board (board.h) says how many there are.
#include "loadgen/worker_state.h"

#include <errno.h>
#include <stdlib.h>

// The subscriber's number among those of this worker; -1: the client is none.
static int64_t subscriber_of(const struct worker *worker, int64_t client)
{
    const struct pattern *pattern = &worker->order.pattern;
    int64_t global = worker->place + client;
    if (!pattern_is_subscriber(pattern, global))
        return -1;
    return pattern_subscribers_before(pattern, global) - worker->reception.first;
}

// The publishers of a subscriber's topic are those of number topic + i x topics.
static int64_t publisher_of(const struct worker *worker, int64_t topic, int64_t stream)
{
    return topic + stream * worker->order.pattern.topics;
}

static int64_t topic_of(const struct worker *worker, int64_t subscriber)
{
    return pattern_topic(&worker->order.pattern, worker->reception.first + subscriber);
}

int worker_receive_begin(struct worker *worker)
{
    const struct pattern *pattern = &worker->order.pattern;
    struct worker_reception *reception = &worker->reception;
    int64_t first = pattern_subscribers_before(pattern, worker->place);
    int64_t end = pattern_subscribers_before(pattern, worker->place + worker->share.count);
    *reception = (struct worker_reception){.first = first, .count = end - first, .expected = -1};
    reception->starts = calloc((size_t)reception->count + 1, sizeof *reception->starts);
    reception->there = calloc((size_t)reception->count + 1, sizeof *reception->there);
    reception->topics = calloc((size_t)pattern->publishers + 1, sizeof *reception->topics);
    if (!reception->starts || !reception->there || !reception->topics)
        return -ENOMEM;
    for (int64_t i = 0; i < reception->count; i++)
        reception->starts[i + 1] = reception->starts[i] + pattern_senders(pattern, first + i);
    reception->streams = calloc((size_t)reception->starts[reception->count] + 1, sizeof *reception->streams);
    if (!reception->streams)
        return -ENOMEM;
    for (int64_t client = 0; client < worker->share.count; client++) {
        int64_t subscriber = subscriber_of(worker, client);
        if (subscriber < 0 || worker->clients[client] != CLIENT_OPEN)
            continue;
        reception->there[subscriber] = true;
        board_join(worker->setup->board, topic_of(worker, subscriber), 1);
    }
    worker_slow_begin(worker);
    return 0;
}

void worker_receive_message(struct worker *worker, const struct engine_event *event)
{
    struct worker_reception *reception = &worker->reception;
    const struct payload *payload = &event->payload;
    const struct pattern *pattern = &worker->order.pattern;
    if (event->content != PAYLOAD_STRANGE && (!reception->streams || payload->sent_ns < worker->order.at_ns))
        return; // of an order that has ended, where it counts as lost
    int64_t subscriber = reception->streams ? subscriber_of(worker, event->client) : -1;
    if (event->content == PAYLOAD_STRANGE || payload->pair >= pattern->publishers ||
        payload->sequence >= board_sent(worker->setup->board, payload->pair).sent) {
        tally_add(worker->page, TALLY_STRANGE, 1);
        return;
    }
    if (subscriber < 0 || pattern_topic(pattern, payload->pair) != topic_of(worker, subscriber)) {
        tally_add(worker->page, TALLY_MISDELIVERED, 1);
        return;
    }
    worker_count_changed(worker, event, &reception->topics[payload->pair], payload->pair);
    struct stream *stream =
        &reception->streams[reception->starts[subscriber] + payload->pair / pattern->topics];
    uint64_t next = stream->next;
    int code = event->again ? 0 : stream_take(stream, payload->sequence, payload->sent_ns);
    if (code < 0)
        worker_has_no_memory(worker);
    if (code == 0) {
        worker_count_duplicate(worker, event);
        return;
    }
    if (stream->next == next)
        tally_add(worker->page, TALLY_OUT_OF_ORDER, 1);
    reception->arrived++;
    if (!(worker->order.rate_per_s > 0) && stream->next > next && reception->there[subscriber])
        board_pass(worker->setup->board, payload->pair, (int64_t)(stream->next - next));
    if (worker_is_slow(worker, event->client))
        worker_slow_delivery(worker, subscriber, event);
    else
        worker_record_delivery(worker, event, stream->last_arrived_ns);
    if (event->at_ns > stream->last_arrived_ns)
        stream->last_arrived_ns = event->at_ns;
}

// Nothing more arrives there. Without a rate its publishers must not wait for it.
void worker_receive_lost(struct worker *worker, int64_t client)
{
    struct worker_reception *reception = &worker->reception;
    int64_t subscriber = reception->streams ? subscriber_of(worker, client) : -1;
    if (subscriber < 0 || !reception->there[subscriber])
        return;
    int64_t topic = topic_of(worker, subscriber);
    reception->there[subscriber] = false;
    board_join(worker->setup->board, topic, -1);
    for (int64_t i = reception->starts[subscriber]; i < reception->starts[subscriber + 1]; i++)
        board_pass(worker->setup->board, publisher_of(worker, topic, i - reception->starts[subscriber]),
                   -(int64_t)reception->streams[i].next);
}

void worker_receive_returned(struct worker *worker, int64_t client)
{
    struct worker_reception *reception = &worker->reception;
    int64_t subscriber = reception->streams ? subscriber_of(worker, client) : -1;
    if (subscriber < 0 || reception->there[subscriber])
        return;
    int64_t topic = topic_of(worker, subscriber);
    reception->there[subscriber] = true;
    board_join(worker->setup->board, topic, 1);
    for (int64_t i = reception->starts[subscriber]; i < reception->starts[subscriber + 1]; i++)
        board_pass(worker->setup->board, publisher_of(worker, topic, i - reception->starts[subscriber]),
                   (int64_t)reception->streams[i].next);
}

// All deliveries that are due at the subscribers of this worker. The publishers must have finished.
static int64_t expected(const struct worker *worker)
{
    const struct worker_reception *reception = &worker->reception;
    int64_t sum = 0;
    for (int64_t i = 0; i < reception->count; i++)
        for (int64_t stream = 0; stream < reception->starts[i + 1] - reception->starts[i]; stream++)
            sum +=
                (int64_t)board_sent(worker->setup->board, publisher_of(worker, topic_of(worker, i), stream))
                    .sent;
    return sum;
}

bool worker_receive_done(struct worker *worker)
{
    if (worker_slow_is_over(worker))
        return true;
    if (worker->reception.expected < 0)
        worker->reception.expected = expected(worker);
    return worker->reception.arrived >= worker->reception.expected;
}

// Messages from .. to - 1 of one stream are missing, and all were sent before `before_ns`. So their age is at least
// the time since then. With a schedule only the first missing message of a stream had its turn.
static void give_up(struct worker *worker, const struct stream_gap *gap, uint64_t warm_up, bool first,
                    enum tally_count what)
{
    uint64_t warm = gap->from >= warm_up ? 0 : (gap->to < warm_up ? gap->to : warm_up) - gap->from;
    uint64_t measured = gap->to - gap->from - warm;
    int64_t now_ns = clock_now_ns(), age_ns = now_ns > gap->before_ns ? now_ns - gap->before_ns : 0;
    tally_add_messages(worker->page, what, (int64_t)warm, true);
    tally_add_messages(worker->page, what, (int64_t)measured, false);
    enum latency_kind kind = what == TALLY_SLOW_MISSED || what == TALLY_SLOW_UNFINISHED
                                 ? LATENCY_DELIVERY_SLOW
                                 : worker_delivery_kind(worker, gap->before_ns);
    for (uint64_t i = 0; i < measured; i++) {
        latency_add_censored(&worker->batch, kind, age_ns, now_ns);
        if (kind != LATENCY_DELIVERY)
            continue;
        if (!(worker->order.rate_per_s > 0) || (first && warm == 0 && i == 0))
            latency_add_censored(&worker->batch, LATENCY_DELIVERY_UNCORRECTED, age_ns, now_ns);
    }
}

static void give_up_stream(struct worker *worker, struct stream *stream, int64_t publisher,
                           enum tally_count what)
{
    struct board_sent sent = board_sent(worker->setup->board, publisher);
    for (uint32_t i = 0; i < stream->gap_count; i++)
        give_up(worker, &stream->gaps[i], sent.warm_up, i == 0, what);
    struct stream_gap rest = {.from = stream->next, .to = sent.sent, .before_ns = sent.last_ns};
    if (rest.to > rest.from)
        give_up(worker, &rest, sent.warm_up, stream->gap_count == 0, what);
    stream_free(stream);
}

void worker_receive_end(struct worker *worker, bool halted)
{
    struct worker_reception *reception = &worker->reception;
    bool slow = reception->count > 0 && worker->slow.stage != SLOW_NONE;
    enum tally_count missed = slow     ? halted ? TALLY_SLOW_UNFINISHED : TALLY_SLOW_MISSED
                              : halted ? TALLY_UNFINISHED
                                       : TALLY_LOST;
    worker_slow_end(worker, halted);
    for (int64_t i = 0; i < reception->count; i++)
        for (int64_t at = reception->starts[i]; at < reception->starts[i + 1]; at++)
            give_up_stream(worker, &reception->streams[at],
                           publisher_of(worker, topic_of(worker, i), at - reception->starts[i]), missed);
    free(reception->streams);
    free(reception->starts);
    free(reception->topics);
    free(reception->there);
    *reception = (struct worker_reception){0};
}
