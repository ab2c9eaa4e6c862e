// SPDX-License-Identifier: Apache-2.0
// The addresses that the pools of this process have mapped, so that their pages can be counted. Global to the process,
// as its memory is. Any thread.
#ifndef POOLMARK_BROKER_POOL_MAPS_H
#define POOLMARK_BROKER_POOL_MAPS_H

#include "base/mappings.h"

void pool_maps_watch(void); // from now on; before the first pool is opened

// Copies at most `most` ranges to `ranges`. Returns how many there are; the caller asks again with more room. A map for
// whose range there was no memory is not among them.
size_t pool_maps_list(struct mapping_range *ranges, size_t most);
size_t pool_maps_bytes(void); // heap bytes of the list itself

#endif
