// SPDX-License-Identifier: Apache-2.0
// The metrics page of a program: GET /metrics, in the text format of Prometheus (version 0.0.4). libmicrohttpd
// serves it, on a thread of its own.
#ifndef POOLMARK_BASE_HTTP_PAGE_H
#define POOLMARK_BASE_HTTP_PAGE_H

#include "base/address.h"
#include "base/err.h"

#include <stdio.h>

struct http_page;

// Serves what `print` writes to `to`, at `address`. `print` runs on the page's thread, one call at a time. If
// the port is 0, it is set to the port that the kernel chose. 0, or -errno with the text in `err`.
int http_page_open(struct http_page **page, struct address *address, void (*print)(void *context, FILE *to),
                   void *context, struct err *err) __attribute__((warn_unused_result));
// `print` is not called afterwards. NULL is allowed.
void http_page_close(struct http_page *page);

#endif
