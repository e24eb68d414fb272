// SPDX-License-Identifier: Apache-2.0
//
// What the groups of wmi_probe.exe share: a plain WMI client, written against the documented
// interfaces alone.
#ifndef KVPBUS_TESTS_WMI_PROBE_H
#define KVPBUS_TESTS_WMI_PROBE_H

#define COBJMACROS
#include <windows.h>
// After windows.h.
#include <wbemidl.h>

#include <stdbool.h>

// Counted in wmi_probe.c for all files.
void probe_expect(bool holds, const char *text, const char *file, int line);
#define EXPECT(condition) probe_expect((condition), #condition, __FILE__, __LINE__)

// WBEM_E_… and WBEM_S_… are numbers without a sign in the header.
#define HR(name) ((HRESULT)WBEM_##name)

// Of a call that is expected to be answered, on a machine with much else to do.
enum { PATIENCE_MS = 60000 };

#define V2 L"root\\virtualization\\v2"

// NULL when it cannot be connected; *result says why.
IWbemServices *probe_connect(const WCHAR *resource, HRESULT *result);
HRESULT probe_query(IWbemServices *services, const WCHAR *query, LONG flags,
                    IEnumWbemClassObject **out);
// The only object that a query gives; NULL when there are none or several.
IWbemClassObject *probe_single(IWbemServices *services, const WCHAR *query);
// How many objects it gives; -1: an error.
int probe_count(IWbemServices *services, const WCHAR *query);
// The text of a property, static; empty when it is null or missing.
const WCHAR *probe_text(IWbemClassObject *object, const WCHAR *name);
// A number, -1 when there is none.
LONG probe_number(IWbemClassObject *object, const WCHAR *name);
// Elements of an array, -1 when it is null.
LONG probe_elements(IWbemClassObject *object, const WCHAR *name);

void probe_connecting(void);
void probe_systems(void);
void probe_items(void);
void probe_threads(void);
void probe_sinks(void);
void probe_slow(void);
void probe_references(void);
void probe_denied(void);
void probe_absent(void);
void probe_stopped(void);
void probe_hidden(void);
void probe_restarted(void);
void probe_remote(void);

#endif
