// SPDX-License-Identifier: Apache-2.0
// The search of the filters that match a topic name, in a tree of filters (level_tree.h). A name of n levels can match 2^n
// filters, since + stands for any level. So the search can stop, and go on later, when the tree may have changed: a node that
// is there from the first look to the last is found exactly once.
//
// Under the owner's lock from begin or resume to end.
//
//     struct level_search search;
//     level_search_begin(&search, tree, name);
//     while ((node = level_search_next(&search, most))) ...level_node_value(node)...
//     if (search.name.no_memory) ...the search ended early...
//     else if (!search.is_over) level_search_keep(&search, trail);      // later: level_search_resume
//     level_search_end(&search);
#ifndef POOLMARK_BROKER_MQTT_LEVEL_FILTERS_H
#define POOLMARK_BROKER_MQTT_LEVEL_FILTERS_H

#include "broker/mqtt/level_reader.h"
#include "broker/mqtt/level_tree.h"

// What is done of a node: nothing but itself, then its children # , the one with the name of the next level, and + .
enum level_done { LEVEL_DONE_ITSELF, LEVEL_DONE_HASH, LEVEL_DONE_NAMED, LEVEL_DONE_ALL };

// Owners read the last two fields and `name.no_memory`, and leave the others alone.
struct level_search {
    struct level_reader name;
    struct level_node *node; // looked at last
    size_t depth;            // levels of the name that led to it
    enum level_done done;
    int64_t looked; // nodes gone through
    bool is_over;
};

void level_search_begin(struct level_search *search, const struct level_tree *tree, struct mqtt_text name);
void level_search_end(struct level_search *search);

// The next node with a value that matches, among the next `most` nodes. NULL: there is none, or the search is over.
struct level_node *level_search_next(struct level_search *search, int64_t most);

// The place of a search: how it went down to the node looked at last. Two bits for each step.
struct level_trail {
    size_t count;
    uint8_t steps[];
};
size_t level_trail_bytes(struct mqtt_text name); // of a trail for a search by that name

void level_search_keep(const struct level_search *search, struct level_trail *trail);
// In the place of level_search_begin: goes on behind the trail. Returns its node; NULL: it is not there any more.
struct level_node *level_search_resume(struct level_search *search, const struct level_tree *tree,
                                       struct mqtt_text name, const struct level_trail *trail);

#endif
