// SPDX-License-Identifier: Apache-2.0
#include "broker/state/sqlite_calls.h"

#include <dlfcn.h>
#include <errno.h>
#include <stddef.h>
#include <string.h>

#define LIBRARY "libsqlite3.so.0" // Debian's libsqlite3-0

struct sqlite_calls sqlite_calls;

#define SQLITE_CALL_NAME(name) "sqlite3_" #name,
static const char *const names[] = {SQLITE_CALLS(SQLITE_CALL_NAME)};
enum { NAMES = sizeof names / sizeof names[0] };
_Static_assert(sizeof(struct sqlite_calls) == NAMES * sizeof(void *),
               "a pointer for each name, in their order");

int sqlite_calls_load(struct err *err)
{
    if (sqlite_calls.step)
        return 0;
    void *library = dlopen(LIBRARY, RTLD_NOW | RTLD_LOCAL | RTLD_NODELETE);
    if (!library)
        return err_set(err, -ELIBACC, "--state needs %s (Debian's package libsqlite3-0): %s", LIBRARY,
                       dlerror());
    void *found[NAMES];
    for (size_t i = 0; i < NAMES; i++) {
        found[i] = dlsym(library, names[i]);
        if (!found[i])
            return err_set(err, -ELIBACC, "--state: %s has no %s; it is too old", LIBRARY, names[i]);
    }
    memcpy(&sqlite_calls, found, sizeof sqlite_calls);
    return 0;
}
