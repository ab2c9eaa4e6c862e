// SPDX-License-Identifier: Apache-2.0
#include "loadgen/program.h"

#include <stddef.h>

int main(int argc, char **argv)
{
    return loadgen_program(argc, argv, NULL);
}
