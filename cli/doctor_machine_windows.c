// SPDX-License-Identifier: Apache-2.0
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <windows.h>

#include "doctor.h"
#include "file.h"
#include "file_windows.h"
#include "guest_store.h"
#include "paths.h"
#include "rotation.h"
#include "words.h"

enum { SEED_BYTES = 32 }; // of an identity

static const WCHAR guest_key[] = L"SOFTWARE\\Microsoft\\Virtual Machine\\Guest";

// A guest has the key, also one that has Hyper-V of its own and VMs in it: then the host's folder
// tells.
bool doctor_on_host(void)
{
    HKEY key;
    if (kvpbus_file_exists(KVPBUS_GUEST_STATE) || kvpbus_file_exists(KVPBUS_HOST_STATE))
        return !kvpbus_file_exists(KVPBUS_GUEST_STATE);
    if (RegOpenKeyExW(HKEY_LOCAL_MACHINE, guest_key, 0, KEY_QUERY_VALUE | KEY_WOW64_64KEY, &key) !=
        ERROR_SUCCESS)
        return true;
    RegCloseKey(key);
    return false;
}

static bool identity_is_well(struct doctor *doctor)
{
    char path[KVPBUS_PATH_MAX + 32];
    uint64_t size;
    snprintf(path, sizeof path, "%s\\identity.key", doctor->arguments.state);
    if (!kvpbus_file_size(path, &size)) {
        int code = kvpbus_system_code();
        if (kvpbus_system_error(code) == KVPBUS_NOT_FOUND)
            return true; // made at the first start
        doctor_bad(doctor, "state", "%s cannot be looked at: %s", path, kvpbus_system_text(code));
        doctor_mend(doctor, KVPBUS_WORD_DOCTOR_ELEVATED);
        return false;
    }
    // A key, and how it followed earlier ones.
    if (size >= SEED_BYTES && size - SEED_BYTES <= KVPBUS_ROTATION_MAX &&
        (size - SEED_BYTES) % KVPBUS_STATEMENT_BYTES == 0)
        return true;
    doctor_bad(doctor, "state", "%s is damaged: no identity has %llu bytes", path,
               (unsigned long long)size);
    doctor_mend(doctor, "restore %s from a backup", path);
    return false;
}

// Who may use it is set at each start of the service, which refuses a folder of another owner.
void doctor_state(struct doctor *doctor)
{
    const char *path = doctor->arguments.state;
    if (!kvpbus_file_exists(path) && kvpbus_system_error(kvpbus_system_code()) == KVPBUS_NOT_FOUND)
        doctor_good(doctor, "state", "%s will be made at the first start", path);
    else if (identity_is_well(doctor))
        doctor_good(doctor, "state", "%s is there", path);
}

// Lifetimes and histories go by the clock.
void doctor_clock(struct doctor *doctor)
{
    static const uint64_t minute = UINT64_C(600000000); // in units of a file's time
    char path[KVPBUS_PATH_MAX + 32];
    WIN32_FILE_ATTRIBUTE_DATA about;
    FILETIME now;
    snprintf(path, sizeof path, "%s\\identity.key", doctor->arguments.state);
    wchar_t *wide = kvpbus_wide_path(path);
    bool known = wide != NULL && GetFileAttributesExW(wide, GetFileExInfoStandard, &about);
    free(wide);
    GetSystemTimeAsFileTime(&now);
    uint64_t written = known ? (uint64_t)about.ftLastWriteTime.dwHighDateTime << 32 |
                                   about.ftLastWriteTime.dwLowDateTime
                             : 0;
    if (written <= ((uint64_t)now.dwHighDateTime << 32 | now.dwLowDateTime) + minute) {
        doctor_good(doctor, "clock", "it does not go behind what was written");
        return;
    }
    doctor_bad(doctor, "clock", "%s was written in the future: the clock is slow", path);
    doctor_mend(doctor, "set the clock: w32tm /resync");
}

void doctor_guest_store(struct doctor *doctor)
{
    struct kvpbus_store *store;
    struct kvpbus_failure failure = {0};
    enum kvpbus_error error =
        kvpbus_guest_store_open(doctor->arguments.store, "kvpbus", &store, &failure);
    if (error == KVPBUS_OK) {
        kvpbus_store_close(store);
        doctor_good(doctor, "store", "the keys of Data Exchange are in the registry");
        return;
    }
    doctor_bad(doctor, "store", "%s", failure.detail);
    if (error == KVPBUS_INVALID_ARGUMENT)
        doctor_mend(doctor, KVPBUS_WORD_DOCTOR_STORE);
    else if (error == KVPBUS_ACCESS)
        doctor_mend(doctor, KVPBUS_WORD_DOCTOR_ELEVATED);
    else
        doctor_mend(doctor, "on the host: Enable-VMIntegrationService -VMName NAME -Name "
                            "'Key-Value Pair Exchange'; here: net start vmickvpexchange");
}

void doctor_mend_management(struct doctor *doctor, enum kvpbus_error error)
{
    static const char lab[] = "lab:";
    if (strncmp(doctor->arguments.store, lab, strlen(lab)) == 0)
        doctor_mend(doctor, "start the lab, and name its port as store in the configuration");
    else if (error == KVPBUS_ACCESS)
        doctor_mend(doctor, KVPBUS_WORD_DOCTOR_ELEVATED);
    else
        doctor_mend(doctor, "net start vmms; or Enable-WindowsOptionalFeature -Online "
                            "-FeatureName Microsoft-Hyper-V -All");
}
