// SPDX-License-Identifier: Apache-2.0
// Starts real programs for end-to-end tests, and ends them by their pid whatever happens to the test.
//
// A name that begins with "poolmark-" is looked for in $POOLMARK_BUILD, or else beside the running test
// (BUILD/tests/X starts BUILD/poolmark-broker, so that a sanitizer's tests meet programs built likewise);
// others along $PATH. A program dies with its test. What it says on stderr is kept, and shown when the test
// fails to start or end it. Every wait is for an event, with PROCESS_GUARD_S as a bound that only a hanging
// program meets.
//
//     struct process *broker = process_start_broker("--threads", "2", NULL);
//     ...connect to 127.0.0.1:process_port(broker)...
//     assert_int_equal(process_stop(broker), 0);
#ifndef POOLMARK_TESTS_BROKER_PROCESS_H
#define POOLMARK_TESTS_BROKER_PROCESS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

enum { PROCESS_GUARD_S = 150 };

struct process;

// poolmark-broker with `--listen 127.0.0.1:0` and the arguments given (NULL ends them), once it said `ready`.
// Fails the test when it does not start.
struct process *process_start_broker(const char *argument, ...) __attribute__((sentinel));

// The same in ways that what a broker does must not depend on: in shape lean with malloc and two threads; in
// shape classic with a pool that grows, one thread; with the smallest buffers there can be, eager, in a pool
// of kept objects.
struct process *process_start_lean_broker(void);
struct process *process_start_classic_broker(void);
struct process *process_start_small_broker(void);

// cmocka's set-up and tear-down of a group of tests: `*state` is then such a broker.
int process_group_lean(void **state);
int process_group_small(void **state);
int process_group_stop(void **state);

// Where it would be looked for.
void process_path(const char *name, char *path, size_t size);

// Any program; `arguments` without its name, NULL-terminated. Does not wait for anything.
struct process *process_start(const char *name, const char *const *arguments);

pid_t process_pid(const struct process *process);
uint16_t process_port(const struct process *process); // of the first `listening` line; 0: none read yet
uint16_t process_port_at(const struct process *process, int nth); // of the nth such line

// Waits for a line on stdout that begins with `begins`, and gives it (valid until the next call), or NULL
// when stdout ended before.
const char *process_wait_line(struct process *process, const char *begins);

// What it has written to stderr so far; valid until the next call.
const char *process_errors(struct process *process);

// Sends the signal. process_wait waits for the end, frees everything, and gives the exit code, or -signal.
void process_signal(struct process *process, int signal);
int process_wait(struct process *process);

// SIGTERM and process_wait; NULL is allowed (0). For teardowns too.
int process_stop(struct process *process);

// Of a broker: a value of its statistics, by the name that begins its line.
int64_t process_statistic(struct process *broker, const char *name);

// Waits until a broker has so many connections; fails after PROCESS_GUARD_S.
void process_await_connections(struct process *broker, int64_t count);

// Ends a broker, which must exit with 0 and have said `words` on stderr.
void process_stop_saying(struct process *broker, const char *words);

// Runs a program to its end. `output` (may be NULL) gets what it wrote to stdout, to be freed.
int process_run(const char *name, const char *const *arguments, char **output);

#endif
