// SPDX-License-Identifier: Apache-2.0
//
// The figures that Prometheus gets, for `kvpbus metrics`.
#include <stdlib.h>
#include <string.h>

#include "control_client_state.h"
#include "metrics.h"

enum { PIECE = 64 * 1024 };

static void on_gathered(void *context, char *text, size_t length)
{
    struct control_client *client = context;
    char piece[PIECE + 1];
    if (!control_returned(client)) {
        free(text);
        return;
    }
    client->request = CONTROL_IDLE;
    for (size_t at = 0, size; at < length; at += size) {
        Kvpbus__Control__Text said = KVPBUS__CONTROL__TEXT__INIT;
        Kvpbus__Control__Response response = KVPBUS__CONTROL__RESPONSE__INIT;
        size = length - at < PIECE ? length - at : PIECE;
        while (at + size < length && size > 1 && text[at + size - 1] != '\n')
            size--; // between lines, and so between characters
        memcpy(piece, text + at, size);
        piece[size] = '\0';
        said.text = piece;
        said.more = at + size < length;
        response.kind_case = KVPBUS__CONTROL__RESPONSE__KIND_TEXT;
        response.text = &said;
        control_respond(client, &response);
    }
    free(text);
}

void control_metrics(struct control_client *client)
{
    client->request = CONTROL_BUSY;
    client->jobs++;
    kvpbus_metrics_gather(control_service(client), on_gathered, client);
}
