// SPDX-License-Identifier: Apache-2.0
//
// Requests that change who is who.
#include "control_client_state.h"

void control_rotate(struct control_client *client, const Kvpbus__Control__RotateRequest *request)
{
    struct kvpbus_failure failure = {0};
    if (kvpbus_service_rotate(control_service(client), request->force, &failure) == KVPBUS_OK)
        control_done(client);
    else
        control_fail(client, failure.code, failure.detail);
}
