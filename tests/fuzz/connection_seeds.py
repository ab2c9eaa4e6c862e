#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Writes the first inputs of the connection fuzzer, a sequence of acts for each packet type and for each known attack, and those of
the codec's: packets of each type, as bytes.

    tests/fuzz/connection_seeds.py      writes tests/fuzz/corpus/connection/NAME and tests/fuzz/corpus/mqtt/NAME for each

fuzz_connection.c says what the bytes of the first mean. Other files of these folders are inputs that a fuzzer found; their names are hashes.
"""
import struct
from pathlib import Path

CORPUS = Path(__file__).resolve().parent / "corpus/connection"
PACKETS = CORPUS.with_name("mqtt")
EAGER, KEEPS, BOUNDS, DESCRIPTORS, PLACES, EXPIRY, REVERSED, MEMORY = (1 << bit for bit in range(8))
BYTES, FILL, CLOSE, FINISH, RESET, STOP, READ, WAIT, CONNECT, NO_MEMORY, TURN = 0, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15
TOGETHER = 0x40


# --- packets

def length(count: int) -> bytes:
    out = b""
    while True:
        count, low = count >> 7, count & 127
        out += bytes([low | (128 if count else 0)])
        if not count:
            return out


def packet(first: int, body: bytes) -> bytes:
    return bytes([first]) + length(len(body)) + body


def text(value: str | bytes) -> bytes:
    value = value.encode() if isinstance(value, str) else value
    return struct.pack(">H", len(value)) + value


def connect(client: str = "a", clean: bool = True, keep_alive: int = 0, will: bytes = b"", will_flags: int = 0, name: bytes = b"\0\4MQTT\4"):
    flags = (2 if clean else 0) | (4 | will_flags if will else 0)
    return packet(0x10, name + bytes([flags]) + struct.pack(">H", keep_alive) + text(client) + will)


def publish(topic: str, payload: bytes = b"x", qos: int = 0, packet_id: int = 1, retain: bool = False, dup: bool = False):
    number = struct.pack(">H", packet_id) if qos else b""
    return packet(0x30 | qos << 1 | retain | (8 if dup else 0), text(topic) + number + payload)


def subscribe(*filters: str, qos: int = 1, packet_id: int = 1):
    return packet(0x82, struct.pack(">H", packet_id) + b"".join(text(one) + bytes([qos]) for one in filters))


def unsubscribe(*filters: str, packet_id: int = 2):
    return packet(0xa2, struct.pack(">H", packet_id) + b"".join(text(one) for one in filters))


def ack(first: int, packet_id: int = 1):
    return packet(first, struct.pack(">H", packet_id))


PUBACK, PUBREC, PUBREL, PUBCOMP = 0x40, 0x50, 0x62, 0x70
PING, BYE = b"\xc0\0", b"\xe0\0"


# --- acts

def act(kind: int, client: int = 0, argument: int | None = None, together: bool = False) -> bytes:
    head = bytes([client | kind << 2 | (TOGETHER if together else 0)])
    return head if argument is None else head + bytes([argument])


def say(client: int, *packets: bytes, together: bool = False) -> bytes:
    """The packets in one write; in several acts where they are long."""
    data, out = b"".join(packets), b""
    while True:
        part, data = data[:255], data[255:]
        out += act(BYTES, client, len(part), together or bool(data)) + part
        if not data:
            return out


def seeds() -> dict[str, bytes]:
    """{name: acts after the byte of settings, which is 0}; (settings, acts) where they are not."""
    reader = say(1, connect("r"), subscribe("#", qos=2))
    kept = say(2, connect("k", clean=False), subscribe("a/#", "+/b", qos=1)) + act(CLOSE, 2)
    many = say(0, connect("p"), *(publish(f"t/{i}", b"%d" % i, 1, i + 1, retain=True) for i in range(20)))
    will = text("w/a") + text(b"gone")
    plain = {
        "connect": say(0, connect()),
        "connect_will": say(0, connect(will=will, will_flags=0x28)) + reader + act(RESET),
        "connect_kept": kept + say(2, connect("k", clean=False)) + say(2, BYE),
        "connect_twice": say(0, connect(), connect()),
        "connect_other_name": say(0, connect(name=b"\0\6MQIsdp\3")),
        "connect_no_id": say(0, connect("")) + say(1, connect("", clean=False)),
        "connect_in_bytes": b"".join(say(0, bytes([one])) for one in connect("bytes")),
        "publish_0": reader + say(0, connect("p"), publish("a/b")),
        "publish_1": reader + say(0, connect("p"), publish("a/b", qos=1)) + say(1, ack(PUBACK)),
        "publish_2": reader + say(0, connect("p"), publish("a/b", qos=2)) + say(0, ack(PUBREL)) +
                     say(1, ack(PUBREC)) + say(1, ack(PUBCOMP)),
        "publish_again": reader + say(0, connect("p"), publish("a", qos=2), publish("a", qos=2, dup=True), ack(PUBREL), ack(PUBREL)),
        "publish_large": reader + say(0, connect("p"), b"\x30" + length(20 * 64 + 3) + text("a")) + act(FILL, 0, 20) + say(0, PING),
        "publish_sys": reader + say(0, connect("p"), publish("$SYS/a", qos=1)),
        "retained": many + reader + say(0, publish("t/1", b"", 1, 30, retain=True)),
        "subscribe": say(0, connect(), subscribe("a", "a/+", "+/#", "#", "$SYS/#", qos=2)),
        "subscribe_again": reader + say(1, subscribe("#", qos=0), unsubscribe("#", "a"), unsubscribe("#")),
        "subscribe_many": say(0, connect(), subscribe(*(f"f/{i}/+" for i in range(80)))),
        "ping": say(0, connect(keep_alive=2), PING) + act(WAIT, 0, 2) + act(WAIT, 0, 2),
        "disconnect": say(0, connect(will=will), publish("a"), BYE),
        "takeover": say(0, connect("one", will=will)) + reader + say(3, connect("one")) + say(0, PING),
        "queued": kept + say(0, connect("p"), *(publish("a/b", b"%d" % i, 1, i + 1) for i in range(12))) +
                  say(2, connect("k", clean=False)) + say(2, ack(PUBACK), ack(PUBACK, 2)),
        "wrong_acks": reader + say(0, connect("p"), publish("a", qos=1)) + say(1, ack(PUBREC), ack(PUBCOMP), ack(PUBACK, 9)),
        "garbage": say(0, b"\0\0\0") + say(1, connect("g"), b"\x3f\xff\xff\xff\xff"),
    }
    attacks = {
        "attack_unread": reader + act(STOP, 1) + say(0, connect("p"), *(publish("a", b"y" * 40, 1, i + 1) for i in range(40))) +
                         act(READ, 1, 3) + act(READ, 1, 255),
        "attack_unfinished": say(0, connect("p"), b"\x30\xff\xff\x03" + text("a")) + act(FILL, 0, 255) + act(WAIT, 0, 60),
        "attack_announced": say(0, b"\x10\xff\xff\xff\x7f\0\4MQTT\4") + say(1, connect("p"), b"\x30\xff\xff\xff\x7f"),
        "attack_replay": many + say(1, connect("r"), subscribe(*["#"] * 60)) + act(STOP, 1) + act(READ, 1, 255),
        "attack_levels": say(0, connect("p"), publish("/" * 150), subscribe("+/" * 80 + "#", "/" * 100), publish("a/" * 70 + "b")),
        "attack_plus": say(1, connect("r"), subscribe("+/+/" + "z" * 200)) + say(0, connect("p"), publish("z/z/" + "z" * 200)),
        "attack_publish_and_leave": reader + b"".join(
            say(0, connect("p", will=will), publish("a", qos=1), publish("b", qos=1, packet_id=2), BYE, together=True) + act(CLOSE)
            for _ in range(3)) + say(3, connect("q", will=will), publish("a"), together=True) + act(RESET, 3),
        "attack_silent": (DESCRIPTORS, b"".join(act(CONNECT, client, together=True) for client in range(4)) +
                          act(WAIT, 0, 2) + act(RESET, 0) + say(0, connect()) + act(WAIT, 0, 31)),
        "attack_places": (PLACES, b"".join(say(client, connect(str(client))) for client in range(4)) + act(WAIT, 0, 6) +
                          say(2, connect("late"))),
        "attack_half_closed": reader + say(0, connect("p"), publish("a", qos=1), together=True) + act(FINISH) + act(STOP, 1) +
                              say(3, connect("q"), publish("a", b"v" * 250, 1)) + act(FINISH, 1) + act(READ, 1, 255),
        "attack_filters": (BOUNDS, say(0, connect("p"), subscribe(*(f"f{i}" for i in range(10))), publish("f1", b"n" * 200, 1)) +
                           many.replace(b"p", b"q", 1)),
        "attack_memory": (MEMORY, reader + act(STOP, 1) + b"".join(
            say(0, connect("p"), b"\x32" + length(255 * 64 + 5) + text("a") + b"\0\1") + act(FILL, 0, 255) for _ in range(4)) +
                          act(READ, 1, 255)),
        "attack_no_memory": b"".join(act(NO_MEMORY, 0, n, together=True) + say(n & 3, connect(f"c{n}"), subscribe("a/#"),
                                                                              publish("a/b", qos=2), together=n % 3 == 0)
                                     for n in range(12)),
        "kept_expires": (EXPIRY, kept + act(WAIT, 0, 8) + say(0, connect("p"), publish("a/b", qos=1)) + act(WAIT, 0, 8)),
    }
    modes = {f"{name}_{mode}": (settings, plain[name]) for name in ("publish_2", "publish_large", "retained", "queued", "takeover")
             for mode, settings in (("eager", EAGER), ("keeps", KEEPS | REVERSED), ("bounds", BOUNDS | EAGER), ("memory", MEMORY | KEEPS))}
    whole = {}
    for name, made in (plain | attacks | modes).items():
        settings, acts = made if isinstance(made, tuple) else (0, made)
        whole[name] = bytes([settings]) + acts
    return whole


def packets() -> dict[str, bytes]:
    """{name: packets, of clients and of servers}"""
    will = text("w/a") + text(b"gone")
    large = packet(0x30, text("t") + b"x" * 3000)
    return {
        "connect": connect() + connect("kept", clean=False, keep_alive=600),
        "connect_whole": packet(0x10, b"\0\4MQTT\4\xee" + struct.pack(">H", 10) + text("id") + will + text("user") + text(b"\0\xff")),
        "connack": b"\x20\2\1\0" + b"\x20\2\0\5",
        "publish": publish("a/b") + publish("a", b"", 1, 7, retain=True) + publish("é/€/𝄞", b"\0", 2, 65535, dup=True) + large,
        "acks": b"".join(ack(one, 4711) for one in (PUBACK, PUBREC, PUBREL, PUBCOMP, 0xb0)),
        "subscribe": subscribe("#") + subscribe("a/+/b/#", "+", "$SYS/#", "/", qos=2, packet_id=9),
        "suback": packet(0x90, b"\0\1\0\1\2\x80"),
        "unsubscribe": unsubscribe("#") + unsubscribe("a/b", "+/+", packet_id=3),
        "empty": PING + b"\xd0\0" + BYE,
        "wrong_flags": bytes([0x83, 5, 0, 1, 0, 1]) + b"a" + b"\0",
        "wrong_text": packet(0x30, b"\0\2\xc0\x80") + packet(0x30, b"\0\3\xed\xa0\x80"),
        "long_length": b"\xc0\x80\x80\x80\0" + b"\xc0\xff\xff\xff\xff\1",
        "cut": publish("a/b", b"payload", 1)[:-3],
    }


def write(corpus: Path, inputs: dict[str, bytes]) -> None:
    corpus.mkdir(parents=True, exist_ok=True)
    for seed, content in inputs.items():
        (corpus / seed).write_bytes(content)
    print(f"{len(inputs)} inputs in {corpus.relative_to(corpus.parents[3])}")


if __name__ == "__main__":
    write(CORPUS, seeds())
    write(PACKETS, packets())
