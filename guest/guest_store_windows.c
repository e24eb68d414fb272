// SPDX-License-Identifier: Apache-2.0
#include "guest_store.h"

#include <stdio.h>
#include <string.h>

const char kvpbus_guest_store_help[] =
    "registry, or registry:auto for a host that only reads what a guest says of its\n"
    "                   system (default registry)";
const char kvpbus_guest_examples[] =
    "On an installed machine nothing need be given. To try it:\n"
    "  kvpbus-guest --state guest-state --socket \\\\.\\pipe\\try-guest\n"
    "Before an image is made of this machine: kvpbus-guest generalize --help\n";

static const char registry[] = "registry", registry_auto[] = "registry:auto";

enum kvpbus_error kvpbus_guest_store_check(const char *name, struct kvpbus_failure *failure)
{
    return name[0] == '\0' || strcmp(name, registry) == 0 || strcmp(name, registry_auto) == 0
               ? KVPBUS_OK
               : kvpbus_fail(failure, KVPBUS_INVALID_ARGUMENT,
                             "'%.100s' is not a store of a guest on Windows; it is registry, or "
                             "registry:auto",
                             name);
}

enum kvpbus_error kvpbus_guest_store_open(const char *name, const char *prefix,
                                          struct kvpbus_store **store,
                                          struct kvpbus_failure *failure)
{
    bool outgoing_auto = strcmp(name, registry_auto) == 0;
    enum kvpbus_error error = kvpbus_guest_store_check(name, failure);
    return error == KVPBUS_OK ? kvpbus_registry_store_open(outgoing_auto ? KVPBUS_REGISTRY_AUTO
                                                                         : KVPBUS_REGISTRY_GUEST,
                                                           prefix, store, failure)
                              : error;
}

enum kvpbus_error kvpbus_guest_store_left(const char *name, const char *prefix,
                                          struct kvpbus_store **store,
                                          char place[KVPBUS_GUEST_STORE_PLACE],
                                          struct kvpbus_failure *failure)
{
    snprintf(place, KVPBUS_GUEST_STORE_PLACE, "the registry");
    *store = NULL;
    enum kvpbus_error error = kvpbus_guest_store_open(name, prefix, store, failure);
    return error == KVPBUS_NOT_HYPERV ? KVPBUS_OK : error;
}
