// SPDX-License-Identifier: Apache-2.0
//
// The configuration file: "name = value" lines in the sections [kvpbus] and
// [security]. What the command line gave
// already stays. One table has all options; the file kvpbus.conf is printed from it.
#ifndef KVPBUS_CONFIG_H
#define KVPBUS_CONFIG_H

#include <stdio.h>

#include "service_main.h"

enum { KVPBUS_CONFIG_OPTIONS_MAX = 64 };

// KVPBUS_CONFIG: a value is wrong, or an option of the section [security] is unknown; failure names
// it, and what is possible. Other unknown options are told to `warn` and counted.
typedef void kvpbus_config_warn_fn(const char *text);
enum kvpbus_error kvpbus_config_read(const char *path, struct kvpbus_service_arguments *arguments,
                                     kvpbus_config_warn_fn *warn, size_t *unknown,
                                     struct kvpbus_failure *failure);
// The same of an open file; `path` is for messages.
enum kvpbus_error kvpbus_config_read_stream(FILE *file, const char *path,
                                            struct kvpbus_service_arguments *arguments,
                                            kvpbus_config_warn_fn *warn, size_t *unknown,
                                            struct kvpbus_failure *failure);

// The file with every option, its values and its default, all commented out.
void kvpbus_config_print(FILE *out);
void kvpbus_config_each(void (*visit)(const char *name, const char *values, const char *says));

// Which options differ; returns how many, at most KVPBUS_CONFIG_OPTIONS_MAX.
struct kvpbus_config_change {
    const char *name;
    bool at_once;
};
size_t kvpbus_config_changes(const struct kvpbus_service_arguments *now,
                             const struct kvpbus_service_arguments *fresh,
                             struct kvpbus_config_change *changes);

// "512", "64k", "16M", "2G" in bytes; "500ms", "10s", "5m", "2h", "1d" in ms. False: not one.
bool kvpbus_parse_size(const char *text, uint64_t *bytes);
bool kvpbus_parse_duration(const char *text, uint64_t *ms);

#endif
