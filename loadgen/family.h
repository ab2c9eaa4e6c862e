// SPDX-License-Identifier: Apache-2.0
// The processes of this host by kinship with the watched ones: their children and children's children, and other children of
// their parents. The generator itself is no kin, though it may be a child of what it watches. One thread.
//
//     struct family family;
//     family_read(&family, pids, count);
//     for (int i = 0; i < family.count; i++)
//         if (family.list[i].kin == KIN_CHILD) ...
//     free(family.list);
#ifndef POOLMARK_LOADGEN_FAMILY_H
#define POOLMARK_LOADGEN_FAMILY_H

#include <stdbool.h>
#include <stdint.h>

enum kin { KIN_NONE, KIN_WATCHED, KIN_CHILD, KIN_SIBLING };

struct relative {
    int pid, parent; // parent 0: not known
    enum kin kin;
};

struct family {
    struct relative *list; // all processes, by pid
    int count, capacity;
    bool read; // false: without /proc, or without memory, some are missing
};

// family->list is the caller's to free.
void family_read(struct family *family, const int64_t *pids, int count);
int family_children(const struct family *family);

#endif
