// SPDX-License-Identifier: Apache-2.0
// C++, for gbench.cc alone: reports of Google Benchmark under the caller's names, in the versions of the library.
#ifndef POOLMARK_BENCH_GBENCH_REPORTER_H
#define POOLMARK_BENCH_GBENCH_REPORTER_H

#include <benchmark/benchmark.h>

#include <cstdint>
#include <memory>
#include <string>
#include <utility>
#include <vector>

namespace gbench
{

// Differences between the library's versions. Up to 1.7 a run has `error_occurred`, from 1.8 on `skipped`.
template <class Run> auto skipped(const Run &run, int) -> decltype(run.skipped, true)
{
    return static_cast<int>(run.skipped) != 0;
}
template <class Run> auto skipped(const Run &run, long) -> decltype(run.error_occurred, true)
{
    return run.error_occurred;
}

// Up to 1.9 the library owns the reporter that it makes; later the caller does, in `owner`.
using ReporterPointer = std::unique_ptr<benchmark::BenchmarkReporter>;
inline benchmark::BenchmarkReporter *keep(benchmark::BenchmarkReporter *made, ReporterPointer *)
{
    return made;
}
inline benchmark::BenchmarkReporter *keep(ReporterPointer made, ReporterPointer *owner)
{
    *owner = std::move(made);
    return owner->get();
}

// Passes reports on under the caller's names, and counts failures. `at_end`: all at once, after the last
// run: the library's CSV takes the counters of its first report as columns, and aborts when a later report
// has others.
class Reporter : public benchmark::BenchmarkReporter
{
  public:
    Reporter(benchmark::BenchmarkReporter *to, int64_t *failed, bool at_end)
        : to_(to), failed_(failed), at_end_(at_end)
    {
    }

    bool ReportContext(const Context &context) override
    {
        to_->SetOutputStream(&GetOutputStream());
        to_->SetErrorStream(&GetErrorStream());
        return to_->ReportContext(context);
    }

    void ReportRuns(const std::vector<Run> &reports) override
    {
        std::vector<Run> runs = reports;
        bool failed = false;
        for (Run &run : runs) {
            run.run_name.min_time.clear();
            run.run_name.min_warmup_time.clear();
            run.run_name.iterations.clear();
            run.run_name.repetitions.clear();
            run.run_name.time_type.clear();
            failed = failed || skipped(run, 0);
        }
        *failed_ += failed;
        if (at_end_)
            kept_.insert(kept_.end(), runs.begin(), runs.end());
        else
            to_->ReportRuns(runs);
    }

    void Finalize() override
    {
        if (!kept_.empty())
            to_->ReportRuns(kept_);
        kept_.clear();
        to_->Finalize();
    }

  private:
    benchmark::BenchmarkReporter *to_;
    int64_t *failed_;
    bool at_end_;
    std::vector<Run> kept_;
};

#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wdeprecated-declarations" // the CSV reporter
inline ReporterPointer file_reporter(const std::string &format)
{
    if (format == "csv")
        return ReporterPointer(new benchmark::CSVReporter);
    if (format == "console")
        return ReporterPointer(new benchmark::ConsoleReporter(benchmark::ConsoleReporter::OO_None));
    return ReporterPointer(new benchmark::JSONReporter);
}
#pragma GCC diagnostic pop

} // namespace gbench

#endif
