// SPDX-License-Identifier: Apache-2.0
#include "broker/mqtt/server.h"

#include "base/clock.h"
#include "broker/mqtt/check.h"
#include "broker/mqtt/connection.h"
#include "broker/mqtt/delivery.h"
#include "broker/mqtt/durable_gate.h"
#include "broker/mqtt/expiry.h"
#include "broker/mqtt/message.h"
#include "broker/mqtt/packets.h"
#include "broker/mqtt/restore.h"
#include "broker/mqtt/server_state.h"
#include "broker/net/listener.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

enum { SILENT_MOST = 64 };
#define LAST_TURNS_NS NS_PER_S

static void refuse(struct worker *worker, int fd, _Atomic int64_t *counter)
{
    broker_count(counter, 1);
    refusals_add(&worker->refusals, fd);
}

// A connection that ends in this turn leaves its place to the new one.
static bool reserve_place(struct worker *worker)
{
    if (server_reserve_connection(worker->server))
        return true;
    if (connection_end_silent(worker, 1) == 0)
        return false;
    server_pass_connection(worker->server);
    return true;
}

static void open_connection(struct worker *worker, int fd)
{
    struct broker_counters *counters = &worker->counters;
    struct server *server = worker->server;
    if (!address_counts_take(server->addresses, fd)) {
        server_release_connection(server);
        refuse(worker, fd, &counters->refused_address);
        return;
    }
    int code = connection_open(worker, fd);
    if (code < 0) {
        address_counts_give(server->addresses, fd);
        server_release_connection(server);
        connection_end_silent(worker, 1); // for the next client
        refuse(worker, fd, code == -ENOMEM ? &counters->refused_memory : &counters->refused_pool);
        return;
    }
    broker_count(&counters->accepted, 1);
}

static void on_client(void *owner, int fd, bool is_last)
{
    struct worker *worker = owner;
    broker_count(&worker->counters.opened, 1);
    // For the last descriptor many silent connections end at once: each lets one client in in the next turns.
    if (is_last && connection_end_silent(worker, SILENT_MOST) == 0)
        refuse(worker, fd, &worker->counters.refused_descriptors);
    else if (!reserve_place(worker))
        refuse(worker, fd, &worker->counters.refused_limit);
    else
        open_connection(worker, fd);
}

static void on_accept_failed(void *owner)
{
    struct worker *worker = owner;
    broker_count(&worker->counters.accepts_failed, 1);
}

static void on_watch(void *owner, struct loop_watch *watch)
{
    struct worker *worker = owner;
    refusals_on_watch(&worker->refusals, watch);
}

static void on_tick(void *owner)
{
    struct worker *worker = owner;
    bool is_short = !loop_has_spare(worker->loop);
    if (is_short)
        connection_end_silent(worker, SILENT_MOST);
    refusals_on_tick(&worker->refusals, is_short);
    expiry_on_tick(worker);
    durable_on_tick(worker);
}

static bool on_rest(void *owner)
{
    struct worker *worker = owner;
    bool has_fan_outs = delivery_fan_out(worker);
    return server_finish_ended(worker) || has_fan_outs;
}

static const struct loop_callbacks callbacks = {
    .on_client = on_client,
    .on_accept_failed = on_accept_failed,
    .on_mail = delivery_on_mail,
    .on_mail_dropped = delivery_on_mail_dropped,
    .on_watch = on_watch,
    .on_tick = on_tick,
    .on_rest = on_rest,
    .on_turn_end = durable_on_turn_end,
};

static struct block_store *store_of(struct server *server, enum transport_buffer kind)
{
    return kind == BUFFER_READ ? &server->stores.input : &server->stores.output;
}

static void *get_buffer(void *owner, enum transport_buffer kind, size_t bytes)
{
    struct server *server = ((struct worker *)owner)->server;
    if (kind != BUFFER_READ_LARGER) {
        struct block_store *store = store_of(server, kind);
        return block_get(store, store->object_bytes);
    }
    if (!account_take(&server->account, ACCOUNT_UNFINISHED, account_heap_bytes(bytes)))
        return NULL;
    void *buffer = malloc(bytes);
    if (!buffer)
        account_give(&server->account, ACCOUNT_UNFINISHED, account_heap_bytes(bytes));
    return buffer;
}

static void put_buffer(void *owner, enum transport_buffer kind, void *buffer, size_t bytes)
{
    struct server *server = ((struct worker *)owner)->server;
    if (kind != BUFFER_READ_LARGER) {
        struct block_store *store = store_of(server, kind);
        block_put(store, buffer, store->object_bytes);
        return;
    }
    account_give(&server->account, ACCOUNT_UNFINISHED, account_heap_bytes(bytes));
    free(buffer);
}

static void open_stores(struct server *server, const struct server_options *options)
{
    struct account *account = &server->account;
    block_store_open(&server->stores.connections, options->connections, account, ACCOUNT_CONNECTIONS);
    block_store_open(&server->stores.input, options->buffers, account, ACCOUNT_INPUT);
    block_store_open(&server->stores.output, options->buffers, account, ACCOUNT_OUTPUT);
    block_store_open(&server->stores.arenas, options->arenas, account, ACCOUNT_SESSIONS);
    block_store_open(&server->stores.messages, options->messages, account, ACCOUNT_MESSAGES);
}

static int open_worker(struct server *server, const struct server_options *options, struct err *err)
{
    int index = server->worker_count;
    struct worker *worker = calloc(1, sizeof *worker);
    if (!worker)
        return err_set(err, -ENOMEM, "out of memory");
    worker->server = server;
    worker->index = (uint16_t)index;
    worker->start_ns = clock_now_ns();
    worker->fan_outs.account = &server->account;
    worker->flow_rules = server->flow_rules;
    worker->flow_rules.packet_ids = &worker->packet_ids;
    struct loop_options of_loop = {
        .index = (unsigned)index,
        .owner = worker,
        .callbacks = &callbacks,
        .rules = &server->transport_rules,
        .bytes_received = &worker->counters.bytes_received,
        .bytes_sent = &worker->counters.bytes_sent,
        .long_turns = &worker->counters.long_turns,
        .descriptors = &server->descriptors,
        .listeners_max = options->listeners_max,
    };
    int code = loop_open(&worker->loop, &of_loop, err);
    if (code < 0) {
        free(worker);
        return code;
    }
    worker->turn = loop_turn(worker->loop);
    refusals_open(&worker->refusals, worker->loop);
    server->workers[server->worker_count++] = worker;
    if (server->state && durable_open(worker) < 0)
        return err_set(err, -ENOMEM, "out of memory");
    return 0;
}

static void close_worker(struct worker *worker)
{
    refusals_close(&worker->refusals);
    durable_close(worker);
    loop_close(worker->loop);
    free(worker);
}

static void set_rules(struct server *server, const struct server_options *options)
{
    server->flow_rules = (struct flow_rules){.account = &server->account,
                                             .max_inflight = (uint32_t)options->max_inflight_messages,
                                             .max_queued = (uint32_t)options->max_queued_messages,
                                             .max_queued_bytes = options->max_queued_bytes};
    server->transport_rules = (struct transport_rules){.get_buffer = get_buffer,
                                                       .put_buffer = put_buffer,
                                                       .read_bytes = options->read_bytes,
                                                       .write_bytes = options->write_bytes,
                                                       .is_eager = options->is_eager};
    if (options->state_path)
        server->transport_rules.may_send = durable_may_send;
    packets_set_rules(&server->transport_rules);
    server->max_packet_bytes = (size_t)options->max_packet_bytes;
    server->max_topic_levels = options->max_topic_levels;
    server->max_filters = options->max_filters ? options->max_filters : INT64_MAX;
    server->message_size_limit = options->message_size_limit ? options->message_size_limit : INT64_MAX;
    server->has_retained = options->has_retained;
    server->session_expiry_ticks =
        (uint32_t)((options->session_expiry_ns + TIMER_TICK_NS - 1) / TIMER_TICK_NS);
    server->max_connections = options->max_connections ? options->max_connections : INT64_MAX;
}

static void release_message(void *message)
{
    message_unref(message);
}

static int open_state(struct server *server, const struct server_options *options, struct err *err)
{
    struct state_options of_state = {options->state_path, options->is_state_full, release_message};
    return options->state_path ? state_open(&server->state, &of_state, err) : 0;
}

int server_open(struct server **opened, const struct server_options *options, struct err *err)
{
    size_t bytes = sizeof(struct server) + (size_t)options->threads * sizeof(struct worker *);
    size_t line = _Alignof(struct server);
    struct server *server = aligned_alloc(line, (bytes + line - 1) / line * line);
    if (!server)
        return err_set(err, -ENOMEM, "out of memory");
    memset(server, 0, bytes);
    account_open(&server->account, options->memory_limit_bytes);
    pthread_rwlock_init(&server->descriptors, NULL);
    set_rules(server, options);
    open_stores(server, options);
    int code = -ENOMEM;
    struct retained_rules retained = {&server->account, options->max_retained_messages,
                                      options->max_retained_bytes};
    if (topics_open(&server->topics, &server->account) < 0 ||
        (options->max_connections_per_address &&
         address_counts_open(&server->addresses, &server->account, options->max_connections_per_address) <
             0) ||
        retained_open(&server->retained, &retained) < 0 || session_table_open(&server->sessions) < 0) {
        err_set(err, code, "out of memory");
        goto fail;
    }
    code = open_state(server, options, err);
    for (int i = 0; code == 0 && i < options->threads; i++)
        code = open_worker(server, options, err);
    if (code == 0 && server->state)
        code = restore(server, options->state_path, err);
    if (code < 0)
        goto fail_state;
    *opened = server;
    return 0;
fail_state:
    if (server->state)
        state_abandon(server->state);
fail:
    server_close(server);
    return code;
}

int server_listen(struct server *server, struct address *address, struct err *err)
{
    bool is_shared = server->worker_count > 1;
    int code = is_shared ? listener_probe(address, err) : 0;
    for (int i = 0; code == 0 && i < server->worker_count; i++)
        code = loop_listen(server->workers[i]->loop, address, is_shared, err);
    return code;
}

int server_start(struct server *server, struct err *err)
{
    int code = 0;
    server->is_serving = true;
    for (int i = 0; code == 0 && i < server->worker_count; i++)
        code = loop_start(server->workers[i]->loop, err);
    return code;
}

int64_t server_own_bytes(int threads)
{
    // A mailbox has two lists of two arrays; their capacities are powers of two, as the limit of a list is.
    int64_t mail = 4 * (int64_t)DELIVERY_MAIL_MOST * (int64_t)sizeof(struct mail);
    return threads * (LOOP_STACK_BYTES + TURN_SCRATCH_BYTES + mail);
}

void server_read_statistics(struct server *server, struct server_statistics *statistics)
{
    *statistics = (struct server_statistics){0};
    for (int i = 0; i < server->worker_count; i++) {
        const struct loop *loop = server->workers[i]->loop;
        int64_t longest_ns = loop_longest_turn_ns(loop), most_work = loop_most_work(loop);
        broker_counters_sum(&statistics->counts, &server->workers[i]->counters);
        if (longest_ns > statistics->longest_turn_ns)
            statistics->longest_turn_ns = longest_ns;
        if (most_work > statistics->most_work)
            statistics->most_work = most_work;
    }
    // Relaxed: a recent value is enough.
    statistics->last_reason = atomic_load_explicit(&server->last_reason, memory_order_relaxed);
    statistics->connections = atomic_load_explicit(&server->connection_count, memory_order_relaxed);
    statistics->sessions = session_table_count(server->sessions);
    statistics->subscriptions = topics_count(server->topics);
    statistics->retained = retained_count(server->retained);
    account_read(&server->account, &statistics->memory);
    if (server->state) {
        struct state_statistics state;
        state_statistics(server->state, &state);
        statistics->counts.state_transactions = state.transactions;
        statistics->counts.state_changes = state.acts;
        statistics->counts.state_failures = state.failures;
        statistics->state_reason = state.reason;
    }
}

void server_read_books(struct server *server, struct server_books *books)
{
    size_t own = sizeof *server + (size_t)server->worker_count * sizeof server->workers[0];
    for (int i = 0; i < server->worker_count; i++)
        own += account_heap_bytes(sizeof *server->workers[i]) + loop_bytes(server->workers[i]->loop);
    if (server->state)
        own += state_bytes(server->state);
    *books = (struct server_books){.subscriptions = topics_bytes(server->topics),
                                   .retained = retained_tree_bytes(server->retained),
                                   .sessions = session_table_bytes(server->sessions),
                                   .loops = (int64_t)own};
}

int server_stack(const struct server *server, int index, uintptr_t *from, uintptr_t *to)
{
    return index < server->worker_count ? loop_stack(server->workers[index]->loop, from, to) : -ENOENT;
}

void server_set_reserve(struct server *server, int64_t bytes)
{
    account_set_reserve(&server->account, bytes);
}

int server_check(const struct server *server, struct err *err)
{
    for (int i = 0; i < server->worker_count; i++) {
        int code = loop_failure(server->workers[i]->loop);
        if (code != 0)
            return err_set(err, -code, "event loop %d cannot wait for events: epoll_wait: %s", i,
                           strerror(code));
    }
    return server->state ? state_check(server->state, err) : 0;
}

const char *server_state_warning(const struct server *server)
{
    return server->state ? state_warning(server->state) : NULL;
}

static bool are_loops_done(const struct server *server)
{
    for (int i = 0; i < server->worker_count; i++)
        if (!loop_is_done(server->workers[i]->loop))
            return false;
    return true;
}

// What had come before the order to stop counts: bytes that sockets have received, and messages on their way to another
// loop. One turn of each loop in any case, further ones only for LAST_TURNS_NS: clients may send without end.
static void read_rest(struct server *server)
{
    int64_t end_ns = clock_now_ns() + LAST_TURNS_NS;
    do
        for (int i = 0; i < server->worker_count; i++)
            loop_last_turn(server->workers[i]->loop);
    while (!are_loops_done(server) && clock_now_ns() < end_ns);
}

// What follows is only the end of this process.
static void finish_state(struct server *server)
{
    if (!server->state)
        return;
    for (int i = 0; i < server->worker_count; i++)
        if (server->workers[i]->durable)
            durable_publish(server->workers[i]);
    state_finish(server->state);
}

void server_stop(struct server *server)
{
    for (int i = 0; i < server->worker_count; i++)
        loop_stop(server->workers[i]->loop);
    if (server->is_serving)
        read_rest(server);
    server->is_serving = false;
    server->is_closing = true;
    finish_state(server);
    CHECK(!server->sessions || session_table_is_valid(server->sessions));
    CHECK(!server->topics || topics_is_valid(server->topics));
    CHECK(!server->retained || retained_is_valid(server->retained));
    for (int i = 0; i < server->worker_count; i++) {
        CHECK(loop_is_valid(server->workers[i]->loop));
        CHECK(newcomers_is_valid(&server->workers[i]->newcomers));
        loop_drop_all(server->workers[i]->loop);
        newcomers_close(&server->workers[i]->newcomers, &server->account);
        delivery_fan_out_dropped(server->workers[i]);
    }
    struct session *session;
    uint32_t at = UINT32_MAX;
    while (server->sessions && (session = session_table_any(server->sessions, &at)))
        server_end_session(server, session);
    for (int i = 0; i < server->worker_count; i++)
        (void)server_finish_ended(server->workers[i]); // finishes all, because it is closing
}

void server_close(struct server *server)
{
    if (!server)
        return;
    server_stop(server);
    for (int i = 0; i < server->worker_count; i++)
        close_worker(server->workers[i]);
    session_table_close(server->sessions);
    if (server->retained)
        retained_close(server->retained);
    if (server->topics)
        topics_close(server->topics);
    address_counts_close(server->addresses);
    state_close(server->state); // messages name it to their end
    pthread_rwlock_destroy(&server->descriptors);
    free(server);
}
