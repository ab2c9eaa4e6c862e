// SPDX-License-Identifier: Apache-2.0
// --metrics: the run for Prometheus (base/http_page.h), as of its last moment. Counters are of the whole run,
// quantiles and maxima of its last second. A value that is not known has no series. The page ends with the run.
//
// live_page_show may be called while a scraper is served.
#ifndef POOLMARK_LOADGEN_LIVE_PAGE_H
#define POOLMARK_LOADGEN_LIVE_PAGE_H

#include "base/address.h"
#include "base/err.h"
#include "loadgen/moment.h"

#include <stdio.h>

struct live_page;

// `scenario` and `engine` are static words. If the port of `address` is 0, it is set to the kernel's choice.
// Starts a thread: open it after the workers are forked. 0, or -errno with the text in `err`.
int live_page_open(struct live_page **page, struct address *address, const char *scenario, const char *engine,
                   struct err *err) __attribute__((warn_unused_result));
void live_page_show(struct live_page *page, const struct moment *moment); // NULL is allowed
void live_page_close(struct live_page *page);                             // NULL is allowed

// What the page has for a moment. Any thread.
void live_page_print(const struct moment *moment, const char *scenario, const char *engine, FILE *to);

#endif
