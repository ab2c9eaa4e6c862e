// SPDX-License-Identifier: Apache-2.0
#include "tests/state_rows.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <cmocka.h>

static void release_counted(void *held)
{
    ++*(int *)held;
}

int state_rows_try(struct state **state, const char *path, struct err *err)
{
    struct state_options options = {path, true, release_counted};
    return state_open(state, &options, err);
}

struct state *state_rows_open(const char *path)
{
    struct state *state;
    struct err err = {0};
    if (state_rows_try(&state, path, &err) < 0 || state_start(state, &err) < 0)
        fail_msg("%s", err.text);
    return state;
}

void state_rows_close(struct state *state)
{
    state_finish(state);
    state_close(state);
}

// The rows as text, in the order of reading.
struct rows {
    char text[4096];
    size_t used;
};

static int list_row(void *context, const struct state_act *act, struct err *err)
{
    (void)err;
    struct rows *rows = context;
    rows->used += (size_t)snprintf(rows->text + rows->used, sizeof rows->text - rows->used,
                                   "%d:%lld,%lld,%lld,%lld,%d,%d,%d,%d,%.*s,%.*s\n", act->kind,
                                   (long long)act->session, (long long)act->delivery, (long long)act->message,
                                   (long long)act->value, act->packet_id, act->qos, act->stage, act->retain,
                                   (int)act->text_bytes, act->text ? act->text : "", (int)act->payload_bytes,
                                   act->payload ? act->payload : "");
    return 0;
}

void state_rows_expect(struct state *state, const char *expected)
{
    struct rows rows = {.used = 0};
    struct err err = {0};
    if (state_read(state, list_row, &rows, &err) < 0)
        fail_msg("%s", err.text);
    rows.text[rows.used] = '\0';
    assert_string_equal(rows.text, expected);
}

struct state_act state_rows_act(enum state_kind kind, const char *text)
{
    return (struct state_act){.kind = (uint8_t)kind, .text = text, .text_bytes = (uint32_t)strlen(text)};
}

void state_rows_note_session(struct state_batch *batch, int64_t session, const char *client)
{
    struct state_act act = state_rows_act(STATE_SESSION, client);
    act.session = session;
    state_note(batch, &act);
}
