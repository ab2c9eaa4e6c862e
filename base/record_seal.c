// SPDX-License-Identifier: Apache-2.0
#include "base/record_seal.h"

#include <errno.h>
#include <sha256.h>
#include <stdio.h>
#include <string.h>
#include <sys/types.h>
#include <unistd.h>

static int write_line(const char *path, const char *digest)
{
    FILE *file = fopen(path, "we");
    if (!file)
        return -errno;
    errno = 0;
    int code = fprintf(file, "%s  run.json\n", digest) < 0 ? (errno ? -errno : -EIO) : 0;
    if (fclose(file) != 0 && code == 0)
        code = -errno;
    return code;
}

int record_seal(const char *dir, struct err *err)
{
    char run[4096], path[4096], digest[SHA256_DIGEST_STRING_LENGTH];
    snprintf(run, sizeof run, "%s/run.json", dir);
    snprintf(path, sizeof path, "%s/%s", dir, RECORD_SEAL);
    errno = 0;
    if (!SHA256File(run, digest)) {
        int code = errno ? -errno : -EIO;
        return err_set(err, code, "cannot read %s for its seal: %s", run, strerror(-code));
    }
    int code = write_line(path, digest);
    if (code < 0) {
        unlink(path); // a part of a line would look like an edited record
        return err_set(err, code, "cannot write %s: %s", path, strerror(-code));
    }
    return 0;
}
