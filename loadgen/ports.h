// SPDX-License-Identifier: Apache-2.0
// Local ports: which port a client connects from, and who chooses it.
//
// Past half of the range the kernel's search for a free port costs more than the rest of a connect: it tries
// every second port of the range first, and all ports of that half are in use then. So the plan gives each
// client of a route ports of its own, which no other client of the route has: place, place + stride, ... of
// the range (`stride` is the number of clients of a route). A port that is taken (by another program, or
// still in TIME_WAIT) is passed over; after the last of them the kernel searches.
//
// Every second port of the range comes first, as in the kernel's search: the kernel takes the others first for
// a bind to port 0, which fails when connections have had all ports of its address in the last minute. So
// of these others an eighth of the range is never used.
//
// Ranges are those of net.ipv4.ip_local_port_range, also for IPv6. Plain values; any thread.
//
//     struct ports ports;
//     if (ports_choose(&ports, PORTS_AUTO, true, "pm7", &err) < 0) ...
//     for (int attempt = 0; (range = ports_range(&ports, place, stride, attempt)).first != 0; attempt++) ...
#ifndef POOLMARK_LOADGEN_PORTS_H
#define POOLMARK_LOADGEN_PORTS_H

#include "base/err.h"

#include <stdbool.h>
#include <stdint.h>

enum ports_way {
    PORTS_KERNEL, // the kernel searches the whole range
    // The kernel is told the client's own port as the range to search (IP_LOCAL_PORT_RANGE, Linux 6.3). The
    // port stays free for other programs' connections to other destinations.
    PORTS_RANGE,
    // The socket is bound to the client's own port (SO_REUSEADDR). Meanwhile the kernel gives this port to no
    // other program on the host.
    PORTS_BIND,
    PORTS_AUTO, // PORTS_RANGE where kernel and engine can, otherwise PORTS_KERNEL
};

enum {
    PORTS_ATTEMPTS_MAX = 16, // ports of its own that a client tries
    // Connections of one route when the kernel searches: short of half of the usual range (28 232). Past that a
    // connect was measured to take 350 to 2 000 us instead of 10.
    PORTS_SEARCHED_MAX = 10000,
    PORTS_WIDE = 60000, // a range of so many is as wide as it can usefully be
};

struct ports {
    enum ports_way way;    // never PORTS_AUTO
    uint32_t first, count; // the range; not set when the kernel searches
    uint32_t start;        // of every second port, the one to begin with
    int64_t skip;          // so many ports of a route are another plan's
};

struct ports_range {
    uint16_t first, last; // {0, 0}: any
};

const char *ports_way_name(enum ports_way way);             // "range", as --ports has it
const char *ports_way_text(enum ports_way way);             // for people
int ports_way_parse(const char *name, enum ports_way *way); // -EINVAL: there is no such way

// Chooses the way. `can_choose`: the engine opens its sockets itself. `salt` (a run's prefix) decides where
// the ports begin, so that runs in succession do not meet the ports that the one before left in TIME_WAIT.
// -EINVAL with the text in `err`, when `asked` is not possible here.
int ports_choose(struct ports *ports, enum ports_way asked, bool can_choose, const char *salt,
                 struct err *err) __attribute__((warn_unused_result));

// How many of the ports from `first` to `last` the system keeps for others (ip_local_reserved_ports). 0 when it
// does not say.
int64_t ports_reserved(int64_t first, int64_t last);
// The same by that file's text: numbers and ranges, separated by commas, none of them twice.
int64_t ports_reserved_in(const char *text, int64_t first, int64_t last);

// The most connections that a route is planned for. With ports of their own: seven eighths of the range.
int64_t ports_per_route(const struct ports *ports);

// The ports to connect from, for the client at `place` of its route, at this attempt (0 and up): its own ones
// one after the other; then, by PORTS_RANGE, a wide range in which the kernel continues where its last search
// ended; at last {0, 0}, any port by the kernel's usual search, after which there is no further attempt.
struct ports_range ports_range(const struct ports *ports, int64_t place, int64_t stride, int attempt);

// Whether a client at a place below `stride` has this port at its first attempt. False when the kernel searches.
bool ports_is_first(const struct ports *ports, int64_t stride, uint16_t port);

#endif
