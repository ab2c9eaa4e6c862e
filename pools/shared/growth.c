// SPDX-License-Identifier: Apache-2.0
#include "pools/shared/growth.h"

#include "base/clock.h"

#include <math.h>

enum { PIECES_A_STEP = 64 };

int64_t growth_trigger(int64_t owned, int64_t expand_at_percent)
{
    return owned * expand_at_percent / 100;
}

int64_t growth_next(int64_t owned, double growth, int64_t max)
{
    // 100 x 1.15 is 114.999... in binary: a product that is whole on paper must not lose one to rounding.
    const double rounding = 1e-6;
    int64_t next = (int64_t)floor((double)owned * growth + rounding);
    if (next <= owned)
        next = owned + 1;
    return max && next > max ? max : next;
}

int64_t growth_piece(int64_t planned, size_t object_bytes)
{
    int64_t bytes = planned * (int64_t)object_bytes / PIECES_A_STEP;
    if (bytes < GROWTH_PIECE_BYTES_MIN)
        bytes = GROWTH_PIECE_BYTES_MIN;
    if (bytes > GROWTH_PIECE_BYTES_MAX)
        bytes = GROWTH_PIECE_BYTES_MAX;
    int64_t count = bytes / (int64_t)object_bytes;
    return count > 1 ? count : 1;
}

void growth_begin(struct growth_step *step, int64_t from, int64_t planned, int64_t trigger,
                  size_t object_bytes)
{
    *step = (struct growth_step){.from = from, .trigger = trigger, .planned = planned, .left = planned};
    step->piece = growth_piece(planned, object_bytes);
}

int64_t growth_take(struct growth_step *step)
{
    int64_t count = step->left < step->piece ? step->left : step->piece;
    step->left -= count;
    step->making += count;
    return count;
}

bool growth_made(struct growth_step *step, int64_t taken, int64_t made, int64_t took_ns)
{
    step->making -= taken;
    step->made += made;
    step->spent_ns += took_ns;
    if (made < taken)
        step->left = 0;
    return step->left == 0 && step->making == 0;
}

struct pool_event growth_event(const struct growth_step *step)
{
    return (struct pool_event){.kind = POOL_EVENT_EXPAND,
                               .at_ns = clock_now_ns(),
                               .duration_ns = step->spent_ns,
                               .from = step->from,
                               .to = step->from + step->made,
                               .trigger = step->trigger};
}
