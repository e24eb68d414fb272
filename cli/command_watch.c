// SPDX-License-Identifier: Apache-2.0
//
// status --watch: a table of the peers that is drawn anew every second, until Ctrl-C.
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "command.h"
#include "program.h"

enum { ANSWER_WITHIN = 5000, LINE = 512, COLUMNS = 80, ROWS = 24, HEAD_ROWS = 2 };

static struct kvpbus_terminal terminal(void)
{
    struct kvpbus_terminal size = kvpbus_terminal_of_output();
    if (size.columns == 0)
        size.columns = COLUMNS;
    if (size.rows == 0)
        size.rows = ROWS;
    return size;
}

// What is too long is cut, between characters, so that a line is one row.
static void put(const char *line, unsigned columns)
{
    unsigned shown = 0;
    for (const unsigned char *at = (const unsigned char *)line; *at != '\0'; at++) {
        if ((*at & 0xc0) != 0x80 && ++shown > columns)
            break;
        putchar(*at < 0x20 || *at == 0x7f ? '?' : *at);
    }
    fputs("\033[K\r\n", stdout);
}

static void put_peer(const Kvpbus__Control__Peer *peer, unsigned columns)
{
    char line[LINE];
    snprintf(line, sizeof line, "%-16.64s %-10s %7llu %9llu %7llu %6llu  %s", peer->name,
             peer->state, (unsigned long long)peer->queued, (unsigned long long)peer->delivered,
             (unsigned long long)peer->received, (unsigned long long)peer->inbox, peer->why);
    put(line, columns);
}

static void draw(const Kvpbus__Control__Peers *peers, struct kvpbus_terminal size, size_t room)
{
    char line[LINE];
    fputs("\033[H", stdout);
    put("kvpbus status, every second; Ctrl-C ends it", size.columns);
    snprintf(line, sizeof line, "%-16s %-10s %7s %9s %7s %6s  %s", "NAME", "LINK", "QUEUED",
             "DELIVERED", "RECEIVED", "INBOX", "WHY");
    put(line, size.columns);
    size_t shown = peers->total <= room ? peers->n_peers : room - 1;
    for (size_t i = 0; i < shown; i++)
        put_peer(peers->peers[i], size.columns);
    if (shown < peers->total) {
        snprintf(line, sizeof line, "... and %llu more",
                 (unsigned long long)(peers->total - shown));
        put(line, size.columns);
    }
    if (peers->n_peers == 0)
        put("no VM has been found yet", size.columns);
    fputs("\033[J", stdout);
    fflush(stdout);
}

// Asks for as many as there is room for.
static enum kvpbus_error turn(struct kvpbus_client *client, const char *peer,
                              struct kvpbus_failure *failure)
{
    struct kvpbus_terminal size = terminal();
    size_t room = size.rows > HEAD_ROWS + 1 ? size.rows - HEAD_ROWS - 1u : 1;
    Kvpbus__Control__Peers *peers;
    enum kvpbus_error error =
        kvpbus_control_peers(client, peer, room, ANSWER_WITHIN, &peers, failure);
    if (error != KVPBUS_OK)
        return error;
    draw(peers, size, room);
    kvpbus__control__peers__free_unpacked(peers, NULL);
    return KVPBUS_OK;
}

int kvpbus_command_watch(const struct kvpbus_command_context *context, const char *peer)
{
    struct kvpbus_client *client = NULL;
    struct kvpbus_failure failure = {0};
    if (context->json || !isatty(STDOUT_FILENO))
        return kvpbus_command_usage(
            context, "--watch needs a terminal; 'kvpbus --json status' is for programs");
    if (kvpbus_client_open(context->socket, &client, &failure) != KVPBUS_OK)
        return kvpbus_command_failed(context, &failure);
    kvpbus_program_end_gently();
    fputs("\033[?1049h\033[?25l", stdout); // another screen, no cursor
    enum kvpbus_error error = KVPBUS_OK;
    while (error == KVPBUS_OK && !kvpbus_program_ended()) {
        error = turn(client, peer, &failure);
        if (error == KVPBUS_OK && !kvpbus_program_ended())
            kvpbus_program_pause(1000);
    }
    fputs("\033[?25h\033[?1049l", stdout);
    fflush(stdout);
    kvpbus_client_close(client);
    return error == KVPBUS_OK || kvpbus_program_ended() ? KVPBUS_EXIT_OK
                                                        : kvpbus_command_failed(context, &failure);
}
