// SPDX-License-Identifier: Apache-2.0
//
// The configuration file: "name = value" lines in one section [kvpbus]. What the command line gave
// already stays.
#ifndef KVPBUS_CONFIG_H
#define KVPBUS_CONFIG_H

#include "service_main.h"

// KVPBUS_CONFIG: a line is wrong; failure names it, and what is possible.
enum kvpbus_error kvpbus_config_read(const char *path, struct kvpbus_service_arguments *arguments,
                                     struct kvpbus_failure *failure);

// "512", "64k", "16M", "2G" in bytes; "500ms", "10s", "5m", "2h", "1d" in ms. False: not one.
bool kvpbus_parse_size(const char *text, uint64_t *bytes);
bool kvpbus_parse_duration(const char *text, uint64_t *ms);

#endif
