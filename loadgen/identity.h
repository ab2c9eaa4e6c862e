// SPDX-License-Identifier: Apache-2.0
// Who the clients are: client identifier, user name, password and will of each, and the topics that a run was given.
// The options are patterns (name_pattern.h), or lines of a file (users.h) that clients take in turn.
//
// Everything is a function of the identity and a number, so every worker computes the same. An identity is prepared
// before the workers are forked and only read afterwards, so any thread may use it. A password is in no record, no
// message and, once the command line was read, no longer in the arguments of the process.
//
//     char *texts = malloc(identity->texts_bytes);
//     struct mqtt_connect connect;
//     identity_fill(identity, "pm", 7, texts, &connect);   // connect.client_id is "pm-7"
#ifndef POOLMARK_LOADGEN_IDENTITY_H
#define POOLMARK_LOADGEN_IDENTITY_H

#include "loadgen/name_pattern.h"
#include "loadgen/users.h"
#include "wire/mqtt_connect.h"

enum { IDENTITY_PREFIX_BYTES = 24 }; // at least those of any prefix of a run

struct identity {
    // The options, as they were given; NULL: not given (identity_options.h).
    const char *client_id_asked, *username_asked, *topic_asked, *will_topic_asked, *will_payload_asked;
    const char *password_asked, *users_file, *clean;
    int64_t will_qos, start_number;
    bool will_retain;

    // By identity_prepare.
    struct name_pattern client_id, username, topic, will_topic, will_payload;
    char *password;             // a copy; NULL: none
    struct name_pattern secret; // its parts point into that
    struct users users;         // count 0: no file
    uint64_t seed;
    int64_t first;       // client 0 has this number
    size_t texts_bytes;  // what identity_fill needs
    size_t packet_bytes; // the longest CONNECT
    size_t topic_bytes;  // the longest topic with its NUL; 0: none was given
};

// Clients PREFIX-NUMBER without a user or a will.
const struct identity *identity_plain(void);

// Fills all but keep_alive_s and clean_session of the client's CONNECT. Texts end with a NUL. They are in `texts`, of
// identity->texts_bytes, or in the identity.
void identity_fill(const struct identity *identity, const char *prefix, int64_t client, char *texts,
                   struct mqtt_connect *connect);

// The topic that was given, for topic `number` and the client whose %c and %u it may have. Needs one, and
// topic_bytes + texts_bytes at `to`. Returns `to`.
const char *identity_topic(const struct identity *identity, const char *prefix, int64_t number,
                           int64_t client, char *to);
// A filter for all of these topics.
const char *identity_filter(const struct identity *identity, const char *prefix, char *to);

void identity_free(struct identity *identity); // a zeroed one too; overwrites the passwords

#endif
