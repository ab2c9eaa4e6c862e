// SPDX-License-Identifier: Apache-2.0
#include "base/http_page.h"

#include <errno.h>
#include <microhttpd.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>

enum { SCRAPERS_MOST = 8, SCRAPE_TIMEOUT_S = 10 };

struct http_page {
    void (*print)(void *context, FILE *to);
    void *context;
    struct MHD_Daemon *daemon;
};

static enum MHD_Result respond(struct MHD_Connection *client, unsigned status, char *text, size_t bytes,
                               enum MHD_ResponseMemoryMode mode, const char *type)
{
    struct MHD_Response *response = MHD_create_response_from_buffer(bytes, text, mode);
    if (!response)
        return MHD_NO;
    MHD_add_response_header(response, MHD_HTTP_HEADER_CONTENT_TYPE, type);
    enum MHD_Result result = MHD_queue_response(client, status, response);
    MHD_destroy_response(response);
    return result;
}

static enum MHD_Result respond_plainly(struct MHD_Connection *client, unsigned status, const char *text)
{
    return respond(client, status, (char *)(uintptr_t)text, strlen(text), MHD_RESPMEM_PERSISTENT,
                   "text/plain");
}

static enum MHD_Result answer(void *context, struct MHD_Connection *client, const char *url,
                              const char *method, const char *version, const char *upload,
                              size_t *upload_bytes, void **request)
{
    (void)version, (void)upload, (void)upload_bytes, (void)request;
    const struct http_page *served = context;
    if (strcmp(method, MHD_HTTP_METHOD_GET) != 0)
        return respond_plainly(client, MHD_HTTP_METHOD_NOT_ALLOWED, "only GET\n");
    if (strcmp(url, "/metrics") != 0)
        return respond_plainly(client, MHD_HTTP_NOT_FOUND, "the page is /metrics\n");
    char *text = NULL;
    size_t bytes = 0;
    FILE *page = open_memstream(&text, &bytes);
    if (!page)
        return MHD_NO;
    served->print(served->context, page);
    if (fclose(page) != 0) {
        free(text);
        return MHD_NO;
    }
    return respond(client, MHD_HTTP_OK, text, bytes, MHD_RESPMEM_MUST_FREE, "text/plain; version=0.0.4");
}

static void set_port(struct address *address, uint16_t port)
{
    if (address->storage.ss_family == AF_INET6)
        ((struct sockaddr_in6 *)&address->storage)->sin6_port = htons(port);
    else
        ((struct sockaddr_in *)&address->storage)->sin_port = htons(port);
}

int http_page_open(struct http_page **opened, struct address *address, void (*print)(void *context, FILE *to),
                   void *context, struct err *err)
{
    char text[ADDRESS_TEXT_BYTES];
    struct http_page *page = malloc(sizeof *page);
    if (!page)
        return err_set(err, -ENOMEM, "out of memory");
    page->print = print;
    page->context = context;
    // Uses epoll, because select cannot watch descriptors above 1 023. With a thousand clients connected, a
    // scraper gets such a descriptor.
    unsigned flags =
        MHD_USE_EPOLL_INTERNAL_THREAD | (address->storage.ss_family == AF_INET6 ? MHD_USE_IPv6 : 0);
    errno = 0;
    page->daemon = MHD_start_daemon(flags, 0, NULL, NULL, answer, page, MHD_OPTION_SOCK_ADDR,
                                    (struct sockaddr *)&address->storage, MHD_OPTION_CONNECTION_LIMIT,
                                    (unsigned)SCRAPERS_MOST, MHD_OPTION_CONNECTION_TIMEOUT,
                                    (unsigned)SCRAPE_TIMEOUT_S, MHD_OPTION_END);
    if (!page->daemon) {
        int code = errno ? errno : EADDRNOTAVAIL;
        free(page);
        return err_set(err, -code, "cannot serve the metrics page at %s: %s", address_format(address, text),
                       strerror(code));
    }
    const union MHD_DaemonInfo *info = MHD_get_daemon_info(page->daemon, MHD_DAEMON_INFO_BIND_PORT);
    if (info)
        set_port(address, info->port);
    *opened = page;
    return 0;
}

void http_page_close(struct http_page *page)
{
    if (!page)
        return;
    MHD_stop_daemon(page->daemon);
    free(page);
}
