// SPDX-License-Identifier: Apache-2.0
#include "loadgen/identity.h"

#include <stdlib.h>
#include <string.h>

const struct identity *identity_plain(void)
{
    static const struct identity plain = {
        .client_id = {.parts = {{.variable = NAME_PREFIX},
                                {.variable = NAME_TEXT, .text = "-", .bytes = 1},
                                {.variable = NAME_NUMBER}},
                      .count = 3},
        .texts_bytes = 64,
        .packet_bytes = 96,
    };
    return &plain;
}

static const struct users_row *row_of(const struct identity *identity, int64_t number)
{
    return identity->users.count > 0 ? &identity->users.rows[number % identity->users.count] : NULL;
}

static struct mqtt_text write_name(const struct name_pattern *pattern, const struct name_values *values,
                                   char **at)
{
    struct mqtt_text text = {.data = *at};
    text.bytes = name_pattern_write(pattern, values, *at);
    *at += text.bytes + 1;
    return text;
}

static void fill_user(const struct identity *identity, struct name_values *values, char **at,
                      struct mqtt_connect *connect)
{
    const struct users_row *row = row_of(identity, values->number);
    if (row) {
        connect->has_user_name = true;
        connect->user_name = (struct mqtt_text){row->user, row->user_bytes};
        connect->has_password = row->has_password;
        connect->password = (struct mqtt_bytes){row->password, row->password_bytes};
    } else if (identity->username.count > 0) {
        connect->has_user_name = true;
        connect->user_name = write_name(&identity->username, values, at);
    }
    values->user = connect->has_user_name ? connect->user_name.data : "";
}

void identity_fill(const struct identity *identity, const char *prefix, int64_t client, char *texts,
                   struct mqtt_connect *connect)
{
    char *at = texts;
    struct name_values values = {
        .prefix = prefix, .number = identity->first + client, .seed = identity->seed};
    *connect = (struct mqtt_connect){0};
    // Either may have the other in it, but not both (identity_options.c).
    bool user_first = name_pattern_has(&identity->client_id, NAME_USER);
    if (user_first)
        fill_user(identity, &values, &at, connect);
    connect->client_id = write_name(&identity->client_id, &values, &at);
    values.client_id = connect->client_id.data;
    if (!user_first)
        fill_user(identity, &values, &at, connect);
    if (connect->has_user_name && !connect->has_password && identity->password) {
        struct mqtt_text password = write_name(&identity->secret, &values, &at);
        connect->has_password = true;
        connect->password = (struct mqtt_bytes){password.data, password.bytes};
    }
    if (identity->will_topic.count == 0)
        return;
    connect->has_will = true;
    connect->will_qos = (uint8_t)identity->will_qos;
    connect->will_retain = identity->will_retain;
    connect->will_topic = write_name(&identity->will_topic, &values, &at);
    struct mqtt_text payload = write_name(&identity->will_payload, &values, &at);
    connect->will_message = (struct mqtt_bytes){payload.data, payload.bytes};
}

const char *identity_topic(const struct identity *identity, const char *prefix, int64_t number,
                           int64_t client, char *to)
{
    const struct name_pattern *topic = &identity->topic;
    struct name_values values = {
        .prefix = prefix, .number = identity->first + number, .seed = identity->seed};
    if (name_pattern_has(topic, NAME_CLIENT_ID) || name_pattern_has(topic, NAME_USER)) {
        struct mqtt_connect connect;
        identity_fill(identity, prefix, client, to + identity->topic_bytes, &connect);
        values.client_id = connect.client_id.data;
        values.user = connect.has_user_name ? connect.user_name.data : "";
    }
    name_pattern_write(topic, &values, to);
    return to;
}

const char *identity_filter(const struct identity *identity, const char *prefix, char *to)
{
    name_pattern_write_filter(&identity->topic, prefix, to);
    return to;
}

void identity_free(struct identity *identity)
{
    if (identity->password)
        explicit_bzero(identity->password, strlen(identity->password));
    free(identity->password);
    identity->password = NULL;
    users_free(&identity->users);
}
