// SPDX-License-Identifier: Apache-2.0
#include "pools/plugin/plugin.h"

#include "pools/plugin/plugin_adapt.h"

#include <dlfcn.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>

enum { NAME_MAX_LENGTH = 31, VERSION_MAX_LENGTH = 31, SUMMARY_MAX_LENGTH = 120, LATER_VERSIONS = 9 };

#define SYMBOL "poolmark_strategy_v1"

// Contenders of the micro-benchmarks that are no strategies (bench/workload.h).
static const char *const taken[] = {"direct", "bare"};

bool plugins_is_path(const char *text)
{
    return strchr(text, '/');
}

// --- the table of functions --------------------------------------------------------------------------------

static bool is_name(const char *name)
{
    size_t length = strspn(name, "abcdefghijklmnopqrstuvwxyz0123456789_");
    return length > 0 && length <= NAME_MAX_LENGTH && name[length] == '\0' && *name >= 'a' && *name <= 'z';
}

// From `first` to the last printable character of ASCII.
static bool is_text(const char *text, size_t most, char first)
{
    size_t length = 0;
    while (text[length] >= first && text[length] <= '~')
        length++;
    return length > 0 && length <= most && text[length] == '\0';
}

static int check_version(const struct poolmark_strategy_v1 *contract, const char *file, struct err *err)
{
    if (contract->abi != POOLMARK_STRATEGY_ABI)
        return err_set(err, -EINVAL, "%s keeps version %u of the contract; this program knows version %u",
                       file, contract->abi, POOLMARK_STRATEGY_ABI);
    if (contract->bytes < sizeof *contract)
        return err_set(err, -EINVAL,
                       "%s: its " SYMBOL
                       " has %u bytes, of version %u it has %zu: compile it with this program's "
                       "pool_plugin.h",
                       file, contract->bytes, POOLMARK_STRATEGY_ABI, sizeof *contract);
    // Fields of a later header. Those that are zero ask for nothing.
    for (size_t at = sizeof *contract; at < contract->bytes; at++)
        if (((const unsigned char *)contract)[at] != 0)
            return err_set(err, -EINVAL,
                           "%s uses a field of a later pool_plugin.h (byte %zu of its " SYMBOL
                           "): it needs a later version of this program",
                           file, at);
    return 0;
}

static int check_texts(const struct poolmark_strategy_v1 *contract, const char *file, struct err *err)
{
    const char *name = contract->name;
    if (!name || !is_name(name))
        return err_set(err, -EINVAL,
                       "%s: its name has to be of a-z, 0-9 and _, a letter first, at most %d characters",
                       file, NAME_MAX_LENGTH);
    if (!contract->summary || !is_text(contract->summary, SUMMARY_MAX_LENGTH, ' '))
        return err_set(err, -EINVAL,
                       "%s: the summary of %s has to be one line of at most %d characters (ASCII)", file,
                       name, SUMMARY_MAX_LENGTH);
    if (contract->version && !is_text(contract->version, VERSION_MAX_LENGTH, '!'))
        return err_set(
            err, -EINVAL,
            "%s: the version of %s has to be at most %d characters (ASCII) without blanks, or NULL", file,
            name, VERSION_MAX_LENGTH);
    for (size_t i = 0; i < sizeof taken / sizeof taken[0]; i++)
        if (strcmp(name, taken[i]) == 0)
            return err_set(err, -EINVAL, "%s: its name is %s, which benchmarks call something else", file,
                           name);
    if (pool_strategy_find(name))
        return err_set(err, -EINVAL, "%s: its name is %s, which is a strategy of Poolmark's own", file, name);
    return 0;
}

static int check_functions(const struct poolmark_strategy_v1 *contract, const char *file, struct err *err)
{
    enum { ALWAYS = 0 };
    const struct {
        const char *function;
        bool there;
        unsigned flag;
        const char *flag_name;
    } rows[] = {
        {"open", contract->open, ALWAYS, ""},
        {"get", contract->get, ALWAYS, ""},
        {"put", contract->put, ALWAYS, ""},
        {"close", contract->close, ALWAYS, ""},
        {"preheat", contract->preheat, POOLMARK_CAN_PREHEAT, "POOLMARK_CAN_PREHEAT"},
        {"get_bytes", contract->get_bytes, POOLMARK_CAN_SIZE, "POOLMARK_CAN_SIZE"},
        {"sweep", contract->sweep, POOLMARK_CAN_SWEEP, "POOLMARK_CAN_SWEEP"},
        {"trim", contract->trim, POOLMARK_CAN_SHRINK, "POOLMARK_CAN_SHRINK"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        bool wanted = rows[i].flag == ALWAYS || (contract->can & rows[i].flag);
        if (wanted && !rows[i].there)
            return err_set(err, -EINVAL, "%s: %s has no function %s%s%s", file, contract->name,
                           rows[i].function, *rows[i].flag_name ? ", but sets " : "", rows[i].flag_name);
        if (!wanted && rows[i].there)
            return err_set(err, -EINVAL, "%s: %s has a function %s, but does not set %s", file,
                           contract->name, rows[i].function, rows[i].flag_name);
    }
    return 0;
}

static int check_flags(const struct poolmark_strategy_v1 *contract, const char *file, struct err *err)
{
    enum { KNOWN = 2 * POOLMARK_CAN_CONSTRUCT - 1 };
    if (contract->can & ~(unsigned)KNOWN)
        return err_set(err, -EINVAL, "%s: %s sets flags that this program does not know (0x%x)", file,
                       contract->name, contract->can & ~(unsigned)KNOWN);
    if ((contract->can & POOLMARK_CAN_BACKGROUND) && !(contract->can & POOLMARK_CAN_GROW))
        return err_set(err, -EINVAL, "%s: %s sets POOLMARK_CAN_BACKGROUND without POOLMARK_CAN_GROW", file,
                       contract->name);
    if (contract->growth > POOLMARK_GROWTH_FACTOR)
        return err_set(err, -EINVAL, "%s: %s has a rule of growth that this program does not know (%u)", file,
                       contract->name, contract->growth);
    if (contract->growth == POOLMARK_GROWTH_FACTOR && !(contract->can & POOLMARK_CAN_GROW))
        return err_set(err, -EINVAL, "%s: %s has a rule of growth, but does not set POOLMARK_CAN_GROW", file,
                       contract->name);
    return 0;
}

static int check_contract(const struct poolmark_strategy_v1 *contract, const char *file, struct err *err)
{
    int code = check_version(contract, file, err);
    if (code == 0)
        code = check_texts(contract, file, err);
    if (code == 0)
        code = check_flags(contract, file, err);
    return code == 0 ? check_functions(contract, file, err) : code;
}

// --- loading -----------------------------------------------------------------------------------------------

static int no_symbol(void *library, const char *path, struct err *err)
{
    for (int version = 2; version <= LATER_VERSIONS; version++) {
        char symbol[32];
        snprintf(symbol, sizeof symbol, "poolmark_strategy_v%d", version);
        if (dlsym(library, symbol))
            return err_set(err, -EINVAL, "%s keeps version %d of the contract; this program knows version %u",
                           path, version, POOLMARK_STRATEGY_ABI);
    }
    return err_set(err, -EINVAL, "%s is no pool strategy: it exports no symbol " SYMBOL " (pool_plugin.h)",
                   path);
}

// Binds all its symbols at once, so that one that is missing is known now. They stay out of the other
// libraries' sight, and the library in the process: threads of it may run until the end.
static int open_library(struct plugin *plugin, const char *path, struct err *err)
{
    void *library = dlopen(plugin->file.path, RTLD_NOW | RTLD_LOCAL | RTLD_NODELETE);
    if (!library) {
        const char *why = dlerror();
        return err_set(err, -EINVAL, "%s cannot be loaded: %s", path,
                       why ? why : "the loader gives no reason");
    }
    int code = plugin_file_check_same(&plugin->file, err);
    if (code < 0)
        return code;
    plugin->contract = dlsym(library, SYMBOL);
    return plugin->contract ? check_contract(plugin->contract, path, err) : no_symbol(library, path, err);
}

static const struct plugin *find_file(const struct plugins *plugins, const struct plugin_file *file)
{
    for (int i = 0; i < plugins->count; i++)
        if (plugins->loaded[i].file.device == file->device && plugins->loaded[i].file.number == file->number)
            return &plugins->loaded[i];
    return NULL;
}

static int check_name(const struct plugins *plugins, const struct plugin *plugin, const char *path,
                      struct err *err)
{
    for (int i = 0; i < plugins->count; i++)
        if (strcmp(plugins->loaded[i].strategy.name, plugin->contract->name) == 0)
            return err_set(err, -EINVAL, "%s: its name is %s, as that of %s, which is loaded already", path,
                           plugin->contract->name, plugins->loaded[i].file.name);
    return 0;
}

int plugins_load(struct plugins *plugins, const char *path, const struct pool_strategy **strategy,
                 struct err *err)
{
    struct plugin_file file;
    int code = plugin_file_check(&file, path, err);
    if (code < 0)
        return code;
    const struct plugin *known = find_file(plugins, &file);
    if (known) {
        *strategy = &known->strategy;
        return 0;
    }
    if (plugins->count == PLUGINS_MAX)
        return err_set(err, -EINVAL, "%s: %d pools are loaded already, and there is no room for more", path,
                       PLUGINS_MAX);
    struct plugin *plugin = &plugins->loaded[plugins->count];
    *plugin = (struct plugin){.file = file};
    code = open_library(plugin, path, err);
    if (code == 0)
        code = check_name(plugins, plugin, path, err);
    if (code < 0)
        return code;
    plugin_adapt(plugin);
    plugins->count++;
    *strategy = &plugin->strategy;
    return 0;
}

json_t *plugin_json(const struct plugin *plugin)
{
    const char *version = plugin->contract->version;
    json_t *file = json_string(plugin->file.name); // NULL: not UTF-8
    return json_pack("{s:s,s:o,s:s,s:o}", "strategy", plugin->strategy.name, "file",
                     file ? file : json_string("not UTF-8"), "sha256", plugin->file.sha256, "version",
                     version ? json_string(version) : json_null());
}
