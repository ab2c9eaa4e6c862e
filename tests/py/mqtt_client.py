# SPDX-License-Identifier: Apache-2.0
"""An MQTT 3.1.1 client for tests that has its side of a session: what it published and what it received survives its connection,
as section 4.4 demands. It knows what the broker acknowledged.

    client = Client("s")
    client.connect(port)              # returns "session present"
    client.subscribe("a/#", 2)
    client.publish("a/b", b"x", 2)    # waits for the last acknowledgement
    client.ping()                     # handles all that the broker sent until now
    client.disconnect()

`Gone`: the connection ended.
"""
import socket
from collections import namedtuple

CONNACK, PUBLISH, PUBACK, PUBREC, PUBREL, PUBCOMP, SUBACK, UNSUBACK, PINGRESP = 2, 3, 4, 5, 6, 7, 9, 11, 13
GUARD_S = 60  # only a hanging broker reaches it

Message = namedtuple("Message", "topic payload qos dup retain packet_id")


class Gone(Exception):
    """The connection ended."""


def _text(value):
    data = value if isinstance(value, bytes) else value.encode()
    return len(data).to_bytes(2, "big") + data


def _packet(first, body):
    length, rest = b"", len(body)
    while True:
        rest, digit = divmod(rest, 128)
        length += bytes([digit | (128 if rest else 0)])
        if not rest:
            return bytes([first]) + length + body


class Client:
    def __init__(self, client_id, clean=False):
        self.client_id, self.clean = client_id, clean
        self.answers = True     # does it acknowledge what it receives?
        self.messages = []      # received, each message of QoS 2 once
        self.accepted = set()   # payloads that the broker acknowledged
        self.unfinished = {}    # packet id: (topic, payload, qos, retain), or None when its PUBREC came
        self.held = set()       # packet ids of QoS 2 that it received, and whose PUBREL has not come
        self.last_id = 0
        self.answered = {}      # packet ids of the answers, by type
        self.socket, self.rest = None, b""

    # The connection.

    def connect(self, port, will=None):
        """Returns session present, and sends again what was not finished. `will`: (topic, payload, qos, retain)."""
        if self.clean:
            self.unfinished, self.held = {}, set()
        flags = 2 if self.clean else 0
        payload = _text(self.client_id)
        if will:
            topic, text, qos, retain = will
            flags |= 4 | qos << 3 | (32 if retain else 0)
            payload += _text(topic) + _text(text)
        self.rest = b""
        try:
            self.socket = socket.create_connection(("127.0.0.1", port), timeout=GUARD_S)
        except ConnectionError as error:
            raise Gone from error
        self._send(_packet(0x10, b"\0\4MQTT\4" + bytes([flags]) + b"\0\0" + payload))
        kind, _, body = self._next()
        assert kind == CONNACK
        self.code = body[1]
        if self.code:
            self.drop()
            raise Gone
        for packet_id, message in list(self.unfinished.items()):
            self._send(_packet(0x62, packet_id.to_bytes(2, "big")) if message is None
                       else self._publish_packet(packet_id, *message, dup=True))
        return bool(body[0])

    def disconnect(self):
        self._send(b"\xe0\0")
        self.drop()

    def leave(self):
        """DISCONNECT, which the broker has handled: before that, messages would still be sent, and be sent again later."""
        self._send(b"\xe0\0")
        try:
            while self.socket.recv(65536):
                pass
        except ConnectionError:
            pass
        self.drop()

    def drop(self):
        """Without a DISCONNECT."""
        if self.socket:
            self.socket.close()
        self.socket = None

    def _send(self, data):
        if not self.socket:
            raise Gone
        try:
            self.socket.sendall(data)
        except ConnectionError as error:
            self.drop()
            raise Gone from error

    def _next(self):
        """One packet: type, flags, body."""
        while True:
            length, at = 0, 1
            for at in range(1, min(5, len(self.rest))):
                length |= (self.rest[at] & 127) << 7 * (at - 1)
                if self.rest[at] < 128:
                    end = at + 1 + length
                    if len(self.rest) < end:
                        break
                    packet, self.rest = self.rest[:end], self.rest[end:]
                    return packet[0] >> 4, packet[0] & 15, packet[at + 1:]
            try:
                more = self.socket.recv(65536) if self.socket else b""
            except ConnectionError:
                more = b""
            if not more:
                self.drop()
                raise Gone
            self.rest += more

    # Packets.

    def _id(self):
        self.last_id = self.last_id % 65535 + 1
        while self.last_id in self.unfinished:
            self.last_id = self.last_id % 65535 + 1
        return self.last_id

    @staticmethod
    def _publish_packet(packet_id, topic, payload, qos, retain, dup=False):
        body = _text(topic) + (packet_id.to_bytes(2, "big") if qos else b"") + payload
        return _packet(0x30 | (8 if dup else 0) | qos << 1 | retain, body)

    def publish(self, topic, payload, qos=0, retain=False, wait=True):
        packet_id = self._id() if qos else 0
        if qos:
            self.unfinished[packet_id] = (topic, payload, qos, retain)
        self._send(self._publish_packet(packet_id, topic, payload, qos, retain))
        while wait and packet_id in self.unfinished:
            self.handle()

    def finish(self):
        """Waits until everything published is finished."""
        while self.unfinished:
            self.handle()

    def _ask(self, first, answer, body):
        packet_id = self._id()
        self._send(_packet(first, packet_id.to_bytes(2, "big") + body))
        while packet_id not in self.answered.get(answer, {}):
            self.handle()
        return self.answered[answer].pop(packet_id)

    def subscribe(self, topic_filter, qos):
        codes = self._ask(0x82, SUBACK, _text(topic_filter) + bytes([qos]))
        assert codes == bytes([qos])

    def subscribe_all(self, topic_filters, qos):
        """By one packet."""
        codes = self._ask(0x82, SUBACK, b"".join(_text(one) + bytes([qos]) for one in topic_filters))
        assert codes == bytes([qos]) * len(topic_filters)

    def unsubscribe(self, topic_filter):
        self._ask(0xa2, UNSUBACK, _text(topic_filter))

    def ping(self):
        self._send(b"\xc0\0")
        while self.handle() != PINGRESP:
            pass

    def handle(self):
        """Handles one packet and returns its type."""
        kind, flags, body = self._next()
        packet_id = int.from_bytes(body[:2], "big")
        if kind == PUBLISH:
            self._receive(flags, body)
        elif kind == PUBACK:
            self._accept(self.unfinished.pop(packet_id, None))
        elif kind == PUBREC:
            self._accept(self.unfinished.get(packet_id))
            self.unfinished[packet_id] = None
            self._send(_packet(0x62, body[:2]))
        elif kind == PUBREL:
            self.held.discard(packet_id)
            self._answer(0x70, body[:2])
        elif kind == PUBCOMP:
            self.unfinished.pop(packet_id, None)
        elif kind in (SUBACK, UNSUBACK):
            self.answered.setdefault(kind, {})[packet_id] = body[2:]
        return kind

    def _accept(self, message):
        if message:
            self.accepted.add(message[1])

    def _answer(self, first, body):
        if self.answers:
            self._send(_packet(first, body))

    def _receive(self, flags, body):
        qos, at = flags >> 1 & 3, 2 + int.from_bytes(body[:2], "big")
        topic, packet_id = body[2:at].decode(), 0
        if qos:
            packet_id, at = int.from_bytes(body[at:at + 2], "big"), at + 2
        message = Message(topic, body[at:], qos, bool(flags & 8), bool(flags & 1), packet_id)
        if qos < 2 or packet_id not in self.held:
            self.messages.append(message)
        if qos == 2 and self.answers:
            self.held.add(packet_id)
        if qos:
            self._answer(0x40 if qos == 1 else 0x50, packet_id.to_bytes(2, "big"))
