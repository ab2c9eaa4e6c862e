// SPDX-License-Identifier: Apache-2.0
// The committed inputs of a fuzzer, each run once through its target (LLVMFuzzerTestOneInput), which is linked into the test. So
// every build with a sanitizer meets them, without a fuzzer.
#ifndef POOLMARK_TESTS_FUZZ_CORPUS_H
#define POOLMARK_TESTS_FUZZ_CORPUS_H

// Runs every file of the folder, in a block of its own size. Fails the test when there is none.
void fuzz_corpus_run(const char *folder);

#endif
