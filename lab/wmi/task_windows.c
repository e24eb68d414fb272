// SPDX-License-Identifier: Apache-2.0
//
// One request of a client. A semi-synchronous one runs in a thread of its own, so that a lab that
// lets it wait shows as a time-out of the client and not as a call that hangs.
#include <stdlib.h>

#include "provider.h"

HRESULT kvpbus_provider_task(struct kvpbus_cim_host *host, enum kvpbus_provider_kind kind,
                             const WCHAR *text, const WCHAR *method, struct kvpbus_cim_object *in,
                             struct kvpbus_provider_task **out)
{
    struct kvpbus_provider_task *task = calloc(1, sizeof *task);
    if (task == NULL) {
        kvpbus_cim_object_free(in);
        return HR(E_OUT_OF_MEMORY);
    }
    kvpbus_provider_made();
    task->references = 1;
    task->host = host;
    kvpbus_cim_host_retain(host);
    task->kind = kind;
    task->in = in;
    task->text = kvpbus_provider_utf8(text);
    task->method = method != NULL ? kvpbus_provider_utf8(method) : NULL;
    task->done = CreateEventW(NULL, TRUE, FALSE, NULL);
    if (task->text == NULL || (method != NULL && task->method == NULL) || task->done == NULL) {
        kvpbus_provider_task_release(task);
        return HR(E_OUT_OF_MEMORY);
    }
    *out = task;
    return S_OK;
}

void kvpbus_provider_task_retain(struct kvpbus_provider_task *task)
{
    InterlockedIncrement(&task->references);
}

void kvpbus_provider_task_release(struct kvpbus_provider_task *task)
{
    if (InterlockedDecrement(&task->references) > 0)
        return;
    kvpbus_cim_list_free(&task->list);
    kvpbus_cim_object_free(task->in);
    kvpbus_cim_host_release(task->host);
    free(task->text);
    free(task->method);
    if (task->done != NULL)
        CloseHandle(task->done);
    free(task);
    kvpbus_provider_gone();
}

static enum kvpbus_cim_status carry_out(struct kvpbus_provider_task *task)
{
    struct kvpbus_cim_object *object = NULL;
    enum kvpbus_cim_status status;
    switch (task->kind) {
    case KVPBUS_PROVIDER_QUERY:
        return kvpbus_cim_host_query(task->host, task->text, &task->list);
    case KVPBUS_PROVIDER_INSTANCES:
        return kvpbus_cim_host_instances(task->host, task->text, task->shallow, &task->list);
    case KVPBUS_PROVIDER_GET:
        status = kvpbus_cim_host_get(task->host, task->text, &object);
        break;
    case KVPBUS_PROVIDER_CALL:
        status = kvpbus_cim_host_call(task->host, task->text, task->method, task->in, &object);
        break;
    default:
        return KVPBUS_CIM_FAILED;
    }
    if (status == KVPBUS_CIM_OK && !kvpbus_cim_list_add(&task->list, object))
        status = KVPBUS_CIM_NOMEM;
    return status;
}

static void finish(struct kvpbus_provider_task *task)
{
    task->result = kvpbus_provider_hresult(carry_out(task));
    SetEvent(task->done);
    kvpbus_provider_task_release(task);
}

static HMODULE hold_module(void)
{
    static const char in_this_module;
    HMODULE module = NULL;
    GetModuleHandleExW(GET_MODULE_HANDLE_EX_FLAG_FROM_ADDRESS, (LPCWSTR)&in_this_module, &module);
    return module;
}

static DWORD WINAPI thread(void *context)
{
    HMODULE module = hold_module();
    finish(context);
    // The last reference of the library may be ours.
    FreeLibraryAndExitThread(module, 0);
}

void kvpbus_provider_run(struct kvpbus_provider_task *task, bool in_background)
{
    HANDLE handle = NULL;
    kvpbus_provider_task_retain(task);
    if (in_background)
        handle = CreateThread(NULL, 0, thread, task, 0, NULL);
    if (handle != NULL)
        CloseHandle(handle);
    else
        finish(task);
}

HRESULT kvpbus_provider_wait(const struct kvpbus_provider_task *task, LONG timeout_ms)
{
    DWORD wait = timeout_ms < 0 ? INFINITE : (DWORD)timeout_ms;
    return WaitForSingleObject(task->done, wait) == WAIT_OBJECT_0 ? S_OK : HR(S_TIMEDOUT);
}
