# SPDX-License-Identifier: Apache-2.0
"""What a capacity question asks for: its options, in the units that people write.

    300k, 1M              connections: thousands, millions
    15k, 15KB, 15KiB      bytes: k and KB are 1 000, KiB is 1 024
    20k/s, 1.2M/min       a second, a minute
    20ms, 1.5s            a time; with its unit, since 20 could be either
    20%                   a share; with its sign, since 0.2 could be either

For a wrong value argparse names the option, and the type names the value and the bounds. Exit code 2.
"""
import argparse
import math
import re
from collections.abc import Callable
from dataclasses import dataclass, field

from poolmark.base.forms import Json
from poolmark.base.errors import UsageError
from poolmark.base.faults import nearest
from poolmark.base.options import MOST_CONNECTIONS, count
from poolmark.base.units import NUMBER, parse_bytes, parse_seconds, show_bytes, show_count, show_ns

KB = {"k": 1000, "K": 1000, "M": 10**6, "G": 10**9, "T": 10**12}
PER_S = {"": 1.0, "/s": 1.0, "/min": 60.0, "/h": 3600.0}
MOST_RATE = 1e9
MOST_BYTES = 1 << 40
WHAT_IF = ("shape", "strategy")


@dataclass(frozen=True)
class Asked:
    connections: int | None = None
    rate: float | None = None           # messages a second
    connects: float | None = None       # a second
    p99_ns: float | None = None
    each_bytes: int | None = None       # user memory that a connection of the asker's server holds
    each_text: str = ""                 # as it was written
    reserve: float = 0.0                # share of a host that is to stay free
    cores: int | None = None            # of one host
    memory_bytes: int | None = None     # of one host
    sources: int | None = None          # addresses that the clients come from
    spare_bytes: int = 256 << 20        # of a host, left to the system
    qos: int = 0
    strategy: str | None = None
    shape: str | None = None
    what_if: Json = field(default_factory=dict)


def _bounds_of(kind: str, text: str, value: float, low: float, high: float, show: Callable[[float], str]) -> float:
    if not low <= value <= high:
        raise argparse.ArgumentTypeError(f"{text!r} is out of bounds; {kind} may be {show(low)} to {show(high)}")
    return value


def _refuse(text: str, what: str, examples: str) -> argparse.ArgumentTypeError:
    return argparse.ArgumentTypeError(f"{text!r} is not {what}; examples: {examples}")


def rate(text: str) -> float:
    """20k/s, 20000, 1.2M/min, as a rate a second."""
    match = re.fullmatch(rf"{NUMBER}([kKMG]?)(/\w+)?", text.strip().replace("_", ""))
    if not match or (match[3] or "") not in PER_S:
        raise _refuse(text, "a rate", "20k/s, 1500, 1.2M/min")
    value = float(match[1]) * {"": 1, **KB}[match[2]] / PER_S[match[3] or ""]
    return _bounds_of("a rate", text, value, 0.001, MOST_RATE, lambda one: f"{show_count(one)}/s" if one >= 1 else f"{one:g}/s")


def percent(text: str) -> float:
    """20% as 0.2."""
    match = re.fullmatch(rf"{NUMBER}\s*%", text.strip())
    if not match:
        raise _refuse(text, "a percentage", "20%, 12.5%")
    return _bounds_of("the reserve", text, float(match[1]), 0, 90, lambda one: f"{one:g}%") / 100


def latency(text: str) -> float:
    """20ms, in ns."""
    if not re.search(r"[a-z]", text):
        raise _refuse(text, "a time with its unit", "20ms, 500us, 1.5s")
    try:
        value = 1e9 * parse_seconds(text)
    except UsageError as error:
        raise argparse.ArgumentTypeError(str(error)) from None
    return _bounds_of("a latency", text, value, 1, 3600e9, show_ns)


@dataclass(frozen=True)
class Bytes:
    value: int
    text: str


def each(text: str) -> Bytes:
    """Bytes of a connection: 15k, 15KB, 15KiB, 15000."""
    match = re.fullmatch(rf"{NUMBER}([kKMG])", text.strip().replace("_", ""))
    try:
        value = int(float(match[1]) * KB[match[2]]) if match else parse_bytes(text)
    except UsageError:
        raise _refuse(text, "a number of bytes", "15k (15 000), 15KB (15 000), 15KiB (15 360)") from None
    return Bytes(int(_bounds_of("a connection", text, value, 1, MOST_BYTES, show_bytes)), text)


def host_memory(text: str) -> int:
    """Memory of a host: 32GiB, 64GB, 32G (as GB)."""
    return int(_bounds_of("memory", text, each(text).value, 1 << 20, MOST_BYTES, show_bytes))


def whole(text: str) -> int:
    """300k. Connections are whole."""
    return count(1, MOST_CONNECTIONS)(text)


def memory_words(asked: Asked) -> str:
    """What the bytes of a connection were taken for: "15k is 15 000 B (KB of 1 000; 15KiB would be 15 360 B)". "" without."""
    if asked.each_bytes is None:
        return ""
    match = re.fullmatch(rf"{NUMBER}([kKMG])B?", asked.each_text.strip())
    told = f"{asked.each_text} is {show_count(asked.each_bytes)} B"
    if not match:
        return told
    letter = match[2].upper()
    other = int(float(match[1]) * 1024 ** ("KMG".index(letter) + 1))
    return f"{told} ({letter}B of {show_count(KB[letter])}; {match[1]}{letter}iB would be {show_count(other)} B)"


def what_if(text: str) -> tuple[str, str]:
    key, equals, value = text.partition("=")
    if not equals or not value or key not in WHAT_IF:
        raise argparse.ArgumentTypeError(f"{text!r}: it takes shape=NAME or strategy=NAME" + nearest(key, WHAT_IF))
    return key, value


def add_arguments(parser: argparse.ArgumentParser) -> None:
    need = parser.add_argument_group("what do I need?", "Name the need, and it is answered from the runs, or from the committed ones.")
    need.add_argument("--connections", type=whole, metavar="N", help="connections at the same time: 300k")
    need.add_argument("--rate", type=rate, metavar="RATE", help="messages a second, each to one subscriber: 20k/s")
    need.add_argument("--connects", type=rate, metavar="RATE", help="connects a second, all the time: 500/s")
    need.add_argument("--p99", type=latency, metavar="TIME", help="bound on the p99 of deliveries at that rate: 20ms")
    need.add_argument("--bytes", type=each, metavar="BYTES",
                      help="user memory that a connection of your server holds: 15k (15 000), 15KiB (15 360); without it, as the broker "
                           "that was measured")
    need.add_argument("--reserve", type=percent, default=0.0, metavar="PERCENT", help="of each host, to stay free: 20%% (0%%)")
    need.add_argument("--cores", type=count(1, 4096), metavar="N", help="of one host (as the measured one)")
    need.add_argument("--memory", type=host_memory, metavar="BYTES", help="of one host: 32GiB, 64GB (as the measured one)")
    need.add_argument("--sources", type=count(1, MOST_CONNECTIONS), metavar="N",
                      help="addresses that the clients come from, where proxies make that few: then ports are a limit")
    need.add_argument("--qos", type=count(0, 2), metavar="N", help="of the messages: 0 to 2 (0)")
    need.add_argument("--strategy", metavar="NAME", help="of the cells to answer by (of the committed runs: slab)")
    need.add_argument("--shape", metavar="NAME", help="of the cells to answer by (of the committed runs: lean)")
    need.add_argument("--what-if", type=what_if, action="append", default=[], metavar="KEY=VALUE",
                      help="memory for a shape or strategy that was not measured, by account: shape=classic, strategy=expand; several times")
    need.add_argument("--chart", metavar="FILE", help="draw the answer as SVG: answer.svg")


# Options that need another beside them: (option, one of these).
NEED_ANOTHER = (("p99", ("rate",)), ("bytes", ("connections",)), ("sources", ("connections",)), ("what_if", ("connections",)),
                ("qos", ("rate",)))
OF_A_QUESTION = ("p99", "bytes", "sources", "what_if", "qos", "cores", "memory", "strategy", "shape", "chart")


def is_asked(args: argparse.Namespace) -> bool:
    """Whether the call asks what is needed. UsageError for options of a question without a question."""
    def given(name: str) -> bool:
        return getattr(args, name, None) not in (None, [], False)

    if given("connections") or given("rate") or given("connects"):
        for name, others in NEED_ANOTHER:
            if given(name) and not any(map(given, others)):
                raise UsageError(f"--{name.replace('_', '-')} needs --{others[0]} beside it")
        return True
    alone = next((name for name in OF_A_QUESTION if given(name)), "reserve" if getattr(args, "reserve", 0.0) else None)
    if alone:
        raise UsageError(f"--{alone.replace('_', '-')}: of what? say what is needed: --connections 300k, --rate 20k/s")
    return False


def asked_of(args: argparse.Namespace) -> Asked:
    """UsageError when one key of --what-if is given twice."""
    given: dict[str, str] = {}
    for key, value in args.what_if:
        if key in given:
            raise UsageError(f"--what-if {key}: is given twice, as {given[key]!r} and {value!r}")
        given[key] = value
    return Asked(connections=args.connections, rate=args.rate, connects=args.connects, p99_ns=args.p99,
                 each_bytes=args.bytes.value if args.bytes else None, each_text=args.bytes.text if args.bytes else "",
                 reserve=args.reserve, cores=args.cores, memory_bytes=args.memory, sources=args.sources, spare_bytes=args.spare,
                 qos=args.qos or 0, strategy=args.strategy, shape=args.shape, what_if=given)


def words(asked: Asked) -> str:
    """The question in words."""
    parts = []
    if asked.connections is not None:
        parts.append(f"{show_count(asked.connections)} connections"
                     + (f" of {show_count(asked.each_bytes)} B" if asked.each_bytes is not None else ""))
    if asked.rate is not None:
        parts.append(f"{show_rate(asked.rate)} messages at QoS {asked.qos}")
    if asked.connects is not None:
        parts.append(f"{show_rate(asked.connects)} connects")
    if asked.p99_ns is not None:
        parts.append(f"p99 of deliveries at most {show_ns(asked.p99_ns)}")
    if asked.reserve:
        parts.append(f"{100 * asked.reserve:g} % of each host free")
    return ", ".join(parts)


def show_rate(value: float | None) -> str:
    """20 000/s; 0.5/s."""
    return "-" if value is None or not math.isfinite(value) else f"{show_count(value)}/s" if value >= 10 else f"{value:.3g}/s"
