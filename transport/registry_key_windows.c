// SPDX-License-Identifier: Apache-2.0
#include "registry_key.h"

#include <stdlib.h>
#include <string.h>
#include <wchar.h>

#include "changes.h"
#include "windows_error.h"

enum {
    NAME_UNITS = 16384, // characters of a value's name with its NUL: the registry's own limit
    TEXT_BYTES = (KVPBUS_VALUE_MAX + 1) * sizeof(wchar_t),
    VALUES_MAX = 16384, // of a key that are looked at
    SCANS_MAX = 4,      // of a key that is changed meanwhile
};

// What one value is, in the buffers of whoever looks.
struct value {
    wchar_t name[NAME_UNITS];
    DWORD name_length;
    DWORD type;
    wchar_t text[KVPBUS_VALUE_MAX + 1];
    DWORD size; // in bytes
    bool too_long;
};

static enum kvpbus_error code_of(LSTATUS status)
{
    switch (status) {
    case ERROR_ACCESS_DENIED:
        return KVPBUS_ACCESS;
    case ERROR_FILE_NOT_FOUND:
    case ERROR_PATH_NOT_FOUND:
    case ERROR_KEY_DELETED:
        return KVPBUS_STORE_GONE;
    case ERROR_NOT_ENOUGH_MEMORY:
    case ERROR_OUTOFMEMORY:
        return KVPBUS_NOMEM;
    case ERROR_DISK_FULL:
    case ERROR_NO_SYSTEM_RESOURCES:
    case ERROR_NOT_ENOUGH_QUOTA:
        return KVPBUS_STORE_FULL;
    case ERROR_WRITE_PROTECT:
        return KVPBUS_STORE_READ_ONLY;
    default:
        return KVPBUS_IO;
    }
}

static enum kvpbus_error fail(const struct kvpbus_registry_key *key, LSTATUS status,
                              const char *action, struct kvpbus_failure *failure)
{
    enum kvpbus_error code = code_of(status);
    return kvpbus_fail_windows(
        failure, code, (uint32_t)status, "cannot %s the registry key %ls\\%ls%s", action, key->base,
        key->name, code == KVPBUS_ACCESS ? " (run as an administrator)" : "");
}

enum kvpbus_error kvpbus_registry_key_open(const struct kvpbus_registry_key *key, REGSAM access,
                                           HKEY *handle, struct kvpbus_failure *failure)
{
    HKEY base;
    *handle = NULL;
    LSTATUS status = RegOpenKeyExW(key->root, key->base, 0, KEY_READ | KEY_WOW64_64KEY, &base);
    if (status != ERROR_SUCCESS)
        return fail(key, status, "open", failure);
    status = RegOpenKeyExW(base, key->name, 0, access | KEY_WOW64_64KEY, handle);
    RegCloseKey(base);
    if (status == ERROR_SUCCESS)
        return KVPBUS_OK;
    *handle = NULL;
    return status == ERROR_FILE_NOT_FOUND ? KVPBUS_OK : fail(key, status, "open", failure);
}

// The value at an index. Of one that is too long to be an item only the name is fetched.
static LSTATUS value_at(HKEY handle, DWORD index, struct value *value)
{
    value->name_length = NAME_UNITS;
    value->size = TEXT_BYTES;
    LSTATUS status = RegEnumValueW(handle, index, value->name, &value->name_length, NULL,
                                   &value->type, (BYTE *)value->text, &value->size);
    value->too_long = status == ERROR_MORE_DATA;
    if (!value->too_long)
        return status;
    value->name_length = NAME_UNITS;
    return RegEnumValueW(handle, index, value->name, &value->name_length, NULL, &value->type, NULL,
                         NULL);
}

// The text as bytes; what is not ASCII becomes a character that no item has. Returns its length,
// which is cut: a longer one is no item anyway.
static size_t narrow(const wchar_t *wide, size_t length, size_t limit, char *text)
{
    size_t kept = length < limit ? length : limit;
    for (size_t i = 0; i < kept; i++)
        text[i] = wide[i] <= '~' ? (char)wide[i] : '\x7f';
    return kept;
}

static bool has_prefix(const char *prefix, const char *name, size_t length)
{
    size_t prefix_length = strlen(prefix);
    return length > prefix_length && memcmp(name, prefix, prefix_length) == 0 &&
           name[prefix_length] == '.';
}

static void fold(char *name, size_t length)
{
    for (size_t i = 0; i < length; i++)
        if (name[i] >= 'A' && name[i] <= 'Z')
            name[i] = (char)(name[i] - 'A' + 'a');
}

// A text with its NUL; what stands behind it is not looked at.
static bool take_text(const struct value *value, char *text, size_t *length)
{
    size_t units = value->size / sizeof(wchar_t);
    if (value->too_long || value->type != REG_SZ || value->size % sizeof(wchar_t) != 0)
        return false;
    size_t end = wcsnlen(value->text, units);
    *length = narrow(value->text, end, KVPBUS_VALUE_MAX, text);
    return end < units;
}

// Only the copy of a name is folded: that of another program's value is looked at and no more.
static enum kvpbus_error add(struct kvpbus_scan *scan, const char *prefix,
                             enum kvpbus_registry_names names, const struct value *value)
{
    char name[KVPBUS_KEY_MAX + 1], text[KVPBUS_VALUE_MAX];
    size_t text_length = 0;
    size_t length = narrow(value->name, value->name_length, sizeof name, name);
    if (names == KVPBUS_REGISTRY_NAMES_FOLDED)
        fold(name, length);
    if (has_prefix(prefix, name, length) && !take_text(value, text, &text_length)) {
        scan->skipped++;
        return KVPBUS_OK;
    }
    return kvpbus_scan_add(scan, prefix, name, length, text, text_length);
}

static LSTATUS describe(HKEY handle, DWORD *values, FILETIME *written)
{
    return RegQueryInfoKeyW(handle, NULL, NULL, NULL, NULL, NULL, NULL, values, NULL, NULL, NULL,
                            written);
}

static enum kvpbus_error scan_once(HKEY handle, const char *prefix,
                                   enum kvpbus_registry_names names, struct value *value,
                                   struct kvpbus_scan *scan, LSTATUS *status)
{
    DWORD index = 0;
    enum kvpbus_error error = KVPBUS_OK;
    kvpbus_scan_clear(scan);
    for (; index < VALUES_MAX && error == KVPBUS_OK; index++) {
        *status = value_at(handle, index, value);
        if (*status != ERROR_SUCCESS)
            break;
        error = add(scan, prefix, names, value);
    }
    DWORD values = 0;
    if (*status == ERROR_SUCCESS && error == KVPBUS_OK)
        *status = describe(handle, &values, NULL);
    if (*status == ERROR_NO_MORE_ITEMS)
        *status = ERROR_SUCCESS;
    if (values > index)
        scan->foreign += values - index;
    return error;
}

// Values are found by their position, which moves when another one is removed: a key that was
// changed meanwhile is read again, a few times, and then believed. A scan need not be a snapshot.
static enum kvpbus_error scan_key(HKEY handle, const char *prefix, enum kvpbus_registry_names names,
                                  struct value *value, struct kvpbus_scan *scan, LSTATUS *status)
{
    FILETIME before, after;
    enum kvpbus_error error = KVPBUS_OK;
    *status = describe(handle, NULL, &before);
    for (int scans = 0; *status == ERROR_SUCCESS && error == KVPBUS_OK && scans < SCANS_MAX;
         scans++) {
        error = scan_once(handle, prefix, names, value, scan, status);
        if (*status != ERROR_SUCCESS || error != KVPBUS_OK)
            break;
        *status = describe(handle, NULL, &after);
        if (CompareFileTime(&before, &after) == 0)
            break;
        before = after;
    }
    return error;
}

enum kvpbus_error kvpbus_registry_key_read(const struct kvpbus_registry_key *key,
                                           const char *prefix, enum kvpbus_registry_names names,
                                           struct kvpbus_scan *scan, struct kvpbus_failure *failure)
{
    HKEY handle;
    LSTATUS status = ERROR_SUCCESS;
    kvpbus_scan_clear(scan);
    enum kvpbus_error error = kvpbus_registry_key_open(key, KEY_QUERY_VALUE, &handle, failure);
    if (error != KVPBUS_OK || handle == NULL)
        return error;
    struct value *value = malloc(sizeof *value);
    error = value != NULL ? scan_key(handle, prefix, names, value, scan, &status) : KVPBUS_NOMEM;
    free(value);
    RegCloseKey(handle);
    // A key that was removed while it was read is a missing one.
    if (error == KVPBUS_OK && status == ERROR_KEY_DELETED) {
        kvpbus_scan_clear(scan);
        return KVPBUS_OK;
    }
    if (error == KVPBUS_OK && status == ERROR_SUCCESS)
        return KVPBUS_OK;
    kvpbus_scan_clear(scan);
    if (error != KVPBUS_OK)
        return kvpbus_fail(failure, error, "reading the registry key %ls", key->name);
    return fail(key, status, "read", failure);
}

static void widen(const char *text, wchar_t *wide)
{
    do
        *wide++ = (unsigned char)*text;
    while (*text++ != '\0');
}

// True when a value's name is that of a change that puts something, in another spelling.
static bool is_twin(const struct value *value, const struct kvpbus_change *changes, size_t count)
{
    wchar_t name[KVPBUS_KEY_MAX + 1];
    if (value->name_length > KVPBUS_KEY_MAX)
        return false;
    for (size_t i = 0; i < count; i++) {
        if (changes[i].value == NULL || strlen(changes[i].key) != value->name_length)
            continue;
        widen(changes[i].key, name);
        if (CompareStringOrdinal(value->name, (int)value->name_length, name, -1, TRUE) ==
                CSTR_EQUAL &&
            wmemcmp(value->name, name, value->name_length) != 0)
            return true;
    }
    return false;
}

// Windows keeps the spelling that a value was made with, in which the host would not know it: such
// a value is removed, and then made again by the change. One at a time, since positions move.
static void remove_twins(HKEY handle, const struct kvpbus_change *changes, size_t count,
                         struct value *value)
{
    DWORD index = 0;
    size_t removed = 0;
    while (index < VALUES_MAX && removed <= count) {
        value->name_length = NAME_UNITS;
        if (RegEnumValueW(handle, index, value->name, &value->name_length, NULL, NULL, NULL,
                          NULL) != ERROR_SUCCESS)
            return;
        if (is_twin(value, changes, count) &&
            RegDeleteValueW(handle, value->name) == ERROR_SUCCESS) {
            removed++;
            index = 0;
        } else {
            index++;
        }
    }
}

static LSTATUS apply(HKEY handle, const struct kvpbus_change *change)
{
    wchar_t name[KVPBUS_KEY_MAX + 1], text[KVPBUS_VALUE_MAX + 1];
    widen(change->key, name);
    if (change->value == NULL) {
        LSTATUS status = RegDeleteValueW(handle, name);
        return status == ERROR_FILE_NOT_FOUND ? ERROR_SUCCESS : status;
    }
    widen(change->value, text);
    DWORD size = (DWORD)((strlen(change->value) + 1) * sizeof *text);
    return RegSetValueExW(handle, name, 0, REG_SZ, (const BYTE *)text, size);
}

static void apply_all(const struct kvpbus_registry_key *key, HKEY handle,
                      const struct kvpbus_change *changes, size_t count, bool removals,
                      enum kvpbus_error *results, struct kvpbus_failure *failure)
{
    for (size_t i = 0; i < count; i++) {
        if ((changes[i].value == NULL) != removals)
            continue;
        LSTATUS status = apply(handle, &changes[i]);
        results[i] = status == ERROR_SUCCESS ? KVPBUS_OK : fail(key, status, "write", failure);
    }
}

// KVPBUS_OK with *handle NULL when the key is missing and nothing is to be put into it.
static enum kvpbus_error open_to_write(const struct kvpbus_registry_key *key, bool make,
                                       HKEY *handle, struct kvpbus_failure *failure)
{
    const REGSAM access = KEY_QUERY_VALUE | KEY_SET_VALUE;
    enum kvpbus_error error = kvpbus_registry_key_open(key, access, handle, failure);
    if (error != KVPBUS_OK || *handle != NULL || !make)
        return error;
    HKEY base;
    LSTATUS status =
        RegOpenKeyExW(key->root, key->base, 0, KEY_CREATE_SUB_KEY | KEY_WOW64_64KEY, &base);
    if (status == ERROR_SUCCESS) {
        status = RegCreateKeyExW(base, key->name, 0, NULL, REG_OPTION_NON_VOLATILE,
                                 access | KEY_WOW64_64KEY, NULL, handle, NULL);
        RegCloseKey(base);
    }
    if (status == ERROR_SUCCESS)
        return KVPBUS_OK;
    *handle = NULL;
    return fail(key, status, "make", failure);
}

enum kvpbus_error kvpbus_registry_key_write(const struct kvpbus_registry_key *key,
                                            const struct kvpbus_change *changes, size_t count,
                                            enum kvpbus_error *results,
                                            struct kvpbus_failure *failure)
{
    HKEY handle = NULL;
    bool puts = false;
    for (size_t i = 0; i < count; i++)
        puts = puts || changes[i].value != NULL;
    struct value *value = malloc(sizeof *value);
    enum kvpbus_error error = value != NULL ? open_to_write(key, puts, &handle, failure)
                                            : kvpbus_fail(failure, KVPBUS_NOMEM, "writing items");
    kvpbus_changes_set_all(results, count, error);
    if (error == KVPBUS_OK && handle != NULL) {
        apply_all(key, handle, changes, count, true, results, failure);
        if (puts)
            remove_twins(handle, changes, count, value);
        apply_all(key, handle, changes, count, false, results, failure);
        RegCloseKey(handle);
        error = kvpbus_changes_gravest(results, count);
    }
    free(value);
    return error;
}
