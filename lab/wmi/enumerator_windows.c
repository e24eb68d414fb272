// SPDX-License-Identifier: Apache-2.0
#include <stdlib.h>

#include "provider.h"

struct enumerator {
    IEnumWbemClassObject face;
    LONG references;
    struct kvpbus_provider_security security;
    struct kvpbus_provider_task *task;
    bool forward_only;
    SRWLOCK lock; // over the position
    size_t position;
};

static struct enumerator *self(IEnumWbemClassObject *face)
{
    return CONTAINING_RECORD(face, struct enumerator, face);
}

static HRESULT WINAPI query_interface(IEnumWbemClassObject *face, REFIID iid, void **out)
{
    if (out == NULL)
        return E_POINTER;
    *out = NULL;
    if (IsEqualIID(iid, &IID_IMarshal))
        return kvpbus_provider_marshal(out);
    if (IsEqualIID(iid, &IID_IUnknown) || IsEqualIID(iid, &IID_IEnumWbemClassObject))
        *out = face;
    else if (IsEqualIID(iid, &IID_IClientSecurity))
        *out = &self(face)->security.face;
    else
        return E_NOINTERFACE;
    IEnumWbemClassObject_AddRef(face);
    return S_OK;
}

static ULONG WINAPI add_ref(IEnumWbemClassObject *face)
{
    return (ULONG)InterlockedIncrement(&self(face)->references);
}

static ULONG WINAPI release(IEnumWbemClassObject *face)
{
    struct enumerator *enumerator = self(face);
    LONG left = InterlockedDecrement(&enumerator->references);
    if (left == 0) {
        kvpbus_provider_task_release(enumerator->task);
        free(enumerator);
        kvpbus_provider_gone();
    }
    return (ULONG)left;
}

static HRESULT WINAPI reset(IEnumWbemClassObject *face)
{
    struct enumerator *enumerator = self(face);
    HRESULT result = kvpbus_provider_allowed(&enumerator->security);
    if (FAILED(result))
        return result;
    if (enumerator->forward_only)
        return HR(E_INVALID_OPERATION);
    AcquireSRWLockExclusive(&enumerator->lock);
    enumerator->position = 0;
    ReleaseSRWLockExclusive(&enumerator->lock);
    return S_OK;
}

// Waits for the results. S_OK when they are there and are no error.
static HRESULT await(const struct enumerator *enumerator, LONG timeout_ms)
{
    HRESULT result = kvpbus_provider_allowed(&enumerator->security);
    if (result == S_OK)
        result = kvpbus_provider_wait(enumerator->task, timeout_ms);
    return result == S_OK ? enumerator->task->result : result;
}

// As many as there are, or none at all when memory fails.
static HRESULT take(struct enumerator *enumerator, ULONG count, IWbemClassObject **objects,
                    ULONG *returned)
{
    const struct kvpbus_cim_list *list = &enumerator->task->list;
    const struct kvpbus_cim_scope *scope = kvpbus_cim_host_scope(enumerator->task->host);
    HRESULT result = S_OK;
    size_t first = enumerator->position;
    while (result == S_OK && *returned < count) {
        if (enumerator->position == list->count)
            return HR(S_FALSE);
        struct kvpbus_cim_object *copy =
            kvpbus_cim_object_copy(list->objects[enumerator->position]);
        result = copy != NULL ? kvpbus_provider_object(copy, scope, &objects[*returned])
                              : HR(E_OUT_OF_MEMORY);
        if (result == S_OK) {
            enumerator->position++;
            ++*returned;
        }
    }
    if (FAILED(result)) {
        enumerator->position = first;
        for (; *returned > 0; --*returned) {
            IWbemClassObject_Release(objects[*returned - 1]);
            objects[*returned - 1] = NULL;
        }
    }
    return result;
}

static HRESULT WINAPI next(IEnumWbemClassObject *face, LONG timeout_ms, ULONG count,
                           IWbemClassObject **objects, ULONG *returned)
{
    struct enumerator *enumerator = self(face);
    if (objects == NULL || returned == NULL || count == 0)
        return HR(E_INVALID_PARAMETER);
    *returned = 0;
    for (ULONG i = 0; i < count; i++)
        objects[i] = NULL;
    HRESULT result = await(enumerator, timeout_ms);
    if (result != S_OK)
        return result;
    AcquireSRWLockExclusive(&enumerator->lock);
    result = take(enumerator, count, objects, returned);
    ReleaseSRWLockExclusive(&enumerator->lock);
    return result;
}

static HRESULT WINAPI next_async(IEnumWbemClassObject *face, ULONG count, IWbemObjectSink *sink)
{
    (void)face;
    (void)count;
    (void)sink;
    return HR(E_NOT_SUPPORTED);
}

static HRESULT WINAPI clone(IEnumWbemClassObject *face, IEnumWbemClassObject **out)
{
    struct enumerator *enumerator = self(face);
    if (out == NULL)
        return HR(E_INVALID_PARAMETER);
    *out = NULL;
    HRESULT result = kvpbus_provider_allowed(&enumerator->security);
    if (SUCCEEDED(result) && enumerator->forward_only)
        result = HR(E_INVALID_OPERATION);
    if (SUCCEEDED(result))
        result =
            kvpbus_provider_enumerator(enumerator->task, enumerator->security.account, false, out);
    if (FAILED(result))
        return result;
    AcquireSRWLockShared(&enumerator->lock);
    self(*out)->position = enumerator->position;
    ReleaseSRWLockShared(&enumerator->lock);
    return S_OK;
}

static HRESULT WINAPI skip(IEnumWbemClassObject *face, LONG timeout_ms, ULONG count)
{
    struct enumerator *enumerator = self(face);
    HRESULT result = await(enumerator, timeout_ms);
    if (result != S_OK)
        return result;
    AcquireSRWLockExclusive(&enumerator->lock);
    size_t left = enumerator->task->list.count - enumerator->position;
    enumerator->position += count < left ? count : left;
    ReleaseSRWLockExclusive(&enumerator->lock);
    return count <= left ? S_OK : HR(S_FALSE);
}

static IEnumWbemClassObjectVtbl table = {query_interface, add_ref, release, reset, next,
                                         next_async,      clone,   skip};

HRESULT kvpbus_provider_enumerator(struct kvpbus_provider_task *task, const WCHAR *account,
                                   bool forward_only, IEnumWbemClassObject **out)
{
    struct enumerator *enumerator = calloc(1, sizeof *enumerator);
    if (enumerator == NULL)
        return HR(E_OUT_OF_MEMORY);
    kvpbus_provider_made();
    enumerator->face.lpVtbl = &table;
    enumerator->references = 1;
    kvpbus_provider_security(&enumerator->security, (IUnknown *)&enumerator->face, account);
    kvpbus_provider_task_retain(task);
    enumerator->task = task;
    enumerator->forward_only = forward_only;
    InitializeSRWLock(&enumerator->lock);
    *out = &enumerator->face;
    return S_OK;
}
