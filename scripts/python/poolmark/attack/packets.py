# SPDX-License-Identifier: Apache-2.0
"""The MQTT 3.1.1 packets that attacks are made of. All functions are pure and give bytes. Nothing is checked: an attack may
want what the protocol forbids."""
CONNACK, PUBACK, SUBACK, UNSUBACK, PINGRESP = 2, 4, 9, 11, 13    # kinds of answers: the upper half of a packet's first byte
PINGREQ = b"\xc0\x00"
REFUSED = 0x80      # in a SUBACK, of one filter


def length(count: int) -> bytes:
    """The remaining length of a packet, at most 268 435 455."""
    made = bytearray()
    while True:
        count, low = count >> 7, count & 127
        made.append(low | (128 if count else 0))
        if not count:
            return bytes(made)


def text(value: str | bytes) -> bytes:
    """A string with its length before it, at most 65 535 bytes."""
    data = value.encode() if isinstance(value, str) else value
    return len(data).to_bytes(2, "big") + data


def packet(first: int, body: bytes) -> bytes:
    return bytes([first]) + length(len(body)) + body


def connect(client_id: str, clean: bool = True, will: str = "") -> bytes:
    """CONNECT without keep alive, user name and password. `will`: the topic of a will at QoS 0; without one there is none."""
    flags = (2 if clean else 0) | (4 if will else 0)
    return packet(0x10, text("MQTT") + bytes([4, flags, 0, 0]) + text(client_id) + (text(will) + text("x") if will else b""))


def subscribe(filters: list[str], qos: int = 0) -> bytes:
    return packet(0x82, b"\0\1" + b"".join(text(one) + bytes([qos]) for one in filters))


def unsubscribe(filters: list[str]) -> bytes:
    return packet(0xa2, b"\0\1" + b"".join(map(text, filters)))


def publish(topic: str, payload: bytes, qos: int = 0, retain: bool = False, number: int = 1) -> bytes:
    """`number`: the packet identifier above QoS 0."""
    return packet(0x30 | qos << 1 | retain, text(topic) + (number.to_bytes(2, "big") if qos else b"") + payload)


def beginning(first: int, announced: int) -> bytes:
    """The fixed header of a packet that announces so many bytes after it."""
    return bytes([first]) + length(announced)
