// SPDX-License-Identifier: Apache-2.0
#include "loadgen/host_options.h"

#include "base/procmem.h"
#include "base/units.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/random.h>
#include <unistd.h>

// A thread has figures in /proc as well, those of its process: memory and CPU time would count twice.
static int is_process(int64_t pid, struct err *err)
{
    int64_t of = procmem_process_of((pid_t)pid);
    if (of > 0 && of != pid)
        return err_set(err, -EINVAL, "--watch-pid %lld: is a thread of process %lld, not a process",
                       (long long)pid, (long long)of);
    if (of == -ESRCH && (kill((pid_t)pid, 0) == 0 || errno == EPERM))
        return err_set(err, -EINVAL,
                       "--watch-pid %lld: /proc hides this process from you (hidepid, proc(5)): run the "
                       "generator as root, or in the group that /proc is mounted with (gid=)",
                       (long long)pid);
    if (of == -ESRCH)
        return err_set(err, -EINVAL, "--watch-pid %lld: there is no such process", (long long)pid);
    return 0;
}

int host_options_watch(struct config *config, struct err *err)
{
    if (config->beside && !config->beside[0])
        return err_set(err, -EINVAL, "--beside: is empty; name what else loads the target");
    for (int i = 0; i < config->watch.count; i++) {
        int64_t pid;
        if (units_parse_count(config->watch.values[i], &pid) < 0 || pid < 1 || pid > 4194304)
            return err_set(err, -EINVAL, "--watch-pid \"%s\" is not the number of a process",
                           config->watch.values[i]);
        int code = is_process(pid, err);
        if (code < 0)
            return code;
        for (int j = 0; j < i; j++)
            if (config->watch_pids[j] == pid)
                return err_set(err, -EINVAL, "--watch-pid %lld: is given twice", (long long)pid);
        config->watch_pids[i] = pid;
    }
    return 0;
}

static const char digits[] = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";

// Several generators may share a broker, from containers where all have the same pid. 64 random bits keep
// their clients apart. With a number of nine digits an identifier has 23 bytes, which every broker accepts
// [MQTT-3.1.3-5].
int host_options_prefix(struct config *config, struct err *err)
{
    if (config->prefix_asked) {
        size_t bytes = strlen(config->prefix_asked);
        if (bytes == 0 || bytes >= sizeof config->prefix || strspn(config->prefix_asked, digits) != bytes)
            return err_set(err, -EINVAL, "--prefix \"%s\" is not 1 to %d letters and digits",
                           config->prefix_asked, (int)sizeof config->prefix - 1);
        memcpy(config->prefix, config->prefix_asked, bytes + 1);
        return 0;
    }
    uint64_t random;
    if (getrandom(&random, sizeof random, 0) != (ssize_t)sizeof random)
        return err_set(err, -EIO, "no random number for client identifiers: %m; give --prefix");
    char *at = config->prefix;
    *at++ = 'p';
    *at++ = 'm';
    for (int i = 0; i < 11; i++, random /= 62) // 62 ^ 11 is above 2 ^ 64
        *at++ = digits[random % 62];
    *at = '\0';
    return 0;
}
