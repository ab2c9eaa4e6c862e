// SPDX-License-Identifier: Apache-2.0
#include "base/clock.h"
#include "base/procmem.h"
#include "base/units.h"
#include "bench/bare/state.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

static const char header[] = "at_ns,phase,sent,received,client_cpu_ns,target_cpu_ns";

// 0 when there is no folder.
static int open_files(struct bare_files *files, const char *folder, struct err *err)
{
    char path[PATH_MAX];
    if (!folder)
        return 0;
    if (mkdir(folder, 0777) < 0 && errno != EEXIST)
        return err_set(err, -errno, "--record %s: cannot be made: %s", folder, strerror(errno));
    if ((size_t)snprintf(path, sizeof path, "%s/latency.hlog", folder) >= sizeof path)
        return err_set(err, -ENAMETOOLONG, "--record %s: the name is too long", folder);
    int code = hist_log_open(&files->log, path, clock_wall_ns(), err);
    if (code < 0)
        return code;
    snprintf(path, sizeof path, "%s/bare.csv", folder);
    return csv_open(&files->csv, path, header, err);
}

int bare_files_open(struct bare *bare, struct err *err)
{
    struct bare_files *files = &bare->files;
    size_t bytes = hist_bytes();
    files->memory = aligned_alloc(64, 2 * bytes);
    if (!files->memory)
        return err_set(err, -ENOMEM, "no memory for the histograms");
    memset(files->memory, 0, 2 * bytes);
    files->delivery = hist_init(files->memory);
    files->lag = hist_init((char *)files->memory + bytes);
    return open_files(files, bare->config->record, err);
}

static void keep_first(int *code, int next)
{
    if (*code == 0)
        *code = next;
}

int bare_files_close(struct bare *bare, struct err *err)
{
    struct bare_files *files = &bare->files;
    int code = 0;
    if (files->log) {
        int64_t now_ns = clock_wall_ns();
        if (hist_count(files->delivery) > 0)
            keep_first(&code,
                       hist_log_write(files->log, "delivery", files->from_wall_ns, now_ns, files->delivery));
        if (hist_count(files->lag) > 0)
            keep_first(&code, hist_log_write(files->log, "lag", files->from_wall_ns, now_ns, files->lag));
        keep_first(&code, hist_log_close(files->log, NULL));
    }
    keep_first(&code, csv_close(files->csv));
    free(files->memory);
    *files = (struct bare_files){.csv = NULL};
    return code < 0 ? err_set(err, code, "--record: a line is lost: %s", strerror(-code)) : 0;
}

// CPU time of all watched processes; -1 when one cannot be read, or there is none.
static int64_t target_cpu_ns(const struct opt_list *pids)
{
    int64_t total = pids->count > 0 ? 0 : -1;
    for (int i = 0; i < pids->count && total >= 0; i++) {
        int64_t pid;
        struct procmem mem;
        if (units_parse_count(pids->values[i], &pid) < 0 || procmem_read_quick((pid_t)pid, &mem) < 0)
            total = -1;
        else
            total += mem.cpu_ns;
    }
    return total;
}

void bare_files_row(struct bare *bare, const char *phase, int64_t at_ns)
{
    if (!bare->files.csv)
        return;
    int64_t target_ns = target_cpu_ns(&bare->config->watch_pids);
    char text[24] = "";
    if (target_ns >= 0)
        snprintf(text, sizeof text, "%lld", (long long)target_ns);
    csv_row(bare->files.csv, "%lld,%s,%lld,%lld,%lld,%s", (long long)at_ns, phase, (long long)bare->sent,
            (long long)bare->received, (long long)clock_cpu_ns(), text);
}
