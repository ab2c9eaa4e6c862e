# SPDX-License-Identifier: Apache-2.0
"""poolmark-broker with a state file, for tests: it is killed, at any write if need be, and its disk fails.

    with StateBroker(path) as broker:
        Client("s").connect(broker.port)
        broker.kill()
"""
import os
import signal
import subprocess

from mqtt_client import Client
from poolmark.base.paths import build_dir

BUILD = build_dir()
SHIM = BUILD / "tests/plugins/kill-at.so"
GUARD_S = 60  # only a hanging broker reaches it


def run_broker(*arguments):
    """A broker that is expected to end by itself: exit code, and what it says on stderr."""
    done = subprocess.run([BUILD / "poolmark-broker", "--listen", "127.0.0.1:0", *map(str, arguments)], stdin=subprocess.DEVNULL,
                          capture_output=True, text=True, timeout=GUARD_S)
    return done.returncode, done.stderr


class StateBroker:
    """Waits until it is ready, or has ended (`port` is None). `kill_at`, `how`, `fail_if`: tests/plugins/kill_at.c."""

    def __init__(self, path, *arguments, kill_at=None, how="before", fail_if=None):
        env = dict(os.environ)
        if kill_at or fail_if:
            env |= {"LD_PRELOAD": str(SHIM), "POOLMARK_KILL_FILE": str(path), "POOLMARK_KILL_HOW": how}
        if kill_at:
            env["POOLMARK_KILL_AT"] = str(kill_at)
        if fail_if:
            env["POOLMARK_FAIL_IF"] = str(fail_if)
        self.errors = open(path.with_name(f"stderr of {path.name}"), "wb")  # pylint: disable=consider-using-with
        self.process = subprocess.Popen(
            [BUILD / "poolmark-broker", "--listen", "127.0.0.1:0", "--state", path, *map(str, arguments)], stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE, stderr=self.errors, text=True, env=env)
        self.port = None
        for line in self.process.stdout:
            if line.startswith("listening "):
                self.port = int(line.rsplit(":", 1)[1])
            if line == "ready\n":
                return
        self.port = None

    def said(self):
        with open(self.errors.name, encoding="utf-8") as told:
            return told.read()

    def wait(self):
        """The exit code, or minus the signal that ended it."""
        return self.process.wait(GUARD_S)

    def kill(self):
        self.process.kill()
        return self.wait()

    def stop(self):
        self.process.send_signal(signal.SIGTERM)
        return self.wait()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        if self.process.poll() is None:
            self.process.terminate()
        try:
            self.wait()
        except subprocess.TimeoutExpired:
            self.kill()
        self.process.stdout.close()
        self.errors.close()


def filled(path):
    """A file with a session that waits for messages."""
    with StateBroker(path) as broker:
        client, publisher = Client("s"), Client("p", clean=True)
        client.connect(broker.port)
        client.subscribe("a/#", 2)
        client.disconnect()
        publisher.connect(broker.port)
        for i in range(200):
            publisher.publish(f"a/{i}", b"x" * 100, 1, retain=True)
        publisher.disconnect()
        assert broker.stop() == 0
    return path
