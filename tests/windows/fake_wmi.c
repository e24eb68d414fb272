// SPDX-License-Identifier: Apache-2.0
#include "fake_wmi.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct fake_wmi fake;

// Of what one call writes and another may see: the job, and what was asked last.
static SRWLOCK guard = SRWLOCK_INIT;

// --- what every object has ---

// All interfaces begin alike, and each object here has one.
struct object {
    const void *table;
    LONG references;
    struct fake_row row;          // of a class object
    const struct fake_rows *rows; // of an enumeration
    size_t next;
};

static bool fails(void)
{
    LONG call = InterlockedIncrement(&fake.calls);
    return call == fake.fails_at || (fake.fails_every > 0 && call % fake.fails_every == 0);
}

static struct object *new_object(const void *table)
{
    struct object *object = calloc(1, sizeof *object);
    if (object == NULL)
        abort();
    object->table = table;
    object->references = 1;
    InterlockedIncrement(&fake.live);
    return object;
}

static ULONG add_ref(void *face)
{
    return (ULONG)InterlockedIncrement(&((struct object *)face)->references);
}

static ULONG release(void *face)
{
    struct object *object = face;
    LONG left = InterlockedDecrement(&object->references);
    if (left > 0)
        return (ULONG)left;
    for (size_t i = 0; i < object->row.count; i++)
        VariantClear(&object->row.properties[i].value);
    free(object);
    InterlockedDecrement(&fake.live);
    return 0;
}

// Nothing here is a proxy, and nobody asks for anything but the interface that there is.
static HRESULT query_interface(void *face, REFIID id, void **out)
{
    *out = NULL;
    if (IsEqualIID(id, &IID_IClientSecurity) || IsEqualIID(id, &IID_IMarshal))
        return E_NOINTERFACE;
    *out = face;
    add_ref(face);
    return S_OK;
}

#define COMMON(type)                                                                               \
    .QueryInterface = (HRESULT(WINAPI *)(type *, REFIID, void **))(void (*)(void))query_interface, \
    .AddRef = (ULONG(WINAPI *)(type *))(void (*)(void))add_ref,                                    \
    .Release = (ULONG(WINAPI *)(type *))(void (*)(void))release

// --- class objects ---

static struct fake_property *find(struct fake_row *row, const wchar_t *name)
{
    for (size_t i = 0; i < row->count; i++)
        if (_wcsicmp(row->properties[i].name, name) == 0)
            return &row->properties[i];
    return NULL;
}

static struct object *new_class_object(const struct fake_row *row);

static HRESULT WINAPI object_get(IWbemClassObject *face, LPCWSTR name, LONG flags, VARIANT *value,
                                 CIMTYPE *type, LONG *flavor)
{
    (void)flags;
    (void)type;
    (void)flavor;
    if (fails())
        return fake.fails_as;
    struct fake_property *property = find(&((struct object *)face)->row, name);
    return property != NULL ? VariantCopy(value, &property->value) : (HRESULT)WBEM_E_NOT_FOUND;
}

static HRESULT WINAPI object_put(IWbemClassObject *face, LPCWSTR name, LONG flags, VARIANT *value,
                                 CIMTYPE type)
{
    VARIANT copy;
    (void)flags;
    (void)type;
    if (fails())
        return fake.fails_as;
    VariantInit(&copy);
    VariantCopy(&copy, value);
    fake_row_set(&((struct object *)face)->row, name, &copy);
    return S_OK;
}

static HRESULT WINAPI object_spawn(IWbemClassObject *face, LONG flags, IWbemClassObject **out)
{
    const struct fake_row nothing = {.count = 0};
    (void)face;
    (void)flags;
    if (fails())
        return fake.fails_as;
    *out = (IWbemClassObject *)new_class_object(&nothing);
    return S_OK;
}

static HRESULT WINAPI object_get_method(IWbemClassObject *face, LPCWSTR name, LONG flags,
                                        IWbemClassObject **in, IWbemClassObject **out)
{
    (void)name;
    (void)out;
    return object_spawn(face, flags, in);
}

static IWbemClassObjectVtbl class_table = {
    COMMON(IWbemClassObject),
    .Get = object_get,
    .Put = object_put,
    .SpawnInstance = object_spawn,
    .GetMethod = object_get_method,
};

static struct object *new_class_object(const struct fake_row *row)
{
    struct object *object = new_object(&class_table);
    object->row = *row;
    for (size_t i = 0; i < row->count; i++) {
        VariantInit(&object->row.properties[i].value);
        VariantCopy(&object->row.properties[i].value, (VARIANT *)&row->properties[i].value);
    }
    return object;
}

// --- enumerations ---

static HRESULT WINAPI rows_next(IEnumWbemClassObject *face, LONG timeout, ULONG count,
                                IWbemClassObject **objects, ULONG *returned)
{
    struct object *rows = (struct object *)face;
    (void)timeout;
    *returned = 0;
    if (fails())
        return fake.fails_as;
    size_t before = rows->rows == &fake.settings ? fake.checkpoints : 0;
    for (; *returned < count && rows->next < before + rows->rows->count; rows->next++)
        objects[(*returned)++] = (IWbemClassObject *)new_class_object(
            rows->next < before ? &fake.checkpoint : &rows->rows->rows[rows->next - before]);
    return *returned == count ? (HRESULT)WBEM_S_NO_ERROR : (HRESULT)WBEM_S_FALSE;
}

static IEnumWbemClassObjectVtbl rows_table = {COMMON(IEnumWbemClassObject), .Next = rows_next};

// --- results of methods ---

static HRESULT WINAPI result_get(IWbemCallResult *face, LONG timeout, IWbemClassObject **out)
{
    (void)face;
    if (fails())
        return fake.fails_as;
    if (fake.pending) {
        Sleep((DWORD)timeout);
        return (HRESULT)WBEM_S_TIMEDOUT;
    }
    *out = (IWbemClassObject *)new_class_object(&fake.outcome);
    return S_OK;
}

static IWbemCallResultVtbl result_table = {COMMON(IWbemCallResult), .GetResultObject = result_get};

// --- the service ---

static const struct fake_rows *rows_of(const char *query)
{
    if (strstr(query, "FROM Msvm_ComputerSystem") != NULL)
        return &fake.systems;
    if (strstr(query, "FROM Msvm_KvpExchangeComponentSettingData") != NULL)
        return &fake.settings;
    if (strstr(query, "FROM Msvm_KvpExchangeComponent") != NULL)
        return &fake.components;
    return strstr(query, "FROM Msvm_VirtualSystemManagementService") != NULL ? &fake.service : NULL;
}

static HRESULT WINAPI exec_query(IWbemServices *face, const BSTR language, const BSTR query,
                                 LONG flags, IWbemContext *context, IEnumWbemClassObject **out)
{
    (void)face;
    (void)language;
    (void)flags;
    (void)context;
    if (fails())
        return fake.fails_as;
    InterlockedIncrement(&fake.queries);
    if (fake.query_hangs != NULL)
        WaitForSingleObject(fake.query_hangs, INFINITE);
    AcquireSRWLockExclusive(&guard);
    WideCharToMultiByte(CP_UTF8, 0, query, -1, fake.last_query, sizeof fake.last_query, NULL, NULL);
    const struct fake_rows *rows = rows_of(fake.last_query);
    ReleaseSRWLockExclusive(&guard);
    if (rows == NULL)
        return (HRESULT)WBEM_E_INVALID_QUERY;
    struct object *made = new_object(&rows_table);
    made->rows = rows;
    *out = (IEnumWbemClassObject *)made;
    return S_OK;
}

// The state that this look at the job shows.
static void set_state(struct fake_row *row)
{
    static const VARIANT null = {.vt = VT_NULL};
    size_t look = (size_t)InterlockedIncrement(&fake.looks) - 1;
    int state = fake.states[look < fake.state_count ? look : fake.state_count - 1];
    if (state == 0)
        fake_row_set(row, L"JobState", &null);
    else
        fake_row_number(row, L"JobState", state);
}

static HRESULT WINAPI get_object(IWbemServices *face, const BSTR path, LONG flags,
                                 IWbemContext *context, IWbemClassObject **out,
                                 IWbemCallResult **pending)
{
    struct fake_row row = {.count = 0};
    (void)face;
    (void)flags;
    (void)context;
    (void)pending;
    if (fails())
        return fake.fails_as;
    bool vm = wcsncmp(path, L"Msvm_ComputerSystem.", 20) == 0;
    bool job = wcsncmp(path, L"job", 3) == 0;
    if ((vm && fake.vm_missing) || (job && fake.job_missing))
        return (HRESULT)WBEM_E_NOT_FOUND;
    if (vm && fake.object_hangs != NULL)
        WaitForSingleObject(fake.object_hangs, INFINITE);
    AcquireSRWLockExclusive(&guard);
    if (job)
        set_state(&fake.job);
    struct object *made = new_class_object(job ? &fake.job : &row);
    ReleaseSRWLockExclusive(&guard);
    if (vm)
        fake_row_text(&made->row, L"__PATH", path);
    *out = (IWbemClassObject *)made;
    return S_OK;
}

static void remember_items(struct fake_row *in)
{
    const struct fake_property *items = find(in, L"DataItems");
    const struct fake_property *target = find(in, L"TargetSystem");
    LONG upper = -1, first = 0;
    BSTR text = NULL;
    fake.last_items = -1;
    if (items == NULL || V_VT(&items->value) != (VT_ARRAY | VT_BSTR) || target == NULL)
        return;
    SafeArrayGetUBound(V_ARRAY(&items->value), 1, &upper);
    fake.last_items = upper + 1;
    if (SUCCEEDED(SafeArrayGetElement(V_ARRAY(&items->value), &first, &text)))
        swprintf(fake.last_item, 512, L"%ls", text);
    SysFreeString(text);
    swprintf(fake.last_target, 256, L"%ls", V_BSTR(&target->value));
}

static HRESULT WINAPI exec_method(IWbemServices *face, const BSTR path, const BSTR method,
                                  LONG flags, IWbemContext *context, IWbemClassObject *in,
                                  IWbemClassObject **out, IWbemCallResult **result)
{
    (void)face;
    (void)path;
    (void)flags;
    (void)context;
    (void)out;
    if (fails())
        return fake.fails_as;
    InterlockedIncrement(&fake.executed);
    fake.looks = 0;
    AcquireSRWLockExclusive(&guard);
    swprintf(fake.last_method, 64, L"%ls", method);
    remember_items(&((struct object *)in)->row);
    ReleaseSRWLockExclusive(&guard);
    *result = (IWbemCallResult *)new_object(&result_table);
    return S_OK;
}

static IWbemServicesVtbl services_table = {
    COMMON(IWbemServices),
    .ExecQuery = exec_query,
    .GetObject = get_object,
    .ExecMethod = exec_method,
};

// --- the locator ---

static HRESULT WINAPI connect_server(IWbemLocator *face, const BSTR resource, const BSTR user,
                                     const BSTR password, const BSTR locale, LONG flags,
                                     const BSTR authority, IWbemContext *context,
                                     IWbemServices **out)
{
    (void)face;
    (void)resource;
    (void)user;
    (void)password;
    (void)locale;
    (void)flags;
    (void)authority;
    (void)context;
    if (fails())
        return fake.fails_as;
    InterlockedIncrement(&fake.connections);
    *out = (IWbemServices *)new_object(&services_table);
    return S_OK;
}

static IWbemLocatorVtbl locator_table = {COMMON(IWbemLocator), .ConnectServer = connect_server};

static HRESULT WINAPI create_instance(IClassFactory *face, IUnknown *outer, REFIID id, void **out)
{
    (void)face;
    (void)outer;
    (void)id;
    if (fails())
        return fake.fails_as;
    *out = new_object(&locator_table);
    return S_OK;
}

static HRESULT WINAPI lock_server(IClassFactory *face, BOOL lock)
{
    (void)face;
    (void)lock;
    return S_OK;
}

static ULONG WINAPI factory_reference(IClassFactory *face)
{
    (void)face;
    return 1;
}

static HRESULT WINAPI factory_query(IClassFactory *face, REFIID id, void **out)
{
    (void)id;
    *out = face;
    return S_OK;
}

static IClassFactoryVtbl factory_table = {factory_query, factory_reference, factory_reference,
                                          create_instance, lock_server};
static IClassFactory factory = {&factory_table};

// --- rows ---

void fake_row_set(struct fake_row *row, const wchar_t *name, const VARIANT *value)
{
    struct fake_property *property = find(row, name);
    if (property == NULL) {
        if (row->count == FAKE_PROPERTIES_MAX)
            abort();
        property = &row->properties[row->count++];
        swprintf(property->name, 40, L"%ls", name);
        VariantInit(&property->value);
    }
    VariantClear(&property->value);
    property->value = *value;
}

void fake_row_text(struct fake_row *row, const wchar_t *name, const wchar_t *text)
{
    VARIANT value = {.vt = VT_BSTR};
    V_BSTR(&value) = SysAllocString(text);
    fake_row_set(row, name, &value);
}

void fake_row_number(struct fake_row *row, const wchar_t *name, LONG number)
{
    VARIANT value = {.vt = VT_I4};
    V_I4(&value) = number;
    fake_row_set(row, name, &value);
}

void fake_row_texts(struct fake_row *row, const wchar_t *name, const wchar_t *const *texts,
                    size_t count)
{
    VARIANT value = {.vt = VT_ARRAY | VT_BSTR};
    V_ARRAY(&value) = SafeArrayCreateVector(VT_BSTR, 0, (ULONG)count);
    for (LONG i = 0; i < (LONG)count; i++) {
        BSTR text = SysAllocString(texts[i]);
        SafeArrayPutElement(V_ARRAY(&value), &i, text);
        SysFreeString(text);
    }
    fake_row_set(row, name, &value);
}

static void add_vm(unsigned number)
{
    static const wchar_t *const items[] = {
        L"<INSTANCE CLASSNAME=\"Msvm_KvpExchangeDataItem\"><PROPERTY NAME=\"Data\" "
        L"TYPE=\"string\"><VALUE>v</VALUE></PROPERTY><PROPERTY NAME=\"Name\" TYPE=\"string\">"
        L"<VALUE>kvpbus.0</VALUE></PROPERTY></INSTANCE>"};
    wchar_t id[64], instance[128];
    struct fake_row *system = &fake.systems.rows[fake.systems.count++];
    struct fake_row *settings = &fake.settings.rows[fake.settings.count++];
    struct fake_row *component = &fake.components.rows[fake.components.count++];
    swprintf(id, 64, L"00000000-0000-0000-0000-%012u", number);
    swprintf(instance, 128, L"Microsoft:%ls\\2A34B1C2-FD73-4043-8A5B-DD2159BC743F", id);
    fake_row_text(system, L"Name", id);
    fake_row_text(system, L"ElementName", L"web");
    fake_row_number(system, L"EnabledState", 2);
    fake_row_number(system, L"HealthState", 5);
    fake_row_text(settings, L"InstanceID", instance);
    fake_row_number(settings, L"EnabledState", 2);
    fake_row_texts(settings, L"HostExchangeItems", items, 1);
    fake_row_text(component, L"SystemName", id);
    fake_row_number(component, L"EnabledState", 2);
    fake_row_texts(component, L"GuestExchangeItems", items, 1);
}

void fake_wmi_begin(size_t count)
{
    static DWORD cookie;
    if (cookie == 0 &&
        (FAILED(CoInitializeEx(NULL, COINIT_MULTITHREADED)) ||
         FAILED(CoRegisterClassObject(&CLSID_WbemLocator, (IUnknown *)&factory,
                                      CLSCTX_INPROC_SERVER, REGCLS_MULTIPLEUSE, &cookie))))
        abort();
    memset(&fake, 0, sizeof fake);
    for (unsigned i = 0; i < count; i++)
        add_vm(i);
    fake_row_text(&fake.checkpoint, L"InstanceID",
                  L"Microsoft:99999999-0000-0000-0000-000000000000\\settings");
    fake_row_number(&fake.checkpoint, L"EnabledState", 3);
    fake.service.count = 1;
    fake_row_text(&fake.service.rows[0], L"__PATH", L"service");
    fake_row_number(&fake.outcome, L"ReturnValue", 4096);
    fake_row_text(&fake.outcome, L"Job", L"job");
    fake.states[0] = 7;
    fake.state_count = 1;
    fake_row_number(&fake.job, L"ErrorCode", 0);
}

static void clear_row(struct fake_row *row)
{
    for (size_t i = 0; i < row->count; i++)
        VariantClear(&row->properties[i].value);
    row->count = 0;
}

static void clear_rows(struct fake_rows *rows)
{
    for (size_t i = 0; i < rows->count; i++)
        clear_row(&rows->rows[i]);
    rows->count = 0;
}

void fake_wmi_end(void)
{
    clear_rows(&fake.systems);
    clear_rows(&fake.settings);
    clear_rows(&fake.components);
    clear_rows(&fake.service);
    clear_row(&fake.checkpoint);
    clear_row(&fake.outcome);
    clear_row(&fake.job);
}
