// SPDX-License-Identifier: Apache-2.0
// Engine `raw`: epoll and wire/, for what a client library cannot reach: hundreds of thousands of connections
// from one small machine, and latencies with little of the generator's own in them.
//
// One thread a process. A client is one small struct and a socket; it has a buffer only while a packet is cut
// in two or the socket takes no more, and a table of messages only once it has published at QoS 1 or 2.
// Connects are non-blocking, a window of them at a time, bound to their route's source address without
// choosing a port (IP_BIND_ADDRESS_NO_PORT), so that the kernel may use one port for several destinations.
// The CONNECT goes out with the connect where the handshake is over at once, as it is on the loopback.
// Keep-alive pings run on a timer wheel.
#ifndef POOLMARK_LOADGEN_ENGINES_RAW_H
#define POOLMARK_LOADGEN_ENGINES_RAW_H

#include "loadgen/engine.h"

extern const struct engine engine_raw;

#endif
