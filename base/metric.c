// SPDX-License-Identifier: Apache-2.0
#include "base/metric.h"

#include <string.h>

// Does a word of a pattern stand for this word?
static bool stands_for(const char *pattern, size_t bytes, const char *word, size_t word_bytes)
{
    if (bytes == 1 && *pattern == 'N')
        return strspn(word, "0123456789") >= word_bytes;
    return bytes > 0 && strspn(pattern, "ABCDEFGHIJKLMNOPQRSTUVWXYZ") >= bytes;
}

// Compares word by word. Each word of the pattern is the same or stands for the other; both end together.
static bool is_of(const char *pattern, const char *name)
{
    for (;;) {
        size_t wanted = strcspn(pattern, "."), there = strcspn(name, ".");
        bool same = wanted == there && memcmp(pattern, name, wanted) == 0;
        if (there == 0 || (!same && !stands_for(pattern, wanted, name, there)))
            return false;
        pattern += wanted;
        name += there;
        if (!*pattern || !*name)
            return !*pattern && !*name;
        pattern++;
        name++;
    }
}

const struct metric *metric_find(const struct metric *catalogue, const char *name)
{
    for (const struct metric *metric = catalogue; metric->name; metric++)
        if (is_of(metric->name, name))
            return metric;
    return NULL;
}

json_t *metric_json(const struct metric *catalogue)
{
    json_t *list = json_array();
    for (const struct metric *metric = catalogue; metric->name; metric++)
        json_array_append_new(list,
                              json_pack("{s:s,s:s,s:s,s:b,s:s}", "name", metric->name, "unit", metric->unit,
                                        "better", metric->better, "primary", metric->rank == METRIC_PRIMARY,
                                        "definition", metric->definition));
    return list;
}
