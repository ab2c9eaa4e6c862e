# SPDX-License-Identifier: Apache-2.0
"""poolmark-broker --state FILE: a file that no broker of this schema wrote is refused, by exit code 2, and left as it was, byte for byte."""
import sqlite3

import pytest
from state_broker import BUILD, StateBroker, filled, run_broker

pytestmark = pytest.mark.skipif(not (BUILD / "poolmark-broker").exists(), reason="the programs are not built")


@pytest.fixture
def path(tmp_path):
    return tmp_path / "state"


def refused(path, code, *words):
    """The broker ends with that code, says that, and leaves the file as it is."""
    before = path.read_bytes()
    returned, said = run_broker("--state", path)
    assert returned == code
    assert str(path) in said and all(word in said for word in words), said
    assert path.read_bytes() == before


def test_other_files_are_refused_and_left_as_they_are(path):
    path.write_text("listener 1883\n", encoding="ascii")
    refused(path, 2, "no state file")
    path.unlink()
    with sqlite3.connect(path) as db:
        db.execute("CREATE TABLE message(id)")
    db.close()
    refused(path, 2, "another program")


def test_a_newer_schema_is_refused(path):
    with sqlite3.connect(filled(path)) as db:
        db.execute("PRAGMA user_version=2")
    db.close()
    refused(path, 2, "schema 2")


def test_damaged_files_are_refused_and_left_as_they_are(path, tmp_path):
    good = filled(path).read_bytes()
    for page in range(1, len(good) // 4096, 3):
        other = tmp_path / f"page{page}"
        other.write_bytes(good[:page * 4096] + b"\xa5" * 64 + good[page * 4096 + 64:])
        refused(other, 2, "damaged")
    short = tmp_path / "short"
    short.write_bytes(good[:-4096])
    refused(short, 2, "damaged")


ONE = {"session": "id = (SELECT min(id) FROM session)", "subscription": "filter = 'a/#'", "message": "id = (SELECT min(id) FROM message)",
       "delivery": "stage = 1", "received": "packet_id = 9", "retained": "topic = 'a/0'", "will": "message > 0"}
NEGATIVE, LARGE, LONG = "-1", str(2 ** 53 + 1), "replace(hex(zeroblob(40000)), '0', 'a')"
NO_TEXT = ["''", "'a' || char(0)", "CAST(x'ff' AS TEXT)", LONG]
# What no broker writes, for each column.
WRONG = {
    ("session", "id"): ["0", NEGATIVE, LARGE], ("session", "client"): NO_TEXT, ("session", "away"): [NEGATIVE],
    ("subscription", "session"): [NEGATIVE, LARGE], ("subscription", "filter"): [*NO_TEXT, "'a/#/b'", "'a+'"],
    ("subscription", "qos"): ["3", NEGATIVE], ("subscription", "owed"): ["2", NEGATIVE],
    ("message", "id"): ["0", NEGATIVE, LARGE], ("message", "qos"): ["3", NEGATIVE], ("message", "retain"): ["2"],
    ("message", "topic"): [*NO_TEXT, "'a/#'", "'+'"], ("message", "payload"): ["zeroblob(0)"],   # it is retained
    ("delivery", "session"): [NEGATIVE], ("delivery", "id"): ["0", NEGATIVE, LARGE], ("delivery", "message"): [NEGATIVE, LARGE],
    ("delivery", "qos"): ["0", "3", NEGATIVE], ("delivery", "retain"): ["2", NEGATIVE], ("delivery", "stage"): ["3", NEGATIVE],
    ("delivery", "packet_id"): ["0", "8", "65536", NEGATIVE], ("delivery", "sent"): [NEGATIVE, LARGE],
    ("received", "session"): [NEGATIVE], ("received", "packet_id"): ["0", "65536", NEGATIVE],
    ("retained", "topic"): ["'a/x'", *NO_TEXT], ("retained", "message"): [NEGATIVE, LARGE], ("will", "message"): [NEGATIVE, LARGE],
}
# What a kill may leave: a row that names what is gone is dropped.
GONE = [("subscription", "session"), ("delivery", "session"), ("delivery", "message"), ("received", "session"), ("retained", "message"),
        ("will", "message")]


def change(path, *statements):
    with sqlite3.connect(path) as db:
        for statement in statements:
            db.execute(statement)
    db.close()


def of_each_kind(path):
    """Besides what `filled` has, a row in each table and of each stage."""
    change(filled(path), "INSERT INTO delivery SELECT session, 900001, message, 1, 0, 1, 7, 900002 FROM delivery WHERE stage = 0 LIMIT 1",
           "INSERT INTO delivery SELECT session, 900003, NULL, 2, 0, 2, 8, 900004 FROM delivery WHERE stage = 0 LIMIT 1",
           "INSERT INTO received SELECT id, 9 FROM session", "INSERT INTO will SELECT max(id) FROM message")
    return path


def test_the_changed_rows_are_there_and_right_before(path):
    with sqlite3.connect(of_each_kind(path)) as db:
        for table, where in ONE.items():
            assert db.execute(f"SELECT count(*) FROM {table} WHERE {where}").fetchone() == (1,), table
        columns = {(table, column) for table in ONE for _, column, *_ in db.execute(f"PRAGMA table_info({table})")}
    db.close()
    assert columns == set(WRONG)
    with StateBroker(path) as broker:
        assert broker.port and broker.stop() == 0


def test_values_that_no_broker_writes_are_refused_in_each_column(path, tmp_path):
    good = of_each_kind(path).read_bytes()
    other = tmp_path / "other"
    for (table, column), values in WRONG.items():
        for value in values:
            other.write_bytes(good)
            change(other, f"UPDATE {table} SET {column} = {value} WHERE {ONE[table]}")
            refused(other, 2, "damaged")
    for wrong in ("UPDATE delivery SET qos = 1 WHERE stage = 2", "UPDATE delivery SET packet_id = 7 WHERE stage = 2"):
        other.write_bytes(good)
        change(other, wrong)
        refused(other, 2, "damaged")


@pytest.mark.parametrize("table, column", GONE)
def test_rows_that_name_what_is_gone_are_dropped(path, table, column):
    change(of_each_kind(path), f"UPDATE {table} SET {column} = 800000 WHERE {ONE[table]}")
    with StateBroker(path) as broker:
        assert broker.port and broker.stop() == 0
    with sqlite3.connect(path) as db:
        assert db.execute(f"SELECT count(*) FROM {table} WHERE {column} = 800000").fetchone() == (0,)
    db.close()


@pytest.mark.parametrize("wrong", [
    "DROP TRIGGER session_end", "DROP TABLE received", "ALTER TABLE will RENAME COLUMN message TO number", "ALTER TABLE message DROP COLUMN qos",
    "UPDATE sqlite_schema SET sql = replace(sql, ' STRICT', '') WHERE name = 'message'",
    "UPDATE sqlite_schema SET sql = replace(sql, 'DELETE FROM received', 'DELETE FROM delivery') WHERE type = 'trigger'",
    # Each of these would lose what is acknowledged, at writes that succeed.
    "CREATE TRIGGER lose AFTER INSERT ON delivery BEGIN DELETE FROM delivery WHERE id = new.id; END",
    "CREATE UNIQUE INDEX one ON message(substr(topic, 1, 2), id)", "CREATE UNIQUE INDEX same ON message(topic)"])
def test_other_tables_than_those_of_the_schema_are_refused(path, wrong):
    change(filled(path), "PRAGMA writable_schema=ON", wrong)
    refused(path, 2, "damaged")


def test_a_table_of_somebody_else_is_no_damage(path):
    change(filled(path), "CREATE TABLE notes(text UNIQUE)", "CREATE INDEX of_retain ON message(retain)", "CREATE UNIQUE INDEX of_notes ON notes(text)")
    with StateBroker(path) as broker:
        assert broker.port and broker.stop() == 0
