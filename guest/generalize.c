// SPDX-License-Identifier: Apache-2.0
#include "generalize.h"

#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "config.h"
#include "exit_code.h"
#include "file.h"
#include "guest_store.h"
#include "option_fault.h"
#include "paths.h"
#include "service_main.h"
#include "state_lock.h"
#include "words.h"

static const char program[] = "kvpbus-guest generalize";

static void help(void)
{
    printf("Usage: %s [--state DIR] [--config FILE]\n\n"
           "Makes this machine ready to be an image: removes the identity, the journal, what the "
           "agent has\n"
           "in " KVPBUS_WORD_GUEST_STORE
           ", and enrolment tokens. The configuration and the trusted key of the "
           "host stay.\n"
           "The agent must not run. Each clone draws a key of its own at its first start.\n\n"
           "  --state DIR     the agent's folder (default %s)\n"
           "  --config FILE   the agent's options (default %s, if it is there)\n"
           "  --help\n\n"
           "  " KVPBUS_WORD_STOP("guest") " && kvpbus-guest generalize && " KVPBUS_WORD_POWER_OFF
                                          "\n",
           program, KVPBUS_GUEST_STATE, KVPBUS_GUEST_CONFIG);
}

static int usage(const char *what)
{
    fprintf(stderr, "%s: %s; '%s --help' shows what is possible\n", program, what, program);
    return KVPBUS_EXIT_USAGE;
}

static void warn(const char *text)
{
    fprintf(stderr, "%s: %s; it is left out\n", program, text);
}

static void tell_removed(const char *path)
{
    printf("removed %s\n", path);
}

// --- the state folder ---

// The names in it; freed with uv_fs_req_cleanup.
static enum kvpbus_error list_folder(const char *path, uv_fs_t *names,
                                     struct kvpbus_failure *failure)
{
    char *real = kvpbus_real_path(path);
    *names = (uv_fs_t){0};
    int count = real != NULL ? uv_fs_scandir(NULL, names, real, 0, NULL) : UV_ENOMEM;
    free(real);
    if (count >= 0)
        return KVPBUS_OK;
    uv_fs_req_cleanup(names);
    return kvpbus_fail(failure, count == UV_EACCES ? KVPBUS_ACCESS : KVPBUS_IO,
                       "cannot open %s: %s", path, uv_strerror(count));
}

// Nothing is removed of a folder that no agent has used. *lock -1: there is nothing.
static enum kvpbus_error take_folder(const char *state, char real[KVPBUS_PATH_MAX], int *lock,
                                     struct kvpbus_failure *failure)
{
    char path[KVPBUS_PATH_MAX + 8];
    uv_fs_t names;
    uv_dirent_t entry;
    *lock = -1;
    if (!kvpbus_file_exists(state))
        return KVPBUS_OK;
    snprintf(path, sizeof path, "%s/lock", state);
    if (kvpbus_file_exists(path)) {
        enum kvpbus_error error = kvpbus_state_lock(state, real, lock, failure);
        return error != KVPBUS_JOURNAL_LOCKED
                   ? error
                   : kvpbus_fail(failure, error,
                                 "the agent runs; stop it first: " KVPBUS_WORD_STOP("guest"));
    }
    // Without a lock no agent has been here: an empty folder is right, anything else is not ours.
    enum kvpbus_error error = list_folder(state, &names, failure);
    if (error == KVPBUS_OK && uv_fs_scandir_next(&names, &entry) != UV_EOF)
        error = kvpbus_fail(failure, KVPBUS_CONFIG,
                            "%s is not the folder of an agent; nothing was removed", state);
    uv_fs_req_cleanup(&names);
    return error;
}

// --- the agent's items ---

static enum kvpbus_error empty_store(const struct kvpbus_service_arguments *arguments,
                                     struct kvpbus_failure *failure)
{
    const char *prefix = arguments->prefix[0] != '\0' ? arguments->prefix : "kvpbus";
    char place[KVPBUS_GUEST_STORE_PLACE];
    struct kvpbus_store *store;
    struct kvpbus_scan scan = {0};
    enum kvpbus_error error =
        kvpbus_guest_store_left(arguments->store, prefix, &store, place, failure);
    if (error != KVPBUS_OK || store == NULL)
        return error;
    error = store->ops->read_own(store, &scan, failure);
    if (error == KVPBUS_STORE_GONE)
        error = KVPBUS_OK; // nothing was ever written
    size_t removed = 0;
    while (error == KVPBUS_OK && removed < scan.count) {
        struct kvpbus_change changes[KVPBUS_CHANGES_MAX];
        enum kvpbus_error results[KVPBUS_CHANGES_MAX];
        size_t count = 0;
        for (; count < KVPBUS_CHANGES_MAX && removed + count < scan.count; count++)
            changes[count] = (struct kvpbus_change){.key = scan.items[removed + count].key};
        error = store->ops->write(store, changes, count, results, failure);
        removed += count;
    }
    if (error == KVPBUS_OK && scan.count > 0)
        printf("removed %zu items from %s\n", scan.count, place);
    kvpbus_scan_free(&scan);
    kvpbus_store_close(store);
    return error;
}

// --- all of it ---

static enum kvpbus_error generalize(const struct kvpbus_service_arguments *arguments,
                                    struct kvpbus_failure *failure)
{
    int lock;
    char real[KVPBUS_PATH_MAX];
    enum kvpbus_error error = take_folder(arguments->state, real, &lock, failure);
    if (error == KVPBUS_OK)
        error = empty_store(arguments, failure);
    if (error == KVPBUS_OK)
        error = kvpbus_state_remove(arguments->options.token_file, tell_removed, failure);
    if (error == KVPBUS_OK && lock >= 0)
        error = kvpbus_state_empty(real, tell_removed, failure);
    if (lock >= 0)
        close(lock);
    return error;
}

int kvpbus_generalize(int argc, char **argv)
{
    static const struct option options[] = {{"state", required_argument, NULL, 'd'},
                                            {"config", required_argument, NULL, 'c'},
                                            {"help", no_argument, NULL, 'h'},
                                            {NULL, 0, NULL, 0}};
    static struct kvpbus_service_arguments arguments;
    struct kvpbus_failure failure = {0};
    const char *config = NULL;
    size_t unknown;
    opterr = 0;
    for (int option; (option = getopt_long(argc, argv, ":", options, NULL)) != -1;) {
        char fault[KVPBUS_OPTION_FAULT];
        if (option == 'h') {
            help();
            return KVPBUS_EXIT_OK;
        }
        if (option == 'c') {
            config = optarg;
        } else if (option != 'd') {
            kvpbus_option_fault(argv, option, fault);
            return usage(fault);
        } else if (snprintf(arguments.state, sizeof arguments.state, "%s", optarg) >=
                   (int)sizeof arguments.state) {
            return usage("a path is too long");
        }
    }
    if (optind < argc)
        return usage("there are words too many");
    if (config == NULL && kvpbus_file_exists(KVPBUS_GUEST_CONFIG))
        config = KVPBUS_GUEST_CONFIG;
    enum kvpbus_error error = KVPBUS_OK;
    if (config != NULL)
        error = kvpbus_config_read(config, &arguments, warn, &unknown, &failure);
    if (arguments.state[0] == '\0')
        strcpy(arguments.state, KVPBUS_GUEST_STATE);
    kvpbus_service_name_trust(&arguments, KVPBUS_ROLE_GUEST);
    if (error == KVPBUS_OK)
        error = generalize(&arguments, &failure);
    if (error != KVPBUS_OK)
        return kvpbus_service_failed(program, &failure);
    puts("This machine has no identity any more: power it off before the agent starts again, and "
         "make the image of it.");
    return KVPBUS_EXIT_OK;
}
