# SPDX-License-Identifier: Apache-2.0
"""poolmark-broker --state FILE, from outside: what clients find after SIGTERM and kill -9. Which files it takes: test_state_damage.py."""
import array
import contextlib
import fcntl
import json
import shutil
import signal
import sqlite3
import subprocess
import termios
import time

import pytest
from mqtt_client import GUARD_S, Client, Gone
from state_broker import BUILD, SHIM, StateBroker, filled, run_broker

pytestmark = pytest.mark.skipif(not (BUILD / "poolmark-broker").exists(), reason="the programs are not built")
needs_shim = pytest.mark.skipif(not SHIM.exists(), reason="make tests builds the library that is preloaded")


@pytest.fixture
def path(tmp_path):
    return tmp_path / "state"


def test_sqlite_is_loaded_only_for_a_state_file_and_a_host_without_it_is_told(path, tmp_path, monkeypatch):
    """Linked, it took 300 KiB of every broker, of which a million connections have 52."""
    found = []
    for options in ((), ("--state", path)):
        with subprocess.Popen([BUILD / "poolmark-broker", "--listen", "127.0.0.1:0", *map(str, options)], stdout=subprocess.PIPE,
                              text=True) as broker:
            assert "ready\n" in iter(broker.stdout.readline, "")
            found.append("libsqlite3" in open(f"/proc/{broker.pid}/maps", encoding="utf-8").read())
            broker.terminate()
    assert found == [False, True]
    (tmp_path / "empty").mkdir()
    (tmp_path / "empty/libsqlite3.so.0").touch()
    monkeypatch.setenv("LD_LIBRARY_PATH", str(tmp_path / "empty"))
    code, said = run_broker("--state", tmp_path / "other")
    assert code == 1 and "--state needs libsqlite3.so.0 (Debian's package libsqlite3-0)" in said, said
    assert not (tmp_path / "other").exists()


def test_a_file_in_use_is_refused(path):
    with StateBroker(path):
        code, said = run_broker("--state", path)
        assert code == 1 and "another process uses this file" in said


def test_wrong_calls(path, tmp_path):
    assert run_broker("--state", tmp_path)[0] == 2
    assert run_broker("--state", tmp_path / "missing" / "state")[0] == 2
    assert run_broker("--state", "")[0] == 2
    assert run_broker("--state", path, "--state-sync", "often")[0] == 2


def test_a_memory_limit_that_is_too_small_loses_nothing(path):
    filled(path)
    before = path.read_bytes()
    code, said = run_broker("--state", path, "--memory-limit", "20KiB")
    assert code == 1 and "--memory-limit" in said
    assert path.read_bytes() == before


@pytest.mark.parametrize("end", ["stop", "kill"])
@pytest.mark.parametrize("threads", [1, 3])
@pytest.mark.parametrize("sync", ["full", "normal"])
def test_everything_is_there_after_the_end(path, end, threads, sync):
    clients = [Client(f"s{i}") for i in range(4)]
    arguments = ["--threads", threads, "--state-sync", sync]
    with StateBroker(path, *arguments) as broker:
        publisher = Client("p", clean=True)
        publisher.connect(broker.port)
        for client in clients:
            assert not client.connect(broker.port)
            client.subscribe("q/#", 2)
            client.answers = False
        clients[0].leave()
        for i in range(20):
            publisher.publish("q/x", b"%d" % i, 1 + i % 2, retain=i == 19)
        for client in clients[1:]:
            while len(client.messages) < 20:    # those of another loop may come after the answer to a ping
                client.handle()
            client.drop()
        getattr(broker, end)()
    with StateBroker(path, *arguments) as broker:
        for client in clients:
            sent = [message.packet_id for message in client.messages]
            client.messages, client.answers = [], True
            assert client.connect(broker.port)
            client.ping()
            assert [message.payload for message in client.messages] == [b"%d" % i for i in range(20)]
            assert all(message.dup for message in client.messages) == bool(sent)
            if sent:
                assert [message.packet_id for message in client.messages] == sent
            client.ping()
            client.disconnect()
        new = Client("new", clean=True)
        new.connect(broker.port)
        new.subscribe("q/x", 1)
        new.ping()
        assert [message.payload for message in new.messages] == [b"19"]
        new.drop()
        broker.stop()
    with StateBroker(path, *arguments) as broker:
        for client in clients:
            client.messages = []
            assert client.connect(broker.port)
            client.ping()
            assert client.messages == []


def test_clean_sessions_are_not_stored(path):
    with StateBroker(path) as broker:
        client = Client("c", clean=True)
        client.connect(broker.port)
        client.subscribe("a", 1)
        client.publish("a", b"x", 1)
        broker.kill()
    with sqlite3.connect(path) as db:
        for table in ("session", "subscription", "delivery", "received", "message"):
            assert db.execute(f"SELECT count(*) FROM {table}").fetchone() == (0,)
    db.close()


def test_what_is_done_leaves_no_rows(path):
    with StateBroker(path) as broker:
        client, publisher = Client("s"), Client("p")
        client.connect(broker.port)
        client.subscribe("a/#", 2)
        publisher.connect(broker.port, will=("w", b"x", 1, True))
        for i in range(50):
            publisher.publish("a/b", b"%d" % i, i % 3, retain=i % 5 == 0)
        publisher.publish("a/b", b"", 1, retain=True)
        while len(client.messages) < 51:
            client.ping()
        client.ping()
        client.unsubscribe("a/#")
        publisher.disconnect()
        client.disconnect()
        assert broker.stop() == 0
    assert not path.with_name("state-wal").exists()
    with sqlite3.connect(path) as db:
        for table in ("subscription", "delivery", "received", "message", "retained", "will"):
            assert db.execute(f"SELECT * FROM {table}").fetchall() == [], table
        assert db.execute("SELECT count(*) FROM session").fetchone() == (2,)
    db.close()


@pytest.mark.parametrize("end", ["stop", "kill"])
def test_a_session_of_many_filters_ends_in_portions_and_leaves_no_rows(path, end):
    """While other loops publish to it."""
    kept, filters = [Client(f"s{i}") for i in range(4)], [f"a/{i}" for i in range(4000)]
    with StateBroker(path, "--threads", 3) as broker:
        publishers = [Client(f"p{i}", clean=True) for i in range(6)]
        for client in kept:
            client.connect(broker.port)
            client.subscribe_all(filters, 1)
            client.disconnect()
        for publisher in publishers:
            publisher.connect(broker.port)
        for client in kept:
            client.clean = True
            for i in range(0, 4000, 40):
                publishers[i % 6].publish(f"a/{i}", b"x", 1, wait=False)
            client.connect(broker.port)
            client.disconnect()
        for publisher in publishers:
            publisher.finish()
        getattr(broker, end)()
    with StateBroker(path) as broker:   # after a kill it is the next one that forgets the rest
        assert broker.port and broker.stop() == 0
    with sqlite3.connect(path) as db:
        for table in ("session", "subscription", "delivery", "message"):
            assert db.execute(f"SELECT * FROM {table}").fetchall() == [], table
    db.close()


def received(sock):
    """Waits until the other end's kernel has all that was sent."""
    unsent = array.array("i", [1])
    deadline = time.monotonic() + GUARD_S
    while unsent[0]:
        fcntl.ioctl(sock, termios.TIOCOUTQ, unsent)
        assert time.monotonic() < deadline


@pytest.mark.parametrize("threads", [1, 3])
def test_what_had_come_before_the_order_to_stop_counts(path, threads):
    """The broker is held when the bytes come, so that it has read none of them when it gets SIGTERM."""
    with StateBroker(path, "--threads", threads) as broker:
        kept = [Client(f"s{i}") for i in range(4)]
        for client in kept:
            client.connect(broker.port)
            client.subscribe("a", 1)
            client.disconnect()
        publishers = [Client(f"p{i}") for i in range(6)]
        for publisher in publishers:
            publisher.connect(broker.port, will=("w", b"x", 1, True))
        broker.process.send_signal(signal.SIGSTOP)
        for at, publisher in enumerate(publishers):
            for i in range(500):
                publisher.publish("a", b"%d %d" % (at, i), 1, wait=False)
            received(publisher.socket)
            publisher.disconnect()
        broker.process.send_signal(signal.SIGTERM)
        broker.process.send_signal(signal.SIGCONT)
        assert broker.wait() == 0
    with sqlite3.connect(path) as db:
        assert db.execute("SELECT count(*) FROM message").fetchone() == (3000,)
        assert db.execute("SELECT count(*) FROM delivery").fetchone() == (4 * 3000,)
        assert db.execute("SELECT * FROM will").fetchall() == []
    db.close()


def test_a_client_that_takes_no_answers_is_read_to_the_end(path):
    """Its answers do not fit into its socket any more, so it was not read."""
    with StateBroker(path) as broker:
        kept, publisher = Client("s"), Client("p")
        kept.connect(broker.port)
        kept.subscribe("a", 1)
        kept.disconnect()
        publisher.connect(broker.port, will=("w", b"x", 1, True))
        publisher.subscribe("own", 0)
        for _ in range(200):
            publisher.publish("own", b"x" * 65536)
        for i in range(3000):
            publisher.publish("a", b"%d" % i, 1, wait=False)
        received(publisher.socket)
        publisher._send(b"\xe0\0")  # pylint: disable=protected-access
        received(publisher.socket)
        assert broker.stop() == 0
        publisher.drop()
    with sqlite3.connect(path) as db:
        assert db.execute("SELECT count(*) FROM delivery").fetchone() == (3000,)
        assert db.execute("SELECT * FROM will").fetchall() == []
    db.close()


def test_a_copy_of_the_file_and_its_log_is_a_state(path, tmp_path):
    """A crash leaves both. So does a copy for the record."""
    with StateBroker(path) as broker:
        client = Client("s")
        client.connect(broker.port)
        client.subscribe("a", 1)
        client.disconnect()
        broker.kill()
    for name in ("state", "state-wal"):
        shutil.copy(path.with_name(name), tmp_path / name.replace("state", "copy"))
    with StateBroker(tmp_path / "copy") as broker:
        assert Client("s").connect(broker.port)


def crashed(path):
    """A broker that acknowledged messages for a session, and was killed."""
    with StateBroker(path) as broker:
        client, publisher = Client("s"), Client("p")
        client.connect(broker.port)
        client.subscribe("a", 1)
        client.disconnect()
        publisher.connect(broker.port)
        for i in range(20):
            publisher.publish("a", b"%d" % i, 1)
        broker.kill()
    return path.with_name("state-wal")


def started(path, folder):
    """(what a broker said of the state, the anomalies of its record); it ends in order."""
    with StateBroker(path, "--record", folder) as broker:
        assert broker.port and broker.stop() == 0
        said = [line for line in broker.said().splitlines() if ": state: " in line]
    return said, [one["text"] for one in json.loads((folder / "run.json").read_text(encoding="utf-8"))["anomalies"] if one["what"] == "state"]


def test_a_log_that_is_gone_after_a_kill_is_told_once(path, tmp_path):
    crashed(path).unlink()
    said, noted = started(path, tmp_path / "one")
    assert len(said) == 1 and "what it acknowledged last may be missing" in said[0] and noted == [said[0].partition(": state: ")[2]]
    assert started(path, tmp_path / "two") == ([], [])


def test_a_log_that_is_damaged_after_a_kill_is_told(path, tmp_path):
    wal = crashed(path)
    data = bytearray(wal.read_bytes())
    data[len(data) // 2] ^= 255
    wal.write_bytes(data)
    said, noted = started(path, tmp_path / "one")
    assert len(said) == 1 and "is damaged before its end" in said[0] and len(noted) == 1
    assert started(path, tmp_path / "two") == ([], [])
    wal = crashed(path)
    wal.unlink()
    with StateBroker(path) as broker:       # without a record
        assert broker.stop() == 0 and broker.said().count("may be missing") == 1


def test_a_kill_with_its_log_is_told_by_nobody(path, tmp_path):
    crashed(path)
    assert started(path, tmp_path / "one") == ([], [])


@needs_shim
def test_a_full_disk_stops_acknowledgements_and_loses_nothing(path, tmp_path):
    full = tmp_path / "full"
    with StateBroker(path, fail_if=full) as broker:
        client, publisher = Client("s"), Client("p")
        client.connect(broker.port)
        client.subscribe("a", 2)
        client.disconnect()
        publisher.connect(broker.port)
        publisher.publish("a", b"before", 2)
        calm = Client("calm", clean=True)   # nothing of it is in the file
        calm.connect(broker.port)
        calm.subscribe("c", 1)
        full.touch()
        with pytest.raises(Gone):
            publisher.publish("a", b"during", 2)
        assert b"during" not in publisher.accepted
        with pytest.raises(Gone):
            Client("other").connect(broker.port)
        calm.ping()
        late = Client("late", clean=True)
        late.connect(broker.port)
        late.subscribe("d", 0)
        late.publish("c", b"still", 0)
        late.ping()
        calm.ping()
        assert [message.payload for message in calm.messages] == [b"still"]
        other = Client("other", clean=True)
        full.unlink()
        while publisher.socket is None:  # until it can be written again
            with contextlib.suppress(Gone):
                publisher.connect(broker.port)
                publisher.finish()
        publisher.publish("a", b"after", 2)
        other.connect(broker.port)
        assert broker.stop() == 0
        assert broker.said().count("could not be written") == 1
        assert "full" in broker.said()
    with StateBroker(path) as broker:
        client.connect(broker.port)
        client.ping()
        client.ping()
        assert [message.payload for message in client.messages] == [b"before", b"during", b"after"]


def test_the_statistics_tell_of_it(path):
    with StateBroker(path) as broker:
        Client("s").connect(broker.port)
        broker.process.send_signal(signal.SIGUSR1)
        told = {}
        for line in broker.process.stdout:
            if line.startswith("end of statistics"):
                break
            name, *rest = line.split()
            told[name] = rest
        assert int(told["state_transactions"][0]) >= 1 and int(told["state_changes"][0]) >= 1
        assert told["state_failures"][0] == "0"


def test_help_has_it():
    text = subprocess.run([BUILD / "poolmark-broker", "--help"], capture_output=True, text=True, check=True).stdout
    assert "--state FILE" in text and "--state-sync full|normal" in text
