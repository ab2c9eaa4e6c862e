// SPDX-License-Identifier: Apache-2.0
// The store of a pool (broker/mqtt/block.h) for tests that have a pool and want messages or sessions of it.
// No account is kept.
#ifndef POOLMARK_TESTS_STORE_OF_H
#define POOLMARK_TESTS_STORE_OF_H

#include "broker/mqtt/block.h"

// The same for the same pool, until the test program ends. Any thread.
struct block_store *store_of(struct pool *pool);

#endif
