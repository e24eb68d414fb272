// SPDX-License-Identifier: Apache-2.0
//
// wmi_fake_checks.exe GROUP: the WMI client against a WMI that fails at every call in turn, answers
// with what it should not, and hangs (fake_wmi.h). Run by test_wmi.c.
#include <stdlib.h>
#include <string.h>

#include "fake_wmi.h"

#include "check_counter.h"
#include "kvpbus/management.h"
#include "wmi_connection_windows.h"
#include "wmi_management.h"

enum { VMS = 3 };

static struct kvpbus_management *management;
static struct kvpbus_failure failure;
static long held_idle;
static LONG live_idle;

static void begin(size_t vms, unsigned deadline_ms)
{
    const struct kvpbus_wmi_options options = {.deadline_ms = deadline_ms};
    fake_wmi_begin(vms);
    CHECK(kvpbus_wmi_management_open(&options, &management, &failure) == KVPBUS_OK);
    held_idle = kvpbus_wmi_held();
    live_idle = fake.live;
    CHECK(held_idle > 0 && live_idle > 0);
}

static void end(void)
{
    management->ops->close(management);
    CHECK(kvpbus_wmi_held() == 0);
    CHECK(fake.live == 0);
    fake_wmi_end();
}

static bool is_idle(void)
{
    return (kvpbus_wmi_held() == held_idle && fake.live == live_idle) ||
           (kvpbus_wmi_held() == 0 && fake.live == 0);
}

// Only what the connection holds is held, once a call that its caller has left is over.
static void check_idle(void)
{
    for (int i = 0; i < 3000 && !is_idle(); i++)
        Sleep(10);
    CHECK(kvpbus_wmi_held() == held_idle || kvpbus_wmi_held() == 0);
    CHECK(fake.live == live_idle || fake.live == 0);
}

static void guid_of(unsigned number, uint8_t guid[KVPBUS_GUID_BYTES])
{
    memset(guid, 0, KVPBUS_GUID_BYTES);
    guid[15] = (uint8_t)(number / 10 % 10 << 4 | number % 10);
    guid[14] = (uint8_t)(number / 100);
}

// --- the operations, each as one function ---

static enum kvpbus_error list(void)
{
    struct kvpbus_vm *vms;
    size_t count;
    enum kvpbus_error error = management->ops->list(management, &vms, &count, &failure);
    if (error != KVPBUS_OK)
        return error;
    CHECK(count == fake.systems.count);
    free(vms);
    return error;
}

static enum kvpbus_error read_guests(size_t count, size_t *items)
{
    static struct kvpbus_scan scans[FAKE_ROWS_MAX];
    enum kvpbus_error results[FAKE_ROWS_MAX];
    uint8_t guids[FAKE_ROWS_MAX][KVPBUS_GUID_BYTES];
    for (unsigned i = 0; i < count; i++)
        guid_of(i, guids[i]);
    *items = 0;
    enum kvpbus_error error = management->ops->read_guest(
        management, "kvpbus", (const uint8_t(*)[KVPBUS_GUID_BYTES])guids, count, scans, results,
        &failure);
    for (size_t i = 0; i < count; i++) {
        CHECK(error == KVPBUS_OK || (results[i] == error && scans[i].count == 0));
        *items += scans[i].count;
        kvpbus_scan_free(&scans[i]);
    }
    return error;
}

static enum kvpbus_error read_some(void)
{
    size_t items;
    enum kvpbus_error error = read_guests(VMS, &items);
    CHECK(items == (error == KVPBUS_OK ? VMS : 0));
    return error;
}

// One more than there are, so that the VMs are listed.
static enum kvpbus_error read_one_too_many(void)
{
    size_t items;
    enum kvpbus_error error = read_guests(VMS + 1, &items);
    CHECK(items == (error == KVPBUS_OK ? VMS : 0));
    return error;
}

static enum kvpbus_error read_host(void)
{
    struct kvpbus_scan scan = {0};
    uint8_t guid[KVPBUS_GUID_BYTES];
    guid_of(1, guid);
    enum kvpbus_error error =
        management->ops->read_host(management, "kvpbus", guid, &scan, &failure);
    CHECK(scan.count == (error == KVPBUS_OK ? 1 : 0));
    kvpbus_scan_free(&scan);
    return error;
}

static struct kvpbus_call_result result;

static enum kvpbus_error change(enum kvpbus_operation operation)
{
    const struct kvpbus_change items[] = {{"kvpbus.a", "1"}, {"kvpbus.b", "2"}};
    uint8_t guid[KVPBUS_GUID_BYTES];
    guid_of(2, guid);
    return management->ops->call(management, operation, guid, items, 2, &result, &failure);
}

static enum kvpbus_error add(void)
{
    return change(KVPBUS_OP_ADD);
}

// --- groups ---

static void exchange(void)
{
    begin(VMS, 0);
    CHECK(list() == KVPBUS_OK);
    CHECK(read_some() == KVPBUS_OK);
    CHECK(read_one_too_many() == KVPBUS_OK);
    CHECK(read_host() == KVPBUS_OK);
    CHECK(add() == KVPBUS_OK);
    CHECK(result.had_job && result.job_state == KVPBUS_JOB_COMPLETED);
    CHECK(wcscmp(fake.last_method, L"AddKvpItems") == 0 && fake.last_items == 2);
    CHECK(wcsstr(fake.last_target, L"Name=\"00000000-0000-0000-0000-000000000002\"") != NULL);
    CHECK(wcsstr(fake.last_item, L"<VALUE>kvpbus.a</VALUE>") != NULL);
    CHECK(wcsstr(fake.last_item, L"<VALUE>1</VALUE>") != NULL);
    CHECK(change(KVPBUS_OP_MODIFY) == KVPBUS_OK);
    CHECK(wcscmp(fake.last_method, L"ModifyKvpItems") == 0);
    CHECK(change(KVPBUS_OP_REMOVE) == KVPBUS_OK);
    CHECK(wcscmp(fake.last_method, L"RemoveKvpItems") == 0);
    CHECK(wcsstr(fake.last_item, L"<PROPERTY NAME=\"Data\" TYPE=\"string\"><VALUE></VALUE>") !=
          NULL);
    CHECK(fake.connections == 1);
    check_idle();
    end();
}

struct fault {
    HRESULT as;
    enum kvpbus_error error; // of an operation that it hits
    bool repeated;           // it is done again over a new connection
    bool unsure;             // a method may have been carried out
};

static const struct fault faults[] = {
    {(HRESULT)WBEM_E_ACCESS_DENIED, KVPBUS_ACCESS, false, false},
    {(HRESULT)WBEM_E_INVALID_CLASS, KVPBUS_UNSUPPORTED, false, false},
    {(HRESULT)WBEM_E_FAILED, KVPBUS_STORE_GONE, false, true},
    {(HRESULT)WBEM_E_QUOTA_VIOLATION, KVPBUS_STORE_BUSY, false, false},
    {E_OUTOFMEMORY, KVPBUS_NOMEM, false, false},
    {(HRESULT)0x8004FFFF, KVPBUS_STORE_GONE, false, true},
    {RPC_E_DISCONNECTED, KVPBUS_OK, true, false},
    {HRESULT_FROM_WIN32(RPC_S_SERVER_UNAVAILABLE), KVPBUS_OK, true, false},
    {RPC_E_SERVER_DIED, KVPBUS_OK, true, true},
    {(HRESULT)WBEM_E_TRANSPORT_FAILURE, KVPBUS_OK, true, true},
    {(HRESULT)WBEM_E_SHUTTING_DOWN, KVPBUS_OK, true, true},
};

// Each call of the operation fails once, in each way.
static void fail_each_call(enum kvpbus_error (*operation)(void), const struct fault *fault)
{
    for (long i = 1;; i++) {
        LONG executed = fake.executed;
        fake.calls = 0;
        fake.fails_as = fault->as;
        fake.fails_at = i;
        enum kvpbus_error error = operation();
        bool all_done = fake.calls < i;
        fake.fails_at = 0;
        check_idle();
        CHECK(fake.executed - executed <= 1);
        if (all_done) {
            CHECK(error == KVPBUS_OK);
            CHECK(i > 5);
            return;
        }
        bool unknown = operation == add && error == KVPBUS_TIMEOUT;
        CHECK(error == fault->error || (unknown && (fault->unsure || fake.executed > executed)));
        CHECK(error == KVPBUS_OK || failure.code == error);
        CHECK(operation() == KVPBUS_OK);
    }
}

static void every_call_fails_once(enum kvpbus_error (*operation)(void))
{
    begin(VMS, 0);
    for (size_t i = 0; i < sizeof faults / sizeof *faults; i++)
        fail_each_call(operation, &faults[i]);
    end();
}

static void faults_of_list(void)
{
    every_call_fails_once(list);
}

static void faults_of_reading(void)
{
    every_call_fails_once(read_some);
    every_call_fails_once(read_one_too_many);
    every_call_fails_once(read_host);
}

static void faults_of_changing(void)
{
    every_call_fails_once(add);
}

// Opening fails as what it met says; nothing is kept.
static void faults_of_opening(void)
{
    const struct kvpbus_wmi_options options = {0};
    for (size_t f = 0; f < sizeof faults / sizeof *faults; f++) {
        for (long i = 1, more = 1; more; i++) {
            fake_wmi_begin(VMS);
            fake.fails_as = faults[f].as;
            fake.fails_at = i;
            enum kvpbus_error error = kvpbus_wmi_management_open(&options, &management, &failure);
            more = fake.calls >= i;
            if (error == KVPBUS_OK)
                management->ops->close(management);
            // The listing that ends it is repeated; connecting is not.
            CHECK(error == faults[f].error || (faults[f].repeated && error == KVPBUS_STORE_GONE) ||
                  !more);
            CHECK(more || error == KVPBUS_OK);
            CHECK(kvpbus_wmi_held() == 0 && fake.live == 0);
            fake_wmi_end();
        }
    }
}

static void hidden_service(void)
{
    const struct kvpbus_wmi_options options = {0};
    fake_wmi_begin(VMS);
    VariantClear(&fake.service.rows[0].properties[0].value);
    fake.service.count = 0;
    CHECK(kvpbus_wmi_management_open(&options, &management, &failure) == KVPBUS_ACCESS);
    CHECK(strstr(failure.detail, "looking for the management service") != NULL);
    CHECK(strstr(failure.detail, "elevated") != NULL);
    CHECK(kvpbus_wmi_held() == 0 && fake.live == 0);
    fake_wmi_end();
}

// --- answers that are none ---

static void other_types(void)
{
    static const VARTYPE types[] = {VT_NULL, VT_EMPTY, VT_BOOL, VT_R8, VT_UNKNOWN, VT_DISPATCH};
    static const wchar_t *const names[] = {L"SystemName", L"EnabledState", L"GuestExchangeItems",
                                           L"OperationalStatus"};
    size_t items;
    for (size_t n = 0; n < sizeof names / sizeof *names; n++) {
        for (size_t t = 0; t < sizeof types / sizeof *types; t++) {
            const VARIANT odd = {.vt = types[t]};
            begin(VMS, 0);
            fake_row_set(&fake.components.rows[1], names[n], &odd);
            CHECK(read_guests(VMS, &items) == KVPBUS_OK);
            CHECK(items == (n == 1 || n == 3 ? VMS : VMS - 1));
            check_idle();
            end();
        }
    }
    begin(VMS, 0);
    fake_row_text(&fake.components.rows[0], L"GuestExchangeItems", L"<INSTANCE/>");
    fake_row_text(&fake.components.rows[1], L"SystemName", L"' OR ''='");
    fake_row_text(&fake.systems.rows[2], L"EnabledState", L"2");
    CHECK(read_guests(VMS, &items) == KVPBUS_OK);
    CHECK(items == 1);
    fake_row_number(&fake.systems.rows[1], L"Name", 7);
    struct kvpbus_vm *vms;
    size_t count;
    CHECK(management->ops->list(management, &vms, &count, NULL) == KVPBUS_OK);
    CHECK(count == VMS - 1 && vms[1].state == KVPBUS_VM_STATE_STARTING);
    free(vms);
    check_idle();
    end();
}

static void fill(wchar_t *text, wchar_t character, size_t count)
{
    for (size_t i = 0; i < count; i++)
        text[i] = character;
}

static struct kvpbus_scan read_first(void)
{
    struct kvpbus_scan scan = {0};
    enum kvpbus_error outcome = KVPBUS_INTERNAL;
    uint8_t guid[1][KVPBUS_GUID_BYTES];
    guid_of(0, guid[0]);
    CHECK(management->ops->read_guest(management, "kvpbus",
                                      (const uint8_t(*)[KVPBUS_GUID_BYTES])guid, 1, &scan, &outcome,
                                      &failure) == KVPBUS_OK);
    CHECK(outcome == KVPBUS_OK);
    return scan;
}

#define DOCUMENT(name, data)                                                                       \
    L"<INSTANCE CLASSNAME=\"Msvm_KvpExchangeDataItem\"><PROPERTY NAME=\"Name\"><VALUE>" name L"</" \
    L"VA"                                                                                          \
    L"LU"                                                                                          \
    L"E>"                                                                                          \
    L"</"                                                                                          \
    L"PR"                                                                                          \
    L"OP"                                                                                          \
    L"ER"                                                                                          \
    L"TY"                                                                                          \
    L"><"                                                                                          \
    L"PR"                                                                                          \
    L"OP"                                                                                          \
    L"ER"                                                                                          \
    L"TY"                                                                                          \
    L" N"                                                                                          \
    L"AM"                                                                                          \
    L"E="                                                                                          \
    L"\""                                                                                          \
    L"Da"                                                                                          \
    L"ta"                                                                                          \
    L"\""                                                                                          \
    L"><"                                                                                          \
    L"VA"                                                                                          \
    L"LU"                                                                                          \
    L"E"                                                                                           \
    L">" data L"</VALUE></PROPERTY></INSTANCE>"

static void hostile_items(void)
{
    enum { MANY = 20000, LONG_TEXT = 200000 };
    static wchar_t longest[LONG_TEXT + 1];
    static const wchar_t *many[MANY];
    const wchar_t *const texts[] = {
        DOCUMENT(L"kvpbus.0", L"a"),
        L"",
        L"not XML",
        L"<!DOCTYPE INSTANCE [<!ENTITY x SYSTEM \"file:///c:/windows/win.ini\">]>" DOCUMENT(
            L"kvpbus.1", L"&x;"),
        DOCUMENT(L"kvpbus.2", L"a") DOCUMENT(L"kvpbus.3", L"b"),
        DOCUMENT(L"kvpbus.4", L"<b/>"),
        DOCUMENT(L"other.5", L"a"),
        DOCUMENT(L"kvpbus.6", L"h\u00e9"),
        DOCUMENT(L"kvpbus.7", L"\xd800"),
        longest,
        DOCUMENT(L"kvpbus.8", L"z"),
    };
    fill(longest, L' ', LONG_TEXT);
    begin(VMS, 0);
    fake_row_texts(&fake.components.rows[0], L"GuestExchangeItems", texts,
                   sizeof texts / sizeof *texts);
    struct kvpbus_scan scan = read_first();
    CHECK(scan.count == 2 && scan.foreign == 1 && scan.skipped == 8);
    CHECK(strcmp(scan.items[0].key, "kvpbus.0") == 0);
    CHECK(strcmp(scan.items[1].key, "kvpbus.8") == 0);
    kvpbus_scan_free(&scan);
    for (size_t i = 0; i < MANY; i++)
        many[i] = DOCUMENT(L"kvpbus.0", L"a");
    fake_row_texts(&fake.components.rows[0], L"GuestExchangeItems", many, MANY);
    scan = read_first();
    CHECK(scan.count == KVPBUS_SCAN_MAX);
    CHECK(scan.count + scan.skipped + scan.foreign == MANY);
    kvpbus_scan_free(&scan);
    check_idle();
    end();
}

// --- jobs ---

static enum kvpbus_error job_of(const int *states, size_t count)
{
    memcpy(fake.states, states, count * sizeof *states);
    fake.state_count = count;
    return add();
}

static void jobs(void)
{
    static const int all[] = {2, 3, 4, 5, 6, 0, 7};
    begin(VMS, 0);
    CHECK(job_of(all, 7) == KVPBUS_OK);
    CHECK(result.job_state == KVPBUS_JOB_COMPLETED && result.error_code == 0);
    CHECK(fake.looks == 7);
    for (int state = 7; state <= 11; state++) {
        fake_row_number(&fake.job, L"ErrorCode", 32773);
        fake_row_text(&fake.job, L"ErrorDescription",
                      L"Failed: the device is not ready for use. (0x800710DF).");
        CHECK(job_of(&state, 1) == KVPBUS_OK);
        CHECK(result.had_job && (int)result.job_state == state);
        CHECK(result.error_code == 32773 && result.hresult == 0x800710DF);
        CHECK(strstr(result.description, "not ready") != NULL);
    }
    // What is not listed is an end, and no success.
    static const int vendor = 32800;
    CHECK(job_of(&vendor, 1) == KVPBUS_OK && (int)result.job_state == 32800);
    // A description is cut, and the number behind the cut is found.
    wchar_t longest[600];
    fill(longest, L'x', 580);
    wcscpy(longest + 580, L" (0x80070057)");
    fake_row_text(&fake.job, L"ErrorDescription", longest);
    static const int exception = 10;
    CHECK(job_of(&exception, 1) == KVPBUS_OK);
    CHECK(strlen(result.description) == sizeof result.description - 1);
    CHECK(result.hresult == 0x80070057);
    fake.job_missing = true;
    CHECK(add() == KVPBUS_TIMEOUT);
    CHECK(strstr(failure.detail, "WBEM_E_NOT_FOUND") != NULL);
    fake.job_missing = false;
    fake.vm_missing = true;
    LONG executed = fake.executed;
    CHECK(add() == KVPBUS_VM_UNKNOWN);
    CHECK(fake.executed == executed);
    check_idle();
    end();
}

static void return_values(void)
{
    static const LONG codes[] = {0,     32768, 32769, 32770, 32771, 32772, 32773,
                                 32774, 32775, 32776, 32777, 32778, 32779, 4711};
    static const VARIANT null = {.vt = VT_NULL};
    begin(VMS, 0);
    for (size_t i = 0; i < sizeof codes / sizeof *codes; i++) {
        fake_row_number(&fake.outcome, L"ReturnValue", codes[i]);
        CHECK(add() == KVPBUS_OK);
        CHECK((LONG)result.return_value == codes[i] && !result.had_job);
    }
    // A job that cannot be followed.
    fake_row_number(&fake.outcome, L"ReturnValue", 4096);
    fake_row_set(&fake.outcome, L"Job", &null);
    CHECK(add() == KVPBUS_OK);
    CHECK(result.return_value == 4096 && !result.had_job);
    // No answer at all.
    fake_row_set(&fake.outcome, L"ReturnValue", &null);
    CHECK(add() == KVPBUS_TIMEOUT);
    check_idle();
    end();
}

// --- what hangs ---

static void hangs(void)
{
    static const int running = 4;
    HANDLE release = CreateEventW(NULL, TRUE, FALSE, NULL);
    begin(VMS, 2000);
    // A job that does not end.
    CHECK(job_of(&running, 1) == KVPBUS_TIMEOUT);
    CHECK(result.job_state == KVPBUS_JOB_NEW || result.job_state == KVPBUS_JOB_RUNNING);
    // A method that does not answer.
    fake.pending = true;
    CHECK(add() == KVPBUS_TIMEOUT);
    fake.pending = false;
    check_idle();
    // A query that does not come back: the others go on.
    fake.query_hangs = release;
    CHECK(read_host() == KVPBUS_TIMEOUT);
    fake.query_hangs = NULL;
    CHECK(read_some() == KVPBUS_OK);
    SetEvent(release);
    check_counter(&fake.live, live_idle);
    ResetEvent(release);
    // One that its caller has left is not carried out any more.
    LONG executed = fake.executed;
    fake.object_hangs = release;
    CHECK(add() == KVPBUS_TIMEOUT);
    fake.object_hangs = NULL;
    SetEvent(release);
    check_counter(&fake.live, live_idle);
    CHECK(fake.executed == executed);
    check_idle();
    end();
}

// --- queries ---

static void queries(void)
{
    enum { MANY = 200 };
    size_t items;
    begin(MANY, 0);
    LONG before = fake.queries;
    CHECK(read_guests(MANY, &items) == KVPBUS_OK && items == MANY);
    CHECK(fake.queries == before + 1);
    CHECK(strstr(fake.last_query, "WHERE") == NULL);
    CHECK(read_guests(MANY - 2, &items) == KVPBUS_OK && items == MANY - 2);
    CHECK(fake.queries == before + 2);
    CHECK(strstr(fake.last_query, " WHERE SystemName<>'00000000-0000-0000-0000-000000000198' AND "
                                  "SystemName<>'00000000-0000-0000-0000-000000000199'") != NULL);
    CHECK(read_guests(2, &items) == KVPBUS_OK && items == 2);
    CHECK(strstr(fake.last_query, " WHERE SystemName='00000000-0000-0000-0000-000000000000' OR "
                                  "SystemName='00000000-0000-0000-0000-000000000001'") != NULL);
    // Too many on either side to be named.
    CHECK(read_guests(MANY / 2, &items) == KVPBUS_OK && items == MANY / 2);
    CHECK(strstr(fake.last_query, "WHERE") == NULL);
    CHECK(fake.queries == before + 4);
    check_idle();
    end();
}

// --- checkpoints have settings too ---

// Every VM is found to exchange data, or nothing is said of any.
static enum kvpbus_error list_behind(size_t checkpoints)
{
    struct kvpbus_vm *vms = NULL;
    size_t count = 0;
    fake.checkpoints = checkpoints;
    enum kvpbus_error error = management->ops->list(management, &vms, &count, &failure);
    CHECK(error != KVPBUS_OK || count == VMS);
    for (size_t i = 0; i < count; i++)
        CHECK(vms[i].exchange_enabled);
    free(vms);
    return error;
}

static void checkpoints(void)
{
    begin(VMS, 0);
    CHECK(list_behind(0) == KVPBUS_OK);
    CHECK(list_behind(5000) == KVPBUS_OK);
    CHECK(list_behind(KVPBUS_WMI_ROWS_MAX - VMS) == KVPBUS_OK);
    CHECK(list_behind(KVPBUS_WMI_ROWS_MAX - VMS + 1) == KVPBUS_STORE_BUSY);
    check_idle();
    end();
}

// --- a VM that goes to another host, and comes back ---

static enum kvpbus_error read_one(unsigned number, size_t *items)
{
    struct kvpbus_scan scan = {0};
    enum kvpbus_error said = KVPBUS_OK;
    uint8_t guid[KVPBUS_GUID_BYTES];
    guid_of(number, guid);
    enum kvpbus_error error = management->ops->read_guest(
        management, "kvpbus", (const uint8_t(*)[KVPBUS_GUID_BYTES])guid, 1, &scan, &said, &failure);
    *items = scan.count;
    kvpbus_scan_free(&scan);
    return error != KVPBUS_OK ? error : said;
}

static void set_vms(size_t count)
{
    fake.systems.count = fake.components.count = fake.settings.count = count;
}

static void migration(void)
{
    size_t items;
    begin(VMS, 0);
    CHECK(read_some() == KVPBUS_OK);
    LONG connections = fake.connections;
    set_vms(VMS - 1);
    CHECK(read_one(VMS - 1, &items) == KVPBUS_VM_UNKNOWN && items == 0);
    CHECK(read_guests(VMS, &items) == KVPBUS_OK && items == VMS - 1);
    CHECK(list() == KVPBUS_OK);
    CHECK(read_host() == KVPBUS_OK); // of one that has stayed
    set_vms(VMS);
    CHECK(read_one(VMS - 1, &items) == KVPBUS_OK && items == 1);
    CHECK(read_some() == KVPBUS_OK);
    CHECK(fake.connections == connections);
    check_idle();
    end();
}

int main(int argc, char **argv)
{
    static const struct {
        const char *name;
        void (*run)(void);
    } groups[] = {
        {"exchange", exchange},
        {"faults-opening", faults_of_opening},
        {"faults-list", faults_of_list},
        {"faults-reading", faults_of_reading},
        {"faults-changing", faults_of_changing},
        {"hidden", hidden_service},
        {"types", other_types},
        {"hostile", hostile_items},
        {"jobs", jobs},
        {"return-values", return_values},
        {"hangs", hangs},
        {"queries", queries},
        {"checkpoints", checkpoints},
        {"migration", migration},
    };
    for (size_t i = 0; argc == 2 && i < sizeof groups / sizeof *groups; i++) {
        if (strcmp(groups[i].name, argv[1]) == 0) {
            groups[i].run();
            return checks_end();
        }
    }
    fprintf(stderr, "wmi_fake_checks: no such group\n");
    return 2;
}
