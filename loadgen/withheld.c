// SPDX-License-Identifier: Apache-2.0
#include "loadgen/withheld.h"

#include <assert.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

enum { STARTS_MAX = 9 };

#define MEMORY_EACH "memory.per_connection_"
#define KERNEL_EACH "kernel.per_connection_"
#define CPU_EACH "cpu.per_"

static const struct {
    const char *anomaly;
    const char *starts[STARTS_MAX]; // beginnings of metrics' names; NULL behind the last
} rules[] = {
    {"other_hosts",
     {KERNEL_EACH, "generator.per_client_", "generator.cpu_per_client_", "slow.tcp_per_reader_"}},
    {"not_the_target", {"memory.", CPU_EACH}},
    {"not_all_watched", {"memory.", CPU_EACH}},
    {"target_replaced", {"memory.", CPU_EACH, "soak.memory_", "slow.memory_per_reader_"}},
    {"swap_not_counted", {MEMORY_EACH, "memory.per_subscription_", "slow.memory_per_reader_"}},
    {"served_before", {MEMORY_EACH}},
    {"kernel_noise", {KERNEL_EACH}},
    {"failed_share",
     {MEMORY_EACH, KERNEL_EACH, CPU_EACH, "generator.per_client_", "generator.cpu_per_client_"}},
    {"target_busy", {CPU_EACH}},
    {"other_clients",
     {MEMORY_EACH, "memory.peak_bytes", "memory.after_bytes", "memory.subscribed_bytes",
      "memory.per_subscription_", "slow.memory_per_reader_", KERNEL_EACH, CPU_EACH}},
    {"subscribers_lost", {"memory.per_subscription_"}},
    {"slow_closed", {"slow.memory_per_reader_", "slow.tcp_per_reader_"}},
    {"beside",
     {MEMORY_EACH, "memory.peak_bytes", "memory.after_bytes", "memory.subscribed_bytes",
      "memory.per_subscription_", "slow.memory_per_reader_", KERNEL_EACH, CPU_EACH}},
};
enum { RULES = sizeof rules / sizeof rules[0] };

uint64_t withheld_bit(const char *anomaly)
{
    for (int i = 0; i < RULES; i++)
        if (strcmp(rules[i].anomaly, anomaly) == 0)
            return UINT64_C(1) << i;
    return 0;
}

const char *withheld_by(uint64_t bits, const char *metric)
{
    for (int i = 0; i < RULES; i++)
        for (int j = 0; bits >> i & 1 && j < STARTS_MAX && rules[i].starts[j]; j++)
            if (strncmp(metric, rules[i].starts[j], strlen(rules[i].starts[j])) == 0)
                return rules[i].anomaly;
    return NULL;
}

json_t *withheld_describe(void)
{
    json_t *json = json_object();
    for (int i = 0; i < RULES; i++) {
        json_t *starts = json_array();
        for (int j = 0; j < STARTS_MAX && rules[i].starts[j]; j++)
            json_array_append_new(starts, json_string(rules[i].starts[j]));
        json_object_set_new(json, rules[i].anomaly, starts);
    }
    return json;
}

void withheld_add(struct withheld_parts *parts, const char *anomaly, const char *format, ...)
{
    va_list arguments;
    assert(parts->count < WITHHELD_PARTS_MAX);
    struct withheld_part *part = &parts->list[parts->count++];
    part->anomaly = anomaly;
    va_start(arguments, format);
    vsnprintf(part->start, sizeof part->start, format, arguments);
    va_end(arguments);
}

void withheld_add_all(struct withheld_parts *parts, const char *anomaly, const char *by)
{
    for (int i = 0; i < RULES; i++)
        for (int j = 0; strcmp(rules[i].anomaly, anomaly) == 0 && j < STARTS_MAX && rules[i].starts[j]; j++)
            withheld_add(parts, by, "%s", rules[i].starts[j]);
}

static bool is_count(const char *metric)
{
    const char *last = strrchr(metric, '.');
    return last && (strcmp(last, ".count") == 0 || strcmp(last, ".censored") == 0);
}

const char *withheld_part_by(const struct withheld_parts *parts, const char *metric)
{
    for (int i = 0; i < parts->count && !is_count(metric); i++)
        if (strncmp(metric, parts->list[i].start, strlen(parts->list[i].start)) == 0)
            return parts->list[i].anomaly;
    return NULL;
}

json_t *withheld_parts_json(const struct withheld_parts *parts)
{
    json_t *json = json_object();
    for (int i = 0; i < parts->count; i++) {
        const struct withheld_part *part = &parts->list[i];
        if (!json_object_get(json, part->anomaly))
            json_object_set_new(json, part->anomaly, json_array());
        json_array_append_new(json_object_get(json, part->anomaly), json_string(part->start));
    }
    return json;
}
