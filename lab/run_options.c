// SPDX-License-Identifier: Apache-2.0
#include "run_options.h"

#include <getopt.h>
#include <stdio.h>
#include <string.h>

#include "program.h"

#define DAEMON "/usr/sbin/hv_kvp_daemon"

static const char help[] =
    "Usage: kvpbus-lab run DIR --vm NAME [--vm NAME ...] [OPTION ...]\n"
    "\n"
    "Starts VMs, those with Linux guests with the real hv_kvp_daemon, and serves their\n"
    "management API on DIR/host.sock. Stays in the foreground and prints a line that begins with\n"
    "\"ready\" when all VMs run; SIGINT or SIGTERM ends it. DIR/vm/NAME/kvp holds a VM's pool\n"
    "files.\n"
    "\n"
    "  --vm NAME                  a VM; up to 256\n"
    "  --windows-vm NAME          a VM with a Windows guest, whose integration service is played\n"
    "                             by kvpbus-lab-integration.exe under Wine; with it goes --tcp\n"
    "  --stopped                  do not start the VMs\n"
    "  --tcp                      serve the API also on a port of 127.0.0.1, for programs under\n"
    "                             Wine; DIR/host.port has its number\n"
    "  --daemon PATH              the guest's daemon (" DAEMON ")\n"
    "  --same-name NAME           what the API calls every VM, for Hyper-V lets several have one\n"
    "                             name; ctl and folders keep to those of --vm\n"
    "\n"
    "What the documentation of Hyper-V leaves open, and how this lab does it:\n"
    "  --item-limit N             host items of a VM before it fails, 1 to 1024 (256)\n"
    "  --guest-limit N            guest items that the host reads, 1 to 1024 (1024)\n"
    "  --guest-cache MS           the host reads guest items every MS ms, and answers from its\n"
    "                             copy; 0: each read asks the guest (0)\n"
    "  --latency MS               of each request (0)\n"
    "  --job-latency MS           before each job (0)\n"
    "  --atomic                   a batch is checked whole before any of it is done\n"
    "  --modify-missing CODE      what Modify of a missing key gives: 32773 or 32779 (32773)\n"
    "  --remove-missing CODE      what Remove of a missing key gives: 0 or 32773 (0)\n"
    "  --value-limit N            units of the longest value that is accepted, 512 to 1023 (1023)\n"
    "  --too-long CODE            what a longer one gives: 32773 or 32768 (32773)\n"
    "  --exchange-off CODE        what calls give while Data Exchange is off: 32775, 32777, or 0,\n"
    "                             then the host keeps the items (32775)\n"
    "  --item-text HOW            values of the host are kept exact, trimmed or escaped (exact)\n"
    "  --skip-unchanged           a Modify that changes nothing is not sent to the guest\n"
    "  --sort-guest               the guest's items are read in the order of their keys\n"
    "  --drop-failed              an item that the guest did not take is not kept either\n"
    "  --push-at-reconnect        all host items are sent again when the daemon comes back\n"
    "                             within one boot\n"
    "  --revert-keeps-items       host items stay as they are when a VM is reverted\n"
    "\n"
    "Example:\n"
    "  kvpbus-lab run /tmp/lab --vm alpha --vm beta\n";

enum {
    OPTION_VM = 256,
    OPTION_WINDOWS_VM,
    OPTION_STOPPED,
    OPTION_TCP,
    OPTION_DAEMON,
    OPTION_SAME_NAME,
    OPTION_ITEM_LIMIT,
    OPTION_GUEST_LIMIT,
    OPTION_GUEST_CACHE,
    OPTION_LATENCY,
    OPTION_JOB_LATENCY,
    OPTION_ATOMIC,
    OPTION_MODIFY_MISSING,
    OPTION_REMOVE_MISSING,
    OPTION_VALUE_LIMIT,
    OPTION_TOO_LONG,
    OPTION_EXCHANGE_OFF,
    OPTION_ITEM_TEXT,
    OPTION_SKIP_UNCHANGED,
    OPTION_SORT_GUEST,
    OPTION_DROP_FAILED,
    OPTION_PUSH_AT_RECONNECT,
    OPTION_REVERT_KEEPS_ITEMS,
};

static const struct option long_options[] = {
    {"help", no_argument, NULL, 'h'},
    {"vm", required_argument, NULL, OPTION_VM},
    {"windows-vm", required_argument, NULL, OPTION_WINDOWS_VM},
    {"stopped", no_argument, NULL, OPTION_STOPPED},
    {"tcp", no_argument, NULL, OPTION_TCP},
    {"daemon", required_argument, NULL, OPTION_DAEMON},
    {"same-name", required_argument, NULL, OPTION_SAME_NAME},
    {"item-limit", required_argument, NULL, OPTION_ITEM_LIMIT},
    {"guest-limit", required_argument, NULL, OPTION_GUEST_LIMIT},
    {"guest-cache", required_argument, NULL, OPTION_GUEST_CACHE},
    {"latency", required_argument, NULL, OPTION_LATENCY},
    {"job-latency", required_argument, NULL, OPTION_JOB_LATENCY},
    {"atomic", no_argument, NULL, OPTION_ATOMIC},
    {"modify-missing", required_argument, NULL, OPTION_MODIFY_MISSING},
    {"remove-missing", required_argument, NULL, OPTION_REMOVE_MISSING},
    {"value-limit", required_argument, NULL, OPTION_VALUE_LIMIT},
    {"too-long", required_argument, NULL, OPTION_TOO_LONG},
    {"exchange-off", required_argument, NULL, OPTION_EXCHANGE_OFF},
    {"item-text", required_argument, NULL, OPTION_ITEM_TEXT},
    {"skip-unchanged", no_argument, NULL, OPTION_SKIP_UNCHANGED},
    {"sort-guest", no_argument, NULL, OPTION_SORT_GUEST},
    {"drop-failed", no_argument, NULL, OPTION_DROP_FAILED},
    {"push-at-reconnect", no_argument, NULL, OPTION_PUSH_AT_RECONNECT},
    {"revert-keeps-items", no_argument, NULL, OPTION_REVERT_KEEPS_ITEMS},
    {NULL, 0, NULL, 0},
};

static int add_vm(struct kvpbus_lab_options *options, const char *name, bool windows)
{
    if (!kvpbus_lab_name_valid(name))
        return kvpbus_lab_usage_error("'%s' is no name for a VM: 1 to %d letters, digits, . _ -",
                                      name, KVPBUS_LAB_NAME_MAX);
    for (size_t i = 0; i < options->count; i++)
        if (strcmp(options->names[i], name) == 0)
            return kvpbus_lab_usage_error("there are two VMs with the name %s", name);
    if (options->count == KVPBUS_LAB_VMS_MAX)
        return kvpbus_lab_usage_error("a lab has at most %d VMs", KVPBUS_LAB_VMS_MAX);
    options->windows[options->count] = windows;
    options->names[options->count++] = name;
    options->tcp = options->tcp || windows;
    return -1;
}

static int number(const char *name, uint32_t least, uint32_t most, uint32_t *target)
{
    if (kvpbus_lab_parse_number(optarg, least, most, target))
        return -1;
    return kvpbus_lab_usage_error("--%s needs a number from %u to %u, not '%s'", name,
                                  (unsigned)least, (unsigned)most, optarg);
}

static int code(const char *name, uint32_t one, uint32_t other, uint32_t *target)
{
    uint32_t value;
    if (kvpbus_lab_parse_number(optarg, 0, UINT16_MAX, &value) &&
        (value == one || value == other)) {
        *target = value;
        return -1;
    }
    return kvpbus_lab_usage_error("--%s is %u or %u, not '%s'", name, (unsigned)one,
                                  (unsigned)other, optarg);
}

static int exchange_off(uint32_t *target)
{
    uint32_t value;
    if (kvpbus_lab_parse_number(optarg, 0, UINT16_MAX, &value) &&
        (value == KVPBUS_RETURN_COMPLETED || value == KVPBUS_RETURN_INVALID_STATE ||
         value == KVPBUS_RETURN_NOT_AVAILABLE)) {
        *target = value;
        return -1;
    }
    return kvpbus_lab_usage_error("--exchange-off is 0, 32775 or 32777, not '%s'", optarg);
}

static int item_text(enum kvpbus_lab_item_text *target)
{
    static const char *const words[] = {[KVPBUS_LAB_TEXT_EXACT] = "exact",
                                        [KVPBUS_LAB_TEXT_TRIMMED] = "trimmed",
                                        [KVPBUS_LAB_TEXT_ESCAPED] = "escaped"};
    for (size_t i = 0; i < sizeof words / sizeof *words; i++) {
        if (strcmp(optarg, words[i]) == 0) {
            *target = (enum kvpbus_lab_item_text)i;
            return -1;
        }
    }
    return kvpbus_lab_usage_error("--item-text is exact, trimmed or escaped, not '%s'", optarg);
}

static bool *flag(struct kvpbus_lab_options *options, int option)
{
    switch (option) {
    case OPTION_STOPPED:
        return &options->stopped;
    case OPTION_TCP:
        return &options->tcp;
    case OPTION_ATOMIC:
        return &options->atomic;
    case OPTION_SKIP_UNCHANGED:
        return &options->skip_unchanged;
    case OPTION_SORT_GUEST:
        return &options->sort_guest;
    case OPTION_DROP_FAILED:
        return &options->drop_failed;
    case OPTION_PUSH_AT_RECONNECT:
        return &options->push_at_reconnect;
    case OPTION_REVERT_KEEPS_ITEMS:
        return &options->revert_keeps_items;
    default:
        return NULL;
    }
}

static int apply(struct kvpbus_lab_options *options, int option, const char *name)
{
    enum { HOUR_MS = 3600000, VALUE_LIMIT_LEAST = 512 };
    bool *set = flag(options, option);
    if (set != NULL) {
        *set = true;
        return -1;
    }
    switch (option) {
    case OPTION_VM:
        return add_vm(options, optarg, false);
    case OPTION_WINDOWS_VM:
        return add_vm(options, optarg, true);
    case OPTION_DAEMON:
        options->daemon = optarg;
        return -1;
    case OPTION_SAME_NAME:
        options->same_name = optarg;
        return -1;
    case OPTION_ITEM_LIMIT:
        return number(name, 1, KVPBUS_LAB_ITEMS_MAX, &options->item_limit);
    case OPTION_GUEST_LIMIT:
        return number(name, 1, KVPBUS_LAB_ITEMS_MAX, &options->guest_limit);
    case OPTION_GUEST_CACHE:
        return number(name, 0, HOUR_MS, &options->guest_cache_ms);
    case OPTION_LATENCY:
        return number(name, 0, HOUR_MS, &options->latency_ms);
    case OPTION_JOB_LATENCY:
        return number(name, 0, HOUR_MS, &options->job_latency_ms);
    case OPTION_MODIFY_MISSING:
        return code(name, KVPBUS_RETURN_INVALID_PARAMETER, KVPBUS_RETURN_NOT_FOUND,
                    &options->modify_missing);
    case OPTION_REMOVE_MISSING:
        return code(name, KVPBUS_RETURN_COMPLETED, KVPBUS_RETURN_INVALID_PARAMETER,
                    &options->remove_missing);
    case OPTION_VALUE_LIMIT:
        return number(name, VALUE_LIMIT_LEAST, KVPBUS_LAB_VALUE_UNITS, &options->value_limit);
    case OPTION_TOO_LONG:
        return code(name, KVPBUS_RETURN_INVALID_PARAMETER, KVPBUS_RETURN_FAILED,
                    &options->too_long);
    case OPTION_EXCHANGE_OFF:
        return exchange_off(&options->exchange_off);
    case OPTION_ITEM_TEXT:
        return item_text(&options->item_text);
    default:
        return KVPBUS_LAB_EXIT_USAGE;
    }
}

int kvpbus_lab_run_options(int argc, char **argv, struct kvpbus_lab_options *options)
{
    *options = (struct kvpbus_lab_options){
        .daemon = DAEMON,
        .item_limit = 256,
        .guest_limit = KVPBUS_LAB_ITEMS_MAX,
        .value_limit = KVPBUS_LAB_VALUE_UNITS,
        .too_long = KVPBUS_RETURN_INVALID_PARAMETER,
        .exchange_off = KVPBUS_RETURN_INVALID_STATE,
        .modify_missing = KVPBUS_RETURN_INVALID_PARAMETER,
        .remove_missing = KVPBUS_RETURN_COMPLETED,
    };
    int index = 0;
    int option;
    opterr = 0; // one line, with the program's name
    while ((option = getopt_long(argc, argv, "h", long_options, &index)) != -1) {
        if (option == 'h') {
            fputs(help, stdout);
            return KVPBUS_LAB_EXIT_OK;
        }
        if (option == '?')
            return kvpbus_lab_usage_error("there is no option '%s', or it lacks its value",
                                          argv[optind - 1]);
        int status = apply(options, option, long_options[index].name);
        if (status != -1)
            return status;
    }
    if (argc - optind != 1)
        return kvpbus_lab_usage_error("run takes one folder");
    if (options->count == 0)
        return kvpbus_lab_usage_error("name at least one VM with --vm or --windows-vm");
    options->directory = argv[optind];
    return -1;
}
