// SPDX-License-Identifier: Apache-2.0
#include <stdlib.h>
#include <wchar.h>

#include "provider.h"
#include "services_refused.h"

struct services {
    IWbemServices face;
    LONG references;
    struct kvpbus_provider_security security;
    struct kvpbus_cim_host *host;
};

static struct services *self(IWbemServices *face)
{
    return CONTAINING_RECORD(face, struct services, face);
}

static HRESULT WINAPI query_interface(IWbemServices *face, REFIID iid, void **out)
{
    if (out == NULL)
        return E_POINTER;
    *out = NULL;
    if (IsEqualIID(iid, &IID_IMarshal))
        return kvpbus_provider_marshal(out);
    if (IsEqualIID(iid, &IID_IUnknown) || IsEqualIID(iid, &IID_IWbemServices))
        *out = face;
    else if (IsEqualIID(iid, &IID_IClientSecurity))
        *out = &self(face)->security.face;
    else
        return E_NOINTERFACE;
    IWbemServices_AddRef(face);
    return S_OK;
}

static ULONG WINAPI add_ref(IWbemServices *face)
{
    return (ULONG)InterlockedIncrement(&self(face)->references);
}

static ULONG WINAPI release(IWbemServices *face)
{
    struct services *services = self(face);
    LONG left = InterlockedDecrement(&services->references);
    if (left == 0) {
        kvpbus_cim_host_release(services->host);
        free(services);
        kvpbus_provider_gone();
    }
    return (ULONG)left;
}

static HRESULT WINAPI open_namespace(IWbemServices *face, const BSTR name, LONG flags,
                                     IWbemContext *context, IWbemServices **out,
                                     IWbemCallResult **result)
{
    (void)face;
    (void)name;
    (void)flags;
    (void)context;
    if (out != NULL)
        *out = NULL;
    if (result != NULL)
        *result = NULL;
    return HR(E_INVALID_NAMESPACE); // none of those served has another below it that is served
}

// A task of this object's, if the caller may use it. Takes `in` over.
static HRESULT begin(const struct services *services, enum kvpbus_provider_kind kind,
                     const WCHAR *text, const WCHAR *method, struct kvpbus_cim_object *in,
                     struct kvpbus_provider_task **task)
{
    HRESULT status = kvpbus_provider_allowed(&services->security);
    if (FAILED(status)) {
        kvpbus_cim_object_free(in);
        return status;
    }
    return kvpbus_provider_task(services->host, kind, text, method, in, task);
}

// The result of a request that gives an object: now, or through a call result.
static HRESULT give_object(const struct services *services, struct kvpbus_provider_task *task,
                           LONG flags, IWbemClassObject **object, IWbemCallResult **result)
{
    bool background = (flags & WBEM_FLAG_RETURN_IMMEDIATELY) != 0;
    HRESULT status = S_OK;
    kvpbus_provider_run(task, background);
    if (background)
        return kvpbus_provider_call_result(task, services->security.account, result);
    if (FAILED(task->result) || object == NULL)
        return task->result;
    struct kvpbus_cim_object *copy = kvpbus_cim_object_copy(task->list.objects[0]);
    status = copy != NULL ? kvpbus_provider_object(copy, kvpbus_cim_host_scope(task->host), object)
                          : HR(E_OUT_OF_MEMORY);
    return status;
}

static HRESULT check_outputs(LONG flags, IWbemClassObject **object, IWbemCallResult **result)
{
    bool background = (flags & WBEM_FLAG_RETURN_IMMEDIATELY) != 0;
    if (object != NULL)
        *object = NULL;
    if (result != NULL)
        *result = NULL;
    return background && result == NULL ? HR(E_INVALID_PARAMETER) : S_OK;
}

static HRESULT WINAPI get_object(IWbemServices *face, const BSTR path, LONG flags,
                                 IWbemContext *context, IWbemClassObject **object,
                                 IWbemCallResult **result)
{
    struct kvpbus_provider_task *task;
    (void)context;
    HRESULT status = check_outputs(flags, object, result);
    if (path == NULL || (object == NULL && result == NULL))
        status = HR(E_INVALID_PARAMETER);
    if (SUCCEEDED(status))
        status = begin(self(face), KVPBUS_PROVIDER_GET, path, NULL, NULL, &task);
    if (FAILED(status))
        return status;
    status = give_object(self(face), task, flags, object, result);
    kvpbus_provider_task_release(task);
    return status;
}

// What a method is given. Without in parameters `*in` is NULL.
static HRESULT take_parameters(IWbemClassObject *parameters, struct kvpbus_cim_object **in)
{
    *in = NULL;
    if (parameters == NULL)
        return S_OK;
    *in = kvpbus_provider_copy(parameters);
    return *in != NULL ? S_OK : HR(E_INVALID_METHOD_PARAMETERS);
}

static HRESULT WINAPI exec_method(IWbemServices *face, const BSTR path, const BSTR method,
                                  LONG flags, IWbemContext *context, IWbemClassObject *parameters,
                                  IWbemClassObject **out, IWbemCallResult **result)
{
    struct kvpbus_provider_task *task;
    struct kvpbus_cim_object *in = NULL;
    (void)context;
    HRESULT status = check_outputs(flags, out, result);
    if (path == NULL || method == NULL)
        status = HR(E_INVALID_PARAMETER);
    if (SUCCEEDED(status))
        status = take_parameters(parameters, &in);
    if (SUCCEEDED(status))
        status = begin(self(face), KVPBUS_PROVIDER_CALL, path, method, in, &task);
    if (FAILED(status))
        return status;
    status = give_object(self(face), task, flags, out, result);
    kvpbus_provider_task_release(task);
    return status;
}

static HRESULT enumerate(IWbemServices *face, enum kvpbus_provider_kind kind, const WCHAR *text,
                         LONG flags, IEnumWbemClassObject **out)
{
    struct kvpbus_provider_task *task;
    bool background = (flags & WBEM_FLAG_RETURN_IMMEDIATELY) != 0;
    HRESULT status = begin(self(face), kind, text, NULL, NULL, &task);
    if (FAILED(status))
        return status;
    task->shallow = (flags & WBEM_FLAG_SHALLOW) != 0;
    kvpbus_provider_run(task, background);
    // Semi-synchronously an error comes with the first Next.
    if (!background && FAILED(task->result))
        status = task->result;
    else
        status = kvpbus_provider_enumerator(task, self(face)->security.account,
                                            (flags & WBEM_FLAG_FORWARD_ONLY) != 0, out);
    kvpbus_provider_task_release(task);
    return status;
}

static HRESULT WINAPI create_instance_enum(IWbemServices *face, const BSTR name, LONG flags,
                                           IWbemContext *context, IEnumWbemClassObject **out)
{
    (void)context;
    if (name == NULL || out == NULL)
        return HR(E_INVALID_PARAMETER);
    *out = NULL;
    return enumerate(face, KVPBUS_PROVIDER_INSTANCES, name, flags, out);
}

static HRESULT check_language(const WCHAR *language)
{
    if (language == NULL)
        return HR(E_INVALID_PARAMETER);
    return _wcsicmp(language, L"WQL") == 0 ? S_OK : HR(E_INVALID_QUERY_TYPE);
}

static HRESULT WINAPI exec_query(IWbemServices *face, const BSTR language, const BSTR query,
                                 LONG flags, IWbemContext *context, IEnumWbemClassObject **out)
{
    (void)context;
    if (query == NULL || out == NULL)
        return HR(E_INVALID_PARAMETER);
    *out = NULL;
    HRESULT status = check_language(language);
    return FAILED(status) ? status : enumerate(face, KVPBUS_PROVIDER_QUERY, query, flags, out);
}

static HRESULT indicate(const struct kvpbus_provider_task *task, IWbemObjectSink *sink)
{
    HRESULT status = task->result;
    for (size_t i = 0; SUCCEEDED(status) && i < task->list.count; i++) {
        IWbemClassObject *object = NULL;
        struct kvpbus_cim_object *copy = kvpbus_cim_object_copy(task->list.objects[i]);
        status = copy != NULL
                     ? kvpbus_provider_object(copy, kvpbus_cim_host_scope(task->host), &object)
                     : HR(E_OUT_OF_MEMORY);
        if (SUCCEEDED(status))
            status = IWbemObjectSink_Indicate(sink, 1, &object);
        if (object != NULL)
            IWbemClassObject_Release(object);
    }
    return status;
}

// The sink is called before the method returns, from the same thread: so it may live anywhere.
static HRESULT deliver(IWbemServices *face, enum kvpbus_provider_kind kind, const WCHAR *text,
                       const WCHAR *method, IWbemClassObject *parameters, LONG flags,
                       IWbemObjectSink *sink)
{
    struct kvpbus_provider_task *task;
    struct kvpbus_cim_object *in = NULL;
    if (text == NULL || sink == NULL)
        return HR(E_INVALID_PARAMETER);
    HRESULT status = take_parameters(parameters, &in);
    if (SUCCEEDED(status))
        status = begin(self(face), kind, text, method, in, &task);
    if (FAILED(status))
        return status;
    task->shallow = (flags & WBEM_FLAG_SHALLOW) != 0;
    kvpbus_provider_run(task, false);
    status = indicate(task, sink);
    IWbemObjectSink_SetStatus(sink, WBEM_STATUS_COMPLETE, status, NULL, NULL);
    kvpbus_provider_task_release(task);
    return S_OK;
}

static HRESULT WINAPI get_object_async(IWbemServices *face, const BSTR path, LONG flags,
                                       IWbemContext *context, IWbemObjectSink *sink)
{
    (void)context;
    return deliver(face, KVPBUS_PROVIDER_GET, path, NULL, NULL, flags, sink);
}

static HRESULT WINAPI create_instance_enum_async(IWbemServices *face, const BSTR name, LONG flags,
                                                 IWbemContext *context, IWbemObjectSink *sink)
{
    (void)context;
    return deliver(face, KVPBUS_PROVIDER_INSTANCES, name, NULL, NULL, flags, sink);
}

static HRESULT WINAPI exec_query_async(IWbemServices *face, const BSTR language, const BSTR query,
                                       LONG flags, IWbemContext *context, IWbemObjectSink *sink)
{
    (void)context;
    HRESULT status = check_language(language);
    return FAILED(status) ? status
                          : deliver(face, KVPBUS_PROVIDER_QUERY, query, NULL, NULL, flags, sink);
}

static HRESULT WINAPI exec_method_async(IWbemServices *face, const BSTR path, const BSTR method,
                                        LONG flags, IWbemContext *context,
                                        IWbemClassObject *parameters, IWbemObjectSink *sink)
{
    (void)context;
    if (method == NULL)
        return HR(E_INVALID_PARAMETER);
    return deliver(face, KVPBUS_PROVIDER_CALL, path, method, parameters, flags, sink);
}

static IWbemServicesVtbl table = {
    query_interface,
    add_ref,
    release,
    open_namespace,
    kvpbus_provider_cancel_async_call,
    kvpbus_provider_query_object_sink,
    get_object,
    get_object_async,
    kvpbus_provider_put_class,
    kvpbus_provider_put_class_async,
    kvpbus_provider_delete_class,
    kvpbus_provider_delete_class_async,
    kvpbus_provider_create_class_enum,
    kvpbus_provider_create_class_enum_async,
    kvpbus_provider_put_instance,
    kvpbus_provider_put_instance_async,
    kvpbus_provider_delete_instance,
    kvpbus_provider_delete_instance_async,
    create_instance_enum,
    create_instance_enum_async,
    exec_query,
    exec_query_async,
    kvpbus_provider_exec_notification_query,
    kvpbus_provider_exec_notification_query_async,
    exec_method,
    exec_method_async,
};

HRESULT kvpbus_provider_services(struct kvpbus_cim_host *host, const WCHAR *account,
                                 IWbemServices **out)
{
    struct services *services = calloc(1, sizeof *services);
    if (services == NULL) {
        kvpbus_cim_host_release(host);
        return HR(E_OUT_OF_MEMORY);
    }
    kvpbus_provider_made();
    services->face.lpVtbl = &table;
    services->references = 1;
    kvpbus_provider_security(&services->security, (IUnknown *)&services->face, account);
    services->host = host;
    *out = &services->face;
    return S_OK;
}
