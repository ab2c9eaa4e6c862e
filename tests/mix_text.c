// SPDX-License-Identifier: Apache-2.0
#include "tests/mix_text.h"

#include <jansson.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

// "rate=5 subscribe" becomes ["--rate", "5", "--subscribe"]. A word that begins with "!" stays as it is.
static json_t *options_of(char **rest)
{
    json_t *list = json_array();
    for (char *word; (word = strtok_r(NULL, " ", rest)) != NULL;) {
        char *value = strchr(word, '=');
        if (value)
            *value++ = '\0';
        json_array_append_new(list, *word == '!' ? json_string(word + 1) : json_sprintf("--%s", word));
        if (value)
            json_array_append_new(list, json_string(value));
    }
    return list;
}

static void add_line(json_t *root, char *line)
{
    json_t *groups = json_object_get(root, "groups"), *phases = json_object_get(root, "phases");
    char *rest = NULL, *word = strtok_r(line, " ", &rest);
    if (!word)
        return;
    bool group = strcmp(word, "group") == 0, phase = strcmp(word, "phase") == 0;
    const char *name = group || phase ? strtok_r(NULL, " ", &rest) : word;
    json_t *one =
        json_pack("{s:s,s:o}", group || phase ? "name" : "group", name, "options", options_of(&rest));
    if (phase)
        json_object_set_new(one, "acts", json_array());
    json_t *last = json_array_get(phases, json_array_size(phases) - 1);
    assert_non_null(one);
    assert_int_equal(json_array_append_new(group   ? groups
                                           : phase ? phases
                                                   : json_object_get(last, "acts"),
                                           one),
                     0);
}

char *mix_text_json(const char *text)
{
    json_t *root = json_pack("{s:[],s:[]}", "groups", "phases");
    char *copy = strdup(text), *rest = NULL;
    assert_non_null(copy);
    for (char *line = strtok_r(copy, "\n", &rest); line; line = strtok_r(NULL, "\n", &rest))
        add_line(root, line);
    free(copy);
    char *made = json_dumps(root, JSON_INDENT(1));
    assert_non_null(made);
    json_decref(root);
    return made;
}

void mix_text_write(const char *text, const char *file)
{
    char *json = mix_text_json(text);
    FILE *to = fopen(file, "w");
    assert_non_null(to);
    assert_true(fputs(json, to) >= 0);
    assert_int_equal(fclose(to), 0);
    free(json);
}
