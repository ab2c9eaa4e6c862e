// SPDX-License-Identifier: Apache-2.0
// The state of a hot pool and its decisions, without threads, clock or calls of the resource. Each function
// is one step under the pool's lock; the caller passes the time. So a test can play every order of steps
// (tests/model/hot_waiters.c).
//
//   hosts.c   hosts by name; the lists of allowed hosts
//   lists.c   the lists that connections are in; counts
//   demand.c  when connections are opened, and for whom room is made
//   serve.c   checkout, waiting, return, the end of an open: which checkout gets which connection
//   age.c     ends by time or bounds: idle, lifetime, checks, overdue opens, pressure, drain
//
// Invariants (hot_state_is_valid):
//   owned = all except the overdue; owned <= total_max; for each host owned <= host_max
//   idle <= idle_max
//   kept = the sum of all hosts' keep <= idle_max, total_max: so what is opened to be kept has a place
//   a host with waiters has no idle connection
//   waiters of a host, and of the pool, are in the order of their tickets
#ifndef POOLMARK_POOLS_HOT_STATE_H
#define POOLMARK_POOLS_HOT_STATE_H

#include "pools/hot/hot.h"

#include <pthread.h>
#include <sys/queue.h>

// State of a connection. For it, a connection is in one list of its host and one of the pool; newest last.
enum hot_where {
    HOT_WANTED,  // to be opened, by the next thread that is free
    HOT_OPENING, // a thread is in open
    HOT_OVERDUE, // a thread is in open beyond the timeout; counts for no bound
    HOT_IDLE,    // by last use
    HOT_OUT,     // checked out
    HOT_CHECKED, // a thread is in healthy
    HOT_ENDING,  // to be closed
    HOT_CLOSING, // a thread is in close
    HOT_WHERES
};

struct hot_connection {
    void *resource;
    struct hot_host *host;
    enum hot_where where;
    int64_t began_ns;   // start of the open (before: the request); from HOT_IDLE on: its end
    int64_t out_ns;     // last checkout
    int64_t used_ns;    // last return, or the open
    int64_t checked_ns; // last use, open or successful check
    int64_t ends_ns;    // end of its lifetime
    int64_t uses;       // checkouts before this one
    bool retired;       // ends when it is returned, for `reason`
    enum hot_reason reason;
    TAILQ_ENTRY(hot_connection) in_pool, in_host;
    TAILQ_ENTRY(hot_connection) by_age; // in the states HOT_IDLE to HOT_ENDING
};
TAILQ_HEAD(hot_connections, hot_connection);

enum hot_answer { HOT_WAITS, HOT_SERVED, HOT_REFUSED };

// One checkout; on the stack of the waiting thread.
struct hot_waiter {
    struct hot_host *host;
    uint64_t ticket; // the order of arrival
    enum hot_answer answer;
    struct hot_connection *connection; // HOT_SERVED
    int code;                          // HOT_REFUSED: -errno
    pthread_cond_t *woken;             // signalled when `answer` changes; NULL: no thread sleeps
    TAILQ_ENTRY(hot_waiter) in_pool, in_host;
};
TAILQ_HEAD(hot_waiters, hot_waiter);

struct hot_host {
    struct hot_host *next; // of the same bucket
    struct hot_waiters waiters;
    struct hot_connections lists[HOT_WHERES];
    int count[HOT_WHERES];
    int waiting;
    int users;          // calls that have a pointer to it
    int keep;           // count of hot_warm
    int failures;       // failures in succession: a failed or overdue open that began after the one before
    int last_code;      // error of the last one
    int64_t failed_ns;  // time of the last failure
    int64_t blocked_ns; // no open until then
    int64_t open_ns;    // moving averages; 0: unknown
    int64_t use_ns;     //
    int64_t last_open_ns;
    int64_t hungry_ns;      // since when a checkout waits
    int window;             // most opens under way for waiters, see wanted_by_waiters
    uint64_t planned_round; // see hot_plan_all
    char name[];
};

enum { HOT_BUCKETS = 1024 };

struct hot_state {
    struct hot_config config;
    char **allow, **deny; // copies
    struct hot_host *buckets[HOT_BUCKETS];
    struct hot_waiters waiters;
    struct hot_connections lists[HOT_WHERES];
    struct hot_connections by_age;
    int count[HOT_WHERES];
    int waiting, hosts, hungry; // hungry: hosts with waiters
    int64_t kept;               // sum of all hosts' keep
    uint64_t next_ticket, round, random;
    int64_t retry_ns; // earliest end of a pause; INT64_MAX: none
    bool draining;
    struct hot_stats stats; // the counts that only grow
};

// --- hosts.c

int hot_state_init(struct hot_state *state, const struct hot_config *config) // 0 or -ENOMEM
    __attribute__((warn_unused_result));
void hot_state_free(struct hot_state *state); // only hosts are left in it
bool hot_state_allows(const struct hot_state *state, const char *name);

// The host of that name, made if necessary; NULL: no memory. It exists until it is released, and after that
// while it has any state.
struct hot_host *hot_host_hold(struct hot_state *state, const char *name);
void hot_host_release(struct hot_host *host);
void hot_hosts_forget(struct hot_state *state, int64_t now_ns); // hosts without any state

// --- lists.c

struct hot_connection *hot_connection_new(struct hot_state *state, struct hot_host *host, int64_t now_ns);
void hot_connection_move(struct hot_state *state, struct hot_connection *connection, enum hot_where where);
void hot_connection_free(struct hot_state *state, struct hot_connection *connection);
void hot_connection_put_idle(struct hot_state *state, struct hot_connection *connection); // by used_ns
int hot_owned(const int count[HOT_WHERES]);
int hot_live(const int count[HOT_WHERES]); // open, and not ending
bool hot_state_is_valid(const struct hot_state *state);

// --- demand.c

// Ends a live connection: it goes to HOT_ENDING.
void hot_end(struct hot_state *state, struct hot_connection *connection, enum hot_reason reason);
// Requests the connections that the host needs, and makes room for them.
void hot_plan(struct hot_state *state, struct hot_host *host, int64_t now_ns);
// After room was made: requests connections for all waiters, the longest waiter first.
void hot_plan_all(struct hot_state *state, int64_t now_ns);
// The longest waiter before `first` (NULL: of all) whose host has no open under way, though it could have
// one.
struct hot_waiter *hot_starved(struct hot_state *state, const struct hot_waiter *first, int64_t now_ns);
int hot_wanted(const struct hot_host *host, int64_t now_ns); // opens that should be under way
// Drops requests that no thread has begun, and nobody waits for any more.
void hot_drop_unneeded(struct hot_state *state, struct hot_host *host, int64_t now_ns);
// From now on the host keeps `count`. False: with those of other hosts these are more than can be idle.
bool hot_state_keep(struct hot_state *state, struct hot_host *host, int count, int64_t now_ns)
    __attribute__((warn_unused_result));
struct hot_connection *hot_spare(struct hot_state *state); // the idle connection to end first, or NULL

// --- serve.c

// The idle connection to use, now in HOT_CHECKED if it has to be checked, else in HOT_OUT; or NULL.
struct hot_connection *hot_state_take(struct hot_state *state, struct hot_host *host, uint64_t ticket,
                                      int64_t now_ns);
void hot_state_wait(struct hot_state *state, struct hot_waiter *waiter, int64_t now_ns);
// For a waiter that waits.
void hot_state_give_up(struct hot_state *state, struct hot_waiter *waiter, int64_t now_ns);
void hot_state_return(struct hot_state *state, struct hot_connection *connection, bool works, int64_t now_ns);
// The next connection to open, now in HOT_OPENING; NULL: none is wanted.
struct hot_connection *hot_state_next_open(struct hot_state *state, int64_t now_ns);
// An open ended. False: there is no room; the caller closes it, and the connection is gone.
bool hot_state_opened(struct hot_state *state, struct hot_connection *connection, int code, int64_t now_ns);
// An open that began at began_ns failed, or is overdue (-ETIMEDOUT): the host pauses.
void hot_note_failure(struct hot_state *state, struct hot_host *host, int64_t began_ns, int code,
                      int64_t now_ns);
// Sends one waiter away, with -errno.
void hot_refuse(struct hot_state *state, struct hot_waiter *waiter, int code);
// A connection in HOT_CHECKED was checked. `taker`: for a checkout; then it goes to HOT_OUT if it may.
void hot_state_checked(struct hot_state *state, struct hot_connection *connection, bool healthy, bool taker,
                       int64_t now_ns);

// --- age.c

void hot_state_expire(struct hot_state *state, int64_t now_ns);
// When hot_state_expire is next due apart from sweeps: a pause ends, or an open is overdue. INT64_MAX: never.
int64_t hot_state_due_ns(const struct hot_state *state);
struct hot_connection *hot_state_next_check(struct hot_state *state, bool all, int64_t now_ns);
struct hot_connection *hot_state_next_close(struct hot_state *state); // in HOT_CLOSING; NULL
void hot_state_closed(struct hot_state *state, struct hot_connection *connection, int64_t now_ns);
int hot_state_relieve(struct hot_state *state); // ends the oldest part; returns how many
void hot_state_drain(struct hot_state *state);
void hot_state_stats(const struct hot_state *state, struct hot_stats *stats);

#endif
