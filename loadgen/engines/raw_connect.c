// SPDX-License-Identifier: Apache-2.0
// The raw engine's connects and everything that depends on time.
#include "loadgen/engines/raw_state.h"

#include "base/clock.h"
#include "wire/mqtt_connect.h"

#include <errno.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#define LOOK_NS (100 * NS_PER_MS) // how often time-outs are looked for

// --- connects ----------------------------------------------------------------------------------------------

// 1: sent, or as much as the socket has room for; 0: the handshake is not over; -errno.
static int send_connect(struct engine_run *run, struct raw_client *client)
{
    struct mqtt_connect connect;
    identity_fill(run->identity, run->config.prefix, run->config.first + raw_number(run, client), run->texts,
                  &connect);
    connect.keep_alive_s = (uint16_t)run->config.keep_alive_s;
    connect.clean_session = !run->config.keep_sessions;
    int bytes = mqtt_connect_encode(run->connect_packet, run->identity->packet_bytes, &connect);
    if (bytes < 0)
        return bytes;
    ssize_t sent = send(client->fd, run->connect_packet, (size_t)bytes, MSG_NOSIGNAL | MSG_DONTWAIT);
    run->sent_bytes += sent > 0 ? sent : 0;
    if (sent == bytes)
        return 1;
    if (sent < 0)
        return errno == EAGAIN || errno == ENOTCONN ? 0 : -errno;
    int code = raw_keep_unsent(run, client, run->connect_packet + sent, (size_t)(bytes - sent));
    return code < 0 ? code : 1;
}

// Watches for what the socket has, and for room in it while the client waits for that.
static int watch(struct engine_run *run, struct raw_client *client, int operation)
{
    bool room = client->state == RAW_TCP || (client->flags & RAW_WANTS_WRITE);
    struct epoll_event event = {.events = room ? EPOLLIN | EPOLLOUT : EPOLLIN,
                                .data.u32 = raw_number(run, client)};
    return epoll_ctl(run->epoll, operation, client->fd, &event) < 0 ? -errno : 0;
}

static void start_one(struct engine_run *run, struct raw_client *client)
{
    raw_enter_window(run, client);
    client->state = RAW_TCP;
    client->started_ns = clock_now_ns();
    enum tally_reason reason = raw_dial(run, client);
    if (reason == REASON_NONE) {
        int code = send_connect(run, client);
        if (code >= 0) {
            client->state = code ? RAW_CONNACK : RAW_TCP;
            code = watch(run, client, EPOLL_CTL_ADD);
        }
        if (code < 0)
            reason = tally_reason_of_errno(code);
    }
    if (reason != REASON_NONE) {
        run->now_ns = clock_now_ns();
        raw_lose(run, client, reason);
    }
}

void raw_start_queued(struct engine_run *run)
{
    while (run->queue_first && run->connecting_count < run->window) {
        struct raw_client *client = &run->clients[run->queue_first - 1];
        run->queue_first = client->link;
        if (!run->queue_first)
            run->queue_last = 0;
        start_one(run, client);
    }
}

void raw_finish_tcp(struct engine_run *run, struct raw_client *client)
{
    int error = 0;
    socklen_t bytes = sizeof error;
    if (getsockopt(client->fd, SOL_SOCKET, SO_ERROR, &error, &bytes) < 0)
        error = errno;
    int sent = error ? -error : send_connect(run, client);
    if (sent == 0)
        return;
    if (sent > 0) {
        client->state = RAW_CONNACK;
        sent = watch(run, client, EPOLL_CTL_MOD);
    }
    if (sent < 0)
        raw_lose(run, client, tally_reason_of_errno(sent));
}

// --- time --------------------------------------------------------------------------------------------------

static void ping_slot(struct engine_run *run, uint32_t slot)
{
    uint32_t next = run->wheel[slot];
    run->wheel[slot] = 0;
    while (next) {
        struct raw_client *client = &run->clients[next - 1];
        next = client->wheel_link;
        client->flags &= (uint8_t)~RAW_LINKED;
        if (client->state != RAW_OPEN)
            continue;
        bool judged = (client->flags & RAW_PING_PENDING) &&
                      !(client->flags & RAW_SLOW); // a slow reader has answers unread
        if (judged)
            raw_read_all(run, client);
        if (client->state != RAW_OPEN)
            continue;
        if (judged && (client->flags & RAW_PING_PENDING) && run->now_ns >= run->grace_ns) {
            raw_lose(run, client, REASON_TIMEOUT); // no answer in all the time since the last ping
            continue;
        }
        client->flags |= RAW_PING_PENDING;
        if (raw_ask_for_pong(run, client) < 0)
            continue; // the next read reports why
        client->wheel_link = run->wheel[slot];
        client->flags |= RAW_LINKED;
        run->wheel[slot] = raw_number(run, client) + 1;
    }
}

static void end_late_connects(struct engine_run *run, int64_t now_ns)
{
    for (uint32_t i = run->connecting_count; i-- > 0;) {
        // Ending a connect moves the last one into its place. The loop goes down, so it has seen that one.
        struct raw_client *client = &run->clients[run->connecting[i]];
        if (now_ns - client->started_ns < run->config.timeout_ns || now_ns < run->grace_ns)
            continue;
        // Its answer may be there unread.
        if (client->state == RAW_TCP)
            raw_finish_tcp(run, client);
        else
            raw_read_all(run, client);
        if (client->state == RAW_TCP || client->state == RAW_CONNACK)
            raw_lose(run, client, REASON_TIMEOUT);
    }
}

void raw_look_at_time(struct engine_run *run, int64_t now_ns)
{
    if (now_ns - run->looked_ns < LOOK_NS)
        return;
    run->looked_ns = now_ns;
    end_late_connects(run, now_ns);
    // After a pause of more than a round each slot is visited once: an answer must have had time to come.
    if (run->wheel_slots > 0 && run->wheel_second < now_ns / NS_PER_S - run->wheel_slots)
        run->wheel_second = now_ns / NS_PER_S - run->wheel_slots;
    for (int64_t second = now_ns / NS_PER_S; run->wheel_slots > 0 && run->wheel_second < second;) {
        run->wheel_second++;
        ping_slot(run, (uint32_t)(run->wheel_second % run->wheel_slots));
    }
    if (run->wheel_slots == 0)
        run->wheel_second = now_ns / NS_PER_S;
}

int64_t raw_next_time(const struct engine_run *run)
{
    if (run->connecting_count > 0)
        return run->looked_ns + LOOK_NS;
    if (run->wheel_slots > 0)
        return (run->wheel_second + 1) * NS_PER_S;
    return INT64_MAX;
}
