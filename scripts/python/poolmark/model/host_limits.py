# SPDX-License-Identifier: Apache-2.0
"""What one host's limits carry: memory, CPU, descriptors, ports, TCP memory. Each with its arithmetic, and the command that mends it.

Settings are those of the measured host, as its record has them. Those that the kernel sets by the size of memory (fs.file-max, tcp_mem)
are scaled to the memory that was asked for.
"""
import math
from dataclasses import dataclass

from poolmark.base.forms import Json
from poolmark.base.units import show_bytes, show_count
from poolmark.facts.plan import RESERVE

# As facts/host.py, for a server's end alone: one connection in ten has a segment under way, an idle one holds no page.
TCP_BASE_PAGES, TCP_PAGES_EACH = 16_384, 0.1
FILES_OF_ELSE = 10_000
MOST_DESCRIPTORS = 1_048_576
MOST_PORTS = 65_535 - 1_024 + 1
ALL_PORTS = "1024 65535"

MEASURED, FORECAST, COMPUTED, SETTING, UNKNOWN = "in the range measured", "forecast", "computed", "setting", "not known"


@dataclass(frozen=True)
class Limit:
    """One limit of a host. `carries` is in `unit`; `share`: the same as a multiple of the need (below 1: one host is too few)."""
    name: str
    carries: float | None
    unit: str                   # "connections", "messages/s" or "connects/s"
    share: float | None
    arithmetic: str
    known: str
    mend: str
    low: float | None = None
    high: float | None = None

    @property
    def is_setting(self) -> bool:
        return self.known == SETTING


def _int(value: object) -> int | None:
    return value if isinstance(value, int) and not isinstance(value, bool) and value > 0 else None


def _pair(value: object, places: int) -> list[int] | None:
    return value if isinstance(value, list) and len(value) == places and all(_int(one) for one in value) else None


def _not_recorded(name: str, where: str, look: str) -> Limit:
    """`look`: the command that shows it on the host."""
    return Limit(name, None, "connections", None, f"{where} is not in the record (a container's network does not show every limit of its machine), so "
                 f"this limit is not judged; on the host: {look}", UNKNOWN, "-")


def _setting(name: str, carries: float, connections: int | None, arithmetic: str, mend: str) -> Limit:
    carries = max(0.0, float(math.floor(carries)))
    share = carries / connections if connections else None
    return Limit(name, carries, "connections", share, arithmetic, SETTING, mend if share is None or share < 1 else "-")


def descriptors(limits: Json, connections: int | None) -> Limit:
    found = _int(limits.get("nofile_hard"))
    if found is None:
        return _not_recorded("descriptors of a process", "limits.nofile_hard", "ulimit -Hn")
    room = max(0, found - RESERVE)
    text = f"{show_count(found)} - {RESERVE} for all else = {show_count(room)} connections a process"
    if connections and room:
        text += f"; {show_count(connections)} take {show_count(math.ceil(connections / room))} processes"
    wanted = max(MOST_DESCRIPTORS, (connections or 0) + RESERVE)
    mend = f"LimitNOFILE={wanted} of the service, or ulimit -Hn {wanted} as root"
    if wanted > MOST_DESCRIPTORS:
        mend += f", after sudo sysctl -w fs.nr_open={wanted}"
    return _setting("descriptors of a process", room, connections, text, mend + "; or several processes")


def open_files(limits: Json, scale: float, connections: int | None) -> Limit:
    found = _int(limits.get("file_max"))
    if found is None:
        return _not_recorded("open files of the host", "limits.file_max", "sysctl fs.file-max")
    most = min(found, 1 << 62) if found >= 1 << 50 else round(found * scale)    # a system that sets no bound writes 2^63 - 1
    text = f"{show_count(most)} - {show_count(FILES_OF_ELSE)} for all else, one a connection"
    return _setting("open files of the host", most - FILES_OF_ELSE, connections, text,
                    f"sudo sysctl -w fs.file-max={(connections or 0) + FILES_OF_ELSE}")


def ports(limits: Json, sources: int | None, connections: int | None) -> Limit:
    found = _pair(limits.get("port_range"), 2)
    if found is None or found[1] < found[0]:
        return _not_recorded("ports of the clients", "limits.port_range", "sysctl net.ipv4.ip_local_port_range")
    each = found[1] - found[0] + 1
    text = f"{found[1]} - {found[0]} + 1 = {show_count(each)} from one address to one (address, port)"
    if sources is None:
        if connections:
            text += f"; clients behind proxies: {show_count(math.ceil(connections / each))} addresses, or as many listening ports"
        return Limit("ports of the clients", float(each), "connections", None, text, SETTING,
                     "no limit where clients have addresses of their own; otherwise --sources N says how many there are")
    total = each * sources
    text += f", x {show_count(sources)} {'address' if sources == 1 else 'addresses'}"
    more = math.ceil((connections or 0) / (MOST_PORTS * sources))
    return _setting("ports of the clients", total, connections, text, f'sudo sysctl -w net.ipv4.ip_local_port_range="{ALL_PORTS}" on the '
                    + ("clients' hosts" if more <= 1 else f"clients' hosts, and {show_count(more)} listening ports"))


def tcp_memory(limits: Json, scale: float, connections: int | None) -> Limit:
    found = _pair(limits.get("tcp_mem_pages"), 3)
    if found is None:
        return _not_recorded("TCP memory (tcp_mem)", "limits.tcp_mem_pages", "sysctl net.ipv4.tcp_mem")
    most = round(found[2] * scale)
    text = (f"({show_count(most)} - {show_count(TCP_BASE_PAGES)}) pages / {TCP_PAGES_EACH}: 1 connection in 10 has a segment under way; a slow "
            "reader takes up to 1 000 pages")
    need = TCP_BASE_PAGES + math.ceil((connections or 0) * TCP_PAGES_EACH)
    return _setting("TCP memory (tcp_mem)", (most - TCP_BASE_PAGES) / TCP_PAGES_EACH, connections, text,
                    f'sudo sysctl -w net.ipv4.tcp_mem="{need // 2} {need * 3 // 4} {need}"')


def settings(host: Json, memory_bytes: int | None, sources: int | None, connections: int | None) -> list[Limit]:
    """The limits that are settings. `host`: of the record; `memory_bytes`: of the host that was asked for."""
    found = host.get("limits")
    limits: Json = found if isinstance(found, dict) else {}
    own = _int(host.get("memory_bytes"))
    scale = memory_bytes / own if memory_bytes and own else 1.0
    return [descriptors(limits, connections), open_files(limits, scale, connections), ports(limits, sources, connections),
            tcp_memory(limits, scale, connections)]


def first_of(limits: list[Limit]) -> Limit | None:
    """The limit that a growing need meets first; None when no share is known."""
    known = [one for one in limits if one.share is not None and one.known != UNKNOWN]
    return min(known, key=lambda one: one.share or 0.0) if known else None


def show_carried(value: float | None, unit: str) -> str:
    if value is None:
        return "-"
    if math.isinf(value):
        return "no bound"
    return f"{show_count(value)}/s" if unit.endswith("/s") else show_count(value)


def show_share(share: float | None) -> str:
    return "-" if share is None else "no bound" if math.isinf(share) else f"{share:.3g} x"


def memory_words(memory_bytes: float, reserve: float, spare: int) -> str:
    """24 GiB - 20 % - 256 MiB = 18.9 GiB"""
    left = memory_bytes * (1 - reserve) - spare
    return (f"{show_bytes(memory_bytes)}" + (f" - {100 * reserve:g} %" if reserve else "") + f" - {show_bytes(spare)} for the system = "
            f"{show_bytes(left)}")
