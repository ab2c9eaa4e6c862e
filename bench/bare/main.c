// SPDX-License-Identifier: Apache-2.0
// bare-client: the client that does the least for a message, beside which suite `speed` puts the load generator.
#include "base/build.h"
#include "base/describe.h"
#include "base/host.h"
#include "bench/bare/bare.h"

#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>

static const char program[] = "bare-client";
static const char *const patterns[] = {"pairs", "fan-in", NULL};
static const struct metric nothing[] = {{0}}; // the suite records what it counts, under the generator's names

// Names and defaults are those of poolmark-loadgen publish.
#define AT(field) offsetof(struct bare_config, field)
static const struct opt table[] = {
    {"target", "IPV4:PORT", OPT_TEXT, AT(target), "127.0.0.1:1883", 0, 0, NULL,
     "the broker; mqtt:// may stand before it", NULL},
    {"watch-pid", "PID", OPT_LIST, AT(watch_pids), NULL, 0, 0, NULL,
     "a process of the broker, whose CPU time is read; several times", NULL},
    {"pattern", "P", OPT_CHOICE, AT(pattern_name), "pairs", 0, 0, patterns,
     "pairs, or fan-in: one subscriber takes all by a wildcard", NULL},
    {"pairs", "N", OPT_COUNT, AT(pairs), "0", 0, 9999, NULL, "publisher and subscriber each; 0: 100", NULL},
    {"publishers", "N", OPT_COUNT, AT(publishers), "0", 0, 9999, NULL, "of fan-in; 0: 100", NULL},
    {"qos", "0|1", OPT_COUNT, AT(qos), "0", 0, 1, NULL, "of messages and subscriptions", NULL},
    {"payload", "BYTES", OPT_BYTES, AT(payload_bytes), "64", 32, 32768, NULL, "of a message", NULL},
    {"publish-rate", "N/s", OPT_RATE, AT(rate_per_s), "1000", 0, 1e9, NULL,
     "messages a second, all publishers together, open loop; 0: as fast as they arrive", NULL},
    {"in-flight", "N", OPT_COUNT, AT(in_flight), "0", 0, 60000, NULL,
     "messages of a publisher on their way at most; 0: 100 messages or 64 KiB, at least 10 messages", NULL},
    {"warmup", "D", OPT_DURATION, AT(warmup_ns), "1s", 0, 3600e9, NULL,
     "publish first for so long, unmeasured", NULL},
    {"duration", "D", OPT_DURATION, AT(duration_ns), "10s", 1e6, 3600e9, NULL, "then for so long", NULL},
    {"drain", "D", OPT_DURATION, AT(drain_ns), "5s", 1e8, 3600e9, NULL,
     "at the end wait for so long for messages on their way", NULL},
    {"record", "DIR", OPT_TEXT, AT(record), NULL, 0, 0, NULL,
     "writes bare.csv there (counts and CPU time at start, end of the warm-up, end, and when all had "
     "arrived), "
     "and latency.hlog",
     NULL},
    {0}};

static int measure(const struct bare_config *config, struct err *err)
{
    struct bare *bare;
    int code = bare_open(&bare, config, err);
    if (code < 0)
        return EXIT_FAILED;
    code = bare_run(bare, err);
    int64_t lost = bare_sent(bare) - bare_received(bare);
    printf("%lld messages sent, %lld arrived; %.0f a second\n", (long long)bare_sent(bare),
           (long long)bare_received(bare), bare_rate(bare));
    if (code == 0 && lost != 0)
        code = err_set(err, -1, "%lld messages did not arrive within --drain", (long long)lost);
    int closed = bare_close(bare, code == 0 ? err : NULL);
    return code == 0 && closed == 0 && fflush(stdout) == 0 ? EXIT_OK : EXIT_FAILED;
}

int main(int argc, char **argv)
{
    static struct bare_config config;
    struct err err = {0};
    int rest, result = opts_parse(table, &config, argc, argv, &rest, &err);
    if (result == OPTS_HELP) {
        opts_print_help(table, program, "[options]",
                        "Moves messages through a broker with the least work for each, and counts them.",
                        stdout);
        return EXIT_OK;
    }
    if (result == OPTS_VERSION) {
        build_print_version(program);
        return EXIT_OK;
    }
    if (result >= 0 && rest < argc)
        result = err_set(&err, -1, "'%s' is no option (see --help)", argv[rest]);
    if (result >= 0) {
        int code = bare_config_check(&config, &err);
        result = code < 0 ? code : result;
    }
    if (result < 0) {
        fprintf(stderr, "%s: %s\n", program, err.text);
        return EXIT_USAGE;
    }
    if (result == OPTS_DESCRIBE)
        return describe_print(describe_new(program, table, nothing));
    int64_t limit;
    (void)!host_raise_nofile(&limit, NULL); // a limit that is too low fails later with a message
    int code = measure(&config, &err);
    if (err.text[0])
        fprintf(stderr, "%s: %s\n", program, err.text);
    return code;
}
