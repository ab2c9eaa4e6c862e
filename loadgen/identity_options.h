// SPDX-License-Identifier: Apache-2.0
// The options of an identity (identity.h): their rows, which are those of every run, their checks, and what the record
// has of them.
#ifndef POOLMARK_LOADGEN_IDENTITY_OPTIONS_H
#define POOLMARK_LOADGEN_IDENTITY_OPTIONS_H

#include "base/opts.h"
#include "loadgen/config.h"

#include <jansson.h>

extern const struct opt identity_options[]; // their offsets are into a struct config

// Do they fit together and with the scenario, whose `check` was called? Reads no file. -EINVAL with the text in `err`.
int identity_check(struct config *config, struct err *err) __attribute__((warn_unused_result));

// Only before a run, after identity_check: reads the file of users, copies the password, and checks lengths and topics
// of all clients. config->identity is to be freed then, also after an error. -EINVAL likewise.
int identity_prepare(struct config *config, struct err *err) __attribute__((warn_unused_result));

// Overwrites each password in the arguments, so that no list of processes and no record has it.
void identity_hide_passwords(int argc, char **argv);

json_t *identity_json(const struct identity *identity);

#endif
