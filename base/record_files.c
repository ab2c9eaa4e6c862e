// SPDX-License-Identifier: Apache-2.0
#include "base/record_files.h"

#include "base/record_seal.h"

#include <errno.h>
#include <fts.h>
#include <sha256.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static int by_name(const FTSENT **a, const FTSENT **b)
{
    return strcmp((*a)->fts_name, (*b)->fts_name);
}

static bool is_other_record(const FTSENT *folder)
{
    char path[4096];
    snprintf(path, sizeof path, "%s/run.json", folder->fts_accpath);
    return folder->fts_level > 0 && access(path, F_OK) == 0;
}

static bool is_left_out(const char *name, const json_t *left_out)
{
    size_t i;
    json_t *one;
    json_array_foreach(left_out, i, one)
    {
        const char *text = json_string_value(one);
        if (text && strcmp(text, name) == 0)
            return true;
    }
    return false;
}

static bool is_own_run_json(const FTSENT *file)
{
    return file->fts_level == 1 &&
           (strcmp(file->fts_name, "run.json") == 0 || strcmp(file->fts_name, "run.json.new") == 0 ||
            strcmp(file->fts_name, RECORD_SEAL) == 0);
}

static int add(json_t *files, const char *name, const FTSENT *file, struct err *err)
{
    char digest[SHA256_DIGEST_STRING_LENGTH];
    errno = 0;
    if (!SHA256File(file->fts_accpath, digest)) {
        int code = errno ? -errno : -EIO;
        return err_set(err, code, "cannot read %s for its checksum: %s", file->fts_path, strerror(-code));
    }
    json_t *facts = json_pack("{s:s,s:I}", "sha256", digest, "bytes", (json_int_t)file->fts_statp->st_size);
    if (!facts || json_object_set_new(files, name, facts) < 0)
        return err_set(err, -ENOMEM, "cannot list %s: out of memory, or its name is not UTF-8",
                       file->fts_path);
    return 0;
}

int record_files(json_t **files, const char *dir, const json_t *left_out, struct err *err)
{
    char root[4096];
    snprintf(root, sizeof root, "%s", dir);
    char *const roots[] = {root, NULL};
    *files = json_object();
    FTS *walk = *files ? fts_open(roots, FTS_PHYSICAL | FTS_NOCHDIR, by_name) : NULL;
    if (!walk)
        return err_set(err, -ENOMEM, "cannot list the files of %s: out of memory", dir);
    int code = 0;
    size_t root_bytes = strlen(root);
    for (FTSENT *entry = fts_read(walk); entry; entry = fts_read(walk)) {
        int done = 0;
        const char *name = entry->fts_path + root_bytes;
        name += strspn(name, "/");
        if (entry->fts_info == FTS_D && (is_other_record(entry) || is_left_out(name, left_out)))
            fts_set(walk, entry, FTS_SKIP);
        else if (entry->fts_info == FTS_F && !is_own_run_json(entry))
            done = add(*files, name, entry, code == 0 ? err : NULL);
        else if (entry->fts_info == FTS_DNR || entry->fts_info == FTS_ERR || entry->fts_info == FTS_NS)
            done = err_set(code == 0 ? err : NULL, -entry->fts_errno, "cannot read %s: %s", entry->fts_path,
                           strerror(entry->fts_errno));
        code = code < 0 ? code : done;
    }
    fts_close(walk);
    return code;
}
