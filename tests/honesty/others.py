# SPDX-License-Identifier: Apache-2.0
"""Other programs at the target of a run: clients without a library, and a network namespace in which no others connect.

    from others import client_of, own_network, packet, text        # own_network: a fixture for every test of the file
"""
import contextlib
import ctypes
import os
import socket
import subprocess

import pytest
from commands import poolmark


@pytest.fixture(autouse=True)
def own_network():
    """Root has a network namespace of its own, where no other program connects."""
    if os.geteuid() != 0:
        yield
        return
    libc = ctypes.CDLL(None, use_errno=True)
    before = os.open("/proc/thread-self/ns/net", os.O_RDONLY)
    if libc.unshare(0x40000000) != 0:  # CLONE_NEWNET
        os.close(before)
        yield
        return
    subprocess.run(["ip", "link", "set", "lo", "up"], check=True)
    try:
        yield
    finally:
        assert libc.setns(before, 0x40000000) == 0
        os.close(before)


def is_verified(folder):
    done = poolmark("verify", folder)
    return done.returncode == 0, done.stdout


def packet(kind, body):
    length = b""
    left = len(body)
    while True:
        left, digit = divmod(left, 128)
        length += bytes([digit | (0x80 if left else 0)])
        if not left:
            return bytes([kind]) + length + body


def text(value):
    return len(value).to_bytes(2, "big") + value


@contextlib.contextmanager
def client_of(port, name):
    """A client that has connected."""
    with socket.create_connection(("127.0.0.1", port)) as client:
        client.sendall(packet(0x10, text(b"MQTT") + b"\x04\x02\0\0" + text(name)))
        assert client.recv(4) == b"\x20\x02\0\0"
        yield client
