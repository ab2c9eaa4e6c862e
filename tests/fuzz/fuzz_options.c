// SPDX-License-Identifier: Apache-2.0
// libFuzzer target (make fuzz-options): command lines of the broker and of the generator. The first line of an input is
// `broker` or `generator`, each further line one word. Whatever the words are, there is a configuration within its bounds, or a
// text that says what is wrong.
//
// Words that name devices or files outside the folder are left out: a read of them could last for ever.
#include "broker/bounds.h"
#include "loadgen/command_line.h"

#include "base/opts.h"

#include <stdlib.h>
#include <string.h>

enum { WORDS_MAX = 256, DESCRIPTORS = 1000 };

static void check(bool holds)
{
    if (!holds)
        abort();
}

static bool is_outside(const char *text)
{
    static const char *const parts[] = {"/dev", "/proc", "/sys", "..", "=/", "//"};
    if (text[0] == '/')
        return true;
    for (size_t i = 0; i < sizeof parts / sizeof parts[0]; i++)
        if (strstr(text, parts[i]) && strncmp(text, "mqtt://", 7) != 0)
            return true;
    return false;
}

// false: there is no configuration.
static bool check_result(int code, const struct err *err)
{
    check(code >= 0 || strlen(err->text) > 0);
    return code == OPTS_RUN;
}

static void run_broker(int count, char **words)
{
    static struct broker_config config;
    struct err err = {.text = ""};
    if (!check_result(broker_config_parse(&config, count, words, &err), &err))
        return;
    check(config.threads >= 1 && config.threads <= CONFIG_THREADS_MAX);
    check(config.listen_count >= 1 && config.listen_count <= CONFIG_LISTEN_MAX);
    for (int i = 0; i < BROKER_POOL_COUNT; i++) {
        const struct pool_config *pool = &config.pools[i].config;
        check(config.pools[i].strategy && pool->object_bytes > 0 && pool->initial >= 0 && pool->max >= 0);
        check(pool->max == 0 || pool->initial <= pool->max);
    }
    struct bounds bounds = bounds_of(&config, DESCRIPTORS);
    check(bounds.clients <= DESCRIPTORS && bounds.own > 0 && bounds.whole >= bounds.own);
}

static void run_generator(int count, char **words)
{
    static struct config config;
    struct err err = {.text = ""};
    if (check_result(command_line_parse(&config, count, words, &err), &err)) {
        check(config.scenario && config.targets.count > 0);
        json_decref(command_line_json(&config));
    }
    command_line_free(&config);
}

// libFuzzer calls this function.
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char *words[WORDS_MAX + 1] = {NULL};
    int count = 0;
    bool is_ours = true;
    char *text = malloc(size + 1);
    check(text != NULL);
    memcpy(text, data, size);
    text[size] = '\0';
    for (char *rest = text, *line; count < WORDS_MAX && (line = strsep(&rest, "\n"));) {
        words[count] = strdup(line); // a block of its own, so that a sanitizer sees a read past the end
        check(words[count] != NULL);
        is_ours = is_ours && !is_outside(words[count]);
        count++;
    }
    if (is_ours && strcmp(words[0], "broker") == 0)
        run_broker(count, words);
    else if (is_ours && strcmp(words[0], "generator") == 0)
        run_generator(count, words);
    for (int i = 0; i < count; i++)
        free(words[i]);
    free(text);
    return 0;
}
