// SPDX-License-Identifier: Apache-2.0
#include "broker/state/state_load.h"

#include <errno.h>

struct query {
    enum state_kind kind;
    const char *sql;
};

// Columns of each: session, delivery, message, value, packet id, QoS, stage, retain, text, payload.
static const struct query queries[] = {
    {STATE_MESSAGE, "SELECT 0, 0, id, 0, 0, qos, 0, retain, topic, payload FROM message ORDER BY id"},
    {STATE_SESSION, "SELECT id, 0, 0, away, 0, 0, 0, 0, client, NULL FROM session ORDER BY id"},
    {STATE_SUBSCRIBE, "SELECT session, 0, 0, 0, 0, qos, 0, owed, filter, NULL FROM subscription"},
    {STATE_DELIVERY,
     "SELECT session, id, coalesce(message, 0), sent, packet_id, qos, stage, retain, NULL, NULL "
     "FROM delivery WHERE stage <> 0 ORDER BY sent"},
    {STATE_DELIVERY,
     "SELECT session, id, coalesce(message, 0), sent, packet_id, qos, stage, retain, NULL, NULL "
     "FROM delivery WHERE stage = 0 ORDER BY session, id"},
    {STATE_RECEIVED, "SELECT session, 0, 0, 0, packet_id, 0, 0, 0, NULL, NULL FROM received"},
    {STATE_RETAIN, "SELECT 0, 0, message, 0, 0, 0, 0, 0, topic, NULL FROM retained"},
    {STATE_WILL, "SELECT 0, 0, message, 0, 0, 0, 0, 0, NULL, NULL FROM will ORDER BY message"},
};

enum { NUMBERS = 8, TEXT_COLUMN = 8, PAYLOAD_COLUMN = 9 };

static void read_row(sqlite3_stmt *statement, enum state_kind kind, int64_t numbers[NUMBERS],
                     struct state_act *act)
{
    for (int i = 0; i < NUMBERS; i++)
        numbers[i] = sqlite3_column_int64(statement, i);
    // SQLite wants the text first, then its length.
    const void *text = sqlite3_column_text(statement, TEXT_COLUMN);
    const void *payload = sqlite3_column_blob(statement, PAYLOAD_COLUMN);
    *act = (struct state_act){
        .kind = (uint8_t)kind,
        .session = numbers[0],
        .delivery = numbers[1],
        .message = numbers[2],
        .value = numbers[3],
        .packet_id = (uint16_t)numbers[4],
        .qos = (uint8_t)numbers[5],
        .stage = (uint8_t)numbers[6],
        .retain = numbers[7] != 0,
        .text = text,
        .payload = payload,
        .text_bytes = (uint32_t)sqlite3_column_bytes(statement, TEXT_COLUMN),
        .payload_bytes = (uint32_t)sqlite3_column_bytes(statement, PAYLOAD_COLUMN),
    };
}

static bool fits(int64_t number, int64_t most)
{
    return number >= 0 && number <= most;
}

static bool is_row_valid(const int64_t numbers[NUMBERS])
{
    return fits(numbers[0], STATE_NUMBER_MAX) && fits(numbers[1], STATE_NUMBER_MAX) &&
           fits(numbers[2], STATE_NUMBER_MAX) && fits(numbers[3], STATE_NUMBER_MAX) &&
           fits(numbers[4], UINT16_MAX) && fits(numbers[5], 2) && fits(numbers[6], STATE_RELEASED) &&
           fits(numbers[7], 1);
}

static void raise_to(int64_t *highest, int64_t number)
{
    if (number > *highest)
        *highest = number;
}

static void note_highest(const struct state_act *act, int64_t *highest)
{
    raise_to(highest, act->session);
    raise_to(highest, act->delivery);
    raise_to(highest, act->message);
    if (act->kind == STATE_DELIVERY)
        raise_to(highest, act->value);
}

static int run(struct state_file *file, const struct query *query, state_visit *visit, void *context,
               int64_t *highest, struct err *err)
{
    sqlite3_stmt *statement;
    int code = sqlite3_prepare_v2(file->db, query->sql, -1, &statement, NULL);
    if (code != SQLITE_OK)
        return state_file_error(file, code == SQLITE_ERROR ? SQLITE_CORRUPT : code, err);
    int result = 0;
    while (result == 0 && (code = sqlite3_step(statement)) == SQLITE_ROW) {
        int64_t numbers[NUMBERS];
        struct state_act act;
        read_row(statement, query->kind, numbers, &act);
        if (sqlite3_errcode(file->db) == SQLITE_NOMEM) // while it converted a column
            result = state_file_error(file, SQLITE_NOMEM, err);
        else if (!is_row_valid(numbers))
            result = state_file_error(file, SQLITE_CORRUPT, err);
        else
            result = visit(context, &act, err);
        note_highest(&act, highest);
    }
    if (result == 0 && code != SQLITE_DONE)
        result = state_file_error(file, code, err);
    sqlite3_finalize(statement);
    return result;
}

int state_load(struct state_file *file, state_visit *visit, void *context, int64_t *highest, struct err *err)
{
    *highest = 0;
    int code = 0;
    for (size_t i = 0; code == 0 && i < sizeof queries / sizeof queries[0]; i++)
        code = run(file, &queries[i], visit, context, highest, err);
    return code;
}
