// SPDX-License-Identifier: Apache-2.0
#include "loadgen/scenarios/comeback.h"

#include <errno.h>

int comeback_check(const struct comeback *comeback, struct err *err)
{
    if (comeback->first_ns == 0 && (comeback->most_ns > 0 || comeback->jitter > 0))
        return err_set(err, -EINVAL, "--%s: without --backoff no client tries again",
                       comeback->most_ns > 0 ? "backoff-max" : "jitter");
    if (comeback->most_ns > 0 && comeback->most_ns < comeback->first_ns)
        return err_set(err, -EINVAL, "--backoff-max is less than --backoff");
    return 0;
}

void comeback_describe(json_t *json, const struct comeback *comeback)
{
    json_object_set_new(json, "backoff_ns", json_integer(comeback->first_ns));
    json_object_set_new(json, "backoff_max_ns", json_integer(comeback->most_ns));
    json_object_set_new(json, "jitter", json_real(comeback->jitter));
    json_object_set_new(json, "give_up_ns", json_integer(comeback->give_up_ns));
}

struct backoff comeback_backoff(const struct comeback *comeback)
{
    return (struct backoff){.first_ns = comeback->first_ns,
                            .most_ns = comeback->most_ns > 0 ? comeback->most_ns : comeback->first_ns,
                            .jitter = comeback->jitter};
}

bool comeback_waits_first(const struct comeback *comeback)
{
    return comeback->most_ns > 0 || comeback->jitter > 0;
}

int comeback_keep(struct config *config, const struct comeback *comeback, struct err *err)
{
    int code = comeback_check(comeback, err);
    if (code < 0)
        return code;
    config->backoff = comeback_backoff(comeback);
    config->waits_first = comeback_waits_first(comeback);
    config->give_up_ns = comeback->first_ns > 0 ? comeback->give_up_ns : 0;
    return 0;
}
