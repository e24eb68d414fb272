// SPDX-License-Identifier: Apache-2.0
//
// wmi_polls.exe N: reads the guests' items N times over WMI, and now and then the host's, adds,
// modifies and removes, asks for a VM that is not there. Neither COM objects of the provider nor
// references and strings of ours may be more at the end than after the first rounds, and memory by
// less than 64 KiB, however many rounds there were.
#include <stdlib.h>
#include <string.h>
#include <windows.h>

#include "check.h"
#include "kvpbus/management.h"
#include "provider_count.h"
#include "wmi_management.h"

enum {
    FIRST = 100,       // rounds until everything that is kept has been made
    BUSY_ROUND = 50,   // every so many there is more than a poll
    SLACK = 64 * 1024, // bytes of the heap that may be more, whatever the number of rounds
    VMS_MAX = 64,
    HEAPS_MAX = 32,
};

struct held {
    long references, objects;
    size_t bytes;
};

static struct kvpbus_management *management;
static uint8_t guids[VMS_MAX][KVPBUS_GUID_BYTES];
static struct kvpbus_scan scans[VMS_MAX];
static size_t vm_count;

static size_t bytes_of(HANDLE heap)
{
    PROCESS_HEAP_ENTRY entry = {0};
    size_t bytes = 0;
    HeapLock(heap);
    while (HeapWalk(heap, &entry))
        bytes += entry.wFlags & PROCESS_HEAP_ENTRY_BUSY ? entry.cbData : 0;
    HeapUnlock(heap);
    return bytes;
}

// Of all heaps: that of strings, and those of the program's and the provider's malloc.
static size_t heap_bytes(void)
{
    HANDLE heaps[HEAPS_MAX];
    DWORD heap_count = GetProcessHeaps(HEAPS_MAX, heaps);
    size_t bytes = 0;
    CHECK(heap_count > 0 && heap_count <= HEAPS_MAX);
    for (DWORD i = 0; i < heap_count && i < HEAPS_MAX; i++)
        bytes += bytes_of(heaps[i]);
    return bytes;
}

static struct held count(void)
{
    return (struct held){kvpbus_wmi_held(), provider_objects(), heap_bytes()};
}

static void poll(void)
{
    enum kvpbus_error results[VMS_MAX];
    enum kvpbus_error error = management->ops->read_guest(
        management, "kvpbus", (const uint8_t(*)[KVPBUS_GUID_BYTES])guids, vm_count, scans, results,
        NULL);
    CHECK(error == KVPBUS_OK);
    for (size_t i = 0; i < vm_count; i++)
        CHECK(results[i] == KVPBUS_OK && scans[i].count > 0);
}

static void call(enum kvpbus_operation operation, const char *value, bool works)
{
    const struct kvpbus_change item = {"kvpbus.poll", value};
    struct kvpbus_call_result result;
    CHECK(management->ops->call(management, operation, guids[0], &item, 1, &result, NULL) ==
          KVPBUS_OK);
    CHECK((result.job_state == KVPBUS_JOB_COMPLETED) == works);
}

static void everything_else(void)
{
    static const uint8_t absent[1][KVPBUS_GUID_BYTES];
    struct kvpbus_scan scan = {0};
    struct kvpbus_vm *vms;
    size_t vms_count;
    enum kvpbus_error result;
    const struct kvpbus_change item = {"kvpbus.poll", "a"};
    struct kvpbus_call_result outcome;
    call(KVPBUS_OP_ADD, "a", true);
    call(KVPBUS_OP_ADD, "b", false);
    call(KVPBUS_OP_MODIFY, "c", true);
    CHECK(management->ops->read_host(management, "kvpbus", guids[0], &scan, NULL) == KVPBUS_OK);
    CHECK(scan.count == 1);
    call(KVPBUS_OP_REMOVE, NULL, true);
    CHECK(management->ops->list(management, &vms, &vms_count, NULL) == KVPBUS_OK);
    free(vms);
    CHECK(management->ops->read_guest(management, "kvpbus", absent, 1, &scan, &result, NULL) ==
          KVPBUS_OK);
    CHECK(result == KVPBUS_VM_UNKNOWN);
    CHECK(management->ops->read_host(management, "kvpbus", absent[0], &scan, NULL) ==
          KVPBUS_VM_UNKNOWN);
    CHECK(management->ops->call(management, KVPBUS_OP_ADD, absent[0], &item, 1, &outcome, NULL) ==
          KVPBUS_VM_UNKNOWN);
    kvpbus_scan_free(&scan);
}

static void find_vms(void)
{
    struct kvpbus_vm *vms;
    CHECK(management->ops->list(management, &vms, &vm_count, NULL) == KVPBUS_OK);
    CHECK(vm_count > 0 && vm_count <= VMS_MAX);
    for (size_t i = 0; i < vm_count; i++)
        memcpy(guids[i], vms[i].guid, KVPBUS_GUID_BYTES);
    free(vms);
}

int main(int argc, char **argv)
{
    const struct kvpbus_wmi_options options = {0};
    struct kvpbus_failure failure = {0};
    unsigned long rounds = argc == 2 ? strtoul(argv[1], NULL, 10) : 0;
    struct held first = {0};
    if (rounds < 2 * FIRST) {
        fprintf(stderr, "wmi_polls: takes a number of polls from %d on\n", 2 * FIRST);
        return 2;
    }
    if (kvpbus_wmi_management_open(&options, &management, &failure) != KVPBUS_OK) {
        printf("%s\n", failure.detail);
        return 3;
    }
    find_vms();
    for (unsigned long i = 0; i < rounds; i++) {
        poll();
        if (i % BUSY_ROUND == 0)
            everything_else();
        if (i == FIRST)
            first = count();
    }
    provider_objects_settled(first.objects);
    struct held last = count();
    printf("references %ld, then %ld; objects of the provider %ld, then %ld; bytes %zu, then %zu\n",
           first.references, last.references, first.objects, last.objects, first.bytes, last.bytes);
    CHECK(first.references > 0 && first.references == last.references);
    CHECK(last.objects > 0 && last.objects <= first.objects);
    CHECK(first.bytes > 0 && last.bytes < first.bytes + SLACK);
    for (size_t i = 0; i < vm_count; i++)
        kvpbus_scan_free(&scans[i]);
    management->ops->close(management);
    CHECK(kvpbus_wmi_held() == 0);
    CHECK(provider_objects_settled(0) <= 0);
    return checks_end();
}
