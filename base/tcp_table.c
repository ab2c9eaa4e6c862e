// SPDX-License-Identifier: Apache-2.0
// /proc/PID/net/tcp, fib_trie and if_inet6: proc(5), and Documentation/networking/proc_net_tcp of Linux.
#include "base/tcp_table.h"

#include <arpa/inet.h>
#include <dirent.h>
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static const uint8_t mapped[12] = {[10] = 0xff, [11] = 0xff};

static FILE *open_net(pid_t pid, const char *name)
{
    char path[64];
    if (pid > 0)
        snprintf(path, sizeof path, "/proc/%d/net/%s", (int)pid, name);
    else
        snprintf(path, sizeof path, "/proc/net/%s", name);
    return fopen(path, "re");
}

// Words of the host's byte order, as hexadecimal digits: 8 of tcp, 32 of tcp6.
static void read_address(const char *text, uint8_t address[static 16])
{
    uint32_t words[4] = {0};
    size_t count = strlen(text) / 8;
    for (size_t i = 0; i < count && i < 4; i++) {
        char word[9] = "";
        memcpy(word, text + 8 * i, 8);
        words[i] = (uint32_t)strtoul(word, NULL, 16);
    }
    if (count == 1) {
        memcpy(address, mapped, sizeof mapped);
        memcpy(address + 12, words, 4);
    } else {
        memcpy(address, words, 16);
    }
}

static bool parse(const char *line, unsigned *state, struct tcp_row *row)
{
    char local[33], peer[33];
    unsigned local_port, peer_port;
    if (sscanf(line, " %*d: %32[0-9A-F]:%X %32[0-9A-F]:%X %X %*s %*s %*s %*s %*s %" SCNu64, local,
               &local_port, peer, &peer_port, state, &row->inode) != 6)
        return false;
    read_address(local, row->local.address);
    read_address(peer, row->peer.address);
    row->local.port = (uint16_t)local_port;
    row->peer.port = (uint16_t)peer_port;
    row->v4 = strlen(local) == 8;
    return true;
}

int tcp_table_read(pid_t pid, enum tcp_state state, bool (*visit)(void *context, const struct tcp_row *row),
                   void *context)
{
    int read = 0, error = 0;
    bool more = true;
    for (int i = 0; i < 2; i++) {
        FILE *file = open_net(pid, i == 0 ? "tcp" : "tcp6");
        char line[512];
        error = file ? error : -errno;
        read += file != NULL;
        bool going_on = file && fgets(line, sizeof line, file);
        while (going_on && more && fgets(line, sizeof line, file)) {
            struct tcp_row row;
            unsigned is;
            if (!parse(line, &is, &row))
                continue;
            if (is == (unsigned)state)
                more = visit(context, &row);
            else // listening sockets come first
                going_on = state != TCP_LISTENING;
        }
        if (file)
            fclose(file);
    }
    return read > 0 ? 0 : error;
}

static int compare(const void *a, const void *b)
{
    uint64_t left = *(const uint64_t *)a, right = *(const uint64_t *)b;
    return left < right ? -1 : left > right;
}

static bool add(struct tcp_sockets *sockets, uint64_t inode)
{
    if (sockets->count == sockets->capacity) {
        size_t capacity = sockets->capacity > 0 ? 2 * sockets->capacity : 64;
        uint64_t *list = realloc(sockets->list, capacity * sizeof *list);
        if (!list)
            return false;
        sockets->list = list;
        sockets->capacity = capacity;
    }
    sockets->list[sockets->count++] = inode;
    return true;
}

int tcp_sockets_of(pid_t pid, struct tcp_sockets *sockets)
{
    char path[64];
    int code = 0;
    snprintf(path, sizeof path, "/proc/%d/fd", (int)pid);
    DIR *dir = opendir(path);
    if (!dir)
        return -errno;
    for (struct dirent *entry; code == 0 && (entry = readdir(dir));) {
        char link[64] = "";
        uint64_t inode;
        if (readlinkat(dirfd(dir), entry->d_name, link, sizeof link - 1) > 0 &&
            sscanf(link, "socket:[%" SCNu64 "]", &inode) == 1 && !add(sockets, inode))
            code = -ENOMEM;
    }
    closedir(dir);
    if (sockets->count > 0)
        qsort(sockets->list, sockets->count, sizeof *sockets->list, compare);
    return code;
}

bool tcp_sockets_add(struct tcp_sockets *sockets, uint64_t inode)
{
    if (!add(sockets, inode))
        return false;
    qsort(sockets->list, sockets->count, sizeof *sockets->list, compare);
    return true;
}

bool tcp_sockets_has(const struct tcp_sockets *sockets, uint64_t inode)
{
    return inode != 0 && sockets->count > 0 &&
           bsearch(&inode, sockets->list, sockets->count, sizeof inode, compare) != NULL;
}

void tcp_sockets_free(struct tcp_sockets *sockets)
{
    free(sockets->list);
    *sockets = (struct tcp_sockets){0};
}

struct tcp_end tcp_end_of(const struct sockaddr_storage *address)
{
    struct tcp_end end = {0};
    if (address->ss_family == AF_INET6) {
        const struct sockaddr_in6 *v6 = (const struct sockaddr_in6 *)address;
        memcpy(end.address, &v6->sin6_addr, 16);
        end.port = ntohs(v6->sin6_port);
    } else {
        const struct sockaddr_in *v4 = (const struct sockaddr_in *)address;
        memcpy(end.address, mapped, sizeof mapped);
        memcpy(end.address + 12, &v4->sin_addr, 4);
        end.port = ntohs(v4->sin_port);
    }
    return end;
}

bool tcp_end_is_v4(const struct tcp_end *end)
{
    return memcmp(end->address, mapped, sizeof mapped) == 0;
}

bool tcp_end_is_any(const struct tcp_end *end)
{
    static const uint8_t none[16];
    return memcmp(end->address + 12, none, 4) == 0 &&
           (tcp_end_is_v4(end) || memcmp(end->address, none, 12) == 0);
}

bool tcp_end_equal(const struct tcp_end *one, const struct tcp_end *other)
{
    return one->port == other->port && memcmp(one->address, other->address, 16) == 0;
}

// A node of fib_trie is "|-- ADDRESS", and below it "/LENGTH host LOCAL" for each route that stays here.
static bool is_local_v4(const struct tcp_end *end, pid_t pid)
{
    FILE *file = open_net(pid, "fib_trie");
    uint32_t wanted, node = 0;
    char line[256];
    bool found = false;
    memcpy(&wanted, end->address + 12, 4);
    while (file && !found && fgets(line, sizeof line, file)) {
        char text[INET_ADDRSTRLEN];
        const char *at = strstr(line, "|-- ");
        int length;
        if (at && sscanf(at + 4, "%15[0-9.]", text) == 1 && inet_pton(AF_INET, text, &node) == 1)
            continue;
        if (!strstr(line, " host LOCAL") || !(at = strchr(line, '/')) || sscanf(at, "/%d", &length) != 1 ||
            length < 1 || length > 32)
            continue;
        uint32_t mask = htonl(UINT32_MAX << (32 - length));
        found = (wanted & mask) == (node & mask);
    }
    if (file)
        fclose(file);
    return found;
}

static bool is_local_v6(const struct tcp_end *end, pid_t pid)
{
    FILE *file = open_net(pid, "if_inet6");
    char line[256], wanted[33];
    bool found = false;
    for (int i = 0; i < 16; i++)
        snprintf(wanted + 2 * i, 3, "%02x", end->address[i]);
    while (file && !found && fgets(line, sizeof line, file))
        found = strncmp(line, wanted, 32) == 0;
    if (file)
        fclose(file);
    return found;
}

bool tcp_end_is_local(const struct tcp_end *end, pid_t pid)
{
    if (tcp_end_is_any(end))
        return true;
    if (tcp_end_is_v4(end))
        return end->address[12] == 127 || is_local_v4(end, pid);
    return memcmp(end->address, &in6addr_loopback, 16) == 0 || is_local_v6(end, pid);
}
