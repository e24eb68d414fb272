// SPDX-License-Identifier: Apache-2.0
#include <getopt.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "command.h"

// Shows the fingerprint and asks; only on a terminal. False: the person did not say yes.
static bool approved(const char *peer, const char *fingerprint)
{
    char answer[16];
    printf("%s shows the fingerprint\n\n    %s\n\n"
           "Compare it with what 'kvpbus identity' prints there. The same? [y/N] ",
           peer, fingerprint);
    fflush(stdout);
    return fgets(answer, sizeof answer, stdin) != NULL &&
           (strcmp(answer, "y\n") == 0 || strcmp(answer, "yes\n") == 0);
}

// The fingerprint that waits for approval, into `fingerprint`.
static int look_up(const struct kvpbus_command_context *context, const char *peer,
                   char fingerprint[64])
{
    Kvpbus__Control__Peers *peers;
    int code = kvpbus_command_peers(context, peer, &peers);
    if (code != KVPBUS_EXIT_OK)
        return code;
    snprintf(fingerprint, 64, "%s", peers->peers[0]->pending_fingerprint);
    kvpbus__control__peers__free_unpacked(peers, NULL);
    if (fingerprint[0] != '\0')
        return KVPBUS_EXIT_OK;
    fprintf(stderr,
            "kvpbus: %s shows no identity that waits for approval; is kvpbus running there, and is "
            "it not paired already?\n",
            peer);
    return KVPBUS_EXIT_UNPAIRED;
}

static int ask(const struct kvpbus_command_context *context,
               const Kvpbus__Control__Request *request, const char *peer, const char *what)
{
    Kvpbus__Control__Response *response;
    int code = kvpbus_command_ask(context, request, &response);
    if (code != KVPBUS_EXIT_OK)
        return code;
    kvpbus__control__response__free_unpacked(response, NULL);
    if (context->json)
        puts("{}");
    else
        printf("%s %s\n", peer, what);
    return KVPBUS_EXIT_OK;
}

int kvpbus_command_pair(const struct kvpbus_command_context *context, int argc, char **argv)
{
    static const struct option options[] = {{"fingerprint", required_argument, NULL, 'f'},
                                            {NULL, 0, NULL, 0}};
    const char *given = NULL;
    char fingerprint[64];
    for (int option; (option = getopt_long(argc, argv, ":", options, NULL)) != -1;) {
        if (option != 'f')
            return kvpbus_command_bad_option(context, argv, option);
        given = optarg;
    }
    if (argc - optind != 1)
        return kvpbus_command_usage(context, "name one peer");
    const char *peer = argv[optind];
    if (given == NULL) {
        if (!isatty(STDIN_FILENO) || context->json)
            return kvpbus_command_usage(
                context, "without a terminal the fingerprint must be given, from 'kvpbus "
                         "identity' on the other side");
        int code = look_up(context, peer, fingerprint);
        if (code != KVPBUS_EXIT_OK)
            return code;
        if (!approved(peer, fingerprint)) {
            fputs("kvpbus: not paired\n", stderr);
            return KVPBUS_EXIT_UNPAIRED;
        }
        given = fingerprint;
    }
    Kvpbus__Control__Request request = KVPBUS__CONTROL__REQUEST__INIT;
    Kvpbus__Control__PairRequest pair = KVPBUS__CONTROL__PAIR_REQUEST__INIT;
    request.kind_case = KVPBUS__CONTROL__REQUEST__KIND_PAIR;
    request.pair = &pair;
    pair.peer = (char *)peer;
    pair.fingerprint = (char *)given;
    return ask(context, &request, peer, "is paired");
}

int kvpbus_command_unpair(const struct kvpbus_command_context *context, int argc, char **argv)
{
    if (argc != 2)
        return kvpbus_command_usage(context, "name one peer");
    Kvpbus__Control__Request request = KVPBUS__CONTROL__REQUEST__INIT;
    Kvpbus__Control__UnpairRequest unpair = KVPBUS__CONTROL__UNPAIR_REQUEST__INIT;
    request.kind_case = KVPBUS__CONTROL__REQUEST__KIND_UNPAIR;
    request.unpair = &unpair;
    unpair.peer = argv[1];
    return ask(context, &request, argv[1], "is no longer paired");
}
