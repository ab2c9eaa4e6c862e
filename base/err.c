// SPDX-License-Identifier: Apache-2.0
#include "base/err.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

int err_set(struct err *err, int code, const char *format, ...)
{
    if (err) {
        // Written to a copy first: an argument may be err->text itself.
        char text[sizeof err->text];
        va_list args;
        va_start(args, format);
        vsnprintf(text, sizeof text, format, args);
        va_end(args);
        memcpy(err->text, text, strlen(text) + 1);
    }
    return code;
}

// Cuts a text that does not fit.
static void append(char *to, size_t size, const char *text)
{
    size_t used = strlen(to);
    size_t more = strnlen(text, size - used - 1);
    memcpy(to + used, text, more);
    to[used + more] = '\0';
}

int err_prefix(struct err *err, int code, const char *format, ...)
{
    if (err) {
        char text[sizeof err->text];
        va_list args;
        va_start(args, format);
        vsnprintf(text, sizeof text, format, args);
        va_end(args);
        append(text, sizeof text, ": ");
        append(text, sizeof text, err->text);
        memcpy(err->text, text, strlen(text) + 1);
    }
    return code;
}
