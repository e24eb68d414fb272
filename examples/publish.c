// SPDX-License-Identifier: Apache-2.0
//
// Sends one message through the kvpbus service of this machine and waits until the other side has
// it in its journal.
//
//   cc publish.c -o publish $(pkg-config --cflags --libs kvpbus)
//   ./publish web-1 app.greet hello
#include <kvpbus/client.h>
#include <stdio.h>
#include <string.h>

int main(int argc, char **argv)
{
    struct kvpbus_client *client = NULL;
    struct kvpbus_client_event event;
    struct kvpbus_failure failure;
    struct kvpbus_outgoing message;
    if (argc != 4) {
        fputs("Usage: publish PEER TOPIC TEXT\n", stderr);
        return 2;
    }
    kvpbus_outgoing_init(&message, argv[1], argv[2], argv[3], strlen(argv[3]));
    message.wait = KVPBUS_WAIT_DELIVERED;
    enum kvpbus_error error = kvpbus_client_open(NULL, &client, &failure);
    if (error == KVPBUS_OK)
        error = kvpbus_client_send(client, &message, &failure);
    if (error == KVPBUS_OK)
        error = kvpbus_client_finish(client, 60000, &event, &failure);
    if (error == KVPBUS_OK)
        printf("%s %s\n", kvpbus_outcome_name(event.outcome), event.id);
    else if (error == KVPBUS_TIMEOUT) // it stays queued, and is delivered when that is possible
        fputs("publish: not delivered yet\n", stderr);
    else
        fprintf(stderr, "publish: %s\n", failure.detail);
    kvpbus_client_close(client);
    return error == KVPBUS_OK && event.outcome == KVPBUS_OUTCOME_DELIVERED ? 0 : 1;
}
