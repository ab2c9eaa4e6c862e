// SPDX-License-Identifier: Apache-2.0
#include "base/build.h"

#include "build_facts.h" // written by the Makefile

const struct build_facts *build_facts(void)
{
    static const struct build_facts facts = {
        .version = POOLMARK_VERSION,
        .commit = BUILD_COMMIT,
        .dirty = BUILD_DIRTY,
        .compiler = BUILD_COMPILER,
        .flags = BUILD_FLAGS,
    };
    return &facts;
}
