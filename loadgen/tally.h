// SPDX-License-Identifier: Apache-2.0
// The counts of a worker, with the reasons for lost clients: one page of shared memory for each worker, read
// by the parent.
//
// A page has one writer, its worker's main thread; the parent reads at any time. Counters are relaxed: each
// stands alone, and the parent needs no order between two of them. Sums are exact after the worker has
// reported that an order is done (fleet.h), which is a release.
#ifndef POOLMARK_LOADGEN_TALLY_H
#define POOLMARK_LOADGEN_TALLY_H

#include "loadgen/load_kind.h"

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

enum tally_reason {
    REASON_NONE,
    REASON_REFUSED_VERSION,       // CONNACK 1
    REASON_REFUSED_IDENTIFIER,    // CONNACK 2
    REASON_REFUSED_UNAVAILABLE,   // CONNACK 3
    REASON_REFUSED_CREDENTIALS,   // CONNACK 4
    REASON_REFUSED_AUTHORIZATION, // CONNACK 5
    REASON_TIMEOUT,               // no CONNACK, SUBACK or PINGRESP in time
    REASON_TCP_REFUSED,           // ECONNREFUSED: nobody listens
    REASON_TCP_FAILED,            // the TCP connect failed otherwise
    REASON_NO_PORT,               // EADDRNOTAVAIL: no local port left on this route
    REASON_NO_SOURCE,             // the source address is none of this host
    REASON_UNREACHABLE,           // EHOSTUNREACH, ENETUNREACH
    REASON_NO_DESCRIPTOR,         // EMFILE, ENFILE
    REASON_NO_MEMORY,             // ENOMEM, ENOBUFS
    REASON_RESET,                 // ECONNRESET, EPIPE
    REASON_CLOSED,                // the peer closed the connection
    REASON_PROTOCOL,              // the peer sent what MQTT forbids, or an answer to nothing
    REASON_SUBSCRIBE_REFUSED,     // SUBACK 0x80
    REASON_UNTOLD,                // the library could not connect and does not say why
    REASON_LOST,                  // the library lost the connection and does not say why
    REASON_STALLED,               // no answer in time, but the generator itself did not run meanwhile
    REASON_WORKER_DIED,           // its process died
    REASON_NOT_STARTED,           // the run ended before its turn
    REASON_COUNT,
};

const char *tally_reason_name(enum tally_reason reason); // "connack_3", "timeout", for records
const char *tally_reason_text(enum tally_reason reason); // for people
enum tally_reason tally_reason_of_errno(int code);       // of a connect or a connection
enum tally_reason tally_reason_of_connack(int code);

enum { TALLY_QOS_PAIRS = 3 * 3 }; // of QoS 0 to 2

enum tally_count {
    TALLY_STARTED,            // connects begun
    TALLY_CONNECTED,          // CONNACK 0 received, since the start
    TALLY_OPEN,               // connected now
    TALLY_CONNECT_UNFINISHED, // under way when the run ended early
    TALLY_CONNECT_RETRIES,    // connects after one that failed, of clients that try again by themselves

    TALLY_SUBSCRIBE_ASKED,      // SUBSCRIBE due
    TALLY_SUBSCRIBED,           // SUBACK received
    TALLY_SUBSCRIBE_FAILED,     // refused, could not be sent, or its connection ended before the SUBACK
    TALLY_SUBSCRIBE_LOST,       // no SUBACK in time
    TALLY_SUBSCRIBE_UNFINISHED, // as above

    // Messages, those of the warm-up among them.
    TALLY_DUE,            // PUBLISHes due by the schedule
    TALLY_NOT_SENT,       // of these, not sent: the client was not connected, or its queue was full
    TALLY_PUBLISHED,      // PUBLISH sent (passed to the engine)
    TALLY_DELIVERY_DUE,   // deliveries of these: one for each subscriber of the topic
    TALLY_RECEIVED,       // deliveries that arrived as they were sent, each counted once
    TALLY_CORRUPT,        // deliveries that arrived with another content than was sent, each counted once
    TALLY_LOST,           // deliveries that had not arrived when the drain ended
    TALLY_UNFINISHED,     // deliveries on their way when the run ended early
    TALLY_ACK_DUE,        // published at QoS 1 and 2
    TALLY_ACKED,          // PUBACK or PUBCOMP
    TALLY_UNACKED,        // not acknowledged when the drain ended
    TALLY_ACK_UNFINISHED, // not acknowledged when the run ended early
    // Deliveries at slow readers, which are in none of the counts above.
    TALLY_SLOW_DUE,        // as TALLY_DELIVERY_DUE
    TALLY_SLOW_RECEIVED,   // as TALLY_RECEIVED
    TALLY_SLOW_CORRUPT,    // as TALLY_CORRUPT
    TALLY_SLOW_MISSED,     // had not arrived when the order ended: not read, or not kept by the target
    TALLY_SLOW_UNFINISHED, // as TALLY_UNFINISHED
    TALLY_MESSAGE_END,     // no count: the end of these counts
    TALLY_WARM_UP,         // the counts from TALLY_DUE on again, in the same order, of the warm-up only
    TALLY_WARM_UP_END = TALLY_WARM_UP + TALLY_MESSAGE_END - TALLY_DUE,

    // Arrivals: connects of clients that come, or come back, by an order of their own (FLEET_ARRIVE).
    TALLY_ARRIVAL_DUE,        // by the schedule, or by the loss of a connection
    TALLY_ARRIVAL_NOT_SENT,   // of these, not begun: the client's arrival before was still under way
    TALLY_ARRIVED,            // CONNACK 0 received
    TALLY_ARRIVAL_UNFINISHED, // under way when the run ended early
    TALLY_ARRIVAL_RETRIES,    // connects after one that failed
    TALLY_RESUMED,            // of TALLY_ARRIVED, those for which the target had kept the session
    TALLY_FIRST_ARRIVAL_NS,   // earliest intended time of an arrival; 0: none yet
    TALLY_LAST_ARRIVED_NS,    // latest CONNACK of an arrival

    // Changes of subscriptions (FLEET_SUBSCRIBE): SUBSCRIBEs, then UNSUBSCRIBEs in the same order.
    TALLY_ADD_DUE,      // by the schedule
    TALLY_ADD_NOT_SENT, // of these, not sent: the change of the client before was under way, or it was not there
    TALLY_ADDED,        // SUBACK received
    TALLY_ADD_FAILED,     // refused, or the connection ended first
    TALLY_ADD_LOST,       // no SUBACK when the drain ended
    TALLY_ADD_UNFINISHED, // under way when the run ended early
    TALLY_REMOVE_DUE,
    TALLY_REMOVE_NOT_SENT,
    TALLY_REMOVED, // UNSUBACK received
    TALLY_REMOVE_FAILED,
    TALLY_REMOVE_LOST,
    TALLY_REMOVE_UNFINISHED,
    TALLY_LAST_CHANGED_NS, // latest SUBACK or UNSUBACK of these

    // Retained messages: those that clients published or removed (FLEET_RETAIN), in the order of TALLY_ADD_DUE and on.
    TALLY_RETAIN_DUE,
    TALLY_RETAIN_NOT_SENT,
    TALLY_RETAINED, // acknowledged
    TALLY_RETAIN_FAILED,
    TALLY_RETAIN_LOST,
    TALLY_RETAIN_UNFINISHED,
    // Replays of them to a SUBSCRIBE that was sent, in the same order.
    TALLY_REPLAY_DUE,
    TALLY_REPLAY_NOT_SENT, // 0
    TALLY_REPLAYED,        // each of the messages has arrived
    TALLY_REPLAY_FAILED,   // the subscription was refused, or its connection lost
    TALLY_REPLAY_LOST,     // not whole when the drain ended
    TALLY_REPLAY_UNFINISHED,
    // The messages of these replays.
    TALLY_REPLAY_MESSAGE_DUE,
    TALLY_REPLAY_MESSAGE_ARRIVED,
    TALLY_REPLAY_MESSAGE_CORRUPT, // arrived with another content
    TALLY_REPLAY_MESSAGE_LOST,
    TALLY_REPLAY_MESSAGE_UNFINISHED,

    // Recoveries: a slow reader that reads again has recovered when a message arrives that was due after that.
    TALLY_RECOVERY_DUE,
    TALLY_RECOVERED,
    TALLY_RECOVERY_FAILED,     // its connection was lost, or nothing new had come when the order ended
    TALLY_RECOVERY_UNFINISHED, // as above

    // By the QoS asked for and the QoS had (tally_of_qos), where these differ: subscriptions that SUBACK granted, and
    // deliveries. Those as asked are not counted.
    TALLY_GRANTED_OTHER,
    TALLY_DELIVERED_OTHER = TALLY_GRANTED_OTHER + TALLY_QOS_PAIRS,
    TALLY_DUPLICATES = TALLY_DELIVERED_OTHER + TALLY_QOS_PAIRS, // arrived a second time
    TALLY_DUPLICATES_EXCLUDED, // of these, those that the QoS of publisher and subscriber excludes
    TALLY_OUT_OF_ORDER,        // arrived for the first time, after a later message of the same publisher
    TALLY_TOPIC_CHANGED,       // arrived, under another topic than they were published to
    TALLY_RETAIN_CHANGED,    // arrived, with RETAIN 1 at a subscription that was there, or with 0 in a replay
    TALLY_SESSION_UNASKED,   // CONNACKs with session present, to a clean session
    TALLY_STRANGE,           // arrived, and not one of ours by its header
    TALLY_MISDELIVERED,      // arrived, one of this run, at a client that did not subscribe to it
    TALLY_BEGUN,             // connects begun, those of arrivals and their retries too
    TALLY_FOREIGN,           // arrived, and one of another run by its header
    TALLY_PROVE_ASKED,       // asked to prove that they are alive
    TALLY_PROVEN,            // answered
    TALLY_PROVE_FAILED,      // could not be asked, or were lost before they answered
    TALLY_SILENT,            // did not answer in time
    TALLY_PROVE_UNFINISHED,  // had not answered when the run ended early
    TALLY_CLOSED,            // ended by us
    TALLY_FIRST_START_NS,    // earliest connect of this worker; 0: none yet
    TALLY_LAST_CONNECTED_NS, // latest CONNACK of this worker
    TALLY_LAST_RECEIVED_NS,  // latest arrival of a message that is not of the warm-up
    TALLY_STALLED_NS,        // how long the worker did not run while it had something to do, in all
    // LOAD_FIGURES for each kind of acts (tally_of_load). A sum has those of the highest number: of the worker whose time on a
    // CPU and without one is the largest, and the largest share in which one was kept from running.
    TALLY_LOAD,
    TALLY_LOAD_END = TALLY_LOAD + LOAD_KINDS * LOAD_FIGURES,
    // The shares of workers that receive messages at a rate, of several orders those of the busiest. Of a worker that sends
    // too the first two are 0 unless they leave it no time.
    TALLY_READ_RAN_PPM = TALLY_LOAD_END,
    TALLY_READ_WAITED_PPM,
    TALLY_READ_STALLED_PPM,
    TALLY_UNREAD_BYTES, // had come from the target and were not read when messages were counted as lost
    TALLY_SESSION_LOST, // of TALLY_ARRIVED, those that had left a session to be kept and found none
    TALLY_NOT_LOST, // of clients whose loss was awaited (FLEET_ARRIVALS_ON_LOSS), those that kept their connection
    TALLY_PORTS_PASSED, // ports that connects passed over, because they were taken
    TALLY_CPU_NS,       // CPU time of the worker so far
    // Bytes of MQTT that its clients have sent and received so far, where the engine knows (engine.h).
    TALLY_BYTES_SENT,
    TALLY_BYTES_RECEIVED,
    TALLY_COUNT,
};

struct tally_page {
    _Atomic int64_t count[TALLY_COUNT];
    _Atomic int64_t failed[REASON_COUNT]; // clients that never connected
    // Clients that were connected and lost their connection by no act of ours.
    _Atomic int64_t dropped[REASON_COUNT];
    // Arrivals that were given up, by the reason of their last connect.
    _Atomic int64_t away[REASON_COUNT];
    _Atomic int64_t slow_closed[REASON_COUNT]; // slow readers that lost their connection
};

// The same as plain integers, for sums.
struct tally {
    int64_t count[TALLY_COUNT];
    int64_t failed[REASON_COUNT], dropped[REASON_COUNT], away[REASON_COUNT], slow_closed[REASON_COUNT];
};

static inline void tally_add(struct tally_page *page, enum tally_count what, int64_t amount)
{
    // One writer: a load and a store, no locked instruction.
    atomic_store_explicit(&page->count[what],
                          atomic_load_explicit(&page->count[what], memory_order_relaxed) + amount,
                          memory_order_relaxed);
}
static inline void tally_set(struct tally_page *page, enum tally_count what, int64_t value)
{
    atomic_store_explicit(&page->count[what], value, memory_order_relaxed);
}
static inline int64_t tally_get(const struct tally_page *page, enum tally_count what)
{
    return atomic_load_explicit(&page->count[what], memory_order_relaxed);
}
// Adds to a count of messages (from TALLY_DUE on), and to its warm-up count for messages of the warm-up.
static inline void tally_add_messages(struct tally_page *page, enum tally_count what, int64_t amount,
                                      bool warm_up)
{
    tally_add(page, what, amount);
    if (warm_up)
        tally_add(page, TALLY_WARM_UP + (what - TALLY_DUE), amount);
}
// The count of those that had QoS `had` where `asked` was asked for, both 0 to 2. `what`: TALLY_GRANTED_OTHER or
// TALLY_DELIVERED_OTHER.
static inline enum tally_count tally_of_qos(enum tally_count what, int asked, int had)
{
    return (enum tally_count)((int)what + 3 * asked + had);
}
static inline enum tally_count tally_of_load(enum load_kind kind, enum load_figure figure)
{
    return (enum tally_count)((int)TALLY_LOAD + (int)kind * LOAD_FIGURES + (int)figure);
}
// How many of these had another QoS than was asked for.
int64_t tally_other_qos(const struct tally *tally, enum tally_count what);
// A count of messages without the warm-up.
int64_t tally_measured(const struct tally *tally, enum tally_count what);

// Closes the counts of a dead worker that had `clients` clients to connect. Those not connected count as
// failed, open ones as dropped, its messages as not sent or unfinished, its arrivals as unfinished. Its page has no other writer any more. `apart`: other
// workers have the subscribers of its messages, so its deliveries under way are not known from its page;
// tally_settle counts them.
void tally_bury(struct tally_page *page, int64_t clients, bool apart);

// For a run that was broken off, with publishers and subscribers in different workers: counts the deliveries that no
// worker has counted as unfinished. `sum` has the pages of all workers, and all are done or dead.
void tally_settle(struct tally *sum);

// For a run that has ended, whose workers may have been told nothing of it: counts arrivals and subscriptions that have no outcome as
// unfinished.
void tally_settle_returns(struct tally *sum);
// Adds the arrivals of another fleet of the run, and its connects that were tried again.
void tally_add_arrivals(struct tally *sum, const struct tally *other);
// Adds the messages of another fleet of the run, and what went wrong with them.
void tally_join_messages(struct tally *sum, const struct tally *other);

void tally_fail(struct tally_page *page, enum tally_reason reason);
void tally_drop(struct tally_page *page, enum tally_reason reason);
void tally_stay_away(struct tally_page *page, enum tally_reason reason);
void tally_close_slow(struct tally_page *page, enum tally_reason reason);

// Does a count of a sum grow by each page's? Otherwise it is the earliest, the latest, or that of the busiest.
bool tally_adds_up(enum tally_count what);

// Adds a page to a sum. First-start and last-connected become the earliest and latest, CPU time adds up.
void tally_sum(struct tally *sum, const struct tally_page *page);
// Makes the counts of the page, of which this is the only writer, those of `tally`.
void tally_fill(struct tally_page *page, const struct tally *tally);
// Adds to the times in the tally (the counts _NS that are instants) that are there.
void tally_move_clock(struct tally *tally, int64_t ns);
int64_t tally_failed(const struct tally *tally);
int64_t tally_dropped(const struct tally *tally);
int64_t tally_away(const struct tally *tally);
int64_t tally_slow_closed(const struct tally *tally);
// The most frequent reason of failed and dropped clients; REASON_NONE: there were none.
enum tally_reason tally_main_reason(const struct tally *tally);

#endif
