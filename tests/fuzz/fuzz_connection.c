// SPDX-License-Identifier: Apache-2.0
// libFuzzer target (make fuzz-connection): whole connections. Several clients at one broker, whose network and clock are in
// memory (fake_net.h). An input is a byte of settings, then acts:
//
//     byte 0       settings: enum setting, a bit each
//     act          bits 0 and 1: client; bits 2 to 5: kind, enum act; bit 6: the next act follows in the same turn
//     argument     a byte, for kinds that take one
//     bytes        after ACT_BYTES: as many as the argument says
//
// Checks, beside the sanitizers and the broker's own invariants (CHECK=1): what a client gets is a sequence of packets that a server may
// send, CONNACK first; the loop comes to rest; memory follows the account; when all have left, no connection and no descriptor is open
// and all pools' objects are back.
#include "broker/mqtt/server.h"
#include "pools/pool.h"
#include "tests/failing_heap.h"
#include "tests/fuzz/fake_net.h"
#include "wire/mqtt_connect.h"
#include "wire/mqtt_publish.h"
#include "wire/mqtt_subscribe.h"

#include <stdio.h>
#include <string.h>

#if defined(__has_feature)
#if __has_feature(address_sanitizer)
#define HAS_HEAP_COUNT 1
#endif
#elif defined(__SANITIZE_ADDRESS__)
#define HAS_HEAP_COUNT 1
#endif
#ifdef HAS_HEAP_COUNT
// Of the sanitizer's library. Debian's gcc has no header for it.
size_t __sanitizer_get_current_allocated_bytes(void);
#endif

enum setting {
    SETTING_EAGER = 1,       // small buffers from open to close
    SETTING_KEEPS = 2,       // a pool that keeps its objects
    SETTING_BOUNDS = 4,      // every bound of messages and topics is small
    SETTING_DESCRIPTORS = 8, // few descriptors
    SETTING_PLACES = 16,     // two connections, and two of an address
    SETTING_EXPIRY = 32,     // kept sessions end
    SETTING_REVERSED = 64,   // events in another order
    SETTING_MEMORY = 128,    // a small --memory-limit
};

enum act {
    ACT_BYTES,    // and kinds 1 to 5: most of an input are bytes
    ACT_FILL = 6, // so many times 64 bytes
    ACT_CLOSE,    // FIN, and reads nothing more
    ACT_FINISH,   // FIN, and reads on
    ACT_RESET,
    ACT_STOP_READING,
    ACT_READ,      // so many times 16 bytes; 255: all from now on
    ACT_WAIT,      // so many seconds; 0: one tick
    ACT_CONNECT,   // and says nothing
    ACT_NO_MEMORY, // the n-th request from now on fails
    ACT_TURN,      // a turn of the loop
};

enum phase { PHASE_ACTS, PHASE_READ_ALL, PHASE_LEAVE, PHASE_PATIENCE, PHASE_OVER };

enum {
    POOLS = 4,
    KEPT_BYTES = 4096,            // of a packet to a client; longer ones are checked by their headers
    HEAP_SLACK_BYTES = 512 << 10, // lists and tables that are not in the account
    MEMORY_LIMIT_BYTES = 256 << 10,
    EXPIRY_S = 10,
    PATIENCE_S = 120, // longer than a CONNECT may take, and a kept session may wait
    PATIENCE_STEP_S = 3,
    DESCRIPTORS_FEW = 14,
    DESCRIPTORS_MANY = NET_DESCRIPTORS_MAX,
};

// What a client has got and was not checked.
struct reader {
    uint8_t data[KEPT_BYTES];
    size_t used, skip; // skip: bytes of a long packet that are still to come
    bool has_connack;
};

static struct {
    const uint8_t *data;
    size_t size;
    unsigned settings;
    enum phase phase;
    int waited_s;
    struct server *server;
    struct pool *pools[POOLS];
    struct reader readers[NET_CLIENTS];
    size_t heap_before;
} fuzz;

static void check(bool holds, const char *what)
{
    if (!holds)
        fake_net_fail(what);
}

// --- what the broker sends ---------------------------------------------------------------------------------

static void check_packet(struct reader *reader, const struct mqtt_frame *frame)
{
    enum mqtt_connack_code code;
    bool is_present;
    struct mqtt_publish publish;
    struct mqtt_suback suback;
    uint16_t packet_id;
    switch (frame->type) {
    case MQTT_CONNACK:
        check(mqtt_connack_decode(frame, &code, &is_present) == MQTT_OK, "a CONNACK is malformed");
        break;
    case MQTT_PUBLISH:
        check(mqtt_publish_decode(frame, &publish) == MQTT_OK, "a PUBLISH is malformed");
        break;
    case MQTT_SUBACK:
        check(mqtt_suback_decode(frame, &suback) == MQTT_OK, "a SUBACK is malformed");
        break;
    case MQTT_PINGRESP:
        break;
    default:
        check(mqtt_ack_decode(frame, &packet_id) == MQTT_OK, "an acknowledgement is malformed");
        break;
    }
    check((frame->type == MQTT_CONNACK) != reader->has_connack,
          "CONNACK is not the first packet, or came twice");
    reader->has_connack = true;
}

// Takes the packet at the start; false: it is not whole.
static bool take_packet(struct reader *reader)
{
    struct mqtt_frame frame;
    size_t needed;
    enum mqtt_error error = mqtt_frame_decode(reader->data, reader->used, 0, &frame, &needed);
    check(error == MQTT_OK || error == MQTT_INCOMPLETE, "what a client gets is no MQTT");
    if (error == MQTT_INCOMPLETE && needed <= KEPT_BYTES)
        return false;
    check(mqtt_server_sends(frame.type), "a packet that no server sends");
    if (error == MQTT_OK)
        check_packet(reader, &frame);
    size_t taken = error == MQTT_OK ? needed : reader->used;
    reader->skip = needed - taken;
    reader->used -= taken;
    memmove(reader->data, reader->data + taken, reader->used);
    return true;
}

static void on_output(void *context, int client, const uint8_t *data, size_t bytes)
{
    struct reader *reader = &fuzz.readers[client];
    (void)context;
    while (bytes > 0) {
        size_t skip = reader->skip < bytes ? reader->skip : bytes;
        reader->skip -= skip;
        data += skip;
        bytes -= skip;
        size_t room = KEPT_BYTES - reader->used, part = bytes < room ? bytes : room;
        memcpy(reader->data + reader->used, data, part);
        reader->used += part;
        data += part;
        bytes -= part;
        while (reader->used > 0 && take_packet(reader))
            ;
    }
}

static void on_connected(void *context, int client)
{
    (void)context;
    fuzz.readers[client].used = fuzz.readers[client].skip = 0;
    fuzz.readers[client].has_connack = false;
}

// --- what the clients do -----------------------------------------------------------------------------------

static uint8_t take_byte(void)
{
    if (fuzz.size == 0)
        return 0;
    fuzz.size--;
    return *fuzz.data++;
}

static void send_bytes(int client)
{
    size_t bytes = take_byte();
    bytes = bytes < fuzz.size ? bytes : fuzz.size;
    fake_net_connect(client);
    fake_net_send(client, fuzz.data, bytes);
    fuzz.data += bytes;
    fuzz.size -= bytes;
}

static void send_filler(int client)
{
    uint8_t filler[64];
    memset(filler, 'x', sizeof filler);
    for (unsigned i = take_byte(); i > 0; i--)
        fake_net_send(client, filler, sizeof filler);
}

static void wait_s(int64_t seconds)
{
    fake_net_advance(seconds > 0 ? seconds * INT64_C(1000000000) : INT64_C(250000000));
}

static enum net_next do_act(int client, unsigned kind)
{
    unsigned argument;
    switch (kind) {
    case ACT_FILL:
        send_filler(client);
        return NET_LOOK;
    case ACT_CLOSE:
    case ACT_FINISH:
        fake_net_finish(client, kind == ACT_FINISH);
        return NET_LOOK;
    case ACT_RESET:
        fake_net_reset(client);
        return NET_LOOK;
    case ACT_STOP_READING:
        fake_net_set_room(client, 0);
        return NET_LOOK;
    case ACT_READ:
        argument = take_byte();
        fake_net_set_room(client, argument == 255 ? NET_ROOM_ANY : argument * 16);
        return NET_LOOK;
    case ACT_WAIT:
        wait_s(take_byte());
        return NET_TURN;
    case ACT_CONNECT:
        fake_net_connect(client);
        return NET_LOOK;
    case ACT_NO_MEMORY:
        failing_heap_arm(take_byte(), false);
        return NET_LOOK;
    case ACT_TURN:
        return NET_TURN;
    default:
        send_bytes(client);
        return NET_LOOK;
    }
}

// --- the end -----------------------------------------------------------------------------------------------

static void leave_all(void)
{
    for (int client = 0; client < NET_CLIENTS; client++)
        if (fake_net_is_open(client))
            fake_net_finish(client, false);
}

static void check_all_left(void)
{
    struct server_statistics statistics;
    struct pool_stats stats;
    server_read_statistics(fuzz.server, &statistics);
    check(statistics.connections == 0, "a connection is left when all clients have gone");
    for (int client = 0; client < NET_CLIENTS; client++)
        check(!fake_net_is_open(client), "a socket is open when all clients have gone");
    for (int i = 0; i < 2; i++) { // connections and buffers
        pool_stats(fuzz.pools[i], &stats);
        check(stats.in_use == 0, "an object of connections or buffers is in use when all clients have gone");
    }
    if (fuzz.settings & SETTING_EXPIRY)
        check(statistics.sessions == 0 && statistics.subscriptions == 0, "a kept session outlives its time");
    check(statistics.memory.bytes[ACCOUNT_INPUT] + statistics.memory.bytes[ACCOUNT_UNFINISHED] == 0 &&
              statistics.memory.bytes[ACCOUNT_OUTPUT] == 0,
          "the account has input or output when all clients have gone");
}

// After the acts: all read what waits for them, then leave; then time passes for what ends by time.
static enum net_next end(void)
{
    switch (fuzz.phase) {
    case PHASE_ACTS:
        failing_heap_disarm();
        for (int client = 0; client < NET_CLIENTS; client++)
            fake_net_set_room(client, NET_ROOM_ANY);
        fuzz.phase = PHASE_READ_ALL;
        return NET_TURN;
    case PHASE_READ_ALL:
        leave_all();
        fuzz.phase = PHASE_LEAVE;
        return NET_TURN;
    case PHASE_LEAVE:
        fuzz.waited_s = 0;
        fuzz.phase = PHASE_PATIENCE;
        return NET_TURN;
    case PHASE_PATIENCE:
        leave_all(); // one that was accepted late
        wait_s(PATIENCE_STEP_S);
        fuzz.waited_s += PATIENCE_STEP_S;
        fuzz.phase = fuzz.waited_s < PATIENCE_S ? PHASE_PATIENCE : PHASE_OVER;
        return NET_TURN;
    default:
        check_all_left();
        return NET_END;
    }
}

// The heap has no more than the account and the pools say, but for small tables.
static void check_heap(void)
{
#ifdef HAS_HEAP_COUNT
    struct server_statistics statistics;
    struct pool_stats stats;
    server_read_statistics(fuzz.server, &statistics);
    int64_t told = statistics.memory.sum, heap = (int64_t)__sanitizer_get_current_allocated_bytes();
    for (int i = 0; i < POOLS; i++) {
        pool_stats(fuzz.pools[i], &stats);
        told += stats.bytes_owned;
    }
    check(heap - (int64_t)fuzz.heap_before <= told + HEAP_SLACK_BYTES,
          "the heap has more than the account tells");
    if (fuzz.settings & SETTING_MEMORY)
        check(statistics.memory.peak <= MEMORY_LIMIT_BYTES, "the account has passed its limit");
#endif
}

static enum net_next driver(void *context)
{
    (void)context;
    if (fuzz.phase == PHASE_ACTS)
        check_heap();
    enum net_next next = NET_LOOK;
    bool goes_on = true;
    while (goes_on && fuzz.size > 0) {
        unsigned act = take_byte();
        goes_on = act & 0x40;
        enum net_next one = do_act(act & 3, act >> 2 & 15);
        next = one == NET_TURN ? one : next;
    }
    return fuzz.size > 0 || !goes_on ? next : end();
}

// --- the broker --------------------------------------------------------------------------------------------

static void open_pools(void)
{
    static const char *const names[POOLS] = {"connections", "buffers", "arenas", "messages"};
    static const size_t bytes[POOLS] = {512, 512, 512, 256};
    for (int i = 0; i < POOLS; i++) {
        struct pool_config config = POOL_CONFIG_DEFAULTS;
        config.name = names[i];
        config.object_bytes = bytes[i];
        const char *strategy = fuzz.settings & SETTING_KEEPS ? "sync" : "malloc";
        check(pool_open(&fuzz.pools[i], pool_strategy_find(strategy), &config, NULL) == 0,
              "a pool does not open");
    }
}

static void open_server(void)
{
    unsigned settings = fuzz.settings;
    bool is_bounded = settings & SETTING_BOUNDS;
    struct server_options options = {
        .threads = 1,
        .listeners_max = 1,
        .connections = fuzz.pools[0],
        .buffers = fuzz.pools[1],
        .arenas = fuzz.pools[2],
        .messages = fuzz.pools[3],
        .read_bytes = 512,
        .write_bytes = 512,
        .is_eager = settings & SETTING_EAGER,
        .memory_limit_bytes = settings & SETTING_MEMORY ? MEMORY_LIMIT_BYTES : 64 << 20,
        .max_connections = settings & SETTING_PLACES ? 2 : 0,
        .max_connections_per_address = settings & SETTING_PLACES ? 2 : 0,
        .max_packet_bytes = is_bounded ? 2048 : 1 << 20,
        .max_topic_levels = is_bounded ? 4 : 200,
        .max_inflight_messages = is_bounded ? 2 : 20,
        .max_queued_messages = is_bounded ? 3 : 1000,
        .max_queued_bytes = is_bounded ? 4096 : 1 << 20,
        .max_filters = is_bounded ? 3 : 0,
        .message_size_limit = is_bounded ? 600 : 0,
        .max_retained_messages = is_bounded ? 2 : 0,
        .max_retained_bytes = is_bounded ? 1024 : 0,
        .session_expiry_ns = settings & SETTING_EXPIRY ? EXPIRY_S * INT64_C(1000000000) : 0,
        .has_retained = true,
    };
    struct address address = {0};
    check(server_open(&fuzz.server, &options, NULL) == 0 && server_listen(fuzz.server, &address, NULL) == 0 &&
              server_start(fuzz.server, NULL) == 0,
          "the server does not start");
}

static void close_all(void)
{
    struct server_statistics statistics;
    struct pool_stats stats;
    server_stop(fuzz.server);
    server_read_statistics(fuzz.server, &statistics);
    check(statistics.sessions == 0 && statistics.subscriptions == 0, "a session is left after the end");
    // The table of addresses stays until the server is closed.
    int64_t *bytes = statistics.memory.bytes, connections = bytes[ACCOUNT_CONNECTIONS];
    check(connections == 0 || fuzz.settings & SETTING_PLACES, "the account has connections after the end");
    check(bytes[ACCOUNT_INPUT] + bytes[ACCOUNT_UNFINISHED] + bytes[ACCOUNT_OUTPUT] + bytes[ACCOUNT_SESSIONS] +
                  bytes[ACCOUNT_SUBSCRIPTIONS] ==
              0,
          "the account has bytes after the end");
    check(statistics.retained > 0 || statistics.memory.sum == connections,
          "the account has messages, and none is retained");
    server_close(fuzz.server);
    for (int i = 0; i < POOLS; i++) {
        pool_stats(fuzz.pools[i], &stats);
        check(stats.in_use == 0, "a pool's object is in use after the end");
        pool_close(fuzz.pools[i]);
    }
}

// libFuzzer calls this function; so does tests/test_fuzz_connection.c with the committed inputs.
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    fuzz.data = data;
    fuzz.size = size;
    fuzz.settings = take_byte();
    fuzz.phase = PHASE_ACTS;
    struct net_rules rules = {
        .descriptors = fuzz.settings & SETTING_DESCRIPTORS ? DESCRIPTORS_FEW : DESCRIPTORS_MANY,
        .is_reversed = fuzz.settings & SETTING_REVERSED,
        .driver = driver,
        .on_output = on_output,
        .on_connected = on_connected,
    };
    fake_net_open(&rules);
    open_pools();
    open_server();
#ifdef HAS_HEAP_COUNT
    fuzz.heap_before = __sanitizer_get_current_allocated_bytes();
#endif
    fake_net_run();
    close_all();
    fake_net_close();
    return 0;
}
