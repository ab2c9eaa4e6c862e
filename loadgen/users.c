// SPDX-License-Identifier: Apache-2.0
#include "loadgen/users.h"

#include "loadgen/whole_file.h"
#include "wire/mqtt_text.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

enum { FILE_MOST = 1 << 30 };

struct reader {
    char *at, *end;
    int64_t line;
    const char *fault; // why the line cannot be read; NULL: it can
};

struct field {
    char *text;
    size_t bytes;
};

// A field in quotes: two quotes inside are one. It is moved over its first quote.
static struct field read_quoted(struct reader *reader)
{
    struct field field = {.text = reader->at};
    char *to = reader->at++;
    for (; reader->at < reader->end; *to++ = *reader->at++) {
        if (*reader->at == '\n')
            reader->line++;
        if (*reader->at != '"')
            continue;
        if (reader->at + 1 == reader->end || reader->at[1] != '"') {
            reader->at++;
            field.bytes = (size_t)(to - field.text);
            return field;
        }
        reader->at++;
    }
    reader->fault = "a quote that does not end";
    return field;
}

static struct field read_plain(struct reader *reader)
{
    struct field field = {.text = reader->at};
    while (reader->at < reader->end && *reader->at != ',' && *reader->at != '\n')
        reader->at++;
    field.bytes = (size_t)(reader->at - field.text);
    bool ends_line = reader->at == reader->end || *reader->at == '\n';
    if (ends_line && field.bytes > 0 && field.text[field.bytes - 1] == '\r')
        field.bytes--;
    return field;
}

static struct field read_field(struct reader *reader)
{
    return reader->at < reader->end && *reader->at == '"' ? read_quoted(reader) : read_plain(reader);
}

// After a field: true when another follows in this line.
static bool is_followed(struct reader *reader)
{
    if (reader->end - reader->at >= 2 && reader->at[0] == '\r' && reader->at[1] == '\n')
        reader->at++;
    if (reader->at == reader->end || *reader->at == '\n')
        return false;
    if (*reader->at != ',' && !reader->fault)
        reader->fault = "text behind the quote that ends a field";
    return *reader->at == ',';
}

// Reads a line, up to its end.
static struct users_row read_row(struct reader *reader)
{
    struct field user = read_field(reader), password = {.text = NULL};
    bool has_password = !reader->fault && is_followed(reader);
    if (has_password) {
        reader->at++;
        password = read_field(reader);
        if (!reader->fault && is_followed(reader))
            reader->fault = "more than two columns; a comma in a password takes quotes around it";
    }
    if (!reader->fault && (user.bytes > MQTT_TEXT_MAX || password.bytes > MQTT_TEXT_MAX))
        reader->fault = "more than 65 535 bytes, the most of an MQTT field (section 1.5.3)";
    if (!reader->fault && user.bytes == 0 && password.bytes > 0)
        reader->fault = "a password without a user name [MQTT-3.1.2-22]";
    enum mqtt_error error = mqtt_text_check((struct mqtt_text){user.text, user.bytes});
    if (!reader->fault && error != MQTT_OK)
        reader->fault = error == MQTT_BAD_NUL ? "a user name with U+0000 [MQTT-1.5.3-2]"
                                              : "a user name that is not UTF-8 [MQTT-1.5.3-1]";
    return (struct users_row){.user = user.text,
                              .password = password.text,
                              .user_bytes = (uint32_t)user.bytes,
                              .password_bytes = (uint32_t)password.bytes,
                              .has_password = has_password};
}

static bool is(const char *text, size_t bytes, const char *word)
{
    return bytes == strlen(word) && memcmp(text, word, bytes) == 0;
}

static bool is_heading(const struct users_row *row)
{
    return (is(row->user, row->user_bytes, "username") || is(row->user, row->user_bytes, "user")) &&
           row->has_password && is(row->password, row->password_bytes, "password");
}

static int add(struct users *users, struct users_row row, int64_t *capacity)
{
    if (users->count == *capacity) {
        *capacity = *capacity ? 2 * *capacity : 64;
        struct users_row *rows = realloc(users->rows, (size_t)*capacity * sizeof *rows);
        if (!rows)
            return -ENOMEM;
        users->rows = rows;
    }
    users->rows[users->count++] = row;
    users->with_password += row.has_password;
    users->user_most = row.user_bytes > users->user_most ? row.user_bytes : users->user_most;
    users->password_most =
        row.password_bytes > users->password_most ? row.password_bytes : users->password_most;
    return 0;
}

static int read_rows(struct users *users, size_t bytes, const char *path, struct err *err)
{
    struct reader reader = {.at = users->text, .end = users->text + bytes, .line = 1};
    int64_t capacity = 0;
    if (bytes >= 3 && memcmp(users->text, "\xEF\xBB\xBF", 3) == 0)
        reader.at += 3; // a byte order mark, as spreadsheets write it
    for (bool first = true; reader.at < reader.end; first = false) {
        int64_t line = reader.line++;
        struct users_row row = read_row(&reader);
        if (reader.fault)
            return err_set(err, -EINVAL, "%s, line %lld: %s", path, (long long)line, reader.fault);
        if (reader.at < reader.end)
            reader.at++;
        bool skipped = (row.user_bytes == 0 && row.password_bytes == 0) || (first && is_heading(&row));
        if (!skipped && add(users, row, &capacity) < 0)
            return err_set(err, -ENOMEM, "out of memory for the users of %s", path);
    }
    if (users->count == 0)
        return err_set(err, -EINVAL, "%s has no user", path);
    // Their ends are known now, and what stood behind them was read.
    for (int64_t i = 0; i < users->count; i++)
        ((char *)users->rows[i].user)[users->rows[i].user_bytes] = '\0';
    return 0;
}

int users_read(struct users *users, const char *path, struct err *err)
{
    size_t bytes;
    *users = (struct users){.count = 0};
    int code = whole_file_read(path, FILE_MOST, &users->text, &bytes, err);
    if (code == 0)
        code = read_rows(users, bytes, path, err);
    if (code < 0)
        users_free(users);
    return code;
}

void users_free(struct users *users)
{
    for (int64_t i = 0; i < users->count; i++)
        if (users->rows[i].has_password)
            explicit_bzero((char *)users->rows[i].password, users->rows[i].password_bytes);
    free(users->rows);
    free(users->text);
    *users = (struct users){.count = 0};
}
