// SPDX-License-Identifier: Apache-2.0
// The raw engine's sockets: made, bound to source address and port, and connecting.
#include "loadgen/engines/raw_state.h"

#include <errno.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#ifndef IP_LOCAL_PORT_RANGE // of Linux 6.3; missing in older headers
#define IP_LOCAL_PORT_RANGE 51
#endif

static int set_ip(int fd, int option, uint32_t value)
{
    return setsockopt(fd, IPPROTO_IP, option, &value, sizeof value) < 0 ? -errno : 0;
}

// Binds to the source address, and to `port` where there is one. IPv6 targets have no source address (plan.h).
static int bind_to(int fd, const struct plan_route *route, uint16_t port)
{
    struct sockaddr_storage address = {.ss_family = route->target->address.ss_family};
    if (address.ss_family == AF_INET6) {
        ((struct sockaddr_in6 *)&address)->sin6_port = htons(port);
    } else {
        struct sockaddr_in *in = (struct sockaddr_in *)&address;
        in->sin_port = htons(port);
        in->sin_addr.s_addr = route->source ? route->source->s_addr : htonl(INADDR_ANY);
    }
    return bind(fd, (const struct sockaddr *)&address, route->target->address_bytes) < 0 ? -errno : 0;
}

// connect chooses the port, when the destination is known. So one port serves several destinations.
static enum tally_reason bind_source(int fd, const struct plan_route *route)
{
    int code = set_ip(fd, IP_BIND_ADDRESS_NO_PORT, 1);
    if (code == 0)
        code = bind_to(fd, route, 0);
    if (code == -EADDRNOTAVAIL) // bind chooses no port here, so this means the address
        return REASON_NO_SOURCE;
    return code < 0 ? tally_reason_of_errno(code) : REASON_NONE;
}

// REASON_NO_PORT: the port is another's.
static enum tally_reason bind_port(int fd, const struct plan_route *route, uint16_t port)
{
    int on = 1;
    if (setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on) < 0)
        return tally_reason_of_errno(errno);
    int code = bind_to(fd, route, port);
    if (code == -EADDRNOTAVAIL)
        return REASON_NO_SOURCE;
    if (code == -EACCES) // below net.ipv4.ip_unprivileged_port_start
        return REASON_NO_PORT;
    return code < 0 ? tally_reason_of_errno(code) : REASON_NONE;
}

static enum tally_reason prepare(int fd, enum ports_way way, const struct plan_route *route,
                                 struct ports_range range)
{
    if (range.first && way == PORTS_BIND)
        return bind_port(fd, route, range.first);
    enum tally_reason reason = route->source ? bind_source(fd, route) : REASON_NONE;
    if (reason != REASON_NONE || range.first == 0)
        return reason;
    int code = set_ip(fd, IP_LOCAL_PORT_RANGE, (uint32_t)range.last << 16 | range.first);
    return code < 0 ? tally_reason_of_errno(code) : REASON_NONE;
}

// On failure the client has no socket.
static enum tally_reason dial_from(struct raw_client *client, enum ports_way way,
                                   const struct plan_route *route, struct ports_range range)
{
    const struct sockaddr *target = (const struct sockaddr *)&route->target->address;
    int fd = socket(target->sa_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return tally_reason_of_errno(errno);
    enum tally_reason reason = prepare(fd, way, route, range);
    if (reason == REASON_NONE && connect(fd, target, route->target->address_bytes) < 0 &&
        errno != EINPROGRESS)
        reason = tally_reason_of_errno(errno);
    if (reason == REASON_NONE)
        client->fd = fd;
    else
        close(fd);
    return reason;
}

enum tally_reason raw_dial(struct engine_run *run, struct raw_client *client)
{
    const struct plan *plan = run->config.plan;
    int64_t number = run->config.first + raw_number(run, client);
    struct plan_route route = plan_route(plan, number);
    for (int attempt = 0;; attempt++) {
        struct ports_range range = plan_ports(plan, number, attempt);
        enum tally_reason reason = dial_from(client, plan->ports.way, &route, range);
        if (reason != REASON_NO_PORT || range.first == 0)
            return reason;
        if (range.first == range.last)
            client->ports_passed++;
    }
}
