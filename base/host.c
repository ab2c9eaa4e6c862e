// SPDX-License-Identifier: Apache-2.0
#include "base/host.h"

#include "base/cgroup.h"
#include "base/heap.h"
#include "base/host_files.h"
#include "base/host_settings.h"
#include "base/text_file.h"

#include <dirent.h>
#include <errno.h>
#include <gnu/libc-version.h>
#include <inttypes.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/utsname.h>
#include <unistd.h>

// Only the first processor of /proc/cpuinfo is read; its flags line alone may have 3 KB.
enum { TEXT_SIZE = 16384, FACT_SIZE = 512 };

static json_t *number_or_null(int64_t number)
{
    return number >= 0 ? json_integer(number) : json_null();
}

// The text after `key` and `separator` on its line, without blanks and the quotes of os-release.
static json_t *value_of(const char *text, const char *key, char separator)
{
    for (const char *line = text; line; line = strchr(line, '\n')) {
        line += *line == '\n';
        if (strncmp(line, key, strlen(key)) != 0) {
            continue;
        }
        const char *at = line + strlen(key);
        at += strspn(at, " \t");
        if (*at != separator) {
            continue;
        }
        at++;
        at += strspn(at, " \t\"");
        size_t length = strcspn(at, "\n\"");
        char value[FACT_SIZE];
        snprintf(value, sizeof value, "%.*s", (int)length, at);
        return host_text(value);
    }
    return json_null();
}

static json_t *os_name(void)
{
    char text[TEXT_SIZE];
    return text_file_read("/etc/os-release", text, sizeof text) < 0 ? json_null()
                                                                    : value_of(text, "PRETTY_NAME", '=');
}

static json_t *kernel_name(void)
{
    struct utsname name;
    char text[sizeof name.sysname + sizeof name.release + sizeof name.machine];
    if (uname(&name) < 0) {
        return json_null();
    }
    snprintf(text, sizeof text, "%s %s %s", name.sysname, name.release, name.machine);
    return host_text(text);
}

int64_t host_cores(void)
{
    cpu_set_t set;
    return sched_getaffinity(0, sizeof set, &set) == 0 ? CPU_COUNT(&set) : sysconf(_SC_NPROCESSORS_ONLN);
}

// An x86 processor of a virtual machine has the flag "hypervisor". Other processors have no such flag.
static json_t *is_virtualised(const char *cpuinfo)
{
    const char *line = strstr(cpuinfo, "\nflags");
    if (!line) {
        return json_null();
    }
    size_t length = strcspn(line + 1, "\n") + 1;
    const char *found = strstr(line, " hypervisor");
    return json_boolean(found && found < line + length);
}

// {"spectre_v2": "Mitigation: ..."}: one line for each vulnerability that the kernel knows.
static json_t *mitigations(void)
{
    static const char folder[] = "/sys/devices/system/cpu/vulnerabilities";
    DIR *entries = opendir(folder);
    if (!entries) {
        return json_null();
    }
    json_t *all = json_object();
    for (struct dirent *entry = readdir(entries); entry; entry = readdir(entries)) {
        char path[sizeof folder + sizeof entry->d_name + 1];
        if (entry->d_name[0] != '.') {
            snprintf(path, sizeof path, "%s/%s", folder, entry->d_name);
            json_object_set_new(all, entry->d_name, host_file_line("", path));
        }
    }
    closedir(entries);
    return all;
}

static int64_t limit_value(rlim_t limit)
{
    return limit == RLIM_INFINITY || limit > (rlim_t)INT64_MAX ? INT64_MAX : (int64_t)limit;
}

static json_t *limits(void)
{
    struct rlimit nofile;
    int known = getrlimit(RLIMIT_NOFILE, &nofile) == 0;
    return json_pack("{s:o,s:o,s:o,s:o,s:o,s:o,s:o,s:o}",                                              //
                     "nofile_soft", number_or_null(known ? limit_value(nofile.rlim_cur) : -1),         //
                     "nofile_hard", number_or_null(known ? limit_value(nofile.rlim_max) : -1),         //
                     "file_max", host_file_numbers("", "/proc/sys/fs/file-max", 1),                    //
                     "nr_open", host_file_numbers("", "/proc/sys/fs/nr_open", 1),                      //
                     "port_range", host_file_numbers("", "/proc/sys/net/ipv4/ip_local_port_range", 2), //
                     "somaxconn", host_file_numbers("", "/proc/sys/net/core/somaxconn", 1),            //
                     "tcp_mem_pages", host_file_numbers("", "/proc/sys/net/ipv4/tcp_mem", 3),          //
                     "max_map_count", host_file_numbers("", "/proc/sys/vm/max_map_count", 1));
}

static json_t *loaded(void)
{
    char version[24], libc[FACT_SIZE], settings[TEXT_SIZE];
    snprintf(libc, sizeof libc, "glibc %s", gnu_get_libc_version());
    // A byte that is not UTF-8 would make the record unreadable.
    json_t *set = json_string(heap_settings(settings, sizeof settings));
    return json_pack("{s:s,s:o,s:o,s:s}", "allocator", heap_name(), "allocator_version",
                     host_text(heap_version(version, sizeof version)), "settings",
                     set ? set : json_string("not UTF-8"), "libc", libc);
}

// The limits of this process by control groups; null: no limit.
static json_t *cgroup_facts(void)
{
    struct cgroup group;
    cgroup_read(&group, "", getpid());
    return json_pack("{s:o,s:o,s:o}", "memory_limit_bytes", number_or_null(group.memory_limit_bytes),
                     "memory_high_bytes", number_or_null(group.memory_high_bytes), "cpu_quota_cores",
                     group.cpu_quota_cores >= 0 ? json_real(group.cpu_quota_cores) : json_null());
}

json_t *host_facts(void)
{
    char cpuinfo[TEXT_SIZE] = "";
    if (text_file_read("/proc/cpuinfo", cpuinfo, sizeof cpuinfo) < 0) {
        cpuinfo[0] = '\0';
    }
    int64_t pages = sysconf(_SC_PHYS_PAGES), page_bytes = sysconf(_SC_PAGESIZE);
    return json_pack("{s:o,s:o,s:o,s:o,s:o,s:o,s:o,s:o,s:o,s:o,s:o,s:o,s:o,s:o}",                //
                     "cores", number_or_null(host_cores()),                                      //
                     "memory_bytes", number_or_null(pages < 0 ? -1 : pages * page_bytes),        //
                     "kernel", kernel_name(),                                                    //
                     "os", os_name(),                                                            //
                     "cpu_model", value_of(cpuinfo, "model name", ':'),                          //
                     "cpu_mitigations", mitigations(),                                           //
                     "governor", host_governor(""),                                              //
                     "thp", host_file_chosen("", "/sys/kernel/mm/transparent_hugepage/enabled"), //
                     "page_bytes", number_or_null(page_bytes),                                   //
                     "virtualised", is_virtualised(cpuinfo),                                     //
                     "cgroup", cgroup_facts(),                                                   //
                     "limits", limits(),                                                         //
                     "settings", host_settings(""),                                              //
                     "loaded", loaded());
}

int host_raise_nofile(int64_t *limit, struct err *err)
{
    struct rlimit nofile;
    if (getrlimit(RLIMIT_NOFILE, &nofile) < 0) {
        return err_set(err, -errno, "cannot read the limit of open files: %s", strerror(errno));
    }
    if (nofile.rlim_cur != nofile.rlim_max) {
        nofile.rlim_cur = nofile.rlim_max;
        if (setrlimit(RLIMIT_NOFILE, &nofile) < 0) {
            return err_set(err, -errno,
                           "cannot raise the limit of open files to its hard limit %" PRId64 ": %s",
                           limit_value(nofile.rlim_max), strerror(errno));
        }
    }
    *limit = limit_value(nofile.rlim_cur);
    return 0;
}
