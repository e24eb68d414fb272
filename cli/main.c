// SPDX-License-Identifier: Apache-2.0
//
// kvpbus: the command line on either side.
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "command.h"
#include "option_fault.h"
#include "version.h"

static const struct {
    const char *name;
    int (*run)(const struct kvpbus_command_context *context, int argc, char **argv);
    const char *usage, *summary, *details;
} commands[] = {
    {"vms", kvpbus_command_vms, "vms", "list the VMs of this host (in a guest: the host)", ""},
    {"identity", kvpbus_command_identity, "identity [--public-key]",
     "show this side's fingerprint, to be compared when pairing",
     "  --public-key      the whole key, as files of trusted keys have it\n"},
    {"enroll", kvpbus_command_enroll,
     "enroll VM [--ttl D] [--out FILE] [--replace] | enroll --token-file FILE",
     "pair without comparing fingerprints: make a token for a VM, take one in it",
     "On the host, for a VM:\n"
     "  --ttl D             how long the token holds: 10m, 2h, 7d; 24h unless given\n"
     "  --out FILE          write it into this new file, mode 0600, not to standard output\n"
     "  --replace           the VM is paired, and the machine that shows the token takes its "
     "place\n\n"
     "In the VM:\n"
     "  --token-file FILE   take the token out of this file, and remove it; - is standard input\n\n"
     "Whoever has the token can pair as this VM, once, until it ends: hand it over as a secret. "
     "The\n"
     "agent also finds it by itself at /etc/kvpbus/enroll.token.\n\n"
     "  kvpbus enroll web-1 --ttl 1h --out web-1.token       # on the host\n"
     "  kvpbus enroll --token-file web-1.token               # in the VM\n"},
    {"pair", kvpbus_command_pair, "pair PEER [--fingerprint F]",
     "trust the identity that PEER shows",
     "  --fingerprint F   as 'kvpbus identity' prints it on the other side; without it you are\n"
     "                    shown the one that came and asked\n\n"
     "Both sides have to pair: on the host with the VM, in the VM with 'host'.\n"},
    {"unpair", kvpbus_command_unpair, "unpair PEER", "trust it no longer",
     "What is queued for it stays.\n"},
    {"rotate", kvpbus_command_rotate, "rotate [--force]",
     "replace this side's identity by a new one",
     "  --force   also when a VM that was away for long would have to be paired again\n\n"
     "The present identity signs the new one and is deleted. Paired peers follow by themselves,\n"
     "also those that come back later: messages that are queued or under way arrive once, as\n"
     "ever. Make a new backup afterwards: with an older one everything must be paired again.\n\n"
     "  kvpbus rotate\n"},
    {"send", kvpbus_command_send,
     "send PEER TOPIC [--text T | --file F | -] [--wait queued|delivered] [--ttl D] "
     "[--stream S] [--class control|normal|bulk]",
     "send a message",
     "  --text T            the body is this text\n"
     "  --file F            the body is this file\n"
     "  -                   the body is standard input\n"
     "  --wait queued       return when this side's journal has it; so it is unless given\n"
     "  --wait delivered    return when the journal of the other side has it\n"
     "  --ttl D             it expires unless it is delivered in this time: 500ms, 10s, 5m, 2h, "
     "1d\n"
     "  --stream S          messages of one stream arrive in order; streams do not wait for each "
     "other\n"
     "  --class C           control goes first, bulk goes last; normal unless given\n\n"
     "  kvpbus send web-1 app.greet --text hello --wait delivered\n"
     "  kvpbus send web-1 app.image --file disk.img --class bulk\n"},
    {"recv", kvpbus_command_recv,
     "recv [--topic T] [--count N] [--timeout D] [--follow] [--out DIR]",
     "take messages out of the inbox",
     "  --topic T           only these: * stands for one name, a last > for one or more\n"
     "  --count N           end after so many messages; one unless given\n"
     "  --timeout D         end after so long: 500ms, 10s, 5m, 2h, 1d\n"
     "  --follow            go on until stopped\n"
     "  --out DIR           write each body into a file of its own in DIR, named by the message's "
     "id\n\n"
     "A message is given out once: it is taken when it has been written out.\n\n"
     "  kvpbus recv --topic 'app.>' --follow\n"},
    {"status", kvpbus_command_status, "status [PEER] [--watch]",
     "say what the link does, and why it waits",
     "  --watch   a table on the terminal, drawn anew every second, until Ctrl-C\n\n"
     "  kvpbus status web-1\n"},
    {"metrics", kvpbus_command_metrics, "metrics",
     "print the figures of the service and its peers as Prometheus reads them",
     "The service gives them over HTTP as well when its option 'metrics' says where.\n\n"
     "  kvpbus metrics | grep kvpbus_link_up\n"},
    {"doctor", kvpbus_command_doctor, "doctor [--side host|guest] [--config FILE]",
     "say what is wrong with this installation, and how to mend it",
     "  --side S         examine the service of a host or of a guest; as installed unless given\n"
     "  --config FILE    the service's; in /etc/kvpbus unless given\n\n"
     "It works while the service is down. Ends with 0 when nothing is wrong, else with 1.\n\n"
     "  kvpbus doctor\n"},
    {"items", kvpbus_command_items, "items PEER", "decode what stands in both stores", ""},
};

enum { COMMANDS = sizeof commands / sizeof *commands };

static void help(FILE *out)
{
    fputs("Usage: kvpbus [--socket PATH] [--json] COMMAND\n\n"
          "Messages between a Hyper-V host and its VMs, without a network.\n\n",
          out);
    for (size_t i = 0; i < COMMANDS; i++)
        fprintf(out, "  %-9s %s\n", commands[i].name, commands[i].summary);
    fputs(
        "\n'kvpbus COMMAND --help' tells more. PEER is the name or GUID of a VM; in a guest it is "
        "'host'.\n\n"
        "  kvpbus pair web-1                          # on the host; in the guest: kvpbus pair "
        "host\n"
        "  kvpbus send web-1 app.greet --text hello --wait delivered\n"
        "  kvpbus recv --topic 'app.>' --follow\n\n"
        "The service is found at /run, by KVPBUS_SOCKET, or by --socket. Exit codes: kvpbus(1).\n",
        out);
}

int kvpbus_command_failed(const struct kvpbus_command_context *context,
                          const struct kvpbus_failure *failure)
{
    const char *text =
        failure->detail[0] != '\0' ? failure->detail : kvpbus_error_text(failure->code);
    (void)context;
    fprintf(stderr, "kvpbus: %s\n", text);
    return (int)kvpbus_exit_of(failure->code);
}

int kvpbus_command_usage(const struct kvpbus_command_context *context, const char *what)
{
    fprintf(stderr, "kvpbus: %s\nusage: kvpbus %s\n", what, context->usage);
    return KVPBUS_EXIT_USAGE;
}

int kvpbus_command_bad_option(const struct kvpbus_command_context *context, char *const *argv,
                              int result)
{
    char fault[KVPBUS_OPTION_FAULT];
    kvpbus_option_fault(argv, result, fault);
    return kvpbus_command_usage(context, fault);
}

int kvpbus_command_ask(const struct kvpbus_command_context *context,
                       const Kvpbus__Control__Request *request,
                       Kvpbus__Control__Response **response)
{
    struct kvpbus_client *client = NULL;
    struct kvpbus_failure failure = {0};
    *response = NULL;
    enum kvpbus_error error = kvpbus_client_open(context->socket, &client, &failure);
    if (error == KVPBUS_OK)
        error = kvpbus_control_write(client, request, &failure);
    if (error == KVPBUS_OK)
        error = kvpbus_control_read(client, 30000, response, &failure);
    kvpbus_client_close(client);
    return error == KVPBUS_OK ? KVPBUS_EXIT_OK : kvpbus_command_failed(context, &failure);
}

static int run(struct kvpbus_command_context *context, int argc, char **argv)
{
    for (size_t i = 0; i < COMMANDS; i++) {
        if (strcmp(argv[0], commands[i].name) != 0)
            continue;
        context->usage = commands[i].usage;
        if (argc > 1 && (strcmp(argv[1], "--help") == 0 || strcmp(argv[1], "-h") == 0)) {
            printf("kvpbus %s: %s\n\nUsage: kvpbus %s\n%s%s\nSee kvpbus(1) for more.\n",
                   commands[i].name, commands[i].summary, context->usage,
                   commands[i].details[0] != '\0' ? "\n" : "", commands[i].details);
            return KVPBUS_EXIT_OK;
        }
        return commands[i].run(context, argc, argv);
    }
    fprintf(stderr, "kvpbus: there is no command '%s'; 'kvpbus --help' lists them\n", argv[0]);
    return KVPBUS_EXIT_USAGE;
}

int main(int argc, char **argv)
{
    struct kvpbus_command_context context = {0};
    int i = 1;
    opterr = 0;
    for (; i < argc && argv[i][0] == '-'; i++) {
        if (strcmp(argv[i], "--json") == 0) {
            context.json = true;
        } else if (strcmp(argv[i], "--socket") == 0 && i + 1 < argc) {
            context.socket = argv[++i];
        } else if (strncmp(argv[i], "--socket=", 9) == 0) {
            context.socket = argv[i] + 9;
        } else if (strcmp(argv[i], "--help") == 0 || strcmp(argv[i], "-h") == 0) {
            help(stdout);
            return KVPBUS_EXIT_OK;
        } else if (strcmp(argv[i], "--version") == 0) {
            printf("kvpbus %s\n", KVPBUS_VERSION);
            return KVPBUS_EXIT_OK;
        } else {
            fprintf(stderr, "kvpbus: there is no option '%s'; 'kvpbus --help' lists them\n",
                    argv[i]);
            return KVPBUS_EXIT_USAGE;
        }
    }
    if (i == argc) {
        help(stderr);
        return KVPBUS_EXIT_USAGE;
    }
    int code = run(&context, argc - i, argv + i);
    if (fflush(stdout) != 0) {
        perror("kvpbus: cannot write the output");
        return KVPBUS_EXIT_FAILED;
    }
    return code;
}
