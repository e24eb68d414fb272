// SPDX-License-Identifier: Apache-2.0
//
// kvpbus: the command line on either side.
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "command.h"
#include "kvpbus/bus.h"
#include "option_fault.h"
#include "paths.h"
#include "program.h"
#include "version.h"
#include "words.h"

enum { ANSWER_WITHIN = 30000 }; // ms

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
     "  --out FILE          write it into this new file, " KVPBUS_WORD_TOKEN_GUARD
     ", not to standard output\n"
     "  --replace           the VM is paired, and the machine that shows the token takes its "
     "place\n\n"
     "In the VM:\n"
     "  --token-file FILE   take the token out of this file, and remove it; - is standard input\n\n"
     "Whoever has the token can pair as this VM, once, until it ends: hand it over as a secret. "
     "The\n"
     "agent also finds it by itself at " KVPBUS_ENROLL_TOKEN ".\n\n"
     "  kvpbus enroll web-1 --ttl 1h --out web-1.token       # on the host\n"
     "  kvpbus enroll --token-file web-1.token               # in the VM\n"},
    {"pair", kvpbus_command_pair, "pair PEER [--fingerprint F]",
     "trust the identity that PEER shows",
     "  --fingerprint F   as 'kvpbus identity' prints it on the other side; without it you are\n"
     "                    shown the one that came and asked\n\n"
     "Both sides have to pair: on the host with the VM, in the VM with 'host'.\n"},
    {"unpair", kvpbus_command_unpair, "unpair PEER", "trust it no longer",
     "What is queued for it stays.\n"},
    {"rebind", kvpbus_command_rebind, "rebind OLD NEW [--force]",
     "go on with a VM that has a new GUID, as an import has",
     "  OLD       the VM as it was paired; NEW the same VM as it is now: names, or GUIDs, which\n"
     "            'kvpbus vms' lists\n"
     "  --force   also while OLD runs: it has to be paired again, as a new VM\n\n"
     "On the host. What is queued for OLD goes to NEW; the agent in it follows by itself.\n\n"
     "  kvpbus rebind 6f1cfb5a-0df2-4d3c-8a0f-0a3b1c5d7e9f 0d4c6a1e-7b8f-4f0a-9c3d-2e1f5a6b7c8d\n"},
    {"export", kvpbus_command_export, "export VM FILE --for KEY | export VM --undo",
     "hand a VM that was moved over to its new host",
     "  --for KEY   the public key of that host: 'kvpbus identity --public-key' prints it there\n"
     "  --undo      take the VM back, if its file was not and will not be imported: two hosts\n"
     "              would deliver the same messages\n\n"
     "On the host that the VM has left, or where it is off or paused. FILE has what is queued, "
     "all\n"
     "positions and the inbox, sealed for the other host, which imports it; this one serves the "
     "VM\n"
     "no more. The same again makes FILE anew, when it was lost.\n\n"
     "  " KVPBUS_WORD_SUDO
     "kvpbus export web-1 web-1.kvpbus --for 6c5f...  # on the host that it left\n"
     "  " KVPBUS_WORD_SUDO
     "kvpbus import web-1.kvpbus                      # on the host that it is on now\n"},
    {"import", kvpbus_command_import, "import FILE [--fingerprint F] [--replace]",
     "go on with a VM that came from another host",
     "  --fingerprint F   of the host that exported it, as 'kvpbus identity' prints it there;\n"
     "                    without it you are shown the one in the file and asked\n"
     "  --replace         also when the VM was paired with this host meanwhile: that link and its\n"
     "                    messages are dropped\n\n"
     "On the host that the VM is on now. Its agent follows by itself, and what was queued or "
     "under\n"
     "way arrives once and in order.\n\n"
     "  " KVPBUS_WORD_SUDO "kvpbus import web-1.kvpbus\n"},
    {"rotate", kvpbus_command_rotate, "rotate [--force]",
     "replace this side's identity by a new one",
     "  --force   also when a VM that was away for long would have to be paired again\n\n"
     "The present identity signs the new one and is deleted. Paired peers follow by themselves,\n"
     "also those that come back later: messages that are queued or under way arrive once, as\n"
     "ever. Make a new backup afterwards: with an older one everything must be paired again.\n\n"
     "  kvpbus rotate\n"},
    {"send", kvpbus_command_send,
     "send PEER [PEER ...] TOPIC [--text T | --file F | -] [OPTION ...]", "send a message",
     "  --text T            the body is this text\n"
     "  --file F            the body is this file\n"
     "  -                   the body is standard input\n"
     "  --all               to all paired VMs, instead of naming them\n"
     "  --wait queued       return when this side's journal has it; so it is unless given\n"
     "  --wait delivered    return when the journal of the other side has it\n"
     "  --wait consumed     return when a program there has acknowledged it\n\n"
     "  kvpbus send web-1 app.greet --text hello --wait delivered\n"
     "  kvpbus send web-1 app.image --file disk.img --class bulk\n"
     "  kvpbus send --all app.reload --text now\n\n"
     "Seldom needed:\n"
     "  --ttl D             it expires unless it is delivered in this time: 500ms, 10s, 5m, 2h, "
     "1d\n"
     "  --header N=V        a header, which 'recv --json' shows; may be repeated\n"
     "  --stream S          messages of one stream arrive in order; streams do not wait for each "
     "other\n"
     "  --class C           control goes first, bulk goes last; normal unless given\n"
     "  --resend            send again when the VM was reverted to before the delivery\n"},
    {"recv", kvpbus_command_recv,
     "recv [--topic T] [--peer P] [--count N] [--timeout D] [--follow] [--out DIR]",
     "take messages out of the inbox",
     "  --topic T           only these: * stands for one name, a last > for one or more\n"
     "  --peer P            only from this peer\n"
     "  --count N           end after so many messages; one unless given\n"
     "  --timeout D         end after so long: 500ms, 10s, 5m, 2h, 1d\n"
     "  --follow            go on until stopped\n"
     "  --out DIR           write each body into a file of its own in DIR, named by the message's "
     "id\n"
     "  --reply-to ID       the replies to the request with this id\n\n"
     "A message is given out once: it is taken when it has been written out. On a terminal its\n"
     "sender and topic are shown, and the id of a request, for 'kvpbus reply'.\n\n"
     "  kvpbus recv --topic 'app.>' --follow\n"
     "  kvpbus --json recv --timeout 10s\n"},
    {"request", kvpbus_command_request,
     "request PEER TOPIC [--text T | --file F | -] [--timeout D] [--count N] [OPTION ...]",
     "ask, and print the answer",
     "  --text T, --file F, -   the body, as with 'send'; empty unless given\n"
     "  --timeout D             how long the answer may take; 30s unless given\n"
     "  --count N               end after so many replies; else after the last one\n"
     "  --out DIR               write each reply into a file of its own in DIR\n"
     "  --header, --stream, --class   as with 'send'\n\n"
     "Ends with the status of the last reply; with 6 when none came in time.\n\n"
     "  kvpbus request web-1 uptime\n"
     "  kvpbus request web-1 file.hash --file disk.img --timeout 5m\n"},
    {"reply", kvpbus_command_reply,
     "reply PEER ID [--text T | --file F | -] [--status N] [--more] [OPTION ...]",
     "answer a request by hand",
     "  ID                      of the request, as 'recv' shows it\n"
     "  --text T, --file F, -   the body, as with 'send'; empty unless given\n"
     "  --status N              0 unless given: what 'request' ends with there\n"
     "  --more                  further replies follow\n"
     "  --header, --stream, --class   as with 'send'\n\n"
     "  kvpbus reply host 0123456789abcdef0123456789abcdef.0 --text '42'\n"},
    {"serve", kvpbus_command_serve,
     "serve TOPIC [--peer P] [--timeout D] [--parallel N] [--max-reply SIZE] -- COMMAND [ARG ...]",
     "answer requests with a program",
     "The program is run once per request: the body on standard input, the reply from standard\n"
     "output, the status is its exit code. No shell is involved. It finds KVPBUS_PEER, "
     "KVPBUS_TOPIC\n"
     "and KVPBUS_ID in its environment. Only requests are taken, from paired peers.\n\n"
     "  --peer P            only from this peer\n"
     "  --timeout D         it is ended when it takes longer, status 124; 60s unless given\n"
     "  --parallel N        up to N programs at once, for different VMs or streams; 1 unless "
     "given\n"
     "  --max-reply SIZE    of its output; 16M unless given\n\n"
     "A request that was being served when this was killed comes again, so the program may see it\n"
     "twice. Ctrl-C or SIGTERM: what runs is finished first; once more: it is ended.\n\n"
     "  kvpbus serve uptime -- uptime\n"
     "  kvpbus serve 'file.hash' --timeout 5m -- sha256sum\n"},
    {"status", kvpbus_command_status, "status [PEER] [--watch]",
     "say what the link does, and why it waits",
     "  --watch   a table on the terminal, drawn anew every second, until Ctrl-C\n\n"
     "  kvpbus status web-1\n"},
    {"backup", kvpbus_command_backup, "backup FOLDER",
     "copy journal and identity into a new folder while the service runs",
     "FOLDER is made, for its owner alone, and is a state folder: docs/operations.md says how to "
     "go\n"
     "on from it. It has the secret key of this side in it; so " KVPBUS_WORD_OWNER ".\n\n"
     "  " KVPBUS_WORD_SUDO "kvpbus backup " KVPBUS_WORD_BACKUP "\n"},
    {"metrics", kvpbus_command_metrics, "metrics",
     "print the figures of the service and its peers as Prometheus reads them",
     KVPBUS_WORD_METRICS_TOO},
    {"audit", kvpbus_command_audit,
     "audit list [--since T] [--peer P] [--kind K] [--follow] | verify [FILE] [--key K] [--head H] "
     "| "
     "export FILE",
     "show who was paired, what was refused and what became of messages; prove that nobody changed "
     "it",
     "  --since T    only later ones: 1h, 2d, or 2026-01-31, 2026-01-31T12:00:00Z\n"
     "  --peer P     only of this one\n"
     "  --kind K     only of this kind; a wrong one lists those there are\n"
     "  --follow     the latest ones, and what comes, until Ctrl-C\n"
     "  --key K      verify FILE: the fingerprint that 'kvpbus identity' shows on the machine it "
     "is "
     "from\n"
     "  --head H     verify: that a head which an earlier verify printed is still in it\n\n"
     "  kvpbus audit list --since 1d --kind paired\n"
     "  kvpbus audit verify\n"
     "  kvpbus audit export audit.jsonl && kvpbus audit verify audit.jsonl\n"},
    {"doctor", kvpbus_command_doctor,
     "doctor [--side host|guest] [--config FILE] | doctor --vm VM [OPTION ...] | doctor --answer",
     "say what is wrong with this installation, and how to mend it; measure at a VM",
     "  --side S         examine the service of a host or of a guest; as installed unless given\n"
     "  --config FILE    the service's; in " KVPBUS_WORD_CONFIG_PLACE " unless given\n\n"
     "It works while the service is down. Ends with 0 when nothing is wrong, else with 1.\n\n"
     "On a host, for a VM: how Hyper-V really does what its documentation leaves open. A few "
     "items\n"
     "of its own are written and removed again; service and VM go on.\n"
     "  --vm VM          measure at this VM, which runs\n"
     "  --store S        as of kvpbus-host; as configured unless given\n" KVPBUS_WORD_DOCTOR_HOST
     "  --only N,N       these questions alone; 8 asks you for a checkpoint, 9 is for VMs that\n"
     "                   are off or have no Data Exchange\n"
     "  --until N        try up to N items of either side, at most 1024; 8 unless given\n"
     "  --report FILE    write it into this new file too, as JSON\n\n"
     "In the VM, for what only it can tell:\n"
     "  --answer         answer the doctor of the host, until Ctrl-C\n"
     "  --for D          at most so long; 10m unless given\n\n"
     "  kvpbus doctor\n"
     "  kvpbus doctor --answer                             # in the VM; then on the host:\n"
     "  kvpbus doctor --vm web-1 --report web-1.json\n"},
    {"withdraw", kvpbus_command_withdraw, "withdraw ID [--wait]",
     "take back a message that has not been delivered",
     "  --wait   until it is known whether it was in time\n\n"
     "Ends with 11 when it was delivered before.\n"},
    {"show", kvpbus_command_show, "show ID", "say what became of a message", ""},
    {"dead", kvpbus_command_dead,
     "dead list|show ID|retry ID|drop ID [--peer P] [--topic T] [--all] [--out DIR]",
     "messages that no program could consume",
     "  list         those of all peers, or of the one and the topics named\n"
     "  show ID      writes out the body, or with --out into a file\n"
     "  retry ID     back into the inbox; drop ID: away. Instead of an ID: --all, --peer, "
     "--topic\n\n"
     "  kvpbus dead list\n"
     "  kvpbus dead retry --topic 'app.>'\n"},
    {"items", kvpbus_command_items, "items PEER", "decode what stands in both stores", ""},
};

enum { COMMANDS = sizeof commands / sizeof *commands };

static void help(FILE *out)
{
    fputs(
        "Usage: kvpbus [--socket PATH] [--json] COMMAND\n\n"
        "Messages between a Hyper-V host and its VMs, without a network. First steps, with a VM\n"
        "web-1; in a guest the one peer is 'host':\n\n"
        "  kvpbus doctor                                  # what is missing, and how to mend it\n"
        "  kvpbus enroll web-1 --out web-1.token          # taken into the guest; there:\n"
        "  kvpbus enroll --token-file web-1.token\n"
        "  kvpbus pair web-1                              # or so; in the guest: kvpbus pair host\n"
        "  kvpbus send web-1 app.greet --text hello --wait delivered\n"
        "  kvpbus recv --follow                           # in the guest\n"
        "  kvpbus serve uptime -- uptime                  # in the guest; then on the host:\n"
        "  kvpbus request web-1 uptime\n"
        "  kvpbus send web-1 app.image --file disk.img --wait delivered\n"
        "  kvpbus audit verify\n\n",
        out);
    for (size_t i = 0; i < COMMANDS; i++)
        fprintf(out, "  %-9s %s\n", commands[i].name, commands[i].summary);
    fputs(
        "\n'kvpbus COMMAND --help' tells more. PEER is the name or GUID of a VM; in a guest it is "
        "'host'.\nThe service is found at " KVPBUS_WORD_FOUND
        ", by KVPBUS_SOCKET, or by --socket. Exit codes: " KVPBUS_WORD_EXIT_CODES ".\n",
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

static bool is_global(const char *word)
{
    return strcmp(word, "--json") == 0 || strcmp(word, "--socket") == 0 ||
           strncmp(word, "--socket=", 9) == 0;
}

// What people type first: the options of `kvpbus` itself behind the command.
static int misplaced(const struct kvpbus_command_context *context, const char *word)
{
    char fault[KVPBUS_OPTION_FAULT];
    snprintf(fault, sizeof fault, "%s goes before the command: kvpbus %s ...",
             word[2] == 'j' ? "--json" : "--socket", word[2] == 'j' ? "--json" : "--socket PATH");
    return kvpbus_command_usage(context, fault);
}

int kvpbus_command_bad_option(const struct kvpbus_command_context *context, char *const *argv,
                              int result)
{
    char fault[KVPBUS_OPTION_FAULT];
    if (is_global(argv[optind - 1]))
        return misplaced(context, argv[optind - 1]);
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
        error = kvpbus_control_read(client, ANSWER_WITHIN, response, &failure);
    kvpbus_client_close(client);
    return error == KVPBUS_OK ? KVPBUS_EXIT_OK : kvpbus_command_failed(context, &failure);
}

int kvpbus_command_peers(const struct kvpbus_command_context *context, const char *peer,
                         Kvpbus__Control__Peers **peers)
{
    struct kvpbus_client *client = NULL;
    struct kvpbus_failure failure = {0};
    enum kvpbus_error error = kvpbus_client_open(context->socket, &client, &failure);
    if (error == KVPBUS_OK)
        error =
            kvpbus_control_peers(client, peer, KVPBUS_PEERS_MAX, ANSWER_WITHIN, peers, &failure);
    kvpbus_client_close(client);
    return error == KVPBUS_OK ? KVPBUS_EXIT_OK : kvpbus_command_failed(context, &failure);
}

// A command without options does not take one for the name of a peer, a message or a folder.
static int no_options(const struct kvpbus_command_context *context, int argc, char **argv)
{
    for (int i = 1; i < argc; i++) {
        char fault[KVPBUS_OPTION_FAULT];
        if (is_global(argv[i]))
            return misplaced(context, argv[i]);
        snprintf(fault, sizeof fault, "there is no option '%.60s'", argv[i]);
        if (argv[i][0] == '-')
            return kvpbus_command_usage(context, fault);
    }
    return KVPBUS_EXIT_OK;
}

static int run(struct kvpbus_command_context *context, int argc, char **argv)
{
    for (size_t i = 0; i < COMMANDS; i++) {
        if (strcmp(argv[0], commands[i].name) != 0)
            continue;
        context->usage = commands[i].usage;
        if (argc > 1 && (strcmp(argv[1], "--help") == 0 || strcmp(argv[1], "-h") == 0)) {
            printf("kvpbus %s: %s\n\nUsage: kvpbus %s\n%s%s\nSee " KVPBUS_WORD_MANUAL
                   " for more.\n",
                   commands[i].name, commands[i].summary, context->usage,
                   commands[i].details[0] != '\0' ? "\n" : "", commands[i].details);
            return KVPBUS_EXIT_OK;
        }
        int code = KVPBUS_EXIT_OK;
        if (strstr(context->usage, "--") == NULL)
            code = no_options(context, argc, argv);
        return code == KVPBUS_EXIT_OK ? commands[i].run(context, argc, argv) : code;
    }
    fprintf(stderr, "kvpbus: there is no command '%s'; 'kvpbus --help' lists them\n", argv[0]);
    return KVPBUS_EXIT_USAGE;
}

int main(int argc, char **argv)
{
    struct kvpbus_command_context context = {0};
    int i = 1;
    opterr = 0;
    kvpbus_program_begin(&argc, &argv);
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
            fprintf(stderr,
                    strcmp(argv[i], "--socket") == 0
                        ? "kvpbus: %s needs a value; see 'kvpbus --help'\n"
                        : "kvpbus: there is no option '%s'; 'kvpbus --help' lists them\n",
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
