// SPDX-License-Identifier: Apache-2.0
//
// Between the parts of the class object: object_windows.c (the interface and single properties),
// object_walk_windows.c (what walks over properties and methods) and object_system_windows.c.
#ifndef KVPBUS_LAB_WMI_OBJECT_H
#define KVPBUS_LAB_WMI_OBJECT_H

#include "provider.h"

enum { NOT_BEGUN = -1 };

struct object {
    IWbemClassObject face;
    LONG references;
    SRWLOCK lock; // over what follows
    struct kvpbus_cim_object *data;
    struct kvpbus_cim_scope scope;
    int position; // of the enumeration: system properties first, then the others
    LONG flags;   // of the enumeration
    int method;   // of the enumeration of methods
};

// object_windows.c: the caller holds the lock.
bool kvpbus_provider_visible(const struct object *object, size_t index);
HRESULT kvpbus_provider_describe(const struct object *object, size_t index, VARIANT *value,
                                 CIMTYPE *type, LONG *flavor);

// object_walk_windows.c: the methods of IWbemClassObject of these names.
HRESULT kvpbus_provider_names(struct object *object, const WCHAR *qualifier, LONG flags,
                              const VARIANT *value, SAFEARRAY **names);
HRESULT kvpbus_provider_begin(struct object *object, LONG flags);
HRESULT kvpbus_provider_next(struct object *object, BSTR *name, VARIANT *value, CIMTYPE *type,
                             LONG *flavor);
HRESULT kvpbus_provider_end(struct object *object);
HRESULT kvpbus_provider_get_method(struct object *object, const WCHAR *name, IWbemClassObject **in,
                                   IWbemClassObject **out);
HRESULT kvpbus_provider_begin_methods(struct object *object);
HRESULT kvpbus_provider_next_method(struct object *object, BSTR *name, IWbemClassObject **in,
                                    IWbemClassObject **out);
HRESULT kvpbus_provider_end_methods(struct object *object);
HRESULT kvpbus_provider_method_origin(struct object *object, const WCHAR *name, BSTR *out);

// object_system_windows.c: the object in MOF.
HRESULT kvpbus_provider_mof(const struct kvpbus_cim_object *object, BSTR *text);

#endif
