// SPDX-License-Identifier: Apache-2.0
#include "base/metric.h"

#include <fnmatch.h>
#include <stdio.h>
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

// Copies the next word of `*at` and moves on; false at the end.
static bool next_word(const char **at, char *word, size_t size)
{
    *at += strspn(*at, " ");
    size_t bytes = strcspn(*at, " ");
    snprintf(word, size, "%.*s", (int)bytes, *at);
    *at += bytes;
    return bytes > 0;
}

bool metric_is_among(const struct metric *metric, const char *patterns)
{
    char word[80];
    while (next_word(&patterns, word, sizeof word))
        if (fnmatch(word, metric->name, 0) == 0)
            return true;
    return false;
}

json_t *metric_patterns_json(const char *patterns)
{
    char word[80];
    json_t *list = json_array();
    while (next_word(&patterns, word, sizeof word))
        json_array_append_new(list, json_string(word));
    return list;
}

json_t *metric_json(const struct metric *catalogue)
{
    json_t *list = json_array();
    for (const struct metric *metric = catalogue; metric->name; metric++) {
        const char *there = metric->traits & METRIC_IF_ANY ? "; only there when there were any" : "";
        json_array_append_new(list, json_pack("{s:s,s:s,s:s,s:b,s:b,s:b,s:b,s:b,s:o}", "name", metric->name,
                                              "unit", metric->unit, "better", metric->better, "primary",
                                              (metric->traits & METRIC_PRIMARY) != 0, "signed",
                                              (metric->traits & METRIC_SIGNED) != 0, "fault",
                                              (metric->traits & METRIC_FAULT) != 0, "if_any",
                                              (metric->traits & METRIC_IF_ANY) != 0, "tail",
                                              (metric->traits & METRIC_TAIL) != 0, "definition",
                                              json_sprintf("%s%s", metric->definition, there)));
    }
    return list;
}
