// SPDX-License-Identifier: Apache-2.0
// A client of the raw engine: its buffers, its places in window and timer wheel, its end.
#include "loadgen/engines/raw_state.h"

#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

struct raw_extra *raw_extra_of(struct raw_client *client)
{
    if (!client->extra)
        client->extra = calloc(1, sizeof *client->extra);
    return client->extra;
}

void raw_extra_tidy(struct raw_client *client)
{
    struct raw_extra *extra = client->extra;
    if (!extra || extra->in_bytes > 0 || extra->out_bytes > 0 || extra->received_count > 0)
        return;
    free(extra->in);
    free(extra->out);
    extra->in = extra->out = NULL;
    extra->in_capacity = extra->out_capacity = 0;
    if (extra->flight_capacity > 0)
        return; // a publisher keeps its table
    free(extra->received);
    free(extra);
    client->extra = NULL;
}

int raw_make_room(uint8_t **buffer, uint32_t *capacity, size_t max, size_t needed)
{
    if (needed > max)
        return -ENOBUFS;
    if (needed <= *capacity)
        return 0;
    size_t room = *capacity ? *capacity : 512;
    while (room < needed)
        room *= 2;
    uint8_t *grown = realloc(*buffer, room);
    if (!grown)
        return -ENOMEM;
    *buffer = grown;
    *capacity = (uint32_t)room;
    return 0;
}

void raw_enter_window(struct engine_run *run, struct raw_client *client)
{
    client->link = run->connecting_count;
    run->connecting[run->connecting_count++] = raw_number(run, client);
}

void raw_leave_window(struct engine_run *run, struct raw_client *client)
{
    uint32_t place = client->link;
    uint32_t last = run->connecting[--run->connecting_count];
    run->connecting[place] = last;
    run->clients[last].link = place;
    client->link = 0;
}

void raw_keep_alive(struct engine_run *run, struct raw_client *client)
{
    if (run->wheel_slots == 0 || (client->flags & RAW_LINKED))
        return;
    // Its slot is the present one, whose turn comes again in wheel_slots seconds.
    uint32_t slot = (uint32_t)(run->wheel_second % run->wheel_slots);
    client->wheel_link = run->wheel[slot];
    client->flags |= RAW_LINKED;
    run->wheel[slot] = raw_number(run, client) + 1;
}

// Small packets are sent when they are written, not after the acknowledgement of the one before (RFC 896).
void raw_no_delay(struct raw_client *client)
{
    if (client->flags & RAW_NO_DELAY)
        return;
    int on = 1;
    (void)!setsockopt(client->fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    client->flags |= RAW_NO_DELAY;
}

void raw_tell(struct engine_run *run, const struct raw_client *client, struct engine_event event)
{
    event.client = raw_number(run, client);
    event.at_ns = run->now_ns;
    run->told = true;
    run->config.listener(run->config.context, &event);
}

void raw_forget(struct engine_run *run, struct raw_client *client)
{
    if (run->gatherer == client) {
        run->gatherer = NULL;
        run->gathered_bytes = 0;
        run->model.header_bytes = 0;
    }
    if (client->fd >= 0)
        close(client->fd); // leaves the epoll set with it
    client->fd = -1;
    struct raw_extra *extra = client->extra;
    client->extra = NULL;
    if (!extra)
        return;
    run->out_bytes -= extra->out_bytes;
    free(extra->in);
    free(extra->out);
    free(extra->flights);
    free(extra->received);
    free(extra);
}

void raw_lose(struct engine_run *run, struct raw_client *client, enum tally_reason reason)
{
    enum engine_event_kind kind = client->state == RAW_OPEN ? ENGINE_DROPPED : ENGINE_FAILED;
    if (client->state == RAW_TCP || client->state == RAW_CONNACK)
        raw_leave_window(run, client);
    raw_forget(run, client);
    client->state = RAW_ENDED;
    raw_tell(run, client,
             (struct engine_event){.kind = kind,
                                   .reason = reason,
                                   .started_ns = client->started_ns,
                                   .ports_passed = client->ports_passed});
}
