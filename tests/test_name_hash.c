// SPDX-License-Identifier: Apache-2.0
// The hash of names that clients choose: no pair of names collides whatever the key is.
#include "broker/mqtt/name_hash.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <cmocka.h>

enum { KEYS = 1000 };

static struct name_key next_key(uint64_t *random)
{
    struct name_key key;
    *random = *random * UINT64_C(6364136223846793005) + 1442695040888963407;
    key.start = *random ^ *random >> 33;
    *random = *random * UINT64_C(6364136223846793005) + 1442695040888963407;
    key.factor = (*random ^ *random >> 33) | 1;
    return key;
}

static int collisions(const char *one, const char *other, size_t bytes)
{
    uint64_t random = 1;
    int count = 0;
    for (int i = 0; i < KEYS; i++) {
        struct name_key key = next_key(&random);
        count += name_hash(&key, one, bytes) == name_hash(&key, other, bytes);
    }
    return count;
}

// The highest bits of a product by a known factor change in a known way: one bit of the first eight bytes is undone by bits of
// the next eight, for half of all keys.
static void a_change_is_not_undone_by_a_later_one(void **state)
{
    (void)state;
    for (int bit = 5; bit < 8; bit++)
        for (int back = 0; back < 2; back++) {
            char one[] = "aaaaaaaabbbbbbbb", other[sizeof one];
            memcpy(other, one, sizeof one);
            other[7] = (char)(other[7] ^ 1 << bit);
            other[15] = (char)(other[15] ^ 1 << bit);
            if (back)
                other[11] = (char)(other[11] ^ 1 << bit);
            assert_int_equal(collisions(one, other, sizeof one - 1), 0);
        }
}

static void names_of_every_length_differ(void **state)
{
    (void)state;
    static const char zeros[64];
    for (size_t bytes = 0; bytes < sizeof zeros; bytes++)
        for (size_t more = bytes + 1; more < sizeof zeros; more++) {
            struct name_key key = {123456789, 987654321};
            assert_int_not_equal(name_hash(&key, zeros, bytes), name_hash(&key, zeros, more));
        }
}

// 4 096 names that differ in digits, in 4 096 buckets by the lowest bits and by the highest: about 63 % of the buckets are used.
static void usual_names_are_spread(void **state)
{
    enum { NAMES = 4096, BYTES = 8 };
    (void)state;
    struct name_key key;
    bool low[NAMES] = {false}, high[NAMES] = {false};
    int used_low = 0, used_high = 0;
    name_key_make(&key);
    assert_int_equal(key.factor & 1, 1);
    for (int i = 0; i < NAMES; i++) {
        char name[BYTES] = {'c',
                            'l',
                            '-',
                            (char)('0' + i / 512),
                            (char)('0' + i / 64 % 8),
                            (char)('0' + i / 8 % 8),
                            (char)('0' + i % 8),
                            'x'};
        uint32_t hash = name_hash(&key, name, BYTES);
        used_low += !low[hash % NAMES];
        used_high += !high[hash >> 20];
        low[hash % NAMES] = high[hash >> 20] = true;
    }
    assert_in_range(used_low, NAMES / 2, NAMES * 3 / 4);
    assert_in_range(used_high, NAMES / 2, NAMES * 3 / 4);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_change_is_not_undone_by_a_later_one),
        cmocka_unit_test(names_of_every_length_differ),
        cmocka_unit_test(usual_names_are_spread),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
