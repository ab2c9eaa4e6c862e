// SPDX-License-Identifier: Apache-2.0
#include "broker/state/state_file.h"

#include "broker/state/state_log.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

// A delivery without a message is one of QoS 2 after its PUBREC. `sent`: the order of sending.
static const char schema[] =
    "CREATE TABLE session(id INTEGER PRIMARY KEY, client TEXT NOT NULL, away INTEGER NOT NULL) STRICT;"
    "CREATE TABLE subscription(session INTEGER NOT NULL, filter TEXT NOT NULL, qos INTEGER NOT NULL,"
    " owed INTEGER NOT NULL, PRIMARY KEY(session, filter)) STRICT, WITHOUT ROWID;"
    "CREATE TABLE message(id INTEGER PRIMARY KEY, qos INTEGER NOT NULL, retain INTEGER NOT NULL,"
    " topic TEXT NOT NULL, payload BLOB NOT NULL) STRICT;"
    "CREATE TABLE delivery(session INTEGER NOT NULL, id INTEGER NOT NULL, message INTEGER,"
    " qos INTEGER NOT NULL, retain INTEGER NOT NULL, stage INTEGER NOT NULL, packet_id INTEGER NOT NULL,"
    " sent INTEGER NOT NULL, PRIMARY KEY(session, id)) STRICT, WITHOUT ROWID;"
    "CREATE TABLE received(session INTEGER NOT NULL, packet_id INTEGER NOT NULL,"
    " PRIMARY KEY(session, packet_id)) STRICT, WITHOUT ROWID;"
    "CREATE TABLE retained(topic TEXT PRIMARY KEY, message INTEGER NOT NULL) STRICT, WITHOUT ROWID;"
    "CREATE TABLE will(message INTEGER PRIMARY KEY) STRICT;"
    "CREATE TRIGGER session_end AFTER DELETE ON session BEGIN"
    " DELETE FROM subscription WHERE session = old.id; DELETE FROM delivery WHERE session = old.id;"
    " DELETE FROM received WHERE session = old.id; END;";

// Parameters: 1 session, 2 delivery, 3 message, 4 value, 5 packet_id, 6 qos, 7 stage, 8 retain, 9 text,
// 10 payload.
enum { TEXT_PARAMETER = 9, PAYLOAD_PARAMETER = 10 };
static const char *const act_texts[STATE_KINDS] = {
    [STATE_SESSION] = "INSERT OR REPLACE INTO session(id, client, away) VALUES(?1, ?9, 0)",
    [STATE_SESSION_END] = "DELETE FROM session WHERE id = ?1",
    [STATE_AWAY] = "UPDATE session SET away = ?4 WHERE id = ?1",
    [STATE_SUBSCRIBE] =
        "INSERT OR REPLACE INTO subscription(session, filter, qos, owed) VALUES(?1, ?9, ?6, ?8)",
    [STATE_UNSUBSCRIBE] = "DELETE FROM subscription WHERE session = ?1 AND filter = ?9",
    [STATE_RECEIVED] = "INSERT OR REPLACE INTO received(session, packet_id) VALUES(?1, ?5)",
    [STATE_RECEIVED_END] = "DELETE FROM received WHERE session = ?1 AND packet_id = ?5",
    [STATE_MESSAGE] =
        "INSERT OR REPLACE INTO message(id, qos, retain, topic, payload) VALUES(?3, ?6, ?8, ?9, ?10)",
    [STATE_MESSAGE_END] = "DELETE FROM message WHERE id = ?3",
    [STATE_DELIVERY] = "INSERT OR REPLACE INTO delivery(session, id, message, qos, retain, stage, packet_id,"
                       " sent) VALUES(?1, ?2, ?3, ?6, ?8, ?7, ?5, ?4)",
    [STATE_DELIVERY_SENT] =
        "UPDATE delivery SET stage = 1, packet_id = ?5, sent = ?4 WHERE session = ?1 AND id = ?2",
    [STATE_DELIVERY_RELEASED] =
        "UPDATE delivery SET stage = 2, message = NULL WHERE session = ?1 AND id = ?2",
    [STATE_DELIVERY_END] = "DELETE FROM delivery WHERE session = ?1 AND id = ?2",
    [STATE_RETAIN] = "INSERT OR REPLACE INTO retained(topic, message) VALUES(?9, ?3)",
    [STATE_RETAIN_END] = "DELETE FROM retained WHERE topic = ?9",
    [STATE_WILL] = "INSERT OR REPLACE INTO will(message) VALUES(?3)",
    [STATE_WILL_END] = "DELETE FROM will WHERE message = ?3",
    [STATE_REPLAYED] = "UPDATE subscription SET owed = 0 WHERE session = ?1 AND owed <> 0",
};

int state_file_error(const struct state_file *file, int code, struct err *err)
{
    const char *path = file->path;
    switch (code & 0xff) { // the primary code
    case SQLITE_BUSY:
    case SQLITE_LOCKED:
        return err_set(err, -EBUSY, "--state %s: another process uses this file; each broker needs its own",
                       path);
    case SQLITE_NOMEM:
        return err_set(err, -ENOMEM, "--state %s: out of memory", path);
    case SQLITE_CORRUPT:
    case SQLITE_NOTADB:
        return err_set(
            err, -EUCLEAN,
            "--state %s: the file is damaged (%s) and was left as it is; put back a copy, or name a "
            "file that does not exist",
            path, sqlite3_errstr(code));
    case SQLITE_FULL:
    case SQLITE_IOERR:
        return err_set(err, -EIO, "--state %s: %s", path, sqlite3_errstr(code));
    default:
        return err_set(err, -EUCLEAN, "--state %s: cannot use this file: %s", path,
                       file->db ? sqlite3_errmsg(file->db) : sqlite3_errstr(code));
    }
}

static uint32_t big_endian(const uint8_t *bytes)
{
    return (uint32_t)bytes[0] << 24 | (uint32_t)bytes[1] << 16 | (uint32_t)bytes[2] << 8 | bytes[3];
}

// The mark of state_log.h: SQLite's "write version" of the file.
static bool has_log(const uint8_t *header)
{
    enum { WRITE_VERSION_AT = 18, OF_A_LOG = 2 };
    return header[WRITE_VERSION_AT] == OF_A_LOG;
}

// Does the header belong to a state file that this program can read? Others may be open in their program,
// and SQLite would change them.
static int check_header(const struct state_file *file, const uint8_t *header, ssize_t bytes, struct err *err)
{
    enum { HEADER = 100, VERSION_AT = 60, APPLICATION_AT = 68 };
    static const char magic[] = "SQLite format 3"; // with its final zero
    if (bytes == 0)
        return 0; // a new file
    if ((size_t)bytes < sizeof magic || memcmp(header, magic, sizeof magic) != 0)
        return err_set(err, -EUCLEAN, "--state %s: this is no state file, and was left as it is", file->path);
    if (bytes < HEADER)
        return state_file_error(file, SQLITE_CORRUPT, err);
    if (big_endian(header + APPLICATION_AT) != STATE_APPLICATION)
        return err_set(err, -EUCLEAN,
                       "--state %s: this is the database of another program (its application_id is %" PRIu32
                       "), and was left as it is",
                       file->path, big_endian(header + APPLICATION_AT));
    uint32_t version = big_endian(header + VERSION_AT);
    if (version != STATE_SCHEMA)
        return err_set(
            err, -EUCLEAN,
            "--state %s: this file has schema %" PRIu32
            ", and this program reads schema %d; it was left as it is; use the Poolmark that wrote it",
            file->path, version, STATE_SCHEMA);
    return 0;
}

// Closed before SQLite opens the file: a close would give up SQLite's locks.
static int inspect(struct state_file *file, struct err *err)
{
    uint8_t header[100];
    struct stat status;
    int fd = open(file->path, O_RDONLY | O_CREAT | O_CLOEXEC | O_NONBLOCK, 0600);
    if (fd < 0)
        return err_set(err, -EUCLEAN, "--state %s: cannot open: %s", file->path, strerror(errno));
    int code = 0;
    if (fstat(fd, &status) == 0 && !S_ISREG(status.st_mode))
        code = err_set(err, -EUCLEAN, "--state %s: this is no file", file->path);
    ssize_t bytes = code == 0 ? pread(fd, header, sizeof header, 0) : 0;
    if (bytes < 0)
        code = err_set(err, -EUCLEAN, "--state %s: cannot read: %s", file->path, strerror(errno));
    if (code == 0)
        code = check_header(file, header, bytes, err);
    close(fd);
    if (code == 0 && bytes > 0)
        file->warning = state_log_inspect(file->path, has_log(header));
    return code;
}

// SQLite gives meaning to names that begin with "file:" or ":".
static int open_database(struct state_file *file, struct err *err)
{
    char path[4096];
    int bytes = snprintf(path, sizeof path, "%s%s", file->path[0] == '/' ? "" : "./", file->path);
    if (bytes < 0 || (size_t)bytes >= sizeof path)
        return err_set(err, -EUCLEAN, "--state: the path is too long");
    int code = sqlite3_open_v2(path, &file->db, SQLITE_OPEN_READWRITE | SQLITE_OPEN_NOMUTEX, NULL);
    if (code != SQLITE_OK)
        return state_file_error(file, code, err);
    if (sqlite3_db_readonly(file->db, "main") == 1)
        return err_set(err, -EUCLEAN, "--state %s: the file cannot be written", file->path);
    sqlite3_extended_result_codes(file->db, 1);
    // A close before the end of all checks writes nothing.
    sqlite3_db_config(file->db, SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1, NULL);
    // Expressions in the file, of tables of somebody else, call no function that does more than compute.
    sqlite3_db_config(file->db, SQLITE_DBCONFIG_TRUSTED_SCHEMA, 0, NULL);
    code =
        sqlite3_exec(file->db, "PRAGMA locking_mode=EXCLUSIVE; PRAGMA temp_store=MEMORY", NULL, NULL, NULL);
    return code == SQLITE_OK ? 0 : state_file_error(file, code, err);
}

// The first column of the first row as a number, and whether it is `expected`.
static int ask(struct state_file *file, const char *sql, const char *expected, int64_t *number,
               bool *is_expected)
{
    sqlite3_stmt *statement;
    int code = sqlite3_prepare_v2(file->db, sql, -1, &statement, NULL);
    if (code != SQLITE_OK)
        return code;
    code = sqlite3_step(statement);
    if (code == SQLITE_ROW) {
        const char *text = (const char *)sqlite3_column_text(statement, 0);
        *is_expected = text && expected && strcmp(text, expected) == 0;
        *number = sqlite3_column_int64(statement, 0);
    }
    sqlite3_finalize(statement); // returns the code of the step again
    return code == SQLITE_ROW ? SQLITE_OK : code == SQLITE_DONE ? SQLITE_CORRUPT : code;
}

// A new file gets its tables in one transaction of a rollback journal. So it is empty or whole at any instant.
static int make_tables(struct state_file *file)
{
    char sql[sizeof schema + 200];
    snprintf(sql, sizeof sql, "BEGIN EXCLUSIVE; %s PRAGMA application_id=%d; PRAGMA user_version=%d; COMMIT",
             schema, STATE_APPLICATION, STATE_SCHEMA);
    return sqlite3_exec(file->db, sql, NULL, NULL, NULL);
}

// Keeps other writers out from here on, and writes nothing. Of an empty file it would write a page without any mark of ours.
static int lock(struct state_file *file)
{
    return sqlite3_exec(file->db, "BEGIN IMMEDIATE; COMMIT", NULL, NULL, NULL);
}

// Are tables and trigger those of the schema? Tables that are not STRICT could have values of any type, and without the trigger
// rows would outlive their session. Another trigger, or another unique index of these tables, would take rows away that were
// acknowledged, at a write that succeeds. Other tables and indexes are nobody's concern.
static int check_schema(struct state_file *file, bool *is_whole)
{
    enum { OBJECTS = 8 };
    char sql[3 * sizeof schema + 400];
    int64_t count = 0;
    snprintf(sql, sizeof sql,
             "SELECT (SELECT count(*) FROM sqlite_schema WHERE instr('%s', sql || ';'))"
             " - (SELECT count(*) FROM sqlite_schema WHERE type = 'trigger' AND NOT instr('%s', sql || ';'))"
             " - (SELECT count(*) FROM sqlite_schema AS own, pragma_index_list(own.name) AS list"
             " WHERE instr('%s', own.sql || ';') AND list.\"unique\" AND list.origin = 'c')",
             schema, schema, schema);
    int code = ask(file, sql, NULL, &count, is_whole);
    *is_whole = count == OBJECTS;
    return code;
}

static int check_tables(struct state_file *file, struct err *err)
{
    int64_t tables = 0;
    bool is_whole = true, unused;
    int code = ask(file, "SELECT count(*) FROM sqlite_schema", NULL, &tables, &unused);
    if (code == SQLITE_OK && tables == 0)
        code = make_tables(file);
    else if (code == SQLITE_OK && (code = lock(file)) == SQLITE_OK)
        code = ask(file, "PRAGMA quick_check(1)", "ok", &tables, &is_whole);
    if (code == SQLITE_OK && is_whole)
        code = check_schema(file, &is_whole);
    if (code != SQLITE_OK)
        return state_file_error(file, code, err);
    return is_whole ? 0 : state_file_error(file, SQLITE_CORRUPT, err);
}

static int prepare_one(struct state_file *file, const char *sql, sqlite3_stmt **statement)
{
    return sqlite3_prepare_v3(file->db, sql, -1, SQLITE_PREPARE_PERSISTENT, statement, NULL);
}

static int prepare_all(struct state_file *file)
{
    int code = prepare_one(file, "BEGIN IMMEDIATE", &file->begin);
    if (code == SQLITE_OK)
        code = prepare_one(file, "COMMIT", &file->commit);
    if (code == SQLITE_OK)
        code = prepare_one(file, "ROLLBACK", &file->rollback);
    for (int i = 0; code == SQLITE_OK && i < STATE_KINDS; i++)
        code = prepare_one(file, act_texts[i], &file->acts[i]);
    return code == SQLITE_ERROR ? SQLITE_CORRUPT : code; // a table or a column is missing
}

int state_file_open(struct state_file *file, const char *path, struct err *err)
{
    *file = (struct state_file){.path = path};
    int code = sqlite_calls_load(err);
    if (code < 0)
        return code;
    code = inspect(file, err);
    if (code == 0)
        code = open_database(file, err);
    if (code == 0)
        code = check_tables(file, err);
    if (code == 0) {
        int prepared = prepare_all(file);
        code = prepared == SQLITE_OK ? 0 : state_file_error(file, prepared, err);
    }
    if (code < 0)
        state_file_close(file, true);
    return code;
}

// The first transaction changes nothing. It makes a log without any distinguishable from one of a broker that only started.
int state_file_start(struct state_file *file, bool is_full, struct err *err)
{
    int64_t unused;
    bool is_on = false;
    int code = ask(file, "PRAGMA journal_mode=WAL", "wal", &unused, &is_on);
    if (code == SQLITE_OK && !is_on)
        return err_set(err, -EUCLEAN, "--state %s: this file system allows no write-ahead log", file->path);
    char sql[200];
    snprintf(
        sql, sizeof sql,
        "PRAGMA synchronous=%s; PRAGMA cache_size=-%d; PRAGMA journal_size_limit=%d; PRAGMA user_version=%d",
        is_full ? "FULL" : "NORMAL", STATE_CACHE_KIB, 4 << 20, STATE_SCHEMA);
    if (code == SQLITE_OK)
        code = sqlite3_exec(file->db, sql, NULL, NULL, NULL);
    return code == SQLITE_OK ? 0 : state_file_error(file, code, err);
}

static int run(sqlite3_stmt *statement)
{
    int code = sqlite3_step(statement);
    sqlite3_reset(statement);
    return code == SQLITE_DONE ? SQLITE_OK : code;
}

static int bind(sqlite3_stmt *statement, const struct state_act *act)
{
    int most = sqlite3_bind_parameter_count(statement), code = SQLITE_OK;
    const int64_t numbers[] = {act->session,   act->delivery, act->message, act->value,
                               act->packet_id, act->qos,      act->stage,   act->retain};
    for (int i = 0; i < (int)(sizeof numbers / sizeof numbers[0]) && i < most && code == SQLITE_OK; i++)
        code = sqlite3_bind_int64(statement, i + 1, numbers[i]);
    if (code == SQLITE_OK && most >= TEXT_PARAMETER) // SQLite takes a NULL for the value NULL
        code = sqlite3_bind_text64(statement, TEXT_PARAMETER, act->text ? act->text : "", act->text_bytes,
                                   SQLITE_STATIC, SQLITE_UTF8);
    if (code == SQLITE_OK && most >= PAYLOAD_PARAMETER)
        code = sqlite3_bind_blob64(statement, PAYLOAD_PARAMETER, act->payload ? act->payload : "",
                                   act->payload_bytes, SQLITE_STATIC);
    return code;
}

int state_file_apply(struct state_file *file, const struct state_act *acts, size_t count)
{
    int code = run(file->begin);
    if (code != SQLITE_OK)
        return code;
    for (size_t i = 0; i < count && code == SQLITE_OK; i++) {
        sqlite3_stmt *statement = file->acts[acts[i].kind];
        code = bind(statement, &acts[i]);
        if (code == SQLITE_OK)
            code = run(statement);
    }
    if (code == SQLITE_OK)
        code = run(file->commit);
    if (code != SQLITE_OK && !sqlite3_get_autocommit(file->db))
        run(file->rollback); // a failed write may have rolled back already
    return code;
}

void state_file_close(struct state_file *file, bool is_kept)
{
    sqlite3_finalize(file->begin);
    sqlite3_finalize(file->commit);
    sqlite3_finalize(file->rollback);
    for (int i = 0; i < STATE_KINDS; i++)
        sqlite3_finalize(file->acts[i]);
    if (file->db && !is_kept) {
        sqlite3_db_config(file->db, SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 0, NULL);
        // What fails here stays in the log, which the next broker reads.
        sqlite3_exec(file->db, "PRAGMA journal_mode=DELETE", NULL, NULL, NULL);
    }
    sqlite3_close(file->db);
    *file = (struct state_file){.path = file->path};
}
