// SPDX-License-Identifier: Apache-2.0
//
// Asks a peer and prints every reply. The exit code is the status of the last one.
//
//   cc request.c -o request $(pkg-config --cflags --libs kvpbus)
//   ./request web-1 text.upper hello
#include <kvpbus/client.h>
#include <stdio.h>
#include <string.h>

int main(int argc, char **argv)
{
    struct kvpbus_client *client = NULL;
    struct kvpbus_client_event event;
    struct kvpbus_failure failure;
    struct kvpbus_outgoing message;
    int status = 1;
    if (argc != 4) {
        fputs("Usage: request PEER TOPIC TEXT\n", stderr);
        return 2;
    }
    kvpbus_outgoing_init(&message, argv[1], argv[2], argv[3], strlen(argv[3]));
    message.ttl_ms = 30000; // for the question and all answers
    enum kvpbus_error error = kvpbus_client_open(NULL, &client, &failure);
    if (error == KVPBUS_OK)
        error = kvpbus_client_request(client, &message, &failure);
    while (error == KVPBUS_OK) {
        error = kvpbus_client_next(client, 40000, &event, &failure);
        if (error != KVPBUS_OK || event.kind == KVPBUS_CLIENT_DONE)
            break;
        if (event.kind == KVPBUS_CLIENT_MESSAGE) {
            printf("%s\n", (const char *)event.message->body);
            status = event.message->status;
        } else if (event.kind == KVPBUS_CLIENT_OUTCOME) {
            fprintf(stderr, "request: no reply: %s\n", kvpbus_outcome_name(event.outcome));
        }
    }
    if (error != KVPBUS_OK)
        fprintf(stderr, "request: %s\n", failure.detail);
    kvpbus_client_close(client);
    return error == KVPBUS_OK ? status : 1;
}
