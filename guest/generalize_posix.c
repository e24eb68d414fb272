// SPDX-License-Identifier: Apache-2.0
#include "generalize.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "config.h"
#include "exit_code.h"
#include "option_fault.h"
#include "paths.h"
#include "service_main.h"

static const char program[] = "kvpbus-guest generalize";

static void help(void)
{
    printf("Usage: %s [--state DIR] [--config FILE]\n\n"
           "Makes this machine ready to be an image: removes the identity, the journal, what the "
           "agent has\n"
           "in the pool files, and enrolment tokens. The configuration and the trusted key of the "
           "host stay.\n"
           "The agent must not run. Each clone draws a key of its own at its first start.\n\n"
           "  --state DIR     the agent's folder (default %s)\n"
           "  --config FILE   the agent's options (default %s, if it is there)\n"
           "  --help\n\n"
           "  systemctl stop kvpbus-guest && kvpbus-guest generalize && poweroff\n",
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

static enum kvpbus_error failed(struct kvpbus_failure *failure, const char *what, const char *path)
{
    enum kvpbus_error error =
        errno == EACCES || errno == EPERM || errno == EROFS ? KVPBUS_ACCESS : KVPBUS_IO;
    return kvpbus_fail(failure, error, "cannot %s %s: %s", what, path, strerror(errno));
}

static enum kvpbus_error remove_file(const char *path, struct kvpbus_failure *failure)
{
    if (unlink(path) == 0)
        printf("removed %s\n", path);
    else if (errno != ENOENT)
        return failed(failure, "remove", path);
    return KVPBUS_OK;
}

// --- the state folder ---

// Nothing is removed of a folder that no agent has used. *lock -1: there is nothing.
static enum kvpbus_error take_folder(const char *state, int *lock, struct kvpbus_failure *failure)
{
    char path[KVPBUS_PATH_MAX + 8];
    struct stat status;
    *lock = -1;
    if (stat(state, &status) != 0)
        return errno == ENOENT ? KVPBUS_OK : failed(failure, "look at", state);
    snprintf(path, sizeof path, "%s/lock", state);
    *lock = open(path, O_RDWR | O_CLOEXEC | O_NOFOLLOW);
    if (*lock >= 0 && flock(*lock, LOCK_EX | LOCK_NB) != 0)
        return kvpbus_fail(failure, KVPBUS_JOURNAL_LOCKED,
                           "the agent runs; stop it first: systemctl stop kvpbus-guest");
    if (*lock >= 0)
        return KVPBUS_OK;
    if (errno != ENOENT)
        return failed(failure, "open", path);
    // Without a lock no agent has been here: an empty folder is right, anything else is not ours.
    DIR *folder = opendir(state);
    size_t entries = 0;
    while (folder != NULL && readdir(folder) != NULL)
        entries++;
    if (folder == NULL)
        return failed(failure, "open", state);
    closedir(folder);
    return entries <= 2
               ? KVPBUS_OK
               : kvpbus_fail(failure, KVPBUS_CONFIG,
                             "%s is not the folder of an agent; nothing was removed", state);
}

static enum kvpbus_error empty_folder(const char *state, struct kvpbus_failure *failure)
{
    DIR *folder = opendir(state);
    enum kvpbus_error error = KVPBUS_OK;
    if (folder == NULL)
        return failed(failure, "open", state);
    for (struct dirent *entry; error == KVPBUS_OK && (entry = readdir(folder)) != NULL;) {
        char path[KVPBUS_PATH_MAX + sizeof entry->d_name + 2];
        // The lock is held until nothing else is left.
        if (strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0 ||
            strcmp(entry->d_name, "lock") == 0)
            continue;
        snprintf(path, sizeof path, "%s/%s", state, entry->d_name);
        error = remove_file(path, failure);
    }
    closedir(folder);
    if (error != KVPBUS_OK)
        return error;
    char path[KVPBUS_PATH_MAX + 8];
    snprintf(path, sizeof path, "%s/lock", state);
    return remove_file(path, failure);
}

// --- the agent's items ---

static enum kvpbus_error empty_pool(const struct kvpbus_service_arguments *arguments,
                                    struct kvpbus_failure *failure)
{
    static const char pool[] = "pool:";
    const char *directory = "/var/lib/hyperv";
    const char *prefix = arguments->prefix[0] != '\0' ? arguments->prefix : "kvpbus";
    if (strncmp(arguments->store, pool, strlen(pool)) == 0)
        directory = arguments->store + strlen(pool);
    struct kvpbus_store *store;
    struct kvpbus_scan scan = {0};
    if (access(directory, F_OK) != 0)
        return KVPBUS_OK;
    enum kvpbus_error error = kvpbus_pool_store_open(directory, prefix, &store, failure);
    if (error != KVPBUS_OK)
        return error;
    error = store->ops->read_own(store, &scan, failure);
    if (error == KVPBUS_STORE_GONE)
        error = KVPBUS_OK; // there is no pool file yet
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
        printf("removed %zu items from %s/.kvp_pool_1\n", scan.count, directory);
    kvpbus_scan_free(&scan);
    kvpbus_store_close(store);
    return error;
}

// --- all of it ---

static enum kvpbus_error generalize(const struct kvpbus_service_arguments *arguments,
                                    struct kvpbus_failure *failure)
{
    int lock;
    enum kvpbus_error error = take_folder(arguments->state, &lock, failure);
    if (error == KVPBUS_OK)
        error = empty_pool(arguments, failure);
    if (error == KVPBUS_OK)
        error = remove_file(arguments->options.token_file, failure);
    if (error == KVPBUS_OK && lock >= 0)
        error = empty_folder(arguments->state, failure);
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
    if (config == NULL && access(KVPBUS_GUEST_CONFIG, F_OK) == 0)
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
