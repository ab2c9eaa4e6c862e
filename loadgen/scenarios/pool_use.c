// SPDX-License-Identifier: Apache-2.0
#include "loadgen/scenarios/pool_use.h"

#include "base/clock.h"

#include <errno.h>
#include <jansson.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { POOLS_MAX = 16, NAME_BYTES = 48, FIELDS_MAX = 32, LINE_BYTES = 1024 };

#define LATE_NS (10 * NS_PER_S) // a line may be so late on a busy host

enum column { AT_NS, POOL, IN_USE, PEAK, GETS, HITS, COLUMNS };
static const char *const names[COLUMNS] = {"at_ns", "pool", "in_use", "peak_in_use", "gets", "hits"};

struct counts {
    int64_t peak, gets, hits;
};

struct pool {
    char name[NAME_BYTES];
    int64_t first_ns, last_ns;
    struct counts first, last; // the last line up to the beginning, and up to the end
    int64_t most_in_use;       // of the lines between
    bool unknown;              // its strategy keeps no statistics
};

struct pools {
    struct pool list[POOLS_MAX];
    int count;
    int at[COLUMNS]; // places of the columns; -1: not there
};

static int split(char *line, char *fields[FIELDS_MAX])
{
    int count = 0;
    line[strcspn(line, "\r\n")] = '\0';
    for (char *at = line; at && count < FIELDS_MAX; count++) {
        fields[count] = at;
        at = strchr(at, ',');
        if (at)
            *at++ = '\0';
    }
    return count;
}

static bool read_head(struct pools *pools, char *line)
{
    char *fields[FIELDS_MAX];
    int count = split(line, fields);
    for (int column = 0; column < COLUMNS; column++) {
        pools->at[column] = -1;
        for (int i = 0; i < count; i++)
            if (strcmp(fields[i], names[column]) == 0)
                pools->at[column] = i;
        if (pools->at[column] < 0)
            return false;
    }
    return true;
}

static struct pool *pool_of(struct pools *pools, const char *name)
{
    for (int i = 0; i < pools->count; i++)
        if (strcmp(pools->list[i].name, name) == 0)
            return &pools->list[i];
    if (pools->count == POOLS_MAX)
        return NULL;
    struct pool *pool = &pools->list[pools->count++];
    snprintf(pool->name, sizeof pool->name, "%s", name);
    return pool;
}

static void take_line(struct pools *pools, char *line, int64_t from_ns, int64_t to_ns)
{
    char *fields[FIELDS_MAX];
    int64_t values[COLUMNS] = {0};
    bool unknown = false;
    int count = split(line, fields);
    for (int column = 0; column < COLUMNS; column++) {
        if (pools->at[column] >= count)
            return;
        unknown = unknown || !*fields[pools->at[column]];
        values[column] = strtoll(fields[pools->at[column]], NULL, 10);
    }
    struct pool *pool = pool_of(pools, fields[pools->at[POOL]]);
    if (!pool)
        return;
    pool->unknown = pool->unknown || unknown;
    struct counts now = {.peak = values[PEAK], .gets = values[GETS], .hits = values[HITS]};
    if (values[AT_NS] <= from_ns || pool->first_ns == 0) {
        pool->first = now;
        pool->first_ns = values[AT_NS];
    }
    if (pool->last_ns < to_ns) {
        pool->last = now;
        pool->last_ns = values[AT_NS];
    }
    if (values[AT_NS] >= from_ns && values[AT_NS] <= to_ns && values[IN_USE] > pool->most_in_use)
        pool->most_in_use = values[IN_USE];
}

static int read_lines(struct pools *pools, const char *path, int64_t from_ns, int64_t to_ns, struct err *err)
{
    char line[LINE_BYTES];
    FILE *file = fopen(path, "re");
    if (!file)
        return err_set(err, -errno, "cannot read %s: %m", path);
    bool known = fgets(line, sizeof line, file) && read_head(pools, line);
    // A line that is being written has no end yet.
    while (known && fgets(line, sizeof line, file) && strchr(line, '\n'))
        take_line(pools, line, from_ns, to_ns);
    fclose(file);
    return known ? 0 : err_set(err, -EINVAL, "%s is no pools.csv", path);
}

// The most objects that the pool may have; 0: no bound. A pool of strategy fixed has those that it began with.
static int64_t bound_of(const json_t *config, const char *name)
{
    json_t *pool = json_object_get(json_object_get(config, "pools"), name);
    const char *strategy = json_string_value(json_object_get(pool, "strategy"));
    int64_t most = json_integer_value(json_object_get(pool, "max"));
    if (most == 0 && strategy && strcmp(strategy, "fixed") == 0)
        most = json_integer_value(json_object_get(pool, "initial"));
    return most;
}

// Whether the lines are of that time: the broker writes one a second. A record of a broker that ended has none.
static int check_time(const struct pools *pools, const char *dir, int64_t from_ns, int64_t to_ns,
                      struct err *err)
{
    for (int i = 0; i < pools->count; i++)
        if (pools->list[i].last_ns < from_ns || pools->list[i].last_ns < to_ns - LATE_NS)
            return err_set(err, -ENODATA,
                           "%s/pools.csv ends %.0f s before the load did: its broker has ended, or could not "
                           "write it",
                           dir, (double)(to_ns - pools->list[i].last_ns) / 1e9);
    return 0;
}

static void add_pool(struct pool_use *use, const struct pool *pool, int64_t most)
{
    use->unknown = use->unknown || pool->unknown;
    use->gets += pool->last.gets - pool->first.gets;
    use->hits += pool->last.hits - pool->first.hits;
    if (most <= 0)
        return;
    use->bounded++;
    // A new peak came in this time, and may have been between two lines.
    int64_t in_use = pool->last.peak > pool->first.peak ? pool->last.peak : pool->most_in_use;
    double share = (double)in_use / (double)most;
    if (share < use->fullest_share && use->fullest[0])
        return;
    use->fullest_share = share;
    snprintf(use->fullest, sizeof use->fullest, "%s", pool->name);
}

int pool_use_add(struct pool_use *use, const char *dir, int64_t from_ns, int64_t to_ns, struct err *err)
{
    char path[4096];
    json_error_t where;
    struct pools *pools = calloc(1, sizeof *pools);
    if (!pools)
        return err_set(err, -ENOMEM, "out of memory for the broker's pools");
    snprintf(path, sizeof path, "%s/pools.csv", dir);
    int code = read_lines(pools, path, from_ns, to_ns, err);
    snprintf(path, sizeof path, "%s/run.json", dir);
    json_t *record = code == 0 ? json_load_file(path, 0, &where) : NULL;
    if (code == 0 && !record)
        code = err_set(err, -EINVAL, "cannot read %s: %s", path, where.text);
    if (code == 0 && json_is_null(json_object_get(record, "clock")))
        code = err_set(
            err, -ENODATA,
            "%s: its broker could not read its time namespace, so its times may be by another clock", path);
    if (code == 0)
        code = check_time(pools, dir, from_ns, to_ns, err);
    for (int i = 0; code == 0 && i < pools->count; i++)
        add_pool(use, &pools->list[i], bound_of(json_object_get(record, "config"), pools->list[i].name));
    json_decref(record);
    free(pools);
    return code;
}
