# SPDX-License-Identifier: Apache-2.0
"""A target with MIB MiB of memory that answers CONNECT and PINGREQ, and does something with its memory or its program. Prints its port and
the pid of its child (0: none).

    python3 forking_target.py fork MIB      forks once: a helper, which serves nobody and shares all memory with it
    python3 forking_target.py free MIB      gives the memory back with MADV_FREE before it listens
    python3 forking_target.py sleep MIB     executes sleep(1), 0.3 s after CLIENTS clients have connected; sockets stay open
    python3 forking_target.py anew MIB      executes itself anew at that time, and goes on
"""
import contextlib
import mmap
import os
import select
import shutil
import signal
import socket
import sys
import time

CLIENTS, WAIT_S, PAGE = 60, 0.3, 4096
ANSWERS = {0x10: bytes((0x20, 2, 0, 0)), 0xC0: bytes((0xD0, 0))}


def serve(listener, clients, at_all=None):
    """Until `at_all` has been called."""
    since = None
    while True:
        timeout = None if since is None else max(0.0, since + WAIT_S - time.monotonic())
        for one in select.select([listener, *clients], [], [], timeout)[0]:
            if one is listener:
                clients.append(listener.accept()[0])
                continue
            with contextlib.suppress(OSError):
                if data := one.recv(4096):
                    one.sendall(ANSWERS.get(data[0], b""))
                    continue
            clients.remove(one)
            one.close()
        if at_all and since is None and len(clients) >= CLIENTS:
            since = time.monotonic()
        if since is not None and time.monotonic() >= since + WAIT_S:
            at_all(listener, clients)


def execute(how):
    def run(listener, clients):
        for one in (listener, *clients):
            one.setblocking(True)
            os.set_inheritable(one.fileno(), True)
        if how == "sleep":
            os.execv(shutil.which("sleep"), ["sleep", "60"])
        os.execv(sys.executable, [sys.executable, __file__, "go-on", *(str(one.fileno()) for one in (listener, *clients))])
    return run


def main(how, size):
    memory = mmap.mmap(-1, size << 20, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
    for at in range(0, len(memory), PAGE):
        memory[at] = 1
    listener, child = socket.create_server(("127.0.0.1", 0), backlog=256), 0
    if how == "free":
        memory.madvise(mmap.MADV_FREE)
    if how == "fork" and (child := os.fork()) == 0:
        listener.close()
        signal.pause()
    print(listener.getsockname()[1], child, flush=True)
    serve(listener, [], execute(how) if how in ("sleep", "anew") else None)


if sys.argv[1] == "go-on":
    first, *others = (socket.socket(fileno=int(word)) for word in sys.argv[2:])
    serve(first, others)
else:
    main(sys.argv[1], int(sys.argv[2]))
