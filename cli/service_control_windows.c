// SPDX-License-Identifier: Apache-2.0
#include "service_control.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "exit_code.h"
#include "service_files_windows.h"
#include "service_install_windows.h"
#include "service_manager_windows.h"

void kvpbus_service_control_help(const char *program)
{
    printf("As a service of Windows; '%s service --help' says more:\n"
           "  %s service install && %s service start\n\n",
           program, program, program);
}

static void help(const struct kvpbus_service_defaults *defaults)
{
    const char *name = defaults->program;
    bool guest = defaults->role == KVPBUS_ROLE_GUEST;
    printf(
        "Usage: %s service install [--trust-key KEY | --trust-key-file FILE]%s [OPTION...]\n"
        "       %s service start | stop | status\n"
        "       %s service remove [--purge]\n\n"
        "Has this program run as a service of Windows, from the next start of the system on.\n\n",
        name, guest ? " [--enroll-token-file FILE]" : "", name, name);
    printf("  install   registers it; the options of '%s --help' are kept for its starts, paths "
           "whole.\n"
           "            Of one that is registered only the program changes, and what options are "
           "given.\n"
           "            KEY or its FILE says whom it trusts%s\n"
           "            (docs/provisioning.md); they are kept in %%ProgramData%%\\kvpbus\n",
           name, guest ? ", and the token's pairs it" : ": a line is a VM's GUID and key");
    printf("  start, stop\n"
           "            wait for it; what went wrong stands in the Event Log, source %s\n"
           "  status    says whether it runs, or ends with %d\n"
           "  remove    stops it, and registers it no more; with --purge its state, configuration "
           "and files\n"
           "            of trust go too, and what is queued is lost\n\n",
           name, KVPBUS_EXIT_NO_SERVICE);
    printf("All but status need an elevated prompt. It runs as SYSTEM: keep the program where only "
           "administrators\nmay write.\n\n"
           "  %s service install%s && %s service start\n",
           name, guest ? " --enroll-token-file C:\\token" : "", name);
}

static int usage(const char *program, const char *what)
{
    fprintf(stderr, "%s: %s; '%s service --help' shows what is possible\n", program, what, program);
    return KVPBUS_EXIT_USAGE;
}

static struct kvpbus_service_about about_of(const struct kvpbus_service_defaults *defaults)
{
    bool host = defaults->role == KVPBUS_ROLE_HOST;
    return (struct kvpbus_service_about){
        .name = defaults->program,
        .title = host ? "kvpbus host" : "kvpbus guest agent",
        .says = defaults->summary,
        .late = host, // after the management service of Hyper-V
    };
}

// --- install ---

// Also where it is cut short, as getopt_long takes it.
static bool is_option(const char *word, const char *name)
{
    size_t length = strcspn(word, "=");
    return length > strlen("--") && strncmp(word, name, length) == 0;
}

// Takes "--NAME VALUE" and "--NAME=VALUE" at words[*at]; false: it is another word.
static bool take(char **words, size_t *at, const char *name, const char **value, bool *complete)
{
    const char *word = words[*at], *behind = strchr(word, '=');
    if (!is_option(word, name))
        return false;
    if (behind != NULL)
        *value = behind + 1;
    else if (words[*at + 1] != NULL)
        *value = words[++*at];
    else
        *complete = false;
    return true;
}

static bool is_whole(const char *path)
{
    return (isalpha((unsigned char)path[0]) && path[1] == ':' &&
            (path[2] == '\\' || path[2] == '/')) ||
           (path[0] == '\\' && path[1] == '\\') || path[0] == '%';
}

// A service begins in a folder that is not the caller's.
static const char *broken_path(char **options)
{
    static const char *const names[] = {"--state", "--config", "--credentials"};
    for (size_t i = 0; options[i] != NULL; i++)
        for (size_t n = 0; n < sizeof names / sizeof *names; n++) {
            const char *value = NULL;
            bool complete = true;
            if (!take(options, &i, names[n], &value, &complete))
                continue;
            if (complete && !is_whole(value))
                return value;
            break;
        }
    return NULL;
}

static int check_options(char **argv, size_t count, char **options,
                         const struct kvpbus_service_defaults *defaults, kvpbus_service_run_fn *run)
{
    static const char *const others[] = {"--help", "--version", "--check-config", "--print-config"};
    char text[200];
    for (size_t i = 0; i < count; i++)
        for (size_t n = 0; n < sizeof others / sizeof *others; n++)
            if (is_option(options[i], others[n])) {
                snprintf(text, sizeof text, "%s is no option of a service", others[n]);
                return usage(defaults->program, text);
            }
    const char *path = broken_path(options);
    if (path != NULL) {
        snprintf(text, sizeof text, "'%.80s' is not a whole path, such as C:\\folder\\file", path);
        return usage(defaults->program, text);
    }
    char **words = calloc(count + 3, sizeof *words);
    if (words == NULL) {
        fprintf(stderr, "%s: out of memory\n", defaults->program);
        return KVPBUS_EXIT_FAILED;
    }
    words[0] = argv[0];
    words[1] = (char *)"--check-config";
    memcpy(words + 2, options, count * sizeof *words);
    int code = run((int)count + 2, words);
    free(words);
    return code;
}

static int install(char **argv, const struct kvpbus_service_defaults *defaults,
                   kvpbus_service_run_fn *run)
{
    struct kvpbus_service_files files = {0};
    struct kvpbus_failure failure = {0};
    const struct kvpbus_service_about about = about_of(defaults);
    char **options = argv + 3;
    size_t count = 0;
    bool complete = true, guest = defaults->role == KVPBUS_ROLE_GUEST;
    for (size_t i = 0; options[i] != NULL; i++)
        if (!take(options, &i, "--trust-key", &files.trust_key, &complete) &&
            !take(options, &i, "--trust-key-file", &files.trust_key_file, &complete) &&
            !(guest && take(options, &i, "--enroll-token-file", &files.token_file, &complete)))
            options[count++] = options[i];
    options[count] = NULL;
    if (!complete)
        return usage(defaults->program, "the last option needs a value");
    if (kvpbus_service_gives_trust(&files))
        kvpbus_service_trust_comes();
    int code = count > 0 ? check_options(argv, count, options, defaults, run) : KVPBUS_EXIT_OK;
    if (code != KVPBUS_EXIT_OK)
        return code;
    if (kvpbus_service_may_install(about.name, &failure) != KVPBUS_OK ||
        kvpbus_service_put_files(defaults, &files, &failure) != KVPBUS_OK ||
        kvpbus_service_install(&about, count > 0 ? options : NULL, &failure) != KVPBUS_OK)
        return kvpbus_service_failed(defaults->program, &failure);
    printf("the service %s is registered\n", defaults->program);
    return KVPBUS_EXIT_OK;
}

// --- the other words ---

static int told(const struct kvpbus_service_defaults *defaults, enum kvpbus_error error,
                const char *what, const struct kvpbus_failure *failure)
{
    if (error != KVPBUS_OK)
        return kvpbus_service_failed(defaults->program, failure);
    printf("the service %s %s\n", defaults->program, what);
    return KVPBUS_EXIT_OK;
}

static int show(const struct kvpbus_service_defaults *defaults)
{
    struct kvpbus_failure failure = {0};
    const char *state;
    if (kvpbus_service_state(defaults->program, &state, &failure) != KVPBUS_OK)
        return kvpbus_service_failed(defaults->program, &failure);
    printf("the service %s is %s\n", defaults->program, state);
    return strcmp(state, "running") == 0 ? KVPBUS_EXIT_OK : KVPBUS_EXIT_NO_SERVICE;
}

static int remove_it(const struct kvpbus_service_defaults *defaults, bool purge)
{
    struct kvpbus_failure failure = {0};
    const struct kvpbus_service_about about = about_of(defaults);
    enum kvpbus_error error = kvpbus_service_uninstall(&about, &failure);
    // One that is removed already is as it should be, and what it has left can go.
    const char *what = error == KVPBUS_NOT_FOUND
                           ? "is not registered; its state stays in %ProgramData%\\kvpbus"
                           : "is removed; its state stays in %ProgramData%\\kvpbus";
    if (error == KVPBUS_NOT_FOUND)
        error = KVPBUS_OK;
    if (purge && error == KVPBUS_OK) {
        what = "is removed, with all that it had in %ProgramData%\\kvpbus";
        error = kvpbus_service_purge(defaults, &failure);
    }
    return told(defaults, error, what, &failure);
}

static int run_service(int argc, char **argv, const struct kvpbus_service_defaults *defaults,
                       kvpbus_service_run_fn *run)
{
    struct kvpbus_failure failure = {0};
    argv[2] = argv[0];
    if (kvpbus_service_dispatch(defaults->program, argc - 2, argv + 2, run, &failure) == KVPBUS_OK)
        return KVPBUS_EXIT_OK;
    fprintf(stderr, "%s: %s\n", defaults->program, failure.detail);
    return KVPBUS_EXIT_USAGE;
}

int kvpbus_service_control(int argc, char **argv, const struct kvpbus_service_defaults *defaults,
                           kvpbus_service_run_fn *run)
{
    struct kvpbus_failure failure = {0};
    if (argc < 2 || strcmp(argv[1], "service") != 0)
        return run(argc, argv);
    const char *word = argc > 2 ? argv[2] : "";
    bool purge = argc == 4 && strcmp(argv[3], "--purge") == 0;
    if (strcmp(word, "--help") == 0 || (argc == 4 && strcmp(argv[3], "--help") == 0)) {
        help(defaults);
        return KVPBUS_EXIT_OK;
    }
    if (strcmp(word, "run") == 0)
        return run_service(argc, argv, defaults, run);
    if (strcmp(word, "install") == 0)
        return install(argv, defaults, run);
    if (strcmp(word, "remove") == 0 && (argc == 3 || purge))
        return remove_it(defaults, purge);
    if (argc > 3)
        return usage(defaults->program, "there are words too many");
    if (strcmp(word, "start") == 0)
        return told(defaults, kvpbus_service_have_started(defaults->program, &failure), "runs",
                    &failure);
    if (strcmp(word, "stop") == 0)
        return told(defaults, kvpbus_service_have_stopped(defaults->program, &failure),
                    "has stopped", &failure);
    if (strcmp(word, "status") == 0)
        return show(defaults);
    return usage(defaults->program, "install, start, stop, status or remove?");
}
