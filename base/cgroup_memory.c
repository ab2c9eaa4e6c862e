// SPDX-License-Identifier: Apache-2.0
#include "base/cgroup_memory.h"

#include "base/cgroup.h"
#include "base/text_file.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { TEXT_SIZE = 4096 };
#define NO_LIMIT (INT64_MAX / 2) // version 1 reports "no limit" as a number near the largest

static bool read_file(const char *folder, const char *name, char text[static TEXT_SIZE])
{
    char path[CGROUP_MEMORY_FOLDER + 64];
    snprintf(path, sizeof path, "%s/%s", folder, name);
    return folder[0] && text_file_read(path, text, TEXT_SIZE) > 0;
}

// The number behind `word` in the file, "" for the first of all; `*value` stays as it is without one.
static void take(int64_t *value, const char *folder, const char *name, const char *word)
{
    char text[TEXT_SIZE];
    int64_t found;
    if (!read_file(folder, name, text))
        return;
    if (!word[0] && text[0] >= '0' && text[0] <= '9')
        *value = strtoll(text, NULL, 10);
    else if (word[0] && text_file_number(text, word, &found) == 0)
        *value = found;
}

const char *cgroup_memory_file(const struct cgroup_memory *memory)
{
    return memory->unified ? "memory.max" : "memory.limit_in_bytes";
}

void cgroup_memory_read(struct cgroup_memory *memory)
{
    // Both are of the group itself, and in version 2 of those below it as well.
    take(&memory->kills, memory->folder, memory->unified ? "memory.events" : "memory.oom_control",
         "oom_kill ");
    if (memory->unified)
        take(&memory->hits, memory->limited, "memory.events", "oom ");
    else
        take(&memory->hits, memory->limited, "memory.failcnt", "");
}

void cgroup_memory_find(struct cgroup_memory *memory, const char *root, pid_t pid)
{
    *memory = (struct cgroup_memory){.limit_bytes = -1, .kills = -1, .hits = -1};
    char above[CGROUP_MEMORY_FOLDER];
    size_t top = cgroup_memory_folder(memory->folder, sizeof memory->folder, &memory->unified, root, pid);
    if (top == 0 || strlen(memory->folder) == sizeof memory->folder - 1) { // none, or a path that was cut off
        memory->folder[0] = '\0';
        return;
    }
    memcpy(above, memory->folder, sizeof above);
    do {
        int64_t limit = -1;
        take(&limit, above, cgroup_memory_file(memory), "");
        if (limit >= 0 && limit < NO_LIMIT && (memory->limit_bytes < 0 || limit < memory->limit_bytes)) {
            memory->limit_bytes = limit;
            memcpy(memory->limited, above, sizeof above);
        }
    } while (cgroup_folder_up(above, top));
    cgroup_memory_read(memory);
}
