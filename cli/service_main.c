// SPDX-License-Identifier: Apache-2.0
#include "service_main.h"

#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "config.h"
#include "exit_code.h"
#include "file.h"
#include "log_target.h"
#include "option_fault.h"
#include "paths.h"
#include "service_control.h"
#include "service_place.h"
#include "service_trust.h"
#include "version.h"
#include "words.h"

static void help(const struct kvpbus_service_defaults *defaults)
{
    printf("Usage: %s [OPTION...]\n\n%s\n\n"
           "  --store STORE    %s\n"
           "  --state DIR      where identity and journal are kept (default %s)\n"
           "  --socket PATH    where the kvpbus command finds this service (default %s)\n"
           "  --config FILE    options from a file (default %s, if it is "
           "there); " KVPBUS_WORD_OPTIONS_LISTED "\n"
           "  --check-config   only say whether the options and the file are right\n"
           "  --print-config   print a file with every option and what holds without it\n"
           "  --verbose        log everything\n"
           "  --help, --version\n\n",
           defaults->program, defaults->summary, defaults->store_help, defaults->state,
           defaults->socket, defaults->config);
    kvpbus_service_control_help(defaults->program);
    fputs(defaults->examples, stdout);
}

static bool keep(char *to, size_t size, const char *text)
{
    int length = snprintf(to, size, "%s", text);
    return length >= 0 && (size_t)length < size;
}

// Why the program ends before it has begun.
static void say(const char *program, const char *what)
{
    if (kvpbus_log_target() == KVPBUS_LOG_EVENTS)
        kvpbus_log_event(KVPBUS_LOGGED_NOT_STARTED, NULL, "%s", what);
    else
        fprintf(stderr, "%s: %s\n", program, what);
}

static int usage(const char *program, const char *what)
{
    char text[KVPBUS_OPTION_FAULT + 128];
    snprintf(text, sizeof text, "%s; '%s --help' shows what is possible", what, program);
    say(program, text);
    return KVPBUS_EXIT_USAGE;
}

int kvpbus_service_failed(const char *program, const struct kvpbus_failure *failure)
{
    say(program, failure->detail[0] != '\0' ? failure->detail : kvpbus_error_text(failure->code));
    return (int)kvpbus_exit_of(failure->code);
}

// The command line alone, to which the file is added at the start and at each SIGHUP.
static struct kvpbus_service_arguments given;
static struct kvpbus_service_arguments *current;
static const struct kvpbus_service_defaults *standard;

static void warn_in_log(const char *text)
{
    kvpbus_log_event(KVPBUS_LOGGED_UNKNOWN_OPTION, NULL, "%s; it is left out", text);
}

static void warn_at_check(const char *text)
{
    fprintf(stderr, "%s\n", text);
}

static enum kvpbus_error read_file(struct kvpbus_service_arguments *arguments,
                                   kvpbus_config_warn_fn *warn, size_t *unknown,
                                   struct kvpbus_failure *failure)
{
    *unknown = 0;
    if (arguments->config[0] == '\0')
        return KVPBUS_OK;
    enum kvpbus_error error =
        kvpbus_config_read(arguments->config, arguments, warn, unknown, failure);
    if (given.log == KVPBUS_LOG_DEBUG)
        arguments->log = given.log; // --verbose
    return error;
}

static const char *standard_trust(enum kvpbus_role role)
{
    return role == KVPBUS_ROLE_GUEST ? KVPBUS_TRUSTED_HOST : KVPBUS_KNOWN_GUESTS;
}

void kvpbus_service_name_trust(struct kvpbus_service_arguments *arguments, enum kvpbus_role role)
{
    bool guest = role == KVPBUS_ROLE_GUEST;
    const char *named = guest ? arguments->trusted_host : arguments->known_guests;
    arguments->options.trust_file = named[0] != '\0' ? named : standard_trust(role);
    if (!guest)
        return;
    arguments->options.token_file = arguments->enroll_token_file;
    if (arguments->enroll_token_file[0] == '\0')
        arguments->options.token_file = kvpbus_service_credential();
    if (arguments->options.token_file == NULL)
        arguments->options.token_file = KVPBUS_ENROLL_TOKEN;
}

static bool trust_comes;

void kvpbus_service_trust_comes(void)
{
    trust_comes = true;
}

void kvpbus_service_complete(const struct kvpbus_service_defaults *defaults,
                             struct kvpbus_service_arguments *arguments)
{
    struct kvpbus_service_options *options = &arguments->options;
    if (arguments->state[0] == '\0')
        keep(arguments->state, sizeof arguments->state, defaults->state);
    if (arguments->socket[0] == '\0')
        keep(arguments->socket, sizeof arguments->socket, defaults->socket);
    options->role = defaults->role;
    options->program = defaults->program;
    options->state = arguments->state;
    options->socket = arguments->socket;
    options->prefix = arguments->prefix[0] != '\0' ? arguments->prefix : NULL;
    options->metrics = arguments->metrics[0] != '\0' ? arguments->metrics : NULL;
    options->quotas = arguments->quotas;
    options->quota_count = arguments->quota_count;
    kvpbus_service_name_trust(arguments, defaults->role);
}

enum kvpbus_error kvpbus_service_arguments_check(const struct kvpbus_service_defaults *defaults,
                                                 const struct kvpbus_service_arguments *arguments,
                                                 struct kvpbus_failure *failure)
{
    enum kvpbus_error error = defaults->check_store(arguments->store, failure);
    return error == KVPBUS_OK ? kvpbus_service_check(&arguments->options, failure) : error;
}

// One way to come from the command line to what the service begins with: for the start, for
// --check-config, and when the file is read again.
static enum kvpbus_error make_whole(struct kvpbus_service_arguments *arguments,
                                    kvpbus_config_warn_fn *warn, size_t *unknown,
                                    struct kvpbus_failure *failure)
{
    enum kvpbus_error error = read_file(arguments, warn, unknown, failure);
    if (error != KVPBUS_OK)
        return error;
    kvpbus_service_complete(standard, arguments);
    return kvpbus_service_arguments_check(standard, arguments, failure);
}

static int check(struct kvpbus_service_arguments *arguments)
{
    struct kvpbus_failure failure = {0};
    size_t unknown;
    enum kvpbus_error error = make_whole(arguments, warn_at_check, &unknown, &failure);
    const char *trust = arguments->options.trust_file;
    if (error == KVPBUS_OK && unknown > 0)
        return KVPBUS_EXIT_USAGE;
    if (error == KVPBUS_OK &&
        !(trust_comes && strcmp(trust, standard_trust(standard->role)) == 0)) {
        error = kvpbus_trust_check(standard->role, trust, &failure);
        if (error == KVPBUS_NOT_FOUND)
            error = KVPBUS_OK; // it may come later
    }
    if (error != KVPBUS_OK) {
        kvpbus_service_failed(standard->program, &failure);
        return KVPBUS_EXIT_USAGE;
    }
    printf("%s is right\n", arguments->config[0] != '\0' ? arguments->config : "the command line");
    return KVPBUS_EXIT_OK;
}

static void take_effect(struct kvpbus_service *service,
                        const struct kvpbus_service_arguments *fresh)
{
    current->log = fresh->log;
    current->log_format = fresh->log_format;
    service->options.poll_fast_ms = fresh->options.poll_fast_ms;
    service->options.poll_slow_ms = fresh->options.poll_slow_ms;
    service->options.stop_within_ms = fresh->options.stop_within_ms;
    service->options.lease_ms = fresh->options.lease_ms;
    strcpy(current->trusted_host, fresh->trusted_host);
    strcpy(current->known_guests, fresh->known_guests);
    strcpy(current->enroll_token_file, fresh->enroll_token_file);
    kvpbus_service_name_trust(current, service->options.role);
    service->options.trust_file = current->options.trust_file;
    service->options.token_file = current->options.token_file;
    current->options = service->options;
    kvpbus_log_setup(fresh->log, fresh->log_format);
    kvpbus_bus_polling(service->bus, fresh->options.poll_fast_ms, fresh->options.poll_slow_ms);
}

static void reload(struct kvpbus_service *service)
{
    struct kvpbus_service_arguments fresh = given;
    struct kvpbus_failure failure = {0};
    struct kvpbus_config_change changes[KVPBUS_CONFIG_OPTIONS_MAX];
    size_t unknown;
    if (given.config[0] == '\0') {
        kvpbus_log(KVPBUS_LOG_INFO, "there is no configuration file to read again");
        kvpbus_service_trust_again(service->trust);
        return;
    }
    if (make_whole(&fresh, warn_in_log, &unknown, &failure) != KVPBUS_OK) {
        kvpbus_log(KVPBUS_LOG_ERROR, "the configuration stays as it was: %s", failure.detail);
        return;
    }
    size_t count = kvpbus_config_changes(current, &fresh, changes);
    take_effect(service, &fresh);
    kvpbus_service_trust_again(service->trust);
    kvpbus_log(KVPBUS_LOG_INFO, "read %s again: %zu options differ", given.config, count);
    for (size_t i = 0; i < count; i++)
        kvpbus_log(KVPBUS_LOG_INFO, "%s %s", changes[i].name,
                   changes[i].at_once ? "takes effect now" : "takes effect at the next start");
}

enum { GO_ON = -1 }; // else the exit code

// The command line alone.
static int parse(int argc, char **argv, const struct kvpbus_service_defaults *defaults,
                 struct kvpbus_service_arguments *arguments, bool *only_check)
{
    static const struct option options[] = {
        {"store", required_argument, NULL, 's'},  {"state", required_argument, NULL, 'd'},
        {"socket", required_argument, NULL, 'k'}, {"config", required_argument, NULL, 'c'},
        {"verbose", no_argument, NULL, 'v'},      {"help", no_argument, NULL, 'h'},
        {"version", no_argument, NULL, 'V'},      {"check-config", no_argument, NULL, 'C'},
        {"print-config", no_argument, NULL, 'P'}, {NULL, 0, NULL, 0},
    };
    bool fits = true;
    char fault[KVPBUS_OPTION_FAULT];
    opterr = 0;
    for (int option; (option = getopt_long(argc, argv, ":", options, NULL)) != -1;) {
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
        case 'C':
            *only_check = true;
            break;
        case 'P':
            kvpbus_config_print(stdout);
            return KVPBUS_EXIT_OK;
        case 'V':
            printf("%s %s\n", defaults->program, KVPBUS_VERSION);
            return KVPBUS_EXIT_OK;
        default:
            kvpbus_option_fault(argv, option, fault);
            return usage(defaults->program, fault);
        }
    }
    if (optind < argc)
        return usage(defaults->program, "there are words too many");
    return fits ? GO_ON : usage(defaults->program, "a path is too long");
}

int kvpbus_service_arguments(int argc, char **argv, const struct kvpbus_service_defaults *defaults,
                             struct kvpbus_service_arguments *arguments)
{
    bool only_check = false;
    struct kvpbus_failure failure = {0};
    size_t unknown;
    memset(arguments, 0, sizeof *arguments);
    arguments->log = KVPBUS_LOG_INFO;
    int code = parse(argc, argv, defaults, arguments, &only_check);
    if (code != GO_ON)
        return code;
    if (arguments->config[0] == '\0' && kvpbus_file_exists(defaults->config))
        keep(arguments->config, sizeof arguments->config, defaults->config);
    given = *arguments;
    current = arguments;
    standard = defaults;
    if (only_check)
        return check(arguments);
    kvpbus_log_setup(arguments->log, arguments->log_format);
    if (make_whole(arguments, warn_in_log, &unknown, &failure) != KVPBUS_OK)
        return kvpbus_service_failed(defaults->program, &failure);
    arguments->options.reload = reload;
    if (strcmp(arguments->socket, defaults->socket) == 0)
        kvpbus_service_make_socket_folder(arguments->socket);
    kvpbus_log_setup(arguments->log, arguments->log_format);
    return GO_ON;
}
