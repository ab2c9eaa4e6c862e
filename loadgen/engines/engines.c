// SPDX-License-Identifier: Apache-2.0
#include "loadgen/engines/engines.h"

#include "base/describe.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

// An engine is a line here: X(NAME) is `engine_NAME` of engines/NAME.c.
#define ENGINES                                                                                              \
    X(paho)                                                                                                  \
    X(raw)

#define X(name) extern const struct engine engine_##name;
ENGINES
#undef X

#define X(name) &engine_##name,
static const struct engine *const engines[] = {ENGINES NULL};
#undef X

const struct engine *const *engine_list(void)
{
    return engines;
}

const struct engine *engine_find(const char *name)
{
    for (int i = 0; engines[i]; i++)
        if (strcmp(engines[i]->name, name) == 0)
            return engines[i];
    return NULL;
}

int engine_parse(const char *name, void *place, struct err *err)
{
    const struct engine *engine = engine_find(name);
    if (engine) {
        *(const struct engine **)place = engine;
        return 0;
    }
    char names[200] = "";
    for (const struct engine *const *at = engines; *at; at++)
        snprintf(names + strlen(names), sizeof names - strlen(names), "%s%s", names[0] ? ", " : "",
                 (*at)->name);
    return err_set(err, -EINVAL, "there is no such engine; there are: %s", names);
}

json_t *engines_describe(void)
{
    static const struct describe_flag caps[] = {
        {ENGINE_CAP_BIND, "bind"}, {ENGINE_CAP_PING, "ping"}, {ENGINE_CAP_RESTLESS, "restless"}, {0}};
    json_t *list = json_array();
    for (const struct engine *const *at = engines; *at; at++)
        json_array_append_new(
            list,
            json_pack("{s:s,s:s,s:o,s:I,s:I,s:i,s:I,s:I,s:i}", "name", (*at)->name, "summary", (*at)->summary,
                      "capabilities", describe_flags(caps, (*at)->caps), "clients",
                      (json_int_t)(*at)->clients, "clients_max", (json_int_t)(*at)->clients_max, "tokens",
                      (*at)->tokens, "client_bytes", (json_int_t)(*at)->client_bytes, "process_bytes",
                      (json_int_t)(*at)->process_bytes, "process_threads", (*at)->process_threads));
    return list;
}
