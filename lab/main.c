// SPDX-License-Identifier: Apache-2.0
//
// kvpbus-lab: a stand-in Hyper-V host on Linux, with the real hv_kvp_daemon in its VMs.
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "guest_process.h"
#include "program.h"

#ifndef KVPBUS_VERSION
#define KVPBUS_VERSION "0.1.0"
#endif

static const struct {
    const char *name;
    int (*run)(int argc, char **argv);
    const char *text; // NULL: not for people
} commands[] = {
    {"run", kvpbus_lab_run_command, "run DIR --vm NAME [--vm NAME ...]   start a lab and its VMs"},
    {"ctl", kvpbus_lab_ctl_command, "ctl DIR COMMAND                     control a lab that runs"},
    {KVPBUS_LAB_GUEST_ENTRY, kvpbus_lab_guest_entry, NULL},
};

static void print_help(FILE *file)
{
    fputs("kvpbus-lab: a stand-in Hyper-V for tests of kvpbus\n\nUsage:\n", file);
    for (size_t i = 0; i < sizeof commands / sizeof *commands; i++)
        if (commands[i].text != NULL)
            fprintf(file, "  kvpbus-lab %s\n", commands[i].text);
    fputs("\nEach subcommand has a --help of its own; see also kvpbus-lab(1).\n"
          "Example:\n"
          "  kvpbus-lab run /tmp/lab --vm alpha --vm beta\n"
          "  kvpbus-lab ctl /tmp/lab list\n",
          file);
}

int kvpbus_lab_usage_error(const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    fputs("kvpbus-lab: ", stderr);
    vfprintf(stderr, format, arguments);
    fputs("; see --help\n", stderr);
    va_end(arguments);
    return KVPBUS_LAB_EXIT_USAGE;
}

int kvpbus_lab_report(const struct kvpbus_failure *failure)
{
    const char *text =
        failure->detail[0] != '\0' ? failure->detail : kvpbus_error_text(failure->code);
    fprintf(stderr, "kvpbus-lab: %s\n", text);
    switch (failure->code) {
    case KVPBUS_INVALID_ARGUMENT:
        return KVPBUS_LAB_EXIT_USAGE;
    case KVPBUS_STORE_GONE:
    case KVPBUS_CLOSED:
        return KVPBUS_LAB_EXIT_NO_LAB;
    case KVPBUS_VM_UNKNOWN:
        return KVPBUS_LAB_EXIT_UNKNOWN_VM;
    case KVPBUS_TIMEOUT:
        return KVPBUS_LAB_EXIT_TIMEOUT;
    case KVPBUS_VM_OFF:
    case KVPBUS_BUSY:
        return KVPBUS_LAB_EXIT_REFUSED;
    case KVPBUS_EXISTS:
        return KVPBUS_LAB_EXIT_RUNNING;
    case KVPBUS_UNSUPPORTED:
        return KVPBUS_LAB_EXIT_MACHINE;
    default:
        return KVPBUS_LAB_EXIT_FAILURE;
    }
}

bool kvpbus_lab_parse_number(const char *text, uint32_t least, uint32_t most, uint32_t *number)
{
    char *end;
    if (text[0] < '0' || text[0] > '9')
        return false;
    errno = 0;
    unsigned long long value = strtoull(text, &end, 10);
    if (errno != 0 || *end != '\0' || value < least || value > most)
        return false;
    *number = (uint32_t)value;
    return true;
}

int main(int argc, char **argv)
{
    if (argc < 2) {
        print_help(stderr);
        return KVPBUS_LAB_EXIT_USAGE;
    }
    if (strcmp(argv[1], "--help") == 0 || strcmp(argv[1], "-h") == 0) {
        print_help(stdout);
        return KVPBUS_LAB_EXIT_OK;
    }
    if (strcmp(argv[1], "--version") == 0) {
        puts("kvpbus-lab " KVPBUS_VERSION);
        return KVPBUS_LAB_EXIT_OK;
    }
    for (size_t i = 0; i < sizeof commands / sizeof *commands; i++)
        if (strcmp(argv[1], commands[i].name) == 0)
            return commands[i].run(argc - 1, argv + 1);
    return kvpbus_lab_usage_error("there is no subcommand %s: run or ctl", argv[1]);
}
