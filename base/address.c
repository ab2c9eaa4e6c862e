// SPDX-License-Identifier: Apache-2.0
#include "base/address.h"

#include "base/units.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netdb.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

// getaddrinfo would read the port 99999 as 34463.
static bool is_port(const char *text)
{
    int64_t port;
    return strspn(text, "0123456789") == strlen(text) && units_parse_count(text, &port) == 0 && port <= 65535;
}

int address_parse(const char *text, struct address *address, struct err *err)
{
    char host[ADDRESS_TEXT_BYTES];
    const char *colon = strrchr(text, ':');
    if (!colon || !colon[1] || (size_t)(colon - text) >= sizeof host)
        return err_set(err, -EINVAL, "\"%s\" is not ADDRESS:PORT, as 127.0.0.1:1883 is", text);
    memcpy(host, text, (size_t)(colon - text));
    host[colon - text] = '\0';
    char *name = host;
    size_t bytes = strlen(name);
    if (bytes >= 2 && name[0] == '[' && name[bytes - 1] == ']') {
        name[bytes - 1] = '\0';
        name++;
    }
    struct addrinfo hints = {.ai_family = AF_UNSPEC,
                             .ai_socktype = SOCK_STREAM,
                             .ai_flags = AI_NUMERICHOST | AI_NUMERICSERV | AI_PASSIVE},
                    *found;
    int code = is_port(colon + 1) ? getaddrinfo(name[0] ? name : "127.0.0.1", colon + 1, &hints, &found)
                                  : EAI_NONAME;
    if (code == EAI_MEMORY || code == EAI_AGAIN || code == EAI_SYSTEM)
        return err_set(err, -ENOMEM, "cannot read the address \"%s\": getaddrinfo: %s", text,
                       gai_strerror(code));
    if (code != 0)
        return err_set(err, -EINVAL,
                       "\"%s\" is not ADDRESS:PORT with a numeric address and a port up to 65535", text);
    memset(address, 0, sizeof *address);
    memcpy(&address->storage, found->ai_addr, found->ai_addrlen);
    address->bytes = found->ai_addrlen;
    freeaddrinfo(found);
    return 0;
}

bool address_is_loopback(const struct address *address)
{
    if (address->storage.ss_family != AF_INET6)
        return ntohl(((const struct sockaddr_in *)&address->storage)->sin_addr.s_addr) >> 24 == 127;
    const struct in6_addr *six = &((const struct sockaddr_in6 *)&address->storage)->sin6_addr;
    return IN6_IS_ADDR_LOOPBACK(six) || (IN6_IS_ADDR_V4MAPPED(six) && six->s6_addr[12] == 127);
}

static uint16_t port_of(const struct address *address)
{
    if (address->storage.ss_family == AF_INET6)
        return ntohs(((const struct sockaddr_in6 *)&address->storage)->sin6_port);
    return ntohs(((const struct sockaddr_in *)&address->storage)->sin_port);
}

int address_is_free(const struct address *address)
{
    int on = 1, fd = socket(address->storage.ss_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return -errno;
    (void)!setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    int code = bind(fd, (const struct sockaddr *)&address->storage, address->bytes) < 0 || listen(fd, 1) < 0
                   ? -errno
                   : 0;
    close(fd);
    return code;
}

char *address_format(const struct address *address, char text[static ADDRESS_TEXT_BYTES])
{
    char host[INET6_ADDRSTRLEN] = "?";
    if (address->storage.ss_family == AF_INET6) {
        inet_ntop(AF_INET6, &((const struct sockaddr_in6 *)&address->storage)->sin6_addr, host, sizeof host);
        snprintf(text, ADDRESS_TEXT_BYTES, "[%s]:%u", host, port_of(address));
    } else {
        inet_ntop(AF_INET, &((const struct sockaddr_in *)&address->storage)->sin_addr, host, sizeof host);
        snprintf(text, ADDRESS_TEXT_BYTES, "%s:%u", host, port_of(address));
    }
    return text;
}
