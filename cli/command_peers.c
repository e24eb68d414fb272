// SPDX-License-Identifier: Apache-2.0
//
// vms, status: different views of one answer.
#include <getopt.h>
#include <jansson.h>
#include <stdio.h>
#include <string.h>

#include "command.h"

typedef Kvpbus__Control__Peer Peer;

static json_t *peer_json(const Peer *peer)
{
    json_t *more = json_pack("{s:I, s:I, s:I, s:I, s:I, s:I}", "enrolments_refused",
                             (json_int_t)peer->enrolments_refused, "inbox_bytes",
                             (json_int_t)peer->inbox_bytes, "expired", (json_int_t)peer->expired,
                             "dead", (json_int_t)peer->dead, "unknown", (json_int_t)peer->unknown,
                             "dead_letters", (json_int_t)peer->dead_letters);
    json_t *value = json_pack(
        "{s:s, s:s, s:s, s:s, s:b, s:s, s:s, s:I, s:I, s:I, s:I, s:I, s:i, s:i, s:i, "
        "s:I, s:I, s:I, "
        "s:I, s:I, s:I, s:I}",
        "name", peer->name, "guid", peer->guid, "state", peer->state, "why", peer->why, "paired",
        (int)peer->paired, "fingerprint", peer->fingerprint, "pending_fingerprint",
        peer->pending_fingerprint, "queued", (json_int_t)peer->queued, "queued_bytes",
        (json_int_t)peer->queued_bytes, "inbox", (json_int_t)peer->inbox, "delivered",
        (json_int_t)peer->delivered, "received", (json_int_t)peer->received, "in_flight",
        (int)peer->in_flight, "ring_limit", (int)peer->ring_limit, "ring_slots",
        (int)peer->ring_slots, "rewrites", (json_int_t)peer->rewrites, "writes",
        (json_int_t)peer->writes, "items_written", (json_int_t)peer->items_written,
        "data_items_written", (json_int_t)peer->data_items_written, "data_chars_written",
        (json_int_t)peer->data_chars_written, "bad_items", (json_int_t)peer->bad_items,
        "round_trip_ms", (json_int_t)peer->round_trip_ms);
    json_object_update(value, more);
    json_decref(more);
    return value;
}

static int print_json(json_t *value)
{
    if (value == NULL || json_dumpf(value, stdout, JSON_INDENT(2)) != 0) {
        json_decref(value);
        fputs("kvpbus: cannot write JSON\n", stderr);
        return KVPBUS_EXIT_FAILED;
    }
    putchar('\n');
    json_decref(value);
    return KVPBUS_EXIT_OK;
}

static json_t *peers_json(const Kvpbus__Control__Peers *peers)
{
    json_t *list = json_array();
    for (size_t i = 0; i < peers->n_peers; i++)
        json_array_append_new(list, peer_json(peers->peers[i]));
    return list;
}

static void print_vms(const Kvpbus__Control__Peers *peers)
{
    if (peers->n_peers == 0) {
        puts("no VM has been found yet");
        return;
    }
    printf("%-20s %-36s %-8s %s\n", "NAME", "GUID", "PAIRED", "LINK");
    for (size_t i = 0; i < peers->n_peers; i++) {
        const Peer *peer = peers->peers[i];
        bool suspended = strcmp(peer->state, "suspended") == 0 || strcmp(peer->state, "moved") == 0;
        printf("%-20s %-36s %-8s %s%s%s\n", peer->name, peer->guid,
               peer->paired                           ? "yes"
               : peer->pending_fingerprint[0] != '\0' ? "asks"
                                                      : "no",
               peer->state, suspended ? ": " : "", suspended ? peer->why : "");
    }
}

int kvpbus_command_vms(const struct kvpbus_command_context *context, int argc, char **argv)
{
    Kvpbus__Control__Peers *peers;
    (void)argv;
    if (argc > 1)
        return kvpbus_command_usage(context, "there are words too many");
    int code = kvpbus_command_peers(context, NULL, &peers);
    if (code != KVPBUS_EXIT_OK)
        return code;
    if (context->json)
        code = print_json(peers_json(peers));
    else
        print_vms(peers);
    kvpbus__control__peers__free_unpacked(peers, NULL);
    return code;
}

static void print_status(const Peer *peer)
{
    printf("%s: %s, %s\n", peer->name, peer->state, peer->why);
    if (peer->pending_fingerprint[0] != '\0')
        printf("  asks to be paired: %s\n", peer->pending_fingerprint);
    printf("  to it:   %llu queued (%llu bytes), %llu delivered; %u packet%s for acknowledgement, "
           "of up to %u\n",
           (unsigned long long)peer->queued, (unsigned long long)peer->queued_bytes,
           (unsigned long long)peer->delivered, peer->in_flight,
           peer->in_flight == 1 ? " waits" : "s wait", peer->ring_limit);
    printf("  from it: %llu received, %llu waiting to be consumed\n",
           (unsigned long long)peer->received, (unsigned long long)peer->inbox);
    if (peer->dead_letters > 0)
        printf("  %llu dead letter%s; 'kvpbus dead list' tells why\n",
               (unsigned long long)peer->dead_letters, peer->dead_letters == 1 ? "" : "s");
    printf("  since start: %llu writes with %llu items, %llu written again, %llu values not "
           "believed\n",
           (unsigned long long)peer->writes, (unsigned long long)peer->items_written,
           (unsigned long long)peer->rewrites, (unsigned long long)peer->bad_items);
    if (peer->enrolments_refused > 0)
        printf("  enrolment tokens refused since start: %llu; the log says why\n",
               (unsigned long long)peer->enrolments_refused);
}

int kvpbus_command_status(const struct kvpbus_command_context *context, int argc, char **argv)
{
    Kvpbus__Control__Peers *peers;
    static const struct option options[] = {{"watch", no_argument, NULL, 'w'}, {NULL, 0, NULL, 0}};
    bool watch = false;
    for (int option; (option = getopt_long(argc, argv, ":", options, NULL)) != -1;) {
        if (option != 'w')
            return kvpbus_command_bad_option(context, argv, option);
        watch = true;
    }
    if (argc - optind > 1)
        return kvpbus_command_usage(context, "there are words too many");
    const char *peer = optind < argc ? argv[optind] : NULL;
    if (watch)
        return kvpbus_command_watch(context, peer);
    int code = kvpbus_command_peers(context, peer, &peers);
    if (code != KVPBUS_EXIT_OK)
        return code;
    if (context->json)
        code = print_json(peer != NULL ? peer_json(peers->peers[0]) : peers_json(peers));
    for (size_t i = 0; !context->json && i < peers->n_peers; i++)
        print_status(peers->peers[i]);
    if (!context->json && peers->n_peers == 0)
        puts("no VM has been found yet");
    kvpbus__control__peers__free_unpacked(peers, NULL);
    return code;
}
