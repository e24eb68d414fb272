// SPDX-License-Identifier: Apache-2.0
//
// Questions 3 and 5: how many items, and how long ones. Nothing is filled beyond what the user has
// asked for.
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "doctor_vm.h"

enum { ANSWER_WITHIN = 60000, GUEST_LOOKS = 100, LOOK_EVERY = 100 }; // ms

// --- 3 ---

enum kvpbus_vm_state doctor_state_now(struct doctor_vm *doctor)
{
    struct kvpbus_vm *vms;
    size_t count;
    enum kvpbus_vm_state state = doctor->vm.state;
    if (doctor->management->ops->list(doctor->management, &vms, &count, NULL) != KVPBUS_OK)
        return state;
    for (size_t i = 0; i < count; i++)
        if (memcmp(vms[i].guid, doctor->vm.guid, KVPBUS_GUID_BYTES) == 0)
            state = vms[i].state;
    free(vms);
    return state;
}

// Adds one item after the other; *made are there then.
static bool fill(struct doctor_vm *doctor, unsigned *made, struct kvpbus_call_result *result)
{
    char key[48];
    for (*made = 0; *made < doctor->until; ++*made) {
        doctor_progress(doctor, "items", *made, doctor->until);
        snprintf(key, sizeof key, DOCTOR_KEY_FILL "%04u", *made);
        if (!doctor_call_one(doctor, KVPBUS_OP_ADD, key, "filling", result))
            return false;
        if (doctor_outcome(result) != 0)
            return true;
    }
    return true;
}

static bool host_ceiling(struct doctor_vm *doctor)
{
    static const char about[] = "items of the host";
    struct kvpbus_scan scan = {0};
    struct kvpbus_call_result result = {0};
    unsigned made;
    // A question to the guest would count as well.
    bool well = doctor_clear(doctor) && doctor_read_host(doctor, &scan);
    size_t others = scan.foreign;
    kvpbus_scan_free(&scan);
    if (!well || !fill(doctor, &made, &result))
        return false;
    enum kvpbus_vm_state full = doctor_state_now(doctor);
    if (!doctor_clear(doctor))
        return false;
    enum kvpbus_vm_state after = doctor_state_now(doctor);
    struct doctor_row *row;
    if (made == doctor->until)
        row = doctor_found(doctor, about, "not-reached",
                           "%u beside %zu of others were taken; --until N tries up to %d", made,
                           others, DOCTOR_UNTIL_MAX);
    else
        row = doctor_found(doctor, about, "reached",
                           "%u beside %zu of others; then %u %.70s; VM %s, and %s after removal",
                           made, others, (unsigned)doctor_outcome(&result), result.description,
                           kvpbus_vm_state_text(full), kvpbus_vm_state_text(after));
    doctor_number(row, "items", made);
    doctor_number(row, "others", (int64_t)others);
    doctor_number(row, "vm_state", full);
    doctor_number(row, "vm_state_after", after);
    doctor_code(row, &result);
    return true;
}

static size_t filled(const struct kvpbus_scan *scan)
{
    size_t count = scan->skipped; // what has no room in a scan is counted
    for (size_t i = 0; i < scan->count; i++)
        count += strncmp(scan->items[i].key, DOCTOR_KEY_FILL, strlen(DOCTOR_KEY_FILL)) == 0;
    return count;
}

// A copy of some age may show some of them only.
static bool count_guest(struct doctor_vm *doctor, size_t wanted, size_t *count, size_t *others)
{
    struct kvpbus_scan scan = {0};
    unsigned same = 0;
    bool well = true;
    *count = 0;
    for (unsigned i = 0; well && i < GUEST_LOOKS && same < GUEST_LOOKS / 4; i++) {
        well = doctor_read_guest(doctor, &scan);
        size_t now = filled(&scan);
        same = now == *count ? same + 1 : 0;
        *count = now;
        *others = scan.foreign;
        if (now >= wanted)
            break;
        well = well && doctor_pause(doctor, LOOK_EVERY);
    }
    kvpbus_scan_free(&scan);
    return well;
}

static bool guest_ceiling(struct doctor_vm *doctor)
{
    static const char about[] = "items of the guest";
    char answer[DOCTOR_ANSWER];
    size_t count, others;
    if (!doctor_helped(doctor, about))
        return true;
    if (!doctor_ask(doctor, DOCTOR_ASK_FILL, doctor->until, ANSWER_WITHIN, answer))
        return false;
    unsigned long wanted = strtoul(answer, NULL, 10);
    if (wanted == 0) {
        doctor_unmeasured(doctor, about, "the guest could not write them: %.100s", answer);
        return doctor_ask(doctor, DOCTOR_ASK_STOP, 0, ANSWER_WITHIN, answer);
    }
    if (!count_guest(doctor, wanted, &count, &others))
        return false;
    struct doctor_row *row =
        doctor_found(doctor, about, count < wanted ? "reached" : "not-reached",
                     "%zu of %lu were seen, beside %zu of others and the doctor's answer", count,
                     wanted, others);
    doctor_number(row, "items", (int64_t)count);
    doctor_number(row, "written", (int64_t)wanted);
    doctor_number(row, "others", (int64_t)others);
    return doctor_ask(doctor, DOCTOR_ASK_STOP, 0, ANSWER_WITHIN, answer);
}

bool doctor_ceilings(struct doctor_vm *doctor)
{
    return host_ceiling(doctor) && guest_ceiling(doctor);
}

// --- 5 ---

void doctor_long_key(size_t length, char key[DOCTOR_LONG_KEY_MAX + 1])
{
    static const char begin[] = DOCTOR_PREFIX ".";
    memset(key, 'k', length);
    memcpy(key, begin, strlen(begin));
    key[length] = '\0';
}

// Adds an item of that length and removes it again.
static bool try_length(struct doctor_vm *doctor, bool of_key, unsigned length,
                       struct kvpbus_call_result *result)
{
    static char value[4096];
    char key[DOCTOR_LONG_KEY_MAX + 1] = DOCTOR_KEY_LONG_VALUE;
    struct kvpbus_call_result removal;
    memset(value, 'v', sizeof value);
    value[of_key ? 1 : length] = '\0';
    if (of_key)
        doctor_long_key(length, key);
    return doctor_call_one(doctor, KVPBUS_OP_ADD, key, value, result) &&
           doctor_call_one(doctor, KVPBUS_OP_REMOVE, key, "", &removal);
}

static bool last_length(struct doctor_vm *doctor, const char *about, bool of_key,
                        const unsigned *lengths, size_t count)
{
    struct kvpbus_call_result result = {0};
    unsigned last = 0;
    for (size_t i = 0; i < count; i++) {
        doctor_progress(doctor, about, (unsigned)i, (unsigned)count);
        if (!try_length(doctor, of_key, lengths[i], &result))
            return false;
        if (doctor_outcome(&result) == 0) {
            last = lengths[i];
            continue;
        }
        struct doctor_row *row =
            doctor_found(doctor, about, "refused", "%u are taken, %u not: %u, HRESULT 0x%08x", last,
                         lengths[i], (unsigned)doctor_outcome(&result), (unsigned)result.hresult);
        doctor_number(row, "last_taken", last);
        doctor_number(row, "first_refused", lengths[i]);
        doctor_code(row, &result);
        return true;
    }
    doctor_number(doctor_found(doctor, about, "not-reached", "also %u are taken", last),
                  "last_taken", last);
    return true;
}

bool doctor_lengths(struct doctor_vm *doctor)
{
    static const unsigned values[] = {512, 1000, 1021, 1022, 1023, 1024, 1025, 2048};
    static const unsigned keys[] = {200, 253, 254, 255, 256, 257};
    return last_length(doctor, "characters of a value", false, values,
                       sizeof values / sizeof *values) &&
           last_length(doctor, "characters of a key", true, keys, sizeof keys / sizeof *keys);
}
