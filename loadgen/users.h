// SPDX-License-Identifier: Apache-2.0
// User names and passwords from a CSV file (RFC 4180): a line for each, `user,password`. A line without a comma is a
// user without a password. A first line `username,password` or `user,password` is a heading. Empty lines are skipped.
// Messages name the file and the line, never what stands there. Read before the workers are forked: they share it.
//
//     struct users users;
//     if (users_read(&users, "users.csv", &err) == 0)
//         connect_as(&users.rows[client % users.count]);
//     users_free(&users);
#ifndef POOLMARK_LOADGEN_USERS_H
#define POOLMARK_LOADGEN_USERS_H

#include "base/err.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct users_row {
    const char *user; // NUL-terminated, valid UTF-8
    const char *password;
    uint32_t user_bytes, password_bytes; // each at most 65 535
    bool has_password;
};

struct users {
    char *text; // the file; the rows point into it
    struct users_row *rows;
    int64_t count; // 1 and up
    int64_t with_password;
    size_t user_most, password_most; // bytes of the longest
};

// -EINVAL with the text in `err`. `users` is then as if freed.
int users_read(struct users *users, const char *path, struct err *err) __attribute__((warn_unused_result));
void users_free(struct users *users); // a zeroed one too; overwrites the passwords

#endif
