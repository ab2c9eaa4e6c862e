# SPDX-License-Identifier: Apache-2.0
"""A network between namespaces whose delay and loss this process makes, for kernels without netem.

    python3 wire.py DELAY_US LOSS SEED PID...

In the network namespace of each process PID it makes a device eth0 and a device ctl0, and passes frames between the first and between the
second as two switches do: each frame after DELAY_US microseconds, or, with the probability LOSS, never. Frames keep their order. Those of
ctl0 come before those of eth0 when there are more than it can pass. It prints "ready", and at its end (SIGTERM) what it passed, as JSON.
Needs root. A program of its own, without the package: it is started by its path.
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
from collections.abc import Sequence
from types import FrameType

TUNSETIFF, IFF_TAP, IFF_NO_PI = 0x400454CA, 0x0002, 0x1000
CLONE_NEWNET = 0x40000000
DEVICE, CONTROL = "eth0", "ctl0"
FRAME_BYTES = 65_600
TURN_FRAMES = 64        # of one device at a time, so that none waits long for the others
_libc = ctypes.CDLL(None, use_errno=True)


def enter(network: str) -> None:
    with open(network, "rb") as there:
        if _libc.setns(there.fileno(), CLONE_NEWNET) != 0:
            raise OSError(ctypes.get_errno(), f"setns to {network}")


def make_device(pid: int, name: str) -> int:
    """A descriptor of a new device in the network namespace of that process."""
    enter(f"/proc/{pid}/ns/net")
    device = os.open("/dev/net/tun", os.O_RDWR | os.O_NONBLOCK)
    fcntl.ioctl(device, TUNSETIFF, struct.pack("16sH22x", name.encode(), IFF_TAP | IFF_NO_PI))
    enter(f"/proc/{os.getppid()}/ns/net")
    return device


class Wire:
    def __init__(self, devices: list[int], delay_s: float, loss: float, seed: int, control: Sequence[int] = ()) -> None:
        """`control`: devices of a network of their own, which are looked at first."""
        self.devices, self.control, self.delay_s, self.loss = devices, list(control), delay_s, loss
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
        network = self.control if source in self.control else self.devices
        for device in [only] if only is not None else [one for one in network if one != source]:
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
        for device in select.select(self.control + self.devices, [], [], left)[0]:
            self.take(device)

    def end(self, _number: int, _frame: FrameType | None) -> None:
        self.ending = True

    def counts(self) -> dict[str, int]:
        return {"taken": self.taken, "lost": self.lost, "passed": self.passed, "refused": self.refused}


def main(argv: list[str]) -> None:
    delay_us, loss, seed = float(argv[0]), float(argv[1]), int(argv[2])
    devices, control = ([make_device(int(pid), name) for pid in argv[3:]] for name in (DEVICE, CONTROL))
    wire = Wire(devices, delay_us * 1e-6, loss, seed, control)
    signal.signal(signal.SIGTERM, wire.end)
    print("ready", flush=True)
    while not wire.ending:
        wire.turn()
    print(json.dumps(wire.counts()), flush=True)


if __name__ == "__main__":
    main(sys.argv[1:])
