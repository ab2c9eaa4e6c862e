// SPDX-License-Identifier: Apache-2.0
// A loaded allocator library does not have to serve malloc. The allocator in use is the one whose own symbol
// is in the same object as `malloc`. A sanitizer's allocator has none of these symbols, so it is "unknown".
#include "base/heap.h"

#include <dlfcn.h>
#include <gnu/libc-version.h>
#include <malloc.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

// dlsym returns a data pointer. ISO C has no cast from it to a function pointer; POSIX guarantees that the
// bytes are the same.
static void look_up(const char *symbol, void *function, size_t size)
{
    void *found = dlsym(RTLD_DEFAULT, symbol);
    memcpy(function, &found, size);
}
#define LOOK_UP(function, symbol) look_up(symbol, &(function), sizeof(function))

struct allocator {
    const char *name;
    const char *symbol; // one that only this allocator has
    void (*version)(char *text, size_t size);
    struct heap_stats (*read)(void);
    void (*trim)(void);
};

static const struct heap_stats UNKNOWN_STATS = {.in_use_bytes = -1, .mapped_bytes = -1, .single_bytes = -1};

static void glibc_version(char *text, size_t size)
{
    snprintf(text, size, "%s", gnu_get_libc_version());
}

// Blocks in a thread's cache count as in use: glibc does not distinguish them. Walks the free lists of each
// arena.
static struct heap_stats glibc_read(void)
{
    struct mallinfo2 info = mallinfo2();
    return (struct heap_stats){.in_use_bytes = (int64_t)(info.uordblks + info.hblkhd),
                               .mapped_bytes = (int64_t)(info.arena + info.hblkhd),
                               .single_bytes = (int64_t)info.hblkhd};
}

static void glibc_trim(void)
{
    malloc_trim(0);
}

void heap_join_at_once(void)
{
    mallopt(M_MXFAST, 0);
}

typedef int numeric_property(const char *property, size_t *value);

static int64_t tcmalloc_property(const char *property)
{
    numeric_property *get;
    LOOK_UP(get, "MallocExtension_GetNumericProperty");
    size_t value;
    return get && get(property, &value) ? (int64_t)value : -1;
}

static void tcmalloc_version(char *text, size_t size)
{
    const char *(*version)(int *major, int *minor, const char **patch);
    LOOK_UP(version, "tc_version");
    int major, minor;
    const char *patch = "";
    if (version) {
        version(&major, &minor, &patch);
        snprintf(text, size, "%d.%d%s", major, minor, patch);
    }
}

static struct heap_stats tcmalloc_read(void)
{
    int64_t heap = tcmalloc_property("generic.heap_size");
    int64_t unmapped = tcmalloc_property("tcmalloc.pageheap_unmapped_bytes");
    return (struct heap_stats){.in_use_bytes = tcmalloc_property("generic.current_allocated_bytes"),
                               .mapped_bytes = heap < 0 || unmapped < 0 ? heap : heap - unmapped,
                               .single_bytes = -1};
}

static void tcmalloc_trim(void)
{
    void (*release)(void);
    LOOK_UP(release, "MallocExtension_ReleaseFreeMemory");
    if (release) {
        release();
    }
}

typedef int mallctl_function(const char *name, void *old_value, size_t *old_size, void *new_value,
                             size_t new_size);

static int64_t jemalloc_size(mallctl_function *control, const char *name)
{
    size_t value, size = sizeof value;
    return control(name, &value, &size, NULL, 0) == 0 ? (int64_t)value : -1;
}

static void jemalloc_version(char *text, size_t size)
{
    mallctl_function *control;
    LOOK_UP(control, "mallctl");
    const char *version;
    size_t length = sizeof version;
    if (control && control("version", &version, &length, NULL, 0) == 0) {
        snprintf(text, size, "%.*s", (int)strcspn(version, "-"), version);
    }
}

static struct heap_stats jemalloc_read(void)
{
    mallctl_function *control;
    LOOK_UP(control, "mallctl");
    // jemalloc reports the figures of the last epoch. Writing any value to "epoch" begins a new one.
    uint64_t epoch = 1;
    if (!control || control("epoch", NULL, NULL, &epoch, sizeof epoch) != 0) {
        return UNKNOWN_STATS;
    }
    return (struct heap_stats){.in_use_bytes = jemalloc_size(control, "stats.allocated"),
                               .mapped_bytes = jemalloc_size(control, "stats.resident"),
                               .single_bytes = -1};
}

static void jemalloc_trim(void)
{
    mallctl_function *control;
    LOOK_UP(control, "mallctl");
    if (control) {
        (void)control("thread.tcache.flush", NULL, NULL, NULL, 0);
        (void)control("arena.4096.purge", NULL, NULL, NULL, 0); // MALLCTL_ARENAS_ALL
    }
}

static void mimalloc_version(char *text, size_t size)
{
    int (*version)(void);
    LOOK_UP(version, "mi_version");
    if (version) {
        int v = version(); // 217 is 2.1.7; a later release has two digits for each part, 20405 for 2.4.5
        if (v >= 10000)
            snprintf(text, size, "%d.%d.%d", v / 10000, v / 100 % 100, v % 100);
        else
            snprintf(text, size, "%d.%d.%d", v / 100, v / 10 % 10, v % 10);
    }
}

typedef void process_info(size_t *elapsed_ms, size_t *user_ms, size_t *system_ms, size_t *current_rss,
                          size_t *peak_rss, size_t *current_commit, size_t *peak_commit, size_t *page_faults);

// Release builds of mimalloc do not count allocated bytes.
static struct heap_stats mimalloc_read(void)
{
    process_info *info;
    LOOK_UP(info, "mi_process_info");
    if (!info) {
        return UNKNOWN_STATS;
    }
    size_t committed = 0;
    info(NULL, NULL, NULL, NULL, NULL, &committed, NULL, NULL);
    return (struct heap_stats){.in_use_bytes = -1, .mapped_bytes = (int64_t)committed, .single_bytes = -1};
}

static void mimalloc_trim(void)
{
    void (*collect)(bool force);
    LOOK_UP(collect, "mi_collect");
    if (collect) {
        collect(true);
    }
}

static const struct allocator allocators[] = {
    {"tcmalloc", "MallocExtension_GetNumericProperty", tcmalloc_version, tcmalloc_read, tcmalloc_trim},
    {"jemalloc", "mallctl", jemalloc_version, jemalloc_read, jemalloc_trim},
    {"mimalloc", "mi_version", mimalloc_version, mimalloc_read, mimalloc_trim},
    {"glibc", "gnu_get_libc_version", glibc_version, glibc_read, glibc_trim},
};

// The address at which the object that has `symbol` was loaded, or NULL.
static const void *object_of(const char *symbol)
{
    void *address = dlsym(RTLD_DEFAULT, symbol);
    Dl_info info;
    return address && dladdr(address, &info) != 0 ? info.dli_fbase : NULL;
}

static const struct allocator *find_allocator(void)
{
    const void *object = object_of("malloc");
    for (size_t i = 0; object && i < sizeof allocators / sizeof allocators[0]; i++) {
        if (object_of(allocators[i].symbol) == object) {
            return &allocators[i];
        }
    }
    return NULL;
}

const char *heap_name(void)
{
    const struct allocator *allocator = find_allocator();
    return allocator ? allocator->name : "unknown";
}

char *heap_version(char *text, size_t size)
{
    if (size > 0) {
        text[0] = '\0';
        const struct allocator *allocator = find_allocator();
        if (allocator) {
            allocator->version(text, size);
        }
    }
    return text;
}

struct heap_stats heap_read(void)
{
    const struct allocator *allocator = find_allocator();
    return allocator ? allocator->read() : UNKNOWN_STATS;
}

void heap_trim(void)
{
    const struct allocator *allocator = find_allocator();
    if (allocator) {
        allocator->trim();
    }
}

int64_t heap_usable_bytes(void *block)
{
    return (int64_t)malloc_usable_size(block); // each allocator here, and each sanitizer, brings its own
}

extern char **environ;

static bool is_of_allocator(const char *variable)
{
    static const char *const beginnings[] = {
        "GLIBC_TUNABLES", "MALLOC_",    "_RJEM_MALLOC_CONF", "JE_MALLOC_CONF", "JEMALLOC_",
        "TCMALLOC_",      "MIMALLOC_",  "HEAPPROFILE",       "HEAP_PROFILE_",  "HEAPCHECK",
        "HEAP_CHECK_",    "PERFTOOLS_", "SCUDO_OPTIONS",     "SNMALLOC_"};
    const char *value = strchr(variable, '=');
    for (size_t i = 0; i < sizeof beginnings / sizeof beginnings[0]; i++) {
        if (strncasecmp(variable, beginnings[i], strlen(beginnings[i])) == 0)
            return value && value[1];
    }
    return false;
}

static int by_text(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

char *heap_settings(char *text, size_t size)
{
    char *found[32] = {NULL};
    size_t count = 0, used = 0;
    if (size > 0)
        text[0] = '\0';
    for (char **variable = environ; *variable && count < sizeof found / sizeof found[0]; variable++) {
        if (is_of_allocator(*variable))
            found[count++] = *variable;
    }
    qsort(found, count, sizeof found[0], by_text);
    for (size_t i = 0; i < count && used + 1 < size; i++)
        used += (size_t)snprintf(text + used, size - used, "%s%s", i ? " " : "", found[i]);
    return text;
}
