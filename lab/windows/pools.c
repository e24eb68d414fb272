// SPDX-License-Identifier: Apache-2.0
#include "pools.h"

#include <stdbool.h>
#include <stdio.h>
#include <windows.h>

#define BASE L"SOFTWARE\\Microsoft\\Virtual Machine"

enum { WIPED_MAX = 65536 };

static const wchar_t *const names[POOLS] = {
    [POOL_EXTERNAL] = L"External",
    [POOL_GUEST] = L"Guest",
    [POOL_AUTO] = L"Auto",
    [POOL_PARAMETERS] = L"Guest\\Parameters",
};

static LSTATUS open_pool(uint32_t pool, HKEY *key)
{
    wchar_t path[128];
    if (pool >= POOLS)
        return ERROR_INVALID_PARAMETER;
    swprintf(path, 128, L"%ls\\%ls", BASE, names[pool]);
    return RegCreateKeyExW(HKEY_LOCAL_MACHINE, path, 0, NULL, 0,
                           KEY_QUERY_VALUE | KEY_SET_VALUE | KEY_WOW64_64KEY, NULL, key, NULL);
}

static uint32_t result(LSTATUS status)
{
    if (status == ERROR_SUCCESS)
        return 0;
    if (status == ERROR_FILE_NOT_FOUND || status == ERROR_NO_MORE_ITEMS)
        return POOL_END;
    return (uint32_t)HRESULT_FROM_WIN32((DWORD)status);
}

// False when it is not UTF-8 or longer than the field of the wire.
static bool widen(const char *text, wchar_t *wide, int units)
{
    return MultiByteToWideChar(CP_UTF8, MB_ERR_INVALID_CHARS, text, -1, wide, units) > 0;
}

static LSTATUS set_wide(HKEY key, const wchar_t *name, const wchar_t *text)
{
    return RegSetValueExW(key, name, 0, REG_SZ, (const BYTE *)text,
                          (DWORD)((wcslen(text) + 1) * sizeof *text));
}

uint32_t pool_set(uint32_t pool, const char *key, const char *value)
{
    wchar_t name[KEY_UNITS], text[VALUE_UNITS];
    HKEY handle;
    if (key[0] == '\0' || !widen(key, name, KEY_UNITS) || !widen(value, text, VALUE_UNITS))
        return POOL_BAD_REQUEST;
    LSTATUS status = open_pool(pool, &handle);
    if (status != ERROR_SUCCESS)
        return result(status);
    status = set_wide(handle, name, text);
    RegCloseKey(handle);
    return result(status);
}

uint32_t pool_delete(uint32_t pool, const char *key)
{
    wchar_t name[KEY_UNITS];
    HKEY handle;
    if (key[0] == '\0' || !widen(key, name, KEY_UNITS))
        return POOL_BAD_REQUEST;
    LSTATUS status = open_pool(pool, &handle);
    if (status != ERROR_SUCCESS)
        return result(status);
    status = RegDeleteValueW(handle, name);
    RegCloseKey(handle);
    return result(status);
}

// What is longer than the wire's field is cut, not in the middle of a character.
static bool narrow(wchar_t *wide, size_t length, size_t units, char *text, int size)
{
    if (length > units - 1)
        length = units - 1;
    if (length > 0 && wide[length - 1] >= 0xd800 && wide[length - 1] <= 0xdbff)
        length--;
    wide[length] = L'\0';
    return WideCharToMultiByte(CP_UTF8, WC_ERR_INVALID_CHARS, wide, -1, text, size, NULL, NULL) > 0;
}

static bool say_value(DWORD type, void *data, DWORD size, struct pool_item *item)
{
    wchar_t *text = data;
    switch (type) {
    case REG_SZ:
    case REG_EXPAND_SZ:
        return narrow(text, wcsnlen(text, size / sizeof *text), VALUE_UNITS, item->value,
                      VALUE_BYTES);
    case REG_DWORD:
        snprintf(item->value, VALUE_BYTES, "%lu", (unsigned long)*(DWORD *)data);
        return size == sizeof(DWORD);
    case REG_QWORD:
        snprintf(item->value, VALUE_BYTES, "%llu", (unsigned long long)*(ULONGLONG *)data);
        return size == sizeof(ULONGLONG);
    default:
        return false;
    }
}

uint32_t pool_enumerate(uint32_t pool, uint32_t index, struct pool_item *item)
{
    static wchar_t name[16384];
    static ULONGLONG data[131072 / sizeof(ULONGLONG)];
    // One character less, so that there is always room for a NUL.
    DWORD length = 16384, size = sizeof data - sizeof(wchar_t), type;
    HKEY handle;
    LSTATUS status = open_pool(pool, &handle);
    if (status != ERROR_SUCCESS)
        return result(status);
    status = RegEnumValueW(handle, index, name, &length, NULL, &type, (BYTE *)data, &size);
    RegCloseKey(handle);
    if (status == ERROR_MORE_DATA)
        return POOL_NOT_SUPPORTED;
    if (status != ERROR_SUCCESS)
        return result(status);
    if (length == 0 || !narrow(name, length, KEY_UNITS, item->key, KEY_BYTES) ||
        !say_value(type, data, size, item))
        return POOL_NOT_SUPPORTED;
    return 0;
}

void pool_wipe(uint32_t pool)
{
    static wchar_t name[16384];
    HKEY handle;
    if (open_pool(pool, &handle) != ERROR_SUCCESS)
        return;
    for (int i = 0; i < WIPED_MAX; i++) {
        DWORD length = 16384;
        if (RegEnumValueW(handle, 0, name, &length, NULL, NULL, NULL, NULL) != ERROR_SUCCESS ||
            RegDeleteValueW(handle, name) != ERROR_SUCCESS)
            break;
    }
    RegCloseKey(handle);
}

// --- what the guest says of its system ---

static LSTATUS describe_system(HKEY key)
{
    static const struct {
        const wchar_t *name, *text;
    } constants[] = {
        {L"CSDVersion", L""},
        {L"IntegrationServicesVersion", L"10.0.17763"},
        {L"NetworkAddressIPv4", L"127.0.0.1"},
        {L"NetworkAddressIPv6", L"::1"},
        {L"OSDistributionName", L"Windows"},
        {L"OSEditionId", L"8"},
        {L"OSName", L"Windows Server 2019 Datacenter"},
        {L"OSPlatformId", L"2"},
        {L"OSVendor", L"Microsoft"},
        {L"ProcessorArchitecture", L"9"},
        {L"ProductType", L"3"},
        {L"ServicePackMajor", L"0"},
        {L"ServicePackMinor", L"0"},
        {L"SuiteMask", L"400"},
    };
    LSTATUS status = ERROR_SUCCESS;
    for (size_t i = 0; i < sizeof constants / sizeof *constants && status == ERROR_SUCCESS; i++)
        status = set_wide(key, constants[i].name, constants[i].text);
    return status;
}

static LSTATUS describe_machine(HKEY key)
{
    wchar_t name[256] = L"", version[64], build[16], major[16], minor[16];
    DWORD size = 256;
    OSVERSIONINFOEXW info = {.dwOSVersionInfoSize = sizeof info};
    GetComputerNameExW(ComputerNameDnsFullyQualified, name, &size);
    // A program without a manifest is told an old version here, which does as well.
    GetVersionExW((OSVERSIONINFOW *)&info);
    swprintf(version, 64, L"%lu.%lu.%lu", info.dwMajorVersion, info.dwMinorVersion,
             info.dwBuildNumber);
    swprintf(build, 16, L"%lu", info.dwBuildNumber);
    swprintf(major, 16, L"%lu", info.dwMajorVersion);
    swprintf(minor, 16, L"%lu", info.dwMinorVersion);
    LSTATUS status = set_wide(key, L"FullyQualifiedDomainName", name);
    status = status == ERROR_SUCCESS ? set_wide(key, L"OSVersion", version) : status;
    status = status == ERROR_SUCCESS ? set_wide(key, L"OSBuildNumber", build) : status;
    status = status == ERROR_SUCCESS ? set_wide(key, L"OSMajorVersion", major) : status;
    return status == ERROR_SUCCESS ? set_wide(key, L"OSMinorVersion", minor) : status;
}

uint32_t pools_begin(void)
{
    LSTATUS status = ERROR_SUCCESS;
    for (uint32_t pool = 0; pool < POOLS && status == ERROR_SUCCESS; pool++) {
        HKEY key;
        status = open_pool(pool, &key);
        if (status != ERROR_SUCCESS)
            break;
        if (pool == POOL_AUTO)
            status = describe_system(key);
        if (pool == POOL_AUTO && status == ERROR_SUCCESS)
            status = describe_machine(key);
        RegCloseKey(key);
    }
    return (uint32_t)status;
}
