// SPDX-License-Identifier: Apache-2.0
// The table of sessions: found by client id while it grows and shrinks, by several threads.
#include "broker/mqtt/session_table.h"
#include "tests/store_of.h"

#include <errno.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

enum { MANY = 50000, THREADS = 4 };

static struct pool *open_arenas(void)
{
    struct pool_config config = POOL_CONFIG_DEFAULTS;
    config.name = "arenas";
    config.object_bytes = session_bytes(SESSION_NATURAL_ID_BYTES);
    struct pool *pool;
    assert_int_equal(pool_open(&pool, pool_strategy_find("expand"), &config, NULL), 0);
    return pool;
}

static struct mqtt_text numbered(int number, char text[static 24])
{
    int bytes = snprintf(text, 24, "client-%07d", number);
    return (struct mqtt_text){text, (size_t)bytes};
}

static struct session *make(struct pool *arenas, int number, uint16_t owner)
{
    char text[24];
    struct session *session = session_new(store_of(arenas), NULL, numbered(number, text), owner, true);
    assert_non_null(session);
    return session;
}

static void empty(struct session_table *table, struct pool *arenas)
{
    struct session *session;
    uint32_t at = UINT32_MAX, before = UINT32_MAX;
    for (; (session = session_table_any(table, &at)); before = at) {
        assert_true(at <= before); // never a bucket once more
        session_table_remove(table, session);
        session_unref(session, store_of(arenas));
    }
}

static void a_session_is_found_by_its_id_and_only_its_owner_gets_it(void **state)
{
    (void)state;
    struct pool *arenas = open_arenas();
    struct session_table *table;
    assert_int_equal(session_table_open(&table), 0);
    struct session *session = make(arenas, 1, 2);
    char text[24];
    assert_int_equal(session_table_find(table, numbered(1, text), 2).owner, -1);
    assert_int_equal(session_table_insert(table, session), 0);
    struct session_found found = session_table_find(table, numbered(1, text), 2);
    assert_ptr_equal(found.session, session);
    assert_int_equal(found.owner, 2);
    found = session_table_find(table, numbered(1, text), 1);
    assert_null(found.session);
    assert_int_equal(found.owner, 2);
    empty(table, arenas);
    session_table_close(table);
    pool_close(arenas);
}

static void an_id_is_there_once(void **state)
{
    (void)state;
    struct pool *arenas = open_arenas();
    struct session_table *table;
    assert_int_equal(session_table_open(&table), 0);
    struct session *first = make(arenas, 1, 0), *second = make(arenas, 1, 1);
    assert_int_equal(session_table_insert(table, first), 0);
    assert_int_equal(session_table_insert(table, second), -EEXIST);
    assert_int_equal(session_table_count(table), 1);
    session_table_remove(table, first);
    session_unref(first, store_of(arenas));
    assert_int_equal(session_table_insert(table, second), 0);
    empty(table, arenas);
    session_table_close(table);
    pool_close(arenas);
}

static void all_are_found_while_it_grows_and_shrinks(void **state)
{
    (void)state;
    struct pool *arenas = open_arenas();
    struct session_table *table;
    assert_int_equal(session_table_open(&table), 0);
    char text[24];
    int64_t empty_bytes = session_table_bytes(table);
    for (int i = 0; i < MANY; i++) {
        assert_int_equal(session_table_insert(table, make(arenas, i, 0)), 0);
        if (i % 997 == 0)
            assert_non_null(session_table_find(table, numbered(i / 2, text), 0).session);
    }
    assert_true(session_table_is_valid(table));
    assert_int_equal(session_table_count(table), MANY);
    // Beside the link in each session: half a pointer, and the directory.
    assert_true(session_table_bytes(table) < MANY * 5);
    for (int i = 0; i < MANY; i++)
        assert_non_null(session_table_find(table, numbered(i, text), 0).session);
    for (int i = 0; i < MANY; i += 2) {
        struct session *session = session_table_find(table, numbered(i, text), 0).session;
        session_table_remove(table, session);
        session_unref(session, store_of(arenas));
    }
    assert_true(session_table_is_valid(table));
    for (int i = 0; i < MANY; i++)
        assert_int_equal(session_table_find(table, numbered(i, text), 0).session != NULL, i % 2);
    empty(table, arenas);
    assert_int_equal(session_table_count(table), 0);
    assert_true(session_table_is_valid(table));
    assert_true(session_table_bytes(table) < empty_bytes + 4096);
    session_table_close(table);
    pool_close(arenas);
}

// FNV-1a, a usual hash without a key.
static uint32_t fnv(uint32_t hash, const char *text)
{
    for (; *text; text++)
        hash = (hash ^ (uint8_t)*text) * 16777619u;
    return hash;
}

enum { LETTERS = 6 };

static void letters_of(uint32_t number, char text[LETTERS + 1])
{
    uint64_t bits = number * UINT64_C(0x9E3779B97F4A7C15) >> 28;
    for (int i = 0; i < LETTERS; i++, bits >>= 6)
        text[i] = (char)('0' + (bits & 63));
    text[LETTERS] = '\0';
}

// Two texts of so many letters that take the hash to the same value, which is returned.
static uint32_t find_twins(uint32_t hash, char twins[2][LETTERS + 1])
{
    enum { SLOTS = 1 << 20, TRIED = SLOTS / 2 };
    struct tried {
        uint32_t hash, number;
    } *slots = calloc(SLOTS, sizeof *slots);
    assert_non_null(slots);
    for (uint32_t number = 1; number < TRIED; number++) {
        letters_of(number, twins[1]);
        uint32_t found = fnv(hash, twins[1]), at = found % SLOTS;
        while (slots[at].number && slots[at].hash != found)
            at = (at + 1) % SLOTS;
        if (slots[at].number) {
            letters_of(slots[at].number, twins[0]);
            free(slots);
            return found;
        }
        slots[at] = (struct tried){found, number};
    }
    fail_msg("no twins");
    return 0;
}

// Ten pairs of texts that are alike to FNV-1a, one behind the other, make 1 024 ids that are. No id may be chosen so that it
// comes into the bucket of others.
static void ids_that_a_client_chooses_do_not_meet_in_a_bucket(void **state)
{
    enum { PAIRS = 10, IDS = 1 << PAIRS };
    (void)state;
    char twins[PAIRS][2][LETTERS + 1];
    uint32_t hash = 2166136261u;
    for (int i = 0; i < PAIRS; i++)
        hash = find_twins(hash, twins[i]);
    struct pool *arenas = open_arenas();
    struct session_table *table;
    assert_int_equal(session_table_open(&table), 0);
    for (int number = 0; number < IDS; number++) {
        char id[LETTERS * PAIRS + 1] = "";
        for (int i = 0; i < PAIRS; i++)
            memcpy(id + (size_t)LETTERS * (size_t)i, twins[i][number >> i & 1], LETTERS + 1);
        assert_int_equal(fnv(2166136261u, id), hash);
        struct session *session = session_new(store_of(arenas), NULL, mqtt_text_of(id), 0, true);
        assert_non_null(session);
        assert_int_equal(session_table_insert(table, session), 0);
    }
    assert_in_range(session_table_longest(table), 1, 20); // two in a bucket are the mean
    empty(table, arenas);
    session_table_close(table);
    pool_close(arenas);
}

struct worker {
    struct session_table *table;
    struct pool *arenas;
    uint16_t index;
    int won; // inserts that succeeded, less removals
};

// Every thread wants the same ids: each of them must be somebody's, and never two's.
static void *contend(void *context)
{
    struct worker *worker = context;
    char text[24];
    for (int round = 0; round < 3; round++)
        for (int i = 0; i < 2000; i++) {
            struct session *session =
                session_new(store_of(worker->arenas), NULL, numbered(i, text), worker->index, true);
            if (!session)
                return worker;
            if (session_table_insert(worker->table, session) == 0)
                worker->won++;
            else
                session_unref(session, store_of(worker->arenas));
            struct session_found found = session_table_find(worker->table, numbered(i, text), worker->index);
            if (found.session && i % 3 == worker->index % 3) {
                session_table_remove(worker->table, found.session);
                session_unref(found.session, store_of(worker->arenas));
                worker->won--;
            }
        }
    return NULL;
}

static bool is_odd(void *context, const struct session *session)
{
    ++*(int *)context;
    return (session->id[session->id_bytes - 1] - '0') % 2 == 1;
}

static void a_sweep_lists_a_session_once(void **state)
{
    (void)state;
    struct pool *arenas = open_arenas();
    struct session_table *table;
    struct session_sweep sweep = {0};
    struct session *found[4];
    int looked_at = 0;
    assert_int_equal(session_table_open(&table), 0);
    assert_int_equal(session_table_insert(table, make(arenas, 1, 0)), 0);
    assert_int_equal(session_table_sweep(table, &sweep, is_odd, &looked_at, found, 4), 1);
    assert_int_equal(looked_at, 1);
    empty(table, arenas);
    session_table_close(table);
    pool_close(arenas);
}

// Calls in turn find every wanted session, whether they stop for a full list or after a portion of buckets.
static void a_sweep_sees_the_whole_table_in_portions(void **state)
{
    (void)state;
    enum { SESSIONS = 6000, LISTED = 7 };
    struct pool *arenas = open_arenas();
    struct session_table *table;
    struct session_sweep sweep = {0};
    struct session *found[LISTED];
    assert_int_equal(session_table_open(&table), 0);
    for (int i = 0; i < SESSIONS; i++)
        assert_int_equal(session_table_insert(table, make(arenas, i, 0)), 0);
    int ended = 0, most_looked_at = 0;
    for (int calls = 0; calls < SESSIONS && ended < SESSIONS / 2; calls++) {
        int looked_at = 0;
        size_t count = session_table_sweep(table, &sweep, is_odd, &looked_at, found, LISTED);
        for (size_t i = 0; i < count; i++) {
            session_table_remove(table, found[i]);
            session_unref(found[i], store_of(arenas));
        }
        ended += (int)count;
        most_looked_at = looked_at > most_looked_at ? looked_at : most_looked_at;
    }
    assert_int_equal(ended, SESSIONS / 2);
    assert_int_equal(session_table_count(table), SESSIONS / 2);
    assert_true(session_table_is_valid(table));
    int looked_at = 0;
    assert_int_equal(session_table_sweep(table, &sweep, is_odd, &looked_at, found, LISTED), 0);
    assert_in_range(looked_at, 1, SESSIONS / 2 - 1); // a portion of them
    empty(table, arenas);
    session_table_close(table);
    pool_close(arenas);
}

static void threads_never_own_an_id_together(void **state)
{
    (void)state;
    struct pool *arenas = open_arenas();
    struct session_table *table;
    assert_int_equal(session_table_open(&table), 0);
    struct worker workers[THREADS];
    pthread_t threads[THREADS];
    for (int i = 0; i < THREADS; i++) {
        workers[i] = (struct worker){table, arenas, (uint16_t)i, 0};
        assert_int_equal(pthread_create(&threads[i], NULL, contend, &workers[i]), 0);
    }
    int won = 0;
    for (int i = 0; i < THREADS; i++) {
        void *wrong;
        pthread_join(threads[i], &wrong);
        assert_null(wrong);
        won += workers[i].won;
    }
    assert_int_equal(session_table_count(table), won);
    assert_true(session_table_is_valid(table));
    empty(table, arenas);
    session_table_close(table);
    pool_close(arenas);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_session_is_found_by_its_id_and_only_its_owner_gets_it),
        cmocka_unit_test(an_id_is_there_once),
        cmocka_unit_test(a_sweep_lists_a_session_once),
        cmocka_unit_test(a_sweep_sees_the_whole_table_in_portions),
        cmocka_unit_test(all_are_found_while_it_grows_and_shrinks),
        cmocka_unit_test(ids_that_a_client_chooses_do_not_meet_in_a_bucket),
        cmocka_unit_test(threads_never_own_an_id_together),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
