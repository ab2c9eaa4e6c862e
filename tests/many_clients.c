// SPDX-License-Identifier: Apache-2.0
#include "tests/many_clients.h"

#include "base/host.h"
#include "tests/broker_process.h"
#include "wire/mqtt_connect.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>
#include <cmocka.h>

int many_clients_limit(void)
{
    int64_t limit;
    assert_int_equal(host_raise_nofile(&limit, NULL), 0);
    return limit < 1000000 ? (int)limit : 1000000;
}

static int start(uint16_t port, const char *prefix, int number)
{
    struct sockaddr_in to = {
        .sin_family = AF_INET, .sin_port = htons(port), .sin_addr = {htonl(INADDR_LOOPBACK)}};
    struct timeval guard = {.tv_sec = PROCESS_GUARD_S};
    char id[64];
    uint8_t packet[128];
    int id_bytes = snprintf(id, sizeof id, "%s-%d", prefix, number);
    struct mqtt_connect connect_packet = {.client_id = {id, (size_t)id_bytes}, .clean_session = true};
    int bytes = mqtt_connect_encode(packet, sizeof packet, &connect_packet);
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_true(fd >= 0 && bytes > 0);
    assert_int_equal(setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &guard, sizeof guard), 0);
    assert_int_equal(setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &(int){1}, sizeof(int)), 0);
    assert_int_equal(connect(fd, (struct sockaddr *)&to, sizeof to), 0);
    assert_int_equal(send(fd, packet, (size_t)bytes, MSG_NOSIGNAL), bytes);
    return fd;
}

// The packet's bytes, or fewer when the connection ended.
static size_t receive(int fd, uint8_t *to, size_t bytes)
{
    size_t used = 0;
    ssize_t got;
    while (used < bytes && (got = recv(fd, to + used, bytes - used, 0)) > 0)
        used += (size_t)got;
    return used;
}

static void finish(struct many_clients *clients, int number)
{
    uint8_t answer[4], end;
    int *fd = &clients->fds[number];
    if (receive(*fd, answer, sizeof answer) == sizeof answer && answer[0] == MQTT_CONNACK << 4) {
        if (answer[3] == MQTT_ACCEPTED) {
            clients->accepted++;
            return;
        }
        // [MQTT-3.2.2-5]: and then the connection is closed.
        if (answer[3] == MQTT_REFUSED_UNAVAILABLE && receive(*fd, &end, 1) == 0)
            clients->refused++;
        else
            clients->other++;
    } else {
        clients->other++;
    }
    close(*fd);
    *fd = -1;
}

void many_clients_connect(struct many_clients *clients, uint16_t port, int count, int window,
                          const char *prefix)
{
    *clients = (struct many_clients){.fds = malloc((size_t)count * sizeof(int)), .count = count};
    assert_non_null(clients->fds);
    for (int i = 0; i < count; i++) {
        clients->fds[i] = start(port, prefix, i);
        if (i + 1 >= window)
            finish(clients, i + 1 - window);
    }
    for (int i = count + 1 > window ? count + 1 - window : 0; i < count; i++)
        finish(clients, i);
}

void many_clients_ping(const struct many_clients *clients)
{
    uint8_t answer[2];
    for (int i = 0; i < clients->count; i++)
        if (clients->fds[i] >= 0)
            assert_int_equal(send(clients->fds[i], "\xC0\x00", 2, MSG_NOSIGNAL), 2);
    for (int i = 0; i < clients->count; i++)
        if (clients->fds[i] >= 0) {
            assert_int_equal(receive(clients->fds[i], answer, sizeof answer), sizeof answer);
            assert_memory_equal(answer, "\xD0\x00", 2);
        }
}

void many_clients_close(struct many_clients *clients)
{
    for (int i = 0; i < clients->count; i++)
        if (clients->fds[i] >= 0)
            close(clients->fds[i]);
    free(clients->fds);
    clients->fds = NULL;
}
