// SPDX-License-Identifier: Apache-2.0
#include "base/netstat.h"

#include "base/text_file.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { TEXT_SIZE = 16384 };

static const struct {
    const char *name, *file, *group, *kernel_name;
} counts[NETSTAT_COUNT] = {
    [NETSTAT_LISTEN_OVERFLOWS] = {"listen_overflows", "netstat", "TcpExt:", "ListenOverflows"},
    [NETSTAT_LISTEN_DROPS] = {"listen_drops", "netstat", "TcpExt:", "ListenDrops"},
    [NETSTAT_SYN_RETRANSMITS] = {"syn_retransmits", "netstat", "TcpExt:", "TCPSynRetrans"},
    [NETSTAT_TIMEOUTS] = {"tcp_timeouts", "netstat", "TcpExt:", "TCPTimeouts"},
    [NETSTAT_TCP_PRESSURES] = {"tcp_memory_pressures", "netstat", "TcpExt:", "TCPMemoryPressures"},
    [NETSTAT_TCP_MEMORY_ABORTS] = {"tcp_memory_aborts", "netstat", "TcpExt:", "TCPAbortOnMemory"},
    [NETSTAT_PASSIVE_OPENS] = {"passive_opens", "snmp", "Tcp:", "PassiveOpens"},
    [NETSTAT_RETRANSMITS] = {"tcp_retransmits", "snmp", "Tcp:", "RetransSegs"},
};

const char *netstat_name(enum netstat_count what)
{
    return (unsigned)what < NETSTAT_COUNT ? counts[what].name : "unknown";
}

// Steps over one word and the blanks after it.
static const char *next_word(const char *at)
{
    at += strcspn(at, " \n");
    return at + (*at == ' ');
}

int64_t netstat_value(const char *text, const char *group, const char *name)
{
    size_t group_bytes = strlen(group), name_bytes = strlen(name);
    for (const char *line = text; line && *line; line = strchr(line, '\n')) {
        line += *line == '\n';
        if (strncmp(line, group, group_bytes) != 0 || line[group_bytes] != ' ')
            continue;
        const char *values = strchr(line, '\n');
        if (!values || strncmp(values + 1, group, group_bytes) != 0)
            return -1;
        const char *value = next_word(values + 1);
        for (const char *at = next_word(line); *at && *at != '\n';
             at = next_word(at), value = next_word(value))
            if (strcspn(at, " \n") == name_bytes && strncmp(at, name, name_bytes) == 0)
                return strtoll(value, NULL, 10);
        line = values + 1; // the values of this pair
    }
    return -1;
}

void netstat_read(struct netstat *netstat, pid_t pid)
{
    char text[TEXT_SIZE];
    const char *held = "";
    for (int i = 0; i < NETSTAT_COUNT; i++) {
        if (strcmp(held, counts[i].file) != 0) {
            held = counts[i].file;
            char path[64];
            if (pid > 0)
                snprintf(path, sizeof path, "/proc/%d/net/%s", (int)pid, held);
            else
                snprintf(path, sizeof path, "/proc/net/%s", held);
            if (text_file_read(path, text, sizeof text) < 0)
                text[0] = '\0';
        }
        netstat->count[i] = netstat_value(text, counts[i].group, counts[i].kernel_name);
    }
}
