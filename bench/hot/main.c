// SPDX-License-Identifier: Apache-2.0
// poolmark-hot: measures the hot connection pool (pools/hot) as makers of connection pools measure theirs.
#include "base/build.h"
#include "base/describe.h"
#include "base/host.h"
#include "base/median.h"
#include "base/opts.h"
#include "bench/hot/hot_bench.h"

#include <errno.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const struct {
    const char *name, *summary;
    hot_scenario *run;
    bool with_broker; // needs --target
    bool alone;       // runs only the hot pool
} scenarios[] = {
    {"spike", "50 at once come to a pool of 5 to 50 (HikariCP's benchmark)", hot_spike, false, false},
    {"grid", "workers x pool size, 8x2 to 32x32 (deadpool's benchmark)", hot_grid, false, false},
    {"outage", "the backend is down for a phase, refusing or silent, and comes back", hot_outage, false,
     false},
    {"slow", "connections break, and new ones take long", hot_slow, false, false},
    {"pressure", "--most connections exceed the memory limit: what the pool drops", hot_pressure, false,
     true},
    {"reuse", "publish at QoS 1 over a warm pool, and with a connect for each (--target)", hot_reuse, true,
     true},
    {"memory", "memory of the client for each of many connections (--target)", hot_memory, true, true},
    {"hosts", "memory over cycles through many hosts (--target, which listens on all of 127/8)", hot_hosts,
     true, true},
};
enum { SCENARIOS = sizeof scenarios / sizeof scenarios[0] };

#define AT(field) offsetof(struct hot_bench_config, field)
static const struct opt table[] = {
    {"threads", "N", OPT_COUNT, AT(threads), "50", 1, 1000, NULL, "threads that want a connection", NULL},
    {"least", "N", OPT_COUNT, AT(least), "5", 0, 1000, NULL, "connections that the pool keeps", NULL},
    {"most", "N", OPT_COUNT, AT(most), "50", 1, 1000, NULL, "most connections", NULL},
    {"connect", "TIME", OPT_DURATION, AT(connect_ns), "150ms", 0, 6e10, NULL,
     "what a connect takes in spike and slow", NULL},
    {"use", "TIME", OPT_DURATION, AT(use_ns), "2ms", 0, 6e10, NULL, "what a use takes", NULL},
    {"phase", "TIME", OPT_DURATION, AT(phase_ns), "1s", 1e7, 6e10, NULL, "a phase of outage and slow", NULL},
    {"operations", "N", OPT_COUNT, AT(operations), "32768", 32, 1e9, NULL, "checkouts in a cell of grid",
     NULL},
    {"target", "IPV4:PORT", OPT_TEXT, AT(target), NULL, 0, 0, NULL, "a broker, for reuse, memory and hosts",
     NULL},
    {"connections", "N", OPT_COUNT, AT(connections), "1611", 17, 100000, NULL, "connections of memory", NULL},
    {"hosts", "N", OPT_COUNT, AT(hosts), "1631", 1, 50000, NULL, "hosts: the target, and 127.1.0.2 and on",
     NULL},
    {"cycles", "N", OPT_COUNT, AT(cycles), "10", 1, 1000, NULL, "of hosts, after two", NULL},
    {"runs", "N", OPT_COUNT, AT(runs), "5", 1, 1000, NULL, "of each contender, in turns", NULL},
    {"samples", "FILE", OPT_TEXT, AT(samples), NULL, 0, 0, NULL,
     "spike: append each sample of the pool to a CSV file", NULL},
    {"json", NULL, OPT_FLAG, AT(json), NULL, 0, 0, NULL, "print JSON: every value of every run", NULL},
    {0}};

// One line: the median, the minimum and the maximum of the runs, and of how many where some do not have it.
static void print_metric(const char *scenario, const char *contender, const char *name, const json_t *runs)
{
    size_t count = 0;
    double *values = calloc(json_array_size(runs), sizeof *values);
    for (size_t i = 0; values && i < json_array_size(runs); i++) {
        const json_t *value = json_object_get(json_array_get(runs, i), name);
        if (value)
            values[count++] = json_number_value(value);
    }
    const struct metric *metric = metric_find(hot_bench_catalogue, name);
    if (count > 0) {
        double median = median_of(values, count); // sorts them
        int decimals = values[count - 1] < 100 ? 2 : 0;
        char of[48] = "";
        if (count < json_array_size(runs))
            snprintf(of, sizeof of, "; %zu of %zu runs have it", count, json_array_size(runs));
        printf("%-7s %-13s %-32s %14.*f  (%.*f to %.*f) %s%s\n", scenario, contender, name, decimals, median,
               decimals, values[0], decimals, values[count - 1], metric ? metric->unit : "?", of);
    }
    free(values);
}

// Contenders take turns, so that other load of the host affects all of them.
static int run_scenario(size_t which, const struct hot_bench_config *config, json_t *results, struct err *err)
{
    static const struct hot_contender *alone[2];
    alone[0] = hot_contenders[0];
    const struct hot_contender *const *contenders = scenarios[which].alone ? alone : hot_contenders;
    const struct hot_contender *const *contender;
    json_t *all = json_object();
    json_object_set_new(results, scenarios[which].name, all);
    for (contender = contenders; *contender; contender++)
        json_object_set_new(all, (*contender)->name, json_array());
    for (int64_t run = 0; run < config->runs; run++) {
        for (contender = contenders; *contender; contender++) {
            json_t *metrics = json_object();
            json_array_append_new(json_object_get(all, (*contender)->name), metrics);
            int code = scenarios[which].run(config, *contender, metrics, err);
            if (code < 0)
                return code;
        }
    }
    for (contender = contenders; *contender && !config->json; contender++) {
        json_t *runs = json_object_get(all, (*contender)->name), *value, *names = json_object();
        const char *name;
        for (size_t run = 0; run < json_array_size(runs); run++)
            json_object_update(names, json_array_get(runs, run));
        json_object_foreach(names, name, value)
            print_metric(scenarios[which].name, (*contender)->name, name, runs);
        json_decref(names);
    }
    return 0;
}

static json_t *describe(void)
{
    json_t *root = describe_new("poolmark-hot", table, hot_bench_catalogue);
    json_t *list = json_array(), *who = json_array();
    for (size_t i = 0; i < SCENARIOS; i++)
        json_array_append_new(
            list, json_pack("{s:s,s:s}", "name", scenarios[i].name, "summary", scenarios[i].summary));
    for (size_t i = 0; hot_contenders[i]; i++)
        json_array_append_new(who, json_pack("{s:s,s:s}", "name", hot_contenders[i]->name, "summary",
                                             hot_contenders[i]->summary));
    json_object_set_new(root, "scenarios", list);
    json_object_set_new(root, "contenders", who);
    return root;
}

// The scenarios to run, in `which`: those named, or without names all that can run. Returns their number, or -1 after
// a message.
static int choose(int count, char **names, const struct hot_bench_config *config, size_t which[])
{
    int chosen = 0;
    if (count > SCENARIOS) {
        fprintf(stderr, "poolmark-hot: %d scenarios are named, and there are %d\n", count, SCENARIOS);
        return -1;
    }
    for (size_t i = 0; count == 0 && i < SCENARIOS; i++)
        if (config->target || !scenarios[i].with_broker)
            which[chosen++] = i;
    for (int i = 0; i < count; i++) {
        size_t at = 0;
        while (at < SCENARIOS && strcmp(scenarios[at].name, names[i]) != 0)
            at++;
        const char *wrong = at == SCENARIOS                                ? "is no scenario"
                            : scenarios[at].with_broker && !config->target ? "needs --target"
                                                                           : NULL;
        for (int j = 0; j < chosen && !wrong; j++)
            wrong = which[j] == at ? "is named twice" : NULL;
        if (wrong) {
            fprintf(stderr, "poolmark-hot: '%s' %s (see --help)\n", names[i], wrong);
            return -1;
        }
        which[chosen++] = at;
    }
    return chosen;
}

static void print_json(json_t *results)
{
    json_t *root = json_pack("{s:s,s:o,s:o,s:o}", "schema", "poolmark.hot/1", "tool", build_json(), "host",
                             host_facts(), "runs", json_incref(results));
    json_dumpf(root, stdout, JSON_INDENT(2));
    putchar('\n');
    json_decref(root);
}

// After a failure the results of the scenarios before it are printed too.
static int run_named(int count, char **names, const struct hot_bench_config *config)
{
    struct err err = {0};
    size_t which[SCENARIOS];
    int chosen = choose(count, names, config, which), code = 0;
    if (chosen < 0)
        return EXIT_USAGE;
    json_t *results = json_object();
    for (int i = 0; i < chosen && code == 0; i++) {
        code = run_scenario(which[i], config, results, &err);
        if (code < 0)
            fprintf(stderr, "poolmark-hot: %s: %s\n", scenarios[which[i]].name,
                    err.text[0] ? err.text : strerror(-code));
    }
    if (config->json)
        print_json(results);
    json_decref(results);
    return fflush(stdout) == 0 && code == 0 ? EXIT_OK : EXIT_FAILED;
}

int main(int argc, char **argv)
{
    static struct hot_bench_config config;
    struct err err = {0};
    int rest = argc, result = opts_parse(table, &config, argc, argv, &rest, &err);
    if (result == OPTS_RUN && config.least > config.most)
        result = err_set(&err, -EINVAL, "--least %lld is more than --most %lld", (long long)config.least,
                         (long long)config.most);
    int64_t limit;
    if (result == OPTS_RUN)
        (void)!host_raise_nofile(&limit, NULL); // a limit that is too low fails later with a message
    if (result < 0) {
        fprintf(stderr, "poolmark-hot: %s\n", err.text);
        return EXIT_USAGE;
    }
    if (result == OPTS_HELP) {
        opts_print_help(table, "poolmark-hot",
                        "[options] [spike|grid|outage|slow|pressure|reuse|memory|hosts ...]",
                        "Measures the hot connection pool, over a simulated backend or a broker.", stdout);
        return EXIT_OK;
    }
    if (result == OPTS_VERSION) {
        build_print_version("poolmark-hot");
        return EXIT_OK;
    }
    if (result == OPTS_DESCRIBE)
        return describe_print(describe());
    return run_named(argc - rest, argv + rest, &config);
}
