// SPDX-License-Identifier: Apache-2.0
#include "loadgen/scenarios/record_of.h"

#include <dirent.h>
#include <jansson.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

// Of "127.0.0.1:1883"; 0: none.
static long port_of(const json_t *address)
{
    const char *text = json_string_value(address), *colon = text ? strrchr(text, ':') : NULL;
    return colon ? strtol(colon + 1, NULL, 10) : 0;
}

static bool is_port_of_target(const struct run *run, long port)
{
    for (int i = 0; i < run->plan.target_count; i++) // it has the same place in both families
        if (ntohs(((const struct sockaddr_in *)&run->plan.targets[i].address)->sin_port) == port)
            return true;
    return false;
}

static bool listens_for_target(const struct run *run, const char *dir)
{
    char path[4096];
    size_t i;
    json_t *one;
    snprintf(path, sizeof path, "%s/run.json", dir);
    json_t *record = json_load_file(path, 0, NULL);
    json_t *list = json_object_get(json_object_get(record, "config"), "listen");
    bool found = json_array_size(list) == 0;
    json_array_foreach(list, i, one)
    {
        found = found || is_port_of_target(run, port_of(one));
    }
    json_decref(record);
    return found;
}

// Also from another mount namespace: it is the same file.
static bool has_open(int64_t pid, const struct stat *file)
{
    char path[64 + 256];
    snprintf(path, sizeof path, "/proc/%lld/fd", (long long)pid);
    DIR *folder = opendir(path);
    bool found = false;
    for (struct dirent *entry; folder && !found && (entry = readdir(folder));) {
        struct stat other;
        snprintf(path, sizeof path, "/proc/%lld/fd/%s", (long long)pid, entry->d_name);
        found = stat(path, &other) == 0 && other.st_ino == file->st_ino && other.st_dev == file->st_dev;
    }
    if (folder)
        closedir(folder);
    return found;
}

static bool is_written_by_target(const struct run *run, const char *dir)
{
    char path[4096];
    struct stat file;
    snprintf(path, sizeof path, "%s/pools.csv", dir);
    if (stat(path, &file) < 0)
        return false;
    for (int i = 0; i < run->config->watch.count; i++)
        if (has_open(run->config->watch_pids[i], &file))
            return true;
    return false;
}

bool record_of_target(struct run *run, const struct opt_list *folders)
{
    for (int i = 0; i < folders->count; i++) {
        const char *dir = folders->values[i], *name = strrchr(dir, '/');
        if (listens_for_target(run, dir) || is_written_by_target(run, dir))
            continue;
        run_anomaly(run, "not_its_record",
                    "--watch-record %s: its broker listens at no port of a target, and no watched process "
                    "writes it: it "
                    "is another broker's, and nothing of it is used",
                    name ? name + 1 : dir);
        return false;
    }
    return true;
}
