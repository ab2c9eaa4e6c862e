// SPDX-License-Identifier: Apache-2.0
#include "broker/relief.h"

#include "base/heap.h"
#include "base/units.h"
#include "pools/pressure_source.h"

#include <errno.h>
#include <inttypes.h>
#include <stddef.h>
#include <string.h>

#define SYSTEM_SOURCES ((unsigned)POOL_PRESSURE_GROUP | (unsigned)POOL_PRESSURE_STALL)

// --- the option -----------------------------------------------------------------------------------------

static int take_group(struct relief_option *option, const char *folder, struct err *err)
{
    struct pressure_group group;
    if (!folder)
        return 0;
    option->group_folder = folder;
    if (!*folder)
        return err_set(err, -EINVAL, "--pressure group=: it takes the folder of a control group");
    int code = pressure_group_open(&group, folder, 100, err);
    pressure_group_close(&group);
    return code < 0 ? err_set(err, -EINVAL,
                              "--pressure group=%s: no control group: neither memory.current nor "
                              "memory.usage_in_bytes can be read there",
                              folder)
                    : 0;
}

static int take_stall(struct relief_option *option, const char *file, struct err *err)
{
    const struct pool_pressure_config defaults = POOL_PRESSURE_DEFAULTS;
    const struct pressure_group no_group = {.fd = -1};
    struct pressure_stall stall;
    if (!file)
        return 0;
    option->stall_file = file;
    pressure_stall_open(&stall, file, &no_group, defaults.stall_us, defaults.stall_window_us);
    bool is_there = *file && stall.file[0];
    pressure_stall_close(&stall);
    return is_there
               ? 0
               : err_set(err, -EINVAL,
                         "--pressure stall=%s: no file of pressure stall information that can be read", file);
}

static int take_bound(struct relief_option *option, const char *bytes, struct err *err)
{
    if (bytes && units_parse_bytes(bytes, &option->bound_bytes) == 0 && option->bound_bytes > 0)
        return 0;
    return err_set(err, -EINVAL, "--pressure bound=%s: it takes a number of bytes above 0, as in bound=64MiB",
                   bytes ? bytes : "");
}

static int take_system(struct relief_option *option, const char *value, struct err *err)
{
    (void)option;
    return value ? err_set(err, -EINVAL, "--pressure system=%s: system takes no value", value) : 0;
}

struct source_word {
    const char *name;
    unsigned sources;
    bool needed;
    int (*take)(struct relief_option *option, const char *value, struct err *err); // value NULL: none given
};

static const struct source_word words[] = {
    {"system", SYSTEM_SOURCES, false, take_system},
    {"group", POOL_PRESSURE_GROUP, true, take_group},
    {"stall", POOL_PRESSURE_STALL, true, take_stall},
    {"bound", POOL_PRESSURE_BOUND, true, take_bound},
};
enum { WORDS = sizeof words / sizeof words[0] };

static int take(struct relief_option *option, const char *text, bool given[WORDS], struct err *err)
{
    const char *equals = strchr(text, '=');
    size_t length = equals ? (size_t)(equals - text) : strlen(text);
    for (int i = 0; i < WORDS; i++) {
        if (strlen(words[i].name) != length || strncmp(words[i].name, text, length) != 0)
            continue;
        if (given[i])
            return err_set(err, -EINVAL, "--pressure %s: %s is given twice", text, words[i].name);
        given[i] = true;
        option->sources |= words[i].sources;
        option->needed |= words[i].needed ? words[i].sources : 0;
        return words[i].take(option, equals ? equals + 1 : NULL, err);
    }
    return err_set(err, -EINVAL,
                   "--pressure %s: there is no such source; they are system, group[=DIR], stall[=FILE] and "
                   "bound=BYTES",
                   text);
}

int relief_parse(const struct opt_list *texts, struct relief_option *option, struct err *err)
{
    bool given[WORDS] = {false};
    *option = (struct relief_option){.sources = 0};
    for (int i = 0; i < texts->count; i++) {
        int code = take(option, texts->values[i], given, err);
        if (code < 0)
            return code;
    }
    return 0;
}

// What sync and blocks give back is malloc's then, which keeps most of it: without this they would have paid for
// nothing. On the thread that looked, after each pool.
static void return_to_system(void *context, const char *pool_name, const struct pool_pressure_event *event)
{
    (void)context;
    (void)pool_name;
    (void)event;
    heap_trim();
}

// --- open -----------------------------------------------------------------------------------------------

int relief_open(struct pool_pressure **opened, const struct relief_option *option,
                struct pool_registry *registry, struct err *err)
{
    struct pool_pressure_config config = POOL_PRESSURE_DEFAULTS;
    struct pool_pressure *pressure;
    struct pool_pressure_stats stats;
    config.registry = registry;
    config.listener = return_to_system;
    config.bound_bytes = option->bound_bytes;
    config.group = option->sources & POOL_PRESSURE_GROUP ? option->group_folder : "";
    config.stall_file = option->sources & POOL_PRESSURE_STALL ? option->stall_file : "";
    int code = pool_pressure_open(&pressure, &config, err);
    if (code < 0)
        return err_prefix(err, code, "--pressure");
    pool_pressure_stats(pressure, &stats);
    unsigned missing = option->needed & ~stats.sources;
    if (missing == 0) {
        *opened = pressure;
        return 0;
    }
    pool_pressure_close(pressure);
    if (missing & POOL_PRESSURE_GROUP)
        return err_set(err, -ENOTSUP,
                       "--pressure group: this process is in no control group whose memory can be read");
    return err_set(err, -ENOTSUP,
                   "--pressure stall: neither memory.pressure of the control group nor /proc/pressure/memory "
                   "can be read; the kernel needs CONFIG_PSI");
}

// --- what it says ---------------------------------------------------------------------------------------

void relief_announce(const struct pool_pressure_stats *stats, int64_t bound_bytes, FILE *to)
{
    char bytes[24];
    const char *comma = "";
    fprintf(to, "poolmark-broker: idle memory of pools is given back at ");
    if (stats->sources & POOL_PRESSURE_BOUND) {
        fprintf(to, "more than %s in all pools", units_format_bytes(bound_bytes, bytes, sizeof bytes));
        comma = ", ";
    }
    if (stats->sources & POOL_PRESSURE_GROUP) {
        fprintf(to, "%sa control group near its limit", comma);
        comma = ", ";
    }
    if (stats->sources & POOL_PRESSURE_STALL)
        fprintf(to, "%stasks that wait for memory", comma);
    fputs(" (--pressure)\n", to);
}

void relief_complain(const struct pool_pressure_stats *stats, struct pool_pressure_stats *told, FILE *to)
{
    char bytes[24], longest[24];
    bool bound = stats->by_bound > told->by_bound, group = stats->by_group > told->by_group;
    bool stall = stats->by_stall > told->by_stall;
    if (stats->trims > told->trims)
        fprintf(to,
                "poolmark-broker: memory pressure (%s%s%s%s%s%s): pools gave back %s in %" PRId64
                " trims; the longest look so far took %s\n",
                bound || group || stall ? "" : "the look before goes on", bound ? "bound" : "",
                bound && (group || stall) ? ", " : "", group ? "control group" : "",
                group && stall ? ", " : "", stall ? "stalls" : "",
                units_format_bytes(stats->bytes_back - told->bytes_back, bytes, sizeof bytes),
                stats->trims - told->trims,
                units_format_duration(stats->longest_ns, longest, sizeof longest));
    *told = *stats;
}

struct relief_count {
    const char *name, *help;
    size_t offset;
};

#define AT(field) offsetof(struct pool_pressure_stats, field)
static const struct relief_count counts[] = {
    {"looks", "looks at the sources of memory pressure", AT(looks)},
    {"by_bound", "looks that found the pools above the bound", AT(by_bound)},
    {"by_group", "looks that found the control group near its limit", AT(by_group)},
    {"by_stall", "looks that found tasks waiting for memory", AT(by_stall)},
    {"trims", "times that a pool gave memory back", AT(trims)},
    {"back_bytes", "bytes that pools gave back under memory pressure", AT(bytes_back)},
};
#undef AT
enum { COUNTS = sizeof counts / sizeof counts[0] };

static int64_t count_of(const struct pool_pressure_stats *stats, const struct relief_count *count)
{
    return *(const int64_t *)(const void *)((const char *)stats + count->offset);
}

void relief_print(const struct pool_pressure_stats *stats, FILE *to)
{
    char name[40];
    for (int i = 0; i < COUNTS; i++) {
        snprintf(name, sizeof name, "pressure_%s", counts[i].name);
        fprintf(to, "%-22s %12" PRId64 "  %s\n", name, count_of(stats, &counts[i]), counts[i].help);
    }
}

void relief_print_prometheus(const struct pool_pressure_stats *stats, FILE *to)
{
    for (int i = 0; i < COUNTS; i++)
        fprintf(to,
                "# HELP poolmark_pressure_%s_total %s\n# TYPE poolmark_pressure_%s_total counter\n"
                "poolmark_pressure_%s_total %" PRId64 "\n",
                counts[i].name, counts[i].help, counts[i].name, counts[i].name, count_of(stats, &counts[i]));
    fprintf(to,
            "# HELP poolmark_pressure_longest_seconds the longest time that one look gave memory back\n"
            "# TYPE poolmark_pressure_longest_seconds gauge\npoolmark_pressure_longest_seconds %.9g\n",
            (double)stats->longest_ns * 1e-9);
}
