// SPDX-License-Identifier: Apache-2.0
// Runs something that must end its process, in a child process, and says how it ended and what it wrote to
// stderr.
#ifndef POOLMARK_TESTS_DEATH_H
#define POOLMARK_TESTS_DEATH_H

#include <stddef.h>

// The signal that ended the child, 0 if `body` returned, -1 if there was no child. `said` gets stderr, cut at
// `size`. Call it while the process has one thread.
int death_of(void (*body)(void *), void *argument, char *said, size_t size);

#endif
