// SPDX-License-Identifier: Apache-2.0
// The client that does the least for a message: the yardstick of the load generator (suite `speed`).
//
// Publishers send copies of one packet that was encoded once, many by one call. A subscriber divides what it received
// by the size of that packet. Nothing is checked but the number of messages, so it is no measuring instrument: it
// shows what moving the messages takes by itself. One thread with epoll, over blocking connects of bench/hot.
//
//     struct bare *bare;
//     if (bare_open(&bare, &config, &err) == 0 && bare_run(bare, &err) == 0) ...
//     bare_close(bare, &err);
//
// Without a rate the loop is closed, as in the generator: a publisher has at most `in_flight` messages on their way
// and sends more when half of them have arrived. With a rate, message k is due at k / rate after the start, whatever
// became of the others, and publishers take turns.
#ifndef POOLMARK_BENCH_BARE_H
#define POOLMARK_BENCH_BARE_H

#include "base/err.h"
#include "base/opts.h"

#include <stdint.h>

enum bare_pattern { BARE_PAIRS, BARE_FAN_IN };

struct bare_config {
    const char *target; // IPV4:PORT, mqtt:// before it is allowed
    struct opt_list watch_pids;
    const char *pattern_name, *record; // `record`: a folder for bare.csv and latency.hlog, NULL for none
    enum bare_pattern pattern;         // of `pattern_name`
    int64_t pairs, publishers, qos, payload_bytes, in_flight;
    double rate_per_s; // 0: closed loop
    int64_t warmup_ns, duration_ns, drain_ns;
};

struct bare;

// Completes `config` after opts_parse. -EINVAL with the text.
int bare_config_check(struct bare_config *config, struct err *err) __attribute__((warn_unused_result));

// Connects and subscribes everybody. 0, or -errno with the text and nothing open. `config` stays the caller's.
int bare_open(struct bare **bare, const struct bare_config *config, struct err *err)
    __attribute__((warn_unused_result));
// Publishes until the time is over, and waits for what is on its way. 0; -errno with the text when a connection ended
// or something else arrived than was sent.
int bare_run(struct bare *bare, struct err *err) __attribute__((warn_unused_result));
int64_t bare_sent(const struct bare *bare);
int64_t bare_received(const struct bare *bare);
double
bare_rate(const struct bare *bare); // messages a second that arrived between warm-up and end; 0: no time
// Ends all connections and closes the files. -errno with the text when a line of a file is lost. NULL is allowed.
int bare_close(struct bare *bare, struct err *err) __attribute__((warn_unused_result));

#endif
