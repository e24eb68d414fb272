// SPDX-License-Identifier: Apache-2.0
#include "registry_store.h"

#include <stdlib.h>
#include <string.h>

#include "changes.h"
#include "windows_error.h"

struct registry_store {
    struct kvpbus_store head;
    struct kvpbus_registry_key own, peer;
    HANDLE event;
    SRWLOCK lock; // of what follows
    HKEY watched; // the peer's key or, while that is missing, the base; NULL: none
    bool peer_watched;
    bool armed; // a change of `watched` sets the event
};

static struct registry_store *from_head(struct kvpbus_store *store)
{
    return (struct registry_store *)store;
}

static enum kvpbus_error read_own(struct kvpbus_store *store, struct kvpbus_scan *scan,
                                  struct kvpbus_failure *failure)
{
    return kvpbus_registry_key_read(&from_head(store)->own, store->prefix,
                                    KVPBUS_REGISTRY_NAMES_EXACT, scan, failure);
}

static void watch_key(struct registry_store *store, HKEY key, bool peer)
{
    if (store->watched != NULL)
        RegCloseKey(store->watched);
    store->watched = key;
    store->peer_watched = peer;
    store->armed = false;
}

// A key that was removed may still be watched, to no avail.
static bool is_gone(HKEY key)
{
    return RegQueryInfoKeyW(key, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL,
                            NULL) == ERROR_KEY_DELETED;
}

// Finds the key to watch: the peer's or, to see that made, the base.
static void find_watched(struct registry_store *store)
{
    const REGSAM access = KEY_NOTIFY | KEY_QUERY_VALUE;
    const struct kvpbus_registry_key *peer = &store->peer;
    HKEY key;
    if (store->watched != NULL && is_gone(store->watched))
        watch_key(store, NULL, false);
    if (store->peer_watched)
        return;
    if (kvpbus_registry_key_open(peer, access, &key, NULL) != KVPBUS_OK)
        return;
    if (key != NULL)
        watch_key(store, key, true);
    else if (store->watched == NULL &&
             RegOpenKeyExW(peer->root, peer->base, 0, access | KEY_WOW64_64KEY, &key) ==
                 ERROR_SUCCESS)
        watch_key(store, key, false);
}

static bool set_watch(struct registry_store *store)
{
    // Without the flag the watch would end with the thread, which may be one of a pool.
    const DWORD filter =
        REG_NOTIFY_CHANGE_NAME | REG_NOTIFY_CHANGE_LAST_SET | REG_NOTIFY_THREAD_AGNOSTIC;
    ResetEvent(store->event);
    return store->watched != NULL && RegNotifyChangeKeyValue(store->watched, FALSE, filter,
                                                             store->event, TRUE) == ERROR_SUCCESS;
}

// A watch tells of one change. It is set again before the read that follows, so that no change
// falls between, and only when it has fired: else a second one would stay beside the first.
static void arm(struct registry_store *store)
{
    if (WaitForSingleObject(store->event, 0) == WAIT_OBJECT_0)
        store->armed = false;
    find_watched(store);
    for (int tries = 0; tries < 2 && !store->armed; tries++) {
        store->armed = set_watch(store);
        if (!store->armed) {
            watch_key(store, NULL, false);
            find_watched(store);
        }
    }
}

static enum kvpbus_error read_peer(struct kvpbus_store *store, struct kvpbus_scan *scan,
                                   struct kvpbus_failure *failure)
{
    struct registry_store *registry = from_head(store);
    // Here too, so that a key that was made meanwhile is watched in the end. A notice that has come
    // up stays.
    AcquireSRWLockExclusive(&registry->lock);
    find_watched(registry);
    if (!registry->armed)
        arm(registry);
    ReleaseSRWLockExclusive(&registry->lock);
    return kvpbus_registry_key_read(&registry->peer, store->prefix, KVPBUS_REGISTRY_NAMES_FOLDED,
                                    scan, failure);
}

static enum kvpbus_error write_changes(struct kvpbus_store *store,
                                       const struct kvpbus_change *changes, size_t count,
                                       enum kvpbus_error *results, struct kvpbus_failure *failure)
{
    enum kvpbus_error error = kvpbus_changes_check(store->prefix, changes, count, results, failure);
    if (error != KVPBUS_OK)
        return error;
    return kvpbus_registry_key_write(&from_head(store)->own, changes, count, results, failure);
}

static kvpbus_notice notice_fd(struct kvpbus_store *store)
{
    return from_head(store)->event;
}

static void acknowledge_notice(struct kvpbus_store *store)
{
    struct registry_store *registry = from_head(store);
    AcquireSRWLockExclusive(&registry->lock);
    arm(registry);
    ReleaseSRWLockExclusive(&registry->lock);
}

static void close_store(struct kvpbus_store *store)
{
    struct registry_store *registry = from_head(store);
    watch_key(registry, NULL, false);
    if (registry->event != NULL)
        CloseHandle(registry->event);
    free(registry);
}

static const struct kvpbus_store_ops registry_ops = {
    .kind = "registry",
    .read_own = read_own,
    .read_peer = read_peer,
    .write = write_changes,
    .notice_fd = notice_fd,
    .acknowledge_notice = acknowledge_notice,
    .close = close_store,
};

// Says what is wrong with the machine while somebody can read it.
static enum kvpbus_error check_machine(const struct registry_store *store,
                                       struct kvpbus_failure *failure)
{
    const struct kvpbus_registry_key *own = &store->own;
    HKEY key;
    LSTATUS status = RegOpenKeyExW(own->root, own->base, 0, KEY_READ | KEY_WOW64_64KEY, &key);
    if (status == ERROR_FILE_NOT_FOUND)
        return kvpbus_fail_windows(failure, KVPBUS_NOT_HYPERV, (uint32_t)status,
                                   "there is no registry key HKLM\\%ls: this machine is not a "
                                   "Hyper-V guest, or its Data Exchange service has never run",
                                   own->base);
    if (status != ERROR_SUCCESS)
        return kvpbus_fail_windows(
            failure, status == ERROR_ACCESS_DENIED ? KVPBUS_ACCESS : KVPBUS_IO, (uint32_t)status,
            "the registry key HKLM\\%ls cannot be read; run as an "
            "administrator",
            own->base);
    RegCloseKey(key);
    enum kvpbus_error error =
        kvpbus_registry_key_open(own, KEY_QUERY_VALUE | KEY_SET_VALUE, &key, failure);
    if (error == KVPBUS_OK && key != NULL)
        RegCloseKey(key);
    if (error == KVPBUS_OK)
        error = kvpbus_registry_key_open(&store->peer, KEY_QUERY_VALUE | KEY_NOTIFY, &key, failure);
    if (error == KVPBUS_OK && key != NULL)
        RegCloseKey(key);
    return error;
}

enum kvpbus_error kvpbus_registry_store_open_at(const struct kvpbus_registry_place *place,
                                                const char *prefix, struct kvpbus_store **store,
                                                struct kvpbus_failure *failure)
{
    if (!kvpbus_prefix_valid(prefix))
        return kvpbus_fail(failure, KVPBUS_INVALID_ARGUMENT,
                           "a prefix is 1 to %d characters of a-z and 0-9", KVPBUS_PREFIX_MAX);
    struct registry_store *registry = calloc(1, sizeof *registry);
    if (registry == NULL)
        return kvpbus_fail(failure, KVPBUS_NOMEM, "opening the registry");
    registry->head.ops = &registry_ops;
    memcpy(registry->head.prefix, prefix, strlen(prefix) + 1);
    registry->own = (struct kvpbus_registry_key){place->root, place->base, place->own};
    registry->peer = (struct kvpbus_registry_key){place->root, place->base, place->peer};
    InitializeSRWLock(&registry->lock);
    enum kvpbus_error error = check_machine(registry, failure);
    if (error == KVPBUS_OK) {
        registry->event = CreateEventW(NULL, TRUE, FALSE, NULL);
        if (registry->event == NULL)
            error = kvpbus_fail_windows(failure, KVPBUS_NOMEM, GetLastError(),
                                        "cannot make an event for notices");
    }
    if (error != KVPBUS_OK) {
        close_store(&registry->head);
        return error;
    }
    arm(registry);
    *store = &registry->head;
    return KVPBUS_OK;
}

enum kvpbus_error kvpbus_registry_store_open(enum kvpbus_registry_outgoing outgoing,
                                             const char *prefix, struct kvpbus_store **store,
                                             struct kvpbus_failure *failure)
{
    const struct kvpbus_registry_place place = {
        .root = HKEY_LOCAL_MACHINE,
        .base = KVPBUS_REGISTRY_BASE,
        .own = outgoing == KVPBUS_REGISTRY_AUTO ? L"Auto" : L"Guest",
        .peer = L"External",
    };
    return kvpbus_registry_store_open_at(&place, prefix, store, failure);
}
