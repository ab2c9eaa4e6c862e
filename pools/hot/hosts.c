// SPDX-License-Identifier: Apache-2.0
#include "pools/hot/state.h"

#include <errno.h>
#include <fnmatch.h>
#include <stdlib.h>
#include <string.h>

static void free_patterns(char **patterns)
{
    for (size_t i = 0; patterns && patterns[i]; i++)
        free(patterns[i]);
    free(patterns);
}

static int copy_patterns(char ***copy, const char *const *patterns)
{
    size_t count = 0;
    *copy = NULL;
    if (!patterns)
        return 0;
    while (patterns[count])
        count++;
    char **list = calloc(count + 1, sizeof *list);
    for (size_t i = 0; list && i < count; i++) {
        if (!(list[i] = strdup(patterns[i]))) {
            free_patterns(list);
            return -ENOMEM;
        }
    }
    *copy = list;
    return list ? 0 : -ENOMEM;
}

int hot_state_init(struct hot_state *state, const struct hot_config *config)
{
    memset(state, 0, sizeof *state);
    state->config = *config;
    state->random = config->seed;
    state->retry_ns = INT64_MAX;
    TAILQ_INIT(&state->waiters);
    TAILQ_INIT(&state->by_age);
    for (int where = 0; where < HOT_WHERES; where++)
        TAILQ_INIT(&state->lists[where]);
    int code = copy_patterns(&state->allow, config->allow);
    if (code == 0)
        code = copy_patterns(&state->deny, config->deny);
    if (code < 0)
        hot_state_free(state);
    return code;
}

void hot_state_free(struct hot_state *state)
{
    for (int i = 0; i < HOT_BUCKETS; i++) {
        while (state->buckets[i]) {
            struct hot_host *host = state->buckets[i];
            state->buckets[i] = host->next;
            free(host);
        }
    }
    free_patterns(state->allow);
    free_patterns(state->deny);
}

static bool matches(char *const *patterns, const char *name)
{
    for (; *patterns; patterns++) {
        if (fnmatch(*patterns, name, 0) == 0)
            return true;
    }
    return false;
}

bool hot_state_allows(const struct hot_state *state, const char *name)
{
    if (state->deny && matches(state->deny, name))
        return false;
    return !state->allow || matches(state->allow, name);
}

// FNV-1a, 32 bits.
static uint32_t bucket_of(const char *name)
{
    uint32_t hash = 2166136261u;
    for (; *name; name++)
        hash = (hash ^ (unsigned char)*name) * 16777619u;
    return hash % HOT_BUCKETS;
}

struct hot_host *hot_host_hold(struct hot_state *state, const char *name)
{
    struct hot_host **bucket = &state->buckets[bucket_of(name)], *host = *bucket;
    while (host && strcmp(host->name, name) != 0)
        host = host->next;
    if (!host) {
        size_t bytes = strlen(name) + 1;
        host = calloc(1, sizeof *host + bytes);
        if (!host)
            return NULL;
        memcpy(host->name, name, bytes);
        TAILQ_INIT(&host->waiters);
        for (int where = 0; where < HOT_WHERES; where++)
            TAILQ_INIT(&host->lists[where]);
        host->window = 1;
        host->next = *bucket;
        *bucket = host;
        state->hosts++;
    }
    host->users++;
    return host;
}

void hot_host_release(struct hot_host *host)
{
    host->users--;
}

static bool is_forgettable(const struct hot_host *host, int64_t now_ns)
{
    return host->users == 0 && host->keep == 0 && host->blocked_ns <= now_ns &&
           hot_owned(host->count) + host->count[HOT_OVERDUE] == 0;
}

void hot_hosts_forget(struct hot_state *state, int64_t now_ns)
{
    for (int i = 0; i < HOT_BUCKETS; i++) {
        struct hot_host **at = &state->buckets[i];
        while (*at) {
            struct hot_host *host = *at;
            if (!is_forgettable(host, now_ns)) {
                at = &host->next;
                continue;
            }
            *at = host->next;
            state->hosts--;
            free(host);
        }
    }
}
