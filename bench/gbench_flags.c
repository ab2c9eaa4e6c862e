// SPDX-License-Identifier: Apache-2.0
#include "bench/gbench_flags.h"

#include <ctype.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

// The last value on the command line, or the environment variable of that name in capitals, or the default.
static const char *flag_value(const char *name, int argc, char **argv, const char *fallback)
{
    char variable[64] = "";
    size_t length = strlen(name);
    for (size_t i = 0; i < length && i < sizeof variable - 1; i++)
        variable[i] = (char)toupper((unsigned char)name[i]);
    const char *set = getenv(variable);
    const char *value = set ? set : fallback;
    for (int i = 1; i < argc; i++) {
        if (strncmp(argv[i], "--", 2) != 0 || strncmp(argv[i] + 2, name, length) != 0)
            continue;
        const char *rest = argv[i] + 2 + length;
        if (*rest == '=')
            value = rest + 1;
        else if (*rest == '\0')
            value = "true";
    }
    return value;
}

// --benchmark_context may be given several times.
int gb_flags_refuse_second(int argc, char **argv, struct err *err)
{
    for (int i = 1; i < argc; i++) {
        size_t length = strcspn(argv[i], "=");
        bool is_flag = strncmp(argv[i], "--", 2) == 0 && strncmp(argv[i], "--benchmark_context=", 20) != 0;
        for (int j = 1; is_flag && j < i; j++)
            if (strncmp(argv[j], argv[i], length) == 0 && strcspn(argv[j], "=") == length)
                return err_set(err, -EINVAL,
                               "%.*s: is given twice, the second time as %s; it takes one value", (int)length,
                               argv[i], argv[i]);
    }
    return 0;
}

static bool is_one_of(const char *value, const char *const *choices)
{
    for (; *choices; choices++) {
        if (strcmp(value, *choices) == 0)
            return true;
    }
    return false;
}

int gb_flags_read(struct gb_flags *flags, int argc, char **argv, struct err *err)
{
    static const char *const formats[] = {"console", "json", "csv", NULL};
    static const char *const units[] = {"ns", "us", "ms", "s", NULL};
    static const char *const truths[] = {"true", "1", "yes", "on", "t", "y", NULL};

    if (gb_flags_refuse_second(argc, argv, err) < 0)
        return -EINVAL;
    flags->out = flag_value("benchmark_out", argc, argv, "");
    flags->out_format = flag_value("benchmark_out_format", argc, argv, "json");
    flags->list = is_one_of(flag_value("benchmark_list_tests", argc, argv, "false"), truths);
    flags->format = flag_value("benchmark_format", argc, argv, "console");
    if (!is_one_of(flags->format, formats))
        return err_set(err, -EINVAL, "--benchmark_format='%s': it may be console, json or csv",
                       flags->format);
    if (!is_one_of(flags->out_format, formats))
        return err_set(err, -EINVAL, "--benchmark_out_format='%s': it may be console, json or csv",
                       flags->out_format);
    const char *unit = flag_value("benchmark_time_unit", argc, argv, "ns");
    if (!is_one_of(unit, units))
        return err_set(err, -EINVAL, "--benchmark_time_unit='%s': it may be ns, us, ms or s", unit);
    // With 0, less or no text the library runs nothing. It refuses what is no number.
    const char *repetitions = flag_value("benchmark_repetitions", argc, argv, "1");
    char *end;
    long number = strtol(repetitions, &end, 10);
    if (*end == '\0' && number < 1)
        return err_set(err, -EINVAL, "--benchmark_repetitions='%s': nothing would be measured; at least 1",
                       repetitions);
    return 0;
}

int gb_filter_init(struct gb_filter *filter, const char *text, struct err *err)
{
    filter->negative = text[0] == '-' && text[1] != '\0';
    const char *pattern = filter->negative ? text + 1 : text;
    if (*pattern == '\0' || strcmp(pattern, "all") == 0)
        pattern = ".";
    int code = regcomp(&filter->expression, pattern, REG_EXTENDED | REG_NOSUB);
    if (code == 0)
        return 0;
    char why[128];
    regerror(code, &filter->expression, why, sizeof why);
    return err_set(err, -EINVAL, "--benchmark_filter='%s' is no regular expression: %s", text, why);
}

bool gb_filter_takes(const struct gb_filter *filter, const char *name)
{
    return (regexec(&filter->expression, name, 0, NULL, 0) == 0) != filter->negative;
}

void gb_filter_free(struct gb_filter *filter)
{
    regfree(&filter->expression);
}
