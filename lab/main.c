// SPDX-License-Identifier: Apache-2.0
//
// kvpbus-lab: a stand-in Hyper-V host on Linux, with the real hv_kvp_daemon in its VMs.
#include <stdio.h>
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
