// SPDX-License-Identifier: Apache-2.0
#include "tests/faults/life.h"

#include "base/clock.h"

#include <stdio.h>

enum { TRIES = 6, LOOK_MS = 20, LARGE_BYTES = 9000, SMALL_BYTES = 5, NO_WILL = -1 };

struct sent {
    bool is_taken; // the broker acknowledged it, or owes it: a will
    uint8_t qos;
};

struct life {
    struct party subscriber, kept, publisher, heir, late, rude; // heir: takes the publisher's id over
    int next_number;
    struct sent sent[PARTY_MESSAGES];
    int subscriber_since, kept_since; // they must see the messages from this number on
    bool kept_exists;                 // the broker has granted the kept session's subscription
    int will;                         // of the publisher; NO_WILL: it is not connected
    int retained;                     // number of the retained message
    life_dropped *dropped;
    void *context;
    char *wrong;
};

static bool fail(struct life *life, const struct party *party, const char *act, const char *what)
{
    snprintf(life->wrong, LIFE_WRONG_BYTES, "%s, %s: %s", party ? party->id : "all", act, what);
    return false;
}

// --- acts, which are tried again ---------------------------------------------------------------------------

typedef enum outcome act(struct life *life);

static bool ensure(struct life *life, struct party *party, act *one, const char *name)
{
    for (int i = 0; i < TRIES; i++) {
        enum outcome outcome = one(life);
        if (outcome == DONE)
            return true;
        if (outcome == HUNG)
            return fail(life, party, name, "no answer, and the connection is open");
        if (outcome == WRONG)
            return fail(life, party, name, party->wrong);
        party_close(party);
    }
    return fail(life, party, name, "refused again and again, though one call failed");
}

static enum outcome be_subscriber(struct life *life)
{
    struct party *party = &life->subscriber;
    if (party->fd >= 0)
        return DONE;
    enum outcome outcome = party_connect(party, true, NO_WILL);
    if (outcome == DONE)
        outcome = party_subscribe(party, "f/#", 2);
    life->subscriber_since = life->next_number;
    return outcome;
}

static enum outcome be_kept(struct life *life)
{
    struct party *party = &life->kept;
    if (party->fd >= 0)
        return DONE;
    enum outcome outcome = party_connect(party, false, NO_WILL);
    if (outcome == DONE && life->kept_exists && !party->session_present) {
        party->wrong = "its kept session is gone";
        return WRONG;
    }
    if (outcome != DONE || life->kept_exists)
        return outcome;
    outcome = party_subscribe(party, "f/#", 1);
    life->kept_exists = outcome == DONE;
    life->kept_since = life->next_number;
    return outcome;
}

static enum outcome be_publisher(struct life *life)
{
    struct party *party = &life->publisher;
    if (party->fd >= 0)
        return DONE;
    life->will = life->next_number++;
    enum outcome outcome = party_connect(party, true, life->will);
    if (outcome != DONE)
        life->will = NO_WILL;
    return outcome;
}

static enum outcome be_heir(struct life *life)
{
    return life->heir.fd >= 0 ? DONE : party_connect(&life->heir, true, NO_WILL);
}

static enum outcome publish(struct life *life, struct party *party, const char *topic, size_t bytes,
                            uint8_t qos, bool retain)
{
    int number = life->next_number++;
    life->sent[number].qos = qos;
    if (retain && bytes > 0)
        life->retained = number;
    return party_publish(party, topic, number, bytes, qos, retain, &life->sent[number].is_taken);
}

// Connects `party` again where it is needed.
static enum outcome publish_as(struct life *life, act *be, struct party *party, const char *topic,
                               size_t bytes, uint8_t qos, bool retain)
{
    enum outcome outcome = be(life);
    return outcome == DONE ? publish(life, party, topic, bytes, qos, retain) : outcome;
}

#define PUBLISH_ACT(name, be, party, topic, bytes, qos, retain)                                              \
    static enum outcome name(struct life *life)                                                              \
    {                                                                                                        \
        return publish_as(life, be, &life->party, topic, bytes, qos, retain);                                \
    }

PUBLISH_ACT(publish_small_0, be_publisher, publisher, "f/a", SMALL_BYTES, 0, false)
PUBLISH_ACT(publish_large_0, be_publisher, publisher, "f/a", LARGE_BYTES, 0, false)
PUBLISH_ACT(publish_small_1, be_publisher, publisher, "f/a", SMALL_BYTES, 1, false)
PUBLISH_ACT(publish_large_1, be_publisher, publisher, "f/a", LARGE_BYTES, 1, false)
PUBLISH_ACT(publish_small_2, be_publisher, publisher, "f/b/c", SMALL_BYTES, 2, false)
PUBLISH_ACT(publish_large_2, be_publisher, publisher, "f/b/c", LARGE_BYTES, 2, false)
PUBLISH_ACT(publish_retained, be_publisher, publisher, "f/kept", SMALL_BYTES, 1, true)
PUBLISH_ACT(publish_after_all, be_heir, heir, "f/a", SMALL_BYTES, 1, false)
PUBLISH_ACT(clear_retained, be_heir, heir, "f/kept", 0, 1, true)

static enum outcome unsubscribe(struct life *life)
{
    enum outcome outcome = be_heir(life);
    return outcome == DONE ? party_unsubscribe(&life->heir, "f/nothing") : outcome;
}

static enum outcome see_retained(struct life *life)
{
    enum outcome outcome = life->late.fd >= 0 ? DONE : party_connect(&life->late, true, NO_WILL);
    if (outcome == DONE)
        outcome = party_subscribe(&life->late, "f/kept", 1);
    return outcome == DONE ? party_ping(&life->late) : outcome;
}

// The end of the kept session.
static enum outcome be_kept_no_more(struct life *life)
{
    party_close(&life->kept);
    enum outcome outcome = party_connect(&life->kept, true, NO_WILL);
    return outcome == DONE ? party_disconnect(&life->kept) : outcome;
}

// --- what has to come --------------------------------------------------------------------------------------

static int missing_of(const struct life *life, const struct party *party, int since)
{
    int missing = 0;
    for (int i = since; i < life->next_number; i++)
        missing += life->sent[i].is_taken && life->sent[i].qos > 0 && party->seen[i] == 0;
    return missing;
}

// The messages come by themselves: nothing that this client sends wakes the broker. A loop may be late, up to its next tick.
static bool collect(struct life *life, struct party *party, act *be, const int *since)
{
    int64_t deadline_ns = clock_now_ns() + PARTY_GUARD_S * NS_PER_S;
    bool took = true;
    while (clock_now_ns() < deadline_ns) {
        if (!ensure(life, party, be, "CONNECT"))
            return false;
        int missing = missing_of(life, party, *since);
        if (missing == 0 || (!took && life->dropped(life->context) >= missing))
            return true;
        enum outcome outcome = party_take(party, LOOK_MS, &took);
        if (outcome == ENDED)
            party_close(party);
        else if (outcome != DONE)
            return fail(life, party, "messages", outcome == HUNG ? "half a packet" : party->wrong);
    }
    return fail(life, party, "messages", "acknowledged, and neither delivered nor counted as dropped");
}

static bool see_retained_message(struct life *life)
{
    for (int i = 0; i < TRIES; i++) {
        if (!ensure(life, &life->late, see_retained, "SUBSCRIBE to a retained message"))
            return false;
        if (life->late.retained[life->retained])
            return true;
    }
    return life->dropped(life->context) > 0 ||
           fail(life, &life->late, "SUBSCRIBE", "the retained message never came");
}

// The publisher's connection ends when another client has its id, and its will is published.
static bool take_over(struct life *life)
{
    bool was_there = life->publisher.fd >= 0 && life->will != NO_WILL;
    if (!ensure(life, &life->heir, be_heir, "CONNECT with another's id"))
        return false;
    if (!was_there)
        return true;
    enum outcome outcome = party_await_end(&life->publisher);
    if (outcome != ENDED)
        return fail(life, &life->publisher, "takeover",
                    outcome == HUNG ? "its connection was not ended" : life->publisher.wrong);
    life->sent[life->will] = (struct sent){.is_taken = true, .qos = 1};
    return true;
}

static bool publish_all(struct life *life)
{
    static const struct {
        act *one;
        const char *name;
    } acts[] = {
        {publish_small_0, "PUBLISH"},          {publish_large_0, "PUBLISH, large"},
        {publish_small_1, "PUBLISH, QoS 1"},   {publish_large_1, "PUBLISH, QoS 1, large"},
        {publish_small_2, "PUBLISH, QoS 2"},   {publish_large_2, "PUBLISH, QoS 2, large"},
        {publish_retained, "PUBLISH, RETAIN"},
    };
    for (size_t i = 0; i < sizeof acts / sizeof acts[0]; i++)
        if (!ensure(life, &life->publisher, acts[i].one, acts[i].name))
            return false;
    return true;
}

static bool be_rude(struct life *life)
{
    enum outcome outcome = party_connect(&life->rude, true, NO_WILL);
    if (outcome == DONE)
        outcome = party_send(&life->rude, "\xF0\x00", 2);
    if (outcome == DONE)
        outcome = party_await_end(&life->rude);
    party_close(&life->rude);
    if (outcome == HUNG || outcome == WRONG)
        return fail(life, &life->rude, "no MQTT", outcome == HUNG ? "not closed" : life->rude.wrong);
    return true;
}

static void open_parties(struct life *life, uint16_t port)
{
    party_init(&life->subscriber, "subscriber", port);
    // In small arenas it takes a block of its own.
    party_init(&life->kept, "kept-with-an-id-that-is-longer-than-usual", port);
    party_init(&life->publisher, "publisher", port);
    party_init(&life->heir, "publisher", port);
    party_init(&life->late, "late", port);
    party_init(&life->rude, "rude", port);
}

static bool play(struct life *life)
{
    return ensure(life, &life->subscriber, be_subscriber, "CONNECT and SUBSCRIBE") &&
           ensure(life, &life->kept, be_kept, "CONNECT and SUBSCRIBE") &&
           (party_close(&life->kept), publish_all(life)) && take_over(life) && be_rude(life) &&
           ensure(life, &life->heir, unsubscribe, "UNSUBSCRIBE") &&
           collect(life, &life->subscriber, be_subscriber, &life->subscriber_since) &&
           collect(life, &life->kept, be_kept, &life->kept_since) &&
           ensure(life, &life->heir, publish_after_all, "PUBLISH, QoS 1") &&
           collect(life, &life->kept, be_kept, &life->kept_since) &&
           collect(life, &life->subscriber, be_subscriber, &life->subscriber_since) &&
           see_retained_message(life) &&
           ensure(life, &life->heir, clear_retained, "the end of a retained message") &&
           ensure(life, &life->kept, be_kept_no_more, "the end of its session");
}

bool life_play(uint16_t port, life_dropped *dropped, void *context, char wrong[static LIFE_WRONG_BYTES])
{
    static struct life life; // its parties have large buffers
    life = (struct life){.dropped = dropped, .context = context, .wrong = wrong, .will = NO_WILL};
    open_parties(&life, port);
    bool is_well = play(&life);
    party_close(&life.subscriber);
    party_reset(&life.late);
    party_disconnect(&life.heir);
    party_close(&life.publisher);
    party_close(&life.kept);
    return is_well;
}

bool life_of_later(uint16_t port, char wrong[static LIFE_WRONG_BYTES])
{
    static struct party party;
    bool is_taken = false;
    party_init(&party, "later", port);
    enum outcome outcome = party_connect(&party, true, NO_WILL);
    if (outcome == DONE)
        outcome = party_subscribe(&party, "later", 1);
    if (outcome == DONE)
        outcome = party_publish(&party, "later", 1, SMALL_BYTES, 1, false, &is_taken);
    if (outcome == DONE)
        outcome = party_ping(&party);
    if (outcome == DONE)
        outcome = party_disconnect(&party);
    party_close(&party);
    bool is_well = outcome == DONE && party.seen[1] == 1;
    if (!is_well)
        snprintf(wrong, LIFE_WRONG_BYTES, "a later client: %s",
                 outcome == WRONG  ? party.wrong
                 : outcome == HUNG ? "no answer"
                 : outcome == DONE ? "its message did not come"
                                   : "refused, though nothing fails any more");
    return is_well;
}
