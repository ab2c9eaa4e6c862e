// SPDX-License-Identifier: Apache-2.0
// The only C++ file, with gbench_reporter.h. No exception leaves it (out of memory becomes -ENOMEM). The timed path is
// KeepRunningBatch.
#include "bench/gbench.h"
#include "bench/gbench_flags.h"
#include "bench/gbench_reporter.h"
#include "bench/gbench_spec.h"

#include <benchmark/benchmark.h>

#include <cerrno>
#include <condition_variable>
#include <cstdio>
#include <cstring>
#include <memory>
#include <mutex>
#include <new>
#include <string>
#include <vector>

namespace
{

using Args = std::vector<int64_t>;

// Setup of one run. The library's own hook gets neither a context nor its benchmark. So the first thread
// does the setup while the others wait; all threads of a run come here, since the library starts them all.
class Meeting
{
  public:
    // The first thread does `work`; the others wait until it is done.
    template <class Work> void begin(bool first, Work work)
    {
        std::unique_lock<std::mutex> hold(lock_);
        if (!first) {
            changed_.wait(hold, [this] { return open_; });
            return;
        }
        failure_.clear();
        work();
        open_ = true;
        changed_.notify_all();
    }

    // Between two runs, when no thread is in one.
    void reset()
    {
        std::unique_lock<std::mutex> hold(lock_);
        open_ = false;
    }

    std::string failure_; // written in begin's work, read after it

  private:
    std::mutex lock_; // guards the rest
    std::condition_variable changed_;
    bool open_ = false;
};

struct Benchmark {
    std::string name;
    gb_spec spec;
    std::vector<Args> args;
    std::vector<int> threads;
};

// The run for which the library calls its teardown hook. The hook gets no context, but only the hook runs
// after the threads have ended. So this is the only state here that is not passed. The library runs one
// benchmark at a time, and the thread that calls the hook is the first thread of the run, which also writes
// this: no lock is needed.
struct {
    const Benchmark *benchmark;
    Meeting *meeting;
} last_run;

} // namespace

struct gb_suite {
    std::vector<Benchmark> benchmarks;
};

struct gb_state {
    benchmark::State *state = nullptr;
    int64_t batch = 0, left = 0; // left: iterations not yet handed out
    size_t arg_count = 0;
    bool looping = false; // false in setup and teardown
    bool paused = false, failed = false;
    bool ended = false;  // the loop ended properly
    std::string failure; // the first text of gb_skip
};

// The timed loop.

int64_t gb_next_batch(struct gb_state *state)
{
    if (!state->looping || state->ended)
        return 0;
    // After the last batch, and after a skip, the library is called once more: that stops the clock and
    // waits for the other threads.
    int64_t count = state->left < state->batch ? state->left : state->batch;
    if (count == 0 || state->failed) {
        state->ended = true;
        gb_resume(state);
        while (state->state->KeepRunningBatch(1)) {
        }
        return 0;
    }
    if (!state->state->KeepRunningBatch(count)) {
        state->ended = true;
        return 0;
    }
    state->left -= count;
    return count;
}

void gb_pause(struct gb_state *state)
{
    if (state->failed || state->paused)
        return;
    state->state->PauseTiming();
    state->paused = true;
}

void gb_resume(struct gb_state *state)
{
    if (state->failed || !state->paused)
        return;
    state->state->ResumeTiming();
    state->paused = false;
}

void gb_set_iteration_time(struct gb_state *state, double seconds)
{
    state->state->SetIterationTime(seconds);
}

void gb_skip(struct gb_state *state, const char *text)
{
    if (state->failed)
        return;
    state->failed = true;
    state->failure = text;
    if (state->looping)
        state->state->SkipWithError(text);
}

bool gb_skipped(const struct gb_state *state)
{
    return state->failed;
}

int64_t gb_arg(const struct gb_state *state, size_t index)
{
    return index < state->arg_count ? state->state->range(index) : 0;
}

int gb_threads(const struct gb_state *state)
{
    return state->state->threads();
}

int gb_thread_index(const struct gb_state *state)
{
    return state->state->thread_index();
}

int64_t gb_iterations(const struct gb_state *state)
{
    return state->state->max_iterations - state->left;
}

int64_t gb_iterations_all(const struct gb_state *state)
{
    return state->state->max_iterations;
}

void gb_set_counter(struct gb_state *state, const char *name, double value, unsigned flags)
{
    using benchmark::Counter;
    unsigned kind = 0;
    if (flags & GB_COUNTER_RATE)
        kind |= Counter::kIsRate;
    if (flags & GB_COUNTER_AVG_THREADS)
        kind |= Counter::kAvgThreads;
    if (flags & GB_COUNTER_AVG_ITERATIONS)
        kind |= Counter::kAvgIterations;
    if (flags & GB_COUNTER_TIMES_ITERATIONS)
        kind |= Counter::kIsIterationInvariant;
    if (flags & GB_COUNTER_INVERT)
        kind |= static_cast<unsigned>(Counter::kInvert);
    state->state->counters[name] = Counter(value, static_cast<Counter::Flags>(kind),
                                           flags & GB_COUNTER_1024 ? Counter::kIs1024 : Counter::kIs1000);
}

void gb_set_items(struct gb_state *state, int64_t items)
{
    state->state->SetItemsProcessed(items);
}

void gb_set_bytes(struct gb_state *state, int64_t bytes)
{
    state->state->SetBytesProcessed(bytes);
}

void gb_set_label(struct gb_state *state, const char *label)
{
    state->state->SetLabel(label);
}

void gb_set_complexity_n(struct gb_state *state, int64_t n)
{
    state->state->SetComplexityN(n);
}

// The function that the library calls on each thread of a run.

namespace
{

void run_thread(const Benchmark &benchmark, Meeting &meeting, benchmark::State &library)
{
    const gb_spec &spec = benchmark.spec;
    const bool first = library.thread_index() == 0;
    gb_state state;
    state.state = &library;
    state.arg_count = spec.arg_count;
    state.batch = spec.batch > 0 ? spec.batch : int64_t{GB_BATCH_DEFAULT};
    state.left = library.max_iterations;

    meeting.begin(first, [&] {
        last_run = {&benchmark, &meeting};
        if (spec.setup)
            spec.setup(&state, spec.context);
        meeting.failure_ = state.failed ? state.failure : std::string();
    });
    state.failed = false;
    state.looping = true;
    if (!meeting.failure_.empty()) {
        gb_skip(&state, meeting.failure_.c_str());
    } else {
        spec.run(&state, spec.context);
        if (!state.ended && !state.failed)
            gb_skip(&state, "the benchmark returned before its last batch");
    }
    // A thread that left its loop early still stops its clock and meets the others at the loop's end.
    int64_t none = state.ended ? 0 : gb_next_batch(&state);
    (void)none;
}

// The library's hook, after the threads of a run have ended and been joined.
void tear_down(const benchmark::State &library)
{
    const gb_spec &spec = last_run.benchmark->spec;
    gb_state state;
    state.state = const_cast<benchmark::State *>(&library); // used only for its threads and arguments
    state.arg_count = spec.arg_count;
    if (spec.teardown)
        spec.teardown(&state, spec.context);
    last_run.meeting->reset();
}

// Every combination; one empty one without arguments.
std::vector<Args> combinations(const gb_spec &spec)
{
    std::vector<Args> all;
    for (size_t nth = 0; nth < gb_spec_combinations(&spec); nth++) {
        int64_t args[GB_ARGS_MAX];
        gb_spec_combination(&spec, nth, args);
        all.emplace_back(args, args + spec.arg_count);
    }
    return all;
}

std::string full_name(const Benchmark &benchmark, const Args &args, int threads)
{
    std::string name = benchmark.name;
    for (int64_t value : args)
        name += "/" + std::to_string(value);
    return threads > 0 ? name + "/threads:" + std::to_string(threads) : name;
}

} // namespace

int gb_suite_new(struct gb_suite **suite)
{
    *suite = new (std::nothrow) gb_suite;
    return *suite ? 0 : -ENOMEM;
}

void gb_suite_free(struct gb_suite *suite)
{
    delete suite;
}

int gb_add(struct gb_suite *suite, const struct gb_spec *spec, struct err *err)
{
    int failed = gb_spec_check(spec, err);
    if (failed)
        return failed;
    try {
        Benchmark benchmark{spec->name, *spec, combinations(*spec), {}};
        if (spec->thread_count == 0)
            benchmark.threads.push_back(0);
        for (size_t i = 0; i < spec->thread_count; i++)
            benchmark.threads.push_back(spec->threads[i]);
        suite->benchmarks.push_back(std::move(benchmark));
    } catch (const std::bad_alloc &) {
        return err_set(err, -ENOMEM, "no memory to add a benchmark");
    }
    return 0;
}

// Registration with the library and flags.

namespace
{

// In the order of gb_complexity.
benchmark::BigO library_complexity(gb_complexity complexity)
{
    static const benchmark::BigO all[] = {benchmark::oNone,     benchmark::o1,      benchmark::oN,
                                          benchmark::oNSquared, benchmark::oNCubed, benchmark::oLogN,
                                          benchmark::oNLogN,    benchmark::oAuto};
    return all[complexity];
}

benchmark::TimeUnit library_unit(gb_unit unit)
{
    static const benchmark::TimeUnit units[] = {benchmark::kNanosecond, benchmark::kMicrosecond,
                                                benchmark::kMillisecond, benchmark::kSecond};
    return units[unit];
}

template <class Registered> void set_clock(Registered *registered, gb_clock clock)
{
    if (clock == GB_CLOCK_WALL)
        registered->UseRealTime();
    else if (clock == GB_CLOCK_PROCESS_CPU)
        registered->MeasureProcessCPUTime();
    else if (clock == GB_CLOCK_MANUAL)
        registered->UseManualTime();
}

// Adds one thread count of a benchmark, with the selected ones of its arguments.
void enter(const Benchmark &benchmark, const std::vector<Args> &args, int threads)
{
    const gb_spec &spec = benchmark.spec;
    auto meeting = std::make_shared<Meeting>();
    auto *registered =
        benchmark::RegisterBenchmark(benchmark.name.c_str(), [&benchmark, meeting](benchmark::State &state) {
            run_thread(benchmark, *meeting, state);
        });
    for (const Args &values : args) {
        if (!values.empty())
            registered->Args(values);
    }
    if (threads > 0)
        registered->Threads(threads);
    if (spec.iterations > 0)
        registered->Iterations(spec.iterations);
    if (spec.min_time_s > 0)
        registered->MinTime(spec.min_time_s);
    if (spec.warm_up_s > 0)
        registered->MinWarmUpTime(spec.warm_up_s);
    if (spec.repetitions > 0)
        registered->Repetitions(spec.repetitions);
    if (spec.complexity != GB_O_NOT_ASKED)
        registered->Complexity(library_complexity(spec.complexity));
    registered->Teardown(tear_down);
    registered->Unit(library_unit(spec.unit));
    set_clock(registered, spec.clock);
}

// Registers (or lists) the benchmarks that the filter takes; returns how many.
int64_t select_benchmarks(const gb_suite &suite, const gb_filter &filter, bool list)
{
    int64_t count = 0;
    for (const Benchmark &benchmark : suite.benchmarks) {
        for (int threads : benchmark.threads) {
            std::vector<Args> chosen;
            for (const Args &args : benchmark.args) {
                const std::string name = full_name(benchmark, args, threads);
                if (!gb_filter_takes(&filter, name.c_str()))
                    continue;
                chosen.push_back(args);
                if (list)
                    printf("%s\n", name.c_str());
            }
            if (!list && !chosen.empty())
                enter(benchmark, chosen, threads);
            count += static_cast<int64_t>(chosen.size());
        }
    }
    return count;
}

int run_filtered(gb_suite *suite, const gb_flags &flags, gb_outcome *outcome, struct err *err)
{
    const std::string text = benchmark::GetBenchmarkFilter();
    gb_filter filter;
    const int failed = gb_filter_init(&filter, text.c_str(), err);
    if (failed)
        return failed;
    benchmark::ClearRegisteredBenchmarks();
    outcome->run = select_benchmarks(*suite, filter, flags.list);
    gb_filter_free(&filter);
    if (outcome->run == 0)
        return err_set(err, -EINVAL, "no benchmark matches --benchmark_filter='%s'", text.c_str());
    if (flags.list)
        return 0;
    gbench::ReporterPointer to_file, display_owner;
    if (*flags.out) {
        FILE *probe = fopen(flags.out, "w"); // the library would exit
        if (!probe)
            return err_set(err, -errno, "cannot write --benchmark_out='%s': %s", flags.out, strerror(errno));
        fclose(probe);
        to_file = gbench::file_reporter(flags.out_format);
    }
    int64_t unused = 0;
    gbench::Reporter display(gbench::keep(benchmark::CreateDefaultDisplayReporter(), &display_owner),
                             &outcome->failed, flags.format == std::string("csv"));
    gbench::Reporter file(to_file.get(), &unused, flags.out_format == std::string("csv"));
    benchmark::RunSpecifiedBenchmarks(&display, to_file ? &file : nullptr, ".");
    benchmark::ClearRegisteredBenchmarks();
    return 0;
}

} // namespace

void gb_add_context(const char *key, const char *value)
{
    auto *context = benchmark::internal::GetGlobalContext();
    if (!context || context->find(key) == context->end())
        benchmark::AddCustomContext(key, value);
}

int gb_run(struct gb_suite *suite, int *argc, char **argv, struct gb_outcome *outcome, struct err *err)
{
    *outcome = gb_outcome{};
    gb_flags flags;
    const int failed = gb_flags_read(&flags, *argc, argv, err);
    if (failed)
        return failed;
    try {
        benchmark::Initialize(argc, argv);
        if (*argc > 1)
            return err_set(err, -EINVAL,
                           "'%s' is not an option, or has a value that it does not take (--help lists them)",
                           argv[1]);
        return run_filtered(suite, flags, outcome, err);
    } catch (const std::bad_alloc &) {
        return err_set(err, -ENOMEM, "no memory to run the benchmarks");
    }
}
