# SPDX-License-Identifier: Apache-2.0
"""scripts/poolmark attack NAME --target mqtt://127.0.0.1:PORT: makes one attack on a broker of one's own, round after round.

It prints "ready" when the attack begins, and at its end one line of JSON: attack, rounds, connections, sent_bytes, refused. It ends after
--for, or by SIGTERM or SIGINT. Suite `attack` starts it beside the load (run/attacker.py).
"""
import argparse
import contextlib
import json
import resource
import signal
import time
from collections.abc import Callable
from types import FrameType

from poolmark.attack.attacks import ATTACKS, about
from poolmark.attack.broker import Broker
from poolmark.base.errors import PoolmarkError, UsageError
from poolmark.base.faults import nearest
from poolmark.base.options import span

PAUSE_S = 0.1       # between rounds: the attack costs the host little, so that others are slowed by the broker alone
LONGEST_S = 86_400.0


class Stopped(Exception):
    """A signal asked for the end."""


def stop(_number: int, _frame: FrameType | None) -> None:
    raise Stopped


def raise_descriptor_limit() -> None:
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    with contextlib.suppress(OSError, ValueError):
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


def make(name: str, broker: Broker, seconds: float, ready: Callable[[], None]) -> None:
    """Makes the attack for so long. `ready()` is called when it is prepared. Counts are in `broker.tally`."""
    with contextlib.closing(ATTACKS[name](broker)) as rounds:
        next(rounds)
        ready()
        until = time.monotonic() + seconds
        while time.monotonic() < until:
            next(rounds)
            broker.tally.rounds += 1
            time.sleep(PAUSE_S)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("name", nargs="?", metavar="NAME", help=f"one of: {', '.join(ATTACKS)}")
    parser.add_argument("--list", action="store_true", help="say what each attack is, and end")
    parser.add_argument("--target", metavar="URI", help="mqtt://ADDRESS:PORT; a broker of one's own, on the loopback")
    parser.add_argument("--for", dest="seconds", type=span(0.1, LONGEST_S), default=LONGEST_S, metavar="D",
                        help="ends after so long: 10s, 5m (by a signal)")


def run(args: argparse.Namespace) -> int:
    if args.list:
        for name in ATTACKS:
            print(f"{name}: {about(name)}")
        return 0
    if args.name is None:
        raise UsageError(f"name an attack: {', '.join(ATTACKS)}")
    if args.name not in ATTACKS:
        raise UsageError(f"there is no attack {args.name!r}" + nearest(args.name, ATTACKS))
    if not args.target:
        raise UsageError("no --target: name the broker, as mqtt://127.0.0.1:1883")
    broker = Broker(args.target)
    raise_descriptor_limit()
    with contextlib.suppress(Stopped):
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
            signal.signal(number, stop)
        try:
            make(args.name, broker, args.seconds, lambda: print("ready", flush=True))
        except OSError as error:    # of this process, such as no more descriptors: what the broker does is counted
            raise PoolmarkError(f"{args.name}: {error.strerror}") from error
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    print(json.dumps({"attack": args.name, **broker.tally.as_dict()}), flush=True)
    if broker.tally.connections and not broker.is_reached:
        raise PoolmarkError(f"{args.name}: no connection was made; is there a broker at {args.target}?")
    return 0
