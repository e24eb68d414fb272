// SPDX-License-Identifier: Apache-2.0
#include "wmi_connection_windows.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
    BATCH = 16,      // objects that are fetched at once
    SLICE_MS = 1000, // between two looks at whether the caller still waits
    NAME_ROOM = 512, // of a host, a user, a password
};

static const char service_class[] = "Msvm_VirtualSystemManagementService";

static const char *namespace_of(const struct kvpbus_wmi_target *target)
{
    return target->old_namespace ? "root\\virtualization" : "root\\virtualization\\v2";
}

const char *kvpbus_wmi_method(enum kvpbus_operation operation)
{
    static const char *const names[] = {
        [KVPBUS_OP_ADD] = "AddKvpItems",
        [KVPBUS_OP_MODIFY] = "ModifyKvpItems",
        [KVPBUS_OP_REMOVE] = "RemoveKvpItems",
    };
    return names[operation];
}

// --- identity ---

static HRESULT blanket(IUnknown *proxy, COAUTHIDENTITY *identity)
{
    HRESULT result = CoSetProxyBlanket(proxy, RPC_C_AUTHN_DEFAULT, RPC_C_AUTHZ_DEFAULT,
                                       COLE_DEFAULT_PRINCIPAL, RPC_C_AUTHN_LEVEL_PKT_PRIVACY,
                                       RPC_C_IMP_LEVEL_IMPERSONATE, identity, EOAC_NONE);
    // No proxy: the object is in this process.
    return result == E_NOINTERFACE ? S_OK : result;
}

static ULONG to_wide(const char *text, size_t length, wchar_t *wide)
{
    int units = MultiByteToWideChar(CP_UTF8, 0, text, (int)length, wide, NAME_ROOM - 1);
    wide[units] = L'\0';
    return (ULONG)units;
}

HRESULT kvpbus_wmi_secure(const struct kvpbus_wmi_target *target, void *proxy)
{
    if (target->user == NULL)
        return blanket(proxy, NULL);
    wchar_t user[NAME_ROOM], domain[NAME_ROOM] = L"", password[NAME_ROOM];
    COAUTHIDENTITY identity = {.Flags = SEC_WINNT_AUTH_IDENTITY_UNICODE};
    // "DOMAIN\user"; "user@domain" stays as it is.
    const char *separator = strchr(target->user, '\\');
    const char *name = separator != NULL ? separator + 1 : target->user;
    if (separator != NULL)
        identity.DomainLength = to_wide(target->user, (size_t)(separator - target->user), domain);
    identity.UserLength = to_wide(name, strlen(name), user);
    identity.PasswordLength = to_wide(target->password, strlen(target->password), password);
    identity.User = (USHORT *)user;
    identity.Domain = (USHORT *)domain;
    identity.Password = (USHORT *)password;
    HRESULT result = blanket(proxy, &identity);
    SecureZeroMemory(password, sizeof password);
    return result;
}

// For the calls that COM makes on its own account. Not our business when the program has said it.
static BOOL CALLBACK set_default_security(PINIT_ONCE once, PVOID parameter, PVOID *context)
{
    (void)once;
    (void)parameter;
    (void)context;
    CoInitializeSecurity(NULL, -1, NULL, NULL, RPC_C_AUTHN_LEVEL_PKT_PRIVACY,
                         RPC_C_IMP_LEVEL_IMPERSONATE, NULL, EOAC_NONE, NULL);
    return TRUE;
}

// --- connecting ---

// A BSTR of a text that may be none. False: no memory.
static bool optional(const char *text, BSTR *string)
{
    *string = text != NULL ? kvpbus_bstr(text) : NULL;
    return text == NULL || *string != NULL;
}

static void wipe(BSTR string)
{
    if (string != NULL)
        SecureZeroMemory(string, SysStringByteLen(string));
}

static HRESULT connect_server(const struct kvpbus_wmi_target *target, IWbemServices **services)
{
    char resource[NAME_ROOM + 32];
    IWbemLocator *locator = NULL;
    BSTR where = NULL, user = NULL, password = NULL;
    snprintf(resource, sizeof resource, "%s%s%s%s", target->host != NULL ? "\\\\" : "",
             target->host != NULL ? target->host : "", target->host != NULL ? "\\" : "",
             namespace_of(target));
    HRESULT result = CoCreateInstance(&CLSID_WbemLocator, NULL, CLSCTX_INPROC_SERVER,
                                      &IID_IWbemLocator, (void **)&locator);
    kvpbus_com_took(locator);
    if (SUCCEEDED(result) && (!optional(resource, &where) || !optional(target->user, &user) ||
                              !optional(target->password, &password)))
        result = E_OUTOFMEMORY;
    if (SUCCEEDED(result))
        result = IWbemLocator_ConnectServer(locator, where, user, password, NULL,
                                            WBEM_FLAG_CONNECT_USE_MAX_WAIT, NULL, NULL, services);
    if (SUCCEEDED(result))
        kvpbus_com_took(*services);
    wipe(password);
    kvpbus_bstr_free(&password);
    kvpbus_bstr_free(&user);
    kvpbus_bstr_free(&where);
    kvpbus_com_release(&locator);
    return result;
}

// WMI says "not found" of a class as of an instance.
static HRESULT fetch_class(struct kvpbus_wmi_connection *connection, const char *name,
                           IWbemClassObject **class)
{
    HRESULT result = kvpbus_wmi_object(connection, name, class);
    return result == KVPBUS_WBEM(E_NOT_FOUND) ? KVPBUS_WBEM(E_INVALID_CLASS) : result;
}

static HRESULT fetch_parameters(struct kvpbus_wmi_connection *connection, IWbemClassObject *class,
                                enum kvpbus_operation operation)
{
    BSTR name = kvpbus_bstr(kvpbus_wmi_method(operation));
    if (name == NULL)
        return E_OUTOFMEMORY;
    IWbemClassObject **parameters = &connection->parameters[operation];
    HRESULT result = IWbemClassObject_GetMethod(class, name, 0, parameters, NULL);
    kvpbus_bstr_free(&name);
    if (result == KVPBUS_WBEM(E_NOT_FOUND) || (SUCCEEDED(result) && *parameters == NULL))
        return KVPBUS_WBEM(E_INVALID_METHOD);
    if (SUCCEEDED(result))
        kvpbus_com_took(*parameters);
    return result;
}

static HRESULT take_service(void *context, IWbemClassObject *object)
{
    struct kvpbus_wmi_connection *connection = context;
    char path[1024];
    bool set;
    HRESULT result = kvpbus_com_text(object, L"__PATH", path, sizeof path, &set);
    if (FAILED(result) || !set || connection->service != NULL)
        return result;
    connection->service = kvpbus_bstr(path);
    return connection->service != NULL ? S_OK : E_OUTOFMEMORY;
}

// The article's ManagementClass.GetInstances and GetMethodParameters.
static HRESULT fetch_what_calls_need(struct kvpbus_wmi_connection *connection,
                                     struct kvpbus_wmi_work *work)
{
    IWbemClassObject *class = NULL;
    work->step = "looking for the class Msvm_KvpExchangeDataItem";
    HRESULT result = fetch_class(connection, "Msvm_KvpExchangeDataItem", &connection->item_class);
    if (FAILED(result))
        return result;
    work->step = "looking for the management service's methods";
    result = fetch_class(connection, service_class, &class);
    for (int i = 0; SUCCEEDED(result) && i <= KVPBUS_OP_REMOVE; i++)
        result = fetch_parameters(connection, class, (enum kvpbus_operation)i);
    kvpbus_com_release(&class);
    if (FAILED(result))
        return result;
    char query[128];
    work->step = "looking for the management service";
    snprintf(query, sizeof query, "SELECT * FROM %s", service_class);
    result = kvpbus_wmi_query(connection, work, query, take_service, connection);
    // It is hidden from those who may not use it.
    if (SUCCEEDED(result) && connection->service == NULL)
        result = KVPBUS_WBEM(E_ACCESS_DENIED);
    return result;
}

HRESULT kvpbus_wmi_connect(const struct kvpbus_wmi_target *target, struct kvpbus_wmi_work *work,
                           struct kvpbus_wmi_connection **connection)
{
    static INIT_ONCE security = INIT_ONCE_STATIC_INIT;
    InitOnceExecuteOnce(&security, set_default_security, NULL, NULL);
    struct kvpbus_wmi_connection *made = calloc(1, sizeof *made);
    if (made == NULL)
        return E_OUTOFMEMORY;
    made->references = 1;
    made->target = target;
    InitializeSRWLock(&made->spawning);
    work->step = target->old_namespace ? "connecting to root\\virtualization"
                                       : "connecting to root\\virtualization\\v2";
    HRESULT result = connect_server(target, &made->services);
    if (SUCCEEDED(result))
        result = kvpbus_wmi_secure(target, made->services);
    if (SUCCEEDED(result))
        result = fetch_what_calls_need(made, work);
    if (FAILED(result)) {
        kvpbus_wmi_connection_drop(made);
        made = NULL;
    }
    *connection = made;
    return result;
}

void kvpbus_wmi_connection_hold(struct kvpbus_wmi_connection *connection)
{
    InterlockedIncrement(&connection->references);
}

void kvpbus_wmi_connection_drop(struct kvpbus_wmi_connection *connection)
{
    if (InterlockedDecrement(&connection->references) > 0)
        return;
    for (int i = 0; i <= KVPBUS_OP_REMOVE; i++)
        kvpbus_com_release(&connection->parameters[i]);
    kvpbus_com_release(&connection->item_class);
    kvpbus_bstr_free(&connection->service);
    kvpbus_com_release(&connection->services);
    free(connection);
}

// --- objects and queries ---

HRESULT kvpbus_wmi_object(struct kvpbus_wmi_connection *connection, const char *path,
                          IWbemClassObject **object)
{
    BSTR wide = kvpbus_bstr(path);
    if (wide == NULL)
        return E_OUTOFMEMORY;
    HRESULT result = IWbemServices_GetObject(connection->services, wide, 0, NULL, object, NULL);
    if (SUCCEEDED(result))
        kvpbus_com_took(*object);
    kvpbus_bstr_free(&wide);
    return result;
}

HRESULT kvpbus_wmi_spawn(struct kvpbus_wmi_connection *connection, IWbemClassObject *class,
                         IWbemClassObject **object)
{
    AcquireSRWLockExclusive(&connection->spawning);
    HRESULT result = IWbemClassObject_SpawnInstance(class, 0, object);
    ReleaseSRWLockExclusive(&connection->spawning);
    if (SUCCEEDED(result))
        kvpbus_com_took(*object);
    return result;
}

static HRESULT start_query(struct kvpbus_wmi_connection *connection, const char *query,
                           IEnumWbemClassObject **rows)
{
    BSTR language = kvpbus_bstr("WQL"), text = kvpbus_bstr(query);
    HRESULT result = E_OUTOFMEMORY;
    if (language != NULL && text != NULL)
        result = IWbemServices_ExecQuery(connection->services, language, text,
                                         WBEM_FLAG_FORWARD_ONLY | WBEM_FLAG_RETURN_IMMEDIATELY,
                                         NULL, rows);
    if (SUCCEEDED(result)) {
        kvpbus_com_took(*rows);
        result = kvpbus_wmi_secure(connection->target, *rows);
    }
    kvpbus_bstr_free(&text);
    kvpbus_bstr_free(&language);
    return result;
}

HRESULT kvpbus_wmi_query(struct kvpbus_wmi_connection *connection, struct kvpbus_wmi_work *work,
                         const char *query, HRESULT (*row)(void *context, IWbemClassObject *object),
                         void *context)
{
    IEnumWbemClassObject *rows = NULL;
    HRESULT result = start_query(connection, query, &rows);
    size_t seen = 0;
    bool more = true;
    while (SUCCEEDED(result) && more) {
        IWbemClassObject *objects[BATCH] = {0};
        ULONG count = 0;
        unsigned rest = kvpbus_wmi_task_rest(&work->task);
        if (rest == 0) {
            result = KVPBUS_WBEM(E_TIMED_OUT);
            break;
        }
        result = IEnumWbemClassObject_Next(rows, (LONG)(rest < SLICE_MS ? rest : SLICE_MS), BATCH,
                                           objects, &count);
        more = result == KVPBUS_WBEM(S_NO_ERROR) || result == KVPBUS_WBEM(S_TIMEDOUT);
        for (ULONG i = 0; i < count; i++) {
            kvpbus_com_took(objects[i]);
            if (SUCCEEDED(result) && seen++ == KVPBUS_WMI_ROWS_MAX)
                result = KVPBUS_WBEM(E_QUOTA_VIOLATION);
            if (SUCCEEDED(result))
                result = row(context, objects[i]);
            kvpbus_com_release(&objects[i]);
        }
    }
    kvpbus_com_release(&rows);
    return result;
}
