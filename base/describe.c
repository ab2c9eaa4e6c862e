// SPDX-License-Identifier: Apache-2.0
#include "base/describe.h"

#include "base/build.h"
#include "base/err.h"
#include "base/host.h"
#include "base/opts_text.h"

#include <math.h>
#include <stdio.h>

// Names of the kinds for scripts, and the unit of their parsed values.
static const struct {
    const char *name, *unit;
} kinds[] = {
    [OPT_FLAG] = {"flag", NULL},         [OPT_COUNT] = {"count", "1"}, [OPT_BYTES] = {"bytes", "B"},
    [OPT_DURATION] = {"duration", "ns"}, [OPT_RATE] = {"rate", "1/s"}, [OPT_NUMBER] = {"number", "1"},
    [OPT_CHOICE] = {"choice", NULL},     [OPT_TEXT] = {"text", NULL},  [OPT_LIST] = {"text", NULL},
    [OPT_PARSE] = {"parsed", NULL},      [OPT_HEADING] = {NULL, NULL},
};

static json_t *text_or_null(const char *text)
{
    return text ? json_string(text) : json_null();
}

static json_t *bound(const struct opt *opt, double value)
{
    if (!opt_is_bounded(opt) || opt->kind == OPT_FLAG || isinf(value))
        return json_null();
    return json_real(value);
}

static json_t *choices(const struct opt *opt)
{
    if (opt->kind != OPT_CHOICE)
        return json_null();
    json_t *list = json_array();
    for (int i = 0; opt->choices[i]; i++)
        json_array_append_new(list, json_string(opt->choices[i]));
    return list;
}

static json_t *option(const struct opt *opt, const char *heading)
{
    return json_pack("{s:s,s:o,s:s,s:o,s:b,s:o,s:o,s:o,s:o,s:s,s:o}", "name", opt->name, "argument",
                     text_or_null(opt->argument), "kind", kinds[opt->kind].name, "unit",
                     text_or_null(kinds[opt->kind].unit), "repeats", opt->kind == OPT_LIST, "low",
                     bound(opt, opt->low), "high", bound(opt, opt->high), "default",
                     text_or_null(opt->fallback), "choices", choices(opt), "help", opt->help, "heading",
                     text_or_null(heading));
}

json_t *describe_options(const struct opt *table)
{
    json_t *list = json_array();
    const char *heading = NULL;
    for (const struct opt *opt = table; opt && !opt_is_end(opt); opt++) {
        if (opt->kind == OPT_HEADING)
            heading = opt->help;
        else
            json_array_append_new(list, option(opt, heading));
    }
    return list;
}

json_t *describe_new(const char *program, const struct opt *table, const struct metric *catalogue)
{
    return json_pack("{s:s,s:s,s:o,s:o,s:o,s:o}", "schema", DESCRIBE_SCHEMA, "program", program, "tool",
                     build_json(), "host", host_facts(), "options", describe_options(table), "metrics",
                     metric_json(catalogue));
}

int describe_print(json_t *root)
{
    bool printed = root && json_dumpf(root, stdout, JSON_INDENT(1)) == 0 && putchar('\n') != EOF;
    printed = fflush(stdout) == 0 && printed;
    json_decref(root);
    return printed ? EXIT_OK : EXIT_FAILED;
}

json_t *describe_flags(const struct describe_flag *flags, unsigned bits)
{
    json_t *list = json_array();
    for (const struct describe_flag *flag = flags; flag->name; flag++)
        if (bits & flag->bit)
            json_array_append_new(list, json_string(flag->name));
    return list;
}
