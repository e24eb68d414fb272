// SPDX-License-Identifier: Apache-2.0
//
// The methods of IWbemServices that this provider does not have: all give WBEM_E_NOT_SUPPORTED.
#ifndef KVPBUS_LAB_WMI_SERVICES_REFUSED_H
#define KVPBUS_LAB_WMI_SERVICES_REFUSED_H

#include "provider.h"

HRESULT WINAPI kvpbus_provider_cancel_async_call(IWbemServices *face, IWbemObjectSink *sink);
HRESULT WINAPI kvpbus_provider_query_object_sink(IWbemServices *face, LONG flags,
                                                 IWbemObjectSink **out);
HRESULT WINAPI kvpbus_provider_put_class(IWbemServices *face, IWbemClassObject *object, LONG flags,
                                         IWbemContext *context, IWbemCallResult **result);
HRESULT WINAPI kvpbus_provider_put_class_async(IWbemServices *face, IWbemClassObject *object,
                                               LONG flags, IWbemContext *context,
                                               IWbemObjectSink *sink);
HRESULT WINAPI kvpbus_provider_delete_class(IWbemServices *face, const BSTR name, LONG flags,
                                            IWbemContext *context, IWbemCallResult **result);
HRESULT WINAPI kvpbus_provider_delete_class_async(IWbemServices *face, const BSTR name, LONG flags,
                                                  IWbemContext *context, IWbemObjectSink *sink);
HRESULT WINAPI kvpbus_provider_create_class_enum(IWbemServices *face, const BSTR name, LONG flags,
                                                 IWbemContext *context, IEnumWbemClassObject **out);
HRESULT WINAPI kvpbus_provider_create_class_enum_async(IWbemServices *face, const BSTR name,
                                                       LONG flags, IWbemContext *context,
                                                       IWbemObjectSink *sink);
HRESULT WINAPI kvpbus_provider_put_instance(IWbemServices *face, IWbemClassObject *object,
                                            LONG flags, IWbemContext *context,
                                            IWbemCallResult **result);
HRESULT WINAPI kvpbus_provider_put_instance_async(IWbemServices *face, IWbemClassObject *object,
                                                  LONG flags, IWbemContext *context,
                                                  IWbemObjectSink *sink);
HRESULT WINAPI kvpbus_provider_delete_instance(IWbemServices *face, const BSTR path, LONG flags,
                                               IWbemContext *context, IWbemCallResult **result);
HRESULT WINAPI kvpbus_provider_delete_instance_async(IWbemServices *face, const BSTR path,
                                                     LONG flags, IWbemContext *context,
                                                     IWbemObjectSink *sink);
HRESULT WINAPI kvpbus_provider_exec_notification_query(IWbemServices *face, const BSTR language,
                                                       const BSTR query, LONG flags,
                                                       IWbemContext *context,
                                                       IEnumWbemClassObject **out);
HRESULT WINAPI kvpbus_provider_exec_notification_query_async(IWbemServices *face,
                                                             const BSTR language, const BSTR query,
                                                             LONG flags, IWbemContext *context,
                                                             IWbemObjectSink *sink);

#endif
