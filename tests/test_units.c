// SPDX-License-Identifier: Apache-2.0
#include "base/units.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

typedef int parse_whole(const char *text, int64_t *value);

struct reading {
    const char *text;
    int64_t value;
};

static void reads_each(parse_whole *parse, const struct reading *readings)
{
    for (; readings->text; readings++) {
        int64_t value = -1;
        int code = parse(readings->text, &value);
        if (code != 0 || value != readings->value) {
            fail_msg("\"%s\": code %d, value %lld, not %lld", readings->text, code, (long long)value,
                     (long long)readings->value);
        }
    }
}

// `texts` ends with NULL; nothing may be written for any of them.
static void refuses_each(parse_whole *parse, int expected, const char *const *texts)
{
    for (; *texts; texts++) {
        int64_t value = -77;
        int code = parse(*texts, &value);
        if (code != expected || value != -77) {
            fail_msg("\"%s\": code %d, not %d, and value %lld", *texts, code, expected, (long long)value);
        }
    }
}

static const char *const no_numbers[] = {
    "",    " ",   "x",   "-1",   "+1",   " 1",    "1 ",    "1e3",    "0x10",
    "nan", "inf", "1.",  ".5",   "1..5", "1.5.5", "1,000", "10 k",   "kk",
    "1kk", "--",  "1\n", "1k\n", "1µs",  "١",     "1/s/s", "1_0000", "1.0000000000000000001",
    NULL};

static void counts_are_read_with_powers_of_a_thousand(void **state)
{
    (void)state;
    static const struct reading readings[] = {{"0", 0},
                                              {"128", 128},
                                              {"10k", 10000},
                                              {"10K", 10000},
                                              {"1M", 1000000},
                                              {"1.5M", 1500000},
                                              {"2G", 2000000000},
                                              {"0.001k", 1},
                                              {"007", 7},
                                              {"1.000k", 1000},
                                              {"9223372036854775807", INT64_MAX},
                                              {NULL, 0}};
    reads_each(units_parse_count, readings);
}

static void a_count_is_whole(void **state)
{
    (void)state;
    static const char *const texts[] = {"1.5", "0.0001k", "1.0001k", "0.9", NULL};
    refuses_each(units_parse_count, -EINVAL, texts);
}

static void what_is_no_count_is_refused(void **state)
{
    (void)state;
    static const char *const units[] = {"10s", "1m", "1KiB", "1B", "1k/s", "1T", NULL};
    refuses_each(units_parse_count, -EINVAL, no_numbers);
    refuses_each(units_parse_count, -EINVAL, units);
}

static void what_does_not_fit_is_told_from_what_is_no_number(void **state)
{
    (void)state;
    static const char *const counts[] = {"9223372036854775808", "10000000000G",
                                         "99999999999999999999999999999999", NULL};
    static const char *const bytes[] = {"9223372036854775808", "8388608TiB", "9999999999GiB", NULL};
    static const char *const durations[] = {"9223372037", "2562048h", "99999999999999999999s", NULL};
    refuses_each(units_parse_count, -ERANGE, counts);
    refuses_each(units_parse_bytes, -ERANGE, bytes);
    refuses_each(units_parse_duration_ns, -ERANGE, durations);
    static const char *const both[] = {"99999999999999999999999x", NULL};
    refuses_each(units_parse_count, -EINVAL, both);
}

static void bytes_are_read_with_powers_of_1024_and_of_1000(void **state)
{
    (void)state;
    static const struct reading readings[] = {{"3072", 3072},
                                              {"3072B", 3072},
                                              {"4KiB", 4096},
                                              {"2MiB", 2097152},
                                              {"1GiB", 1073741824},
                                              {"1TiB", INT64_C(1099511627776)},
                                              {"4KB", 4000},
                                              {"4kB", 4000},
                                              {"1MB", 1000000},
                                              {"1GB", 1000000000},
                                              {"1TB", INT64_C(1000000000000)},
                                              {"0.5KiB", 512},
                                              {"1.5GiB", 1610612736},
                                              {NULL, 0}};
    reads_each(units_parse_bytes, readings);
    static const char *const others[] = {"4k", "4K", "4Ki", "1M", "4kiB", "0.3KiB", "1.5", "1s", NULL};
    refuses_each(units_parse_bytes, -EINVAL, no_numbers);
    refuses_each(units_parse_bytes, -EINVAL, others);
}

static void durations_are_read_in_nanoseconds(void **state)
{
    (void)state;
    static const struct reading readings[] = {{"500ns", 500},
                                              {"20us", 20000},
                                              {"5ms", 5000000},
                                              {"30s", INT64_C(30000000000)},
                                              {"30", INT64_C(30000000000)},
                                              {"2m", INT64_C(120000000000)},
                                              {"1h", INT64_C(3600000000000)},
                                              {"1.5s", 1500000000},
                                              {"0.1", 100000000},
                                              {"0.000000001", 1},
                                              {"0", 0},
                                              {NULL, 0}};
    reads_each(units_parse_duration_ns, readings);
    static const char *const others[] = {"1.5ns", "1S", "1min", "1 s", "1d", "0.0000000001", NULL};
    refuses_each(units_parse_duration_ns, -EINVAL, no_numbers);
    refuses_each(units_parse_duration_ns, -EINVAL, others);
}

static void rates_are_read_per_second(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        double per_s;
    } readings[] = {{"1000", 1000},   {"10k", 10000}, {"1000/s", 1000},
                    {"10k/s", 10000}, {"0.5/s", 0.5}, {"1.5M", 1.5e6}};
    for (size_t i = 0; i < sizeof readings / sizeof readings[0]; i++) {
        double per_s = -1;
        assert_int_equal(units_parse_rate_per_s(readings[i].text, &per_s), 0);
        assert_true(per_s == readings[i].per_s);
    }
    static const char *const others[] = {"10/m", "10s", "/s", "10/", "10k/s/s", "10kkkkk/s",
                                         "nan",  "-1",  "",   "1e3", NULL};
    for (const char *const *text = others; *text; text++) {
        double per_s = -77;
        assert_int_equal(units_parse_rate_per_s(*text, &per_s), -EINVAL);
        assert_true(per_s == -77);
    }
    double per_s = -77;
    assert_int_equal(units_parse_rate_per_s("99999999999999999999", &per_s), -ERANGE);
}

typedef char *format_whole(int64_t value, char *text, size_t size);

static void writes_each(format_whole *format, const struct reading *readings)
{
    for (; readings->text; readings++) {
        char text[24];
        assert_ptr_equal(format(readings->value, text, sizeof text), text);
        assert_string_equal(text, readings->text);
    }
}

static void counts_are_written_with_three_digits(void **state)
{
    (void)state;
    static const struct reading readings[] = {
        {"0", 0},         {"999", 999},      {"1.00k", 1000},         {"1.02k", 1024},
        {"10.0k", 10000}, {"99.9k", 99900},  {"100k", 99960},         {"100k", 100000},
        {"999k", 999400}, {"1.00M", 999999}, {"1.00M", 1000000},      {"1.50G", 1500000000},
        {"-5", -5},       {"-1.50k", -1500}, {"9223372T", INT64_MAX}, {NULL, 0}};
    writes_each(units_format_count, readings);
}

static void bytes_are_written_with_powers_of_1024(void **state)
{
    (void)state;
    static const struct reading readings[] = {{"0 B", 0},
                                              {"738 B", 738},
                                              {"1023 B", 1023},
                                              {"1.00 KiB", 1024},
                                              {"17.3 KiB", 17715},
                                              {"1023 KiB", 1047500},
                                              {"1.00 MiB", 1048575},
                                              {"1.52 GiB", 1632087572},
                                              {"-1.00 KiB", -1024},
                                              {NULL, 0}};
    writes_each(units_format_bytes, readings);
}

static void durations_are_written_in_the_unit_that_fits(void **state)
{
    (void)state;
    static const struct reading readings[] = {{"0 ns", 0},
                                              {"812 ns", 812},
                                              {"17.1 us", 17100},
                                              {"2.04 ms", 2040000},
                                              {"1.50 s", 1500000000},
                                              {"1.00 ms", 999999},
                                              {"1.00 s", 999999999},
                                              {"3600 s", INT64_C(3600000000000)},
                                              {NULL, 0}};
    writes_each(units_format_duration, readings);
}

static void a_small_buffer_gets_what_fits(void **state)
{
    (void)state;
    char text[4] = "zzz";
    units_format_bytes(17715, text, sizeof text);
    assert_string_equal(text, "17.");
    units_format_duration(INT64_MIN, text, 1);
    assert_string_equal(text, "");
}

static void the_longest_fits_24_bytes(void **state)
{
    (void)state;
    char text[100];
    assert_true(strlen(units_format_count(INT64_MIN, text, sizeof text)) < 24);
    assert_true(strlen(units_format_bytes(INT64_MIN, text, sizeof text)) < 24);
    assert_true(strlen(units_format_duration(INT64_MIN, text, sizeof text)) < 24);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(counts_are_read_with_powers_of_a_thousand),
        cmocka_unit_test(a_count_is_whole),
        cmocka_unit_test(what_is_no_count_is_refused),
        cmocka_unit_test(what_does_not_fit_is_told_from_what_is_no_number),
        cmocka_unit_test(bytes_are_read_with_powers_of_1024_and_of_1000),
        cmocka_unit_test(durations_are_read_in_nanoseconds),
        cmocka_unit_test(rates_are_read_per_second),
        cmocka_unit_test(counts_are_written_with_three_digits),
        cmocka_unit_test(bytes_are_written_with_powers_of_1024),
        cmocka_unit_test(durations_are_written_in_the_unit_that_fits),
        cmocka_unit_test(a_small_buffer_gets_what_fits),
        cmocka_unit_test(the_longest_fits_24_bytes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
