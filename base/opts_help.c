// SPDX-License-Identifier: Apache-2.0
#include "base/opts.h"

#include "base/opts_text.h"

#include <string.h>

static const int HELP_COLUMN = 32, HELP_WIDTH = 100;

// Prints `text` wrapped at blanks; each line after the first begins at HELP_COLUMN.
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

// "; 1ms to 1h". An upper bound that nobody will reach is left out.
static void describe_bounds(const struct opt *opt, char *text, size_t size)
{
    char low[40], high[40];
    bool is_open = opt->high >= (opt->kind == OPT_DURATION ? 1e16 : 1e9); // 115 days
    opt_format_bound(opt, opt->low, low);
    opt_format_bound(opt, opt->high, high);
    if (!is_open) {
        snprintf(text, size, "; %s to %s", low, high);
    } else if (opt->low != 0) {
        snprintf(text, size, "; at least %s", low);
    }
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
    if (opt_is_bounded(opt) && opt->kind != OPT_FLAG) {
        describe_bounds(opt, bounds, sizeof bounds);
    }
    // An argument such as "heap|refuse" already lists the choices.
    if (opt->kind == OPT_CHOICE && !(opt->argument && strchr(opt->argument, '|'))) {
        char joined[280];
        opt_join_choices(opt, joined, sizeof joined);
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
        {.name = "describe", .kind = OPT_FLAG, .help = "print as JSON what this program is, and end"},
        {.name = "version", .kind = OPT_FLAG, .help = "print version and build, and end"},
        {.name = "help", .kind = OPT_FLAG, .help = "print this, and end; so does -h"},
        {.name = NULL}};
    fprintf(to, "Usage: %s %s\n%s\n", program, usage, purpose);
    if (table[0].kind != OPT_HEADING) {
        fputc('\n', to);
    }
    for (const struct opt *opt = table; !opt_is_end(opt); opt++) {
        print_option(opt, to);
    }
    fputc('\n', to);
    for (const struct opt *opt = common; !opt_is_end(opt); opt++) {
        print_option(opt, to);
    }
}
