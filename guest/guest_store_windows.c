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

enum kvpbus_error kvpbus_guest_store_open(const char *name, const char *prefix,
                                          struct kvpbus_store **store,
                                          struct kvpbus_failure *failure)
{
    enum kvpbus_registry_outgoing outgoing = KVPBUS_REGISTRY_GUEST;
    if (strcmp(name, "registry:auto") == 0)
        outgoing = KVPBUS_REGISTRY_AUTO;
    else if (name[0] != '\0' && strcmp(name, "registry") != 0)
        return kvpbus_fail(failure, KVPBUS_INVALID_ARGUMENT,
                           "'%.100s' is not a store of a guest on Windows; it is registry, or "
                           "registry:auto",
                           name);
    return kvpbus_registry_store_open(outgoing, prefix, store, failure);
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
