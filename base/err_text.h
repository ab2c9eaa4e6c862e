// SPDX-License-Identifier: Apache-2.0
// The text of an error, without the functions that write it. pools/pool.h passes it to programs that use the
// pools as a library and need nothing else of base/.
#ifndef POOLMARK_BASE_ERR_TEXT_H
#define POOLMARK_BASE_ERR_TEXT_H

struct err {
    char text[512]; // one line, without program name or newline; empty when nothing failed
};

#endif
