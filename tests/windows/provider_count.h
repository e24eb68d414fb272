// SPDX-License-Identifier: Apache-2.0
//
// What the lab's WMI provider has in this program.
#ifndef KVPBUS_TESTS_PROVIDER_COUNT_H
#define KVPBUS_TESTS_PROVIDER_COUNT_H

#include <string.h>
#include <windows.h>

// One of its functions; NULL when it is not loaded.
static inline FARPROC provider_function(const char *name)
{
    HMODULE provider = GetModuleHandleW(L"kvpbus-lab-wmi.dll");
    return provider != NULL ? GetProcAddress(provider, name) : NULL;
}

// Its objects; -1 when it has been unloaded, as it is when there are none.
static inline LONG provider_objects(void)
{
    FARPROC found = provider_function("kvpbus_provider_objects");
    LONG (*objects)(void) = NULL;
    memcpy(&objects, &found, sizeof objects);
    return objects != NULL ? objects() : -1;
}

// The same, once there are no more than expected or ten seconds are over: its threads may still
// have to let go of what they are done with.
static inline LONG provider_objects_settled(LONG expected)
{
    for (int i = 0; i < 1000 && provider_objects() > expected; i++)
        Sleep(10);
    return provider_objects();
}

#endif
