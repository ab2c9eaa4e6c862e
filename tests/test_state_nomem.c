// SPDX-License-Identifier: Apache-2.0
// Acts that find no memory: one request that fails does no harm; when all fail, nothing is committed any more, and
// the file has what was committed before.
#include "broker/state/state.h"
#include "tests/failing_heap.h"
#include "tests/temp_dir.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <unistd.h>
#include <cmocka.h>

enum { ACTS = 200 }; // lists grow twice

static void release_nothing(void *held)
{
    (void)held;
}

static struct state *open_state(const char *path)
{
    struct state_options options = {path, false, release_nothing};
    struct state *state;
    struct err err = {0};
    if (state_open(&state, &options, &err) < 0 || state_start(state, &err) < 0)
        fail_msg("%s", err.text);
    return state;
}

static void note_session(struct state_batch *batch, int64_t number)
{
    struct state_act act = {.kind = STATE_SESSION, .session = number, .text = "client", .text_bytes = 6};
    state_note(batch, &act);
}

static int count_row(void *context, const struct state_act *act, struct err *err)
{
    (void)act, (void)err;
    ++*(int *)context;
    return 0;
}

static int rows_of(struct state *state)
{
    int rows = 0;
    assert_int_equal(state_read(state, count_row, &rows, NULL), 0);
    return rows;
}

// One round: whether a request failed. `is_lost`: whether the state was lost by it.
static bool run_out(const char *path, int64_t nth, bool stay, bool *is_lost)
{
    struct state *made = open_state(path);
    struct state_batch batch = {.state = made};
    note_session(&batch, 1);
    state_publish(&batch);
    assert_true(state_commit(made, batch.mark));
    failing_heap_arm(nth, stay);
    for (int i = 0; i < ACTS; i++)
        note_session(&batch, 2 + i);
    state_publish(&batch);
    struct state_act now = {.kind = STATE_RETAIN_END, .text = "a", .text_bytes = 1};
    state_publish_now(made, &batch, &now, 1);
    bool reached = failing_heap_disarm() > nth;
    struct err err = {0};
    *is_lost = state_check(made, &err) < 0;
    assert_int_equal(state_commit(made, batch.mark), !*is_lost);
    assert_int_equal(state_is_failing(made), *is_lost);
    state_free_batch(&batch);
    state_finish(made);
    state_close(made);
    made = open_state(path);
    assert_int_equal(rows_of(made), *is_lost ? 1 : 1 + ACTS);
    state_finish(made);
    state_close(made);
    assert_int_equal(unlink(path), 0);
    return reached;
}

static void one_request_that_fails_does_no_harm(void **state)
{
    bool is_lost, reached = true;
    for (int64_t nth = 0; reached; nth += nth < 10 ? 1 : 7) {
        reached = run_out(((struct temp_place *)*state)->file, nth, false, &is_lost);
        assert_false(is_lost);
    }
}

static void without_memory_nothing_is_committed_any_more(void **state)
{
    bool is_lost, reached = true;
    for (int64_t nth = 0; reached; nth += nth < 10 ? 1 : 7) {
        reached = run_out(((struct temp_place *)*state)->file, nth, true, &is_lost);
        assert_int_equal(is_lost, reached);
    }
}

#define TEST(function) cmocka_unit_test_setup_teardown(function, temp_place_set_up, temp_place_tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(one_request_that_fails_does_no_harm),
        TEST(without_memory_nothing_is_committed_any_more),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
