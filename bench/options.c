// SPDX-License-Identifier: Apache-2.0
#include "options.h"

#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>

#include "figures.h"

static const char help[] =
    "Usage: kvpbus-bench [OPTION ...]\n"
    "\n"
    "Measures what kvpbus makes of the channel: in a lab with the real hv_kvp_daemon, bare SETs "
    "of\n"
    "full values and the delivery of a message, in turns, in one run. Prints the median of each "
    "and\n"
    "their ratio, and what it took: items, calls, payload share. The programs are those of the\n"
    "build that this one is of.\n"
    "\n"
    "  --size MIB         MiB of a message, 1 to 16 (1)\n"
    "  --rounds N         measurements of each, 1 to 99 (5)\n"
    "  --check RATIO      end with 1 when a message to the guest has less than RATIO of the "
    "goodput\n"
    "                     of bare SETs\n"
    "  --to-guest-only    measure only what --check is about\n"
    "  --by-hand          also once how scripts do it: pieces, polls, removals (20 s and more)\n"
    "  --vms N            instead: what each VM of fleets of 10, 50, 100 up to N (at most 255) "
    "costs\n"
    "                     the host program; ends with 1 when one query does not read all VMs, or\n"
    "                     the greatest fleet's VM costs more than 3 times the smallest one's\n"
    "  --hostile          with --vms: N VMs beside one that fills its pool again and again; ends\n"
    "                     with 1 when the others or the host program suffer from it\n"
    "  --growth RATIO     with --hostile: how far the latency may grow (1.5)\n"
    "  --json             print JSON\n"
    "  --build DIR        folder of another build\n"
    "\n"
    "On a machine that does something else at the same time the figures are of no use. Examples:\n"
    "  kvpbus-bench\n"
    "  kvpbus-bench --check 0.5 --rounds 9\n"
    "  kvpbus-bench --vms 200\n"
    "  kvpbus-bench --vms 50 --hostile\n";

enum { SIZE = 256, ROUNDS, CHECK, TO_GUEST_ONLY, BY_HAND, VMS, HOSTILE, GROWTH, JSON, BUILD };

static const struct option long_options[] = {
    {"help", no_argument, NULL, 'h'},
    {"size", required_argument, NULL, SIZE},
    {"rounds", required_argument, NULL, ROUNDS},
    {"check", required_argument, NULL, CHECK},
    {"to-guest-only", no_argument, NULL, TO_GUEST_ONLY},
    {"by-hand", no_argument, NULL, BY_HAND},
    {"vms", required_argument, NULL, VMS},
    {"hostile", no_argument, NULL, HOSTILE},
    {"growth", required_argument, NULL, GROWTH},
    {"json", no_argument, NULL, JSON},
    {"build", required_argument, NULL, BUILD},
    {NULL, 0, NULL, 0},
};

static bool number(const char *text, double least, double most, double *value)
{
    char *end;
    *value = strtod(text, &end);
    return end != text && *end == '\0' && *value >= least && *value <= most;
}

static bool whole(const char *text, double most, size_t *value)
{
    double parsed;
    if (!number(text, 1, most, &parsed) || parsed != (double)(size_t)parsed)
        return false;
    *value = (size_t)parsed;
    return true;
}

static bool apply(struct bench_options *options, int option)
{
    switch (option) {
    case SIZE:
        if (!whole(optarg, 16, &options->bytes))
            return false;
        options->bytes <<= 20;
        return true;
    case ROUNDS:
        return whole(optarg, BENCH_ROUNDS_MAX, &options->rounds);
    case CHECK:
        return number(optarg, 0.001, 10, &options->check);
    case TO_GUEST_ONLY:
        options->to_host = false;
        return true;
    case BY_HAND:
        options->by_hand = true;
        return true;
    case VMS:
        return whole(optarg, BENCH_VMS_MAX, &options->vms);
    case HOSTILE:
        options->hostile = true;
        return true;
    case GROWTH:
        return number(optarg, 1, 100, &options->growth);
    case JSON:
        options->json = true;
        return true;
    case BUILD:
        options->build = optarg;
        return true;
    default:
        return false;
    }
}

int bench_options(int argc, char **argv, struct bench_options *options)
{
    *options =
        (struct bench_options){.bytes = 1 << 20, .rounds = 5, .growth = 1.5, .to_host = true};
    int option, index = 0;
    while ((option = getopt_long(argc, argv, "h", long_options, &index)) != -1) {
        if (option == 'h') {
            fputs(help, stdout);
            return 0;
        }
        if (apply(options, option))
            continue;
        if (option != '?')
            fprintf(stderr, "kvpbus-bench: '%s' makes no sense for --%s; see --help\n", optarg,
                    long_options[index].name);
        return 2;
    }
    if (optind == argc && options->hostile && options->vms == 0) {
        fputs("kvpbus-bench: --hostile needs --vms; see --help\n", stderr);
        return 2;
    }
    if (optind == argc)
        return -1;
    fprintf(stderr, "kvpbus-bench: what is '%s'? See --help\n", argv[optind]);
    return 2;
}
