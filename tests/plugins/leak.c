// SPDX-License-Identifier: Apache-2.0
// A library that a test preloads into a broker (tests/test_e2e_account.c): the 100th accept4 that takes a client also
// takes 8 MiB, writes to them, and keeps them.
//
//     POOLMARK_LEAK=map     mapped
//     POOLMARK_LEAK=block   one block of the heap
//     POOLMARK_LEAK=small   blocks of 1 008 bytes, which take 1 024
#include <dlfcn.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>

enum { BYTES = 8 << 20, SMALL = 1008, SMALL_TAKES = 1024, AT = 100 };

static atomic_int clients;
static void *volatile kept[BYTES / SMALL_TAKES]; // so that no compiler leaves the blocks out

static void leak(void)
{
    const char *how = getenv("POOLMARK_LEAK");
    if (how && strcmp(how, "map") == 0) {
        kept[0] = mmap(NULL, BYTES, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
        if (kept[0] != MAP_FAILED)
            memset(kept[0], 1, BYTES);
    } else if (how && strcmp(how, "block") == 0) {
        kept[0] = malloc(BYTES);
        if (kept[0])
            memset(kept[0], 1, BYTES);
    } else if (how) {
        for (int i = 0; i < BYTES / SMALL_TAKES; i++) {
            kept[i] = malloc(SMALL);
            if (kept[i])
                memset(kept[i], 1, SMALL);
        }
    }
}

// dlsym gives an object pointer; POSIX wants it to be used as a function.
int accept4(int fd, struct sockaddr *address, socklen_t *bytes, int flags)
{
    static int (*real)(int, struct sockaddr *, socklen_t *, int);
    if (!real) {
        void *found = dlsym(RTLD_NEXT, "accept4");
        memcpy(&real, &found, sizeof found);
    }
    int client = real(fd, address, bytes, flags);
    if (client >= 0 && atomic_fetch_add(&clients, 1) + 1 == AT)
        leak();
    return client;
}
