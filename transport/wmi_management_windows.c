// SPDX-License-Identifier: Apache-2.0
//
// The management service over WMI: its life, its connection, and the calls on worker threads. Each
// call has a thread for itself while it lasts, so that one that hangs holds up nobody else.
#include "wmi_management_windows.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "hresult.h"
#include "wmi_management.h"

enum {
    DEADLINE_MS = 30000,
    CLOSE_MS = 5000, // for calls that were left and end soon
    NAME_MAX_BYTES = 255,
};

// The names of the table are those of Windows' own headers.
#define X(name, number, kind, error, meaning, hint)                           \
    _Static_assert((uint32_t)(name) == (number) ||                            \
                       (UINT32_C(0x80070000) | (uint32_t)(name)) == (number), \
                   #name);
KVPBUS_HRESULT_MAP(X)
#undef X

// --- calls ---

void kvpbus_wmi_prepare(struct kvpbus_wmi_call *call, struct kvpbus_wmi *wmi,
                        void (*run)(struct kvpbus_wmi_task *),
                        void (*discard)(struct kvpbus_wmi_task *))
{
    call->wmi = wmi;
    call->work.task.run = run;
    call->work.task.discard = discard;
    call->work.task.deadline = kvpbus_wmi_now() + wmi->deadline_ms;
    call->work.step = "waiting for a thread";
}

bool kvpbus_wmi_carry_out(struct kvpbus_wmi_call *call, enum kvpbus_error *error,
                          struct kvpbus_failure *failure)
{
    switch (kvpbus_wmi_workers_run(call->wmi->workers, &call->work.task)) {
    case KVPBUS_WMI_DONE:
        if (failure != NULL && call->error != KVPBUS_OK)
            *failure = call->failure;
        return true;
    case KVPBUS_WMI_NOT_BEGUN:
        call->error = kvpbus_fail(&call->failure, KVPBUS_STORE_BUSY,
                                  "no thread is free for a call to WMI, at most %d are; is the "
                                  "service 'vmms' running?",
                                  KVPBUS_WMI_WORKERS_MAX);
        if (failure != NULL)
            *failure = call->failure;
        return true;
    case KVPBUS_WMI_LEFT:
        break;
    }
    *error = kvpbus_fail(failure, KVPBUS_TIMEOUT,
                         "WMI has not answered in time; is the service 'vmms' running?");
    return false;
}

enum kvpbus_error kvpbus_wmi_failed(struct kvpbus_wmi_call *call, HRESULT result)
{
    const char *host = call->wmi->target.host;
    call->error =
        kvpbus_hresult_fail(&call->failure, (uint32_t)result, "%.40s%s%s", host != NULL ? host : "",
                            host != NULL ? ": " : "", call->work.step);
    return call->error;
}

// --- the connection ---

// The current one, or a new one that then is.
static HRESULT acquire(struct kvpbus_wmi_call *call, struct kvpbus_wmi_connection **connection)
{
    struct kvpbus_wmi *wmi = call->wmi;
    struct kvpbus_wmi_connection *made = NULL;
    AcquireSRWLockShared(&wmi->lock);
    *connection = wmi->current;
    if (*connection != NULL)
        kvpbus_wmi_connection_hold(*connection);
    ReleaseSRWLockShared(&wmi->lock);
    if (*connection != NULL)
        return S_OK;
    // Without the lock: it may take long, and whoever else needs one tries by itself.
    HRESULT result = kvpbus_wmi_connect(&wmi->target, &call->work, &made);
    if (FAILED(result))
        return result;
    AcquireSRWLockExclusive(&wmi->lock);
    if (wmi->current == NULL) {
        kvpbus_wmi_connection_hold(made);
        wmi->current = made;
    }
    ReleaseSRWLockExclusive(&wmi->lock);
    *connection = made;
    return S_OK;
}

static void forget(struct kvpbus_wmi *wmi, struct kvpbus_wmi_connection *connection)
{
    AcquireSRWLockExclusive(&wmi->lock);
    bool current = wmi->current == connection;
    if (current)
        wmi->current = NULL;
    ReleaseSRWLockExclusive(&wmi->lock);
    if (current)
        kvpbus_wmi_connection_drop(connection);
}

static bool is_lost(HRESULT result)
{
    enum kvpbus_hresult_kind kind = kvpbus_hresult_find((uint32_t)result)->kind;
    return FAILED(result) && (kind == KVPBUS_HRESULT_LOST || kind == KVPBUS_HRESULT_UNSENT);
}

HRESULT kvpbus_wmi_attempt(struct kvpbus_wmi_call *call, kvpbus_wmi_step *step)
{
    HRESULT result = S_OK;
    for (int attempt = 0; attempt < 2; attempt++) {
        struct kvpbus_wmi_connection *connection;
        const char *about = call->work.step;
        result = acquire(call, &connection);
        if (FAILED(result))
            return result;
        call->work.step = about;
        result = step(connection, call);
        bool lost = is_lost(result);
        if (lost)
            forget(call->wmi, connection);
        kvpbus_wmi_connection_drop(connection);
        if (!lost || call->sent || kvpbus_wmi_task_rest(&call->work.task) == 0)
            return result;
    }
    return result;
}

// --- opening and closing ---

// On the last worker, so that the connection ends in the apartment that it was made in.
static void leave(void *context)
{
    struct kvpbus_wmi *wmi = context;
    if (wmi->current != NULL)
        kvpbus_wmi_connection_drop(wmi->current);
    wmi->current = NULL;
}

static void free_target(struct kvpbus_wmi_target *target)
{
    if (target->password != NULL)
        SecureZeroMemory(target->password, strlen(target->password));
    free(target->password);
    free(target->user);
    free(target->host);
}

static void end(void *context)
{
    struct kvpbus_wmi *wmi = context;
    assert(wmi->current == NULL);
    free_target(&wmi->target);
    free(wmi->known);
    free(wmi);
}

static void close_management(struct kvpbus_management *management)
{
    kvpbus_wmi_workers_close(kvpbus_wmi_of(management)->workers, CLOSE_MS);
}

static const struct kvpbus_management_ops wmi_ops = {
    .list = kvpbus_wmi_list,
    .read_guest = kvpbus_wmi_read_guest,
    .read_host = kvpbus_wmi_read_host,
    .call = kvpbus_wmi_change,
    .close = close_management,
};

long kvpbus_wmi_held(void)
{
    return kvpbus_com_held();
}

// What becomes part of "\\HOST\root\…": a host name or an address, and nothing else.
enum kvpbus_error kvpbus_wmi_host_check(const char *host, struct kvpbus_failure *failure)
{
    static const char allowed[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"
                                  "-_.:";
    size_t length = strlen(host);
    return length > 0 && length <= NAME_MAX_BYTES && strspn(host, allowed) == length
               ? KVPBUS_OK
               : kvpbus_fail(failure, KVPBUS_INVALID_ARGUMENT,
                             "'%.100s' is not the name of a host; give a computer name or an "
                             "address",
                             host);
}

static enum kvpbus_error check_options(const struct kvpbus_wmi_options *options,
                                       struct kvpbus_failure *failure)
{
    enum kvpbus_error error =
        options->host != NULL ? kvpbus_wmi_host_check(options->host, failure) : KVPBUS_OK;
    if (error != KVPBUS_OK || options->user == NULL)
        return error;
    if (options->host == NULL)
        return kvpbus_fail(failure, KVPBUS_INVALID_ARGUMENT,
                           "credentials are for another host; on this one WMI takes the account "
                           "that the program runs as");
    if (options->password == NULL || options->user[0] == '\0' ||
        strlen(options->user) > NAME_MAX_BYTES || strlen(options->password) > NAME_MAX_BYTES)
        return kvpbus_fail(failure, KVPBUS_INVALID_ARGUMENT,
                           "credentials are a user name and a password of at most %d bytes each",
                           NAME_MAX_BYTES);
    return KVPBUS_OK;
}

// False: no memory.
static bool copy(const char *text, char **to)
{
    *to = text != NULL ? _strdup(text) : NULL;
    return text == NULL || *to != NULL;
}

enum kvpbus_error kvpbus_wmi_management_open(const struct kvpbus_wmi_options *options,
                                             struct kvpbus_management **management,
                                             struct kvpbus_failure *failure)
{
    enum kvpbus_error error = check_options(options, failure);
    if (error != KVPBUS_OK)
        return error;
    struct kvpbus_wmi *wmi = calloc(1, sizeof *wmi);
    if (wmi == NULL)
        return kvpbus_fail(failure, KVPBUS_NOMEM, "the management service");
    wmi->head.ops = &wmi_ops;
    wmi->with_intrinsic = options->guest_auto;
    wmi->deadline_ms = options->deadline_ms != 0 ? options->deadline_ms : DEADLINE_MS;
    wmi->target.old_namespace = options->old_namespace;
    InitializeSRWLock(&wmi->lock);
    if (copy(options->host, &wmi->target.host) && copy(options->user, &wmi->target.user) &&
        copy(options->password, &wmi->target.password))
        wmi->workers = kvpbus_wmi_workers_new(leave, end, wmi);
    if (wmi->workers == NULL) {
        end(wmi);
        return kvpbus_fail(failure, KVPBUS_NOMEM, "the management service");
    }
    // Whether there is a Hyper-V host is told now, not at the first call.
    struct kvpbus_vm *vms;
    size_t count;
    error = kvpbus_wmi_list(&wmi->head, &vms, &count, failure);
    if (error != KVPBUS_OK) {
        close_management(&wmi->head);
        return error;
    }
    free(vms);
    *management = &wmi->head;
    return KVPBUS_OK;
}
