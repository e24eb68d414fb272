// SPDX-License-Identifier: Apache-2.0
//
// The entry points of the library. It is loaded either because it is registered, in place of the
// system's locator, or because the manifest of a program names it.
#include <stdlib.h>
#include <wchar.h>

#include "provider.h"
// After windows.h; declares the entry points for registration.
#include <olectl.h>

BOOL WINAPI DllMain(HINSTANCE module, DWORD reason, LPVOID reserved);
__declspec(dllexport) LONG kvpbus_provider_objects(void);

static LONG objects; // living, locks of factories included
static HMODULE this_module;

void kvpbus_provider_made(void)
{
    InterlockedIncrement(&objects);
}

void kvpbus_provider_gone(void)
{
    InterlockedDecrement(&objects);
}

// For tests that count what a client leaves behind.
LONG kvpbus_provider_objects(void)
{
    return InterlockedCompareExchange(&objects, 0, 0);
}

struct factory {
    IClassFactory face;
    HRESULT (*create)(REFIID iid, void **out);
};

static HRESULT WINAPI query_interface(IClassFactory *face, REFIID iid, void **out)
{
    if (out == NULL)
        return E_POINTER;
    *out = NULL;
    if (!IsEqualIID(iid, &IID_IUnknown) && !IsEqualIID(iid, &IID_IClassFactory))
        return E_NOINTERFACE;
    *out = face;
    IClassFactory_AddRef(face);
    return S_OK;
}

// The factories are static: a reference only keeps the library loaded.
static ULONG WINAPI add_ref(IClassFactory *face)
{
    (void)face;
    kvpbus_provider_made();
    return 2;
}

static ULONG WINAPI release(IClassFactory *face)
{
    (void)face;
    kvpbus_provider_gone();
    return 1;
}

static HRESULT WINAPI create_instance(IClassFactory *face, IUnknown *outer, REFIID iid, void **out)
{
    if (out == NULL)
        return E_POINTER;
    *out = NULL;
    if (outer != NULL)
        return CLASS_E_NOAGGREGATION;
    return CONTAINING_RECORD(face, struct factory, face)->create(iid, out);
}

static HRESULT WINAPI lock_server(IClassFactory *face, BOOL lock)
{
    (void)face;
    if (lock)
        kvpbus_provider_made();
    else
        kvpbus_provider_gone();
    return S_OK;
}

static IClassFactoryVtbl table = {query_interface, add_ref, release, create_instance, lock_server};
static struct factory locators = {{&table}, kvpbus_provider_locator};
static struct factory text_sources = {{&table}, kvpbus_provider_text_source};

HRESULT WINAPI DllGetClassObject(REFCLSID class, REFIID iid, void **out)
{
    if (out == NULL)
        return E_POINTER;
    *out = NULL;
    if (IsEqualCLSID(class, &CLSID_WbemLocator))
        return IClassFactory_QueryInterface(&locators.face, iid, out);
    if (IsEqualCLSID(class, &CLSID_WbemObjectTextSrc))
        return IClassFactory_QueryInterface(&text_sources.face, iid, out);
    return CLASS_E_CLASSNOTAVAILABLE;
}

HRESULT WINAPI DllCanUnloadNow(void)
{
    return kvpbus_provider_objects() == 0 ? S_OK : S_FALSE;
}

static const CLSID *const classes[] = {&CLSID_WbemLocator, &CLSID_WbemObjectTextSrc};
enum { CLASSES = sizeof classes / sizeof *classes, KEY_MAX = 128 };

static void server_key(size_t index, WCHAR *key)
{
    WCHAR guid[40];
    StringFromGUID2(classes[index], guid, 40);
    swprintf(key, KEY_MAX, L"Software\\Classes\\CLSID\\%ls\\InprocServer32", guid);
}

static LSTATUS write_value(const WCHAR *key, const WCHAR *name, const WCHAR *value)
{
    return RegSetKeyValueW(HKEY_LOCAL_MACHINE, key, name, REG_SZ, value,
                           (DWORD)((wcslen(value) + 1) * sizeof *value));
}

HRESULT WINAPI DllRegisterServer(void)
{
    WCHAR path[MAX_PATH], key[KEY_MAX];
    DWORD length = GetModuleFileNameW(this_module, path, MAX_PATH);
    LSTATUS status = length > 0 && length < MAX_PATH ? ERROR_SUCCESS : ERROR_BAD_PATHNAME;
    for (size_t i = 0; status == ERROR_SUCCESS && i < CLASSES; i++) {
        server_key(i, key);
        status = write_value(key, NULL, path);
        if (status == ERROR_SUCCESS)
            status = write_value(key, L"ThreadingModel", L"Both");
    }
    return HRESULT_FROM_WIN32(status);
}

// Gives the locator back to the system, whose file is always the same.
HRESULT WINAPI DllUnregisterServer(void)
{
    WCHAR path[MAX_PATH], key[KEY_MAX];
    UINT length = GetSystemDirectoryW(path, MAX_PATH);
    if (length == 0 || length + 20 > MAX_PATH)
        return E_FAIL;
    wcscat(path, L"\\wbem\\wbemprox.dll");
    server_key(0, key);
    LSTATUS status = write_value(key, NULL, path);
    server_key(1, key);
    if (status == ERROR_SUCCESS) {
        status = RegDeleteKeyW(HKEY_LOCAL_MACHINE, key);
        status = status == ERROR_FILE_NOT_FOUND ? ERROR_SUCCESS : status;
    }
    return HRESULT_FROM_WIN32(status);
}

BOOL WINAPI DllMain(HINSTANCE module, DWORD reason, LPVOID reserved)
{
    (void)reserved;
    if (reason == DLL_PROCESS_ATTACH) {
        this_module = module;
        DisableThreadLibraryCalls(module);
    }
    return TRUE;
}
