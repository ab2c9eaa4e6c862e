// SPDX-License-Identifier: Apache-2.0
// Sizes in smaps are in KiB. A mapping is placed when the next one is known: the free part of an arena follows it as a
// mapping without access, and a guard page comes before its stack.
#include "base/mappings.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <link.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

enum { LINE_BYTES = 8192, KIB = 1024, OBJECTS_MAX = 128, ENTRIES = 512 };
#define ARENA_BYTES ((uintptr_t)64 << 20) // glibc: HEAP_MAX_SIZE, to which arenas are aligned; on 64 bits
#define PAGE_IS_PRESENT (UINT64_C(1) << 63)
#define PAGE_IS_SWAPPED (UINT64_C(1) << 62)
#define PAGE_IS_OURS_ALONE (UINT64_C(1) << 56)

struct mapping {
    uintptr_t from, to;
    char access[5], name[24]; // "rw-p"; empty: anonymous without a name
    unsigned long inode;
    int64_t pss_bytes, anonymous_bytes, huge_bytes, swap_bytes;
};

struct reader {
    struct mappings *found;
    const struct mapping_range *known;
    size_t count;
    struct mapping_range objects[OBJECTS_MAX]; // writable segments of program and libraries
    size_t object_count;
    struct mapping before, now; // `now` is being read
    int pagemap, code;
    uintptr_t page_bytes, stack_bytes; // the default of a thread
};

static uintptr_t round_down(uintptr_t value, uintptr_t multiple)
{
    return value / multiple * multiple;
}

static uintptr_t round_up(uintptr_t value, uintptr_t multiple)
{
    return round_down(value + multiple - 1, multiple);
}

static int note_object(struct dl_phdr_info *info, size_t size, void *context)
{
    struct reader *reader = context;
    (void)size;
    for (int i = 0; i < info->dlpi_phnum; i++) {
        const ElfW(Phdr) *part = &info->dlpi_phdr[i];
        if (part->p_type != PT_LOAD || !(part->p_flags & PF_W) || reader->object_count == OBJECTS_MAX)
            continue;
        uintptr_t from = info->dlpi_addr + part->p_vaddr;
        reader->objects[reader->object_count++] =
            (struct mapping_range){round_down(from, reader->page_bytes),
                                   round_up(from + part->p_memsz, reader->page_bytes), MAPPING_DATA};
    }
    return 0;
}

static int64_t count_ours(const uint64_t *entries, size_t count)
{
    int64_t pages = 0;
    for (size_t i = 0; i < count; i++)
        pages += (entries[i] & PAGE_IS_SWAPPED) ||
                 ((entries[i] & PAGE_IS_PRESENT) && (entries[i] & PAGE_IS_OURS_ALONE));
    return pages;
}

static int64_t owned_bytes(struct reader *reader, uintptr_t from, uintptr_t to)
{
    uint64_t entries[ENTRIES];
    int64_t pages = 0;
    uintptr_t last = to / reader->page_bytes;
    for (uintptr_t page = from / reader->page_bytes; page < last && reader->code == 0;) {
        size_t count = last - page < ENTRIES ? last - page : ENTRIES;
        ssize_t got =
            pread(reader->pagemap, entries, count * sizeof entries[0], (off_t)(page * sizeof entries[0]));
        if (got < (ssize_t)sizeof entries[0]) {
            reader->code = got < 0 ? -errno : -EIO;
            break;
        }
        pages += count_ours(entries, (size_t)got / sizeof entries[0]);
        page += (uintptr_t)got / sizeof entries[0];
    }
    return pages * (int64_t)reader->page_bytes;
}

// Moves what is in `range` from `left`, the bytes of a mapping that are not placed, to a kind.
static void take(struct reader *reader, const struct mapping *one, struct mapping_range range, int64_t *left)
{
    uintptr_t from = range.from > one->from ? range.from : one->from;
    uintptr_t to = range.to < one->to ? range.to : one->to;
    if (from >= to)
        return;
    bool is_whole = from == one->from && to == one->to;
    int64_t bytes = is_whole ? *left : owned_bytes(reader, from, to);
    if (bytes > *left)
        bytes = *left;
    reader->found->pss_bytes[range.kind] += bytes;
    *left -= bytes;
}

static bool is_without_access(const struct mapping *one)
{
    return one->name[0] == '\0' && one->inode == 0 && strncmp(one->access, "---", 3) == 0;
}

static bool starts_known_stack(const struct reader *reader, uintptr_t at)
{
    for (size_t i = 0; i < reader->count; i++)
        if (reader->known[i].kind == MAPPING_STACK && reader->known[i].from <= at && at < reader->known[i].to)
            return true;
    return false;
}

static bool is_above_guard(const struct reader *reader, const struct mapping *one)
{
    const struct mapping *before = &reader->before;
    return is_without_access(before) && before->to == one->from &&
           before->to - before->from == reader->page_bytes && !starts_known_stack(reader, one->from);
}

// An arena begins at a multiple of its size. Its used part is a mapping, its free part the next, without access.
static bool find_arena(const struct mapping *one, const struct mapping *next, struct mapping_range *arena)
{
    uintptr_t start = round_down(one->to - 1, ARENA_BYTES);
    if (!next || !is_without_access(next) || next->from != one->to || start < one->from ||
        next->to < start + ARENA_BYTES)
        return false;
    *arena = (struct mapping_range){start, one->to, MAPPING_HEAP};
    return true;
}

static void place_anonymous(struct reader *reader, const struct mapping *one, const struct mapping *next)
{
    struct mapping_range arena;
    int64_t left = one->pss_bytes;
    bool has_arena = find_arena(one, next, &arena);
    reader->found->arena_count += has_arena;
    if (has_arena)
        reader->found->heap_span_bytes += (int64_t)(arena.to - arena.from);
    if (left == 0)
        return;
    for (size_t i = 0; i < reader->count; i++)
        take(reader, one, reader->known[i], &left);
    for (size_t i = 0; i < reader->object_count; i++)
        take(reader, one, reader->objects[i], &left);
    if (has_arena)
        take(reader, one, arena, &left);
    if (is_above_guard(reader, one))
        take(reader, one, (struct mapping_range){one->from, one->from + reader->stack_bytes, MAPPING_STACK},
             &left);
    reader->found->pss_bytes[MAPPING_OTHER] += left;
}

static void place(struct reader *reader, const struct mapping *next)
{
    struct mapping *one = &reader->now;
    struct mappings *found = reader->found;
    if (one->to == 0)
        return; // before the first
    one->pss_bytes += one->swap_bytes;
    one->anonymous_bytes += one->swap_bytes;
    found->swap_bytes += one->swap_bytes;
    found->whole_bytes += one->pss_bytes;
    found->anonymous_bytes += one->anonymous_bytes;
    found->huge_bytes += one->huge_bytes;
    if (one->inode != 0) {
        int64_t data = one->anonymous_bytes < one->pss_bytes ? one->anonymous_bytes : one->pss_bytes;
        found->pss_bytes[MAPPING_DATA] += data;
        found->pss_bytes[MAPPING_CODE] += one->pss_bytes - data;
    } else if (strcmp(one->name, "[stack]") == 0) {
        found->pss_bytes[MAPPING_STACK] += one->pss_bytes;
    } else if (strcmp(one->name, "[heap]") == 0) {
        found->pss_bytes[MAPPING_HEAP] += one->pss_bytes;
        found->heap_span_bytes += (int64_t)(one->to - one->from);
    } else {
        place_anonymous(reader, one, next);
    }
}

static bool parse_head(const char *line, struct mapping *one)
{
    int name = 0;
    *one = (struct mapping){0};
    if (sscanf(line, "%" SCNxPTR "-%" SCNxPTR " %4s %*s %*s %lu %n", &one->from, &one->to, one->access,
               &one->inode, &name) < 4)
        return false;
    snprintf(one->name, sizeof one->name, "%.*s", (int)strcspn(line + name, "\n"), line + name);
    return true;
}

static void parse_size(const char *line, const char *label, int64_t *bytes)
{
    size_t length = strlen(label);
    int64_t kib;
    if (strncmp(line, label, length) == 0 && sscanf(line + length, "%" SCNd64, &kib) == 1)
        *bytes = kib * KIB;
}

static int read_lines(struct reader *reader, FILE *smaps)
{
    char line[LINE_BYTES];
    while (fgets(line, sizeof line, smaps)) {
        struct mapping next;
        if (parse_head(line, &next)) {
            place(reader, &next);
            reader->before = reader->now;
            reader->now = next;
            continue;
        }
        parse_size(line, "Pss:", &reader->now.pss_bytes);
        parse_size(line, "Anonymous:", &reader->now.anonymous_bytes);
        parse_size(line, "AnonHugePages:", &reader->now.huge_bytes);
        parse_size(line, "SwapPss:", &reader->now.swap_bytes);
    }
    if (ferror(smaps))
        return -EIO;
    place(reader, NULL);
    return reader->code;
}

static uintptr_t default_stack_bytes(void)
{
    pthread_attr_t attributes;
    size_t bytes = 0;
    pthread_attr_init(&attributes);
    pthread_attr_getstacksize(&attributes, &bytes);
    pthread_attr_destroy(&attributes);
    return bytes;
}

int mappings_parse(struct mappings *mappings, FILE *smaps, int pagemap, const struct mapping_range *known,
                   size_t count)
{
    struct mappings found = {0};
    struct reader reader = {.found = &found,
                            .known = known,
                            .count = count,
                            .pagemap = pagemap,
                            .page_bytes = (uintptr_t)sysconf(_SC_PAGESIZE),
                            .stack_bytes = default_stack_bytes()};
    dl_iterate_phdr(note_object, &reader);
    int code = read_lines(&reader, smaps);
    if (code == 0)
        *mappings = found;
    return code;
}

int mappings_read(struct mappings *mappings, const struct mapping_range *known, size_t count)
{
    FILE *smaps = fopen("/proc/self/smaps", "re");
    if (!smaps)
        return -errno;
    int pagemap = open("/proc/self/pagemap", O_RDONLY | O_CLOEXEC);
    if (pagemap < 0) {
        int code = -errno;
        fclose(smaps);
        return code;
    }
    int code = mappings_parse(mappings, smaps, pagemap, known, count);
    close(pagemap);
    fclose(smaps);
    return code;
}
