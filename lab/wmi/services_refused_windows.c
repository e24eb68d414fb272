// SPDX-License-Identifier: Apache-2.0
#include "services_refused.h"

HRESULT WINAPI kvpbus_provider_cancel_async_call(IWbemServices *face, IWbemObjectSink *sink)
{
    (void)face;
    (void)sink;
    return HR(E_NOT_SUPPORTED);
}

HRESULT WINAPI kvpbus_provider_query_object_sink(IWbemServices *face, LONG flags,
                                                 IWbemObjectSink **out)
{
    (void)face;
    (void)flags;
    if (out != NULL)
        *out = NULL;
    return HR(E_NOT_SUPPORTED);
}

HRESULT WINAPI kvpbus_provider_put_class(IWbemServices *face, IWbemClassObject *object, LONG flags,
                                         IWbemContext *context, IWbemCallResult **result)
{
    (void)face;
    (void)object;
    (void)flags;
    (void)context;
    if (result != NULL)
        *result = NULL;
    return HR(E_NOT_SUPPORTED);
}

HRESULT WINAPI kvpbus_provider_put_class_async(IWbemServices *face, IWbemClassObject *object,
                                               LONG flags, IWbemContext *context,
                                               IWbemObjectSink *sink)
{
    (void)face;
    (void)object;
    (void)flags;
    (void)context;
    (void)sink;
    return HR(E_NOT_SUPPORTED);
}

HRESULT WINAPI kvpbus_provider_delete_class(IWbemServices *face, const BSTR name, LONG flags,
                                            IWbemContext *context, IWbemCallResult **result)
{
    (void)face;
    (void)name;
    (void)flags;
    (void)context;
    if (result != NULL)
        *result = NULL;
    return HR(E_NOT_SUPPORTED);
}

HRESULT WINAPI kvpbus_provider_delete_class_async(IWbemServices *face, const BSTR name, LONG flags,
                                                  IWbemContext *context, IWbemObjectSink *sink)
{
    (void)face;
    (void)name;
    (void)flags;
    (void)context;
    (void)sink;
    return HR(E_NOT_SUPPORTED);
}

HRESULT WINAPI kvpbus_provider_create_class_enum(IWbemServices *face, const BSTR name, LONG flags,
                                                 IWbemContext *context, IEnumWbemClassObject **out)
{
    (void)face;
    (void)name;
    (void)flags;
    (void)context;
    if (out != NULL)
        *out = NULL;
    return HR(E_NOT_SUPPORTED);
}

HRESULT WINAPI kvpbus_provider_create_class_enum_async(IWbemServices *face, const BSTR name,
                                                       LONG flags, IWbemContext *context,
                                                       IWbemObjectSink *sink)
{
    (void)face;
    (void)name;
    (void)flags;
    (void)context;
    (void)sink;
    return HR(E_NOT_SUPPORTED);
}

HRESULT WINAPI kvpbus_provider_put_instance(IWbemServices *face, IWbemClassObject *object,
                                            LONG flags, IWbemContext *context,
                                            IWbemCallResult **result)
{
    (void)face;
    (void)object;
    (void)flags;
    (void)context;
    if (result != NULL)
        *result = NULL;
    return HR(E_NOT_SUPPORTED);
}

HRESULT WINAPI kvpbus_provider_put_instance_async(IWbemServices *face, IWbemClassObject *object,
                                                  LONG flags, IWbemContext *context,
                                                  IWbemObjectSink *sink)
{
    (void)face;
    (void)object;
    (void)flags;
    (void)context;
    (void)sink;
    return HR(E_NOT_SUPPORTED);
}

HRESULT WINAPI kvpbus_provider_delete_instance(IWbemServices *face, const BSTR path, LONG flags,
                                               IWbemContext *context, IWbemCallResult **result)
{
    (void)face;
    (void)path;
    (void)flags;
    (void)context;
    if (result != NULL)
        *result = NULL;
    return HR(E_NOT_SUPPORTED);
}

HRESULT WINAPI kvpbus_provider_delete_instance_async(IWbemServices *face, const BSTR path,
                                                     LONG flags, IWbemContext *context,
                                                     IWbemObjectSink *sink)
{
    (void)face;
    (void)path;
    (void)flags;
    (void)context;
    (void)sink;
    return HR(E_NOT_SUPPORTED);
}

HRESULT WINAPI kvpbus_provider_exec_notification_query(IWbemServices *face, const BSTR language,
                                                       const BSTR query, LONG flags,
                                                       IWbemContext *context,
                                                       IEnumWbemClassObject **out)
{
    (void)face;
    (void)language;
    (void)query;
    (void)flags;
    (void)context;
    if (out != NULL)
        *out = NULL;
    return HR(E_NOT_SUPPORTED);
}

HRESULT WINAPI kvpbus_provider_exec_notification_query_async(IWbemServices *face,
                                                             const BSTR language, const BSTR query,
                                                             LONG flags, IWbemContext *context,
                                                             IWbemObjectSink *sink)
{
    (void)face;
    (void)language;
    (void)query;
    (void)flags;
    (void)context;
    (void)sink;
    return HR(E_NOT_SUPPORTED);
}
