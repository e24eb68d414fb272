// SPDX-License-Identifier: Apache-2.0
//
// The command line of both services: options, configuration file, defaults.
#ifndef KVPBUS_SERVICE_MAIN_H
#define KVPBUS_SERVICE_MAIN_H

#include "service.h"

struct kvpbus_service_defaults {
    enum kvpbus_role role;
    const char *program, *summary, *store_help, *config, *state, *socket, *examples;
    // Whether a store can be named so. KVPBUS_INVALID_ARGUMENT.
    enum kvpbus_error (*check_store)(const char *store, struct kvpbus_failure *failure);
};

enum { KVPBUS_CONFIG_QUOTAS_MAX = 64 };

struct kvpbus_service_arguments {
    struct kvpbus_service_options options;
    struct kvpbus_quota quotas[KVPBUS_CONFIG_QUOTAS_MAX]; // of single VMs, in any order
    size_t quota_count;
    char store[KVPBUS_PATH_MAX]; // as given, "" when not
    char state[KVPBUS_PATH_MAX], socket[KVPBUS_PATH_MAX], prefix[KVPBUS_PREFIX_MAX + 1];
    char metrics[KVPBUS_PATH_MAX];
    char config[KVPBUS_PATH_MAX];
    // "" when not given.
    char trusted_host[KVPBUS_PATH_MAX], known_guests[KVPBUS_PATH_MAX];
    char enroll_token_file[KVPBUS_PATH_MAX];
    enum kvpbus_log_level log;
    enum kvpbus_log_format log_format;
};

// Reads the arguments and the configuration file; prints help, version or what was wrong itself.
// Returns -1 to go on, else the exit code.
int kvpbus_service_arguments(int argc, char **argv, const struct kvpbus_service_defaults *defaults,
                             struct kvpbus_service_arguments *arguments);

// Adds what neither the command line nor the file has said. The options point into the arguments
// then.
void kvpbus_service_complete(const struct kvpbus_service_defaults *defaults,
                             struct kvpbus_service_arguments *arguments);
// Whether the service could begin with these, which are complete, as far as they tell by
// themselves: in the words of its start. KVPBUS_CONFIG, KVPBUS_INVALID_ARGUMENT.
enum kvpbus_error kvpbus_service_arguments_check(const struct kvpbus_service_defaults *defaults,
                                                 const struct kvpbus_service_arguments *arguments,
                                                 struct kvpbus_failure *failure);

// A file of trust is about to take the standard one's place: --check-config does not look at that.
void kvpbus_service_trust_comes(void);

// The files of trust that the options name, or the standard ones.
void kvpbus_service_name_trust(struct kvpbus_service_arguments *arguments, enum kvpbus_role role);

// "kvpbus-host: detail" on stderr; returns the exit code.
int kvpbus_service_failed(const char *program, const struct kvpbus_failure *failure);

#endif
