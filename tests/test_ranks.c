// SPDX-License-Identifier: Apache-2.0
// Rank 0's side: what it makes of the frames that others send. The test is its relay.
#include "loadgen/ranks_start.h"

#include "base/clock.h"
#include "loadgen/ranks_frames.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

enum { SIZE = 3, CLIENTS = 30 };

static const struct config config = {.connections = CLIENTS};
// A crew of publishers, and one that gets its messages; each of them has a client on each rank.
static struct config crew_configs[2] = {
    {.connections = SIZE, .pattern = {.kind = PATTERN_FAN_IN, .publishers = SIZE, .subscribers = SIZE}},
    {.connections = SIZE, .pattern = {.kind = PATTERN_FAN_IN, .publishers = SIZE, .subscribers = SIZE}}};
static const struct crew_request crew_requests[2] = {
    {.name = "sensors", .config = &crew_configs[0], .messages_of = 0},
    {.name = "boards", .config = &crew_configs[1], .messages_of = 0, .place = SIZE}};
static const struct config config_of_crews = {
    .connections = 2 * SIZE, .crews = crew_requests, .crew_count = 2};

struct world {
    struct ranks *ranks;
    struct link relay; // the test's end
    struct hist *hists[LATENCY_COUNT];
    int64_t censored[LATENCY_COUNT];
};

static struct hist *new_hist(void)
{
    void *memory = aligned_alloc(64, hist_bytes());
    assert_non_null(memory);
    memset(memory, 0, hist_bytes());
    return hist_init(memory);
}

static void divide(struct division *division, int64_t clients)
{
    division->ranks = SIZE;
    division->clients_per_worker = clients / SIZE;
    division->workers = calloc(SIZE, sizeof *division->workers);
    assert_non_null(division->workers);
    for (int rank = 0; rank < SIZE; rank++)
        division->workers[rank] = 1;
}

static int set_up_with(void **state, const struct config *of)
{
    struct world *world = calloc(1, sizeof *world);
    struct err err = {0};
    int ends[2];
    assert_non_null(world);
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, ends), 0);
    link_open(&world->relay, ends[0]);
    struct ranks_hello hello = {.rank = 0, .size = SIZE};
    assert_int_equal(link_send(&world->relay, RANKS_HELLO, 0, &hello, sizeof hello), 0);
    if (ranks_open(&world->ranks, ends[1], &err) < 0 || ranks_share_out(world->ranks, of, &err) < 0)
        fail_msg("%s", err.text);
    for (int i = 0; i < world->ranks->shares.count; i++)
        divide(&world->ranks->shares.of[i].division, world->ranks->shares.of[i].clients);
    for (int kind = 0; kind < LATENCY_COUNT; kind++)
        world->hists[kind] = new_hist();
    *state = world;
    return 0;
}

static int set_up(void **state)
{
    return set_up_with(state, &config);
}

static int set_up_crews(void **state)
{
    return set_up_with(state, &config_of_crews);
}

static int tear_down(void **state)
{
    struct world *world = *state;
    ranks_close(world->ranks);
    link_close(&world->relay);
    for (int kind = 0; kind < LATENCY_COUNT; kind++)
        free(world->hists[kind]);
    free(world);
    return 0;
}

static void send_latency_of(struct world *world, int rank, int share, enum latency_kind kind,
                            int64_t value_ns, int count)
{
    struct hist *hist = new_hist();
    for (int i = 0; i < count; i++)
        hist_add(hist, value_ns);
    char *text = hist_encode(hist), frame[4096];
    struct ranks_latency head = {.kind = (int32_t)kind, .share = share, .censored = 1};
    assert_non_null(text);
    assert_true(sizeof head + strlen(text) <= sizeof frame);
    memcpy(frame, &head, sizeof head);
    memcpy(frame + sizeof head, text, strlen(text));
    assert_int_equal(link_send(&world->relay, RANKS_LATENCY, rank, frame, sizeof head + strlen(text)), 0);
    free(text);
    free(hist);
}

static void send_latency(struct world *world, int rank, enum latency_kind kind, int64_t value_ns, int count)
{
    send_latency_of(world, rank, 0, kind, value_ns, count);
}

// Of each share.
static void send_told(struct world *world, int rank, uint64_t done, uint64_t of,
                      const struct ranks_told *told)
{
    struct ranks_counts head = {.done = done, .of = of};
    char frame[sizeof head + CREWS_MAX * sizeof *told];
    size_t bytes = (size_t)world->ranks->shares.count * sizeof *told;
    memcpy(frame, &head, sizeof head);
    memcpy(frame + sizeof head, told, bytes);
    assert_int_equal(link_send(&world->relay, RANKS_COUNTS, rank, frame, sizeof head + bytes), 0);
}

static void send_counts(struct world *world, int rank, uint64_t done, const struct tally *tally)
{
    struct ranks_told told = {.tally = *tally};
    send_told(world, rank, done, done, &told);
}

static void collect_of(struct world *world, int share)
{
    (void)!ranks_hear(world->ranks);
    ranks_collect(world->ranks, share, world->hists, world->censored);
}

static void collect(struct world *world)
{
    collect_of(world, 0);
}

static struct tally sum_of_share(const struct world *world, int share)
{
    struct tally sum = {0};
    ranks_sum(world->ranks, share, &sum);
    return sum;
}

static struct tally sum_of(const struct world *world)
{
    return sum_of_share(world, 0);
}

static void counts_and_latencies_of_all_ranks_are_added(void **state)
{
    struct world *world = *state;
    struct tally one = {0}, two = {0};
    one.count[TALLY_CONNECTED] = 10;
    one.count[tally_of_load(LOAD_MESSAGES, LOAD_STALLED_PPM)] = 7;
    two.count[TALLY_CONNECTED] = 9;
    two.count[tally_of_load(LOAD_MESSAGES, LOAD_STALLED_PPM)] = 5;
    two.failed[REASON_TIMEOUT] = 1;
    send_latency(world, 1, LATENCY_CONNECT, 1000, 10);
    send_counts(world, 1, 0, &one);
    send_latency(world, 2, LATENCY_CONNECT, 3000, 9);
    send_counts(world, 2, 0, &two);
    collect(world);
    struct tally sum = sum_of(world);
    assert_int_equal(sum.count[TALLY_CONNECTED], 19);
    assert_int_equal(sum.count[tally_of_load(LOAD_MESSAGES, LOAD_STALLED_PPM)], 7);
    assert_int_equal(sum.failed[REASON_TIMEOUT], 1);
    assert_int_equal(hist_count(world->hists[LATENCY_CONNECT]), 19);
    assert_int_equal(hist_min(world->hists[LATENCY_CONNECT]), 1000);
    assert_int_equal(hist_max(world->hists[LATENCY_CONNECT]), 3000);
    assert_int_equal(world->censored[LATENCY_CONNECT], 2);
    collect(world); // nothing twice
    assert_int_equal(hist_count(world->hists[LATENCY_CONNECT]), 19);
}

static void latencies_wait_for_their_counts(void **state)
{
    struct world *world = *state;
    struct tally tally = {0};
    send_latency(world, 1, LATENCY_CONNECT, 1000, 3);
    send_latency(world, 2, LATENCY_CONNECT, 2000, 2);
    collect(world);
    assert_int_equal(hist_count(world->hists[LATENCY_CONNECT]), 0);
    send_counts(world, 2, 0, &tally);
    collect(world);
    assert_int_equal(hist_count(world->hists[LATENCY_CONNECT]), 2);
    send_latency(world, 1, LATENCY_ACK, 1000, 4);
    send_counts(world, 1, 0, &tally);
    collect(world);
    assert_int_equal(hist_count(world->hists[LATENCY_CONNECT]), 5);
    assert_int_equal(hist_count(world->hists[LATENCY_ACK]), 4);
}

static void a_lost_rank_keeps_what_it_had_told_and_the_rest_is_buried(void **state)
{
    struct world *world = *state;
    char text[400];
    struct tally tally = {0};
    tally.count[TALLY_CONNECTED] = tally.count[TALLY_OPEN] = 6;
    tally.count[TALLY_DUE] = 100;
    tally.count[TALLY_PUBLISHED] = tally.count[TALLY_DELIVERY_DUE] = 90;
    tally.count[TALLY_RECEIVED] = 80;
    send_latency(world, 1, LATENCY_CONNECT, 1000, 6);
    send_counts(world, 1, 0, &tally);
    send_latency(world, 1, LATENCY_CONNECT, 1000, 2);
    assert_int_equal(link_send(&world->relay, RANKS_LOST, 1, "it was killed", 13), 0);
    send_counts(world, 1, 1, &tally); // what comes after that is of nobody
    collect(world);
    struct tally sum = sum_of(world);
    assert_int_equal(ranks_lost(world->ranks), 1);
    assert_string_equal(ranks_trouble(world->ranks, text, sizeof text), "rank 1 was lost: it was killed");
    assert_int_equal(hist_count(world->hists[LATENCY_CONNECT]), 6);
    assert_int_equal(sum.count[TALLY_CONNECTED], 6);
    assert_int_equal(sum.count[TALLY_OPEN], 0);
    assert_int_equal(sum.dropped[REASON_WORKER_DIED], 6);
    assert_int_equal(sum.failed[REASON_WORKER_DIED], CLIENTS / SIZE - 6);
    assert_int_equal(sum.count[TALLY_NOT_SENT], 10);
    assert_int_equal(sum.count[TALLY_UNFINISHED], 10);
}

// The order that is in the frame, to be freed.
static struct ranks_order *read_order(struct world *world, int rank)
{
    struct link_frame frame;
    assert_int_equal(link_next(&world->relay, &frame), 1);
    assert_int_equal(frame.kind, RANKS_ORDER);
    assert_int_equal(frame.rank, rank);
    struct ranks_order *order = malloc(frame.count);
    assert_non_null(order);
    memcpy(order, frame.bytes, frame.count);
    assert_int_equal(frame.count, sizeof *order + (size_t)order->count * sizeof order->acts[0]);
    return order;
}

static void an_order_is_given_by_the_clock_of_each_rank_and_awaited(void **state)
{
    struct world *world = *state;
    struct crew_act act = {.order = {.act = FLEET_CONNECT, .at_ns = 5000, .goal = CLIENTS}};
    struct clock_offset ahead = {.at_ns = 1, .offset_ns = 700, .bound_ns = 10, .rounds = 1};
    assert_int_equal(link_send(&world->relay, RANKS_CLOCK, 2, &ahead, sizeof ahead), 0);
    (void)!ranks_hear(world->ranks);
    ranks_give(world->ranks, NULL, &act, 1, 99);
    assert_int_equal(ranks_busy(world->ranks), 2);
    for (int rank = 1; rank < SIZE; rank++) {
        struct ranks_order *given = read_order(world, rank);
        assert_int_equal(given->number, 1);
        assert_int_equal(given->limit_ns, 99);
        assert_string_equal(given->phase, "");
        assert_int_equal(given->acts[0].order.at_ns, rank == 2 ? 5700 : 5000);
        free(given);
    }
    // What comes back is by rank 0's clock.
    struct tally tally = {0};
    tally.count[TALLY_LAST_CONNECTED_NS] = 10700;
    tally.count[TALLY_FIRST_START_NS] = 6700;
    send_counts(world, 2, 1, &tally);
    (void)!ranks_hear(world->ranks);
    assert_int_equal(ranks_busy(world->ranks), 1);
    struct tally sum = sum_of(world);
    assert_int_equal(sum.count[TALLY_LAST_CONNECTED_NS], 10000);
    assert_int_equal(sum.count[TALLY_FIRST_START_NS], 6000);
    assert_int_equal(sum.count[TALLY_LAST_RECEIVED_NS], 0); // there is none
    assert_int_equal(link_send(&world->relay, RANKS_LOST, 1, "gone", 4), 0);
    (void)!ranks_hear(world->ranks);
    assert_int_equal(ranks_busy(world->ranks), 0);
}

// --- crews -------------------------------------------------------------------------------------------------

static void orders_of_several_crews_travel_together(void **state)
{
    struct world *world = *state;
    struct crew_act acts[] = {{.crew = 1, .order = {.act = FLEET_PUBLISH, .at_ns = 5000}},
                              {.crew = 0, .order = {.act = FLEET_PUBLISH, .at_ns = 5000, .rate_per_s = 7}}};
    ranks_give(world->ranks, "day", acts, 2, 99);
    for (int rank = 1; rank < SIZE; rank++) {
        struct ranks_order *given = read_order(world, rank);
        assert_int_equal(given->count, 2);
        assert_string_equal(given->phase, "day");
        assert_int_equal(given->acts[0].crew, 1);
        assert_int_equal(given->acts[1].crew, 0);
        assert_true(given->acts[1].order.rate_per_s == 7);
        free(given);
    }
}

static void each_crew_has_counts_and_latencies_of_its_own(void **state)
{
    struct world *world = *state;
    struct ranks_told told[2] = {0};
    told[0].tally.count[TALLY_PUBLISHED] = 5;
    told[1].tally.count[TALLY_RECEIVED] = 4;
    for (int rank = 1; rank < SIZE; rank++) {
        send_latency_of(world, rank, 1, LATENCY_DELIVERY, 1000, 4);
        send_told(world, rank, 0, 0, told);
    }
    collect_of(world, 0);
    assert_int_equal(hist_count(world->hists[LATENCY_DELIVERY]), 0);
    collect_of(world, 1);
    assert_int_equal(hist_count(world->hists[LATENCY_DELIVERY]), 2 * 4);
    assert_int_equal(world->censored[LATENCY_DELIVERY], 2);
    assert_int_equal(sum_of_share(world, 0).count[TALLY_PUBLISHED], 2 * 5);
    assert_int_equal(sum_of_share(world, 0).count[TALLY_RECEIVED], 0);
    assert_int_equal(sum_of_share(world, 1).count[TALLY_RECEIVED], 2 * 4);
}

// What a rank tells of an order before belongs to a phase that has its figures.
static void what_is_due_is_of_the_present_order(void **state)
{
    struct world *world = *state;
    struct crew_act act = {.crew = 0};
    struct ranks_told told[2] = {{.due = 0}, {.due = 40}};
    ranks_give(world->ranks, "day", &act, 1, 99);
    send_told(world, 1, 1, 1, told);
    told[1].due = 50;
    send_told(world, 2, 1, 1, told);
    (void)!ranks_hear(world->ranks);
    assert_int_equal(ranks_due(world->ranks, 1), 90);
    assert_int_equal(ranks_due(world->ranks, 0), 0);
    ranks_give(world->ranks, "night", &act, 1, 99);
    assert_int_equal(ranks_due(world->ranks, 1), 0);
    send_told(world, 1, 1, 1, told); // it has not begun with the order
    (void)!ranks_hear(world->ranks);
    assert_int_equal(ranks_due(world->ranks, 1), 0);
    told[1].due = 7;
    send_told(world, 1, 1, 2, told);
    (void)!ranks_hear(world->ranks);
    assert_int_equal(ranks_due(world->ranks, 1), 7);
}

// Deliveries are due in the counts of one crew and arrive in those of another: they settle in sums, not rank by rank.
static void a_lost_rank_buries_each_crew_and_leaves_deliveries_to_their_sum(void **state)
{
    struct world *world = *state;
    struct crew_act act = {.crew = 0};
    struct ranks_told told[2] = {0};
    told[0].tally.count[TALLY_CONNECTED] = told[0].tally.count[TALLY_OPEN] = 1;
    told[0].tally.count[TALLY_DUE] = 12;
    told[0].tally.count[TALLY_PUBLISHED] = told[0].tally.count[TALLY_DELIVERY_DUE] = 10;
    told[1].tally.count[TALLY_RECEIVED] = 8;
    told[1].due = 10;
    ranks_give(world->ranks, "day", &act, 1, 99);
    send_told(world, 1, 0, 1, told);
    assert_int_equal(link_send(&world->relay, RANKS_LOST, 1, "gone", 4), 0);
    (void)!ranks_hear(world->ranks);
    struct tally sensors = sum_of_share(world, 0), boards = sum_of_share(world, 1), all = {0};
    assert_int_equal(sensors.dropped[REASON_WORKER_DIED], 1);
    assert_int_equal(sensors.count[TALLY_NOT_SENT], 2);
    assert_int_equal(sensors.count[TALLY_UNFINISHED], 0);
    assert_int_equal(boards.failed[REASON_WORKER_DIED], 1); // it had not told of any connect
    ranks_sum(world->ranks, 0, &all);
    ranks_sum(world->ranks, 1, &all);
    tally_settle(&all);
    assert_int_equal(all.count[TALLY_UNFINISHED], 2);
    boards.count[TALLY_DELIVERY_DUE] = ranks_due(world->ranks, 1);
    tally_settle(&boards);
    assert_int_equal(boards.count[TALLY_UNFINISHED], 2);
}

// --- what is wrong -----------------------------------------------------------------------------------------

static void without_the_relay_all_others_are_lost(void **state)
{
    struct world *world = *state;
    char text[400];
    link_close(&world->relay);
    assert_true(ranks_hear(world->ranks) < 0);
    assert_int_equal(ranks_lost(world->ranks), SIZE - 1);
    assert_non_null(strstr(ranks_trouble(world->ranks, text, sizeof text), "MPI process beside rank 0"));
}

static void frames_of_wrong_sizes_and_ranks_change_nothing(void **state)
{
    struct world *world = *state;
    static const int kinds[] = {RANKS_COUNTS, RANKS_LATENCY, RANKS_CLOCK, RANKS_FACTS, RANKS_PART, 77, -1};
    struct ranks_latency bad = {.kind = LATENCY_COUNT}, other = {.share = 1};
    for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++)
        for (int rank = -1; rank <= SIZE; rank++)
            assert_int_equal(link_send(&world->relay, kinds[i], rank, "short", 5), 0);
    assert_int_equal(link_send(&world->relay, RANKS_LATENCY, 1, &bad, sizeof bad), 0);
    assert_int_equal(link_send(&world->relay, RANKS_LATENCY, 1, &other, sizeof other), 0);
    collect(world);
    struct tally sum = sum_of(world), none = {0};
    assert_memory_equal(&sum, &none, sizeof sum);
    assert_int_equal(ranks_lost(world->ranks), 0);
}

static void one_rank_has_no_others(void **state)
{
    (void)state;
    int ends[2];
    struct link relay;
    struct ranks *ranks;
    struct err err = {0};
    struct ranks_hello hello = {.rank = 0, .size = 1};
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, ends), 0);
    link_open(&relay, ends[0]);
    assert_int_equal(link_send(&relay, RANKS_HELLO, 0, &hello, sizeof hello), 0);
    assert_int_equal(ranks_open(&ranks, ends[1], &err), 0);
    assert_null(ranks);
    assert_int_equal(ranks_busy(ranks), 0);
    link_close(&relay);
    close(ends[1]);
}

#define IN_WORLD(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)
#define WITH_CREWS(test) cmocka_unit_test_setup_teardown(test, set_up_crews, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        IN_WORLD(counts_and_latencies_of_all_ranks_are_added),
        IN_WORLD(latencies_wait_for_their_counts),
        IN_WORLD(a_lost_rank_keeps_what_it_had_told_and_the_rest_is_buried),
        IN_WORLD(an_order_is_given_by_the_clock_of_each_rank_and_awaited),
        WITH_CREWS(orders_of_several_crews_travel_together),
        WITH_CREWS(each_crew_has_counts_and_latencies_of_its_own),
        WITH_CREWS(what_is_due_is_of_the_present_order),
        WITH_CREWS(a_lost_rank_buries_each_crew_and_leaves_deliveries_to_their_sum),
        IN_WORLD(without_the_relay_all_others_are_lost),
        IN_WORLD(frames_of_wrong_sizes_and_ranks_change_nothing),
        cmocka_unit_test(one_rank_has_no_others),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
