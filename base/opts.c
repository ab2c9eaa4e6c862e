// SPDX-License-Identifier: Apache-2.0
#include "base/opts.h"

#include "base/clock.h"
#include "base/units.h"

#include <errno.h>
#include <getopt.h>
#include <math.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

// getopt_long's codes for the rows of a table: beyond every character, and the two that every program has.
enum { CODE_FIRST = 1000, CODE_HELP = 900, CODE_VERSION = 901 };

static bool is_end(const struct opt *opt)
{
    return !opt->name && opt->kind != OPT_HEADING;
}

static const char *value_name(const struct opt *opt)
{
    switch (opt->kind) {
    case OPT_COUNT:
        return "a count";
    case OPT_BYTES:
        return "a number of bytes";
    case OPT_DURATION:
        return "a duration";
    case OPT_RATE:
        return "a rate";
    default:
        return "a number";
    }
}

static const char *value_examples(const struct opt *opt)
{
    switch (opt->kind) {
    case OPT_COUNT:
        return " (10k and 1M are understood)";
    case OPT_BYTES:
        return " (4KiB and 1MB are understood)";
    case OPT_DURATION:
        return " (500us, 30s and 5m are understood; a bare number is seconds)";
    case OPT_RATE:
        return " (10k and 1000/s are understood)";
    default:
        return "";
    }
}

// A bound as its option's values are written.
static void format_bound(const struct opt *opt, double bound, char text[static 40])
{
    static const struct {
        const char *name;
        double ns;
    } spans[] = {{"h", 3600e9}, {"m", 60e9}, {"s", 1e9}, {"ms", 1e6}, {"us", 1e3}, {"ns", 1}};
    if (opt->kind == OPT_DURATION && bound != 0) {
        size_t i = 0;
        while (i + 1 < sizeof spans / sizeof spans[0] && fmod(bound, spans[i].ns) != 0) {
            i++;
        }
        snprintf(text, 40, "%.0f%s", bound / spans[i].ns, spans[i].name);
    } else if (opt->kind == OPT_RATE || opt->kind == OPT_NUMBER) {
        snprintf(text, 40, "%.10g", bound);
    } else {
        snprintf(text, 40, "%.0f", bound);
    }
}

static bool is_bounded(const struct opt *opt)
{
    return opt->low != 0 || opt->high != 0;
}

// "it takes 1 to 100000000 (10k and 1M are understood)"
static void describe_bounds(const struct opt *opt, char *text, size_t size)
{
    char low[40], high[40];
    format_bound(opt, opt->low, low);
    format_bound(opt, opt->high, high);
    if (!is_bounded(opt)) {
        snprintf(text, size, "it takes %s%s", value_name(opt), value_examples(opt));
    } else if (isinf(opt->high)) {
        snprintf(text, size, "it takes %s or more%s", low, value_examples(opt));
    } else {
        snprintf(text, size, "it takes %s to %s%s", low, high, value_examples(opt));
    }
}

static int refuse_number(const struct opt *opt, const char *value, int code, struct err *err)
{
    char bounds[200];
    describe_bounds(opt, bounds, sizeof bounds);
    if (code == -ERANGE) {
        return err_set(err, -EINVAL, "--%s: \"%s\" is out of bounds; %s", opt->name, value, bounds);
    }
    return err_set(err, -EINVAL, "--%s: \"%s\" is not %s; %s", opt->name, value, value_name(opt), bounds);
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
    if (code == 0 && is_bounded(opt) && (compared < opt->low || compared > opt->high)) {
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

// "malloc, fixed or expand"
static void join_choices(const struct opt *opt, char *text, size_t size)
{
    size_t used = 0;
    text[0] = '\0';
    for (int i = 0; opt->choices[i] && used < size; i++) {
        const char *between = i == 0 ? "" : opt->choices[i + 1] ? ", " : " or ";
        int n = snprintf(text + used, size - used, "%s%s", between, opt->choices[i]);
        used += n > 0 ? (size_t)n : 0;
    }
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
    join_choices(opt, choices, sizeof choices);
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
    case OPT_PARSE: // its type is the program's: it starts as it is
    case OPT_HEADING:
        break;
    }
}

static int set_defaults(const struct opt *table, void *config, struct err *err)
{
    for (const struct opt *opt = table; !is_end(opt); opt++) {
        clear_value(opt, config);
        // A list's default is put in after the arguments, when none was given.
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
    for (const struct opt *opt = table; !is_end(opt); opt++) {
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
    while (!is_end(&table[rows])) {
        rows++;
    }
    return rows;
}

static struct option *make_getopt_table(const struct opt *table)
{
    size_t rows = count_rows(table), used = 0;
    struct option *made = calloc(rows + 3, sizeof *made);
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
    made[used] = (struct option){.name = "version", .val = CODE_VERSION};
    return made;
}

// getopt has stopped at argument `at`: an option that is not there, or matches several, or lacks or has a
// value.
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
    for (const struct opt *opt = table; !is_end(opt); opt++) {
        if (opt->kind == OPT_FLAG && strncmp(argument + 2, opt->name, (size_t)name_length - 2) == 0 &&
            strlen(opt->name) == (size_t)name_length - 2) {
            return err_set(err, -EINVAL, "%.*s: takes no value, and was given \"%s\"", name_length, argument,
                           argument + name_length + 1);
        }
    }
    int candidates = 0;
    for (const struct opt *opt = table; !is_end(opt); opt++) {
        candidates +=
            opt->kind != OPT_HEADING && strncmp(argument + 2, opt->name, (size_t)name_length - 2) == 0;
    }
    if (candidates > 1) {
        return err_set(err, -EINVAL, "%.*s: may be %d options; write its name in full", name_length, argument,
                       candidates);
    }
    return err_set(err, -EINVAL, "%.*s: is not an option; --help lists them all", name_length, argument);
}

// The argument that getopt has just refused: the one before optind, except inside a word such as "-abc",
// where optind still stands on it.
static const char *refused_argument(char **argv)
{
    const char *before = argv[optind - 1];
    bool is_short = optopt > 0 && optopt < CODE_HELP;
    if (is_short && !(before[0] == '-' && before[1] != '-' && before[strlen(before) - 1] == optopt)) {
        return argv[optind];
    }
    return before;
}

static int read_arguments(const struct opt *table, const struct option *options, void *config, int argc,
                          char **argv, struct err *err)
{
    // 0 makes glibc start afresh, also when arguments were read before (tests); ':' asks for codes, not
    // messages.
    optind = 0;
    opterr = 0;
    for (;;) {
        int code = getopt_long(argc, argv, ":", options, NULL);
        if (code == -1) {
            return OPTS_RUN;
        }
        if (code == CODE_HELP) {
            return OPTS_HELP;
        }
        if (code == CODE_VERSION) {
            return OPTS_VERSION;
        }
        if (code == '?' || code == ':') {
            return refuse_option(table, code, refused_argument(argv), err);
        }
        int done = set_value(&table[code - CODE_FIRST], optarg, config, err);
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
    if (!options) {
        return err_set(err, -ENOMEM, "out of memory");
    }
    code = read_arguments(table, options, config, argc, argv, err);
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

static const int HELP_COLUMN = 32, HELP_WIDTH = 100;

// `text` broken at blanks, each line after the first beginning at HELP_COLUMN.
static void print_wrapped(const char *text, FILE *to)
{
    int column = HELP_COLUMN;
    while (*text) {
        int length = (int)strcspn(text, " ");
        if (column > HELP_COLUMN && column + 1 + length > HELP_WIDTH) {
            fprintf(to, "\n%*s", HELP_COLUMN, "");
            column = HELP_COLUMN;
        }
        bool first = column == HELP_COLUMN;
        fprintf(to, "%s%.*s", first ? "" : " ", length, text);
        column += length + (first ? 0 : 1);
        text += length;
        text += strspn(text, " ");
    }
    fputc('\n', to);
}

static void print_option(const struct opt *opt, FILE *to)
{
    char left[100], text[700], bounds[120] = "", fallback[200] = "", choices[300] = "";
    if (opt->kind == OPT_HEADING) {
        fprintf(to, "\n%s\n", opt->help);
        return;
    }
    snprintf(left, sizeof left, "  --%s%s%s", opt->name, opt->argument ? " " : "",
             opt->argument ? opt->argument : "");
    if (is_bounded(opt) && opt->kind != OPT_FLAG) {
        char low[40], high[40];
        format_bound(opt, opt->low, low);
        format_bound(opt, opt->high, high);
        snprintf(bounds, sizeof bounds, isinf(opt->high) ? "; at least %s" : "; %s to %s", low, high);
    }
    if (opt->kind == OPT_CHOICE) {
        char joined[280];
        join_choices(opt, joined, sizeof joined);
        snprintf(choices, sizeof choices, ": %s", joined);
    }
    if (opt->fallback && opt->fallback[0]) {
        snprintf(fallback, sizeof fallback, " [%s]", opt->fallback);
    }
    snprintf(text, sizeof text, "%s%s%s%s", opt->help, choices, bounds, fallback);
    if ((int)strlen(left) > HELP_COLUMN - 2) {
        fprintf(to, "%s\n%*s", left, HELP_COLUMN, "");
    } else {
        fprintf(to, "%-*s", HELP_COLUMN, left);
    }
    print_wrapped(text, to);
}

void opts_print_help(const struct opt *table, const char *program, const char *usage, const char *purpose,
                     FILE *to)
{
    static const struct opt common[] = {
        {.name = "version", .kind = OPT_FLAG, .help = "print version and build, and end"},
        {.name = "help", .kind = OPT_FLAG, .help = "print this, and end"},
        {.name = NULL}};
    fprintf(to, "Usage: %s %s\n%s\n", program, usage, purpose);
    if (table[0].kind != OPT_HEADING) {
        fputc('\n', to);
    }
    for (const struct opt *opt = table; !is_end(opt); opt++) {
        print_option(opt, to);
    }
    fputc('\n', to);
    for (const struct opt *opt = common; !is_end(opt); opt++) {
        print_option(opt, to);
    }
}
