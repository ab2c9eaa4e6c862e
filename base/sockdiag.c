// SPDX-License-Identifier: Apache-2.0
#include "base/sockdiag.h"

#include "base/text_file.h"

#include <arpa/inet.h>
#include <errno.h>
#include <linux/inet_diag.h>
#include <linux/netlink.h>
#include <linux/rtnetlink.h>
#include <linux/sock_diag.h>
#include <linux/tcp.h>
#include <netinet/in.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

enum {
    ESTABLISHED = 1, // states of TCP, as the kernel numbers them
    SYN_SENT = 2,
    SYN_RECV = 3,
    CLOSE = 7,
    LISTEN = 10,
    NEW_SYN_RECV = 12,
    BUFFER_BYTES = 1 << 16,
    EVENT_BYTES = 1 << 12,
    EVENTS_BYTES = 4 << 20, // of events that nobody has read yet
    TEXT_SIZE = 4096,
};

int64_t sockdiag_count(void)
{
    char text[TEXT_SIZE];
    if (text_file_read("/proc/net/sockstat", text, sizeof text) < 0)
        return -1;
    int64_t count = -1;
    const char *line = strstr(text, "TCP: inuse "), *waiting = line ? strstr(line, " tw ") : NULL;
    if (waiting)
        count = strtoll(line + strlen("TCP: inuse "), NULL, 10) + strtoll(waiting + 4, NULL, 10);
    if (count < 0 || text_file_read("/proc/net/sockstat6", text, sizeof text) < 0)
        return count;
    line = strstr(text, "TCP6: inuse ");
    return line ? count + strtoll(line + strlen("TCP6: inuse "), NULL, 10) : count;
}

static struct sockdiag_end end_of(int family, const __be32 address[4], __be16 port)
{
    struct sockdiag_end end = {.port = ntohs(port)};
    if (family == AF_INET6) {
        memcpy(end.address, address, 16);
        return end;
    }
    end.address[10] = end.address[11] = 0xff;
    memcpy(end.address + 12, address, 4);
    return end;
}

// An older kernel's tcp_info is shorter.
static int64_t bytes_of(const struct nlmsghdr *head)
{
    const char *at = (const char *)NLMSG_DATA(head) + NLMSG_ALIGN(sizeof(struct inet_diag_msg));
    size_t left = head->nlmsg_len - NLMSG_SPACE(sizeof(struct inet_diag_msg));
    struct rtattr attribute;
    for (; left >= sizeof attribute && left <= BUFFER_BYTES;) {
        memcpy(&attribute, at, sizeof attribute);
        struct tcp_info info;
        size_t bytes = RTA_PAYLOAD(&attribute), whole = RTA_ALIGN(attribute.rta_len);
        if (attribute.rta_len < sizeof attribute || whole > left)
            return -1;
        if (attribute.rta_type == INET_DIAG_INFO &&
            bytes >= offsetof(struct tcp_info, tcpi_bytes_received) + sizeof info.tcpi_bytes_received) {
            memcpy(&info, at + RTA_LENGTH(0), bytes < sizeof info ? bytes : sizeof info);
            return (int64_t)(info.tcpi_bytes_acked + info.tcpi_bytes_received);
        }
        at += whole;
        left -= whole;
    }
    return -1;
}

// The kernel's program that takes a socket with either port in the range. Jumps count bytes from their operation;
// one to the end accepts, one past it refuses.
#define ACCEPT_AT 36
#define REFUSE_AT (ACCEPT_AT + 4)

struct filter {
    struct nlattr head;
    struct inet_diag_bc_op code[ACCEPT_AT / sizeof(struct inet_diag_bc_op)];
};

static struct filter filter_of(struct sockdiag_ports ports)
{
    enum { LOCAL_AT = 0, LOCAL_LAST_AT = 8, FOUND_AT = 16, PEER_AT = 20, PEER_LAST_AT = 28 };
    return (struct filter){.head = {.nla_len = sizeof(struct filter), .nla_type = INET_DIAG_REQ_BYTECODE},
                           .code = {{INET_DIAG_BC_S_GE, LOCAL_LAST_AT - LOCAL_AT, PEER_AT - LOCAL_AT},
                                    {.no = ports.first},
                                    {INET_DIAG_BC_S_LE, FOUND_AT - LOCAL_LAST_AT, PEER_AT - LOCAL_LAST_AT},
                                    {.no = ports.last},
                                    {INET_DIAG_BC_JMP, PEER_AT - FOUND_AT, ACCEPT_AT - FOUND_AT},
                                    {INET_DIAG_BC_D_GE, PEER_LAST_AT - PEER_AT, REFUSE_AT - PEER_AT},
                                    {.no = ports.first},
                                    {INET_DIAG_BC_D_LE, ACCEPT_AT - PEER_LAST_AT, REFUSE_AT - PEER_LAST_AT},
                                    {.no = ports.last}}};
}

static int ask(int fd, uint8_t family, uint32_t states, struct sockdiag_ports ports)
{
    struct {
        struct nlmsghdr head;
        struct inet_diag_req_v2 request;
        struct filter filter;
    } message = {
        .head = {.nlmsg_len = sizeof message,
                 .nlmsg_type = SOCK_DIAG_BY_FAMILY,
                 .nlmsg_flags = NLM_F_REQUEST | NLM_F_DUMP},
        .request = {.sdiag_family = family,
                    .sdiag_protocol = IPPROTO_TCP,
                    .idiag_ext = 1 << (INET_DIAG_INFO - 1),
                    .idiag_states = states},
        .filter = filter_of(ports),
    };
    return send(fd, &message, sizeof message, 0) < 0 ? -errno : 0;
}

static int visit_one(const struct nlmsghdr *head, void (*visit)(void *, const struct sockdiag_row *),
                     void *context)
{
    struct inet_diag_msg message;
    if (head->nlmsg_len < NLMSG_LENGTH(sizeof message))
        return -EPROTO;
    memcpy(&message, NLMSG_DATA(head), sizeof message);
    struct sockdiag_row row = {
        .local = end_of(message.idiag_family, message.id.idiag_src, message.id.idiag_sport),
        .peer = end_of(message.idiag_family, message.id.idiag_dst, message.id.idiag_dport),
        .established = message.idiag_state == ESTABLISHED,
        .inode = message.idiag_inode,
        .cookie = message.id.idiag_cookie[0] | (uint64_t)message.id.idiag_cookie[1] << 32,
        .bytes = bytes_of(head),
        .backlog = message.idiag_state == LISTEN ? (int64_t)message.idiag_wqueue : -1};
    visit(context, &row);
    return 0;
}

// The rows of one read. 1: others may follow. 0: these were the last. Or -errno.
static int visit_read(const void *buffer, size_t bytes, void (*visit)(void *, const struct sockdiag_row *),
                      void *context)
{
    unsigned left = (unsigned)bytes;
    for (const struct nlmsghdr *head = buffer; NLMSG_OK(head, left); head = NLMSG_NEXT(head, left)) {
        if (head->nlmsg_type == NLMSG_DONE)
            return 0;
        if (head->nlmsg_type == NLMSG_ERROR)
            return ((const struct nlmsgerr *)NLMSG_DATA(head))->error;
        int code = visit_one(head, visit, context);
        if (code < 0)
            return code;
    }
    return 1;
}

static int list_family(int fd, uint8_t family, uint32_t states, struct sockdiag_ports ports, void *buffer,
                       void (*visit)(void *, const struct sockdiag_row *), void *context)
{
    int code = ask(fd, family, states, ports);
    if (code < 0)
        return code;
    do {
        ssize_t got = recv(fd, buffer, BUFFER_BYTES, 0);
        if (got <= 0)
            return got < 0 ? -errno : -EPROTO;
        code = visit_read(buffer, (size_t)got, visit, context);
    } while (code > 0);
    return code;
}

static int list(uint32_t states, struct sockdiag_ports ports,
                void (*visit)(void *context, const struct sockdiag_row *row), void *context)
{
    int fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_SOCK_DIAG);
    if (fd < 0)
        return -errno;
    void *buffer = malloc(BUFFER_BYTES);
    int code = buffer ? list_family(fd, AF_INET, states, ports, buffer, visit, context) : -ENOMEM;
    if (code == 0)
        code = list_family(fd, AF_INET6, states, ports, buffer, visit, context);
    free(buffer);
    close(fd);
    return code == -ENOENT ? -EOPNOTSUPP : code; // the kernel has no such list
}

int sockdiag_list(struct sockdiag_ports ports, void (*visit)(void *context, const struct sockdiag_row *row),
                  void *context)
{
    static const uint32_t without =
        1U << SYN_SENT | 1U << SYN_RECV | 1U << CLOSE | 1U << LISTEN | 1U << NEW_SYN_RECV;
    return list(~without, ports, visit, context);
}

int sockdiag_listeners(void (*visit)(void *context, const struct sockdiag_row *row), void *context)
{
    return list(1U << LISTEN, (struct sockdiag_ports){0, 65535}, visit, context);
}

int sockdiag_ends_open(void)
{
    struct sockaddr_nl address = {.nl_family = AF_NETLINK,
                                  .nl_groups = 1U << (SKNLGRP_INET_TCP_DESTROY - 1) |
                                               1U << (SKNLGRP_INET6_TCP_DESTROY - 1)};
    int fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC | SOCK_NONBLOCK, NETLINK_SOCK_DIAG);
    int bytes = EVENTS_BYTES;
    if (fd < 0)
        return -errno;
    // Without privilege the kernel gives less. Then more events may be lost.
    if (setsockopt(fd, SOL_SOCKET, SO_RCVBUFFORCE, &bytes, sizeof bytes) < 0)
        (void)setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &bytes, sizeof bytes);
    if (bind(fd, (const struct sockaddr *)&address, sizeof address) < 0) {
        int code = -errno;
        close(fd);
        return code;
    }
    return fd;
}

int sockdiag_ends_read(int fd, void (*visit)(void *context, const struct sockdiag_row *row), void *context)
{
    for (;;) {
        _Alignas(struct nlmsghdr) char buffer[EVENT_BYTES];
        ssize_t got = recv(fd, buffer, sizeof buffer, 0);
        if (got < 0 && errno == EINTR)
            continue;
        if (got <= 0)
            return got == 0 || errno == EAGAIN ? 0 : -errno;
        int code = visit_read(buffer, (size_t)got, visit, context);
        if (code < 0)
            return code;
    }
}
