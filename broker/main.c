// SPDX-License-Identifier: Apache-2.0
// poolmark-broker: starts the broker, waits for signals, and records the pools once a second.
#include "base/build.h"
#include "base/clock.h"
#include "base/heap.h"
#include "base/host.h"
#include "base/time_namespace.h"
#include "broker/bounds.h"
#include "broker/broker.h"
#include "broker/broker_record.h"
#include "broker/complaints.h"
#include "broker/describe.h"
#include "broker/metrics.h"
#include "broker/net/spare_fds.h"
#include "broker/relief.h"
#include "broker/statistics.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <time.h>
#include <unistd.h>

#define PROGRAM "poolmark-broker"

static int complain(const struct err *err, int exit_code)
{
    fprintf(stderr, PROGRAM ": %s\n", err->text);
    return exit_code;
}

// Descriptors that are not connections: standard streams, record, metrics, state, and some that the C library
// opens at times; and of each loop epoll, mailbox, spare descriptors and listeners.
static int64_t own_descriptors(const struct broker_config *config)
{
    enum { STANDARD = 3, RECORD = 3, METRICS = 12, STATE = 4, OTHERS = 6, LOOP = 2 + SPARE_FDS };
    return STANDARD + (config->record ? RECORD : 0) + (config->metrics ? METRICS : 0) +
           (config->state ? STATE : 0) + OTHERS + config->threads * (LOOP + config->listen_count);
}

// Grows the descriptor table to its final size while the process has one thread. The kernel doubles the table
// as it fills. In a process with threads, each doubling waits in synchronize_rcu, and for 10 to 30 ms no
// client is accepted. The table takes 8 bytes of kernel memory per descriptor and never shrinks.
static void widen_descriptor_table(int64_t wanted)
{
    enum { MOST = 1 << 20 };
    int highest = (int)(wanted < MOST ? wanted : MOST) - 1;
    int fd = fcntl(STDIN_FILENO, F_DUPFD_CLOEXEC, highest);
    if (fd < 0) // there is no stdin; any open descriptor works
        fd = fcntl(STDERR_FILENO, F_DUPFD_CLOEXEC, highest);
    if (fd >= 0)
        close(fd);
}

// Raises the limit of descriptors. Warns when it is too small for --max-connections. Returns how many are left
// for clients.
static int64_t check_descriptors(const struct broker_config *config)
{
    struct err err = {0};
    int64_t limit;
    if (host_raise_nofile(&limit, &err) < 0) {
        complain(&err, 0);
        return BOUNDS_ANY;
    }
    int64_t own = own_descriptors(config);
    if (config->max_connections > limit - own)
        fprintf(stderr,
                PROGRAM ": --max-connections is %" PRId64 ", but the limit of %" PRId64
                        " descriptors holds about %" PRId64
                        "; clients past that are refused. Set the hard limit to "
                        "%" PRId64 " (ulimit -Hn %" PRId64 ", or LimitNOFILE=%" PRId64
                        " in a systemd unit), or run several brokers\n",
                config->max_connections, limit, limit > own ? limit - own : 0, config->max_connections + own,
                config->max_connections + own, config->max_connections + own);
    bool is_bounded = config->max_connections > 0 && config->max_connections < limit - own;
    widen_descriptor_table(is_bounded ? config->max_connections + own : limit);
    return limit > own ? limit - own : 0;
}

// Blocks these signals in all threads; supervise() receives them.
static sigset_t block_signals(void)
{
    sigset_t signals;
    sigemptyset(&signals);
    sigaddset(&signals, SIGTERM);
    sigaddset(&signals, SIGINT);
    sigaddset(&signals, SIGUSR1);
    pthread_sigmask(SIG_BLOCK, &signals, NULL);
    signal(SIGPIPE, SIG_IGN);
    return signals;
}

// The counts that were last printed on stderr.
struct told {
    struct broker_counts counts;
    struct pool_pressure_stats pressure;
};

static void complain_of(const struct broker_statistics *statistics, struct told *told)
{
    complaints_print(statistics, &told->counts, stderr);
    relief_complain(&statistics->pressure, &told->pressure, stderr);
}

// What supervise has and knows.
struct watch {
    struct broker *broker;
    const struct broker_config *config;
    struct broker_record *record;
    struct told told;
    struct bytes_start start; // the bytes before the pools
    struct bytes_moments moments;
};

// Reads the bytes by account and records them. false: they are not wanted, or could not be read.
static bool take_bytes(struct watch *watch, const char *moment, struct bytes *bytes)
{
    if (!broker_record_has_bytes(watch->record))
        return false;
    int code = bytes_read(watch->broker, &watch->start, bytes);
    if (code < 0)
        broker_record_no_bytes(watch->record, code);
    else
        broker_record_bytes(watch->record, moment, bytes);
    return code == 0;
}

static void print_statistics(struct watch *watch)
{
    struct broker_statistics statistics;
    struct bytes bytes;
    broker_statistics(watch->broker, &statistics);
    bool has_bytes = take_bytes(watch, "asked", &bytes);
    statistics_print(&statistics, broker_pools(watch->broker), has_bytes ? &bytes : NULL, stdout);
    fflush(stdout);
}

static void take_sample(struct watch *watch, int64_t now_ns)
{
    struct broker_statistics statistics;
    struct bytes bytes;
    broker_statistics(watch->broker, &statistics);
    broker_record_sample(watch->record, broker_pools(watch->broker));
    broker_count_reserve(watch->broker);
    complain_of(&statistics, &watch->told);
    const char *moment = bytes_moment(&watch->moments, statistics.connections, now_ns);
    if (moment)
        take_bytes(watch, moment, &bytes);
}

// Runs until SIGTERM or SIGINT (returns 0), or until a loop ended on an error (-errno).
static int supervise(struct watch *watch, const sigset_t *signals, struct err *err)
{
    const struct broker_config *config = watch->config;
    int64_t next_sample_ns = clock_now_ns() + NS_PER_S;
    int64_t next_sweep_ns = clock_now_ns() + config->sweep_every_ns;
    for (;;) {
        int64_t now_ns = clock_now_ns();
        if (now_ns >= next_sweep_ns) {
            pool_set_sweep(broker_pools(watch->broker));
            next_sweep_ns = now_ns + config->sweep_every_ns;
        }
        if (now_ns >= next_sample_ns) {
            int code = broker_check(watch->broker, err);
            if (code < 0)
                return code;
            take_sample(watch, now_ns);
            next_sample_ns = now_ns + NS_PER_S;
        }
        int64_t wait_ns = (next_sample_ns < next_sweep_ns ? next_sample_ns : next_sweep_ns) - now_ns;
        struct timespec wait = {wait_ns / NS_PER_S, wait_ns % NS_PER_S};
        int signal_number = sigtimedwait(signals, NULL, &wait);
        if (signal_number == SIGUSR1)
            print_statistics(watch);
        else if (signal_number > 0)
            return 0;
    }
}

static void warn_of_strangers(const struct address *addresses, int count)
{
    for (int i = 0; i < count; i++) {
        char text[ADDRESS_TEXT_BYTES];
        if (!address_is_loopback(&addresses[i]))
            fprintf(stderr,
                    PROGRAM
                    ": %s can be reached from other machines, and there is no authentication: anyone who "
                    "reaches it can read and publish everything\n",
                    address_format(&addresses[i], text));
    }
}

static void announce(const struct broker_config *config, const struct address *addresses,
                     const struct address *metrics)
{
    char text[ADDRESS_TEXT_BYTES];
    for (int i = 0; i < config->listen_count; i++)
        printf("listening %s\n", address_format(&addresses[i], text));
    if (config->metrics)
        printf("metrics %s\n", address_format(metrics, text));
    printf("ready\n");
    fflush(stdout);
}

// Ends the loops, and reads the counters once more: a loop counts a packet after its bytes have left, so that a client may
// have a message which is not counted yet.
static void stop_counting(struct broker *broker, struct broker_statistics *statistics)
{
    struct broker_statistics last;
    broker_stop(broker);
    broker_statistics(broker, &last);
    statistics->counts = last.counts;
    statistics->longest_turn_ns = last.longest_turn_ns; // of a turn that the counters have, too
    statistics->most_work = last.most_work;
    statistics->memory.peak = last.memory.peak;
    statistics->memory.refused = last.memory.refused;
}

// Serves until a signal or an error. `statistics` gets the final values.
static int serve(const struct broker_config *config, int64_t descriptors, struct broker_record *record,
                 struct broker_statistics *statistics, struct err *err)
{
    sigset_t signals = block_signals();
    struct watch watch = {.config = config, .record = record};
    if (broker_record_has_bytes(record))
        bytes_begin(&watch.start);
    int code = broker_open(&watch.broker, config, broker_record_on_event, record, err);
    if (code < 0)
        return code;
    broker_record_warn_of_state(record, broker_state_warning(watch.broker));
    struct address addresses[CONFIG_LISTEN_MAX], metrics_address = config->metrics_address;
    struct http_page *metrics = NULL;
    struct bytes bytes;
    code = broker_start(watch.broker, addresses, err);
    if (code == 0 && config->metrics)
        code = metrics_open(&metrics, watch.broker, &metrics_address, err);
    if (code == 0) {
        broker_record_set_addresses(record, addresses, config->listen_count);
        broker_record_sample(record, broker_pools(watch.broker));
        struct bounds bounds = bounds_of(config, descriptors);
        bounds_print(&bounds, stderr);
        broker_record_set_bound(record, bounds.whole);
        broker_statistics(watch.broker, statistics);
        if (config->relief.sources)
            relief_announce(&statistics->pressure, config->relief.bound_bytes, stderr);
        take_bytes(&watch, "start", &bytes);
        warn_of_strangers(addresses, config->listen_count);
        announce(config, addresses, &metrics_address);
        watch.moments.told_ns = clock_now_ns();
        code = supervise(&watch, &signals, err);
    }
    broker_count_reserve(watch.broker);
    broker_statistics(watch.broker, statistics);
    complain_of(statistics, &watch.told); // of the last second
    broker_record_sample(record, broker_pools(watch.broker));
    take_bytes(&watch, "end", &bytes);
    http_page_close(metrics);
    stop_counting(watch.broker, statistics);
    broker_close(watch.broker);
    return code;
}

int main(int argc, char **argv)
{
    struct broker_config config;
    struct err err = {0}, clock_err = {0};
    if (time_namespace_join(&clock_err) == -EXDEV)
        return complain(&clock_err, EXIT_FAILED);
    int parsed = broker_config_parse(&config, argc, argv, &err);
    if (parsed < 0)
        return complain(&err, EXIT_USAGE);
    if (parsed == OPTS_HELP)
        broker_config_print_help();
    else if (parsed == OPTS_VERSION)
        build_print_version(PROGRAM);
    else if (parsed == OPTS_DESCRIBE)
        return broker_describe(&config);
    else if (config.list_pools)
        broker_config_print_pools(&config);
    if (parsed != OPTS_RUN || config.list_pools)
        return EXIT_OK;
    heap_join_at_once(); // or else one client's many frees become one wait for all
    int64_t descriptors = check_descriptors(&config);
    struct broker_record *record;
    if (broker_record_open(&record, config.record, argc, argv, &config, &err) < 0)
        return complain(&err, config.record ? EXIT_USAGE : EXIT_FAILED);
    struct broker_statistics statistics = {0};
    int code = serve(&config, descriptors, record, &statistics, &err);
    if (code < 0)
        complain(&err, 0);
    struct err record_err = {0};
    int closed = broker_record_close(record, &statistics, code < 0 ? "failed" : "complete", &record_err);
    if (closed < 0)
        complain(&record_err, 0);
    if (code == -EUCLEAN)
        return EXIT_USAGE; // the file of --state cannot be used
    return code < 0 || closed < 0 ? EXIT_FAILED : EXIT_OK;
}
