// SPDX-License-Identifier: Apache-2.0
// A server that sends back what it is sent. What it holds for a connection is an object of a pool, whose
// strategy is chosen by name when it starts. Build it against the installed library, as C or as C++:
//
//     cc echo-server.c $(pkg-config --cflags --libs poolmark) -o echo-server
//     ./echo-server slab 7000          prints `ready PORT`; Ctrl-C prints the pool's statistics and ends
#include <poolmark/pool.h>
#include <poolmark/pool_inline.h>

#include <arpa/inet.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

struct connection {
    int fd;
    char buffer[4096 - sizeof(int)];
};

static volatile sig_atomic_t end_signal;

static void end(int signal)
{
    end_signal = signal;
}

// Listens on the loopback; `port` is the port that it got. -1: no.
static int listen_on(unsigned short *port)
{
    struct sockaddr_in address = {AF_INET, htons(*port), {htonl(INADDR_LOOPBACK)}, {0}};
    socklen_t bytes = sizeof address;
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    if (fd < 0 || bind(fd, (struct sockaddr *)&address, bytes) < 0 || listen(fd, 1024) < 0 ||
        getsockname(fd, (struct sockaddr *)&address, &bytes) < 0)
        return -1;
    *port = ntohs(address.sin_port);
    return fd;
}

static void welcome(int epoll, int listener, const struct pool_inline *pool)
{
    int fd = accept(listener, NULL, NULL);
    if (fd < 0)
        return;
    struct connection *connection = (struct connection *)pool_inline_get(pool);
    if (!connection) { // past `max`, or no memory: the client sees the connection close
        close(fd);
        return;
    }
    connection->fd = fd; // the rest of the object is undefined: nobody clears it
    struct epoll_event event = {EPOLLIN, {connection}};
    epoll_ctl(epoll, EPOLL_CTL_ADD, fd, &event);
}

// A client that does not read what it sent is closed: this server keeps nothing for later.
static void serve(struct connection *connection, const struct pool_inline *pool)
{
    ssize_t got = recv(connection->fd, connection->buffer, sizeof connection->buffer, MSG_DONTWAIT);
    if (got > 0 && send(connection->fd, connection->buffer, (size_t)got, MSG_DONTWAIT | MSG_NOSIGNAL) == got)
        return;
    close(connection->fd);
    pool_inline_put(pool, connection);
}

int main(int argc, char **argv)
{
    struct pool_config config = POOL_CONFIG_DEFAULTS;
    config.name = "connections";
    config.object_bytes = sizeof(struct connection);
    const struct pool_strategy *strategy = pool_strategy_find(argc > 1 ? argv[1] : "slab");
    unsigned short port = (unsigned short)(argc > 2 ? atoi(argv[2]) : 7000);
    struct pool *pool;
    struct err err;
    if (!strategy || pool_open(&pool, strategy, &config, &err) < 0) {
        fprintf(stderr, "echo-server: %s\n", strategy ? err.text : "there is no such strategy");
        return 2;
    }
    struct pool_inline inlined;
    (void)pool_inline_open(&inlined, pool); // without a fast path pool_inline_get is pool_get
    int epoll = epoll_create1(0), listener = listen_on(&port);
    struct epoll_event event = {EPOLLIN, {NULL}}; // the listener
    if (listener < 0 || epoll_ctl(epoll, EPOLL_CTL_ADD, listener, &event) < 0)
        return perror("echo-server: listening"), 1;
    signal(SIGINT, end);
    signal(SIGTERM, end);
    printf("ready %d\n", port);
    fflush(stdout);
    while (!end_signal) {
        int events = epoll_wait(epoll, &event, 1, 100);
        if (events > 0 && !event.data.ptr)
            welcome(epoll, listener, &inlined);
        else if (events > 0)
            serve((struct connection *)event.data.ptr, &inlined);
        if (events == 0)
            (void)pool_sweep(pool); // nothing to do: let the pool give memory back
    }
    struct pool_stats stats;
    pool_stats(pool, &stats);
    printf("%s: %lld gets, %lld puts, %lld owned\n", pool_strategy_name(strategy), (long long)stats.gets,
           (long long)stats.puts, (long long)stats.owned);
    return 0;
}
