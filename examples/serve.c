// SPDX-License-Identifier: Apache-2.0
//
// Answers the requests of a topic with their text in capitals, until it is killed. The request is
// acknowledged after the reply stands in the journal: one that was cut off comes again, so what it
// asks for should do no harm when it is done twice.
//
//   cc serve.c -o serve $(pkg-config --cflags --libs kvpbus)
//   ./serve text.upper
#include <ctype.h>
#include <kvpbus/client.h>
#include <stdio.h>
#include <stdlib.h>

static enum kvpbus_error answer(struct kvpbus_client *client, const struct kvpbus_incoming *request,
                                struct kvpbus_failure *failure)
{
    struct kvpbus_outgoing reply;
    char *text = malloc(request->body_length + 1);
    if (text == NULL)
        return kvpbus_fail(failure, KVPBUS_NOMEM, "out of memory");
    for (size_t i = 0; i < request->body_length; i++)
        text[i] = (char)toupper(request->body[i]);
    kvpbus_outgoing_init(&reply, request->peer, request->topic, text, request->body_length);
    reply.kind = KVPBUS_KIND_LAST_REPLY;
    reply.reply_to = request->id;
    reply.ttl_ms = request->ttl_ms; // nobody waits for longer
    enum kvpbus_error error = kvpbus_client_send(client, &reply, failure);
    free(text); // copied
    return error == KVPBUS_OK ? kvpbus_client_finish(client, 30000, NULL, failure) : error;
}

int main(int argc, char **argv)
{
    struct kvpbus_receiving which = {.kinds = 1u << KVPBUS_KIND_REQUEST};
    struct kvpbus_client *client = NULL;
    struct kvpbus_client_event event;
    struct kvpbus_failure failure;
    if (argc != 2) {
        fputs("Usage: serve TOPIC\n", stderr);
        return 2;
    }
    which.pattern = argv[1];
    enum kvpbus_error error = kvpbus_client_open(NULL, &client, &failure);
    while (error == KVPBUS_OK) {
        error = kvpbus_client_receive(client, &which, &failure);
        if (error == KVPBUS_OK)
            error = kvpbus_client_finish(client, -1, &event, &failure);
        if (error == KVPBUS_OK)
            error = answer(client, event.message, &failure);
        // The message stays until the next one comes.
        if (error == KVPBUS_OK)
            error = kvpbus_client_ack(client, event.message->lease, &failure);
        if (error == KVPBUS_OK)
            error = kvpbus_client_finish(client, 30000, NULL, &failure);
    }
    fprintf(stderr, "serve: %s\n", failure.detail);
    kvpbus_client_close(client);
    return 1;
}
