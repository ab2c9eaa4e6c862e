// SPDX-License-Identifier: Apache-2.0
#include "loadgen/scenarios/open_suite.h"

#include <errno.h>
#include <inttypes.h>
#include <math.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

enum kind { CONN, FAN_OUT, P2P, FAN_IN };

// Of the suite's README, commit 9a946c8 of 28 April 2023.
static const struct use_case {
    const char *name;
    enum kind kind;
    double publishers, subscribers; // CONN: clients, 0
    double rate_per_s;              // CONN: connects; messages of all publishers
} cases[] = {
    {"conn-tcp-1M-5K", CONN, 1000000, 0, 5000},        {"fanout-5-1000-5-250K", FAN_OUT, 5, 1000, 250},
    {"p2p-50K-50K-50K-50K", P2P, 50000, 50000, 50000}, {"fanin-50K-500-50K-50K", FAN_IN, 50000, 500, 50000},
    {"conn-tcp-10K-100", CONN, 10000, 0, 100},         {"fanout-1-1K-1-1K", FAN_OUT, 1, 1000, 1},
    {"p2p-1K-1K-1K-1K", P2P, 1000, 1000, 1000},        {"fanin-1K-5-1K-1K", FAN_IN, 1000, 5, 1000},
};

__attribute__((format(printf, 2, 3))) static void add(struct open_suite *open, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(open->words[open->count++], OPEN_WORD_BYTES, format, arguments);
    va_end(arguments);
}

static void add_option(struct open_suite *open, const char *option, int64_t value)
{
    add(open, "--%s", option);
    add(open, "%" PRId64, value);
}

static int64_t scaled(double number, double scale)
{
    double share = round(number * scale);
    return share < 1 ? 1 : (int64_t)share;
}

static void open_connections(struct open_suite *open, const struct use_case *one, double scale)
{
    int64_t clients = scaled(one->publishers, scale), rate = scaled(one->rate_per_s, scale);
    add(open, "connect");
    add_option(open, "connections", clients);
    add_option(open, "rate", rate);
    add(open, "--hold");
    add(open, "30m");
    snprintf(open->says, sizeof open->says,
             "%" PRId64 " clients connect at %" PRId64
             " a second, keep alive 300 s, clean session, and stay for 30 minutes (--hold).",
             clients, rate);
}

// Publishers of fan-out stay as many as they are: scaling them too would scale the deliveries twice.
static void open_messages(struct open_suite *open, const struct use_case *one, double scale)
{
    bool fan_out = one->kind == FAN_OUT;
    int64_t publishers = scaled(one->publishers, fan_out ? 1 : scale);
    int64_t subscribers = scaled(one->subscribers, scale);
    int64_t rate = scaled(one->rate_per_s, fan_out ? 1 : scale);
    const char *differs = "";
    add(open, "publish");
    if (one->kind == P2P) {
        add_option(open, "pairs", publishers);
    } else {
        add(open, "--pattern");
        if (fan_out)
            add(open, "fan-out");
        else
            add(open, "topics:%" PRId64, subscribers);
        add_option(open, "publishers", publishers);
        add_option(open, "subscribers", subscribers);
        differs =
            fan_out
                ? " The suite has a topic for each publisher, this run one topic."
                : " The suite has one shared subscription (MQTT 5), this run a topic for each subscriber.";
    }
    add_option(open, "publish-rate", rate);
    add_option(open, "qos", 1);
    add_option(open, "payload", 32);
    add(open, "--duration");
    add(open, "30m");
    snprintf(open->says, sizeof open->says,
             "%" PRId64 " publisher%s, %" PRId64 " subscriber%s, %" PRId64 " messages and %" PRId64
             " deliveries a second, QoS 1, keep alive 300 s, clean session, 30 minutes (--duration). "
             "Messages have 32 "
             "bytes, the "
             "suite's 16: ours carry times and a check value.%s",
             publishers, publishers == 1 ? "" : "s", subscribers, subscribers == 1 ? "" : "s", rate,
             fan_out ? rate * subscribers : rate, differs);
}

int open_suite_find(struct open_suite *open, const char *name, double scale, struct err *err)
{
    *open = (struct open_suite){.count = 0};
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        if (strcmp(cases[i].name, name) != 0)
            continue;
        if (cases[i].kind == CONN)
            open_connections(open, &cases[i], scale);
        else
            open_messages(open, &cases[i], scale);
        add_option(open, "keep-alive", 300);
        add(open, "--engine");
        add(open, "raw");
        return 0;
    }
    bool shared = strncmp(name, "sharedsub-", 10) == 0;
    return err_set(err, -EINVAL,
                   "--open \"%s\" is no scenario of the suite that there is here%s; there are: %s", name,
                   shared ? ", since MQTT 3.1.1 has no shared subscriptions: fanin- has the same load" : "",
                   OPEN_SUITE_NAMES);
}
