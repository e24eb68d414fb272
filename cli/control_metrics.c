// SPDX-License-Identifier: Apache-2.0
//
// The figures that Prometheus gets, for `kvpbus metrics`.
#include <stdlib.h>
#include <string.h>

#include "control_client_state.h"
#include "metrics.h"

enum { PIECE = 64 * 1024 };

static bool say_piece(struct control_client *client)
{
    char piece[PIECE + 1];
    Kvpbus__Control__Text said = KVPBUS__CONTROL__TEXT__INIT;
    Kvpbus__Control__Response response = KVPBUS__CONTROL__RESPONSE__INIT;
    const char *text = client->text + client->said;
    size_t left = client->text_length - client->said, size = left < PIECE ? left : PIECE;
    while (size < left && size > 1 && text[size - 1] != '\n')
        size--; // between lines, and so between characters
    memcpy(piece, text, size);
    piece[size] = '\0';
    said.text = piece;
    said.more = size < left;
    response.kind_case = KVPBUS__CONTROL__RESPONSE__KIND_TEXT;
    response.text = &said;
    client->said += size;
    control_respond(client, &response);
    if (said.more)
        return true;
    client->request = CONTROL_IDLE;
    free(client->text);
    client->text = NULL;
    return false;
}

static void on_gathered(void *context, char *text, size_t length)
{
    struct control_client *client = context;
    if (!control_returned(client)) {
        free(text);
        return;
    }
    client->text = text;
    client->text_length = length;
    client->said = 0;
    control_answer(client, say_piece);
}

void control_metrics(struct control_client *client)
{
    client->request = CONTROL_BUSY;
    client->jobs++;
    kvpbus_metrics_gather(control_service(client), on_gathered, client);
}
