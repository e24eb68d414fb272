// SPDX-License-Identifier: Apache-2.0
//
// The request about enrolment tokens: a host makes one, a guest takes one.
#include <sodium.h>
#include <stdio.h>
#include <string.h>

#include "control_client_state.h"
#include "kvpbus/management.h"

enum { HOUR = 60 * 60 * 1000, TTL_LEAST = 1000 };
static const uint64_t ttl_most = UINT64_C(30) * 24 * HOUR;

static void on_token(void *context, const struct kvpbus_token *token,
                     const struct kvpbus_failure *failure)
{
    struct control_client *client = context;
    char text[KVPBUS_TOKEN_TEXT], id[2 * KVPBUS_TOKEN_ID + 1], guid[KVPBUS_GUID_TEXT + 1];
    if (!control_returned(client))
        return;
    if (token == NULL) {
        control_fail(client, failure->code, failure->detail);
        return;
    }
    Kvpbus__Control__Token answer = KVPBUS__CONTROL__TOKEN__INIT;
    Kvpbus__Control__Response response = KVPBUS__CONTROL__RESPONSE__INIT;
    kvpbus_token_write(token, text);
    kvpbus_guid_format(token->vm, guid);
    answer.token = text;
    answer.id = sodium_bin2hex(id, sizeof id, token->id, sizeof token->id);
    answer.guid = guid;
    answer.peer = (char *)kvpbus_endpoint_peer(client->endpoint)->name;
    answer.ends_ms = token->ends_ms;
    response.kind_case = KVPBUS__CONTROL__RESPONSE__KIND_TOKEN;
    response.token = &answer;
    kvpbus_log_event(KVPBUS_LOGGED_TOKEN_MADE, answer.peer, "an enrolment token was made: %s", id);
    client->request = CONTROL_IDLE;
    control_respond(client, &response);
    sodium_memzero(text, sizeof text);
}

static void make(struct control_client *client, const Kvpbus__Control__EnrollRequest *request)
{
    struct kvpbus_endpoint *endpoint = control_named(client, request->peer);
    if (endpoint == NULL)
        return;
    if (request->ttl_ms < TTL_LEAST || request->ttl_ms > ttl_most) {
        control_fail(client, KVPBUS_INVALID_ARGUMENT, "a token holds for 1s to 30d");
        return;
    }
    client->request = CONTROL_BUSY;
    client->endpoint = endpoint;
    client->jobs++;
    kvpbus_bus_token_make(endpoint, request->ttl_ms, request->replace, on_token, client);
}

// To who asks for it a token that was taken is one that cannot be used, like the others.
static void on_taken(void *context, const struct kvpbus_failure *failure)
{
    struct kvpbus_failure said = *failure;
    if (said.code == KVPBUS_EXISTS)
        said.code = KVPBUS_BAD_TOKEN;
    control_on_done(context, &said);
}

static void take(struct control_client *client, const Kvpbus__Control__EnrollRequest *request)
{
    struct kvpbus_token token;
    struct kvpbus_failure failure = {0};
    if (kvpbus_token_read(request->token, strlen(request->token), &token, &failure) != KVPBUS_OK) {
        control_fail(client, failure.code, failure.detail);
        return;
    }
    client->request = CONTROL_BUSY;
    client->jobs++;
    kvpbus_bus_token_take(control_service(client)->endpoints[0], &token, on_taken, client);
    sodium_memzero(&token, sizeof token);
}

void control_enroll(struct control_client *client, const Kvpbus__Control__EnrollRequest *request)
{
    bool host = control_service(client)->options.role == KVPBUS_ROLE_HOST;
    if (host && request->token[0] == '\0')
        make(client, request);
    else if (!host && request->token[0] != '\0')
        take(client, request);
    else
        control_fail(client, KVPBUS_UNSUPPORTED,
                     host ? "a token is taken in the VM; here 'kvpbus enroll VM' makes one"
                          : "a token is made on the host; here 'kvpbus enroll --token-file' takes "
                            "it");
}
