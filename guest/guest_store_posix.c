// SPDX-License-Identifier: Apache-2.0
#include "guest_store.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

static const char pool[] = "pool:";
static const char installed_pool[] = "/var/lib/hyperv";
// The device, and the same in a sandbox that has no devices.
static const char kvp_device[] = "/dev/vmbus/hv_kvp";
static const char kvp_device_known[] = "/sys/devices/virtual/misc/vmbus!hv_kvp";

const char kvpbus_guest_store_help[] =
    "pool:DIR, the folder of the KVP pool files (default pool:/var/lib/hyperv)";
const char kvpbus_guest_examples[] =
    "On an installed machine nothing need be given. In the lab:\n"
    "  kvpbus-guest --store pool:lab/vm/web/kvp --state guest-state --socket guest.sock\n"
    "Before an image is made of this machine: kvpbus-guest generalize --help\n";

static bool is_pool(const char *name)
{
    return strncmp(name, pool, strlen(pool)) == 0 && name[strlen(pool)] != '\0';
}

enum kvpbus_error kvpbus_guest_store_check(const char *name, struct kvpbus_failure *failure)
{
    return name[0] == '\0' || is_pool(name)
               ? KVPBUS_OK
               : kvpbus_fail(failure, KVPBUS_INVALID_ARGUMENT,
                             "'%s' is not a store of a guest; it is pool: and the folder of the "
                             "pool files",
                             name);
}

enum kvpbus_error kvpbus_guest_store_open(const char *name, const char *prefix,
                                          struct kvpbus_store **store,
                                          struct kvpbus_failure *failure)
{
    const char *directory = installed_pool;
    enum kvpbus_error error = kvpbus_guest_store_check(name, failure);
    if (error != KVPBUS_OK)
        return error;
    if (is_pool(name)) {
        directory = name + strlen(pool);
    } else if (access(kvp_device, F_OK) != 0 && access(kvp_device_known, F_OK) != 0) {
        return kvpbus_fail(failure, KVPBUS_NOT_HYPERV,
                           "this machine is not a Hyper-V guest with Data Exchange (there is no "
                           "%s); nothing to do",
                           kvp_device);
    }
    return kvpbus_pool_store_open(directory, prefix, store, failure);
}

enum kvpbus_error kvpbus_guest_store_left(const char *name, const char *prefix,
                                          struct kvpbus_store **store,
                                          char place[KVPBUS_GUEST_STORE_PLACE],
                                          struct kvpbus_failure *failure)
{
    const char *directory = installed_pool;
    if (strncmp(name, pool, strlen(pool)) == 0)
        directory = name + strlen(pool);
    snprintf(place, KVPBUS_GUEST_STORE_PLACE, "%s/.kvp_pool_1", directory);
    *store = NULL;
    if (access(directory, F_OK) != 0)
        return KVPBUS_OK;
    return kvpbus_pool_store_open(directory, prefix, store, failure);
}
