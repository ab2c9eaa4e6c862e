// SPDX-License-Identifier: Apache-2.0
#include "broker/mqtt/session_table.h"

#include "broker/mqtt/name_hash.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

// Buckets lie in segments that never move. Only the directory of segments (8 bytes each) is doubled at times.
// That copies 1/512 of the bytes of a rehash.
enum { SEGMENT_BUCKETS = 512, SESSIONS_PER_BUCKET = 2, BUCKETS_MIN = 64 };

struct session_table {
    pthread_mutex_t lock; // guards all fields here, and table_next of every session in the table
    struct session ***segments;
    size_t segment_capacity;
    uint32_t bucket_count; // `mask` + 1 <= bucket_count <= 2 * (`mask` + 1)
    uint32_t mask;
    int64_t count;
    struct name_key key; // constant
};

static struct session **bucket_at(const struct session_table *table, uint32_t bucket)
{
    return &table->segments[bucket / SEGMENT_BUCKETS][bucket % SEGMENT_BUCKETS];
}

// Buckets below `bucket_count - (mask + 1)` are split already, so one more bit of the hash counts for them.
static struct session **bucket_of(const struct session_table *table, uint32_t hash)
{
    uint32_t bucket = hash & (table->mask * 2 + 1);
    if (bucket >= table->bucket_count)
        bucket = hash & table->mask;
    return bucket_at(table, bucket);
}

static int need_segment(struct session_table *table, uint32_t bucket)
{
    size_t segment = bucket / SEGMENT_BUCKETS;
    if (segment == table->segment_capacity) {
        size_t capacity = table->segment_capacity ? table->segment_capacity * 2 : 8;
        struct session ***segments = realloc(table->segments, capacity * sizeof *segments);
        if (!segments)
            return -ENOMEM;
        memset(segments + table->segment_capacity, 0,
               (capacity - table->segment_capacity) * sizeof *segments);
        table->segments = segments;
        table->segment_capacity = capacity;
    }
    if (!table->segments[segment])
        table->segments[segment] = calloc(SEGMENT_BUCKETS, sizeof *table->segments[segment]);
    return table->segments[segment] ? 0 : -ENOMEM;
}

int session_table_open(struct session_table **opened)
{
    struct session_table *table = calloc(1, sizeof *table);
    if (!table)
        return -ENOMEM;
    table->bucket_count = BUCKETS_MIN;
    table->mask = BUCKETS_MIN - 1;
    if (need_segment(table, 0) < 0)
        goto fail;
    name_key_make(&table->key);
    pthread_mutex_init(&table->lock, NULL);
    *opened = table;
    return 0;
fail:
    free(table->segments);
    free(table);
    return -ENOMEM;
}

void session_table_close(struct session_table *table)
{
    if (!table)
        return;
    for (size_t i = 0; i < table->segment_capacity; i++)
        free(table->segments[i]);
    free(table->segments);
    pthread_mutex_destroy(&table->lock);
    free(table);
}

// The hash is not stored. Only splits, insertions and removals need it, lookups do not.
static uint32_t hash_of(const struct session_table *table, const struct session *session)
{
    return name_hash(&table->key, session->id, session->id_bytes);
}

// Under the lock. Atomic because the session of the link may be asked without it whether it has ended.
static void set_link(struct session **link, struct session *to)
{
    __atomic_store_n(link, to, __ATOMIC_RELAXED);
}

static struct session *find(const struct session_table *table, struct mqtt_text id, uint32_t hash)
{
    struct session *session = *bucket_of(table, hash);
    while (session && !mqtt_text_equal(session_id(session), id))
        session = session->table_next;
    return session;
}

struct session_found session_table_find(struct session_table *table, struct mqtt_text id, uint16_t loop_index)
{
    uint32_t hash = name_hash(&table->key, id.data, id.bytes);
    pthread_mutex_lock(&table->lock);
    struct session *session = find(table, id, hash);
    struct session_found found = {NULL, session ? session->owner : -1};
    if (session && session->owner == loop_index)
        found.session = session;
    pthread_mutex_unlock(&table->lock);
    return found;
}

// Splits the next bucket in order: sessions whose next hash bit is set move to the new bucket. Without memory
// for the new bucket the table stays as it is, and its lists grow longer.
static void split_one(struct session_table *table)
{
    if (table->bucket_count == UINT32_C(1) << 31 || need_segment(table, table->bucket_count) < 0)
        return;
    uint32_t bit = table->mask + 1;
    struct session **from = bucket_at(table, table->bucket_count - bit);
    struct session **to = bucket_at(table, table->bucket_count);
    *to = NULL;
    while (*from) {
        struct session *session = *from;
        if (hash_of(table, session) & bit) {
            set_link(from, session->table_next);
            set_link(&session->table_next, *to);
            *to = session;
        } else {
            from = &session->table_next;
        }
    }
    table->bucket_count++;
    if (table->bucket_count == bit * 2)
        table->mask = bit * 2 - 1;
}

// Merges the last bucket into the bucket that it was split from.
static void merge_one(struct session_table *table)
{
    if (table->bucket_count <= BUCKETS_MIN)
        return;
    if (table->bucket_count == table->mask + 1)
        table->mask >>= 1;
    table->bucket_count--;
    struct session **last = bucket_at(table, table->bucket_count);
    struct session **into = bucket_at(table, table->bucket_count - (table->mask + 1));
    while (*into)
        into = &(*into)->table_next;
    set_link(into, *last);
    *last = NULL;
    if (table->bucket_count % SEGMENT_BUCKETS == 0) {
        size_t segment = table->bucket_count / SEGMENT_BUCKETS;
        free(table->segments[segment]);
        table->segments[segment] = NULL;
    }
}

int session_table_insert(struct session_table *table, struct session *session)
{
    int code = -EEXIST;
    pthread_mutex_lock(&table->lock);
    if (!find(table, session_id(session), hash_of(table, session))) {
        struct session **bucket = bucket_of(table, hash_of(table, session));
        set_link(&session->table_next, *bucket);
        *bucket = session;
        table->count++;
        if (table->count > (int64_t)table->bucket_count * SESSIONS_PER_BUCKET)
            split_one(table);
        code = 0;
    }
    pthread_mutex_unlock(&table->lock);
    return code;
}

void session_table_remove(struct session_table *table, struct session *session)
{
    pthread_mutex_lock(&table->lock);
    struct session **link = bucket_of(table, hash_of(table, session));
    while (*link && *link != session)
        link = &(*link)->table_next;
    if (*link) {
        set_link(link, session->table_next);
        table->count--;
        // Merges at half the load that splits. So a client that connects and leaves does not cause a split
        // and a merge each time.
        if (table->count < (int64_t)(table->bucket_count / 2) * SESSIONS_PER_BUCKET)
            merge_one(table);
    }
    pthread_mutex_unlock(&table->lock);
}

struct session *session_table_any(struct session_table *table, uint32_t *at)
{
    struct session *any = NULL;
    pthread_mutex_lock(&table->lock);
    if (*at >= table->bucket_count)
        *at = table->bucket_count - 1;
    // Downwards, because merging shortens the table while it is emptied: what a merge moves goes to a bucket below.
    while (!(any = *bucket_at(table, *at)) && *at > 0)
        --*at;
    pthread_mutex_unlock(&table->lock);
    return any;
}

size_t session_table_sweep(struct session_table *table, struct session_sweep *sweep, session_wanted *wanted,
                           void *context, struct session **found, size_t most)
{
    size_t count = 0;
    pthread_mutex_lock(&table->lock);
    uint32_t buckets =
        table->bucket_count < SESSION_SWEEP_BUCKETS ? table->bucket_count : SESSION_SWEEP_BUCKETS;
    for (uint32_t i = 0; i < buckets && count < most; i++) { // each bucket once
        if (sweep->next >= table->bucket_count)
            sweep->next = 0;
        struct session *session = *bucket_at(table, sweep->next);
        for (; session && count < most; session = session->table_next)
            if (wanted(context, session))
                found[count++] = session;
        if (session)
            break; // the rest of this bucket comes next time
        sweep->next++;
    }
    pthread_mutex_unlock(&table->lock);
    return count;
}

int64_t session_table_count(struct session_table *table)
{
    pthread_mutex_lock(&table->lock);
    int64_t count = table->count;
    pthread_mutex_unlock(&table->lock);
    return count;
}

int64_t session_table_bytes(struct session_table *table)
{
    pthread_mutex_lock(&table->lock);
    size_t bytes = sizeof *table + table->segment_capacity * sizeof *table->segments;
    for (size_t i = 0; i < table->segment_capacity; i++)
        if (table->segments[i])
            bytes += SEGMENT_BUCKETS * sizeof *table->segments[i];
    pthread_mutex_unlock(&table->lock);
    return (int64_t)bytes;
}

int64_t session_table_longest(struct session_table *table)
{
    int64_t longest = 0;
    pthread_mutex_lock(&table->lock);
    for (uint32_t bucket = 0; bucket < table->bucket_count; bucket++) {
        int64_t count = 0;
        for (struct session *session = *bucket_at(table, bucket); session; session = session->table_next)
            count++;
        longest = count > longest ? count : longest;
    }
    pthread_mutex_unlock(&table->lock);
    return longest;
}

bool session_table_is_valid(struct session_table *table)
{
    bool valid = true;
    int64_t count = 0;
    pthread_mutex_lock(&table->lock);
    valid = (table->mask & (table->mask + 1)) == 0 && table->bucket_count > table->mask &&
            table->bucket_count <= 2 * (table->mask + 1);
    for (uint32_t bucket = 0; valid && bucket < table->bucket_count; bucket++)
        for (struct session *session = *bucket_at(table, bucket); session; session = session->table_next) {
            valid = valid && bucket_of(table, hash_of(table, session)) == bucket_at(table, bucket);
            count++;
        }
    valid = valid && count == table->count;
    pthread_mutex_unlock(&table->lock);
    return valid;
}
