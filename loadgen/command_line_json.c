// SPDX-License-Identifier: Apache-2.0
// The part of command_line.h that is of one configuration alone: what the record has of it.
#include "loadgen/command_line.h"

#include "loadgen/engine.h"
#include "loadgen/identity_options.h"
#include "loadgen/scenario.h"

static json_t *texts(const struct opt_list *list)
{
    json_t *array = json_array();
    for (int i = 0; i < list->count; i++)
        json_array_append_new(array, json_string(list->values[i]));
    return array;
}

json_t *command_line_json(const struct config *config)
{
    json_t *json =
        json_pack("{s:s, s:s, s:o, s:o, s:I, s:f, s:b, s:I, s:I}", "scenario", config->scenario->name,
                  "engine", config->engine->name, "targets", texts(&config->targets), "sources",
                  texts(&config->sources), "connections", (json_int_t)config->connections, "rate_per_s",
                  config->connect_rate_per_s, "prove", (int)config->prove, "keep_alive_s",
                  (json_int_t)config->keep_alive_s, "timeout_ns", (json_int_t)config->timeout_ns);
    if (!json)
        return NULL;
    json_object_set_new(json, "identity", identity_json(&config->identity));
    json_object_set_new(json, "clean_session", json_boolean(!config->keep_sessions));
    if (config->beside)
        json_object_set_new(json, "beside", json_string(config->beside));
    if (config->open)
        json_object_set_new(json, "open",
                            json_pack("{s:s,s:f,s:s}", "name", config->open, "scale", config->scale, "is",
                                      config->open_says));
    config->scenario->describe(config, json);
    return json;
}
