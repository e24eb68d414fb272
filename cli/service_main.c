// SPDX-License-Identifier: Apache-2.0
#include "service_main.h"

#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "config.h"
#include "exit_code.h"
#include "version.h"

static void help(const struct kvpbus_service_defaults *defaults)
{
    printf("Usage: %s [OPTION...]\n\n%s\n\n"
           "  --store STORE    %s\n"
           "  --state DIR      where identity and journal are kept (default %s)\n"
           "  --socket PATH    where the kvpbus command finds this service (default %s)\n"
           "  --config FILE    options from a file; kvpbus.conf(5) lists them\n"
           "  --verbose        log everything\n"
           "  --help, --version\n\n%s",
           defaults->program, defaults->summary, defaults->store_help, defaults->state,
           defaults->socket, defaults->examples);
}

static bool keep(char *to, size_t size, const char *text)
{
    int length = snprintf(to, size, "%s", text);
    return length >= 0 && (size_t)length < size;
}

static int usage(const char *program, const char *what)
{
    fprintf(stderr, "%s: %s; '%s --help' shows what is possible\n", program, what, program);
    return KVPBUS_EXIT_USAGE;
}

int kvpbus_service_failed(const char *program, const struct kvpbus_failure *failure)
{
    fprintf(stderr, "%s: %s\n", program,
            failure->detail[0] != '\0' ? failure->detail : kvpbus_error_text(failure->code));
    return (int)kvpbus_exit_of(failure->code);
}

int kvpbus_service_arguments(int argc, char **argv, const struct kvpbus_service_defaults *defaults,
                             struct kvpbus_service_arguments *arguments)
{
    static const struct option options[] = {
        {"store", required_argument, NULL, 's'},  {"state", required_argument, NULL, 'd'},
        {"socket", required_argument, NULL, 'k'}, {"config", required_argument, NULL, 'c'},
        {"verbose", no_argument, NULL, 'v'},      {"help", no_argument, NULL, 'h'},
        {"version", no_argument, NULL, 'V'},      {NULL, 0, NULL, 0},
    };
    memset(arguments, 0, sizeof *arguments);
    arguments->log = KVPBUS_LOG_INFO;
    bool fits = true;
    for (int option; (option = getopt_long(argc, argv, "", options, NULL)) != -1;) {
        switch (option) {
        case 's':
            fits &= keep(arguments->store, sizeof arguments->store, optarg);
            break;
        case 'd':
            fits &= keep(arguments->state, sizeof arguments->state, optarg);
            break;
        case 'k':
            fits &= keep(arguments->socket, sizeof arguments->socket, optarg);
            break;
        case 'c':
            fits &= keep(arguments->config, sizeof arguments->config, optarg);
            break;
        case 'v':
            arguments->log = KVPBUS_LOG_DEBUG;
            break;
        case 'h':
            help(defaults);
            return KVPBUS_EXIT_OK;
        case 'V':
            printf("%s %s\n", defaults->program, KVPBUS_VERSION);
            return KVPBUS_EXIT_OK;
        default:
            return usage(defaults->program, "the command line is not understood");
        }
    }
    if (optind < argc)
        return usage(defaults->program, "there are words too many");
    if (!fits)
        return usage(defaults->program, "a path is too long");

    struct kvpbus_failure failure = {0};
    if (arguments->config[0] != '\0' &&
        kvpbus_config_read(arguments->config, arguments, &failure) != KVPBUS_OK)
        return kvpbus_service_failed(defaults->program, &failure);
    if (arguments->state[0] == '\0')
        keep(arguments->state, sizeof arguments->state, defaults->state);
    if (arguments->socket[0] == '\0')
        keep(arguments->socket, sizeof arguments->socket, defaults->socket);
    arguments->options.role = defaults->role;
    arguments->options.program = defaults->program;
    arguments->options.state = arguments->state;
    arguments->options.socket = arguments->socket;
    arguments->options.prefix = arguments->prefix[0] != '\0' ? arguments->prefix : NULL;
    kvpbus_log_setup(arguments->log);
    return -1;
}
