// SPDX-License-Identifier: Apache-2.0
//
// identity: this side's; rotate: another one for it; rebind: another id for a VM.
#include <getopt.h>
#include <jansson.h>
#include <stdio.h>

#include "command.h"

typedef Kvpbus__Control__Request Request;
typedef Kvpbus__Control__Response Response;

static int print_json(const Kvpbus__Control__Identity *identity)
{
    json_t *value = json_pack("{s:s, s:s, s:s}", "role", identity->role, "fingerprint",
                              identity->fingerprint, "public_key", identity->public_key);
    bool printed = value != NULL && json_dumpf(value, stdout, JSON_INDENT(2)) == 0;
    json_decref(value);
    if (printed)
        putchar('\n');
    else
        fputs("kvpbus: cannot write JSON\n", stderr);
    return printed ? KVPBUS_EXIT_OK : KVPBUS_EXIT_FAILED;
}

static int show(const struct kvpbus_command_context *context, bool key)
{
    Request request = KVPBUS__CONTROL__REQUEST__INIT;
    Kvpbus__Control__IdentityRequest asked = KVPBUS__CONTROL__IDENTITY_REQUEST__INIT;
    Response *response;
    request.kind_case = KVPBUS__CONTROL__REQUEST__KIND_IDENTITY;
    request.identity = &asked;
    int code = kvpbus_command_ask(context, &request, &response);
    if (code != KVPBUS_EXIT_OK)
        return code;
    if (response->kind_case != KVPBUS__CONTROL__RESPONSE__KIND_IDENTITY) {
        struct kvpbus_failure failure = {.code = KVPBUS_PROTOCOL};
        code = kvpbus_command_failed(context, &failure);
    } else if (context->json) {
        code = print_json(response->identity);
    } else {
        puts(key ? response->identity->public_key : response->identity->fingerprint);
    }
    kvpbus__control__response__free_unpacked(response, NULL);
    return code;
}

int kvpbus_command_identity(const struct kvpbus_command_context *context, int argc, char **argv)
{
    static const struct option options[] = {{"public-key", no_argument, NULL, 'k'},
                                            {NULL, 0, NULL, 0}};
    bool key = false;
    for (int option; (option = getopt_long(argc, argv, ":", options, NULL)) != -1;) {
        if (option != 'k')
            return kvpbus_command_bad_option(context, argv, option);
        key = true;
    }
    if (optind < argc)
        return kvpbus_command_usage(context, "there are words too many");
    return show(context, key);
}

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
    return show(context, false);
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
