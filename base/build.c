// SPDX-License-Identifier: Apache-2.0
#include "base/build.h"

#include "build_facts.h" // written by the Makefile

#include <stdio.h>

const struct build_facts *build_facts(void)
{
    static const struct build_facts facts = {
        .version = BUILD_VERSION,
        .commit = BUILD_COMMIT,
        .dirty = BUILD_DIRTY,
        .compiler = BUILD_COMPILER,
        .flags = BUILD_FLAGS,
    };
    return &facts;
}

void build_print_version(const char *program)
{
    const struct build_facts *facts = build_facts();
    printf("%s %s (%s%s, %s)\n", program, facts->version, facts->commit, facts->dirty > 0 ? ", changed" : "",
           facts->compiler);
}

json_t *build_json(void)
{
    const struct build_facts *facts = build_facts();
    json_t *dirty = facts->dirty < 0 ? json_null() : json_boolean(facts->dirty);
    return json_pack("{s:s,s:s,s:o,s:s,s:s}", "version", facts->version, "commit", facts->commit, "dirty",
                     dirty, "compiler", facts->compiler, "flags", facts->flags);
}
