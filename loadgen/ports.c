// SPDX-License-Identifier: Apache-2.0
#include "loadgen/ports.h"

#include "base/text_file.h"

#include <errno.h>
#include <inttypes.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#ifndef IP_LOCAL_PORT_RANGE // of Linux 6.3; missing in older headers
#define IP_LOCAL_PORT_RANGE 51
#endif

enum { PORTS_RESERVED_SIZE = 4096 };

static const struct {
    const char *name, *text;
} ways[] = {
    [PORTS_KERNEL] = {"kernel", "the kernel searches a free one"},
    [PORTS_RANGE] = {"range", "each client its own (IP_LOCAL_PORT_RANGE)"},
    [PORTS_BIND] = {"bind", "each client its own (bind)"},
    [PORTS_AUTO] = {"auto", "range where kernel and engine can, otherwise kernel"},
};

const char *ports_way_name(enum ports_way way)
{
    return ways[way].name;
}

const char *ports_way_text(enum ports_way way)
{
    return ways[way].text;
}

int ports_way_parse(const char *name, enum ports_way *way)
{
    for (size_t i = 0; i < sizeof ways / sizeof ways[0]; i++)
        if (strcmp(name, ways[i].name) == 0) {
            *way = (enum ports_way)i;
            return 0;
        }
    return -EINVAL;
}

static bool read_range(struct ports *ports)
{
    char text[64];
    unsigned first, last;
    if (text_file_read("/proc/sys/net/ipv4/ip_local_port_range", text, sizeof text) < 0 ||
        sscanf(text, "%u %u", &first, &last) != 2 || first < 1 || last > 65535 || first > last)
        return false;
    ports->first = first;
    ports->count = last - first + 1;
    return true;
}

static bool kernel_takes_ranges(void)
{
    uint32_t range = 0; // none: allowed for every caller
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return false;
    bool takes = setsockopt(fd, IPPROTO_IP, IP_LOCAL_PORT_RANGE, &range, sizeof range) == 0;
    close(fd);
    return takes;
}

static uint32_t hash_of(const char *text)
{
    uint32_t hash = 2166136261; // FNV-1a
    for (; *text; text++)
        hash = (hash ^ (uint8_t)*text) * 16777619;
    return hash;
}

int ports_choose(struct ports *ports, enum ports_way asked, bool can_choose, const char *salt,
                 struct err *err)
{
    *ports = (struct ports){.way = PORTS_KERNEL};
    if (asked == PORTS_KERNEL)
        return 0;
    const char *why = NULL;
    if (!can_choose)
        why = "the library of this engine opens its sockets itself, and the kernel searches their ports; use "
              "--engine raw";
    else if (!read_range(ports))
        why = "/proc/sys/net/ipv4/ip_local_port_range cannot be read";
    else if (asked != PORTS_BIND && !kernel_takes_ranges())
        why = "this kernel has no IP_LOCAL_PORT_RANGE (Linux 6.3); use kernel or bind";
    if (why && asked == PORTS_AUTO)
        return 0;
    if (why)
        return err_set(err, -EINVAL, "--ports %s: %s", ports_way_name(asked), why);
    ports->way = asked == PORTS_AUTO ? PORTS_RANGE : asked;
    ports->start = hash_of(salt) % ((ports->count + 1) / 2);
    return 0;
}

int64_t ports_reserved_in(const char *text, int64_t first, int64_t last)
{
    int64_t count = 0;
    for (const char *at = text; *at;) {
        int used = 0;
        int64_t from, to;
        if (sscanf(at, " %" SCNd64 "%n", &from, &used) != 1)
            break;
        at += used;
        to = from;
        if (*at == '-' && sscanf(at, "-%" SCNd64 "%n", &to, &used) == 1)
            at += used;
        from = from > first ? from : first;
        to = to < last ? to : last;
        count += to >= from ? to - from + 1 : 0;
        if (*at++ != ',')
            break;
    }
    return count;
}

int64_t ports_reserved(int64_t first, int64_t last)
{
    char text[PORTS_RESERVED_SIZE];
    return text_file_read("/proc/sys/net/ipv4/ip_local_reserved_ports", text, sizeof text) < 0
               ? 0
               : ports_reserved_in(text, first, last);
}

// Ports that may be assigned: the last eighth is left to others.
static int64_t assignable(const struct ports *ports)
{
    return (int64_t)ports->count - ports->count / 8;
}

int64_t ports_per_route(const struct ports *ports)
{
    return ports->way == PORTS_KERNEL ? PORTS_SEARCHED_MAX : assignable(ports);
}

// How many ports the client at this place has.
static int64_t own_count(const struct ports *ports, int64_t place, int64_t stride)
{
    int64_t left = assignable(ports) - ports->skip - place;
    int64_t count = left > 0 ? (left + stride - 1) / stride : 0;
    return count < PORTS_ATTEMPTS_MAX ? count : PORTS_ATTEMPTS_MAX;
}

struct ports_range ports_range(const struct ports *ports, int64_t place, int64_t stride, int attempt)
{
    if (ports->way == PORTS_KERNEL)
        return (struct ports_range){0, 0};
    int64_t own = own_count(ports, place, stride);
    if (attempt >= own) {
        // The ports that are kept for others are in the last quarter.
        bool searched = ports->way == PORTS_RANGE && attempt == own && ports->count >= 4;
        uint32_t last = ports->first + ports->count - ports->count / 4 - 1;
        return searched ? (struct ports_range){(uint16_t)ports->first, (uint16_t)last}
                        : (struct ports_range){0, 0};
    }
    int64_t number = ports->skip + place + attempt * stride, half = (ports->count + 1) / 2;
    int64_t offset = number < half ? (ports->start + number) % half * 2 : (number - half) * 2 + 1;
    uint16_t port = (uint16_t)(ports->first + offset);
    return (struct ports_range){port, port};
}

bool ports_is_first(const struct ports *ports, int64_t stride, uint16_t port)
{
    if (ports->way == PORTS_KERNEL || port < ports->first || port - ports->first >= ports->count)
        return false;
    int64_t offset = port - ports->first, half = (ports->count + 1) / 2;
    int64_t number = offset % 2 == 0 ? (offset / 2 + half - ports->start) % half : half + offset / 2;
    return number >= ports->skip && number < ports->skip + stride && number < assignable(ports);
}
