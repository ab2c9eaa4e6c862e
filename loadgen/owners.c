// SPDX-License-Identifier: Apache-2.0
#include "loadgen/owners.h"

#include "base/procmem.h"
#include "base/text_file.h"

#include <arpa/inet.h>
#include <dirent.h>
#include <inttypes.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
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

// Marks the listeners that the process has. Their number; -1 when its descriptors cannot be listed.
static int mark_owned(struct listeners *found, int64_t pid)
{
    int owned = 0;
    char path[64];
    snprintf(path, sizeof path, "/proc/%" PRId64 "/fd", pid);
    DIR *dir = opendir(path);
    if (!dir)
        return -1;
    for (struct dirent *entry; (entry = readdir(dir));) {
        char link[64] = "";
        uint64_t inode;
        if (readlinkat(dirfd(dir), entry->d_name, link, sizeof link - 1) < 0 ||
            sscanf(link, "socket:[%" SCNu64 "]", &inode) != 1)
            continue;
        for (int i = 0; i < found->count; i++)
            if (found->list[i].inode == inode) {
                found->list[i].owned = true;
                owned++;
            }
    }
    closedir(dir);
    return owned;
}

enum kin { KIN_NONE, KIN_WATCHED, KIN_CHILD, KIN_SIBLING };

struct relative {
    int pid, parent;
    enum kin kin;
};

struct family { // all processes, by pid
    struct relative *list;
    int count, capacity;
    bool read;
};

static int by_pid(const void *a, const void *b)
{
    const struct relative *one = a, *other = b;
    return (one->pid > other->pid) - (one->pid < other->pid);
}

static struct relative *find_relative(const struct family *family, int pid)
{
    struct relative key = {.pid = pid};
    return family->count == 0 ? NULL : bsearch(&key, family->list, (size_t)family->count, sizeof key, by_pid);
}

// The parent by /proc/PID/stat; 0: it has ended, or may not be looked at.
static int parent_of(int pid)
{
    char path[64], text[512];
    int parent = 0;
    snprintf(path, sizeof path, "/proc/%d/stat", pid);
    if (text_file_read(path, text, sizeof text) <= 0)
        return 0;
    const char *after = strrchr(text, ')'); // the name before it may hold anything
    return after && sscanf(after + 1, " %*c %d", &parent) == 1 ? parent : 0;
}

static bool add_relative(struct family *family, int pid)
{
    if (family->count == family->capacity) {
        int capacity = family->capacity ? family->capacity * 2 : 1024;
        struct relative *list = realloc(family->list, (size_t)capacity * sizeof *list);
        if (!list)
            return false;
        family->list = list;
        family->capacity = capacity;
    }
    family->list[family->count++] = (struct relative){.pid = pid, .parent = parent_of(pid)};
    return true;
}

// The generator itself may be a child of what it watches; it is not followed.
static bool mark_children(struct family *family)
{
    bool more = false;
    for (int i = 0; i < family->count; i++) {
        struct relative *one = &family->list[i], *parent = find_relative(family, one->parent);
        if (parent && (parent->kin == KIN_WATCHED || parent->kin == KIN_CHILD) && one->kin == KIN_NONE &&
            one->pid != getpid()) {
            one->kin = KIN_CHILD;
            more = true;
        }
    }
    return more;
}

static void mark_siblings(struct family *family)
{
    for (int i = 0; i < family->count; i++) {
        int parent = family->list[i].kin == KIN_WATCHED ? family->list[i].parent : 0;
        for (int j = 0; parent > 1 && j < family->count; j++)
            if (family->list[j].parent == parent && family->list[j].kin == KIN_NONE &&
                family->list[j].pid != getpid())
                family->list[j].kin = KIN_SIBLING;
    }
}

// family->list is the caller's to free. Without /proc, or without memory for it, family->read is false.
static void read_family(struct family *family, const int64_t *pids, int count)
{
    *family = (struct family){0};
    DIR *dir = opendir("/proc");
    family->read = dir;
    for (struct dirent *entry; dir && (entry = readdir(dir));) {
        int pid = atoi(entry->d_name);
        if (pid > 0)
            family->read = add_relative(family, pid) && family->read;
    }
    if (dir)
        closedir(dir);
    if (family->count > 0)
        qsort(family->list, (size_t)family->count, sizeof *family->list, by_pid);
    for (int i = 0; i < count; i++) {
        struct relative *watched = find_relative(family, (int)pids[i]);
        if (watched)
            watched->kin = KIN_WATCHED;
    }
    while (mark_children(family))
        ;
    mark_siblings(family);
}

static int family_children(const struct family *family)
{
    int children = 0;
    for (int i = 0; i < family->count; i++)
        children += family->list[i].kin == KIN_CHILD;
    return children;
}

static void look_at_family(struct owners *owners, struct listeners *found, const int64_t *pids, int count)
{
    struct family family;
    struct listeners *owned = found;
    int kept = 0;
    for (int i = 0; i < found->count; i++)
        if (found->list[i].owned)
            owned->list[kept++] = found->list[i];
    owned->count = kept;
    read_family(&family, pids, count);
    owners->children = family_children(&family);
    for (int i = 0; kept > 0 && i < family.count; i++)
        if ((family.list[i].kin == KIN_CHILD || family.list[i].kin == KIN_SIBLING) &&
            mark_owned(owned, family.list[i].pid) > 0 && owners->sharing++ == 0)
            owners->first_sharing = family.list[i].pid;
    free(family.list);
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
        owners->known = mark_owned(&found, pids[i]) >= 0 && owners->known;
    owners->listeners = found.count;
    for (int i = 0; i < found.count; i++)
        if (!found.list[i].owned && owners->unowned++ == 0)
            snprintf(owners->first, sizeof owners->first, "%s", found.list[i].target->uri);
    look_at_family(owners, &found, pids, count);
}

int64_t owners_more_children(const struct owners *owners, const int64_t *pids, int count)
{
    struct family family;
    read_family(&family, pids, count);
    int64_t more = family.read ? family_children(&family) - owners->children : 0;
    free(family.list);
    return more;
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
