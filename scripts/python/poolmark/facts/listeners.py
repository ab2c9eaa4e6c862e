# SPDX-License-Identifier: Apache-2.0
"""Listening sockets: how many connects wait in one at most (its backlog, as the kernel has it, whatever the program asked for), and whose they are."""
import contextlib
import os
import socket
import struct
from collections.abc import Iterable
from pathlib import Path
from urllib.parse import urlsplit

from poolmark.facts import proc_files

SOCK_DIAG_BY_FAMILY, DUMP, DONE, ERROR = 20, 0x301, 3, 2     # linux/sock_diag.h, linux/netlink.h; NLM_F_REQUEST | NLM_F_DUMP
LISTEN = 10                     # the state of a socket, include/net/tcp_states.h
HEAD, PORT, BACKLOG = 16, 4, 60  # of a message; of the port and of the backlog in linux/inet_diag.h, inet_diag_msg


def _messages(kernel: socket.socket) -> list[bytes]:
    """The bodies of all answers."""
    found: list[bytes] = []
    while True:
        data = kernel.recv(1 << 16)
        while len(data) >= HEAD:
            size, kind = struct.unpack_from("=IH", data)
            if kind in (DONE, ERROR) or size < HEAD:
                return found
            found.append(data[HEAD:size])
            data = data[(size + 3) & ~3:]


def backlog(port: int) -> int | None:
    """Of the listener on this TCP port (IPv4) of this network namespace, the smallest of several; None when there is none, or the kernel
    does not say."""
    request = struct.pack("=BBBxI48x", socket.AF_INET, socket.IPPROTO_TCP, 0, 1 << LISTEN)
    try:
        with socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, 4) as kernel:    # NETLINK_SOCK_DIAG
            kernel.settimeout(5)
            kernel.send(struct.pack("=IHHII", HEAD + len(request), SOCK_DIAG_BY_FAMILY, DUMP, 1, 0) + request)
            bodies = _messages(kernel)
    except OSError:
        return None
    return min((struct.unpack_from("=I", body, BACKLOG)[0] for body in bodies
                if len(body) >= BACKLOG + 4 and struct.unpack_from(">H", body, PORT)[0] == port), default=None)


# Programs that hand connections on to another process: their own CPU time says little of the target's.
FORWARDERS = ("docker-proxy", "rootlessport", "slirp4netns", "sshd", "ssh", "haproxy", "nginx", "envoy", "socat", "kubectl")


def _is_here(host: str) -> bool:
    """Whether this host has the address: then a socket can be bound to it."""
    with contextlib.suppress(OSError, UnicodeError):
        for family, _, _, _, address in socket.getaddrinfo(host, None, type=socket.SOCK_DGRAM):
            with contextlib.suppress(OSError), socket.socket(family, socket.SOCK_DGRAM) as probe:
                probe.bind((address[0], 0))
                return True
    return False


def _inodes(ports: set[int]) -> set[str]:
    """Of the sockets of this network namespace that listen on these ports."""
    rows = [line.split() for name in ("tcp", "tcp6") for line in (proc_files.read_text(f"/proc/net/{name}") or "").splitlines()[1:]]
    return {row[9] for row in rows if len(row) > 9 and row[3] == f"{LISTEN:02X}" and int(row[1].rpartition(":")[2], 16) in ports}


def _holders(inodes: set[str]) -> tuple[set[int], set[str]]:
    """(processes that have such a socket, the sockets that they have)."""
    wanted, pids, seen = {f"socket:[{one}]" for one in inodes}, set[int](), set[str]()
    for folder in Path("/proc").glob("[0-9]*/fd"):
        with contextlib.suppress(OSError):
            for name in os.listdir(folder):
                with contextlib.suppress(OSError):
                    if (link := os.readlink(folder / name)) in wanted:
                        pids.add(int(folder.parent.name))
                        seen.add(link)
    return pids, {one[8:-1] for one in seen}


def owners(urls: Iterable[str]) -> list[int] | None:
    """The processes of this host that listen at these addresses; [] where all are of other hosts. None: one is of this host and its process
    cannot be seen, or only hands connections on."""
    parts = [urlsplit(url) for url in urls]
    ports = {one.port or 1883 for one in parts if one.hostname and _is_here(one.hostname)}
    if not ports:
        return []
    inodes = _inodes(ports)
    pids, seen = _holders(inodes)
    if not inodes or seen != inodes or any((proc_files.read_text(f"/proc/{pid}/comm") or "").strip() in FORWARDERS for pid in pids):
        return None
    return sorted(pids)
