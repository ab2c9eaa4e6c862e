# SPDX-License-Identifier: Apache-2.0
"""A target that takes each client and lets every second one go again: after its CONNACK (`connect`) or after its second SUBACK
(`subscribe`). Or (`spike`) it keeps all, and takes much memory for a moment at its sixth client. It holds some memory for each connection and subscription, and frees it with the connection. Prints the port that it
listens on.

    python3 fickle_target.py connect|subscribe|spike
"""
import asyncio
import contextlib
import itertools
import sys

EACH = 30_000  # bytes for a connection, and for a subscription
SPIKE = 64 << 20
LETS_GO = {"connect": 0, "subscribe": 2, "spike": -1}[sys.argv[1]]  # after so many SUBACKs
NUMBERS = itertools.count()


async def serve(reader, writer):
    number, held, asked = next(NUMBERS), [b"\x01" * EACH], 0
    fickle = number % 2 == 1
    if sys.argv[1] == "spike" and number == 5:
        held.append(b"\x01" * SPIKE)
        await asyncio.sleep(0.05)
        held.pop()
    with contextlib.suppress(OSError, asyncio.IncompleteReadError):
        while True:
            kind, length = await reader.readexactly(2)
            rest = await reader.readexactly(length)
            if kind >> 4 == 1:
                writer.write(b"\x20\x02\0\0")
            elif kind >> 4 == 8:
                asked += 1
                held.append(b"\x01" * EACH)
                writer.write(b"\x90\x03" + rest[:2] + b"\0")
            elif kind >> 4 == 10:
                writer.write(b"\xb0\x02" + rest[:2])
            else:
                break
            await writer.drain()
            if fickle and asked == LETS_GO:
                await asyncio.sleep(0.05)
                break
    writer.close()


async def main():
    server = await asyncio.start_server(serve, "127.0.0.1", 0, backlog=1000)
    print(server.sockets[0].getsockname()[1], flush=True)
    await server.serve_forever()


asyncio.run(main())
