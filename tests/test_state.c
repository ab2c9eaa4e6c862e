// SPDX-License-Identifier: Apache-2.0
// The state file: what survives, which files are refused, and what a failing write does.
#include "tests/state_rows.h"
#include "tests/temp_dir.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <sqlite3.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>
#include <cmocka.h>

static int count_row(void *context, const struct state_act *act, struct err *err)
{
    (void)err;
    ((int *)context)[act->kind]++;
    return 0;
}

static void note_message(struct state_batch *batch, int64_t message, int *releases)
{
    struct state_act act = state_rows_act(STATE_MESSAGE, "a/b");
    act.message = message;
    act.qos = 2;
    act.payload = "xyz";
    act.payload_bytes = 3;
    act.held = releases;
    state_note(batch, &act);
}

static void note_delivery(struct state_batch *batch, int64_t session, int64_t delivery, int64_t message)
{
    state_note(
        batch,
        &(struct state_act){
            .kind = STATE_DELIVERY, .session = session, .delivery = delivery, .message = message, .qos = 2});
}

static void make_durable(struct state_batch *batch)
{
    state_publish(batch);
    assert_true(state_commit(batch->state, batch->mark));
}

static void what_was_committed_is_there_when_the_file_is_opened_again(void **state)
{
    const char *path = ((struct temp_place *)*state)->file;
    struct state *made = state_rows_open(path);
    state_rows_expect(made, "");
    struct state_batch batch = {.state = made};
    int releases = 0;
    state_rows_note_session(&batch, 1, "client");
    struct state_act subscribe = state_rows_act(STATE_SUBSCRIBE, "a/#");
    subscribe.session = 1;
    subscribe.qos = 2;
    state_note(&batch, &subscribe);
    note_message(&batch, 2, &releases);
    note_delivery(&batch, 1, 3, 2);
    note_delivery(&batch, 1, 4, 2);
    state_note(&batch,
               &(struct state_act){
                   .kind = STATE_DELIVERY_SENT, .session = 1, .delivery = 4, .packet_id = 7, .value = 5});
    state_note(&batch, &(struct state_act){.kind = STATE_RECEIVED, .session = 1, .packet_id = 9});
    struct state_act retain = state_rows_act(STATE_RETAIN, "a/b");
    retain.message = 2;
    state_note(&batch, &retain);
    state_note(&batch, &(struct state_act){.kind = STATE_WILL, .message = 2});
    assert_int_equal(releases, 0);
    make_durable(&batch);
    assert_int_equal(releases, 1);
    state_free_batch(&batch);
    state_abandon(made); // as a crash: only the log has it
    state_close(made);
    made = state_rows_open(path);
    state_rows_expect(made, "7:0,0,2,0,0,2,0,0,a/b,xyz\n0:1,0,0,0,0,0,0,0,client,\n3:1,0,0,0,0,2,0,0,a/#,\n"
                            "9:1,4,2,5,7,2,1,0,,\n9:1,3,2,0,0,2,0,0,,\n5:1,0,0,0,9,0,0,0,,\n"
                            "13:0,0,2,0,0,0,0,0,a/b,\n15:0,0,2,0,0,0,0,0,,\n");
    assert_int_equal(state_next_number(made), 6);
    state_rows_close(made);
    made = state_rows_open(path); // from the file without its log
    assert_int_equal(access(path, F_OK), 0);
    int rows[STATE_KINDS] = {0};
    assert_int_equal(state_read(made, count_row, rows, NULL), 0);
    assert_int_equal(rows[STATE_SESSION], 1);
    assert_int_equal(rows[STATE_MESSAGE], 1);
    assert_int_equal(rows[STATE_DELIVERY], 2);
    state_rows_close(made);
}

static void an_end_takes_everything_of_it_away(void **state)
{
    const char *path = ((struct temp_place *)*state)->file;
    struct state *made = state_rows_open(path);
    struct state_batch batch = {.state = made};
    int releases = 0;
    for (int64_t session = 1; session <= 2; session++) {
        state_rows_note_session(&batch, session, "client");
        struct state_act subscribe = state_rows_act(STATE_SUBSCRIBE, "a");
        subscribe.session = session;
        state_note(&batch, &subscribe);
        note_delivery(&batch, session, 10 + session, 3);
        state_note(&batch, &(struct state_act){.kind = STATE_RECEIVED, .session = session, .packet_id = 9});
    }
    note_message(&batch, 3, &releases);
    state_note(&batch, &(struct state_act){.kind = STATE_DELIVERY_RELEASED, .session = 1, .delivery = 11});
    state_note(&batch, &(struct state_act){.kind = STATE_MESSAGE_END, .message = 3});
    state_note(&batch, &(struct state_act){.kind = STATE_AWAY, .session = 1, .value = 77});
    state_note(&batch, &(struct state_act){.kind = STATE_SESSION_END, .session = 2});
    state_note(&batch, &(struct state_act){.kind = STATE_RECEIVED_END, .session = 1, .packet_id = 9});
    struct state_act unsubscribe = state_rows_act(STATE_UNSUBSCRIBE, "a");
    unsubscribe.session = 1;
    state_note(&batch, &unsubscribe);
    make_durable(&batch);
    state_rows_expect(made, "0:1,0,0,77,0,0,0,0,client,\n9:1,11,0,0,0,2,2,0,,\n");
    state_note(&batch, &(struct state_act){.kind = STATE_DELIVERY_END, .session = 1, .delivery = 11});
    state_note(&batch, &(struct state_act){.kind = STATE_SESSION_END, .session = 1});
    state_note(&batch, &(struct state_act){.kind = STATE_SESSION_END, .session = 1}); // again: no effect
    make_durable(&batch);
    state_rows_expect(made, "");
    state_free_batch(&batch);
    state_rows_close(made);
}

static void what_was_not_committed_is_dropped_and_released(void **state)
{
    const char *path = ((struct temp_place *)*state)->file;
    struct state *made = state_rows_open(path);
    struct state_batch batch = {.state = made};
    int releases = 0;
    note_message(&batch, 1, &releases);
    state_publish(&batch);
    note_message(&batch, 2, &releases);
    state_abandon(made);
    assert_int_equal(releases, 1);
    state_rows_note_session(&batch, 3, "late");
    state_publish(&batch);
    assert_int_equal(releases, 2);
    state_free_batch(&batch);
    state_close(made);
    made = state_rows_open(path);
    state_rows_expect(made, "");
    state_rows_close(made);
}

static char *read_file(const char *path, size_t *size)
{
    struct stat status;
    assert_int_equal(stat(path, &status), 0);
    char *bytes = malloc((size_t)status.st_size + 1);
    int fd = open(path, O_RDONLY);
    assert_int_equal(read(fd, bytes, (size_t)status.st_size), status.st_size);
    close(fd);
    *size = (size_t)status.st_size;
    return bytes;
}

// The file is refused with that error, whose text has `words`, and keeps every byte.
static void expect_refused(const char *path, int code, const char *words)
{
    size_t before_size, after_size;
    char *before = read_file(path, &before_size);
    struct state *state;
    struct err err = {0};
    assert_int_equal(state_rows_try(&state, path, &err), code);
    if (!strstr(err.text, words) || !strstr(err.text, path))
        fail_msg("\"%s\" has no \"%s\", or not the path", err.text, words);
    char *after = read_file(path, &after_size);
    assert_int_equal(after_size, before_size);
    assert_memory_equal(after, before, before_size);
    free(before);
    free(after);
}

static void write_at(const char *path, long offset, const void *bytes, size_t size)
{
    int fd = open(path, O_WRONLY | O_CREAT, 0600);
    assert_int_equal(pwrite(fd, bytes, size, offset), (ssize_t)size);
    close(fd);
}

static void make_file_with_rows(const char *path)
{
    struct state *made = state_rows_open(path);
    struct state_batch batch = {.state = made};
    char client[32];
    for (int i = 1; i <= 300; i++) { // more than a page
        snprintf(client, sizeof client, "client-%d", i);
        state_rows_note_session(&batch, i, client);
    }
    make_durable(&batch);
    state_free_batch(&batch);
    state_rows_close(made);
}

static void a_file_of_something_else_is_refused(void **state)
{
    const char *path = ((struct temp_place *)*state)->file;
    write_at(path, 0, "listener 1883\n", 14);
    expect_refused(path, -EUCLEAN, "no state file");
    assert_int_equal(truncate(path, 0), 0);
    write_at(path, 0, "SQLite format 3", 16);
    expect_refused(path, -EUCLEAN, "damaged");
}

static void the_database_of_another_program_is_refused(void **state)
{
    const char *path = ((struct temp_place *)*state)->file;
    sqlite3 *db;
    assert_int_equal(sqlite3_open(path, &db), SQLITE_OK);
    assert_int_equal(sqlite3_exec(db, "CREATE TABLE session(id)", NULL, NULL, NULL), SQLITE_OK);
    sqlite3_close(db);
    expect_refused(path, -EUCLEAN, "another program");
}

static void a_newer_schema_is_refused(void **state)
{
    const char *path = ((struct temp_place *)*state)->file;
    make_file_with_rows(path);
    write_at(path, 60, "\0\0\0\2", 4);
    expect_refused(path, -EUCLEAN, "schema 2");
}

static void a_damaged_file_is_refused(void **state)
{
    const char *path = ((struct temp_place *)*state)->file;
    make_file_with_rows(path);
    size_t size;
    char *bytes = read_file(path, &size), noise[64];
    memset(noise, 0xa5, sizeof noise);
    int refused = 0;
    for (size_t page = 4096; page < size; page += 4096) {
        write_at(path, (long)page, noise, sizeof noise);
        struct state *opened;
        struct err err = {0};
        int code = state_rows_try(&opened, path, &err);
        assert_int_equal(code, -EUCLEAN);
        expect_refused(path, -EUCLEAN, "damaged");
        refused++;
        write_at(path, (long)page, bytes + page, sizeof noise);
    }
    assert_true(refused > 3);
    assert_int_equal(truncate(path, (off_t)(size - 4096)), 0);
    expect_refused(path, -EUCLEAN, "damaged");
    free(bytes);
}

static void a_missing_table_is_damage(void **state)
{
    const char *path = ((struct temp_place *)*state)->file;
    make_file_with_rows(path);
    sqlite3 *db;
    assert_int_equal(sqlite3_open(path, &db), SQLITE_OK);
    assert_int_equal(sqlite3_exec(db, "DROP TABLE will", NULL, NULL, NULL), SQLITE_OK);
    sqlite3_close(db);
    expect_refused(path, -EUCLEAN, "damaged");
}

static void values_that_no_broker_writes_are_damage(void **state)
{
    const char *path = ((struct temp_place *)*state)->file;
    make_file_with_rows(path);
    sqlite3 *db;
    assert_int_equal(sqlite3_open(path, &db), SQLITE_OK);
    assert_int_equal(
        sqlite3_exec(db, "INSERT INTO delivery VALUES(1, 400, NULL, 7, 0, 0, 70000, 0)", NULL, NULL, NULL),
        SQLITE_OK);
    sqlite3_close(db);
    struct state *opened = state_rows_open(path);
    int rows[STATE_KINDS] = {0};
    struct err err = {0};
    assert_int_equal(state_read(opened, count_row, rows, &err), -EUCLEAN);
    assert_non_null(strstr(err.text, "damaged"));
    state_abandon(opened);
    state_close(opened);
}

static void a_file_in_use_is_refused(void **state)
{
    const char *path = ((struct temp_place *)*state)->file;
    struct state *made = state_rows_open(path);
    expect_refused(path, -EBUSY, "another process");
    state_rows_close(made);
    state_rows_close(state_rows_open(path));
}

static void a_place_that_cannot_have_a_file_is_refused(void **state)
{
    const struct temp_place *place = *state;
    struct state *opened;
    struct err err = {0};
    assert_int_equal(state_rows_try(&opened, place->dir, &err), -EUCLEAN);
    char path[2 * TEMP_PATH_SIZE];
    snprintf(path, sizeof path, "%s/missing/state", place->dir);
    assert_int_equal(state_rows_try(&opened, path, &err), -EUCLEAN);
    assert_non_null(strstr(err.text, "No such file"));
}

static void names_that_sqlite_gives_a_meaning_are_files(void **state)
{
    const struct temp_place *place = *state;
    char *before = getcwd(NULL, 0);
    assert_int_equal(chdir(place->dir), 0);
    static const char *const names[] = {":memory:", "file:state?mode=memory"};
    for (size_t i = 0; i < 2; i++) {
        state_rows_close(state_rows_open(names[i]));
        assert_int_equal(access(names[i], F_OK), 0);
    }
    assert_int_equal(chdir(before), 0);
    free(before);
}

// A limit on the size of files stands in for a full disk.
static void a_write_that_fails_is_tried_again_and_nothing_is_lost(void **state)
{
    const char *path = ((struct temp_place *)*state)->file;
    struct state *made = state_rows_open(path);
    struct state_batch batch = {.state = made};
    struct rlimit before, none;
    assert_int_equal(getrlimit(RLIMIT_FSIZE, &before), 0);
    none = (struct rlimit){1, before.rlim_max};
    signal(SIGXFSZ, SIG_IGN);
    state_rows_note_session(&batch, 1, "first");
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &none), 0);
    state_publish(&batch);
    bool is_durable = state_commit(made, batch.mark);
    bool is_failing = state_is_failing(made);
    state_rows_note_session(&batch, 2, "second");
    state_publish(&batch);
    bool is_second_durable = state_commit(made, batch.mark);
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &before), 0);
    assert_false(is_durable);
    assert_false(is_second_durable);
    assert_true(is_failing);
    struct state_statistics statistics;
    state_statistics(made, &statistics);
    assert_int_equal(statistics.failures, 1);
    assert_non_null(statistics.reason);
    while (!state_commit(made, batch.mark)) // it is tried again after a while
        usleep(10000);
    assert_false(state_is_failing(made));
    state_rows_expect(made, "0:1,0,0,0,0,0,0,0,first,\n0:2,0,0,0,0,0,0,0,second,\n");
    state_free_batch(&batch);
    state_rows_close(made);
}

enum { THREADS = 4, ROUNDS = 200 };

struct committer {
    pthread_t thread;
    struct state *state;
    int64_t first;
    int wrong;
};

// As a message to very many sessions makes them.
static void the_memory_of_many_acts_goes_when_they_are_durable(void **state)
{
    enum { ACTS = 50000 };
    const char *path = ((struct temp_place *)*state)->file;
    struct state *made = state_rows_open(path);
    struct state_batch batch = {.state = made};
    for (int64_t i = 1; i <= ACTS; i++)
        state_note(&batch, &(struct state_act){.kind = STATE_DELIVERY_END, .session = i, .delivery = i});
    assert_true(batch.capacity >= ACTS);
    state_publish(&batch);
    assert_true(batch.capacity == 0 && !batch.acts);
    assert_true(state_bytes(made) >= ACTS * sizeof(struct state_act));
    assert_true(state_commit(made, batch.mark));
    assert_int_equal(state_bytes(made), 0);
    state_free_batch(&batch);
    state_rows_close(made);
}

static void *commit_often(void *context)
{
    struct committer *committer = context;
    struct state_batch batch = {.state = committer->state};
    for (int i = 0; i < ROUNDS; i++) {
        state_rows_note_session(&batch, committer->first + i, "client");
        note_delivery(&batch, committer->first + i, committer->first + i, 1);
        state_publish(&batch);
        if (!state_commit(committer->state, batch.mark))
            committer->wrong++;
    }
    state_free_batch(&batch);
    return NULL;
}

static void threads_share_transactions(void **state)
{
    struct state *made = state_rows_open(((struct temp_place *)*state)->file);
    struct committer committers[THREADS];
    for (int i = 0; i < THREADS; i++) {
        committers[i] = (struct committer){.state = made, .first = 1 + i * ROUNDS};
        assert_int_equal(pthread_create(&committers[i].thread, NULL, commit_often, &committers[i]), 0);
    }
    for (int i = 0; i < THREADS; i++) {
        pthread_join(committers[i].thread, NULL);
        assert_int_equal(committers[i].wrong, 0);
    }
    int rows[STATE_KINDS] = {0};
    assert_int_equal(state_read(made, count_row, rows, NULL), 0);
    assert_int_equal(rows[STATE_SESSION], THREADS * ROUNDS);
    assert_int_equal(rows[STATE_DELIVERY], THREADS * ROUNDS);
    struct state_statistics statistics;
    state_statistics(made, &statistics);
    assert_int_equal(statistics.acts, 2 * THREADS * ROUNDS);
    assert_in_range(statistics.transactions, 1, THREADS * ROUNDS);
    state_rows_close(made);
}

#define TEST(function) cmocka_unit_test_setup_teardown(function, temp_place_set_up, temp_place_tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(what_was_committed_is_there_when_the_file_is_opened_again),
        TEST(an_end_takes_everything_of_it_away),
        TEST(what_was_not_committed_is_dropped_and_released),
        TEST(a_file_of_something_else_is_refused),
        TEST(the_database_of_another_program_is_refused),
        TEST(a_newer_schema_is_refused),
        TEST(a_damaged_file_is_refused),
        TEST(a_missing_table_is_damage),
        TEST(values_that_no_broker_writes_are_damage),
        TEST(a_file_in_use_is_refused),
        TEST(a_place_that_cannot_have_a_file_is_refused),
        TEST(names_that_sqlite_gives_a_meaning_are_files),
        TEST(a_write_that_fails_is_tried_again_and_nothing_is_lost),
        TEST(the_memory_of_many_acts_goes_when_they_are_durable),
        TEST(threads_share_transactions),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
