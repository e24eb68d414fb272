// SPDX-License-Identifier: Apache-2.0
//
// COM from C, as little as the WMI client needs: objects and strings that are counted, so that a
// test can tell that none leaks, and properties of WMI objects in our own types. Any thread of the
// multi-threaded apartment.
#ifndef KVPBUS_WMI_COM_WINDOWS_H
#define KVPBUS_WMI_COM_WINDOWS_H

#define COBJMACROS
#include <windows.h>

#include <oleauto.h>
#include <wbemcli.h>

#include "kvpbus/store.h"

// WMI's codes as what they are; the headers have them in an unsigned enumeration.
#define KVPBUS_WBEM(code) ((HRESULT)(WBEM_##code))

// Elements of an array of items that are looked at; those beyond are counted as foreign.
enum { KVPBUS_WMI_ITEMS_MAX = 16384 };

// Counts a reference that a call has given to us. NULL is none.
void kvpbus_com_took(const void *object);

// Releases what `pointer`, the address of an interface pointer, holds, and sets it to NULL.
void kvpbus_com_release(void *pointer);

// References, and strings of kvpbus_bstr, that are held now, in the whole process.
long kvpbus_com_held(void);

// A string that is freed with kvpbus_bstr_free, or NULL when there is no memory.
BSTR kvpbus_bstr(const char *utf8);
void kvpbus_bstr_free(BSTR *string);

// A property as text of at most size - 1 bytes, cut to whole characters, or as a number. *set is
// false, and the result empty or 0, when it is null or of another type.
HRESULT kvpbus_com_text(IWbemClassObject *object, const wchar_t *name, char *text, size_t size,
                        bool *set);
HRESULT kvpbus_com_number(IWbemClassObject *object, const wchar_t *name, uint32_t *number,
                          bool *set);

// The first number of an array.
HRESULT kvpbus_com_first_number(IWbemClassObject *object, const wchar_t *name, uint32_t *number,
                                bool *set);

// Adds the items that an array of embedded instances holds to a scan. *count is how many elements
// it has, -1 when it is null.
HRESULT kvpbus_com_items(IWbemClassObject *object, const wchar_t *name, const char *prefix,
                         struct kvpbus_scan *scan, long *count);

HRESULT kvpbus_com_put_text(IWbemClassObject *object, const wchar_t *name, const char *utf8);
HRESULT kvpbus_com_put_number(IWbemClassObject *object, const wchar_t *name, int32_t number);

// Puts an array of strings; takes them over, whatever it returns.
HRESULT kvpbus_com_put_array(IWbemClassObject *object, const wchar_t *name, BSTR *strings,
                             size_t count);

#endif
