// SPDX-License-Identifier: Apache-2.0
//
// Calls and reads of the doctor, and that nothing of them stays.
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <uv.h>

#include "doctor_vm.h"
#include "program.h"

#define DEVICE_NOT_READY UINT32_C(0x800710DF)

enum {
    CLEAR_TRIES = 3,
    CLEAR_PAUSE = 300, // ms
};

static bool ended(struct doctor_vm *doctor)
{
    if (doctor->clearing || !kvpbus_program_ended())
        return false;
    kvpbus_fail(&doctor->failure, KVPBUS_CLOSED, "stopped before the end");
    return true;
}

int64_t doctor_now_us(void)
{
    return (int64_t)(uv_hrtime() / 1000);
}

bool doctor_pause(struct doctor_vm *doctor, unsigned ms)
{
    if (!ended(doctor))
        kvpbus_program_pause(ms);
    return !ended(doctor);
}

bool doctor_call(struct doctor_vm *doctor, enum kvpbus_operation operation,
                 const struct kvpbus_change *items, size_t count, struct kvpbus_call_result *result)
{
    *result = (struct kvpbus_call_result){0};
    if (ended(doctor))
        return false;
    return doctor->management->ops->call(doctor->management, operation, doctor->vm.guid, items,
                                         count, result, &doctor->failure) == KVPBUS_OK;
}

bool doctor_call_one(struct doctor_vm *doctor, enum kvpbus_operation operation, const char *key,
                     const char *value, struct kvpbus_call_result *result)
{
    const struct kvpbus_change item = {key, value};
    return doctor_call(doctor, operation, &item, 1, result);
}

uint32_t doctor_outcome(const struct kvpbus_call_result *result)
{
    if (result->return_value != KVPBUS_RETURN_JOB_STARTED)
        return result->return_value;
    if (result->job_state == KVPBUS_JOB_COMPLETED)
        return result->error_code;
    return result->error_code != 0 ? result->error_code : KVPBUS_RETURN_FAILED;
}

void doctor_outcome_text(const struct kvpbus_call_result *result, char text[DOCTOR_SAYS])
{
    uint32_t code = doctor_outcome(result);
    snprintf(text, DOCTOR_SAYS, "%u, %s%s%s", (unsigned)code, kvpbus_return_text(code),
             result->description[0] != '\0' ? ": " : "", result->description);
}

bool doctor_refused(struct doctor_vm *doctor, const char *what,
                    const struct kvpbus_call_result *result)
{
    char said[DOCTOR_SAYS];
    doctor_outcome_text(result, said);
    kvpbus_fail(&doctor->failure, KVPBUS_STORE_REJECTED, "%s is refused: %.160s", what, said);
    return false;
}

bool doctor_not_ready(const struct kvpbus_call_result *result)
{
    return (uint32_t)result->hresult == DEVICE_NOT_READY;
}

bool doctor_read_host(struct doctor_vm *doctor, struct kvpbus_scan *scan)
{
    return !ended(doctor) &&
           doctor->management->ops->read_host(doctor->management, DOCTOR_PREFIX, doctor->vm.guid,
                                              scan, &doctor->failure) == KVPBUS_OK;
}

bool doctor_read_guest(struct doctor_vm *doctor, struct kvpbus_scan *scan)
{
    enum kvpbus_error result = KVPBUS_OK;
    if (ended(doctor))
        return false;
    enum kvpbus_error error = doctor->management->ops->read_guest(
        doctor->management, DOCTOR_PREFIX, (const uint8_t(*)[KVPBUS_GUID_BYTES])doctor->vm.guid, 1,
        scan, &result, &doctor->failure);
    if (error == KVPBUS_OK && result != KVPBUS_OK)
        error = kvpbus_fail(&doctor->failure, result, "the items of the guest: %s",
                            kvpbus_error_text(result));
    return error == KVPBUS_OK;
}

const char *doctor_value(const struct kvpbus_scan *scan, const char *key)
{
    for (size_t i = 0; i < scan->count; i++)
        if (strcmp(scan->items[i].key, key) == 0)
            return scan->items[i].value;
    return NULL;
}

// What a call that fails leaves is removed one by one.
static void remove_items(struct doctor_vm *doctor, const struct kvpbus_scan *scan)
{
    struct kvpbus_change items[KVPBUS_MANAGEMENT_BATCH];
    struct kvpbus_call_result result;
    for (size_t first = 0; first < scan->count;) {
        size_t count = 0;
        while (count < KVPBUS_MANAGEMENT_BATCH && first + count < scan->count) {
            items[count] = (struct kvpbus_change){scan->items[first + count].key, ""};
            count++;
        }
        bool answered = doctor_call(doctor, KVPBUS_OP_REMOVE, items, count, &result);
        for (size_t i = 0; answered && doctor_outcome(&result) != 0 && count > 1 && i < count; i++)
            answered = doctor_call(doctor, KVPBUS_OP_REMOVE, &items[i], 1, &result);
        first += count;
    }
}

// Those that a scan does not show.
static void remove_long(struct doctor_vm *doctor)
{
    struct kvpbus_call_result result;
    char key[DOCTOR_LONG_KEY_MAX + 1];
    doctor_call_one(doctor, KVPBUS_OP_REMOVE, DOCTOR_KEY_LONG_VALUE, "", &result);
    for (size_t length = KVPBUS_KEY_MAX + 1; length <= DOCTOR_LONG_KEY_MAX; length++) {
        doctor_long_key(length, key);
        doctor_call_one(doctor, KVPBUS_OP_REMOVE, key, "", &result);
    }
}

bool doctor_clear(struct doctor_vm *doctor)
{
    struct kvpbus_scan scan = {0};
    struct kvpbus_failure before = doctor->failure;
    bool well = true;
    doctor->clearing = true;
    // A scan holds a part of the items that question 3 can have made.
    for (unsigned tries = 0; tries < CLEAR_TRIES + DOCTOR_UNTIL_MAX / KVPBUS_SCAN_MAX; tries++) {
        well = doctor_read_host(doctor, &scan);
        doctor->left = well ? scan.count + scan.skipped : doctor->left;
        if (well && doctor->left == 0)
            break;
        if (tries > 0)
            kvpbus_program_pause(CLEAR_PAUSE);
        if (well)
            remove_items(doctor, &scan);
        if (well && scan.skipped > 0)
            remove_long(doctor);
    }
    doctor->question_there = false;
    kvpbus_scan_free(&scan);
    doctor->clearing = false;
    // Why it ended says more than what hinders the removal afterwards.
    if (before.code != KVPBUS_OK || (well && doctor->left == 0))
        doctor->failure = before;
    return well && doctor->left == 0;
}

static int compare(const void *one, const void *other)
{
    int64_t a = *(const int64_t *)one;
    int64_t b = *(const int64_t *)other;
    return (a > b) - (a < b);
}

struct doctor_spread doctor_spread_of(int64_t *values, size_t count)
{
    if (count == 0)
        return (struct doctor_spread){0, 0};
    qsort(values, count, sizeof *values, compare);
    return (struct doctor_spread){values[count / 2], values[count - 1]};
}
