// SPDX-License-Identifier: Apache-2.0
#include "loadgen/owners.h"

#include "base/procmem.h"

#include <arpa/inet.h>
#include <dirent.h>
#include <inttypes.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

enum { LISTENERS_MAX = 4096, LISTEN = 0x0A };

struct listener {
    uint64_t inode;
    const struct plan_target *target;
    bool owned;
};

struct listeners {
    struct listener list[LISTENERS_MAX];
    int count;
};

static uint16_t port_of(const struct plan_target *target)
{
    return ntohs(target->address.ss_family == AF_INET6
                     ? ((const struct sockaddr_in6 *)&target->address)->sin6_port
                     : ((const struct sockaddr_in *)&target->address)->sin_port);
}

// The address as /proc/net/tcp (8 digits) and tcp6 (32) print it: words of the host's byte order.
static void hex_of(const struct plan_target *target, char text[static 40])
{
    uint32_t words[4];
    if (target->address.ss_family == AF_INET) {
        memcpy(words, &((const struct sockaddr_in *)&target->address)->sin_addr, 4);
        snprintf(text, 40, "%08" PRIX32, words[0]);
        return;
    }
    memcpy(words, &((const struct sockaddr_in6 *)&target->address)->sin6_addr, 16);
    snprintf(text, 40, "%08" PRIX32 "%08" PRIX32 "%08" PRIX32 "%08" PRIX32, words[0], words[1], words[2],
             words[3]);
}

static bool is_loopback(const struct plan_target *target)
{
    if (target->address.ss_family == AF_INET6)
        return IN6_IS_ADDR_LOOPBACK(&((const struct sockaddr_in6 *)&target->address)->sin6_addr);
    return ntohl(((const struct sockaddr_in *)&target->address)->sin_addr.s_addr) >> 24 == 127;
}

// Adds the sockets that listen at the target's port, on its address (`exact`) or on all addresses.
static void find_in(struct listeners *found, const struct plan_target *target, const char *path, bool exact)
{
    FILE *file = fopen(path, "re");
    char line[512], wanted[40];
    hex_of(target, wanted);
    // Listening sockets come first; behind them there may be a million others.
    for (bool listening = file && fgets(line, sizeof line, file);
         listening && fgets(line, sizeof line, file);) {
        char address[40];
        unsigned port, state;
        uint64_t inode;
        if (sscanf(line, " %*d: %39[0-9A-F]:%X %*s %X %*s %*s %*s %*s %*s %" SCNu64, address, &port, &state,
                   &inode) != 4 ||
            state != LISTEN)
            break;
        bool all = strspn(address, "0") == strlen(address);
        if (port == port_of(target) && (exact ? strcmp(address, wanted) == 0 : all) &&
            found->count < LISTENERS_MAX)
            found->list[found->count++] = (struct listener){.inode = inode, .target = target};
    }
    if (file)
        fclose(file);
}

static void find_listeners(struct listeners *found, const struct plan_target *target)
{
    int before = found->count;
    bool v6 = target->address.ss_family == AF_INET6;
    find_in(found, target, v6 ? "/proc/net/tcp6" : "/proc/net/tcp", true);
    if (found->count == before)
        find_in(found, target, v6 ? "/proc/net/tcp6" : "/proc/net/tcp", false);
    if (found->count == before && !v6)
        find_in(found, target, "/proc/net/tcp6", false);
}

// Marks the listeners that the process has. False when its descriptors cannot be listed.
static bool mark_owned(struct listeners *found, int64_t pid)
{
    char path[64];
    snprintf(path, sizeof path, "/proc/%" PRId64 "/fd", pid);
    DIR *dir = opendir(path);
    if (!dir)
        return false;
    for (struct dirent *entry; (entry = readdir(dir));) {
        char link[64] = "";
        uint64_t inode;
        if (readlinkat(dirfd(dir), entry->d_name, link, sizeof link - 1) < 0 ||
            sscanf(link, "socket:[%" SCNu64 "]", &inode) != 1)
            continue;
        for (int i = 0; i < found->count; i++)
            if (found->list[i].inode == inode)
                found->list[i].owned = true;
    }
    closedir(dir);
    return true;
}

void owners_look(struct owners *owners, const struct plan *plan, const int64_t *pids, int count)
{
    static struct listeners found; // of the parent's one thread that opens runs
    *owners = (struct owners){.known = true};
    if (count == 0)
        return;
    found.count = 0;
    for (int i = 0; i < plan->target_count; i++)
        if (is_loopback(&plan->targets[i]))
            find_listeners(&found, &plan->targets[i]);
    for (int i = 0; i < count; i++)
        owners->known = mark_owned(&found, pids[i]) && owners->known;
    owners->listeners = found.count;
    for (int i = 0; i < found.count; i++)
        if (!found.list[i].owned && owners->unowned++ == 0)
            snprintf(owners->first, sizeof owners->first, "%s", found.list[i].target->uri);
}

bool owners_hold(const int64_t *pids, int count, int64_t connections)
{
    int64_t open = 0;
    for (int i = 0; i < count; i++) {
        int64_t more = procmem_descriptors((pid_t)pids[i]);
        if (more < 0)
            return true;
        open += more;
    }
    return open >= connections;
}
