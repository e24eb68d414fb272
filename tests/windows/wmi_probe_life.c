// SPDX-License-Identifier: Apache-2.0
//
// Threads of both kinds, sinks, time-outs, references, and a service that is not there.
#include <stdio.h>
#include <string.h>
#include <wchar.h>

#include "provider_count.h"
#include "wmi_probe.h"

enum { THREADS = 8, ROUNDS = 20, POLLS = 100 };

static const WCHAR all_systems[] = L"SELECT * FROM Msvm_ComputerSystem";

struct worker {
    IWbemServices *shared; // of the multithreaded apartment; NULL: one that comes in `stream`, or
    IStream *stream;       // with that NULL too, a connection of its own
    DWORD apartment;
    int good;
};

static IWbemServices *services_of(struct worker *worker)
{
    IWbemServices *services = NULL;
    HRESULT result;
    if (worker->shared != NULL) {
        IWbemServices_AddRef(worker->shared);
        return worker->shared;
    }
    if (worker->stream == NULL)
        return probe_connect(V2, &result);
    CoGetInterfaceAndReleaseStream(worker->stream, &IID_IWbemServices, (void **)&services);
    return services;
}

static DWORD WINAPI work(void *context)
{
    struct worker *worker = context;
    if (FAILED(CoInitializeEx(NULL, worker->apartment)))
        return 1;
    IWbemServices *services = services_of(worker);
    for (int i = 0; services != NULL && i < ROUNDS; i++)
        worker->good += probe_count(services, all_systems) == 3 ? 1 : 0;
    if (services != NULL)
        IWbemServices_Release(services);
    CoUninitialize();
    return 0;
}

void probe_threads(void)
{
    HRESULT result;
    IWbemServices *services = probe_connect(V2, &result);
    struct worker workers[THREADS] = {0};
    HANDLE threads[THREADS];
    EXPECT(services != NULL);
    for (int i = 0; i < THREADS; i++) {
        workers[i].apartment = i % 2 == 0 ? COINIT_MULTITHREADED : COINIT_APARTMENTTHREADED;
        workers[i].shared = i % 2 == 0 ? services : NULL;
        // Every other of the single-threaded apartments is given the object as COM wants it.
        EXPECT(i % 4 != 1 ||
               CoMarshalInterThreadInterfaceInStream(&IID_IWbemServices, (IUnknown *)services,
                                                     &workers[i].stream) == S_OK);
        threads[i] = CreateThread(NULL, 0, work, &workers[i], 0, NULL);
        EXPECT(threads[i] != NULL);
    }
    for (int i = 0; i < THREADS; i++) {
        EXPECT(WaitForSingleObject(threads[i], 2 * PATIENCE_MS) == WAIT_OBJECT_0);
        EXPECT(workers[i].good == ROUNDS);
        CloseHandle(threads[i]);
    }
    IWbemServices_Release(services);
}

struct sink {
    IWbemObjectSink face;
    LONG references;
    LONG objects;
    HRESULT result;
    bool complete;
};

static HRESULT WINAPI query_interface(IWbemObjectSink *face, REFIID iid, void **out)
{
    *out = NULL;
    if (!IsEqualIID(iid, &IID_IUnknown) && !IsEqualIID(iid, &IID_IWbemObjectSink))
        return E_NOINTERFACE;
    *out = face;
    IWbemObjectSink_AddRef(face);
    return S_OK;
}

static ULONG WINAPI add_ref(IWbemObjectSink *face)
{
    return (ULONG)InterlockedIncrement(&CONTAINING_RECORD(face, struct sink, face)->references);
}

static ULONG WINAPI release(IWbemObjectSink *face)
{
    return (ULONG)InterlockedDecrement(&CONTAINING_RECORD(face, struct sink, face)->references);
}

static HRESULT WINAPI indicate(IWbemObjectSink *face, LONG count, IWbemClassObject **objects)
{
    (void)objects;
    CONTAINING_RECORD(face, struct sink, face)->objects += count;
    return S_OK;
}

static HRESULT WINAPI set_status(IWbemObjectSink *face, LONG flags, HRESULT result, BSTR text,
                                 IWbemClassObject *object)
{
    struct sink *sink = CONTAINING_RECORD(face, struct sink, face);
    (void)text;
    (void)object;
    sink->complete = flags == WBEM_STATUS_COMPLETE;
    sink->result = result;
    return S_OK;
}

static IWbemObjectSinkVtbl table = {query_interface, add_ref, release, indicate, set_status};

static struct sink asked(IWbemServices *services, const WCHAR *query)
{
    struct sink sink = {.face = {&table}, .references = 1, .result = E_UNEXPECTED};
    BSTR language = SysAllocString(L"WQL"), text = SysAllocString(query);
    EXPECT(IWbemServices_ExecQueryAsync(services, language, text, 0, NULL, &sink.face) == S_OK);
    SysFreeString(language);
    SysFreeString(text);
    EXPECT(sink.complete);
    EXPECT(sink.references == 1);
    return sink;
}

void probe_sinks(void)
{
    HRESULT result;
    IWbemServices *services = probe_connect(V2, &result);
    EXPECT(services != NULL);
    struct sink sink = asked(services, all_systems);
    EXPECT(sink.result == S_OK);
    EXPECT(sink.objects == 3);
    sink = asked(services, L"SELECT");
    EXPECT(sink.result == HR(E_INVALID_QUERY));
    EXPECT(sink.objects == 0);
    sink = (struct sink){.face = {&table}, .references = 1};
    BSTR class = SysAllocString(L"CIM_ComputerSystem");
    EXPECT(IWbemServices_CreateInstanceEnumAsync(services, class, 0, NULL, &sink.face) == S_OK);
    EXPECT(sink.objects == 3);
    IEnumWbemClassObject *objects = NULL;
    EXPECT(IWbemServices_CreateInstanceEnum(services, class, WBEM_FLAG_SHALLOW, NULL, &objects) ==
           S_OK);
    EXPECT(IEnumWbemClassObject_Skip(objects, 0, 1) == HR(S_FALSE));
    IEnumWbemClassObject_Release(objects);
    EXPECT(IWbemServices_ExecNotificationQuery(services, class, class, 0, NULL, &objects) ==
           HR(E_NOT_SUPPORTED));
    SysFreeString(class);
    IWbemServices_Release(services);
}

// The test has made the next request for alpha's items take three seconds.
void probe_slow(void)
{
    HRESULT result;
    IWbemServices *services = probe_connect(V2, &result);
    IEnumWbemClassObject *objects;
    IWbemClassObject *object;
    ULONG count;
    EXPECT(services != NULL);
    EXPECT(probe_query(services, L"SELECT * FROM Msvm_KvpExchangeComponent",
                       WBEM_FLAG_RETURN_IMMEDIATELY, &objects) == S_OK);
    EXPECT(IEnumWbemClassObject_Next(objects, 0, 1, &object, &count) == HR(S_TIMEDOUT));
    EXPECT(IEnumWbemClassObject_Skip(objects, 10, 1) == HR(S_TIMEDOUT));
    // Others do not wait for it.
    EXPECT(probe_count(services, all_systems) == 3);
    EXPECT(IEnumWbemClassObject_Next(objects, (LONG)WBEM_INFINITE, 1, &object, &count) == S_OK);
    IWbemClassObject_Release(object);
    // One that is left alone ends by itself.
    IEnumWbemClassObject_Release(objects);
    EXPECT(probe_query(services, L"SELECT * FROM Msvm_KvpExchangeComponent",
                       WBEM_FLAG_RETURN_IMMEDIATELY, &objects) == S_OK);
    IEnumWbemClassObject_Release(objects);
    IWbemServices_Release(services);
}

static HRESULT can_unload(void)
{
    FARPROC found = provider_function("DllCanUnloadNow");
    HRESULT(WINAPI * answer)(void) = NULL;
    memcpy(&answer, &found, sizeof answer);
    return answer != NULL ? answer() : E_FAIL;
}

void probe_references(void)
{
    HRESULT result;
    IWbemServices *services = probe_connect(V2, &result);
    EXPECT(services != NULL);
    LONG before = provider_objects(); // while no query's thread may still be about to end
    EXPECT(before > 0);
    EXPECT(probe_count(services, all_systems) == 3);
    for (int i = 0; i < POLLS; i++) {
        IWbemClassObject *object = probe_single(
            services, L"SELECT * FROM Msvm_KvpExchangeComponent WHERE EnabledState = 2");
        EXPECT(object == NULL); // there are two
        EXPECT(probe_count(services, L"SELECT") == -1);
    }
    EXPECT(provider_objects_settled(before) == before);
    EXPECT(can_unload() == S_FALSE);
    IWbemServices_Release(services);
    EXPECT(provider_objects() == 0);
    EXPECT(can_unload() == S_OK);
}

void probe_denied(void)
{
    HRESULT result;
    EXPECT(probe_connect(V2, &result) == NULL);
    EXPECT(result == HR(E_ACCESS_DENIED));
}

void probe_absent(void)
{
    HRESULT result;
    EXPECT(probe_connect(V2, &result) == NULL);
    EXPECT(result == HR(E_INVALID_NAMESPACE));
}

void probe_stopped(void)
{
    HRESULT result;
    EXPECT(probe_connect(V2, &result) == NULL);
    EXPECT(result == HRESULT_FROM_WIN32(RPC_S_SERVER_UNAVAILABLE));
}

void probe_hidden(void)
{
    HRESULT result;
    IWbemServices *services = probe_connect(V2, &result);
    IWbemClassObject *object = NULL;
    BSTR class = SysAllocString(L"Msvm_ComputerSystem");
    EXPECT(services != NULL);
    EXPECT(probe_count(services, all_systems) == 0);
    EXPECT(probe_count(services, L"SELECT * FROM Msvm_VirtualSystemManagementService") == 0);
    EXPECT(IWbemServices_GetObject(services, class, 0, NULL, &object, NULL) == S_OK);
    EXPECT(object != NULL && probe_number(object, L"__GENUS") == 1);
    IWbemClassObject_Release(object);
    IWbemServices_Release(services);
    SysFreeString(class);
}

// Connects, says so, and goes on when it is told that the service has been restarted.
void probe_restarted(void)
{
    HRESULT result;
    IEnumWbemClassObject *objects;
    IWbemServices *services = probe_connect(V2, &result);
    EXPECT(services != NULL);
    EXPECT(probe_count(services, all_systems) == 3);
    printf("connected\n");
    fflush(stdout);
    EXPECT(getchar() == 'g');
    EXPECT(probe_query(services, all_systems, 0, &objects) == RPC_E_DISCONNECTED);
    EXPECT(probe_query(services, all_systems, 0, &objects) == RPC_E_DISCONNECTED);
    IWbemServices_Release(services);
    services = probe_connect(V2, &result);
    EXPECT(services != NULL);
    EXPECT(probe_count(services, all_systems) == 3);
    IWbemServices_Release(services);
}
