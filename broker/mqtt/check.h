// SPDX-License-Identifier: Apache-2.0
// CHECK(x_is_valid(x)): in checked builds (CHECK=1) a broken invariant is printed and the program aborts.
// Other builds do not evaluate it.
#ifndef POOLMARK_BROKER_MQTT_CHECK_H
#define POOLMARK_BROKER_MQTT_CHECK_H

#include <stdio.h>
#include <stdlib.h>

#ifdef POOLMARK_CHECK
#define CHECK(invariant)                                                                                     \
    do {                                                                                                     \
        if (!(invariant)) {                                                                                  \
            fprintf(stderr, "%s:%d: broken invariant: %s\n", __FILE__, __LINE__, #invariant);                \
            abort();                                                                                         \
        }                                                                                                    \
    } while (0)
#else
#define CHECK(invariant) ((void)sizeof(invariant))
#endif

#endif
