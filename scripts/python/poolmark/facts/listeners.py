# SPDX-License-Identifier: Apache-2.0
"""How many connects wait in a listening socket at most (its backlog): as the kernel has it, whatever the program asked for."""
import socket
import struct

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
