// SPDX-License-Identifier: Apache-2.0
// The steps of the model of the hot pool: of threads that check out and return, of its own threads, and of time.
#include "tests/model/hot_model.h"

#include <errno.h>
#include <string.h>

static const char *violated;

void claim(bool holds, const char *text)
{
    if (!holds && !violated)
        violated = text;
}

const char *claims_violated(void)
{
    const char *text = violated;
    violated = NULL;
    return text;
}

// --- steps of a thread

static void begin_wait(struct thread *me)
{
    memset(&me->waiter, 0, sizeof me->waiter);
    me->waiter.host = hosts[me->host];
    me->waiter.ticket = me->ticket;
    me->pc = WAITING;
    hot_state_wait(&pool, &me->waiter, NOW_NS);
}

static void end_operation(struct thread *me)
{
    memset(&me->waiter, 0, sizeof me->waiter);
    me->connection = NULL;
    me->ticket = 0;
    me->host = 0;
    me->pc = --me->left > 0 ? AT_REST : DONE;
}

static void look(struct thread *me)
{
    struct hot_host *host = hosts[me->host];
    if (pool.draining) {
        end_operation(me);
        return;
    }
    const struct hot_waiter *first = TAILQ_FIRST(&host->waiters);
    bool barges = first && first->ticket < me->ticket;
    struct hot_connection *connection = hot_state_take(&pool, host, me->ticket, NOW_NS);
    claim(!connection || !barges, "a checkout overtook a waiter");
    me->connection = connection;
    if (!connection)
        begin_wait(me);
    else
        me->pc = connection->where == HOT_CHECKED ? CHECKING : HAS_ONE;
}

static void end_check(struct thread *me, bool healthy)
{
    struct hot_connection *connection = me->connection;
    hot_state_checked(&pool, connection, healthy, true, NOW_NS);
    me->pc = HAS_ONE;
    if (connection->where != HOT_OUT) {
        me->connection = NULL;
        look(me);
    }
}

static bool wake(struct thread *me)
{
    if (me->waiter.answer == HOT_WAITS)
        return false;
    if (me->waiter.answer == HOT_REFUSED) {
        end_operation(me);
        return true;
    }
    me->connection = me->waiter.connection;
    memset(&me->waiter, 0, sizeof me->waiter);
    me->pc = HAS_ONE;
    return true;
}

// Thread 0 has no deadline.
static bool reach_deadline(struct thread *me)
{
    if (me == &arena.threads[0])
        return false;
    if (me->waiter.answer == HOT_WAITS) {
        hot_state_give_up(&pool, &me->waiter, NOW_NS);
        end_operation(me);
        return true;
    }
    if (mistake != MISTAKE_DEADLINE_FIRST)
        return wake(me);
    end_operation(me);
    return true;
}

static void give_back(struct thread *me, bool works)
{
    struct hot_connection *connection = me->connection;
    if (mistake == MISTAKE_WAKE_ONLY && works && connection->host->waiting > 0)
        hot_connection_put_idle(&pool, connection);
    else
        hot_state_return(&pool, connection, works, NOW_NS);
    end_operation(me);
}

bool step_thread(struct thread *me, int what)
{
    switch (me->pc) {
    case AT_REST:
        if (what >= setup.hosts)
            return false;
        me->host = what;
        me->ticket = pool.next_ticket++;
        look(me);
        return true;
    case WAITING:
        return what == 0 ? wake(me) : reach_deadline(me);
    case CHECKING:
        end_check(me, what == 0);
        return true;
    case HAS_ONE:
        give_back(me, what == 0);
        return true;
    default:
        return false;
    }
}

// --- steps of the pool's threads, and of time

static bool is_checked_by_thread(const struct hot_connection *connection)
{
    for (int t = 0; t < setup.threads; t++) {
        if (arena.threads[t].pc == CHECKING && arena.threads[t].connection == connection)
            return true;
    }
    return false;
}

bool step_slot(struct small *slot, int what)
{
    struct hot_connection *connection = &slot->connection;
    enum hot_where where = connection->where;
    if (!slot->used)
        return false;
    if (what == OPEN_WELL || what == OPEN_FAILS) {
        if (where != HOT_OPENING && where != HOT_OVERDUE)
            return false;
        (void)hot_state_opened(&pool, connection, what == OPEN_WELL ? 0 : -ECONNREFUSED, NOW_NS);
    } else if (what == IS_LATE) {
        if (where != HOT_OPENING || pool.count[HOT_OVERDUE] > 0)
            return false;
        connection->began_ns = NOW_NS - pool.config.open_timeout_ns;
        if (mistake == MISTAKE_SILENT_OVERDUE)
            hot_connection_move(&pool, connection, HOT_OVERDUE);
        else
            hot_state_expire(&pool, NOW_NS);
    } else if (what == CLOSE_ENDS) {
        if (where != HOT_CLOSING)
            return false;
        if (mistake == MISTAKE_SILENT_CLOSE)
            hot_connection_free(&pool, connection);
        else
            hot_state_closed(&pool, connection, NOW_NS);
    } else {
        if (where != HOT_CHECKED || is_checked_by_thread(connection))
            return false;
        hot_state_checked(&pool, connection, what == CHECK_WELL, false, NOW_NS);
    }
    return true;
}

static bool begin_open(void)
{
    struct hot_connection *connection = TAILQ_FIRST(&pool.lists[HOT_WANTED]);
    if (!connection)
        return false;
    if (mistake == MISTAKE_OPEN_ALL)
        hot_connection_move(&pool, connection, HOT_OPENING);
    else
        connection = hot_state_next_open(&pool, NOW_NS);
    if (connection)
        claim(connection->host->count[HOT_OPENING] <= connection->host->waiting,
              "more opens begin than waiters are there");
    return true;
}

static bool retry(void)
{
    bool any = false;
    for (int i = 0; i < setup.hosts; i++) {
        any = any || hosts[i]->blocked_ns > NOW_NS;
        hosts[i]->blocked_ns = 0;
    }
    if (any && mistake != MISTAKE_NO_RETRY)
        hot_state_expire(&pool, NOW_NS);
    return any && mistake != MISTAKE_NO_RETRY;
}

bool step_other(int what)
{
    switch (what) {
    case BEGIN_OPEN:
        return begin_open();
    case BEGIN_CLOSE:
        return hot_state_next_close(&pool) != NULL;
    case BEGIN_CHECK:
        return setup.checks && pool.count[HOT_CHECKED] == 0 && hot_state_next_check(&pool, false, NOW_NS);
    case DRAIN:
        if (!setup.drains || pool.draining)
            return false;
        if (mistake == MISTAKE_DRAIN_ALONE)
            pool.draining = true;
        else
            hot_state_drain(&pool);
        return true;
    default:
        return retry();
    }
}
