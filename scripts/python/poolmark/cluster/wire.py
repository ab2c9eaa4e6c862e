# SPDX-License-Identifier: Apache-2.0
"""A network between namespaces whose delay and loss this process makes, for kernels without netem.

    python3 wire.py DELAY_US LOSS SEED PID...

In the network namespace of each process PID it makes a device eth0, and passes frames between them as a switch does: each frame after
DELAY_US microseconds, or, with the probability LOSS, never. Frames keep their order. It prints "ready", and at its end (SIGTERM) what it
passed, as JSON. Needs root. A program of its own, without the package: it is started by its path.
"""
import collections
import ctypes
import fcntl
import json
import os
import random
import select
import signal
import struct
import sys
import time
from types import FrameType

TUNSETIFF, IFF_TAP, IFF_NO_PI = 0x400454CA, 0x0002, 0x1000
CLONE_NEWNET = 0x40000000
DEVICE = "eth0"
FRAME_BYTES = 65_600
TURN_FRAMES = 64        # of one device at a time, so that none waits long for the others
_libc = ctypes.CDLL(None, use_errno=True)


def enter(network: str) -> None:
    with open(network, "rb") as there:
        if _libc.setns(there.fileno(), CLONE_NEWNET) != 0:
            raise OSError(ctypes.get_errno(), f"setns to {network}")


def make_device(pid: int) -> int:
    """A descriptor of a new device in the network namespace of that process."""
    enter(f"/proc/{pid}/ns/net")
    device = os.open("/dev/net/tun", os.O_RDWR | os.O_NONBLOCK)
    fcntl.ioctl(device, TUNSETIFF, struct.pack("16sH22x", DEVICE.encode(), IFF_TAP | IFF_NO_PI))
    enter(f"/proc/{os.getppid()}/ns/net")
    return device


class Wire:
    def __init__(self, devices: list[int], delay_s: float, loss: float, seed: int) -> None:
        self.devices, self.delay_s, self.loss = devices, delay_s, loss
        self.random = random.Random(seed)
        self.at: dict[bytes, int] = {}              # address of a card -> its device
        self.way: collections.deque[tuple[float, bytes, int]] = collections.deque()    # (when due, frame, from which device)
        self.taken = self.lost = self.passed = self.refused = 0
        self.ending = False

    def take(self, device: int) -> None:
        for _ in range(TURN_FRAMES):
            try:
                frame = os.read(device, FRAME_BYTES)
            except BlockingIOError:
                return
            except OSError:     # its link is down: EIO
                return
            self.at[frame[6:12]] = device
            self.taken += 1
            if self.loss and self.random.random() < self.loss:
                self.lost += 1
            else:
                self.way.append((time.monotonic() + self.delay_s, frame, device))

    def give(self, frame: bytes, source: int) -> None:
        """To the device whose address it has; to all others where none is known, or it is for all."""
        only = self.at.get(frame[:6])
        for device in [only] if only is not None else [one for one in self.devices if one != source]:
            try:
                os.write(device, frame)
                self.passed += 1
            except OSError:     # its link is down, or it has no room
                self.refused += 1

    def turn(self) -> None:
        now = time.monotonic()
        while self.way and self.way[0][0] <= now:
            _, frame, source = self.way.popleft()
            self.give(frame, source)
        left = max(0.0, self.way[0][0] - time.monotonic()) if self.way else 1.0
        for device in select.select(self.devices, [], [], left)[0]:
            self.take(device)

    def end(self, _number: int, _frame: FrameType | None) -> None:
        self.ending = True

    def counts(self) -> dict[str, int]:
        return {"taken": self.taken, "lost": self.lost, "passed": self.passed, "refused": self.refused}


def main(argv: list[str]) -> None:
    delay_us, loss, seed = float(argv[0]), float(argv[1]), int(argv[2])
    wire = Wire([make_device(int(pid)) for pid in argv[3:]], delay_us * 1e-6, loss, seed)
    signal.signal(signal.SIGTERM, wire.end)
    print("ready", flush=True)
    while not wire.ending:
        wire.turn()
    print(json.dumps(wire.counts()), flush=True)


if __name__ == "__main__":
    main(sys.argv[1:])
