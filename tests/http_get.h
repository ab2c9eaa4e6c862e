// SPDX-License-Identifier: Apache-2.0
// A plain HTTP request of a page on the loopback, for tests of what a program serves.
#ifndef POOLMARK_TESTS_HTTP_GET_H
#define POOLMARK_TESTS_HTTP_GET_H

#include <stdint.h>

// Sends METHOD PATH to 127.0.0.1:PORT and reads until the server closes. Gives the status code; `page` (may
// be NULL) gets the whole answer, headers too, to be freed. Fails the test when there is no answer.
int http_request(const char *method, uint16_t port, const char *path, char **page);

#endif
