// SPDX-License-Identifier: Apache-2.0
// A mix in a few plain lines, for tests, as the plain form that the generator reads:
//
//     group phones role=idle connections=50 subscribe
//     phase day duration=2s
//     phones do=churn rate=5                   what a group does in the phase above it
#ifndef POOLMARK_TESTS_MIX_TEXT_H
#define POOLMARK_TESTS_MIX_TEXT_H

// The JSON text, to be freed.
char *mix_text_json(const char *text);
// Writes it to a new file.
void mix_text_write(const char *text, const char *file);

#endif
