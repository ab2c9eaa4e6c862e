// SPDX-License-Identifier: Apache-2.0
// The engine contract: how MQTT clients are driven. A client library and our own event loop have the same
// contract, so they are measured alike.
//
// An engine is one file of engines/ that exports one `const struct engine`, and one line in
// engines/engines.c. It has the clients of one process, numbered from 0. Its calls begin an action and
// return. Events report the outcome: `step` passes them to the listener, on the thread that called `step`.
// One thread makes all calls, so a caller needs no lock. An event carries the time at which it happened, not
// the time at which `step` handled it.
//
// Every connect ends in exactly one ENGINE_CONNECTED or ENGINE_FAILED, within the timeout. A connected client
// ends in exactly one ENGINE_DROPPED (not our doing) or ENGINE_CLOSED (after `close_client`). Times are
// CLOCK_MONOTONIC.
//
// An answer belongs to the request with its packet identifier. One that nobody asked for ends the client with
// REASON_PROTOCOL where the engine reads the packets; a library may hide it.
//
//     struct engine_run *run;
//     if (engine->open(&run, &config, &err) < 0) ...
//     engine->connect(run, 0);
//     while (!connected) engine->step(run, clock_now_ns() + NS_PER_S);   // the listener sets `connected`
//     engine->close(run);
#ifndef POOLMARK_LOADGEN_ENGINE_H
#define POOLMARK_LOADGEN_ENGINE_H

#include "base/err.h"
#include "loadgen/identity.h"
#include "loadgen/leave.h"
#include "loadgen/payload_form.h"
#include "loadgen/plan.h"
#include "loadgen/tally.h"

#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <time.h>

enum engine_cap {
    ENGINE_CAP_BIND = 1 << 0, // can choose the source address of a client
    ENGINE_CAP_PING = 1 << 1, // can send a PINGREQ when asked
    // Idle clients take CPU time: when there are many, their processes are paused (fleet.h).
    ENGINE_CAP_RESTLESS = 1 << 2,
    ENGINE_CAP_CUT = 1 << 3, // can end a connection by FIN or RST, without DISCONNECT
};

enum engine_event_kind {
    ENGINE_CONNECTED,    // CONNACK 0
    ENGINE_FAILED,       // the connect ended otherwise; `reason`
    ENGINE_DROPPED,      // the connection was lost; `reason`
    ENGINE_CLOSED,       // by close_client
    ENGINE_SUBSCRIBED,   // SUBACK with a QoS
    ENGINE_REFUSED,      // SUBACK 0x80, or the subscription, or its end, failed otherwise
    ENGINE_UNSUBSCRIBED, // UNSUBACK
    ENGINE_ACKED,        // PUBACK or PUBCOMP of a publish; `intended_ns` and `started_ns` are that publish's
    ENGINE_MESSAGE,      // a PUBLISH arrived; `content`, and `payload` when it is one of ours
    ENGINE_PONG,         // PINGRESP to `ping`
};

struct engine_event {
    enum engine_event_kind kind;
    enum tally_reason reason;
    int64_t client;      // its number in this engine, from 0
    int64_t at_ns;       // when the event happened
    int64_t started_ns;  // CONNECTED, FAILED: when the connect was begun; ACKED: when the PUBLISH was sent
    int64_t intended_ns; // ACKED: the intended time of that PUBLISH
    int ports_passed;    // CONNECTED, FAILED: ports of its own that were taken, and passed over
    struct payload payload;
    enum payload_content content; // MESSAGE: PAYLOAD_STRANGE: `payload` is not valid
    uint64_t topic;               // MESSAGE: its topic's number (topic_mark.h)
    int qos;                      // SUBSCRIBED: granted; MESSAGE: of the PUBLISH that arrived; 0 to 2
    bool
        again; // MESSAGE at QoS 2: its packet identifier came before and was not released yet; engines may leave such out
    bool retained;        // MESSAGE: it has RETAIN 1
    bool session_present; // CONNECTED: the target says that it kept the client's session
};
typedef void engine_listener(void *context, const struct engine_event *event);

struct engine_config {
    const struct plan *plan;         // for the routes; outlives the run
    int64_t first;                   // global number of client 0: its route is plan_route(plan, first)
    int64_t clients;                 // 1 and up
    const char *prefix;              // of client identifiers; at most 18 characters; outlives the run
    const struct identity *identity; // who the clients are; NULL: identity_plain; outlives the run
    const struct payload_form
        *payloads;      // how messages that arrive are read; NULL: payload_read; outlives the run
    int64_t timeout_ns; // a connect that takes longer has failed
    int keep_alive_s;   // 0: none; the engine sends the pings
    int window;         // connects under way at once; 0: the engine's own choice
    bool keep_sessions; // connects without the clean session flag
    engine_listener *listener;
    void *context;
};

// The bound on messages that one process holds because its sockets are full. A publish beyond it fails with
// -EAGAIN, so a target that stops reading costs the generator no more memory than this.
enum { ENGINE_QUEUE_BYTES = 64 << 20 };
enum { ENGINE_READ_ALL = -1 };

struct engine_message {
    const char *topic;
    const uint8_t *payload; // valid during the call
    uint32_t payload_bytes;
    int qos;
    bool retain;
    int64_t intended_ns, sent_ns;
};

struct engine_run; // each engine's own

struct engine {
    const char *name;
    const char *summary; // one line
    unsigned caps;       // of enum engine_cap
    int64_t clients;     // in one process, by default
    int64_t clients_max; // in one process, at most, descriptors permitting
    int tokens;          // processes that connect at a time, by default
    // Its costs, measured by the suite million: user memory of a client, and of a process without clients;
    // threads of a process.
    int64_t client_bytes, process_bytes;
    int process_threads;

    // The version of the library it drives, for the record. NULL: it drives none.
    const char *(*library)(void);

    // On failure: -errno with the text in `err`, and nothing is left open.
    int (*open)(struct engine_run **run, const struct engine_config *config, struct err *err);

    // Begins a connect. The engine may queue it when its window is full. 0, or -errno: no event follows then.
    // -EISCONN for a client that connects, is connected, or whose end was not reported yet. A client that has
    // ended may connect again.
    int (*connect)(struct engine_run *run, int64_t client);

    // When the engine began the client's latest connect; 0: not yet.
    int64_t (*begun_ns)(const struct engine_run *run, int64_t client);

    // These need a connected client (otherwise -ENOTCONN). 0, or -errno: no event follows then.
    int (*subscribe)(struct engine_run *run, int64_t client, const char *topic, int qos);
    int (*unsubscribe)(struct engine_run *run, int64_t client, const char *topic);
    int (*publish)(struct engine_run *run, int64_t client, const struct engine_message *message);
    // Sends the messages that publish has gathered. NULL: publish sends each message itself.
    void (*flush)(struct engine_run *run);
    int (*ping)(struct engine_run *run, int64_t client); // NULL without ENGINE_CAP_PING
    // -EOPNOTSUPP for a way that the engine does not know: without ENGINE_CAP_CUT all but LEAVE_DISCONNECT.
    int (*close_client)(struct engine_run *run, int64_t client, enum leave how);

    // Sets how fast each connected client of this process reads what the target sends: bytes a second; 0: nothing;
    // ENGINE_READ_ALL, as it is at first: everything at once. A client that does not read learns of the end of its connection
    // only where the kernel tells it (a reset); a FIN behind unread bytes is not seen. Meanwhile other calls may fail with -EAGAIN.
    void (*read_at)(struct engine_run *run, int64_t bytes_per_s);

    // Bytes of MQTT that the clients of this process have sent and received so far: what their sockets took and gave.
    // NULL: not known, where a library has the sockets.
    void (*bytes)(const struct engine_run *run, int64_t *sent, int64_t *received);

    // Announces an act within two seconds, so that the engine's threads are ready by then. NULL: not needed.
    void (*expect)(struct engine_run *run);

    // Passes events to the listener. Returns after some events, after a signal, or at `until_ns`. Workers are
    // notified by SIGUSR1, which is blocked outside this call.
    void (*step)(struct engine_run *run, int64_t until_ns);

    // Cuts open connections and frees everything, without further events. NULL is allowed.
    void (*close)(struct engine_run *run);
};

enum { ENGINE_OWN_DESCRIPTORS = 200 }; // of a process besides its clients

// The most clients of one process with so many descriptors: it needs some itself.
int64_t engine_process_clients(const struct engine *engine, int64_t descriptors);

// For an engine's `step`: the caller's signal mask without SIGUSR1, and the time left until `until_ns`.
void engine_wait_mask(sigset_t *mask);
struct timespec engine_wait_time(int64_t until_ns);

#endif
