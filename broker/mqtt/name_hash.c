// SPDX-License-Identifier: Apache-2.0
#include "broker/mqtt/name_hash.h"

#include <sys/random.h>

void name_key_make(struct name_key *key)
{
    // Early at boot there may be no random bytes yet; then the addresses of this process are what nobody outside knows.
    if (getrandom(key, sizeof *key, GRND_NONBLOCK) != (ssize_t)sizeof *key)
        *key = (struct name_key){(uintptr_t)key * UINT64_C(0x9E3779B97F4A7C15),
                                 (uintptr_t)&name_key_make * UINT64_C(0xD6E8FEB86659FD93)};
    key->factor |= 1;
}
