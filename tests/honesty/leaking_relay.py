# SPDX-License-Identifier: Apache-2.0
"""A target whose memory grows: passes bytes on to the broker at the given port, and keeps so many more bytes each second. Prints
the port that it listens on.

    python3 leaking_relay.py BROKER_PORT BYTES_PER_S
"""
import asyncio
import contextlib
import sys

KEPT = []


async def pump(reader, writer):
    with contextlib.suppress(OSError):
        while data := await reader.read(65536):
            writer.write(data)
            await writer.drain()
    with contextlib.suppress(OSError):
        writer.close()


async def main(broker_port, bytes_per_s):
    async def serve(reader, writer):
        up_reader, up_writer = await asyncio.open_connection("127.0.0.1", broker_port)
        await asyncio.gather(pump(reader, up_writer), pump(up_reader, writer))

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    print(server.sockets[0].getsockname()[1], flush=True)
    while True:
        await asyncio.sleep(0.1)
        KEPT.append(b"\x01" * (bytes_per_s // 10))


asyncio.run(main(int(sys.argv[1]), int(sys.argv[2])))
