// SPDX-License-Identifier: Apache-2.0
// Facts about this build, for records and for --version. Any thread may call.
#ifndef POOLMARK_BASE_BUILD_H
#define POOLMARK_BASE_BUILD_H

#include <jansson.h>

struct build_facts {
    const char *version; // of the file VERSION
    const char *commit;  // 40 hex digits, or "unknown" outside a checkout
    int dirty;           // 1: the checkout had changes that no commit holds; -1: not known
    const char *compiler, *flags;
};

const struct build_facts *build_facts(void);
// "PROGRAM VERSION (COMMIT[, changed], COMPILER)", what --version prints.
void build_print_version(const char *program);

json_t *build_json(void); // {"version", "commit", "dirty", "compiler", "flags"}; NULL when out of memory

#endif
