// SPDX-License-Identifier: Apache-2.0
// Macros of libraries for cppcheck, which reads no system headers. For mk/analyse.mk only.
#define json_object_foreach(object, key, value) while (key = json_next_key(object), value = json_next(object))
#define json_array_foreach(array, index, value) for (index = 0; (value = json_array_get(array, index)); index++)
