// SPDX-License-Identifier: Apache-2.0
// A registry with pools and something that presses on it, for tests of pools/pool_pressure.h.
#ifndef POOLMARK_TESTS_PRESSURE_SCENE_H
#define POOLMARK_TESTS_PRESSURE_SCENE_H

#include "pools/pool_pressure.h"

#include <semaphore.h>

enum { SCENE_OBJECT_BYTES = 3072, SCENE_OBJECTS = 1000, SCENE_HEARD_MAX = 64 };

struct scene {
    struct pool_registry *registry;
    struct pool_pressure_config config;
    struct pool_pressure *pressure; // NULL until scene_open

    // What the listener heard.
    int count;
    char names[SCENE_HEARD_MAX][POOL_REGISTRY_NAME_MAX + 1];
    struct pool_pressure_event events[SCENE_HEARD_MAX];
    sem_t heard; // posted after each
};

// With a config that watches nothing, has no thread of its own, and hears.
void scene_begin(struct scene *scene);
void scene_open(struct scene *scene); // the pressure; fails the test when it cannot be opened
void scene_end(struct scene *scene);

// A pool in which SCENE_OBJECTS objects lie idle, after so many gets more.
void scene_add(struct scene *scene, const char *strategy, const char *name, int more_gets);

int64_t scene_owned_bytes(struct scene *scene); // of at most eight pools
struct pool_pressure_stats scene_stats(struct scene *scene);

// Writes a file of that folder anew.
void scene_write(const char *folder, const char *name, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

#endif
