// SPDX-License-Identifier: Apache-2.0
#include "broker/mqtt/refuse.h"

#include "broker/net/counter.h"
#include "wire/mqtt_connect.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

void refusals_open(struct refusals *refusals, struct loop *loop)
{
    *refusals = (struct refusals){.loop = loop};
}

static void finish(struct refusals *refusals, struct refusal *refusal)
{
    loop_close_watch(refusals->loop, &refusal->watch);
    refusals->count--;
}

void refusals_close(struct refusals *refusals)
{
    for (int i = 0; refusals->slots && i < REFUSAL_SLOTS; i++)
        if (refusals->slots[i].watch.fd >= 0)
            close(refusals->slots[i].watch.fd);
    free(refusals->slots);
    refusals->slots = NULL;
}

// [MQTT-3.2.2-5]: sends a return code that is not zero, then closes this end. The client sees that and closes
// its own end.
static void answer(struct refusals *refusals, int fd)
{
    uint8_t packet[4];
    int bytes = mqtt_connack_encode(packet, sizeof packet, MQTT_REFUSED_UNAVAILABLE, false);
    ssize_t sent = bytes > 0 ? send(fd, packet, (size_t)bytes, MSG_NOSIGNAL) : -1;
    if (sent > 0)
        counter_add(loop_turn(refusals->loop)->bytes_sent, sent);
    if (sent > 0 && sent == bytes)
        shutdown(fd, SHUT_WR);
}

static struct refusal *free_slot(struct refusals *refusals)
{
    if (!refusals->slots) {
        refusals->slots = malloc(REFUSAL_SLOTS * sizeof *refusals->slots);
        if (!refusals->slots)
            return NULL;
        for (int i = 0; i < REFUSAL_SLOTS; i++)
            refusals->slots[i] = (struct refusal){.watch.fd = -1};
    }
    struct refusal *oldest = &refusals->slots[0];
    for (int i = 0; i < REFUSAL_SLOTS; i++) {
        struct refusal *slot = &refusals->slots[i];
        if (slot->watch.fd < 0)
            return slot;
        if (slot->deadline_tick < oldest->deadline_tick)
            oldest = slot;
    }
    // All are in use. Reuse the oldest: it had the most time to send its CONNECT or to read its answer.
    if (!oldest->is_answered)
        answer(refusals, oldest->watch.fd);
    finish(refusals, oldest);
    return oldest;
}

void refusals_add(struct refusals *refusals, int fd)
{
    struct refusal *slot = free_slot(refusals);
    if (slot) {
        slot->watch.fd = fd;
        slot->is_answered = false;
        slot->deadline_tick = loop_turn(refusals->loop)->tick + REFUSAL_PATIENCE_S * TIMER_TICKS_PER_S;
        if (loop_add_watch(refusals->loop, &slot->watch) == 0) {
            refusals->count++;
            return;
        }
        slot->watch.fd = -1;
    }
    answer(refusals, fd);
    close(fd);
}

// Reads the socket and ignores the kind of event. The event may belong to the client that had this slot
// earlier in the same turn.
static void look(struct refusals *refusals, struct refusal *refusal)
{
    uint8_t bytes[4096];
    if (refusal->watch.fd < 0)
        return;
    ssize_t got = recv(refusal->watch.fd, bytes, sizeof bytes, MSG_DONTWAIT);
    if (got < 0 && (errno == EAGAIN || errno == EINTR || errno == ENOMEM || errno == ENOBUFS))
        return;
    if (got > 0)
        counter_add(loop_turn(refusals->loop)->bytes_received, got);
    // Only a client that begins with a CONNECT gets an answer [MQTT-3.1.0-1]. Later bytes are dropped.
    if (got <= 0 || (!refusal->is_answered && bytes[0] >> 4 != MQTT_CONNECT)) {
        finish(refusals, refusal);
        return;
    }
    if (!refusal->is_answered)
        answer(refusals, refusal->watch.fd);
    refusal->is_answered = true;
}

void refusals_on_watch(struct refusals *refusals, struct loop_watch *watch)
{
    look(refusals, (struct refusal *)watch);
}

void refusals_on_tick(struct refusals *refusals, bool is_short)
{
    uint32_t tick = loop_turn(refusals->loop)->tick;
    if (is_short)
        tick += REFUSAL_PATIENCE_S * TIMER_TICKS_PER_S - REFUSAL_SHORT_TICKS;
    for (int i = 0; refusals->count > 0 && i < REFUSAL_SLOTS; i++) {
        struct refusal *slot = &refusals->slots[i];
        if (slot->watch.fd < 0 || slot->deadline_tick > tick)
            continue;
        // This loop may be late, and the CONNECT may wait in the socket.
        if (!slot->is_answered)
            look(refusals, slot);
        if (slot->watch.fd >= 0)
            finish(refusals, slot);
    }
}
