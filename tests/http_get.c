// SPDX-License-Identifier: Apache-2.0
#include "tests/http_get.h"

#include <arpa/inet.h>
#include <netinet/in.h>
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

enum { PAGE_MAX = 1 << 20, GUARD_S = 60 };

int http_request(const char *method, uint16_t port, const char *path, char **page)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons(port)};
    struct timeval guard = {.tv_sec = GUARD_S};
    char request[256];
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_true(fd >= 0);
    assert_int_equal(setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &guard, sizeof guard), 0);
    assert_int_equal(connect(fd, (struct sockaddr *)&address, sizeof address), 0);
    int bytes = snprintf(request, sizeof request,
                         "%s %s HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n", method, path);
    assert_int_equal(send(fd, request, (size_t)bytes, MSG_NOSIGNAL), bytes);
    char *text = malloc(PAGE_MAX);
    assert_non_null(text);
    size_t used = 0;
    ssize_t got;
    while (used + 1 < PAGE_MAX && (got = recv(fd, text + used, PAGE_MAX - 1 - used, 0)) > 0)
        used += (size_t)got;
    text[used] = '\0';
    close(fd);
    int status = 0;
    assert_int_equal(sscanf(text, "HTTP/1.%*d %d", &status), 1);
    if (page)
        *page = text;
    else
        free(text);
    return status;
}
