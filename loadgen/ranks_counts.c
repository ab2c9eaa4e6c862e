// SPDX-License-Identifier: Apache-2.0
#include "loadgen/ranks_counts.h"

json_t *ranks_counts_json(const struct tally *tally)
{
    static const struct {
        const char *name;
        enum tally_count what;
    } counts[] = {
        {"connected", TALLY_CONNECTED},   {"sent", TALLY_PUBLISHED},  {"received", TALLY_RECEIVED},
        {"not_sent", TALLY_NOT_SENT},     {"lost", TALLY_LOST},       {"unfinished", TALLY_UNFINISHED},
        {"acknowledged", TALLY_ACKED},    {"arrived", TALLY_ARRIVED}, {"alive", TALLY_PROVEN},
        {"duplicates", TALLY_DUPLICATES}, {"corrupt", TALLY_CORRUPT}};
    json_t *json = json_object();
    for (size_t i = 0; i < sizeof counts / sizeof *counts; i++)
        json_object_set_new(json, counts[i].name, json_integer(tally->count[counts[i].what]));
    json_object_set_new(json, "failed", json_integer(tally_failed(tally)));
    json_object_set_new(json, "dropped", json_integer(tally_dropped(tally)));
    return json;
}
