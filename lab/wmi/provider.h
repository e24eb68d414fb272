// SPDX-License-Identifier: Apache-2.0
//
// The stand-in WMI provider as COM objects, in process: a thin shell of COM around host.h.
//
//   dll_windows.c          class factories, registration, the count of living objects
//   locator_windows.c      IWbemLocator
//   services_windows.c     IWbemServices
//   task_windows.c         one request, in the caller's thread or in one of its own
//   enumerator_windows.c   IEnumWbemClassObject over the results of a task
//   call_result_windows.c  IWbemCallResult, semi-synchronous calls
//   object_windows.c       IWbemClassObject
//   qualifiers_windows.c   IWbemQualifierSet
//   text_source_windows.c  IWbemObjectTextSrc
//   security_windows.c     IClientSecurity
//   variant_windows.c      values and texts
//
// References are counted with interlocked operations; objects may be used from any thread.
#ifndef KVPBUS_LAB_WMI_PROVIDER_H
#define KVPBUS_LAB_WMI_PROVIDER_H

#define COBJMACROS
#include <windows.h>
// After windows.h.
#include <wbemidl.h>

#include "host.h"

// WBEM_E_… and WBEM_S_… are numbers without a sign in the header.
#define HR(name) ((HRESULT)WBEM_##name)

// Of our own class objects: the answer is the object itself.
extern const GUID kvpbus_provider_own_object;

// dll_windows.c: every object calls the first when it is made and the second when it is gone.
void kvpbus_provider_made(void);
void kvpbus_provider_gone(void);

// variant_windows.c ---------------------------------------------------------------------------

HRESULT kvpbus_provider_hresult(enum kvpbus_cim_status status);

// NULL when there is no memory. The caller frees.
BSTR kvpbus_provider_bstr(const char *text);
char *kvpbus_provider_utf8(const WCHAR *text);

CIMTYPE kvpbus_provider_cimtype(const struct kvpbus_cim_property *property);
HRESULT kvpbus_provider_to_variant(const struct kvpbus_cim_property *property,
                                   const struct kvpbus_cim_value *value, VARIANT *variant);
// WBEM_E_TYPE_MISMATCH, WBEM_E_VALUE_OUT_OF_RANGE or WBEM_E_OUT_OF_MEMORY leave the value alone.
HRESULT kvpbus_provider_from_variant(const struct kvpbus_cim_property *property,
                                     const VARIANT *variant, struct kvpbus_cim_value *value);
// An array of strings, whose count is `count`.
HRESULT kvpbus_provider_strings(const char *const *texts, size_t count, SAFEARRAY **array);

// object_windows.c ----------------------------------------------------------------------------

// Takes `object` over, also on an error. The scope is copied.
HRESULT kvpbus_provider_object(struct kvpbus_cim_object *object,
                               const struct kvpbus_cim_scope *scope, IWbemClassObject **out);
// A copy of what one of our objects holds; NULL when it is not ours or there is no memory.
struct kvpbus_cim_object *kvpbus_provider_copy(IWbemClassObject *object);

// qualifiers_windows.c: of a class (`property` negative) or of one of its properties.
HRESULT kvpbus_provider_qualifiers(const struct kvpbus_cim_class *class, int property,
                                   IWbemQualifierSet **out);

// object_system_windows.c: __PATH and the others. WBEM_E_NOT_FOUND when there is no such.
HRESULT kvpbus_provider_system_property(const struct kvpbus_cim_object *object,
                                        const struct kvpbus_cim_scope *scope, const WCHAR *name,
                                        VARIANT *value, CIMTYPE *type);
extern const WCHAR *const kvpbus_provider_system_names[];
extern const size_t kvpbus_provider_system_count;

// task_windows.c ------------------------------------------------------------------------------

enum kvpbus_provider_kind {
    KVPBUS_PROVIDER_QUERY,
    KVPBUS_PROVIDER_INSTANCES,
    KVPBUS_PROVIDER_GET,
    KVPBUS_PROVIDER_CALL,
};

struct kvpbus_provider_task {
    LONG references;
    struct kvpbus_cim_host *host;
    enum kvpbus_provider_kind kind;
    char *text;   // query, class or path
    char *method; // of a call
    struct kvpbus_cim_object *in;
    bool shallow;
    HANDLE done;                 // set when the rest may be looked at
    HRESULT result;              // of the request
    struct kvpbus_cim_list list; // what it gave: at most one object unless it is a query
};

// The texts are copied; `in` is taken over, also on an error.
HRESULT kvpbus_provider_task(struct kvpbus_cim_host *host, enum kvpbus_provider_kind kind,
                             const WCHAR *text, const WCHAR *method, struct kvpbus_cim_object *in,
                             struct kvpbus_provider_task **out);
// Carries it out, in a thread of its own or now.
void kvpbus_provider_run(struct kvpbus_provider_task *task, bool in_background);
void kvpbus_provider_task_retain(struct kvpbus_provider_task *task);
void kvpbus_provider_task_release(struct kvpbus_provider_task *task);
// Waits at most so long (WBEM_INFINITE: for ever): S_OK, or WBEM_S_TIMEDOUT.
HRESULT kvpbus_provider_wait(const struct kvpbus_provider_task *task, LONG timeout_ms);

// The others: each makes an object with one reference. ------------------------------------------

// Both retain the task. `account` is copied: whoever calls methods of the object has to act as it.
HRESULT kvpbus_provider_enumerator(struct kvpbus_provider_task *task, const WCHAR *account,
                                   bool forward_only, IEnumWbemClassObject **out);
HRESULT kvpbus_provider_call_result(struct kvpbus_provider_task *task, const WCHAR *account,
                                    IWbemCallResult **out);
// Takes over one reference to the host, also on an error.
HRESULT kvpbus_provider_services(struct kvpbus_cim_host *host, const WCHAR *account,
                                 IWbemServices **out);
HRESULT kvpbus_provider_locator(REFIID iid, void **out);
HRESULT kvpbus_provider_text_source(REFIID iid, void **out);

// security_windows.c: what an object answers to IID_IMarshal: its pointer is good in every thread
// of the process, whatever the apartment. There is nothing for other processes.
HRESULT kvpbus_provider_marshal(void **out);

// security_windows.c: part of another object, whose references it shares. An object of another
// computer is used as who CoSetProxyBlanket has said, or as the process, whatever the account was
// with which it was connected: so it is with DCOM.
enum { KVPBUS_PROVIDER_ACCOUNT_MAX = 256 };

struct kvpbus_provider_security {
    IClientSecurity face;
    IUnknown *outer;
    WCHAR account[KVPBUS_PROVIDER_ACCOUNT_MAX]; // "DOMAIN\\user:password"; empty: everybody
    LONG identified;                            // the caller acts as that account
};
void kvpbus_provider_security(struct kvpbus_provider_security *security, IUnknown *outer,
                              const WCHAR *account);
// S_OK or E_ACCESSDENIED.
HRESULT kvpbus_provider_allowed(const struct kvpbus_provider_security *security);
// "DOMAIN\\user:password" in `account`, of KVPBUS_PROVIDER_ACCOUNT_MAX. An empty domain is left
// out.
void kvpbus_provider_account(const WCHAR *domain, const WCHAR *user, const WCHAR *password,
                             WCHAR *account);

#endif
