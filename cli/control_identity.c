// SPDX-License-Identifier: Apache-2.0
//
// Requests about who is who, and what changes that.
#include <sodium.h>
#include <string.h>

#include "control_client_state.h"
#include "kvpbus/identity.h"
#include "kvpbus/management.h"

void control_identity(struct control_client *client)
{
    const struct kvpbus_service *service = control_service(client);
    char fingerprint[KVPBUS_FINGERPRINT_TEXT], key[2 * KVPBUS_IDENTITY_BYTES + 1];
    Kvpbus__Control__Identity identity = KVPBUS__CONTROL__IDENTITY__INIT;
    Kvpbus__Control__Response response = KVPBUS__CONTROL__RESPONSE__INIT;
    kvpbus_fingerprint(service->state.identity, fingerprint);
    sodium_bin2hex(key, sizeof key, service->state.identity, sizeof service->state.identity);
    identity.fingerprint = fingerprint;
    identity.public_key = key;
    identity.role = (char *)(service->options.role == KVPBUS_ROLE_HOST ? "host" : "guest");
    response.kind_case = KVPBUS__CONTROL__RESPONSE__KIND_IDENTITY;
    response.identity = &identity;
    control_respond(client, &response);
}

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
