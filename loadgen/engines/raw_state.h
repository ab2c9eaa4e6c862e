// SPDX-License-Identifier: Apache-2.0
// The state that the parts of the raw engine share; private to them. Each part calls only parts after it:
// raw.c, raw_connect.c (connects, time), raw_dial.c (sockets), raw_slow.c, raw_in.c, raw_packets.c, raw_out.c, raw_client.c.
#ifndef POOLMARK_LOADGEN_ENGINES_RAW_STATE_H
#define POOLMARK_LOADGEN_ENGINES_RAW_STATE_H

#include "loadgen/engine.h"
#include "wire/mqtt_frame.h"

#include <stdbool.h>
#include <stddef.h>

enum raw_client_state {
    RAW_NEW,
    RAW_QUEUED,  // waits for room in the window
    RAW_TCP,     // TCP handshake under way; CONNECT not sent
    RAW_CONNACK, // CONNECT sent
    RAW_OPEN,
    RAW_CLOSING, // closed by us; `step` has not reported it yet
    RAW_ENDED,
};

enum raw_client_flag {
    RAW_NO_DELAY = 1,     // TCP_NODELAY is set
    RAW_PING_ASKED = 2,   // the next PINGRESP is an ENGINE_PONG
    RAW_PING_PENDING = 4, // a keep-alive ping is not answered yet
    RAW_LINKED = 8,       // in a slot of the wheel
    RAW_WANTS_WRITE = 16, // EPOLLOUT is asked for
    RAW_SLOW = 32,        // reads by raw_read_slowly only
    RAW_ASKS_UNSUB = 64,  // `asked_id` is of an UNSUBSCRIBE
};

struct raw_flight {     // a packet that awaits its answer
    uint16_t packet_id; // 0: free
    uint8_t
        awaits; // the packet type that is to come: PUBACK; at QoS 2 PUBREC, then PUBCOMP; SUBACK, UNSUBACK
    int64_t intended_ns, sent_ns;
};

struct raw_extra { // fields that few clients need, and few of them for long
    uint8_t *in;   // a packet that has begun to arrive
    uint32_t in_bytes, in_capacity;
    uint8_t *out; // bytes that the socket has not taken yet
    uint32_t out_bytes, out_capacity;
    struct raw_flight *flights; // by packet_id & (capacity - 1)
    uint32_t flight_capacity;   // a power of two, or 0
    uint16_t *received;         // QoS 2: packet identifiers between PUBLISH and PUBREL
    uint32_t received_count, received_capacity;
};

struct raw_client {
    int64_t started_ns;
    struct raw_extra *extra; // NULL most of the time
    int32_t fd;              // -1: none
    uint32_t link; // the next client in the queue (number + 1; 0: none), or the place in `connecting`
    // The next client in a slot of the wheel (number + 1; 0: none). A client stays there when it ends, and when
    // it comes back before its slot's turn.
    uint32_t wheel_link;
    uint16_t packet_id; // used last
    uint16_t asked_id;  // of a SUBSCRIBE or UNSUBSCRIBE without its answer; 0: none; others are in `flights`
    uint8_t state;      // enum raw_client_state
    uint8_t flags;      // enum raw_client_flag
    uint8_t ports_passed; // of its own ports, those that were taken (ports.h)
    uint8_t pings;        // PINGREQs without a PINGRESP; from RAW_PINGS_MAX on they are not counted
};
_Static_assert(sizeof(struct raw_client) <= 64, "a million clients need their memory for more than this");

enum { RAW_SCRATCH = 65536, RAW_GATHER = 65536, RAW_PINGS_MAX = UINT8_MAX };

struct engine_run {
    struct engine_config config;
    struct raw_client *clients;
    int epoll;
    const struct identity *identity;
    char *texts;                      // of the CONNECT being sent
    uint8_t *connect_packet;          // identity->packet_bytes
    uint32_t queue_first, queue_last; // RAW_QUEUED clients, number + 1
    uint32_t *connecting;             // clients under way, `window` of them at most
    uint32_t connecting_count, window;
    uint32_t *closed; // RAW_CLOSING clients, to be reported
    uint32_t closed_count, closed_capacity;
    uint32_t *wheel; // keep alive: a slot a second, the first client + 1 of each
    uint32_t wheel_slots;
    int64_t wheel_second;               // seconds up to this one are done
    int64_t looked_ns;                  // when time-outs were looked for
    int64_t now_ns;                     // of the events being reported
    bool told;                          // this step has reported an event
    int64_t out_bytes;                  // of all clients: bytes that their sockets have not taken
    int64_t sent_bytes, received_bytes; // of all clients so far: those that they have taken, and given
    bool no_pwait2;                     // epoll_pwait2 is refused here (an old kernel, a seccomp filter)
    // No time-out before this time: this process had not run, and the answers may be there unread.
    int64_t grace_ns;
    // How clients read (raw_slow.c): ENGINE_READ_ALL, or bytes a second of each since `slow_since_ns`.
    int64_t read_per_s, slow_since_ns;
    int64_t slow_read_ns; // the last turn of reading
    int64_t slow_allowed; // bytes that each might have read by then
    // Packets of one client, sent by one call when another client's turn comes or the step ends.
    struct raw_client *gatherer; // NULL: none
    uint8_t *gathered;
    size_t gathered_bytes, gathered_capacity;
    // The PUBLISH gathered last. The next one of its topic has the same header, except for the packet id.
    struct {
        size_t at, header_bytes; // in `gathered`; header_bytes 0: none
        size_t payload_bytes;
        int qos;
        bool retain;
    } model;
    // Reads of all clients go here, behind the beginning of a packet that came before.
    uint8_t scratch[2 * RAW_SCRATCH];
};

static inline uint32_t raw_number(const struct engine_run *run, const struct raw_client *client)
{
    return (uint32_t)(client - run->clients);
}

// raw_client.c
void raw_tell(struct engine_run *run, const struct raw_client *client, struct engine_event event);
// Ends a client by no act of ours: FAILED before CONNACK, DROPPED after.
void raw_lose(struct engine_run *run, struct raw_client *client, enum tally_reason reason);
void raw_forget(struct engine_run *run, struct raw_client *client); // closes its socket, frees its extra

struct raw_extra *raw_extra_of(struct raw_client *client);                          // NULL: out of memory
void raw_extra_tidy(struct raw_client *client);                                     // frees empty buffers
int raw_make_room(uint8_t **buffer, uint32_t *capacity, size_t max, size_t needed); // -ENOBUFS, -ENOMEM
void raw_enter_window(struct engine_run *run, struct raw_client *client);
void raw_leave_window(struct engine_run *run, struct raw_client *client);
void raw_keep_alive(struct engine_run *run, struct raw_client *client); // pings it from now on
void raw_no_delay(struct raw_client *client);

// raw_connect.c: connects, time-outs, keep alive
void raw_start_queued(struct engine_run *run);
void raw_finish_tcp(struct engine_run *run, struct raw_client *client); // writable, or failed
void raw_look_at_time(struct engine_run *run, int64_t now_ns);
int64_t raw_next_time(const struct engine_run *run); // the next time to call raw_look_at_time

// raw_dial.c
// Makes the client's socket and begins its TCP connect. REASON_NONE: it is under way. Otherwise there is no
// socket.
enum tally_reason raw_dial(struct engine_run *run, struct raw_client *client);

// raw_out.c
// Makes room at `*to` for a packet of up to `bytes` bytes; raw_gathered gives its final size. -EAGAIN beyond
// ENGINE_QUEUE_BYTES, -ENOMEM.
int raw_gather(struct engine_run *run, struct raw_client *client, size_t bytes, uint8_t **to);
void raw_gathered(struct engine_run *run, struct raw_client *client, size_t bytes);
int raw_send(struct engine_run *run, struct raw_client *client, const void *data, size_t bytes); // both
int raw_ask_for_pong(struct engine_run *run, struct raw_client *client); // a PINGREQ; as raw_send
// Keeps bytes that the socket has not taken. The caller then waits for EPOLLOUT. -ENOMEM.
int raw_keep_unsent(struct engine_run *run, struct raw_client *client, const void *data, size_t bytes);
void raw_flush(struct engine_run *run);                                  // sends the gathered packets
void raw_watch(struct engine_run *run, const struct raw_client *client); // as its flags say
void raw_writable(struct engine_run *run, struct raw_client *client);

// raw_slow.c
void raw_read_at(struct engine_run *run, int64_t bytes_per_s);
void raw_read_slowly(struct engine_run *run, int64_t now_ns); // what the rate allows by now
int64_t raw_next_slow_read(const struct engine_run *run);     // when to call that again

// raw_in.c
void raw_readable(struct engine_run *run, struct raw_client *client);
void raw_read_some(struct engine_run *run, struct raw_client *client, size_t most); // of one read
void raw_read_all(struct engine_run *run, struct raw_client *client); // everything that has come by now

// raw_packets.c: false when the packet has ended the client
bool raw_packet(struct engine_run *run, struct raw_client *client, const struct mqtt_frame *frame);
// `flight` awaits an answer from now on. -EAGAIN: all packet identifiers do; -ENOMEM.
int raw_flight_add(struct raw_client *client, const struct raw_flight *flight);
bool raw_flight_take(struct raw_client *client, uint16_t packet_id, struct raw_flight *flight);

#endif
