// SPDX-License-Identifier: Apache-2.0
#include "base/opts.h"

#include <errno.h>
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

struct shape {
    int64_t object_bytes;
    int calls;
};

struct config {
    int64_t connections, payload_bytes, duration_ns, qos, depth, free_count;
    double rate_per_s, growth;
    const char *pool, *record;
    struct opt_list listen, target;
    struct shape shape;
    bool quiet;
};

static int parse_shape(const char *value, void *place, struct err *err)
{
    struct shape *shape = place;
    shape->calls++;
    if (strcmp(value, "classic") == 0) {
        shape->object_bytes = 3072;
    } else if (strcmp(value, "lean") == 0) {
        shape->object_bytes = 0;
    } else if (value[0] == '\0') {
        return -EINVAL;
    } else {
        return err_set(err, -EINVAL, "there is no such shape; it takes classic or lean");
    }
    return 0;
}

static const char *const pools[] = {"malloc", "fixed", "expand", NULL};
static const struct opt table[] = {
    {.kind = OPT_HEADING, .help = "What to do"},
    {"connections", "N", OPT_COUNT, offsetof(struct config, connections), "10k", 1, 100000000, NULL,
     "how many connections to open", NULL},
    {"payload", "BYTES", OPT_BYTES, offsetof(struct config, payload_bytes), "4KiB", 16, 1 << 20, NULL,
     "bytes of a message", NULL},
    {"duration", "D", OPT_DURATION, offsetof(struct config, duration_ns), "20s", 1e6, 3600e9, NULL,
     "how long", NULL},
    {"qos", "0|1|2", OPT_COUNT, offsetof(struct config, qos), "0", 0, 2, NULL, "quality of service", NULL},
    {"depth", "N", OPT_COUNT, offsetof(struct config, depth), "10", 1, 1001, NULL, "in flight", NULL},
    {"free-count", "N", OPT_COUNT, offsetof(struct config, free_count), NULL, 0, 0, NULL, "without bounds",
     NULL},
    {"rate", "N/s", OPT_RATE, offsetof(struct config, rate_per_s), NULL, 0.1, INFINITY, NULL,
     "connects a second", NULL},
    {"growth", "X", OPT_NUMBER, offsetof(struct config, growth), "1.5", 1.01, 10, NULL, "factor", NULL},
    {.kind = OPT_HEADING, .help = "The target"},
    {"pool", "STRATEGY", OPT_CHOICE, offsetof(struct config, pool), "malloc", 0, 0, pools, "strategy", NULL},
    {"record", "DIR", OPT_TEXT, offsetof(struct config, record), NULL, 0, 0, NULL, "where to record", NULL},
    {"listen", "ADDR:PORT", OPT_LIST, offsetof(struct config, listen), "127.0.0.1:1883", 0, 0, NULL, "where",
     NULL},
    {"target", "URL", OPT_LIST, offsetof(struct config, target), NULL, 0, 0, NULL, "the brokers", NULL},
    {"shape", "SHAPE", OPT_PARSE, offsetof(struct config, shape), "classic", 0, 0, NULL, "what is held",
     parse_shape},
    {"quiet", NULL, OPT_FLAG, offsetof(struct config, quiet), NULL, 0, 0, NULL, "no progress", NULL},
    {0},
};

enum { ARGUMENTS_MAX = 100 };

// `line` is split at blanks; the arguments point into `words`.
static int parse(struct config *config, const char *line, int *rest, struct err *err)
{
    static char words[4096]; // the config points into it
    static char *argv[ARGUMENTS_MAX + 2];
    int argc = 0;
    strcpy(words, line);
    argv[argc++] = "program";
    for (char *word = strtok(words, " "); word && argc <= ARGUMENTS_MAX; word = strtok(NULL, " ")) {
        argv[argc++] = word;
    }
    argv[argc] = NULL;
    memset(config, 0, sizeof *config);
    *err = (struct err){{0}};
    return opts_parse(table, config, argc, argv, rest, err);
}

static void says(const char *line, const char *expected)
{
    struct config config;
    struct err err;
    int code = parse(&config, line, NULL, &err);
    if (code != -EINVAL || strcmp(err.text, expected) != 0) {
        fail_msg("%s\n  code %d: %s\n  not:     %s", line, code, err.text, expected);
    }
}

static void defaults_are_parsed_like_values(void **state)
{
    (void)state;
    struct config config;
    struct err err;
    int rest;
    assert_int_equal(parse(&config, "", &rest, &err), OPTS_RUN);
    assert_int_equal(config.connections, 10000);
    assert_int_equal(config.payload_bytes, 4096);
    assert_true(config.duration_ns == INT64_C(20000000000));
    assert_int_equal(config.free_count, 0);
    assert_true(config.rate_per_s == 0);
    assert_true(config.growth == 1.5);
    assert_string_equal(config.pool, "malloc");
    assert_null(config.record);
    assert_int_equal(config.listen.count, 1);
    assert_string_equal(config.listen.values[0], "127.0.0.1:1883");
    assert_int_equal(config.target.count, 0);
    assert_int_equal(config.shape.object_bytes, 3072);
    assert_false(config.quiet);
    assert_int_equal(rest, 1);
}

static void values_take_the_place_of_defaults(void **state)
{
    (void)state;
    struct config config;
    struct err err;
    assert_int_equal(
        parse(&config,
              "--connections 1M --payload=1KiB --duration 500ms --free-count 0 --rate 10k/s --growth 2 "
              "--pool expand --record out --shape lean --quiet",
              NULL, &err),
        OPTS_RUN);
    assert_int_equal(config.connections, 1000000);
    assert_int_equal(config.payload_bytes, 1024);
    assert_int_equal(config.duration_ns, 500000000);
    assert_true(config.rate_per_s == 10000);
    assert_true(config.growth == 2);
    assert_string_equal(config.pool, "expand");
    assert_string_equal(config.record, "out");
    assert_int_equal(config.shape.object_bytes, 0);
    assert_int_equal(config.shape.calls, 2);
    assert_true(config.quiet);
}

static void an_option_with_one_value_is_given_once(void **state)
{
    (void)state;
    says("--connections 5 --connections 6", "--connections: is given twice; it takes one value");
    says("--connections 5 --connections=5", "--connections: is given twice; it takes one value");
    says("--pool fixed --quiet --pool expand", "--pool: is given twice; it takes one value");
    says("--shape lean --shape classic", "--shape: is given twice; it takes one value");
    struct config config;
    struct err err;
    assert_int_equal(parse(&config, "--quiet --connections 5 --quiet", NULL, &err), OPTS_RUN);
    assert_int_equal(config.connections, 5); // a flag says the same twice
}

static void a_list_keeps_all_in_order_and_drops_its_default(void **state)
{
    (void)state;
    struct config config;
    struct err err;
    assert_int_equal(parse(&config, "--listen b --target x --listen=a", NULL, &err), OPTS_RUN);
    assert_int_equal(config.listen.count, 2);
    assert_string_equal(config.listen.values[0], "b");
    assert_string_equal(config.listen.values[1], "a");
    assert_int_equal(config.target.count, 1);
}

static void a_list_that_is_too_long_is_refused(void **state)
{
    (void)state;
    static struct config config; // a list is long
    static char *argv[OPT_LIST_MAX + 3];
    argv[0] = "program";
    for (int i = 1; i <= OPT_LIST_MAX + 1; i++) {
        argv[i] = "--target=t";
    }
    struct err err = {{0}};
    assert_int_equal(opts_parse(table, &config, OPT_LIST_MAX + 1, argv, NULL, &err), OPTS_RUN);
    assert_int_equal(config.target.count, OPT_LIST_MAX);
    assert_int_equal(opts_parse(table, &config, OPT_LIST_MAX + 2, argv, NULL, &err), -EINVAL);
    assert_string_equal(err.text, "--target: \"t\" is one too many; it may be given 1024 times");
}

static void arguments_may_stand_before_options(void **state)
{
    (void)state;
    struct config config;
    struct err err;
    int rest;
    assert_int_equal(parse(&config, "connect --connections 5 more", &rest, &err), OPTS_RUN);
    assert_int_equal(config.connections, 5);
    assert_int_equal(rest, 3);
    assert_int_equal(parse(&config, "-- --connections", &rest, &err), OPTS_RUN);
    assert_int_equal(rest, 2);
}

static void a_bad_number_names_option_value_and_bounds(void **state)
{
    (void)state;
    says("--connections 12x",
         "--connections: \"12x\" is not a count; it takes 1 to 100000000 (10k and 1M are understood)");
    says("--connections=",
         "--connections: \"\" is not a count; it takes 1 to 100000000 (10k and 1M are understood)");
    says("--payload 4k",
         "--payload: \"4k\" is not a number of bytes; it takes 16 to 1MiB (4KiB and 1MB are understood)");
    says("--duration soon",
         "--duration: \"soon\" is not a duration; it takes 1ms to 1h (500us, 30s and 5m are "
         "understood; a bare number is seconds)");
    says("--rate fast",
         "--rate: \"fast\" is not a rate; it takes 0.1 or more (10k and 1000/s are understood)");
    says("--growth 1,5", "--growth: \"1,5\" is not a number; it takes 1.01 to 10");
    says("--growth nan", "--growth: \"nan\" is not a number; it takes 1.01 to 10");
    says("--free-count -1",
         "--free-count: \"-1\" is not a count; it takes a count (10k and 1M are understood)");
}

static void a_number_out_of_bounds_is_told_from_a_bad_one(void **state)
{
    (void)state;
    says("--connections 0",
         "--connections: \"0\" is out of bounds; it takes 1 to 100000000 (10k and 1M are understood)");
    says("--connections 99999999999999999999", "--connections: \"99999999999999999999\" is out of bounds; it "
                                               "takes 1 to 100000000 (10k and 1M are understood)");
    says("--duration 2h",
         "--duration: \"2h\" is out of bounds; it takes 1ms to 1h (500us, 30s and 5m are understood; "
         "a bare number is seconds)");
    says("--growth 1e999", "--growth: \"1e999\" is not a number; it takes 1.01 to 10");
}

static void how_large_numbers_may_be_written_is_told_where_they_are_taken(void **state)
{
    (void)state;
    says("--qos 3", "--qos: \"3\" is out of bounds; it takes 0 to 2");
    says("--qos one", "--qos: \"one\" is not a count; it takes 0 to 2");
    says("--depth 2k", "--depth: \"2k\" is out of bounds; it takes 1 to 1001 (10k and 1M are understood)");
}

static void bounds_belong_to_what_is_allowed(void **state)
{
    (void)state;
    struct config config;
    struct err err;
    assert_int_equal(parse(&config, "--connections 1 --payload 16 --duration 1h", NULL, &err), OPTS_RUN);
    assert_int_equal(
        parse(&config, "--connections 100M --payload 1MiB --duration 1ms --growth 10", NULL, &err), OPTS_RUN);
}

static void an_unknown_choice_gets_the_list(void **state)
{
    (void)state;
    says("--pool slap", "--pool: \"slap\" is unknown; it takes malloc, fixed or expand");
}

static void a_parser_of_the_program_explains_itself(void **state)
{
    (void)state;
    says("--shape round", "--shape: \"round\": there is no such shape; it takes classic or lean");
    says("--shape=", "--shape: \"\": it is not understood");
}

static void unknown_options_name_themselves(void **state)
{
    (void)state;
    says("--conections 5", "--conections: is not an option; --help lists them all");
    says("--conections=5", "--conections: is not an option; --help lists them all");
    says("connect --nope", "--nope: is not an option; --help lists them all");
    says("-x --quiet", "\"-x\" is not an option (they begin with two dashes); --help lists them all");
    says("-x -y", "\"-x\" is not an option (they begin with two dashes); --help lists them all");
    says("-\xc3\xa9t\xc3\xa9",
         "\"-\xc3\xa9t\xc3\xa9\" is not an option (they begin with two dashes); --help lists them all");
    says("-quiet", "\"-quiet\" is not an option (they begin with two dashes); --help lists them all");
}

static void the_short_h_is_help(void **state)
{
    (void)state;
    char *argv[] = {"program", "connect", "-h", "--no-such", NULL};
    struct config config;
    struct err err = {{0}};
    int rest;
    assert_int_equal(opts_parse(table, &config, 4, argv, &rest, &err), OPTS_HELP);
}

static void a_missing_or_unwanted_value_is_named(void **state)
{
    (void)state;
    says("--quiet --connections", "--connections: a value has to follow");
    says("--quiet=yes", "--quiet: takes no value, and was given \"yes\"");
}

static void the_beginning_of_a_name_is_no_option(void **state)
{
    (void)state;
    says("--conn 7", "--conn: is not an option; --connections is");
    says("--conn=7", "--conn: is not an option; --connections is");
    says("--qui", "--qui: is not an option; --quiet is");
    says("--he", "--he: is not an option; --help is");
    says("--ver", "--ver: is not an option; --version is");
    says("--r 7", "--r: may be 2 options; write its name in full");
}

static void what_was_given_is_told_from_defaults_and_values(void **state)
{
    (void)state;
    char *argv[] = {"program", "connect", "--record", "--quiet", "--connections=10k", "--", "--shape", NULL};
    struct config config;
    struct err err = {{0}};
    int rest;
    assert_int_equal(opts_parse(table, &config, 7, argv, &rest, &err), OPTS_RUN);
    assert_true(opts_was_given(table, 7, argv, "connections"));
    assert_true(opts_was_given(table, 7, argv, "record"));
    assert_false(opts_was_given(table, 7, argv, "quiet"));
    assert_false(opts_was_given(table, 7, argv, "shape"));
    assert_false(opts_was_given(table, 7, argv, "payload"));
}

static void help_and_version_are_answered_before_anything_after_them(void **state)
{
    (void)state;
    struct config config;
    struct err err;
    assert_int_equal(parse(&config, "--help --nope", NULL, &err), OPTS_HELP);
    assert_int_equal(parse(&config, "--version", NULL, &err), OPTS_VERSION);
    assert_int_equal(parse(&config, "--nope --help", NULL, &err), -EINVAL);
}

static void without_err_the_code_is_the_same(void **state)
{
    (void)state;
    struct config config = {0};
    char *argv[] = {"program", "--connections", "x", NULL};
    assert_int_equal(opts_parse(table, &config, 3, argv, NULL, NULL), -EINVAL);
}

static void a_bad_default_is_found_by_the_first_run(void **state)
{
    (void)state;
    static const struct opt wrong[] = {{"count", "N", OPT_COUNT, 0, "0", 1, 2, NULL, "", NULL}, {0}};
    int64_t config = 0;
    char *argv[] = {"program", NULL};
    struct err err = {{0}};
    assert_int_equal(opts_parse(wrong, &config, 1, argv, NULL, &err), -EINVAL);
    assert_non_null(strstr(err.text, "--count: \"0\" is out of bounds"));
}

static void help_lists_every_option_with_default_and_bounds(void **state)
{
    (void)state;
    char *text = NULL;
    size_t size = 0;
    FILE *to = open_memstream(&text, &size);
    opts_print_help(table, "poolmark-loadgen", "SCENARIO [options]", "Opens connections.", to);
    fclose(to);
    static const char begin[] =
        "Usage: poolmark-loadgen SCENARIO [options]\nOpens connections.\n\nWhat to do\n  --connections N ";
    assert_memory_equal(text, begin, sizeof begin - 1);
    for (const struct opt *opt = table; opt->name || opt->kind == OPT_HEADING; opt++) {
        assert_non_null(strstr(text, opt->name ? opt->name : opt->help));
    }
    assert_non_null(strstr(
        text, "\n  --connections N               how many connections to open; 1 to 100000000 [10k]\n"));
    assert_non_null(strstr(text, "how long; 1ms to 1h [20s]\n"));
    assert_non_null(strstr(text, "bytes of a message; 16 to 1MiB [4KiB]\n"));
    assert_non_null(strstr(text, "connects a second; at least 0.1\n"));
    assert_non_null(strstr(text, "strategy: malloc, fixed or expand [malloc]\n"));
    assert_non_null(strstr(text, "\n  --version "));
    assert_non_null(strstr(text, "\n  --help "));
    free(text);
}

static void help_leaves_out_what_says_nothing(void **state)
{
    (void)state;
    static const struct opt plain[] = {
        {"hold", "D", OPT_DURATION, 0, NULL, 0, 1e18, NULL, "how long", NULL},
        {"seed", "N", OPT_COUNT, 0, NULL, 0, 1e18, NULL, "the seed", NULL},
        {"pool", "malloc|fixed", OPT_CHOICE, 0, NULL, 0, 0, pools, "the strategy", NULL},
        {0}};
    char *text = NULL;
    size_t size = 0;
    FILE *to = open_memstream(&text, &size);
    opts_print_help(plain, "p", "", "", to);
    fclose(to);
    assert_non_null(strstr(text, "  how long\n"));
    assert_non_null(strstr(text, "  the seed\n"));
    assert_non_null(strstr(text, "  the strategy\n"));
    free(text);
}

static void help_breaks_long_lines(void **state)
{
    (void)state;
    static const struct opt wide[] = {{"an-option-whose-name-is-rather-long", "VALUE", OPT_TEXT, 0, NULL, 0,
                                       0, NULL,
                                       "a text that is too long for one line of the help, so that it has to "
                                       "go on in the next one, and in the one after "
                                       "that, as there is so much to say about it",
                                       NULL},
                                      {0}};
    char *text = NULL;
    size_t size = 0;
    FILE *to = open_memstream(&text, &size);
    opts_print_help(wide, "p", "", "", to);
    fclose(to);
    for (char *line = strtok(text, "\n"); line; line = strtok(NULL, "\n")) {
        assert_true(strlen(line) <= 100);
    }
    free(text);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(defaults_are_parsed_like_values),
        cmocka_unit_test(values_take_the_place_of_defaults),
        cmocka_unit_test(an_option_with_one_value_is_given_once),
        cmocka_unit_test(a_list_keeps_all_in_order_and_drops_its_default),
        cmocka_unit_test(a_list_that_is_too_long_is_refused),
        cmocka_unit_test(arguments_may_stand_before_options),
        cmocka_unit_test(a_bad_number_names_option_value_and_bounds),
        cmocka_unit_test(a_number_out_of_bounds_is_told_from_a_bad_one),
        cmocka_unit_test(how_large_numbers_may_be_written_is_told_where_they_are_taken),
        cmocka_unit_test(bounds_belong_to_what_is_allowed),
        cmocka_unit_test(an_unknown_choice_gets_the_list),
        cmocka_unit_test(a_parser_of_the_program_explains_itself),
        cmocka_unit_test(unknown_options_name_themselves),
        cmocka_unit_test(the_short_h_is_help),
        cmocka_unit_test(a_missing_or_unwanted_value_is_named),
        cmocka_unit_test(the_beginning_of_a_name_is_no_option),
        cmocka_unit_test(what_was_given_is_told_from_defaults_and_values),
        cmocka_unit_test(help_and_version_are_answered_before_anything_after_them),
        cmocka_unit_test(without_err_the_code_is_the_same),
        cmocka_unit_test(a_bad_default_is_found_by_the_first_run),
        cmocka_unit_test(help_lists_every_option_with_default_and_bounds),
        cmocka_unit_test(help_leaves_out_what_says_nothing),
        cmocka_unit_test(help_breaks_long_lines),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
