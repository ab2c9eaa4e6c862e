// SPDX-License-Identifier: Apache-2.0
// The loop: receive, publish, wait.
#include "base/clock.h"
#include "bench/bare/state.h"

#include <errno.h>
#include <poll.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <time.h>

enum { EVENTS = 256, PUBACK_FIRST = 0x40, PUBACK_LENGTH = 2 };

// When message `number` of all publishers is due, with a rate.
static int64_t due_ns_of(const struct bare *bare, int64_t number)
{
    return bare->start_ns + (int64_t)((double)number * 1e9 / bare->config->rate_per_s);
}

// Writes what is left, and has epoll tell when the socket takes more. A reader with acknowledgements left reads
// nothing meanwhile: `out` has room for those of one receive.
static int flush(struct bare *bare, struct bare_stream *stream, bool reader, int64_t number)
{
    int code = bare_stream_write(stream);
    bool waits = stream->at < stream->end;
    if (code < 0 || waits == stream->waits)
        return code;
    stream->waits = waits;
    struct epoll_event event = {.events = !waits   ? EPOLLIN
                                          : reader ? EPOLLOUT
                                                   : EPOLLIN | EPOLLOUT,
                                .data.u64 = (uint64_t)number << 1 | reader};
    return epoll_ctl(bare->epoll, EPOLL_CTL_MOD, stream->fd, &event) < 0 ? -errno : 0;
}

static int send_some(struct bare *bare, int64_t number, int64_t count)
{
    struct bare_stream *publisher = &bare->publisher[number];
    bare_stream_start(publisher, &bare->packet, count);
    bare->sent += count;
    return flush(bare, publisher, false, number);
}

// Closed loop: sends more when half of the messages on their way have arrived.
static int refill(struct bare *bare, int64_t number)
{
    const struct bare_stream *publisher = &bare->publisher[number];
    int64_t most = bare->config->in_flight, on_way = publisher->sent - publisher->arrived;
    if (publisher->at < publisher->end || on_way > most / 2)
        return 0;
    return send_some(bare, number, most - on_way);
}

static int refill_all(struct bare *bare)
{
    int code = 0;
    for (int64_t i = 0; i < bare->publishers && code == 0; i++)
        code = refill(bare, i);
    return code;
}

// With a rate: sends what is due. `*next_ns` becomes when the next message is due, or now when a publisher could not
// send all of its own.
static int publish_due(struct bare *bare, int64_t now_ns, int64_t *next_ns)
{
    int64_t turns = bare->publishers, most = bare->config->in_flight;
    int64_t due = (int64_t)((double)(now_ns - bare->start_ns) * bare->config->rate_per_s / 1e9) + 1;
    *next_ns = due_ns_of(bare, due);
    for (int64_t i = 0; i < turns; i++) {
        struct bare_stream *publisher = &bare->publisher[i];
        int64_t first = publisher->sent, count = (due > i ? (due - i + turns - 1) / turns : 0) - first;
        if (count <= 0 || publisher->at < publisher->end)
            continue;
        if (count > most) {
            count = most;
            *next_ns = now_ns;
        }
        int code = send_some(bare, i, count);
        if (code < 0)
            return code;
        int64_t sent_ns = clock_now_ns();
        for (int64_t j = first; j < first + count; j++) {
            int64_t due_ns = due_ns_of(bare, j * turns + i);
            if (due_ns >= bare->warm_ns)
                hist_add(bare->files.lag, sent_ns - due_ns);
        }
    }
    return 0;
}

// `count` more messages of a publisher have arrived.
static void arrive(struct bare *bare, int64_t number, int64_t count, int64_t now_ns)
{
    struct bare_stream *publisher = &bare->publisher[number];
    for (int64_t j = publisher->arrived; now_ns > 0 && j < publisher->arrived + count; j++) {
        int64_t due_ns = due_ns_of(bare, j * bare->publishers + number);
        if (due_ns >= bare->warm_ns)
            hist_add(bare->files.delivery, now_ns - due_ns);
    }
    publisher->arrived += count;
}

static int take_messages(struct bare *bare, int64_t number, const uint8_t *at, int64_t count)
{
    const struct bare_packet *packet = &bare->packet;
    struct bare_stream *reader = &bare->reader[number];
    int64_t now_ns = bare->config->rate_per_s > 0 ? clock_now_ns() : 0;
    if (count > 0 && (at[0] != packet->first || at[(size_t)(count - 1) * packet->bytes] != packet->first))
        return -EPROTO;
    bare->received += count;
    uint8_t *ack = reader->out;
    for (int64_t i = 0; packet->id_at > 0 && i < count; i++, ack += BARE_ACK_BYTES) {
        const uint8_t *id = at + (size_t)i * packet->bytes + packet->id_at;
        ack[0] = PUBACK_FIRST;
        ack[1] = PUBACK_LENGTH;
        ack[2] = id[0];
        ack[3] = id[1];
    }
    if (packet->id_at > 0) {
        reader->at = reader->out;
        reader->end = ack;
    }
    if (bare->config->pattern == BARE_PAIRS) {
        arrive(bare, number, count, now_ns);
        return 0;
    }
    for (int64_t i = 0; i < count; i++, at += packet->bytes) {
        uint32_t publisher;
        memcpy(&publisher, at + packet->publisher_at, sizeof publisher);
        if (publisher >= bare->publishers)
            return -EPROTO;
        arrive(bare, publisher, 1, now_ns);
    }
    return 0;
}

static int receive(struct bare *bare, int64_t number)
{
    struct bare_stream *reader = &bare->reader[number];
    size_t bytes = bare->packet.bytes, have = bare->rest_bytes[number];
    uint8_t *rest = bare->rest + (size_t)number * bytes;
    memcpy(bare->buffer, rest, have);
    ssize_t got = recv(reader->fd, bare->buffer + have, BARE_RECEIVE_BYTES - have, 0);
    if (got < 0)
        return errno == EAGAIN || errno == EWOULDBLOCK || errno == EINTR ? 0 : -errno;
    if (got == 0)
        return -ECONNRESET;
    have += (size_t)got;
    size_t count = have / bytes;
    int code = take_messages(bare, number, bare->buffer, (int64_t)count);
    bare->rest_bytes[number] = have % bytes;
    memcpy(rest, bare->buffer + count * bytes, have % bytes);
    return code == 0 && bare->packet.id_at > 0 ? flush(bare, reader, true, number) : code;
}

// What a publisher receives are acknowledgements, which say nothing that is counted here.
static int discard(struct bare *bare, int64_t number)
{
    ssize_t got = recv(bare->publisher[number].fd, bare->buffer, BARE_RECEIVE_BYTES, 0);
    if (got < 0)
        return errno == EAGAIN || errno == EWOULDBLOCK || errno == EINTR ? 0 : -errno;
    return got == 0 ? -ECONNRESET : bare->config->qos == 0 ? -EPROTO : 0;
}

static int handle(struct bare *bare, const struct epoll_event *event, bool refills)
{
    int64_t number = (int64_t)(event->data.u64 >> 1);
    bool reader = event->data.u64 & 1;
    int code = 0;
    if (event->events & EPOLLOUT)
        code = flush(bare, reader ? &bare->reader[number] : &bare->publisher[number], reader, number);
    if (code == 0 && (event->events & ~(uint32_t)EPOLLOUT))
        code = reader ? receive(bare, number) : discard(bare, number);
    if (code == 0 && refills && bare->config->pattern == BARE_PAIRS)
        code = refill(bare, number);
    return code;
}

static int wait_until(struct bare *bare, struct epoll_event *events, int64_t until_ns)
{
    int64_t left_ns = until_ns - clock_now_ns();
    if (left_ns < 0)
        left_ns = 0;
    struct timespec left = {.tv_sec = left_ns / NS_PER_S, .tv_nsec = left_ns % NS_PER_S};
    if (!bare->no_pwait2) {
        int count = epoll_pwait2(bare->epoll, events, EVENTS, &left, NULL);
        if (count >= 0 || (errno != ENOSYS && errno != EPERM))
            return count;
        bare->no_pwait2 = true;
    }
    struct pollfd ready = {.fd = bare->epoll, .events = POLLIN};
    return ppoll(&ready, 1, &left, NULL) < 0 ? -1 : epoll_wait(bare->epoll, events, EVENTS, 0);
}

// Notices the ends of warm-up and schedule.
static void mark(struct bare *bare, int64_t now_ns)
{
    if (bare->warmed_at_ns == 0 && now_ns >= bare->warm_ns) {
        bare->warmed_at_ns = now_ns;
        bare->warmed = bare->received;
        bare->files.from_wall_ns = clock_wall_ns();
        bare_files_row(bare, "warm", now_ns);
    }
    if (bare->ended_at_ns == 0 && now_ns >= bare->end_ns) {
        bare->ended_at_ns = now_ns;
        bare->ended = bare->received;
        bare_files_row(bare, "end", now_ns);
    }
}

// One turn; `*next_ns` is when the next has to begin at the latest.
static int turn(struct bare *bare, bool publishes, int64_t next_ns)
{
    struct epoll_event events[EVENTS];
    bool refills = publishes && !(bare->config->rate_per_s > 0);
    int count = wait_until(bare, events, next_ns), code = 0;
    if (count < 0)
        return errno == EINTR ? 0 : -errno;
    for (int i = 0; i < count && code == 0; i++)
        code = handle(bare, &events[i], refills);
    return code == 0 && refills && bare->config->pattern == BARE_FAN_IN ? refill_all(bare) : code;
}

int bare_run(struct bare *bare, struct err *err)
{
    const struct bare_config *config = bare->config;
    prctl(PR_SET_TIMERSLACK, 1UL); // a sleep should end when a message is due, not 50 us later
    bare_files_row(bare, "start", clock_now_ns());
    bare->start_ns = clock_now_ns();
    bare->warm_ns = bare->start_ns + config->warmup_ns;
    bare->end_ns = bare->warm_ns + config->duration_ns;
    bool closed = !(config->rate_per_s > 0);
    int code = closed ? refill_all(bare) : 0;
    while (code == 0) {
        int64_t now_ns = clock_now_ns(), next_ns;
        mark(bare, now_ns);
        bool publishes = now_ns < bare->end_ns;
        if (!publishes && (bare->received == bare->sent || now_ns >= bare->end_ns + config->drain_ns))
            break;
        next_ns = !publishes                ? bare->end_ns + config->drain_ns
                  : bare->warmed_at_ns == 0 ? bare->warm_ns
                                            : bare->end_ns;
        int64_t due_ns = next_ns;
        if (publishes && !closed)
            code = publish_due(bare, now_ns, &due_ns);
        if (code == 0)
            code = turn(bare, publishes, due_ns < next_ns ? due_ns : next_ns);
    }
    bare_files_row(bare, "after", clock_now_ns());
    return code < 0 ? err_set(err, code, "%s: %s", config->target,
                              code == -EPROTO       ? "another packet arrived than was sent"
                              : code == -ECONNRESET ? "the target closed a connection"
                                                    : strerror(-code))
                    : 0;
}
