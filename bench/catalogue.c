// SPDX-License-Identifier: Apache-2.0
#include "bench/catalogue.h"

#define GETS                                                                                                 \
    "time of a single get. `grow`, `shrink`: from when it was due, of those whose probe before it was at "   \
    "full "                                                                                                  \
    "speed (all when `at_full_speed` is 0); `realtime`: from the wake-up, or from when it was due if that "  \
    "was past; `pressure`: with the writing of its object, after it, of the pools that gave back: "
#define PUTS "`crowd`: time of a single put: "
#define CALLS "`grow`, `shrink`: the call of each get by itself, whatever was due and whatever the speed: "
#define ANY                                                                                                  \
    "nothing left out, whatever the speed, and whether all threads were at work or one alone (so it can be " \
    "less): "
#define WRITTEN "`pressure`: a get and the writing of its object, "
#define WEAR(when) "`wear`, " when ": "
#define TIMES(prefix, text)                                                                                  \
    {prefix "p50_ns", "ns", "none", METRIC_SECONDARY, text "median"},                                        \
        {prefix "p90_ns", "ns", "none", METRIC_SECONDARY, text "1 in 10 took longer"},                       \
        {prefix "p99_ns", "ns", "none", METRIC_TAIL, text "1 in 100 took longer"},                           \
        {prefix "p99_9_ns", "ns", "none", METRIC_TAIL, text "1 in 1000 took longer"},                        \
        {prefix "p99_99_ns", "ns", "none", METRIC_TAIL, text "1 in 10 000 took longer"},                     \
        {prefix "p99_999_ns", "ns", "none", METRIC_TAIL, text "1 in 100 000 took longer"},                   \
    {                                                                                                        \
        prefix "longest_ns", "ns", "none", METRIC_TAIL, text "the longest"                                   \
    }

const struct metric bench_catalogue[] = {
    {"time", "ns", "lower", METRIC_PRIMARY,
     "time of one operation (the workload's summary says of what); median, the rounds are its samples"},
    {"p50_ns", "ns", "lower", METRIC_SECONDARY, GETS "median"},
    {"p90_ns", "ns", "lower", METRIC_SECONDARY, GETS "1 in 10 took longer"},
    {"p99_ns", "ns", "lower", METRIC_TAIL, GETS "1 in 100 took longer"},
    {"p99_9_ns", "ns", "lower", METRIC_TAIL, GETS "1 in 1000 took longer"},
    {"p99_99_ns", "ns", "lower", METRIC_TAIL, GETS "1 in 10 000 took longer"},
    {"p99_999_ns", "ns", "none", METRIC_TAIL,
     GETS "1 in 100 000 took longer; one or two gets of a run decide it"},
    {"longest_ns", "ns", "none", METRIC_TAIL, GETS "the longest"},
    {"any_speed_ns", "ns", "none", METRIC_SECONDARY, ANY "`time`"},
    TIMES("any_speed_", ANY),
    TIMES("uncorrected_", CALLS),
    {"put_p50_ns", "ns", "lower", METRIC_SECONDARY, PUTS "median"},
    {"put_p90_ns", "ns", "lower", METRIC_SECONDARY, PUTS "1 in 10 took longer"},
    {"put_p99_ns", "ns", "lower", METRIC_TAIL, PUTS "1 in 100 took longer"},
    {"put_p99_9_ns", "ns", "lower", METRIC_TAIL, PUTS "1 in 1000 took longer"},
    {"put_p99_99_ns", "ns", "lower", METRIC_TAIL, PUTS "1 in 10 000 took longer"},
    {"put_p99_999_ns", "ns", "none", METRIC_TAIL, PUTS "1 in 100 000 took longer"},
    {"put_longest_ns", "ns", "none", METRIC_TAIL, PUTS "the longest"},
    {"samples_due", "1", "none", METRIC_SECONDARY,
     "gets that the workload had to make: the sum of the three that follow, or there is no figure"},
    {"samples_measured", "1", "none", METRIC_SECONDARY, "gets that are in the percentiles"},
    {"samples_left_out", "1", "none", METRIC_SECONDARY,
     "gets that are not, for what was known of the speed before they were made"},
    {"samples_failed", "1", "none", METRIC_SECONDARY, "gets that gave no object"},
    {"unfinished", "1", "none", METRIC_SECONDARY,
     "`realtime`: gets that were due and not made within 2 s; they count with what they had waited by then"},
    {"full_speed_share", "1", "none", METRIC_SECONDARY,
     "part of the iterations, or gets, that began at the processor's full speed (docs/benchmarks.md)"},
    {"at_full_speed", "1", "none", METRIC_SECONDARY,
     "1: that part was enough, and alone is in the figures; 0: everything is; between them when the threads "
     "of a run differ"},
    {"step_ns", "ns", "none", METRIC_SECONDARY,
     "what an addition took at full speed, as far as that process knew; `summary.step_ns` is the fastest of "
     "the run"},
    {"faults_get", "1", "lower", METRIC_SECONDARY, "minor page faults of the thread that gets: in all gets"},
    {"faults_touch", "1", "lower", METRIC_SECONDARY,
     "minor page faults when the objects were written afterwards"},
    {"faults", "1", "lower", METRIC_SECONDARY, "minor page faults in both"},
    {"faults_each", "1", "lower", METRIC_SECONDARY, "`cold`: minor page faults for an object"},
    {"preempted", "1", "none", METRIC_SECONDARY,
     "`grow`, `shrink`: how often the kernel took the thread off its processor; the longest times may be "
     "those"},
    {"undisturbed_longest_ns", "ns", "none", METRIC_TAIL,
     "`grow`, `shrink`: the longest single get, from the call, in which the kernel did not take the thread "
     "off its processor; inline, the longest piece of growth"},
    {"longest_put_ns", "ns", "none", METRIC_TAIL, "the longest single put"},
    {"longest_sweep_ns", "ns", "none", METRIC_TAIL, "the longest single sweep"},
    {"longest_expansion_ns", "ns", "none", METRIC_TAIL, "the longest single expansion"},
    {"expansions", "1", "none", METRIC_SECONDARY, "expansions of the pool"},
    {"shrinks", "1", "none", METRIC_SECONDARY, "how often it shrank"},
    {"misses", "1", "none", METRIC_SECONDARY, "gets that had to allocate"},
    {"before_bytes", "B", "lower", METRIC_SECONDARY,
     "`blowup`: resident memory of the process before the storm"},
    {"peak_bytes", "B", "lower", METRIC_SECONDARY, "`blowup`: in it"},
    {"after_0s_bytes", "B", "lower", METRIC_SECONDARY, "`blowup`: at once after it"},
    {"after_1s_bytes", "B", "lower", METRIC_SECONDARY, "`blowup`: one second after it"},
    {"again_ns", "ns", "lower", METRIC_SECONDARY,
     "`blowup`: an object of the second storm, a second after the first, with the writing of it; `time` is "
     "of the first"},
    {"again_faults", "1", "lower", METRIC_SECONDARY,
     "`blowup`: minor page faults for an object of the second storm"},
    {"live_bytes", "B", "none", METRIC_SECONDARY, "`blowup`: the objects' own bytes"},
    {"peak_ratio", "1", "lower", METRIC_SIGNED,
     "`blowup`, `wear`: growth at the peak, divided by the objects' own bytes"},
    {"after_0s_ratio", "1", "lower", METRIC_SECONDARY,
     "`blowup`: memory at once after it, divided by before"},
    {"after_1s_ratio", "1", "lower", METRIC_SECONDARY,
     "`blowup`: memory a second after it, divided by before"},
    {"open_ns", "ns", "lower", METRIC_SECONDARY, "`cold`: what opening the pool took"},
    {"huge_bytes", "B", "none", METRIC_SECONDARY, "`cold`: memory in huge pages"},
    {"owned_ratio", "1", "lower", METRIC_SECONDARY,
     "`bleed`, `burst_fresh`: bytes the pool owns, divided by bytes of the objects out"},
    {"after_10s_bytes", "B", "lower", METRIC_SECONDARY, "`blowup_10s`: ten seconds after it"},
    {"after_10s_ratio", "1", "lower", METRIC_SECONDARY,
     "`blowup_10s`: memory ten seconds after it, divided by before"},
    {"idle_bytes", "B", "lower", METRIC_SIGNED,
     "`idle_threads`: resident memory that 1000 threads keep which have put all their objects"},
    {"idle_1s_bytes", "B", "lower", METRIC_SIGNED,
     "`idle_threads`: idle_bytes 1 s later, the pool swept meanwhile"},
    {"idle_trimmed_bytes", "B", "lower", METRIC_SIGNED,
     "`idle_threads`: idle_bytes after that, when one thread has asked the pool (`pool_trim`) and the "
     "allocator (`malloc_trim` or its "
     "relative) for all that is free"},
    {"idle_thread_bytes", "B", "lower", METRIC_SIGNED, "`idle_threads`: idle_bytes for each thread"},
    {"peak_huge_share", "1", "none", METRIC_SECONDARY,
     WEAR("when most were in use") "the part of the memory gained that is in huge pages"},
    {"peak_read_ns", "ns", "lower", METRIC_SECONDARY,
     WEAR("when most were in use") "a read of a random object"},
    {"end_ratio", "1", "lower", METRIC_SIGNED,
     WEAR("at the end") "memory gained, divided by the bytes in use"},
    {"end_huge_share", "1", "none", METRIC_SECONDARY,
     WEAR("at the end") "the part of the memory gained that is in huge pages"},
    {"end_read_ns", "ns", "lower", METRIC_SECONDARY, WEAR("at the end") "a read of a random object"},
    {"back_bytes", "B", "none", METRIC_SECONDARY, "`pressure`: what the pools gave back"},
    {"back_resident_bytes", "B", "higher", METRIC_SIGNED,
     "`pressure`: by how much resident memory of the process fell"},
    {"back_25_ns", "ns", "lower", METRIC_SECONDARY,
     "`pressure`: until a quarter of what was asked for had come back"},
    {"back_50_ns", "ns", "lower", METRIC_SECONDARY, "`pressure`: until half of it had"},
    {"back_75_ns", "ns", "lower", METRIC_SECONDARY, "`pressure`: until three quarters of it had"},
    {"back_100_ns", "ns", "lower", METRIC_SECONDARY, "`pressure`: until all of it had"},
    TIMES("before_", WRITTEN "before the pressure: "),
    TIMES("kept_", WRITTEN "after it, of the pools that did not have to give back: "),
    {"allocs_per_op", "1", "lower", METRIC_SECONDARY,
     "`typed_*`: requests of memory from the allocator for one operation, counted in a process of its own"},
    {"bytes_per_op", "B", "lower", METRIC_SECONDARY, "`typed_*`: bytes that these requests ask for"},
    {0},
};
