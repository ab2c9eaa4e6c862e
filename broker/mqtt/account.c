// SPDX-License-Identifier: Apache-2.0
#include "broker/mqtt/account.h"

// All accesses are relaxed: only numbers are shared, and they publish no other data. A thread adds before it
// reads the sum. So concurrent takes may all be refused, but can never pass the limit together.

void account_open(struct account *account, int64_t limit)
{
    for (int kind = 0; kind < ACCOUNT_KINDS; kind++)
        atomic_init(&account->bytes[kind], 0);
    atomic_init(&account->peak, 0);
    atomic_init(&account->refused, 0);
    account->limit = limit;
    account->limit_of_stores = limit - limit / 16;
    account->most_unfinished = limit / 2;
    account->most_retained = limit - limit / 4;
}

int64_t account_refused(const struct account *account)
{
    return atomic_load_explicit(&account->refused, memory_order_relaxed);
}

int64_t account_sum(const struct account *account)
{
    int64_t sum = 0;
    for (int kind = 0; kind < ACCOUNT_KINDS; kind++)
        sum += atomic_load_explicit(&account->bytes[kind], memory_order_relaxed);
    return sum;
}

static void note_peak(struct account *account, int64_t sum)
{
    int64_t peak = atomic_load_explicit(&account->peak, memory_order_relaxed);
    while (sum > peak && !atomic_compare_exchange_weak_explicit(&account->peak, &peak, sum,
                                                                memory_order_relaxed, memory_order_relaxed))
        ;
}

static int64_t limit_for(const struct account *account, enum account_kind kind)
{
    bool stays = kind == ACCOUNT_SUBSCRIPTIONS || kind == ACCOUNT_RETAINED || kind == ACCOUNT_MESSAGES;
    return stays ? account->limit_of_stores : account->limit;
}

bool account_take(struct account *account, enum account_kind kind, size_t bytes)
{
    if (!account)
        return true;
    int64_t before = atomic_fetch_add_explicit(&account->bytes[kind], (int64_t)bytes, memory_order_relaxed);
    int64_t sum = account_sum(account);
    bool fits = kind != ACCOUNT_UNFINISHED || before + (int64_t)bytes <= account->most_unfinished;
    if (account->limit == 0 || (fits && sum <= limit_for(account, kind))) {
        note_peak(account, sum);
        return true;
    }
    account_give(account, kind, bytes);
    atomic_fetch_add_explicit(&account->refused, 1, memory_order_relaxed);
    return false;
}

void account_give(struct account *account, enum account_kind kind, size_t bytes)
{
    if (account)
        atomic_fetch_sub_explicit(&account->bytes[kind], (int64_t)bytes, memory_order_relaxed);
}

bool account_may_retain(const struct account *account, int64_t messages)
{
    if (!account || account->limit == 0)
        return true;
    int64_t topics = atomic_load_explicit(&account->bytes[ACCOUNT_RETAINED], memory_order_relaxed);
    return topics + messages <= account->most_retained;
}

void account_set_reserve(struct account *account, int64_t bytes)
{
    atomic_store_explicit(&account->bytes[ACCOUNT_RESERVE], bytes, memory_order_relaxed);
    note_peak(account, account_sum(account));
}

void account_read(const struct account *account, struct account_reading *reading)
{
    // Relaxed: recent values are enough.
    for (int kind = 0; kind < ACCOUNT_KINDS; kind++)
        reading->bytes[kind] = atomic_load_explicit(&account->bytes[kind], memory_order_relaxed);
    reading->sum = account_sum(account);
    reading->peak = atomic_load_explicit(&account->peak, memory_order_relaxed);
    reading->refused = atomic_load_explicit(&account->refused, memory_order_relaxed);
    reading->limit = account->limit;
}
