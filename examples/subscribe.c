// SPDX-License-Identifier: Apache-2.0
//
// Prints the messages of a topic as they come, until Ctrl-C, from an event loop: poll(2) waits for
// the service and for standard input, whose end is the end of the program as well. Each message is
// acknowledged when it has been printed; had the program died before, it would come again.
//
//   cc subscribe.c -o subscribe $(pkg-config --cflags --libs kvpbus)
//   ./subscribe 'app.>'
#include <kvpbus/client.h>
#include <poll.h>
#include <stdio.h>
#include <unistd.h>

// What is there is taken. KVPBUS_TIMEOUT: all of it has been.
static enum kvpbus_error take(struct kvpbus_client *client, const struct kvpbus_receiving *which,
                              struct kvpbus_failure *failure)
{
    struct kvpbus_client_event event;
    int64_t lease = 0;
    enum kvpbus_error error;
    while ((error = kvpbus_client_next(client, 0, &event, failure)) == KVPBUS_OK) {
        if (event.kind == KVPBUS_CLIENT_MESSAGE) {
            lease = event.message->lease;
            printf("%s %s: %s\n", event.message->peer, event.message->topic,
                   (const char *)event.message->body);
            fflush(stdout);
        } else if (event.kind == KVPBUS_CLIENT_DONE) {
            // First the acknowledgement, then the next message.
            error = lease != 0 ? kvpbus_client_ack(client, lease, failure)
                               : kvpbus_client_receive(client, which, failure);
            lease = 0;
            if (error != KVPBUS_OK)
                return error;
        }
    }
    return error;
}

int main(int argc, char **argv)
{
    struct kvpbus_receiving which = {.pattern = argc == 2 ? argv[1] : NULL};
    struct kvpbus_client *client = NULL;
    struct kvpbus_failure failure;
    if (argc != 2) {
        fputs("Usage: subscribe TOPIC\n", stderr);
        return 2;
    }
    enum kvpbus_error error = kvpbus_client_open(NULL, &client, &failure);
    if (error == KVPBUS_OK)
        error = kvpbus_client_receive(client, &which, &failure);
    while (error == KVPBUS_OK || error == KVPBUS_TIMEOUT) {
        short events = kvpbus_client_wants_write(client) ? POLLIN | POLLOUT : POLLIN;
        struct pollfd wait[] = {{kvpbus_client_fd(client), events, 0}, {STDIN_FILENO, POLLIN, 0}};
        char ignored[256];
        if (poll(wait, 2, -1) < 0 ||
            (wait[1].revents != 0 && read(STDIN_FILENO, ignored, sizeof ignored) <= 0))
            break;
        error = take(client, &which, &failure);
    }
    if (error != KVPBUS_OK && error != KVPBUS_TIMEOUT)
        fprintf(stderr, "subscribe: %s\n", failure.detail);
    kvpbus_client_close(client);
    return error == KVPBUS_TIMEOUT ? 0 : 1;
}
