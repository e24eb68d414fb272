// SPDX-License-Identifier: Apache-2.0
//
// What the service manager of Windows knows of a service, and the source of its events.
#ifndef KVPBUS_SERVICE_INSTALL_WINDOWS_H
#define KVPBUS_SERVICE_INSTALL_WINDOWS_H

#include <stdbool.h>
#include <stdint.h>

#include "kvpbus/error.h"

struct kvpbus_service_about {
    const char *name, *title, *says;
    bool late; // starts when the system has been up for a while
};

// Whether this user may register it; to be asked before anything is made for it.
enum kvpbus_error kvpbus_service_may_install(const char *name, struct kvpbus_failure *failure);
// Registers this program. One that is registered already becomes this one, and keeps how it starts,
// its account, and, where `options` is NULL, its options; they end with NULL.
enum kvpbus_error kvpbus_service_install(const struct kvpbus_service_about *about,
                                         char *const *options, struct kvpbus_failure *failure);
// Stops it first. KVPBUS_NOT_FOUND: it is not registered; its source of events is gone then too.
enum kvpbus_error kvpbus_service_uninstall(const struct kvpbus_service_about *about,
                                           struct kvpbus_failure *failure);

// Both wait for it, and find it right when it is so already.
enum kvpbus_error kvpbus_service_have_started(const char *name, struct kvpbus_failure *failure);
enum kvpbus_error kvpbus_service_have_stopped(const char *name, struct kvpbus_failure *failure);
// "running", "stopped", "starting", "stopping".
enum kvpbus_error kvpbus_service_state(const char *name, const char **state,
                                       struct kvpbus_failure *failure);

#endif
