// SPDX-License-Identifier: Apache-2.0
#include "base/opts.h"

#include "base/opts_text.h"
#include "base/units.h"

#include <errno.h>
#include <getopt.h>
#include <math.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

// getopt_long's codes, beyond every character: rows of a table, and the three options of every program.
enum { CODE_FIRST = 1000, CODE_HELP = 900, CODE_VERSION = 901, CODE_DESCRIBE = 902 };

static int refuse_number(const struct opt *opt, const char *value, int code, struct err *err)
{
    char bounds[200];
    opt_describe_bounds(opt, bounds, sizeof bounds);
    if (code == -ERANGE) {
        return err_set(err, -EINVAL, "--%s: \"%s\" is out of bounds; %s", opt->name, value, bounds);
    }
    return err_set(err, -EINVAL, "--%s: \"%s\" is not %s; %s", opt->name, value, opt_value_name(opt), bounds);
}

static int parse_double(const char *value, double *number)
{
    char *end;
    errno = 0;
    double parsed = strtod(value, &end);
    // strtod would skip blanks, and take "nan" and "inf".
    if (end == value || *end != '\0' || !isfinite(parsed) ||
        strspn(value, "+-.0123456789eE") != strlen(value)) {
        return -EINVAL;
    }
    if (errno == ERANGE && fabs(parsed) > 1) {
        return -ERANGE;
    }
    *number = parsed;
    return 0;
}

static int set_number(const struct opt *opt, const char *value, void *place, struct err *err)
{
    int64_t whole = 0;
    double number = 0;
    int code;
    switch (opt->kind) {
    case OPT_COUNT:
        code = units_parse_count(value, &whole);
        break;
    case OPT_BYTES:
        code = units_parse_bytes(value, &whole);
        break;
    case OPT_DURATION:
        code = units_parse_duration_ns(value, &whole);
        break;
    case OPT_RATE:
        code = units_parse_rate_per_s(value, &number);
        break;
    default:
        code = parse_double(value, &number);
        break;
    }
    bool is_real = opt->kind == OPT_RATE || opt->kind == OPT_NUMBER;
    double compared = is_real ? number : (double)whole;
    if (code == 0 && opt_is_bounded(opt) && (compared < opt->low || compared > opt->high)) {
        code = -ERANGE;
    }
    if (code < 0) {
        return refuse_number(opt, value, code, err);
    }
    if (is_real) {
        *(double *)place = number;
    } else {
        *(int64_t *)place = whole;
    }
    return 0;
}

static int set_choice(const struct opt *opt, const char *value, void *place, struct err *err)
{
    for (int i = 0; opt->choices[i]; i++) {
        if (strcmp(opt->choices[i], value) == 0) {
            *(const char **)place = opt->choices[i];
            return 0;
        }
    }
    char choices[300];
    opt_join_choices(opt, choices, sizeof choices);
    return err_set(err, -EINVAL, "--%s: \"%s\" is unknown; it takes %s", opt->name, value, choices);
}

static int add_to_list(const struct opt *opt, const char *value, struct opt_list *list, struct err *err)
{
    if (list->count >= OPT_LIST_MAX) {
        return err_set(err, -EINVAL, "--%s: \"%s\" is one too many; it may be given %d times", opt->name,
                       value, OPT_LIST_MAX);
    }
    list->values[list->count++] = value;
    return 0;
}

static int set_value(const struct opt *opt, const char *value, void *config, struct err *err)
{
    void *place = (char *)config + opt->offset;
    switch (opt->kind) {
    case OPT_FLAG:
        *(bool *)place = true;
        return 0;
    case OPT_CHOICE:
        return set_choice(opt, value, place, err);
    case OPT_TEXT:
        *(const char **)place = value;
        return 0;
    case OPT_LIST:
        return add_to_list(opt, value, place, err);
    case OPT_PARSE: {
        struct err inner = {{0}};
        int code = opt->parse(value, place, &inner);
        if (code < 0) {
            return err_set(err, -EINVAL, "--%s: \"%s\": %s", opt->name, value,
                           inner.text[0] ? inner.text : "it is not understood");
        }
        return 0;
    }
    case OPT_HEADING:
        return 0;
    default:
        return set_number(opt, value, place, err);
    }
}

static void clear_value(const struct opt *opt, void *config)
{
    void *place = (char *)config + opt->offset;
    switch (opt->kind) {
    case OPT_FLAG:
        *(bool *)place = false;
        break;
    case OPT_COUNT:
    case OPT_BYTES:
    case OPT_DURATION:
        *(int64_t *)place = 0;
        break;
    case OPT_RATE:
    case OPT_NUMBER:
        *(double *)place = 0;
        break;
    case OPT_CHOICE:
    case OPT_TEXT:
        *(const char **)place = NULL;
        break;
    case OPT_LIST:
        ((struct opt_list *)place)->count = 0;
        break;
    case OPT_PARSE: // only the program knows its type: left as it is
    case OPT_HEADING:
        break;
    }
}

static int set_defaults(const struct opt *table, void *config, struct err *err)
{
    for (const struct opt *opt = table; !opt_is_end(opt); opt++) {
        clear_value(opt, config);
        // A list gets its default after the arguments, if none of them set it.
        if (opt->fallback && opt->kind != OPT_LIST && opt->kind != OPT_FLAG && opt->kind != OPT_HEADING) {
            int code = set_value(opt, opt->fallback, config, err);
            if (code < 0) {
                return code;
            }
        }
    }
    return 0;
}

static int set_list_defaults(const struct opt *table, void *config, struct err *err)
{
    for (const struct opt *opt = table; !opt_is_end(opt); opt++) {
        if (opt->kind != OPT_LIST || !opt->fallback) {
            continue;
        }
        struct opt_list *list = (void *)((char *)config + opt->offset);
        if (list->count == 0) {
            int code = add_to_list(opt, opt->fallback, list, err);
            if (code < 0) {
                return code;
            }
        }
    }
    return 0;
}

static size_t count_rows(const struct opt *table)
{
    size_t rows = 0;
    while (!opt_is_end(&table[rows])) {
        rows++;
    }
    return rows;
}

static struct option *make_getopt_table(const struct opt *table)
{
    size_t rows = count_rows(table), used = 0;
    struct option *made = calloc(rows + 4, sizeof *made);
    if (!made) {
        return NULL;
    }
    for (size_t i = 0; i < rows; i++) {
        if (table[i].kind != OPT_HEADING) {
            made[used++] =
                (struct option){.name = table[i].name,
                                .has_arg = table[i].kind == OPT_FLAG ? no_argument : required_argument,
                                .val = CODE_FIRST + (int)i};
        }
    }
    made[used++] = (struct option){.name = "help", .val = CODE_HELP};
    made[used++] = (struct option){.name = "describe", .val = CODE_DESCRIBE};
    made[used] = (struct option){.name = "version", .val = CODE_VERSION};
    return made;
}

// getopt has refused `argument`: an option that is unknown or ambiguous, lacks a value, or takes none.
static int refuse_option(const struct opt *table, int code, const char *argument, struct err *err)
{
    int name_length = (int)strcspn(argument, "=");
    if (code == ':') {
        return err_set(err, -EINVAL, "%.*s: a value has to follow", name_length, argument);
    }
    if (argument[0] == '-' && argument[1] != '-') {
        return err_set(err, -EINVAL,
                       "\"%s\" is not an option (they begin with two dashes); --help lists them all",
                       argument);
    }
    for (const struct opt *opt = table; !opt_is_end(opt); opt++) {
        if (opt->kind == OPT_FLAG && strncmp(argument + 2, opt->name, (size_t)name_length - 2) == 0 &&
            strlen(opt->name) == (size_t)name_length - 2) {
            return err_set(err, -EINVAL, "%.*s: takes no value, and was given \"%s\"", name_length, argument,
                           argument + name_length + 1);
        }
    }
    int candidates = 0;
    for (const struct opt *opt = table; !opt_is_end(opt); opt++) {
        candidates +=
            opt->kind != OPT_HEADING && strncmp(argument + 2, opt->name, (size_t)name_length - 2) == 0;
    }
    if (candidates > 1) {
        return err_set(err, -EINVAL, "%.*s: may be %d options; write its name in full", name_length, argument,
                       candidates);
    }
    return err_set(err, -EINVAL, "%.*s: is not an option; --help lists them all", name_length, argument);
}

// The argument that getopt has just refused: the one before optind. Inside a word such as "-abc" optind still
// points to it.
static const char *refused_argument(char **argv)
{
    const char *before = argv[optind - 1];
    bool is_short = optopt != 0 && optopt < CODE_HELP; // negative for a letter beyond ASCII
    if (is_short && !(before[0] == '-' && before[1] != '-' && before[strlen(before) - 1] == (char)optopt)) {
        return argv[optind];
    }
    return before;
}

// The option that getopt has just read, as written, with its dashes.
static const char *written_option(char **argv)
{
    return optarg && optarg == argv[optind - 1] ? argv[optind - 2] : argv[optind - 1];
}

// getopt_long accepts the beginning of a name. A script that relies on it breaks when an option is added.
static int refuse_beginning(const char *name, const char *written, struct err *err)
{
    size_t bytes = strcspn(written, "=");
    if (bytes == strlen(name) + 2) {
        return 0;
    }
    return err_set(err, -EINVAL, "%.*s: is not an option; --%s is", (int)bytes, written, name);
}

// A second value would silently take the place of the first. A list takes all its values, and a flag says the
// same twice.
static int refuse_second(const struct opt *opt, bool *given, struct err *err)
{
    if (*given && opt->kind != OPT_LIST && opt->kind != OPT_FLAG) {
        // Without the values: one may be a password.
        return err_set(err, -EINVAL, "--%s: is given twice; it takes one value", opt->name);
    }
    *given = true;
    return 0;
}

// `given` has a place for each row of `table`, all false.
static int read_arguments(const struct opt *table, const struct option *options, bool *given, void *config,
                          int argc, char **argv, struct err *err)
{
    // 0 makes glibc start afresh, also when arguments were read before (tests); ':' asks for codes, not
    // messages.
    optind = 0;
    opterr = 0;
    int result = OPTS_RUN;
    for (;;) {
        int code = getopt_long(argc, argv, ":h", options, NULL);
        if (code == -1) {
            return result;
        }
        if (code == '?' || code == ':') {
            return refuse_option(table, code, refused_argument(argv), err);
        }
        if (code == 'h') {
            return OPTS_HELP;
        }
        const char *name = code == CODE_HELP       ? "help"
                           : code == CODE_VERSION  ? "version"
                           : code == CODE_DESCRIBE ? "describe"
                                                   : table[code - CODE_FIRST].name;
        int done = refuse_beginning(name, written_option(argv), err);
        if (done < 0) {
            return done;
        }
        if (code == CODE_DESCRIBE) { // its output depends on the other options
            result = OPTS_DESCRIBE;
            continue;
        }
        if (code < CODE_FIRST) {
            return code == CODE_HELP ? OPTS_HELP : OPTS_VERSION;
        }
        int row = code - CODE_FIRST;
        done = refuse_second(&table[row], &given[row], err);
        if (done == 0) {
            done = set_value(&table[row], optarg, config, err);
        }
        if (done < 0) {
            return done;
        }
    }
}

int opts_parse(const struct opt *table, void *config, int argc, char **argv, int *rest, struct err *err)
{
    int code = set_defaults(table, config, err);
    if (code < 0) {
        return code;
    }
    struct option *options = make_getopt_table(table);
    bool *given = calloc(count_rows(table) + 1, sizeof *given);
    code = options && given ? read_arguments(table, options, given, config, argc, argv, err)
                            : err_set(err, -ENOMEM, "out of memory");
    free(given);
    free(options);
    if (code < 0) {
        return code;
    }
    if (rest) {
        *rest = optind;
    }
    int listed = set_list_defaults(table, config, err);
    return listed < 0 ? listed : code;
}

bool opts_was_given(const struct opt *table, int argc, char **argv, const char *name)
{
    struct option *options = make_getopt_table(table);
    if (!options) {
        return false;
    }
    bool given = false;
    optind = 0;
    opterr = 0;
    for (int code = 0; code != -1;) {
        code = getopt_long(argc, argv, ":", options, NULL);
        given = given || (code >= CODE_FIRST && strcmp(table[code - CODE_FIRST].name, name) == 0);
    }
    free(options);
    return given;
}
