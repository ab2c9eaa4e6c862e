// SPDX-License-Identifier: Apache-2.0
#include "loadgen/identity_options.h"

#include "wire/mqtt_text.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

static const char *const booleans[] = {"true", "false", NULL};

#define AT(field) offsetof(struct config, identity.field)
const struct opt identity_options[] = {
    {NULL, NULL, OPT_HEADING, 0, NULL, 0, 0, NULL, "Who clients are", NULL},
    {"client-id", "PATTERN", OPT_TEXT, AT(client_id_asked), NULL, 0, 0, NULL,
     "client identifiers; otherwise %p-%i. Empty: the target assigns them. In a PATTERN %i is the client's "
     "number, %c "
     "its client identifier, %u its user name, %p the prefix, %rand_N a random number from 1 to N, %% a "
     "percent sign",
     NULL},
    {"start-number", "N", OPT_COUNT, AT(start_number), "0", 0, 1e15, NULL,
     "the number of the first client, topic, and line of --users", NULL},
    {"username", "PATTERN", OPT_TEXT, AT(username_asked), NULL, 0, 0, NULL, "user names", NULL},
    {"password", "PATTERN", OPT_TEXT, AT(password_asked), NULL, 0, 0, NULL,
     "passwords, of lines of --users without one too. The record and the list of processes show * instead; "
     "other users may read it in "
     "the moment before: --users keeps it in a file",
     NULL},
    {"users", "FILE", OPT_TEXT, AT(users_file), NULL, 0, 0, NULL,
     "a CSV file of lines user,password; clients take the lines in turn. The record has its name and how "
     "many "
     "lines",
     NULL},
    {"clean", "true|false", OPT_CHOICE, AT(clean), "true", 0, 0, booleans,
     "the clean session flag; false: the target keeps sessions, beyond the run too", NULL},
    {"topic", "PATTERN", OPT_TEXT, AT(topic_asked), NULL, 0, 0, NULL,
     "topics of messages, where %i is the topic's number and %c, %u are the publisher's; with --subscribe "
     "the topic "
     "of each client. Otherwise poolmark/%p/...",
     NULL},
    {"will-topic", "PATTERN", OPT_TEXT, AT(will_topic_asked), NULL, 0, 0, NULL,
     "each client has a will with this topic", NULL},
    {"will-payload", "PATTERN", OPT_TEXT, AT(will_payload_asked), NULL, 0, 0, NULL,
     "its message; otherwise empty", NULL},
    {"will-qos", "N", OPT_COUNT, AT(will_qos), "0", 0, 2, NULL, "its QoS", NULL},
    {"will-retain", NULL, OPT_FLAG, AT(will_retain), NULL, 0, 0, NULL, "the target is to retain it", NULL},
    {0},
};

// --- checks without files ----------------------------------------------------------------------------------

static int parse(struct name_pattern *pattern, const char *option, const char *text, struct err *err)
{
    *pattern = (struct name_pattern){.count = 0};
    if (!text)
        return 0;
    int code = name_pattern_parse(pattern, text, err);
    return code < 0 ? err_prefix(err, -EINVAL, "--%s \"%s\"", option, text) : 0;
}

static int parse_all(struct identity *identity, struct err *err)
{
    struct {
        const char *option, *text;
        struct name_pattern *pattern;
        bool is_text; // a will's message is any bytes
    } all[] = {{"client-id", identity->client_id_asked, &identity->client_id, true},
               {"username", identity->username_asked, &identity->username, true},
               {"topic", identity->topic_asked, &identity->topic, true},
               {"will-topic", identity->will_topic_asked, &identity->will_topic, true},
               {"will-payload", identity->will_payload_asked, &identity->will_payload, false}};
    for (size_t i = 0; i < sizeof all / sizeof all[0]; i++) {
        if (all[i].text && all[i].is_text && mqtt_text_check(mqtt_text_of(all[i].text)) != MQTT_OK)
            return err_set(err, -EINVAL, "--%s is not UTF-8 [%s]", all[i].option,
                           mqtt_error_statement(MQTT_BAD_UTF8));
        int code = parse(all[i].pattern, all[i].option, all[i].text, err);
        if (code < 0)
            return code;
    }
    if (!identity->client_id_asked)
        identity->client_id = identity_plain()->client_id;
    return 0;
}

static int check_user(const struct identity *identity, struct err *err)
{
    if (identity->username_asked && identity->users_file)
        return err_set(err, -EINVAL, "--username and --users: both say who clients are; give one of them");
    if (identity->username_asked && !*identity->username_asked)
        return err_set(err, -EINVAL, "--username is empty; leave it out for clients without a user name");
    if (identity->password_asked && !identity->username_asked && !identity->users_file)
        return err_set(
            err, -EINVAL,
            "--password: without a user name there is no password [MQTT-3.1.2-22]; give --username");
    // The text is not shown.
    struct name_pattern password;
    if (identity->password_asked && name_pattern_parse(&password, identity->password_asked, NULL) < 0)
        return err_set(
            err, -EINVAL,
            "--password: a percent sign begins a variable (%%i, %%c, %%u, %%p, %%rand_N); %%%% is a "
            "percent sign");
    return 0;
}

static int check_will(const struct identity *identity, struct err *err)
{
    if (identity->will_topic_asked && *identity->will_topic_asked)
        return 0;
    const char *option = identity->will_topic_asked     ? "topic"
                         : identity->will_payload_asked ? "payload"
                         : identity->will_qos > 0       ? "qos"
                         : identity->will_retain        ? "retain"
                                                        : NULL;
    if (!option)
        return 0;
    if (identity->will_topic_asked)
        return err_set(err, -EINVAL, "--will-topic is empty: a topic has at least one character [%s]",
                       mqtt_error_statement(MQTT_BAD_TOPIC_EMPTY));
    return err_set(err, -EINVAL, "--will-%s: there is no will without --will-topic", option);
}

// Two clients with one identifier would end each other's connections [MQTT-3.1.4-2].
static int check_client_id(const struct config *config, struct err *err)
{
    const struct identity *identity = &config->identity;
    const struct name_pattern *id = &identity->client_id;
    bool by_user = name_pattern_has(id, NAME_USER) &&
                   (identity->users_file || name_pattern_has(&identity->username, NAME_NUMBER));
    if (name_pattern_has(id, NAME_CLIENT_ID) || name_pattern_has(&identity->username, NAME_USER) ||
        (name_pattern_has(id, NAME_USER) && name_pattern_has(&identity->username, NAME_CLIENT_ID)))
        return err_set(
            err, -EINVAL,
            "--client-id with %%c, --username with %%u, or each with the other in it: one would be a "
            "part of itself");
    if (id->count == 0 && config->keep_sessions)
        return err_set(err, -EINVAL, "--client-id is empty: such a client takes a clean session [%s]",
                       mqtt_error_statement(MQTT_BAD_CLIENT_ID));
    if (id->count == 0 || config->connections + config->probes < 2)
        return 0;
    if (!name_pattern_has(id, NAME_NUMBER) && !by_user)
        return err_set(
            err, -EINVAL,
            "--client-id \"%s\" is the same for all clients, which would end each other's connections "
            "[MQTT-3.1.4-2]; it takes %%i",
            identity->client_id_asked);
    if (name_pattern_is_ambiguous(id) || (by_user && name_pattern_is_ambiguous(&identity->username)))
        return err_set(
            err, -EINVAL,
            "--client-id \"%s\": two clients may get one identifier where %%i stands beside another "
            "variable; put a sign between them",
            identity->client_id_asked);
    return 0;
}

// A message has to arrive at those subscribers that the scenario counts on.
static int check_topic(const struct config *config, struct err *err)
{
    const struct name_pattern *topic = &config->identity.topic;
    const struct pattern *pattern = &config->pattern;
    const char *text = config->identity.topic_asked;
    bool of_client = name_pattern_has(topic, NAME_CLIENT_ID) || name_pattern_has(topic, NAME_USER);
    bool shared = pattern->kind == PATTERN_FAN_OUT || pattern->kind == PATTERN_TOPICS;
    if (text && !*text)
        return err_set(err, -EINVAL, "--topic is empty: a topic has at least one character [%s]",
                       mqtt_error_statement(MQTT_BAD_TOPIC_EMPTY));
    if (!text || pattern->publishers == 0)
        return 0;
    if (shared && of_client)
        return err_set(
            err, -EINVAL,
            "--topic \"%s\": with the pattern %s publishers share a topic, so it has no %%c and no %%u", text,
            pattern_name(pattern));
    bool differs = name_pattern_has(topic, NAME_NUMBER) ||
                   (name_pattern_has(topic, NAME_CLIENT_ID) && config->identity.client_id.count > 0);
    if (pattern->topics > 1 && pattern->kind != PATTERN_FAN_IN && !differs)
        return err_set(err, -EINVAL, "--topic \"%s\" is the same for all %lld topics; it takes %%i", text,
                       (long long)pattern->topics);
    return 0;
}

int identity_check(struct config *config, struct err *err)
{
    struct identity *identity = &config->identity;
    if (identity->clean && strcmp(identity->clean, "false") == 0)
        config->keep_sessions = true;
    int code = parse_all(identity, err);
    if (code == 0)
        code = check_user(identity, err);
    if (code == 0)
        code = check_will(identity, err);
    if (code == 0)
        code = check_client_id(config, err);
    return code < 0 ? code : check_topic(config, err);
}

// --- with the files ----------------------------------------------------------------------------------------

static int by_text(const void *a, const void *b)
{
    return strcmp(*(const char *const *)a, *(const char *const *)b);
}

// Client identifiers that only differ by the user name: each client needs a user of its own.
static int check_distinct(const struct users *users, int64_t clients, const char *path, struct err *err)
{
    if (users->count < clients)
        return err_set(
            err, -EINVAL,
            "--client-id by %%u: %s has %lld users for %lld clients, and two clients with one identifier "
            "would end each other's connections; it takes %%i too",
            path, (long long)users->count, (long long)clients);
    const char **sorted = calloc((size_t)users->count, sizeof *sorted);
    if (!sorted)
        return err_set(err, -ENOMEM, "out of memory for %lld users", (long long)users->count);
    for (int64_t i = 0; i < users->count; i++)
        sorted[i] = users->rows[i].user;
    qsort(sorted, (size_t)users->count, sizeof *sorted, by_text);
    int code = 0;
    for (int64_t i = 0; i + 1 < users->count && code == 0; i++)
        if (strcmp(sorted[i], sorted[i + 1]) == 0)
            code = err_set(err, -EINVAL,
                           "--client-id by %%u: %s has the user \"%.100s\" twice; it takes %%i too", path,
                           sorted[i]);
    free(sorted);
    return code;
}

static int read_secrets(struct config *config, struct err *err)
{
    struct identity *identity = &config->identity;
    if (identity->password_asked) {
        identity->password = strdup(identity->password_asked);
        if (!identity->password)
            return err_set(err, -ENOMEM, "out of memory");
        (void)!name_pattern_parse(&identity->secret, identity->password, NULL); // checked already
    }
    if (!identity->users_file)
        return 0;
    if (users_read(&identity->users, identity->users_file, err) < 0)
        return err_prefix(err, -EINVAL, "--users");
    bool by_user = name_pattern_has(&identity->client_id, NAME_USER) &&
                   !name_pattern_has(&identity->client_id, NAME_NUMBER);
    int64_t clients = config->connections + config->probes;
    return by_user && clients > 1 ? check_distinct(&identity->users, clients, identity->users_file, err) : 0;
}

static int check_length(const char *what, size_t bytes, struct err *err)
{
    if (bytes <= MQTT_TEXT_MAX)
        return 0;
    return err_set(err, -EINVAL, "--%s: up to %zu bytes; a field of MQTT has at most 65 535 (section 1.5.3)",
                   what, bytes);
}

static int measure(struct identity *identity, struct err *err)
{
    size_t prefix = IDENTITY_PREFIX_BYTES;
    bool user_first = name_pattern_has(&identity->client_id, NAME_USER);
    size_t user = identity->users.user_most;
    if (user_first && user == 0)
        user = name_pattern_bytes(&identity->username, 0, 0, prefix);
    size_t id = name_pattern_bytes(&identity->client_id, 0, user, prefix);
    if (!user_first && user == 0)
        user = name_pattern_bytes(&identity->username, id, 0, prefix);
    size_t will = name_pattern_bytes(&identity->will_topic, id, user, prefix);
    size_t message = name_pattern_bytes(&identity->will_payload, id, user, prefix);
    size_t topic = name_pattern_bytes(&identity->topic, id, user, prefix);
    size_t password = name_pattern_bytes(&identity->secret, id, user, prefix);
    if (identity->users.password_most > password)
        password = identity->users.password_most;
    const struct {
        const char *option;
        size_t bytes;
    } fields[] = {{"client-id", id},    {"username", user},        {"password", password},
                  {"will-topic", will}, {"will-payload", message}, {"topic", topic}};
    for (size_t i = 0; i < sizeof fields / sizeof fields[0]; i++) {
        int code = check_length(fields[i].option, fields[i].bytes, err);
        if (code < 0)
            return code;
    }
    identity->texts_bytes = id + user + password + will + message + 5;
    identity->packet_bytes = MQTT_HEADER_MAX + 10 + 5 * 2 + id + user + password + will + message;
    identity->topic_bytes = identity->topic.count > 0 ? topic + 2 : 0;
    return 0;
}

static int refuse(const char *option, const char *text, enum mqtt_error error, struct err *err)
{
    return err_set(err, -EINVAL, "--%s: \"%.200s\": %s [%s]", option, text, mqtt_error_text(error),
                   mqtt_error_statement(error));
}

// Checks the topics of one client. Numbers are digits, so only user names make a difference.
static int check_topics_of(const struct config *config, int64_t client, char *room, struct err *err)
{
    const struct identity *identity = &config->identity;
    if (identity->topic_asked) {
        const char *text = identity_topic(identity, config->prefix, client, client, room);
        enum mqtt_error error = config->pattern.publishers > 0 ? mqtt_topic_name_check(mqtt_text_of(text))
                                                               : mqtt_topic_filter_check(mqtt_text_of(text));
        if (error != MQTT_OK)
            return refuse("topic", text, error, err);
    }
    struct mqtt_connect connect;
    identity_fill(identity, config->prefix, client, room, &connect);
    enum mqtt_error error = connect.has_will ? mqtt_topic_name_check(connect.will_topic) : MQTT_OK;
    return error == MQTT_OK ? 0 : refuse("will-topic", connect.will_topic.data, error, err);
}

static int check_topics(const struct config *config, struct err *err)
{
    const struct identity *identity = &config->identity;
    int64_t clients = identity->users.count > 0 ? identity->users.count : 1;
    char *room = malloc(identity->topic_bytes + identity->texts_bytes + 2);
    if (!room)
        return err_set(err, -ENOMEM, "out of memory");
    int code = 0;
    for (int64_t i = 0; i < clients && code == 0; i++)
        code = check_topics_of(config, i, room, err);
    free(room);
    return code;
}

int identity_prepare(struct config *config, struct err *err)
{
    struct identity *identity = &config->identity;
    identity->seed = (uint64_t)config->seed;
    identity->first = identity->start_number;
    int code = read_secrets(config, err);
    if (code == 0)
        code = measure(identity, err);
    return code < 0 ? code : check_topics(config, err);
}

// --- passwords and the record ------------------------------------------------------------------------------

static void hide(char *text)
{
    size_t bytes = strlen(text);
    if (bytes == 0)
        return;
    explicit_bzero(text, bytes);
    text[0] = '*';
}

void identity_hide_passwords(int argc, char **argv)
{
    static const char option[] = "--password";
    for (int i = 1; i < argc; i++) {
        if (strncmp(argv[i], option, sizeof option - 1) != 0)
            continue;
        if (argv[i][sizeof option - 1] == '=')
            hide(argv[i] + sizeof option);
        else if (argv[i][sizeof option - 1] == '\0' && i + 1 < argc)
            hide(argv[++i]);
    }
}

static json_t *users_json(const struct identity *identity)
{
    if (!identity->users_file)
        return json_null();
    const char *slash = strrchr(identity->users_file, '/');
    return json_pack("{s:s,s:I,s:I}", "file", slash ? slash + 1 : identity->users_file, "count",
                     (json_int_t)identity->users.count, "with_password",
                     (json_int_t)identity->users.with_password);
}

static json_t *will_json(const struct identity *identity)
{
    if (!identity->will_topic_asked)
        return json_null();
    return json_pack("{s:s,s:I,s:I,s:b}", "topic", identity->will_topic_asked, "payload_bytes",
                     (json_int_t)(identity->will_payload_asked ? strlen(identity->will_payload_asked) : 0),
                     "qos", (json_int_t)identity->will_qos, "retain", (int)identity->will_retain);
}

json_t *identity_json(const struct identity *identity)
{
    return json_pack("{s:s?,s:I,s:s?,s:s?,s:o,s:s?,s:o}", "client_id", identity->client_id_asked,
                     "start_number", (json_int_t)identity->start_number, "username", identity->username_asked,
                     "password", identity->password_asked ? "given, and not recorded" : NULL, "users",
                     users_json(identity), "topic", identity->topic_asked, "will", will_json(identity));
}
