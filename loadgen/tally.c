// SPDX-License-Identifier: Apache-2.0
#include "loadgen/tally.h"

#include <errno.h>
#include <stddef.h>

static const struct {
    const char *name, *text;
} reasons[REASON_COUNT] = {
    [REASON_NONE] = {"none", "no reason"},
    [REASON_REFUSED_VERSION] = {"connack_1", "refused: protocol version (CONNACK 1)"},
    [REASON_REFUSED_IDENTIFIER] = {"connack_2", "refused: client identifier (CONNACK 2)"},
    [REASON_REFUSED_UNAVAILABLE] = {"connack_3", "refused: server unavailable (CONNACK 3)"},
    [REASON_REFUSED_CREDENTIALS] = {"connack_4", "refused: user name or password (CONNACK 4)"},
    [REASON_REFUSED_AUTHORIZATION] = {"connack_5", "refused: not authorised (CONNACK 5)"},
    [REASON_TIMEOUT] = {"timeout", "no answer in time"},
    [REASON_TCP_REFUSED] = {"tcp_refused", "TCP connection refused: nobody listens"},
    [REASON_TCP_FAILED] = {"tcp_failed", "TCP connect failed"},
    [REASON_NO_PORT] = {"no_port", "no local port left on this route"},
    [REASON_NO_SOURCE] = {"no_source", "the source address is none of this host"},
    [REASON_UNREACHABLE] = {"unreachable", "no route to the target"},
    [REASON_NO_DESCRIPTOR] = {"no_descriptor", "no file descriptor left"},
    [REASON_NO_MEMORY] = {"no_memory", "no memory left for a socket"},
    [REASON_RESET] = {"reset", "connection reset by the target"},
    [REASON_CLOSED] = {"closed", "connection closed by the target"},
    [REASON_PROTOCOL] = {"protocol", "the target broke the protocol"},
    [REASON_SUBSCRIBE_REFUSED] = {"subscribe_refused", "subscription refused (SUBACK 0x80)"},
    [REASON_UNTOLD] = {"untold",
                       "TCP connect failed; the library does not say why (does anybody listen? --engine raw "
                       "tells more)"},
    [REASON_LOST] = {"lost", "connection lost"},
    [REASON_STALLED] = {"stalled", "no answer in time, and the generator itself did not run meanwhile"},
    [REASON_WORKER_DIED] = {"worker_died", "its worker process died"},
    [REASON_NOT_STARTED] = {"not_started", "the run ended before its turn"},
};

const char *tally_reason_name(enum tally_reason reason)
{
    return (unsigned)reason < REASON_COUNT ? reasons[reason].name : "unknown";
}

const char *tally_reason_text(enum tally_reason reason)
{
    return (unsigned)reason < REASON_COUNT ? reasons[reason].text : "unknown";
}

enum tally_reason tally_reason_of_errno(int code)
{
    switch (code < 0 ? -code : code) {
    case ECONNREFUSED:
        return REASON_TCP_REFUSED;
    case ETIMEDOUT:
        return REASON_TIMEOUT;
    case EADDRNOTAVAIL:
    case EADDRINUSE:
        return REASON_NO_PORT;
    case EHOSTUNREACH:
    case ENETUNREACH:
        return REASON_UNREACHABLE;
    case EMFILE:
    case ENFILE:
        return REASON_NO_DESCRIPTOR;
    case ENOMEM:
    case ENOBUFS:
        return REASON_NO_MEMORY;
    case ECONNRESET:
    case EPIPE:
        return REASON_RESET;
    case EPROTO:
        return REASON_PROTOCOL;
    default:
        return REASON_TCP_FAILED;
    }
}

enum tally_reason tally_reason_of_connack(int code)
{
    return code >= 1 && code <= 5 ? (enum tally_reason)(REASON_REFUSED_VERSION + code - 1) : REASON_PROTOCOL;
}

static void bump(_Atomic int64_t *counter)
{
    atomic_store_explicit(counter, atomic_load_explicit(counter, memory_order_relaxed) + 1,
                          memory_order_relaxed);
}

void tally_fail(struct tally_page *page, enum tally_reason reason)
{
    bump(&page->failed[reason]);
}

void tally_drop(struct tally_page *page, enum tally_reason reason)
{
    bump(&page->dropped[reason]);
}

void tally_stay_away(struct tally_page *page, enum tally_reason reason)
{
    bump(&page->away[reason]);
}

void tally_close_slow(struct tally_page *page, enum tally_reason reason)
{
    bump(&page->slow_closed[reason]);
}

// What of two values a sum has.
static enum joining { JOIN_SUM, JOIN_EARLIEST, JOIN_LATEST, JOIN_BUSIEST } joined(enum tally_count what)
{
    if (what >= TALLY_LOAD && what < TALLY_LOAD_END)
        return JOIN_BUSIEST;
    switch (what) {
    case TALLY_FIRST_START_NS:
    case TALLY_FIRST_ARRIVAL_NS:
        return JOIN_EARLIEST;
    case TALLY_LAST_CONNECTED_NS:
    case TALLY_LAST_RECEIVED_NS:
    case TALLY_LAST_ARRIVED_NS:
    case TALLY_LAST_CHANGED_NS:
    case TALLY_READ_STALLED_PPM:
        return JOIN_LATEST;
    case TALLY_READ_RAN_PPM:
    case TALLY_READ_WAITED_PPM:
        return JOIN_BUSIEST;
    default:
        return JOIN_SUM;
    }
}

bool tally_adds_up(enum tally_count what)
{
    return joined(what) == JOIN_SUM && what != TALLY_OPEN;
}

static void take_busier(struct tally *sum, const struct tally_page *page, enum tally_count what_ran,
                        enum tally_count what_waited)
{
    int64_t ran = tally_get(page, what_ran), waited = tally_get(page, what_waited);
    if (ran + waited <= sum->count[what_ran] + sum->count[what_waited])
        return;
    sum->count[what_ran] = ran;
    sum->count[what_waited] = waited;
}

// Those of an earlier number are of a worker that had no share in the acts since.
static void take_load(struct tally *sum, const struct tally_page *page, enum load_kind kind)
{
    const enum tally_count number = tally_of_load(kind, LOAD_NUMBER),
                           stalled = tally_of_load(kind, LOAD_STALLED_PPM);
    if (tally_get(page, number) < sum->count[number])
        return;
    if (tally_get(page, number) > sum->count[number])
        for (int figure = 0; figure < LOAD_FIGURES; figure++)
            sum->count[tally_of_load(kind, (enum load_figure)figure)] = 0;
    sum->count[number] = tally_get(page, number);
    take_busier(sum, page, tally_of_load(kind, LOAD_RAN_PPM), tally_of_load(kind, LOAD_WAITED_PPM));
    if (tally_get(page, stalled) > sum->count[stalled])
        sum->count[stalled] = tally_get(page, stalled);
}

void tally_sum(struct tally *sum, const struct tally_page *page)
{
    for (int kind = 0; kind < LOAD_KINDS; kind++)
        take_load(sum, page, (enum load_kind)kind);
    take_busier(sum, page, TALLY_READ_RAN_PPM, TALLY_READ_WAITED_PPM);
    for (int i = 0; i < TALLY_COUNT; i++) {
        int64_t value = tally_get(page, (enum tally_count)i);
        enum joining join = joined((enum tally_count)i);
        if (join == JOIN_SUM)
            sum->count[i] += value;
        else if (join == JOIN_LATEST && value > sum->count[i])
            sum->count[i] = value;
        else if (join == JOIN_EARLIEST && value != 0 && (sum->count[i] == 0 || value < sum->count[i]))
            sum->count[i] = value;
    }
    for (int i = 0; i < REASON_COUNT; i++) {
        sum->failed[i] += atomic_load_explicit(&page->failed[i], memory_order_relaxed);
        sum->dropped[i] += atomic_load_explicit(&page->dropped[i], memory_order_relaxed);
        sum->away[i] += atomic_load_explicit(&page->away[i], memory_order_relaxed);
        sum->slow_closed[i] += atomic_load_explicit(&page->slow_closed[i], memory_order_relaxed);
    }
}

void tally_fill(struct tally_page *page, const struct tally *tally)
{
    for (int i = 0; i < TALLY_COUNT; i++)
        tally_set(page, (enum tally_count)i, tally->count[i]);
    for (int i = 0; i < REASON_COUNT; i++) {
        atomic_store_explicit(&page->failed[i], tally->failed[i], memory_order_relaxed);
        atomic_store_explicit(&page->dropped[i], tally->dropped[i], memory_order_relaxed);
        atomic_store_explicit(&page->away[i], tally->away[i], memory_order_relaxed);
        atomic_store_explicit(&page->slow_closed[i], tally->slow_closed[i], memory_order_relaxed);
    }
}

void tally_move_clock(struct tally *tally, int64_t ns)
{
    static const enum tally_count instants[] = {TALLY_FIRST_START_NS,   TALLY_LAST_CONNECTED_NS,
                                                TALLY_LAST_RECEIVED_NS, TALLY_FIRST_ARRIVAL_NS,
                                                TALLY_LAST_ARRIVED_NS,  TALLY_LAST_CHANGED_NS};
    for (size_t i = 0; i < sizeof instants / sizeof *instants; i++)
        if (tally->count[instants[i]] != 0)
            tally->count[instants[i]] += ns;
}

int64_t tally_other_qos(const struct tally *tally, enum tally_count what)
{
    int64_t sum = 0;
    for (int i = 0; i < TALLY_QOS_PAIRS; i++)
        sum += tally->count[(int)what + i];
    return sum;
}

int64_t tally_measured(const struct tally *tally, enum tally_count what)
{
    return tally->count[what] - tally->count[TALLY_WARM_UP + (what - TALLY_DUE)];
}

static int64_t above_zero(int64_t value)
{
    return value > 0 ? value : 0;
}

static int64_t deliveries_left(const int64_t *due)
{
    return due[TALLY_DELIVERY_DUE] - due[TALLY_RECEIVED] - due[TALLY_CORRUPT] - due[TALLY_LOST] -
           due[TALLY_UNFINISHED];
}

static int64_t slow_deliveries_left(const int64_t *due)
{
    return due[TALLY_SLOW_DUE] - due[TALLY_SLOW_RECEIVED] - due[TALLY_SLOW_CORRUPT] - due[TALLY_SLOW_MISSED] -
           due[TALLY_SLOW_UNFINISHED];
}

// Counts messages that were due and have not ended as not sent or unfinished. `offset` is 0, or that of the
// warm-up counts.
static void bury_messages(struct tally_page *page, const int64_t *count, int offset, bool apart)
{
    const int64_t *due = count + offset;
    tally_add(page, TALLY_NOT_SENT + offset,
              above_zero(due[TALLY_DUE] - due[TALLY_NOT_SENT] - due[TALLY_PUBLISHED]));
    if (!apart)
        tally_add(page, TALLY_UNFINISHED + offset, above_zero(deliveries_left(due)));
    tally_add(
        page, TALLY_ACK_UNFINISHED + offset,
        above_zero(due[TALLY_ACK_DUE] - due[TALLY_ACKED] - due[TALLY_UNACKED] - due[TALLY_ACK_UNFINISHED]));
}

// Counts changes of subscriptions that were due and have not ended as unfinished. `offset` is 0, or that of UNSUBSCRIBEs,
// retained messages or replays.
static void bury_changes(struct tally_page *page, const int64_t *count, int offset)
{
    const int64_t *due = count + offset;
    tally_add(page, TALLY_ADD_UNFINISHED + offset,
              above_zero(due[TALLY_ADD_DUE] - due[TALLY_ADD_NOT_SENT] - due[TALLY_ADDED] -
                         due[TALLY_ADD_FAILED] - due[TALLY_ADD_LOST] - due[TALLY_ADD_UNFINISHED]));
}

void tally_bury(struct tally_page *page, int64_t clients, bool apart)
{
    struct tally tally = {0};
    tally_sum(&tally, page);
    const int64_t *count = tally.count;
    int64_t never = clients - count[TALLY_CONNECTED] - count[TALLY_CONNECT_UNFINISHED] - tally_failed(&tally);
    atomic_fetch_add_explicit(&page->dropped[REASON_WORKER_DIED], above_zero(count[TALLY_OPEN]),
                              memory_order_relaxed);
    atomic_fetch_add_explicit(&page->failed[REASON_WORKER_DIED], above_zero(never), memory_order_relaxed);
    tally_set(page, TALLY_OPEN, 0);
    tally_add(page, TALLY_SUBSCRIBE_UNFINISHED,
              above_zero(count[TALLY_SUBSCRIBE_ASKED] - count[TALLY_SUBSCRIBED] -
                         count[TALLY_SUBSCRIBE_FAILED] - count[TALLY_SUBSCRIBE_LOST] -
                         count[TALLY_SUBSCRIBE_UNFINISHED]));
    tally_add(page, TALLY_PROVE_UNFINISHED,
              above_zero(count[TALLY_PROVE_ASKED] - count[TALLY_PROVEN] - count[TALLY_PROVE_FAILED] -
                         count[TALLY_SILENT] - count[TALLY_PROVE_UNFINISHED]));
    tally_add(page, TALLY_ARRIVAL_UNFINISHED,
              above_zero(count[TALLY_ARRIVAL_DUE] - count[TALLY_ARRIVAL_NOT_SENT] - count[TALLY_ARRIVED] -
                         count[TALLY_ARRIVAL_UNFINISHED] - tally_away(&tally)));
    tally_add(page, TALLY_RECOVERY_UNFINISHED,
              above_zero(count[TALLY_RECOVERY_DUE] - count[TALLY_RECOVERED] - count[TALLY_RECOVERY_FAILED] -
                         count[TALLY_RECOVERY_UNFINISHED]));
    bury_changes(page, count, 0);
    bury_changes(page, count, TALLY_REMOVE_DUE - TALLY_ADD_DUE);
    bury_changes(page, count, TALLY_RETAIN_DUE - TALLY_ADD_DUE);
    bury_changes(page, count, TALLY_REPLAY_DUE - TALLY_ADD_DUE);
    tally_add(page, TALLY_REPLAY_MESSAGE_UNFINISHED,
              above_zero(count[TALLY_REPLAY_MESSAGE_DUE] - count[TALLY_REPLAY_MESSAGE_ARRIVED] -
                         count[TALLY_REPLAY_MESSAGE_CORRUPT] - count[TALLY_REPLAY_MESSAGE_LOST] -
                         count[TALLY_REPLAY_MESSAGE_UNFINISHED]));
    bury_messages(page, count, 0, apart);
    bury_messages(page, count, TALLY_WARM_UP - TALLY_DUE, apart);
}

void tally_settle(struct tally *sum)
{
    int64_t *warm_up = sum->count + (TALLY_WARM_UP - TALLY_DUE);
    sum->count[TALLY_UNFINISHED] += above_zero(deliveries_left(sum->count));
    warm_up[TALLY_UNFINISHED] += above_zero(deliveries_left(warm_up));
    sum->count[TALLY_SLOW_UNFINISHED] += above_zero(slow_deliveries_left(sum->count));
    warm_up[TALLY_SLOW_UNFINISHED] += above_zero(slow_deliveries_left(warm_up));
}

void tally_settle_returns(struct tally *sum)
{
    int64_t *count = sum->count;
    count[TALLY_ARRIVAL_UNFINISHED] +=
        above_zero(count[TALLY_ARRIVAL_DUE] - count[TALLY_ARRIVAL_NOT_SENT] - count[TALLY_ARRIVED] -
                   count[TALLY_ARRIVAL_UNFINISHED] - tally_away(sum));
    count[TALLY_SUBSCRIBE_UNFINISHED] +=
        above_zero(count[TALLY_SUBSCRIBE_ASKED] - count[TALLY_SUBSCRIBED] - count[TALLY_SUBSCRIBE_FAILED] -
                   count[TALLY_SUBSCRIBE_LOST] - count[TALLY_SUBSCRIBE_UNFINISHED]);
}

void tally_add_arrivals(struct tally *sum, const struct tally *other)
{
    const int64_t *count = other->count;
    for (int what = TALLY_ARRIVAL_DUE; what <= TALLY_RESUMED; what++)
        sum->count[what] += count[what];
    sum->count[TALLY_CONNECT_RETRIES] += count[TALLY_CONNECT_RETRIES];
    int64_t *first = &sum->count[TALLY_FIRST_ARRIVAL_NS], *last = &sum->count[TALLY_LAST_ARRIVED_NS];
    if (*first == 0 || (count[TALLY_FIRST_ARRIVAL_NS] != 0 && count[TALLY_FIRST_ARRIVAL_NS] < *first))
        *first = count[TALLY_FIRST_ARRIVAL_NS];
    if (count[TALLY_LAST_ARRIVED_NS] > *last)
        *last = count[TALLY_LAST_ARRIVED_NS];
    for (int i = 0; i < REASON_COUNT; i++)
        sum->away[i] += other->away[i];
}

void tally_join_messages(struct tally *sum, const struct tally *other)
{
    for (int what = TALLY_DUE; what < TALLY_MESSAGE_END; what++)
        sum->count[what] += other->count[what];
    for (int what = TALLY_DELIVERED_OTHER; what <= TALLY_MISDELIVERED; what++)
        sum->count[what] += other->count[what];
    sum->count[TALLY_FOREIGN] += other->count[TALLY_FOREIGN];
}

static int64_t total(const int64_t counts[REASON_COUNT])
{
    int64_t sum = 0;
    for (int i = 0; i < REASON_COUNT; i++)
        sum += counts[i];
    return sum;
}

int64_t tally_failed(const struct tally *tally)
{
    return total(tally->failed);
}

int64_t tally_dropped(const struct tally *tally)
{
    return total(tally->dropped);
}

int64_t tally_slow_closed(const struct tally *tally)
{
    return total(tally->slow_closed);
}

int64_t tally_away(const struct tally *tally)
{
    return total(tally->away);
}

enum tally_reason tally_main_reason(const struct tally *tally)
{
    int most = REASON_NONE;
    for (int i = 0; i < REASON_COUNT; i++)
        if (tally->failed[i] + tally->dropped[i] > tally->failed[most] + tally->dropped[most])
            most = i;
    return (enum tally_reason)most;
}
