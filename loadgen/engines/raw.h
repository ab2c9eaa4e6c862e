// SPDX-License-Identifier: Apache-2.0
// Engine `raw`: epoll and wire/, for loads that a client library cannot reach: hundreds of thousands of
// connections from one small machine, and latencies with little of the generator's own in them.
//
// A process has one thread. A client is a small struct and a socket. It has a buffer only while a packet is
// incomplete or the socket is full, and a table of messages only after it has published at QoS 1 or 2.
// Connects are non-blocking, a window of them at a time. They are bound to their route's source address
// without a port (IP_BIND_ADDRESS_NO_PORT), so that the kernel may use one port for several destinations. If
// the handshake ends at once, as on the loopback, the CONNECT is sent with the connect. Keep-alive pings run
// on a timer wheel.
#ifndef POOLMARK_LOADGEN_ENGINES_RAW_H
#define POOLMARK_LOADGEN_ENGINES_RAW_H

#include "loadgen/engine.h"

extern const struct engine engine_raw;

#endif
