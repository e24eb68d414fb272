// SPDX-License-Identifier: Apache-2.0
//
// wmi_checks.exe GROUP: what of the WMI client needs no provider. Run by test_wmi.c under Wine,
// whose own WMI has no Hyper-V.
#include <objbase.h>
#include <stdlib.h>
#include <string.h>

#include "check_counter.h"
#include "kvpbus/management.h"
#include "wmi_com_windows.h"
#include "wmi_management.h"
#include "wmi_workers_windows.h"

// What hangs has begun by then, on a busy machine too: one, or all of them.
enum { HANGS_MS = 3000, ALL_HANG_MS = 8000 };

static struct kvpbus_management *management;
static struct kvpbus_failure failure;

static enum kvpbus_error open_with(const struct kvpbus_wmi_options *options)
{
    failure = (struct kvpbus_failure){0};
    enum kvpbus_error error = kvpbus_wmi_management_open(options, &management, &failure);
    CHECK(error == failure.code);
    return error;
}

// --- no Hyper-V ---

static void without_hyperv(void)
{
    const struct kvpbus_wmi_options newer = {0}, older = {.old_namespace = true};
    CHECK(open_with(&newer) == KVPBUS_UNSUPPORTED);
    CHECK(failure.os_code == 0x8004100E);
    CHECK(strstr(failure.detail, "connecting to root\\virtualization\\v2: ") == failure.detail);
    CHECK(strstr(failure.detail, "WBEM_E_INVALID_NAMESPACE") != NULL);
    CHECK(strstr(failure.detail, "install the Hyper-V role") != NULL);
    CHECK(open_with(&older) == KVPBUS_UNSUPPORTED);
    CHECK(strstr(failure.detail, "connecting to root\\virtualization: ") == failure.detail);
    for (int i = 0; i < 100; i++)
        CHECK(open_with(&newer) == KVPBUS_UNSUPPORTED);
    CHECK(kvpbus_wmi_held() == 0);
}

static void options(void)
{
    static const char *const hosts[] = {"", "a b", "a\\b", "..\\root", "a'b", "a\"b", "h\xc3\xa9"};
    char longest[300];
    struct kvpbus_wmi_options options = {0};
    memset(longest, 'a', sizeof longest - 1);
    longest[sizeof longest - 1] = '\0';
    for (size_t i = 0; i < sizeof hosts / sizeof *hosts; i++) {
        options.host = hosts[i];
        CHECK(open_with(&options) == KVPBUS_INVALID_ARGUMENT);
    }
    options.host = longest;
    CHECK(open_with(&options) == KVPBUS_INVALID_ARGUMENT);
    options = (struct kvpbus_wmi_options){.user = "me", .password = "secret"};
    CHECK(open_with(&options) == KVPBUS_INVALID_ARGUMENT);
    CHECK(strstr(failure.detail, "for another host") != NULL);
    options = (struct kvpbus_wmi_options){.host = "hv7", .user = "me"};
    CHECK(open_with(&options) == KVPBUS_INVALID_ARGUMENT);
    options = (struct kvpbus_wmi_options){.host = "hv7", .user = "", .password = "secret"};
    CHECK(open_with(&options) == KVPBUS_INVALID_ARGUMENT);
    options = (struct kvpbus_wmi_options){.host = "hv7", .user = longest, .password = "secret"};
    CHECK(open_with(&options) == KVPBUS_INVALID_ARGUMENT);
    CHECK(strstr(failure.detail, "secret") == NULL);
}

// --- strings ---

static void strings(void)
{
    BSTR string = kvpbus_bstr("h\xc3\xa9");
    CHECK(string != NULL && wcscmp(string, L"h\u00e9") == 0);
    CHECK(kvpbus_com_held() == 1);
    kvpbus_bstr_free(&string);
    kvpbus_bstr_free(&string);
    CHECK(string == NULL && kvpbus_com_held() == 0);
    string = kvpbus_bstr("");
    CHECK(string != NULL && SysStringLen(string) == 0);
    kvpbus_bstr_free(&string);
    CHECK(kvpbus_com_held() == 0);
}

// --- threads ---

struct work {
    struct kvpbus_wmi_task task;
    HANDLE release; // it hangs until this is set
    bool pauses;    // or pauses for as long as it may
    DWORD thread;
    APTTYPE apartment;
    unsigned rest;
};

static volatile LONG discarded, left_apartments, ended;
static HANDLE ended_event;

static void on_leave(void *context)
{
    APTTYPE type;
    APTTYPEQUALIFIER qualifier;
    (void)context;
    CHECK(CoGetApartmentType(&type, &qualifier) == S_OK && type == APTTYPE_MTA);
    InterlockedIncrement(&left_apartments);
}

static void on_end(void *context)
{
    (void)context;
    InterlockedIncrement(&ended);
    SetEvent(ended_event);
}

static void run(struct kvpbus_wmi_task *task)
{
    struct work *work = (struct work *)task;
    APTTYPEQUALIFIER qualifier;
    work->thread = GetCurrentThreadId();
    CoGetApartmentType(&work->apartment, &qualifier);
    if (work->release != NULL)
        WaitForSingleObject(work->release, INFINITE);
    if (work->pauses)
        kvpbus_wmi_task_pause(task, 60000);
    work->rest = kvpbus_wmi_task_rest(task);
}

static void discard(struct kvpbus_wmi_task *task)
{
    free(task);
    InterlockedIncrement(&discarded);
}

static struct work *new_work(unsigned ms, HANDLE release)
{
    struct work *work = calloc(1, sizeof *work);
    work->task.run = run;
    work->task.discard = discard;
    work->task.deadline = kvpbus_wmi_now() + ms;
    work->release = release;
    return work;
}

static enum kvpbus_wmi_ending quick(struct kvpbus_wmi_workers *workers, DWORD *thread)
{
    struct work *work = new_work(60000, NULL);
    enum kvpbus_wmi_ending ending = kvpbus_wmi_workers_run(workers, &work->task);
    CHECK(work->apartment == APTTYPE_MTA);
    CHECK(work->rest > 0);
    *thread = work->thread;
    free(work);
    return ending;
}

static void threads(void)
{
    DWORD first, second;
    HANDLE release = CreateEventW(NULL, TRUE, FALSE, NULL);
    ended_event = CreateEventW(NULL, TRUE, FALSE, NULL);
    // The caller may be in whatever apartment it likes.
    CHECK(CoInitializeEx(NULL, COINIT_APARTMENTTHREADED) == S_OK);
    struct kvpbus_wmi_workers *workers = kvpbus_wmi_workers_new(on_leave, on_end, NULL);
    CHECK(quick(workers, &first) == KVPBUS_WMI_DONE);
    CHECK(first != GetCurrentThreadId());
    CHECK(quick(workers, &second) == KVPBUS_WMI_DONE);
    CHECK(first == second);

    // One that hangs is left, and holds up nobody.
    struct work *hanging = new_work(HANGS_MS, release);
    CHECK(kvpbus_wmi_workers_run(workers, &hanging->task) == KVPBUS_WMI_LEFT);
    CHECK(quick(workers, &second) == KVPBUS_WMI_DONE);
    CHECK(second != first);
    CHECK(discarded == 0);
    SetEvent(release);
    check_counter(&discarded, 1);

    // A pause ends with the deadline.
    struct work *pausing = new_work(20, NULL);
    pausing->pauses = true;
    CHECK(kvpbus_wmi_workers_run(workers, &pausing->task) == KVPBUS_WMI_DONE);
    CHECK(pausing->rest == 0);
    free(pausing);
    kvpbus_wmi_workers_close(workers, 60000);
    CHECK(left_apartments == 1 && ended == 1);
    CoUninitialize();
}

static HANDLE release_all;
static SRWLOCK check_lock = SRWLOCK_INIT;

static void check_left(enum kvpbus_wmi_ending ending)
{
    AcquireSRWLockExclusive(&check_lock);
    CHECK(ending == KVPBUS_WMI_LEFT);
    ReleaseSRWLockExclusive(&check_lock);
}

static DWORD WINAPI hang(void *context)
{
    struct work *hanging = new_work(ALL_HANG_MS, release_all);
    check_left(kvpbus_wmi_workers_run(context, &hanging->task));
    return 0;
}

static void too_many_threads(void)
{
    DWORD thread;
    HANDLE callers[KVPBUS_WMI_WORKERS_MAX];
    release_all = CreateEventW(NULL, TRUE, FALSE, NULL);
    ended_event = CreateEventW(NULL, TRUE, FALSE, NULL);
    struct kvpbus_wmi_workers *workers = kvpbus_wmi_workers_new(on_leave, on_end, NULL);
    for (int i = 0; i < KVPBUS_WMI_WORKERS_MAX; i++)
        callers[i] = CreateThread(NULL, 0, hang, workers, 0, NULL);
    WaitForMultipleObjects(KVPBUS_WMI_WORKERS_MAX, callers, TRUE, INFINITE);
    struct work *late = new_work(20, NULL);
    CHECK(kvpbus_wmi_workers_run(workers, &late->task) == KVPBUS_WMI_NOT_BEGUN);
    CHECK(late->thread == 0);
    free(late);
    SetEvent(release_all);
    check_counter(&discarded, KVPBUS_WMI_WORKERS_MAX);
    CHECK(quick(workers, &thread) == KVPBUS_WMI_DONE);
    kvpbus_wmi_workers_close(workers, 60000);
    CHECK(left_apartments == 1 && ended == 1);
}

static void closing_without_waiting(void)
{
    HANDLE release = CreateEventW(NULL, TRUE, FALSE, NULL);
    ended_event = CreateEventW(NULL, TRUE, FALSE, NULL);
    struct kvpbus_wmi_workers *workers = kvpbus_wmi_workers_new(on_leave, on_end, NULL);
    struct work *hanging = new_work(HANGS_MS, release);
    CHECK(kvpbus_wmi_workers_run(workers, &hanging->task) == KVPBUS_WMI_LEFT);
    kvpbus_wmi_workers_close(workers, 20);
    CHECK(left_apartments == 0 && ended == 0);
    SetEvent(release);
    CHECK(WaitForSingleObject(ended_event, 60000) == WAIT_OBJECT_0);
    CHECK(discarded == 1 && left_apartments == 1 && ended == 1);

    // One that no task was given has no thread that could leave.
    workers = kvpbus_wmi_workers_new(on_leave, on_end, NULL);
    kvpbus_wmi_workers_close(workers, 0);
    CHECK(left_apartments == 1 && ended == 2);
}

int main(int argc, char **argv)
{
    static const struct {
        const char *name;
        void (*run)(void);
    } groups[] = {
        {"without-hyperv", without_hyperv},
        {"options", options},
        {"strings", strings},
        {"threads", threads},
        {"too-many-threads", too_many_threads},
        {"closing", closing_without_waiting},
    };
    for (size_t i = 0; argc == 2 && i < sizeof groups / sizeof *groups; i++) {
        if (strcmp(groups[i].name, argv[1]) == 0) {
            groups[i].run();
            return checks_end();
        }
    }
    fprintf(stderr, "wmi_checks: no such group\n");
    return 2;
}
