// SPDX-License-Identifier: Apache-2.0
#include <stdlib.h>

#include "provider.h"

struct call_result {
    IWbemCallResult face;
    LONG references;
    struct kvpbus_provider_security security;
    struct kvpbus_provider_task *task;
};

static struct call_result *self(IWbemCallResult *face)
{
    return CONTAINING_RECORD(face, struct call_result, face);
}

static HRESULT WINAPI query_interface(IWbemCallResult *face, REFIID iid, void **out)
{
    if (out == NULL)
        return E_POINTER;
    *out = NULL;
    if (IsEqualIID(iid, &IID_IMarshal))
        return kvpbus_provider_marshal(out);
    if (IsEqualIID(iid, &IID_IUnknown) || IsEqualIID(iid, &IID_IWbemCallResult))
        *out = face;
    else if (IsEqualIID(iid, &IID_IClientSecurity))
        *out = &self(face)->security.face;
    else
        return E_NOINTERFACE;
    IWbemCallResult_AddRef(face);
    return S_OK;
}

static ULONG WINAPI add_ref(IWbemCallResult *face)
{
    return (ULONG)InterlockedIncrement(&self(face)->references);
}

static ULONG WINAPI release(IWbemCallResult *face)
{
    struct call_result *call = self(face);
    LONG left = InterlockedDecrement(&call->references);
    if (left == 0) {
        kvpbus_provider_task_release(call->task);
        free(call);
        kvpbus_provider_gone();
    }
    return (ULONG)left;
}

static HRESULT WINAPI get_object(IWbemCallResult *face, LONG timeout_ms, IWbemClassObject **out)
{
    const struct kvpbus_provider_task *task = self(face)->task;
    if (out == NULL)
        return HR(E_INVALID_PARAMETER);
    *out = NULL;
    HRESULT result = kvpbus_provider_allowed(&self(face)->security);
    if (result == S_OK)
        result = kvpbus_provider_wait(task, timeout_ms);
    if (result != S_OK)
        return result;
    if (FAILED(task->result))
        return task->result;
    struct kvpbus_cim_object *copy = kvpbus_cim_object_copy(task->list.objects[0]);
    return copy != NULL ? kvpbus_provider_object(copy, kvpbus_cim_host_scope(task->host), out)
                        : HR(E_OUT_OF_MEMORY);
}

static HRESULT WINAPI get_string(IWbemCallResult *face, LONG timeout_ms, BSTR *out)
{
    (void)face;
    (void)timeout_ms;
    if (out != NULL)
        *out = NULL;
    return HR(E_INVALID_OPERATION); // only for PutInstance
}

static HRESULT WINAPI get_services(IWbemCallResult *face, LONG timeout_ms, IWbemServices **out)
{
    (void)face;
    (void)timeout_ms;
    if (out != NULL)
        *out = NULL;
    return HR(E_INVALID_OPERATION); // only for OpenNamespace
}

static HRESULT WINAPI get_status(IWbemCallResult *face, LONG timeout_ms, LONG *status)
{
    const struct kvpbus_provider_task *task = self(face)->task;
    if (status == NULL)
        return HR(E_INVALID_PARAMETER);
    HRESULT result = kvpbus_provider_allowed(&self(face)->security);
    if (result == S_OK)
        result = kvpbus_provider_wait(task, timeout_ms);
    if (result == S_OK)
        *status = task->result;
    return result;
}

static IWbemCallResultVtbl table = {query_interface, add_ref,      release,   get_object,
                                    get_string,      get_services, get_status};

HRESULT kvpbus_provider_call_result(struct kvpbus_provider_task *task, const WCHAR *account,
                                    IWbemCallResult **out)
{
    struct call_result *call = calloc(1, sizeof *call);
    if (call == NULL)
        return HR(E_OUT_OF_MEMORY);
    kvpbus_provider_made();
    call->face.lpVtbl = &table;
    call->references = 1;
    kvpbus_provider_security(&call->security, (IUnknown *)&call->face, account);
    kvpbus_provider_task_retain(task);
    call->task = task;
    *out = &call->face;
    return S_OK;
}
