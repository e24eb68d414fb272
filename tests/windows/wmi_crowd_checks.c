// SPDX-License-Identifier: Apache-2.0
//
// wmi_crowd_checks.exe: many threads call the WMI client at once while its connection is lost again
// and again (fake_wmi.h). Run by test_wmi.c.
#include <stdlib.h>
#include <string.h>

#include "fake_wmi.h"

#include "check.h"
#include "kvpbus/management.h"
#include "wmi_management.h"

enum { VMS = 3, CROWD = 16, ROUNDS = 40 };

static struct kvpbus_management *management;
static volatile LONG crowd_failed, crowd_wrong;

static enum kvpbus_error one_call(unsigned kind)
{
    const struct kvpbus_change item = {"kvpbus.a", "1"};
    struct kvpbus_call_result outcome;
    struct kvpbus_scan scan = {0};
    struct kvpbus_vm *vms = NULL;
    enum kvpbus_error error, own = KVPBUS_OK;
    uint8_t guids[1][KVPBUS_GUID_BYTES];
    size_t count;
    memset(guids[0], 0, sizeof guids[0]);
    guids[0][15] = (uint8_t)(kind % VMS);
    switch (kind % 4) {
    case 0:
        error = management->ops->list(management, &vms, &count, NULL);
        free(vms);
        break;
    case 1:
        error = management->ops->read_guest(
            management, "kvpbus", (const uint8_t(*)[KVPBUS_GUID_BYTES])guids, 1, &scan, &own, NULL);
        break;
    case 2:
        error = management->ops->read_host(management, "kvpbus", guids[0], &scan, NULL);
        break;
    default:
        error =
            management->ops->call(management, KVPBUS_OP_ADD, guids[0], &item, 1, &outcome, NULL);
        break;
    }
    kvpbus_scan_free(&scan);
    return error != KVPBUS_OK ? error : own;
}

static DWORD WINAPI call_often(void *context)
{
    unsigned number = (unsigned)(uintptr_t)context;
    for (unsigned i = 0; i < ROUNDS; i++) {
        enum kvpbus_error error = one_call(number + i);
        if (error != KVPBUS_OK)
            InterlockedIncrement(&crowd_failed);
        if (error != KVPBUS_OK && error != KVPBUS_STORE_GONE && error != KVPBUS_TIMEOUT)
            InterlockedIncrement(&crowd_wrong);
    }
    return 0;
}

static void gather(void)
{
    HANDLE threads[CROWD];
    crowd_failed = 0;
    for (unsigned i = 0; i < CROWD; i++)
        threads[i] = CreateThread(NULL, 0, call_often, (void *)(uintptr_t)i, 0, NULL);
    WaitForMultipleObjects(CROWD, threads, TRUE, INFINITE);
    for (unsigned i = 0; i < CROWD; i++)
        CloseHandle(threads[i]);
    CHECK(crowd_wrong == 0);
}

int main(void)
{
    const struct kvpbus_wmi_options options = {0};
    fake_wmi_begin(VMS);
    CHECK(kvpbus_wmi_management_open(&options, &management, NULL) == KVPBUS_OK);
    gather();
    CHECK(crowd_failed == 0);
    CHECK(fake.connections == 1);
    fake.fails_as = RPC_E_DISCONNECTED;
    for (long every = 13; every < 200; every *= 2) {
        fake.fails_every = every;
        gather();
    }
    CHECK(fake.connections > 10);
    fake.fails_every = 0;
    gather();
    CHECK(crowd_failed == 0);
    management->ops->close(management);
    CHECK(kvpbus_wmi_held() == 0);
    CHECK(fake.live == 0);
    fake_wmi_end();
    return checks_end();
}
