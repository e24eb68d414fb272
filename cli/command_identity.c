// SPDX-License-Identifier: Apache-2.0
//
// rotate: another identity for this side; rebind: another id for a VM.
#include <getopt.h>
#include <stdio.h>

#include "command.h"

typedef Kvpbus__Control__Request Request;
typedef Kvpbus__Control__Response Response;

int kvpbus_command_rotate(const struct kvpbus_command_context *context, int argc, char **argv)
{
    static const struct option options[] = {{"force", no_argument, NULL, 'f'}, {NULL, 0, NULL, 0}};
    Request request = KVPBUS__CONTROL__REQUEST__INIT;
    Kvpbus__Control__RotateRequest rotate = KVPBUS__CONTROL__ROTATE_REQUEST__INIT;
    Response *response;
    for (int option; (option = getopt_long(argc, argv, ":", options, NULL)) != -1;) {
        if (option != 'f')
            return kvpbus_command_bad_option(context, argv, option);
        rotate.force = true;
    }
    if (optind < argc)
        return kvpbus_command_usage(context, "there are words too many");
    request.kind_case = KVPBUS__CONTROL__REQUEST__KIND_ROTATE;
    request.rotate = &rotate;
    int code = kvpbus_command_ask(context, &request, &response);
    if (code != KVPBUS_EXIT_OK)
        return code;
    kvpbus__control__response__free_unpacked(response, NULL);
    optind = 1; // that command reads its words itself
    return kvpbus_command_identity(context, 1, argv);
}

int kvpbus_command_rebind(const struct kvpbus_command_context *context, int argc, char **argv)
{
    static const struct option options[] = {{"force", no_argument, NULL, 'f'}, {NULL, 0, NULL, 0}};
    Request request = KVPBUS__CONTROL__REQUEST__INIT;
    Kvpbus__Control__RebindRequest rebind = KVPBUS__CONTROL__REBIND_REQUEST__INIT;
    Response *response;
    for (int option; (option = getopt_long(argc, argv, ":", options, NULL)) != -1;) {
        if (option != 'f')
            return kvpbus_command_bad_option(context, argv, option);
        rebind.force = true;
    }
    if (argc - optind != 2)
        return kvpbus_command_usage(context, "name the VM as it was paired, and as it is now");
    rebind.peer = argv[optind];
    rebind.vm = argv[optind + 1];
    request.kind_case = KVPBUS__CONTROL__REQUEST__KIND_REBIND;
    request.rebind = &rebind;
    int code = kvpbus_command_ask(context, &request, &response);
    if (code != KVPBUS_EXIT_OK)
        return code;
    kvpbus__control__response__free_unpacked(response, NULL);
    if (context->json)
        puts("{}");
    else
        printf("%s goes on as %s\n", rebind.peer, rebind.vm);
    return KVPBUS_EXIT_OK;
}
