// SPDX-License-Identifier: Apache-2.0
#include "loadgen/relay.h"

#include "base/err.h"
#include "loadgen/clock_offset.h"
#include "loadgen/link.h"
#include "loadgen/ranks_frames.h"

#include <errno.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/signalfd.h>
#include <sys/wait.h>
#include <unistd.h>

#define BEAT_NS (100 * NS_PER_MS)
#define LOOK_NS (2 * NS_PER_MS)     // between two looks at the network
#define AWAKE_NS (20 * NS_PER_MS)   // after a round of a measurement
#define ASKED_NS (400 * NS_PER_MS)  // after SIGTERM, for others to say that they are there
#define WARNED_NS (5 * NS_PER_S)    // at most, between SIGCONT and SIGTERM of mpirun
#define ROUND_NS (50 * NS_PER_MS)   // for one round of a measurement
#define MEASURE_NS (NS_PER_S / 2)   // for all rounds with one rank
#define PATIENCE_NS (10 * NS_PER_S) // for a generator that has been told to end
#define BYE_NS (2 * NS_PER_S)       // for the last words of others
enum { ROUNDS = 40 };

// The first byte of a message between relays.
enum message { FRAME = 1, PING, PONG, BEAT, GONE, BYE };

struct frame_head {
    char message, unused;
    int16_t kind;
};

struct ping {
    char message;
    int32_t number;
};

struct pong {
    char message;
    int32_t number;
    int64_t there_ns, back_ns;
};

struct peer {
    int64_t heard_ns;
    bool lost, bye;
};

struct relay {
    const struct relay_net *net;
    struct link link; // to the generator
    pid_t child;      // 0: it has ended
    int child_code;
    int signals; // signalfd
    struct peer *peers;
    struct relay_end end;
    int64_t beat_ns;
    int64_t awake_until_ns;
    int64_t resumed_ns; // the last SIGCONT; 0: there was none
    int64_t asked_ns;   // when this process was asked to end; 0: it was not
    int asked_by;
    bool asked_done;
    int64_t over_ns;  // when the run was over here; 0: it goes on
    int64_t told_ns;  // when the generator was told to end
    struct pong pong; // the last, and when it came
    int64_t pong_ns;
};

static bool watches(const struct relay *relay, int rank)
{
    return rank != relay->net->rank && (relay->net->rank == 0 || rank == 0);
}

static void say(struct relay *relay, int to, const void *bytes, size_t count)
{
    if (!relay->peers[to].lost)
        (void)!relay->net->send(relay->net->context, to, bytes, count);
}

static void say_all(struct relay *relay, const void *bytes, size_t count)
{
    for (int rank = 0; rank < relay->net->size; rank++)
        if (watches(relay, rank))
            say(relay, rank, bytes, count);
}

static void tell(struct relay *relay, int kind, int rank, const void *bytes, size_t count)
{
    if (relay->child > 0)
        (void)!link_send(&relay->link, kind, rank, bytes, count);
}

static void lose(struct relay *relay, int rank, const char *why)
{
    if (relay->peers[rank].lost || relay->over_ns > 0)
        return;
    relay->peers[rank].lost = true;
    relay->end.lost = true;
    tell(relay, RANKS_LOST, rank, why, strlen(why));
}

// --- messages of other relays ------------------------------------------------------------------------------

static void answer_ping(struct relay *relay, int from, const struct ping *ping, int64_t now_ns)
{
    struct pong pong = {.message = PONG, .number = ping->number, .there_ns = now_ns};
    pong.back_ns = clock_now_ns();
    say(relay, from, &pong, sizeof pong);
    relay->awake_until_ns = now_ns + AWAKE_NS;
}

static void hear_gone(struct relay *relay, int from, const char *text, size_t count)
{
    char why[200];
    snprintf(why, sizeof why, "%.*s", (int)(count < sizeof why ? count : sizeof why - 1), text);
    tell(relay, RANKS_LOST, from, why, strlen(why));
}

static void hear(struct relay *relay, int from, const char *bytes, size_t count, int64_t now_ns)
{
    struct frame_head head;
    struct ping ping;
    relay->peers[from].heard_ns = now_ns;
    switch (count > 0 ? bytes[0] : 0) {
    case FRAME:
        if (count < sizeof head)
            return;
        memcpy(&head, bytes, sizeof head);
        tell(relay, head.kind, from, bytes + sizeof head, count - sizeof head);
        break;
    case PING:
        if (count == sizeof ping) {
            memcpy(&ping, bytes, sizeof ping);
            answer_ping(relay, from, &ping, now_ns);
        }
        break;
    case PONG:
        if (count == sizeof relay->pong) {
            memcpy(&relay->pong, bytes, sizeof relay->pong);
            relay->pong_ns = now_ns;
        }
        break;
    case GONE:
        hear_gone(relay, from, bytes + 1, count - 1);
        break;
    case BYE:
        relay->peers[from].bye = true;
        if (relay->net->rank != 0 && relay->over_ns == 0) {
            relay->over_ns = now_ns;
            tell(relay, RANKS_END, 0, NULL, 0); // where rank 0 ended before it could say so
        }
        break;
    default:
        break; // BEAT: that it came is all
    }
}

static bool hear_next(struct relay *relay)
{
    int from;
    const void *bytes;
    size_t count;
    if (relay->net->receive(relay->net->context, &from, &bytes, &count) <= 0)
        return false;
    hear(relay, from, bytes, count, clock_now_ns());
    return true;
}

// --- clocks ------------------------------------------------------------------------------------------------

static void measure(struct relay *relay, int rank)
{
    struct clock_offset offset = {.bound_ns = CLOCK_OFFSET_UNKNOWN};
    int64_t until_ns = clock_now_ns() + MEASURE_NS;
    for (int i = 1; i <= ROUNDS && !relay->peers[rank].lost; i++) {
        struct ping ping = {.message = PING, .number = i};
        relay->pong.number = 0;
        int64_t left_ns = clock_now_ns();
        if (left_ns > until_ns)
            break;
        say(relay, rank, &ping, sizeof ping);
        // Every process of a small host may want its processors.
        while (relay->pong.number != i && clock_now_ns() < left_ns + ROUND_NS)
            if (!hear_next(relay))
                sched_yield();
        if (relay->pong.number == i)
            clock_offset_add(&offset, left_ns, relay->pong.there_ns, relay->pong.back_ns, relay->pong_ns);
    }
    tell(relay, RANKS_CLOCK, rank, &offset, sizeof offset);
}

// --- the generator -----------------------------------------------------------------------------------------

static void pass(struct relay *relay, const struct link_frame *frame)
{
    if (frame->rank < 0 || frame->rank >= relay->net->size)
        return;
    if (frame->kind == RANKS_CLOCK) {
        measure(relay, frame->rank);
        return;
    }
    struct frame_head head = {.message = FRAME, .kind = (int16_t)frame->kind};
    char *bytes = malloc(sizeof head + frame->count);
    if (!bytes)
        return;
    memcpy(bytes, &head, sizeof head);
    if (frame->count > 0)
        memcpy(bytes + sizeof head, frame->bytes, frame->count);
    say(relay, frame->rank, bytes, sizeof head + frame->count);
    free(bytes);
}

// The generator ended: what others are told of it.
static void bury_child(struct relay *relay, int status)
{
    char text[200] = {GONE};
    relay->child = 0;
    relay->child_code = WIFEXITED(status) ? WEXITSTATUS(status) : EXIT_FAILED;
    if (relay->net->rank == 0) {
        relay->end.code = relay->child_code;
        relay->over_ns = clock_now_ns();
        char bye = BYE;
        say_all(relay, &bye, 1);
        return;
    }
    int used = WIFSIGNALED(status) ? snprintf(text + 1, sizeof text - 1, "its generator was killed by SIG%s",
                                              sigabbrev_np(WTERMSIG(status)))
                                   : snprintf(text + 1, sizeof text - 1,
                                              "its generator ended with exit code %d", relay->child_code);
    if (relay->child_code != EXIT_OK)
        say_all(relay, text, (size_t)used + 1);
}

static void look_at_child(struct relay *relay)
{
    struct link_frame frame;
    int status;
    while (relay->child > 0 && link_next(&relay->link, &frame) > 0)
        pass(relay, &frame);
    if (relay->child > 0)
        (void)!link_flush(&relay->link);
    if (relay->child <= 0 || waitpid(relay->child, &status, WNOHANG) != relay->child)
        return;
    while (link_next(&relay->link, &frame) > 0) // its last words
        pass(relay, &frame);
    bury_child(relay, status);
}

// --- the end -----------------------------------------------------------------------------------------------

static void look_at_signals(struct relay *relay)
{
    struct signalfd_siginfo info;
    while (read(relay->signals, &info, sizeof info) == sizeof info)
        if (info.ssi_signo == SIGCONT) {
            relay->resumed_ns = clock_now_ns();
        } else if (info.ssi_signo != SIGCHLD && relay->asked_ns == 0) {
            relay->asked_ns = clock_now_ns();
            relay->asked_by = (int)info.ssi_signo;
        }
}

// After SIGTERM: who is silent since then was the reason for it. Otherwise somebody wants the run to end. Before SIGTERM
// mpirun sends SIGCONT: the silence may be counted from there, which leaves more time until SIGKILL.
static void judge_asked(struct relay *relay, int64_t now_ns)
{
    bool warned = relay->resumed_ns > 0 && relay->asked_ns - relay->resumed_ns < WARNED_NS;
    int64_t since_ns = warned ? relay->resumed_ns : relay->asked_ns;
    if (relay->asked_ns == 0 || relay->asked_done || relay->net->rank != 0 || now_ns < since_ns + ASKED_NS)
        return;
    relay->asked_done = true;
    bool all = true;
    for (int rank = 1; rank < relay->net->size; rank++)
        if (relay->peers[rank].lost) {
            all = false;
        } else if (relay->peers[rank].heard_ns < since_ns) {
            all = false;
            lose(relay, rank, "its MPI process was killed; mpirun then asked all others to end");
        }
    char text[32];
    int used = snprintf(text, sizeof text, "SIG%s", sigabbrev_np(relay->asked_by));
    if (all)
        tell(relay, RANKS_ASKED, 0, text, (size_t)used);
}

static void look_at_peers(struct relay *relay, int64_t now_ns)
{
    for (int rank = 0; rank < relay->net->size; rank++)
        if (watches(relay, rank) && now_ns - relay->peers[rank].heard_ns > RELAY_SILENCE_NS) {
            char why[100];
            snprintf(why, sizeof why, "nothing was heard of it for %d s", (int)(RELAY_SILENCE_NS / NS_PER_S));
            lose(relay, rank, why);
        }
    if (now_ns - relay->beat_ns < BEAT_NS)
        return;
    relay->beat_ns = now_ns;
    char beat = BEAT;
    say_all(relay, &beat, 1);
}

// Rank 0 has ended, or is lost. A generator that does not end by itself is told to, and then made to.
static void end_child(struct relay *relay, int64_t now_ns)
{
    bool alone = relay->net->rank != 0 && relay->peers[0].lost;
    if (relay->child <= 0 || (relay->over_ns == 0 && !alone))
        return;
    if (relay->told_ns == 0) {
        relay->told_ns = now_ns;
    } else if (now_ns > relay->told_ns + 4 * PATIENCE_NS) {
        kill(relay->child, SIGKILL);
    } else if (now_ns > relay->told_ns + 3 * PATIENCE_NS) {
        kill(relay->child, SIGTERM);
    }
}

static bool goes_on(struct relay *relay, int64_t now_ns)
{
    if (relay->child > 0)
        return true;
    if (relay->net->rank != 0)
        return relay->over_ns == 0 && !relay->peers[0].lost;
    for (int rank = 1; rank < relay->net->size; rank++)
        if (!relay->peers[rank].lost && !relay->peers[rank].bye)
            return now_ns < relay->over_ns + 4 * PATIENCE_NS + BYE_NS;
    return false;
}

static sigset_t signals_of_interest(void)
{
    sigset_t mask;
    sigemptyset(&mask);
    sigaddset(&mask, SIGTERM);
    sigaddset(&mask, SIGINT);
    sigaddset(&mask, SIGHUP);
    sigaddset(&mask, SIGCHLD);
    sigaddset(&mask, SIGCONT);
    return mask;
}

void relay_block_signals(void)
{
    sigset_t mask = signals_of_interest();
    pthread_sigmask(SIG_BLOCK, &mask, NULL);
}

static int open_signals(void)
{
    sigset_t mask = signals_of_interest();
    return signalfd(-1, &mask, SFD_CLOEXEC | SFD_NONBLOCK);
}

static void wait_a_little(const struct relay *relay, int64_t now_ns)
{
    if (now_ns < relay->awake_until_ns) {
        sched_yield();
        return;
    }
    bool kept = relay->link.out.from < relay->link.out.to;
    struct pollfd waits[] = {{.fd = relay->signals, .events = POLLIN},
                             {.fd = relay->child > 0 && relay->link.failed == 0 ? relay->link.fd : -1,
                              .events = (short)(POLLIN | (kept ? POLLOUT : 0))}};
    struct timespec time = {.tv_nsec = LOOK_NS};
    ppoll(waits, 2, &time, NULL);
}

struct relay_end relay_run(const struct relay_net *net, int fd, pid_t child)
{
    relay_block_signals();
    struct relay relay = {.net = net, .child = child, .signals = open_signals()};
    struct ranks_hello hello = {.rank = net->rank, .size = net->size};
    relay.peers = calloc((size_t)net->size, sizeof *relay.peers);
    link_open(&relay.link, fd);
    if (!relay.peers) { // the generator sees the end of the link
        link_close(&relay.link);
        return (struct relay_end){.code = EXIT_FAILED, .lost = true};
    }
    int64_t now_ns = clock_now_ns();
    for (int rank = 0; rank < net->size; rank++)
        relay.peers[rank].heard_ns = now_ns;
    tell(&relay, RANKS_HELLO, net->rank, &hello, sizeof hello);
    while (goes_on(&relay, now_ns)) {
        look_at_signals(&relay);
        while (hear_next(&relay))
            ;
        look_at_child(&relay);
        now_ns = clock_now_ns();
        judge_asked(&relay, now_ns);
        look_at_peers(&relay, now_ns);
        end_child(&relay, now_ns);
        wait_a_little(&relay, now_ns);
        now_ns = clock_now_ns();
    }
    // Whoever has not said that it ends would be waited for without limit.
    for (int rank = 1; net->rank == 0 && rank < net->size; rank++)
        relay.end.lost = relay.end.lost || !relay.peers[rank].bye;
    if (net->rank != 0) {
        char bye = BYE;
        say(&relay, 0, &bye, 1);
        relay.end.code = relay.peers[0].lost ? EXIT_FAILED : EXIT_OK;
    }
    free(relay.peers);
    link_close(&relay.link);
    close(relay.signals);
    return relay.end;
}
