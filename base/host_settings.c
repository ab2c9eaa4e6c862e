// SPDX-License-Identifier: Apache-2.0
#include "base/host_settings.h"

#include "base/host_files.h"

#include <errno.h>
#include <limits.h>
#include <sched.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/personality.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <unistd.h>

#define CPUFREQ "/sys/devices/system/cpu/cpufreq"

struct setting {
    const char *name;
    json_t *(*read)(const char *root, const struct setting *setting);
    const char *path;
    int numbers; // of the file
};

static json_t *of_line(const char *root, const struct setting *setting)
{
    return host_file_line(root, setting->path);
}

static json_t *of_numbers(const char *root, const struct setting *setting)
{
    return host_file_numbers(root, setting->path, setting->numbers);
}

static json_t *of_choice(const char *root, const struct setting *setting)
{
    return host_file_chosen(root, setting->path);
}

static json_t *of_processors(const char *root, const struct setting *setting)
{
    return host_files_lines(root, CPUFREQ, "policy", setting->path);
}

static bool is_there(const char *root, const char *path)
{
    char whole[PATH_MAX];
    snprintf(whole, sizeof whole, "%s%s", root, path);
    return access(whole, F_OK) == 0;
}

// prctl(PR_SET_THP_DISABLE), which a service manager may have done for all its processes.
static json_t *of_own_pages(const char *root, const struct setting *setting)
{
    (void)root;
    (void)setting;
    int disabled = prctl(PR_GET_THP_DISABLE, 0, 0, 0, 0);
    return disabled < 0 ? json_null() : json_string(disabled ? "off" : "as the host");
}

static json_t *of_nice(const char *root, const struct setting *setting)
{
    (void)root;
    (void)setting;
    errno = 0;
    int nice = getpriority(PRIO_PROCESS, 0);
    return errno == 0 ? json_integer(nice) : json_null();
}

const char *host_scheduling(pid_t pid)
{
    static const char *const names[] = {
        [SCHED_OTHER] = "other", [SCHED_FIFO] = "fifo", [SCHED_RR] = "rr",
        [SCHED_BATCH] = "batch", [SCHED_IDLE] = "idle", [SCHED_DEADLINE] = "deadline"};
    int policy = sched_getscheduler(pid);
    policy = policy >= 0 ? policy & ~SCHED_RESET_ON_FORK : policy;
    return policy >= 0 && (size_t)policy < sizeof names / sizeof *names ? names[policy] : NULL;
}

static json_t *of_scheduling(const char *root, const struct setting *setting)
{
    (void)root;
    (void)setting;
    const char *name = host_scheduling(0);
    return name ? json_string(name) : json_null();
}

// Off by `setarch -R`, a debugger, or for the whole host. The words are those of the kernel's documentation.
static json_t *of_addresses(const char *root, const struct setting *setting)
{
    static const char *const words[] = {"off", "conservative", "full"};
    int persona = personality(0xffffffff);
    if (persona >= 0 && persona & ADDR_NO_RANDOMIZE) {
        return json_string(words[0]);
    }
    json_t *number = host_file_numbers(root, setting->path, 1);
    json_int_t level = json_is_integer(number) ? json_integer_value(number) : -1;
    json_decref(number);
    return level >= 0 && level < 3 ? json_string(words[level]) : json_null();
}

// Intel's driver says it the other way round from all others.
static json_t *of_turbo(const char *root, const struct setting *setting)
{
    json_t *off = host_file_numbers(root, "/sys/devices/system/cpu/intel_pstate/no_turbo", 1);
    json_t *on = host_file_numbers(root, setting->path, 1);
    bool is_off = json_is_integer(off) ? json_integer_value(off) != 0 : json_integer_value(on) == 0;
    json_t *value =
        json_is_integer(off) || json_is_integer(on) ? json_string(is_off ? "off" : "on") : json_null();
    json_decref(off);
    json_decref(on);
    return value;
}

// Loaded, it may look at each packet, those of the loopback too.
static json_t *of_tracking(const char *root, const struct setting *setting)
{
    bool loaded = is_there(root, setting->path) || is_there(root, "/sys/module/nf_conntrack");
    return loaded || is_there(root, "/sys/module") ? json_string(loaded ? "loaded" : "not loaded")
                                                   : json_null();
}

static const struct setting settings[] = {
    {"thp_defrag", of_choice, "/sys/kernel/mm/transparent_hugepage/defrag", 0},
    {"thp_of_process", of_own_pages, NULL, 0},
    {"overcommit_memory", of_numbers, "/proc/sys/vm/overcommit_memory", 1},
    {"numa_balancing", of_numbers, "/proc/sys/kernel/numa_balancing", 1},
    {"address_randomisation", of_addresses, "/proc/sys/kernel/randomize_va_space", 0},
    {"nice", of_nice, NULL, 0},
    {"scheduling", of_scheduling, NULL, 0},
    {"smt", of_line, "/sys/devices/system/cpu/smt/control", 0},
    {"turbo", of_turbo, CPUFREQ "/boost", 0},
    {"energy_preference", of_processors, "energy_performance_preference", 0},
    {"netdev_max_backlog", of_numbers, "/proc/sys/net/core/netdev_max_backlog", 1},
    {"tcp_rmem", of_numbers, "/proc/sys/net/ipv4/tcp_rmem", 3},
    {"tcp_wmem", of_numbers, "/proc/sys/net/ipv4/tcp_wmem", 3},
    {"tcp_syncookies", of_numbers, "/proc/sys/net/ipv4/tcp_syncookies", 1},
    {"tcp_max_syn_backlog", of_numbers, "/proc/sys/net/ipv4/tcp_max_syn_backlog", 1},
    {"tcp_congestion_control", of_line, "/proc/sys/net/ipv4/tcp_congestion_control", 0},
    {"conntrack", of_tracking, "/proc/sys/net/netfilter/nf_conntrack_max", 0},
};

json_t *host_settings(const char *root)
{
    json_t *all = json_object();
    for (size_t i = 0; i < sizeof settings / sizeof *settings; i++) {
        if (json_object_set_new(all, settings[i].name, settings[i].read(root, &settings[i])) < 0) {
            json_decref(all);
            return NULL;
        }
    }
    return all;
}

json_t *host_governor(const char *root)
{
    json_t *all = host_files_lines(root, CPUFREQ, "policy", "scaling_governor");
    return json_is_null(all) ? host_file_line(root, "/sys/devices/system/cpu/cpu0/cpufreq/scaling_governor")
                             : all;
}

// Whether a fact says nothing of a change: of a host that grows, or of what the program itself has done.
static bool is_exempt(const char *name)
{
    static const char *const exempt[] = {"memory_bytes", "limits.nofile_soft"};
    for (size_t i = 0; i < sizeof exempt / sizeof *exempt; i++) {
        if (strcmp(name, exempt[i]) == 0) {
            return true;
        }
    }
    return strncmp(name, "loaded.", strlen("loaded.")) == 0;
}

// Without a limit of a control group there is null, which is known.
static bool is_known(const char *name, const json_t *value)
{
    return value && (!json_is_null(value) || strncmp(name, "cgroup.", strlen("cgroup.")) == 0);
}

static int add_changes(json_t *changes, const char *within, const json_t *before, const json_t *after)
{
    const char *key;
    json_t *old;
    json_object_foreach((json_t *)before, key, old)
    {
        char name[200];
        snprintf(name, sizeof name, "%s%s", within, key);
        json_t *fresh = json_object_get(after, key);
        if (json_is_object(old) && json_is_object(fresh)) {
            strncat(name, ".", sizeof name - strlen(name) - 1);
            if (add_changes(changes, name, old, fresh) < 0) {
                return -1;
            }
        } else if (is_known(name, old) && is_known(name, fresh) && !is_exempt(name) &&
                   !json_equal(old, fresh) &&
                   json_object_set_new(changes, name, json_pack("[O,O]", old, fresh)) < 0) {
            return -1;
        }
    }
    return 0;
}

json_t *host_changes(const json_t *before, const json_t *after)
{
    json_t *changes = json_object();
    if (!changes || add_changes(changes, "", before, after) < 0) {
        json_decref(changes);
        return NULL;
    }
    return changes;
}
