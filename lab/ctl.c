// SPDX-License-Identifier: Apache-2.0
//
// kvpbus-lab ctl: asks a lab that runs for one thing and prints the answer.
#include "ctl.h"

#include <errno.h>
#include <getopt.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "fault.h"
#include "lab.h"
#include "lab_channel.h"
#include "program.h"

enum { DEADLINE_MS = 60000 };

struct arguments {
    const char *directory;
    const char *command;
    char **operands;
    int count;
    uint32_t times; // --count
    bool json;
};

static void print_help(void)
{
    fputs("Usage: kvpbus-lab ctl DIR COMMAND [--json]\n"
          "\n"
          "  list                            the VMs, their states and faults\n"
          "  start VM | stop VM | reboot VM  returns when the VM has got there\n"
          "  pause VM | resume VM\n"
          "  save VM                         a start goes on from there\n"
          "  checkpoint VM NAME | revert VM NAME\n"
          "                                  disk and host items of a VM that is off\n"
          "  clone VM NAME                   another VM with the disk of one that is off\n"
          "  import VM                       gives a VM that is off another GUID\n"
          "  fault VM KIND [N] [--count C]   a fault, for C strikes or until 'clear'\n"
          "  service STATE                   what WMI clients find of the management service:\n"
          "                                  restart, stop, deny, absent, hide, or normal\n"
          "  stats [VM]                      counters since the lab was started\n"
          "\n"
          "VM is a name or a GUID. Kinds of faults:\n",
          stdout);
    fputs(kvpbus_lab_fault_help(), stdout);
    fputs("\n"
          "Examples:\n"
          "  kvpbus-lab ctl /tmp/lab reboot alpha\n"
          "  kvpbus-lab ctl /tmp/lab fault alpha cut-value 100 --count 3\n"
          "  kvpbus-lab ctl /tmp/lab fault alpha clear\n"
          "  kvpbus-lab ctl /tmp/lab checkpoint alpha before-update\n",
          stdout);
}

// Sends the request and receives its one reply. Returns -1, or the exit code.
static int ask(const struct arguments *arguments, const Kvpbus__Lab__Request *request,
               Kvpbus__Lab__Reply **reply)
{
    char path[PATH_MAX];
    struct kvpbus_failure failure = {0};
    int fd;
    int64_t deadline = kvpbus_lab_channel_deadline(DEADLINE_MS);
    *reply = NULL;
    if ((size_t)snprintf(path, sizeof path, "%s/host.sock", arguments->directory) >= sizeof path)
        return kvpbus_lab_usage_error("the path %s is too long", arguments->directory);
    if (kvpbus_lab_channel_open(path, deadline, &fd, &failure) != KVPBUS_OK)
        return kvpbus_lab_report(&failure);
    enum kvpbus_error error = kvpbus_lab_channel_send(fd, request, deadline, &failure);
    if (error == KVPBUS_OK)
        error = kvpbus_lab_channel_receive(fd, reply, deadline, &failure);
    kvpbus_lab_channel_close(fd);
    if (error != KVPBUS_OK)
        return kvpbus_lab_report(&failure);
    if ((*reply)->error == KVPBUS_OK)
        return -1;
    kvpbus_fail(&failure, (enum kvpbus_error)(*reply)->error, "%s", (*reply)->detail);
    kvpbus__lab__reply__free_unpacked(*reply, NULL);
    return kvpbus_lab_report(&failure);
}

static int finish(Kvpbus__Lab__Reply *reply, bool written)
{
    kvpbus__lab__reply__free_unpacked(reply, NULL);
    if (written)
        return KVPBUS_LAB_EXIT_OK;
    fprintf(stderr, "kvpbus-lab: cannot write the answer: %s\n", strerror(errno));
    return KVPBUS_LAB_EXIT_FAILURE;
}

static int list(const struct arguments *arguments)
{
    Kvpbus__Lab__Request request = KVPBUS__LAB__REQUEST__INIT;
    Kvpbus__Lab__ListVms query = KVPBUS__LAB__LIST_VMS__INIT;
    Kvpbus__Lab__Reply *reply;
    request.kind_case = KVPBUS__LAB__REQUEST__KIND_LIST;
    request.list = &query;
    int status = ask(arguments, &request, &reply);
    if (status != -1)
        return status;
    return finish(reply, kvpbus_lab_print_vms(reply, arguments->json));
}

static int stats(const struct arguments *arguments)
{
    Kvpbus__Lab__Request request = KVPBUS__LAB__REQUEST__INIT;
    Kvpbus__Lab__StatsQuery query = KVPBUS__LAB__STATS_QUERY__INIT;
    Kvpbus__Lab__Reply *reply;
    if (arguments->count > 0)
        query.vm = arguments->operands[0];
    request.kind_case = KVPBUS__LAB__REQUEST__KIND_STATS;
    request.stats = &query;
    int status = ask(arguments, &request, &reply);
    if (status != -1)
        return status;
    return finish(reply, kvpbus_lab_print_stats(reply, arguments->json));
}

static int control(const struct arguments *arguments)
{
    static const struct {
        const char *word;
        Kvpbus__Lab__Action action;
    } actions[] = {
        {"start", KVPBUS__LAB__ACTION__START},           {"stop", KVPBUS__LAB__ACTION__STOP},
        {"reboot", KVPBUS__LAB__ACTION__REBOOT},         {"pause", KVPBUS__LAB__ACTION__PAUSE},
        {"resume", KVPBUS__LAB__ACTION__RESUME},         {"save", KVPBUS__LAB__ACTION__SAVE},
        {"checkpoint", KVPBUS__LAB__ACTION__CHECKPOINT}, {"revert", KVPBUS__LAB__ACTION__REVERT},
        {"clone", KVPBUS__LAB__ACTION__CLONE},           {"import", KVPBUS__LAB__ACTION__IMPORT},
    };
    Kvpbus__Lab__Request request = KVPBUS__LAB__REQUEST__INIT;
    Kvpbus__Lab__Control query = KVPBUS__LAB__CONTROL__INIT;
    Kvpbus__Lab__Reply *reply;
    query.vm = arguments->operands[0];
    if (arguments->count == 2)
        query.name = arguments->operands[1];
    for (size_t i = 0; i < sizeof actions / sizeof *actions; i++)
        if (strcmp(arguments->command, actions[i].word) == 0)
            query.action = actions[i].action;
    request.kind_case = KVPBUS__LAB__REQUEST__KIND_CONTROL;
    request.control = &query;
    int status = ask(arguments, &request, &reply);
    if (status != -1)
        return status;
    return finish(reply, kvpbus_lab_print_done(query.vm, reply->detail, arguments->json));
}

static int fault(const struct arguments *arguments)
{
    Kvpbus__Lab__Request request = KVPBUS__LAB__REQUEST__INIT;
    Kvpbus__Lab__Fault query = KVPBUS__LAB__FAULT__INIT;
    Kvpbus__Lab__Reply *reply;
    struct kvpbus_failure failure = {0};
    enum kvpbus_lab_fault kind;
    uint32_t value = 0;
    query.vm = arguments->operands[0];
    query.kind = arguments->operands[1];
    query.has_value = arguments->count == 3;
    if (query.has_value && !kvpbus_lab_parse_number(arguments->operands[2], 0, INT32_MAX, &value))
        return kvpbus_lab_usage_error("'%s' is not a number", arguments->operands[2]);
    query.value = value;
    query.count = arguments->times;
    if (kvpbus_lab_fault_parse(query.kind, query.has_value, query.value, &kind, &failure) !=
        KVPBUS_OK)
        return kvpbus_lab_report(&failure);
    request.kind_case = KVPBUS__LAB__REQUEST__KIND_FAULT;
    request.fault = &query;
    int status = ask(arguments, &request, &reply);
    if (status != -1)
        return status;
    return finish(reply, kvpbus_lab_print_done(query.vm, query.kind, arguments->json));
}

static int service(const struct arguments *arguments)
{
    Kvpbus__Lab__Request request = KVPBUS__LAB__REQUEST__INIT;
    Kvpbus__Lab__Service query = KVPBUS__LAB__SERVICE__INIT;
    Kvpbus__Lab__Reply *reply;
    const char *word = arguments->operands[0];
    uint32_t state;
    if (!kvpbus_lab_service_parse(word, &state))
        return kvpbus_lab_usage_error(
            "there is no state '%s': restart, stop, deny, absent, hide or normal", word);
    query.state = (Kvpbus__Lab__ServiceState)state;
    request.kind_case = KVPBUS__LAB__REQUEST__KIND_SERVICE;
    request.service = &query;
    int status = ask(arguments, &request, &reply);
    if (status != -1)
        return status;
    return finish(reply, kvpbus_lab_print_done("service", word, arguments->json));
}

static const struct {
    const char *name;
    int least, most; // operands
    int (*run)(const struct arguments *arguments);
} commands[] = {
    {"list", 0, 0, list},      {"start", 1, 1, control},      {"stop", 1, 1, control},
    {"reboot", 1, 1, control}, {"pause", 1, 1, control},      {"resume", 1, 1, control},
    {"save", 1, 1, control},   {"checkpoint", 2, 2, control}, {"revert", 2, 2, control},
    {"clone", 2, 2, control},  {"import", 1, 1, control},     {"fault", 2, 3, fault},
    {"stats", 0, 1, stats},    {"service", 1, 1, service},
};

static int run(const struct arguments *arguments)
{
    for (size_t i = 0; i < sizeof commands / sizeof *commands; i++) {
        if (strcmp(arguments->command, commands[i].name) != 0)
            continue;
        if (arguments->count < commands[i].least || arguments->count > commands[i].most)
            return kvpbus_lab_usage_error("%s does not take %d arguments", arguments->command,
                                          arguments->count);
        return commands[i].run(arguments);
    }
    return kvpbus_lab_usage_error("there is no command '%s'", arguments->command);
}

int kvpbus_lab_ctl_command(int argc, char **argv)
{
    static const struct option options[] = {
        {"help", no_argument, NULL, 'h'},
        {"json", no_argument, NULL, 'j'},
        {"count", required_argument, NULL, 'c'},
        {NULL, 0, NULL, 0},
    };
    struct arguments arguments = {0};
    int option;
    opterr = 0; // one line, with the program's name
    while ((option = getopt_long(argc, argv, "h", options, NULL)) != -1) {
        switch (option) {
        case 'h':
            print_help();
            return KVPBUS_LAB_EXIT_OK;
        case 'j':
            arguments.json = true;
            break;
        case 'c':
            if (!kvpbus_lab_parse_number(optarg, 1, INT32_MAX, &arguments.times))
                return kvpbus_lab_usage_error("--count needs a number from 1, not '%s'", optarg);
            break;
        default:
            return kvpbus_lab_usage_error("there is no option '%s', or it lacks its value",
                                          argv[optind - 1]);
        }
    }
    if (argc - optind < 2)
        return kvpbus_lab_usage_error("ctl takes the lab's folder and a command");
    arguments.directory = argv[optind];
    arguments.command = argv[optind + 1];
    arguments.operands = argv + optind + 2;
    arguments.count = argc - optind - 2;
    return run(&arguments);
}
