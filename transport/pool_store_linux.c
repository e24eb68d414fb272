// SPDX-License-Identifier: Apache-2.0
#include "kvpbus/store.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/inotify.h>
#include <unistd.h>

#include "pool_file.h"

static const char peer_pool[] = ".kvp_pool_0";
static const char own_pool[] = ".kvp_pool_1";

struct pool_store {
    struct kvpbus_store head;
    int notices; // an inotify descriptor, or -1
    char *directory;
    char *parent;    // of the directory
    char *peer_path; // the file that the host's items arrive in
};

static struct pool_store *from_head(struct kvpbus_store *store)
{
    return (struct pool_store *)store;
}

// Sets the watches that are possible now; setting one again changes nothing. The daemon closes the
// file once for each item that it writes. The folder tells when the file is made or replaced, and
// its parent when the folder is, once: other things happen there that do not concern us. From
// outside in, so that whatever appears meanwhile is either watched or seen by the next step.
static void set_watches(const struct pool_store *store)
{
    const uint32_t appearing = IN_CREATE | IN_MOVED_TO | IN_DELETE_SELF | IN_MOVE_SELF | IN_ONLYDIR;
    if (store->notices < 0)
        return;
    if (inotify_add_watch(store->notices, store->directory, appearing) < 0) {
        (void)inotify_add_watch(store->notices, store->parent, appearing | IN_ONESHOT);
        (void)inotify_add_watch(store->notices, store->directory, appearing);
    }
    (void)inotify_add_watch(store->notices, store->peer_path,
                            IN_CLOSE_WRITE | IN_DELETE_SELF | IN_MOVE_SELF | IN_DONT_FOLLOW);
}

static enum kvpbus_error read_own(struct kvpbus_store *store, struct kvpbus_scan *scan,
                                  struct kvpbus_failure *failure)
{
    const struct kvpbus_pool_place place = {
        from_head(store)->directory,
        own_pool,
        KVPBUS_POOL_LOCK_WAIT_MS,
    };
    return kvpbus_pool_file_read(&place, store->prefix, scan, failure);
}

static enum kvpbus_error read_peer(struct kvpbus_store *store, struct kvpbus_scan *scan,
                                   struct kvpbus_failure *failure)
{
    const struct kvpbus_pool_place place = {
        from_head(store)->directory,
        peer_pool,
        KVPBUS_POOL_LOCK_WAIT_MS,
    };
    // Here too, so that a folder made after its parent is watched in the end.
    set_watches(from_head(store));
    return kvpbus_pool_file_read(&place, store->prefix, scan, failure);
}

static enum kvpbus_error write_changes(struct kvpbus_store *store,
                                       const struct kvpbus_change *changes, size_t count,
                                       enum kvpbus_error *results, struct kvpbus_failure *failure)
{
    const struct kvpbus_pool_place place = {
        from_head(store)->directory,
        own_pool,
        KVPBUS_POOL_LOCK_WAIT_MS,
    };
    return kvpbus_pool_file_write(&place, store->prefix, changes, count, results, failure);
}

static kvpbus_notice notice_fd(struct kvpbus_store *store)
{
    return from_head(store)->notices;
}

static void acknowledge_notice(struct kvpbus_store *store)
{
    const struct pool_store *pool = from_head(store);
    char events[4096];
    // Bounded: a flood of events leaves the descriptor readable, and we come again.
    for (int i = 0; i < 64 && pool->notices >= 0; i++) {
        if (read(pool->notices, events, sizeof(events)) <= 0)
            break;
    }
    set_watches(pool);
}

static void close_store(struct kvpbus_store *store)
{
    struct pool_store *pool = from_head(store);
    if (pool->notices >= 0)
        close(pool->notices);
    free(pool->directory);
    free(pool->parent);
    free(pool->peer_path);
    free(pool);
}

static const struct kvpbus_store_ops pool_ops = {
    .kind = "pool",
    .read_own = read_own,
    .read_peer = read_peer,
    .write = write_changes,
    .notice_fd = notice_fd,
    .acknowledge_notice = acknowledge_notice,
    .close = close_store,
};

static char *join(const char *folder, const char *name)
{
    char *path = NULL;
    return asprintf(&path, "%s/%s", folder, name) < 0 ? NULL : path;
}

static char *without_end_slashes(const char *path)
{
    size_t length = strlen(path);
    while (length > 1 && path[length - 1] == '/')
        length--;
    return strndup(path, length);
}

static char *parent_of(const char *path)
{
    const char *slash = strrchr(path, '/');
    if (slash == NULL)
        return strdup(".");
    return strndup(path, slash == path ? 1 : (size_t)(slash - path));
}

enum kvpbus_error kvpbus_pool_store_open(const char *directory, const char *prefix,
                                         struct kvpbus_store **store,
                                         struct kvpbus_failure *failure)
{
    if (!kvpbus_prefix_valid(prefix))
        return kvpbus_fail(failure, KVPBUS_INVALID_ARGUMENT,
                           "a prefix is 1 to %d characters of a-z and 0-9", KVPBUS_PREFIX_MAX);
    if (directory[0] == '\0')
        return kvpbus_fail(failure, KVPBUS_INVALID_ARGUMENT, "the pool's folder has no name");
    struct pool_store *pool = calloc(1, sizeof(*pool));
    if (pool == NULL)
        return kvpbus_fail(failure, KVPBUS_NOMEM, "opening the pool in %.120s", directory);
    pool->head.ops = &pool_ops;
    memcpy(pool->head.prefix, prefix, strlen(prefix) + 1);
    // Without a descriptor for notices (a limit of the system) the store is polled.
    pool->notices = inotify_init1(IN_NONBLOCK | IN_CLOEXEC);
    pool->directory = without_end_slashes(directory);
    if (pool->directory != NULL) {
        pool->parent = parent_of(pool->directory);
        pool->peer_path = join(pool->directory, peer_pool);
    }
    if (pool->parent == NULL || pool->peer_path == NULL) {
        close_store(&pool->head);
        return kvpbus_fail(failure, KVPBUS_NOMEM, "opening the pool in %.120s", directory);
    }
    set_watches(pool);
    *store = &pool->head;
    return KVPBUS_OK;
}
