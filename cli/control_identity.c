// SPDX-License-Identifier: Apache-2.0
//
// Requests that change who is who.
#include <string.h>

#include "control_client_state.h"
#include "kvpbus/management.h"

void control_rotate(struct control_client *client, const Kvpbus__Control__RotateRequest *request)
{
    struct kvpbus_failure failure = {0};
    if (kvpbus_service_rotate(control_service(client), request->force, &failure) == KVPBUS_OK)
        control_done(client);
    else
        control_fail(client, failure.code, failure.detail);
}

void control_rebind(struct control_client *client, const Kvpbus__Control__RebindRequest *request)
{
    uint8_t vm[KVPBUS_GUID_BYTES];
    struct kvpbus_endpoint *endpoint = control_named(client, request->peer);
    if (endpoint == NULL)
        return;
    // A VM that has not been seen yet is known by its GUID alone.
    if (!kvpbus_guid_parse(request->vm, vm)) {
        const struct kvpbus_endpoint *other = control_named(client, request->vm);
        if (other == NULL)
            return;
        memcpy(vm, kvpbus_endpoint_peer(other)->vm, sizeof vm);
    }
    client->request = CONTROL_BUSY;
    client->jobs++;
    kvpbus_service_rebind(control_service(client), endpoint, vm, request->force, control_on_done,
                          client);
}
