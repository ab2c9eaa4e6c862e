// SPDX-License-Identifier: Apache-2.0
#include "pools/use/pool_set.h"

#include "pools/use/pool_report.h"
#include "pools/pool_strategy.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct pool_set {
    struct pool_registry *registry;
    size_t count;
    struct pool *pools[];
};

// A name that two specs have, or NULL.
static const char *name_twice(const struct pool_spec *specs, size_t count)
{
    for (size_t i = 0; i < count; i++)
        for (size_t j = 0; j < i; j++)
            if (specs[i].config.name && specs[j].config.name &&
                strcmp(specs[i].config.name, specs[j].config.name) == 0)
                return specs[i].config.name;
    return NULL;
}

int pool_set_open(struct pool_set **opened, const struct pool_spec *specs, size_t count, struct err *err)
{
    const char *twice = name_twice(specs, count);
    if (twice)
        return err_set(err, -EINVAL, "pool %s: the name stands twice", twice);
    struct pool_set *set = pool_memory_alloc(sizeof *set + count * sizeof set->pools[0]);
    if (!set)
        return err_set(err, -ENOMEM, "a set of %zu pools: out of memory", count);
    *set = (struct pool_set){.registry = NULL};
    int code = pool_registry_open(&set->registry, err);
    while (code == 0 && set->count < count) {
        const struct pool_spec *spec = &specs[set->count];
        code = pool_registry_add(set->registry, spec->strategy, &spec->config, err);
        if (code == 0)
            set->pools[set->count++] = pool_registry_find(set->registry, spec->config.name);
    }
    if (code < 0) {
        pool_set_close(set);
        return code;
    }
    *opened = set;
    return 0;
}

struct pool_registry *pool_set_registry(const struct pool_set *set)
{
    return set->registry;
}

struct pool *pool_set_at(const struct pool_set *set, size_t index)
{
    return set->pools[index];
}

int64_t pool_set_sweep(struct pool_set *set)
{
    int64_t bytes = 0;
    for (size_t i = 0; i < set->count; i++)
        bytes += pool_sweep(set->pools[i]);
    return bytes;
}

void pool_set_report_rows(const struct pool_set *set, struct csv *csv, int64_t at_ns)
{
    for (size_t i = 0; i < set->count; i++)
        pool_report_row(csv, at_ns, set->pools[i]);
}

void pool_set_report_table(const struct pool_set *set, FILE *to)
{
    pool_report_table(set->pools, set->count, to);
}

static void complain(int code, const struct err *err)
{
    if (code == 0)
        return;
    fprintf(stderr, "a set of pools is closed: %s\n", err->text);
#ifdef POOLMARK_CHECK
    abort();
#endif
}

void pool_set_close(struct pool_set *set)
{
    struct err err = {0};
    if (!set)
        return;
    while (set->count) {
        struct pool *pool = set->pools[--set->count];
        const char *name = pool_config_of(pool)->name;
        pool_registry_release(set->registry, pool);
        complain(pool_registry_remove(set->registry, name, 0, &err), &err);
    }
    complain(pool_registry_close(set->registry, &err), &err);
    pool_memory_free(set);
}
