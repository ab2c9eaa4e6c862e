// SPDX-License-Identifier: Apache-2.0
#include "tests/pressure_scene.h"

#include "tests/temp_dir.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>

#include <cmocka.h>

static void hear(void *context, const char *name, const struct pool_pressure_event *event)
{
    struct scene *scene = context;
    if (scene->count < SCENE_HEARD_MAX) {
        snprintf(scene->names[scene->count], sizeof scene->names[0], "%s", name);
        scene->events[scene->count++] = *event;
    }
    sem_post(&scene->heard);
}

void scene_begin(struct scene *scene)
{
    struct err err = {0};
    *scene = (struct scene){.config = POOL_PRESSURE_DEFAULTS};
    sem_init(&scene->heard, 0, 0);
    if (pool_registry_open(&scene->registry, &err) < 0)
        fail_msg("%s", err.text);
    scene->config.registry = scene->registry;
    scene->config.group = scene->config.stall_file = "";
    scene->config.own_thread = false;
    scene->config.listener = hear;
    scene->config.listener_context = scene;
}

void scene_open(struct scene *scene)
{
    struct err err = {0};
    if (pool_pressure_open(&scene->pressure, &scene->config, &err) < 0)
        fail_msg("%s", err.text);
}

void scene_end(struct scene *scene)
{
    struct err err = {0};
    pool_pressure_close(scene->pressure);
    if (pool_registry_close(scene->registry, &err) < 0)
        fail_msg("%s", err.text);
    sem_destroy(&scene->heard);
}

void scene_add(struct scene *scene, const char *strategy_name, const char *name, int more_gets)
{
    struct err err = {0};
    struct pool_config config = POOL_CONFIG_DEFAULTS;
    const struct pool_strategy *strategy = pool_strategy_find(strategy_name);
    void *objects[SCENE_OBJECTS];
    config.name = name;
    config.object_bytes = SCENE_OBJECT_BYTES;
    config.growth_mode = POOL_GROW_INLINE;
    config.initial = pool_strategy_caps(strategy) & POOL_CAP_GROWS ? 0 : SCENE_OBJECTS;
    (void)pool_config_fit(strategy, &config);
    if (pool_registry_add(scene->registry, strategy, &config, &err) < 0)
        fail_msg("%s", err.text);
    struct pool *pool = pool_registry_find(scene->registry, name);
    for (int i = 0; i < SCENE_OBJECTS; i++)
        assert_non_null(objects[i] = pool_get(pool));
    for (int i = 0; i < SCENE_OBJECTS; i++)
        pool_put(pool, objects[i]);
    for (int i = 0; i < more_gets; i++)
        pool_put(pool, pool_get(pool));
    pool_registry_release(scene->registry, pool);
}

int64_t scene_owned_bytes(struct scene *scene)
{
    enum { MOST = 8 };
    struct pool_listing pools[MOST];
    int64_t count = pool_registry_list(scene->registry, pools, MOST), bytes = 0;
    assert_in_range(count, 0, MOST);
    for (int64_t i = 0; i < count; i++)
        bytes += pools[i].stats.bytes_owned;
    return bytes;
}

struct pool_pressure_stats scene_stats(struct scene *scene)
{
    struct pool_pressure_stats stats;
    pool_pressure_stats(scene->pressure, &stats);
    return stats;
}

void scene_write(const char *folder, const char *name, const char *format, ...)
{
    char file[TEMP_PATH_SIZE];
    va_list arguments;
    FILE *to = fopen(temp_dir_file(folder, name, file), "w");
    assert_non_null(to);
    va_start(arguments, format);
    vfprintf(to, format, arguments);
    va_end(arguments);
    assert_int_equal(fclose(to), 0);
}
