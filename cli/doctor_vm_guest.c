// SPDX-License-Identifier: Apache-2.0
//
// Questions 10 and 11: what the guest notices, and in which order its items are read.
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "doctor_vm.h"

enum {
    ANSWER_WITHIN = 10000, // ms
    WRITES = 5,
    WRITE_PAUSE = 150, // ms, so that the guest tells one from the other
    LEAST_WAKES = 3,   // more than without writes: then it has noticed them
    TRIES = 4,
};

// --- 10 ---

enum writes { NO_WRITES, SAME_VALUES, NEW_VALUES };

// How often the guest's store told of a change while the host wrote so. -1: it did not say.
static bool count_wakes(struct doctor_vm *doctor, enum writes writes, int *wakes)
{
    struct kvpbus_call_result result;
    char before[DOCTOR_ANSWER], after[DOCTOR_ANSWER], value[32] = "same";
    *wakes = -1;
    if (!doctor_ask(doctor, DOCTOR_ASK_WAKES, 0, ANSWER_WITHIN, before))
        return false;
    for (unsigned i = 0; i < WRITES; i++) {
        if (writes == NEW_VALUES)
            snprintf(value, sizeof value, "new %u", i);
        if (!doctor_pause(doctor, WRITE_PAUSE) ||
            (writes != NO_WRITES &&
             !doctor_call_one(doctor, KVPBUS_OP_MODIFY, DOCTOR_KEY("u"), value, &result)))
            return false;
    }
    if (!doctor_pause(doctor, WRITE_PAUSE) ||
        !doctor_ask(doctor, DOCTOR_ASK_WAKES, 0, ANSWER_WITHIN, after))
        return false;
    if (before[0] >= '0' && before[0] <= '9' && after[0] >= '0' && after[0] <= '9')
        *wakes = atoi(after) - atoi(before);
    return true;
}

static bool compare_wakes(struct doctor_vm *doctor, int wakes[3])
{
    struct kvpbus_call_result result;
    return doctor_call_one(doctor, KVPBUS_OP_ADD, DOCTOR_KEY("u"), "same", &result) &&
           count_wakes(doctor, NO_WRITES, &wakes[NO_WRITES]) &&
           count_wakes(doctor, SAME_VALUES, &wakes[SAME_VALUES]) &&
           count_wakes(doctor, NEW_VALUES, &wakes[NEW_VALUES]) &&
           doctor_call_one(doctor, KVPBUS_OP_REMOVE, DOCTOR_KEY("u"), "", &result);
}

// The bus's own traffic is noticed as well: it counts in all three.
static const char *judge_wakes(const int wakes[3])
{
    if (wakes[NO_WRITES] < 0 || wakes[SAME_VALUES] < 0 ||
        wakes[NEW_VALUES] < wakes[NO_WRITES] + LEAST_WAKES)
        return "unclear";
    if (wakes[SAME_VALUES] >= wakes[NO_WRITES] + LEAST_WAKES)
        return "notifies";
    return wakes[SAME_VALUES] <= wakes[NO_WRITES] + 1 ? "silent" : "unclear";
}

bool doctor_unchanged(struct doctor_vm *doctor)
{
    static const char about[] = "Modify that changes nothing";
    const char *found = "unclear";
    int wakes[3] = {-1, -1, -1};
    if (!doctor_helped(doctor, about))
        return true;
    for (unsigned i = 0; strcmp(found, "unclear") == 0 && i < TRIES; i++) {
        doctor_progress(doctor, "notices", i, TRIES);
        if (!compare_wakes(doctor, wakes))
            return false;
        found = judge_wakes(wakes);
    }
    struct doctor_row *row =
        doctor_found(doctor, about, found,
                     "the guest noticed %d things while %d values stayed, %d while they changed, "
                     "%d without writes",
                     wakes[SAME_VALUES], WRITES, wakes[NEW_VALUES], wakes[NO_WRITES]);
    doctor_number(row, "writes", WRITES);
    doctor_number(row, "notices_without", wakes[NO_WRITES]);
    doctor_number(row, "notices_unchanged", wakes[SAME_VALUES]);
    doctor_number(row, "notices_changed", wakes[NEW_VALUES]);
    return true;
}

// --- 11 ---

#define ORDER_PREFIX DOCTOR_KEY("o.")

// The names in the order of the scan; "qbxdtf".
static void names_of(const struct kvpbus_scan *scan, char names[DOCTOR_ORDER_COUNT + 1])
{
    size_t count = 0;
    for (size_t i = 0; i < scan->count && count < DOCTOR_ORDER_COUNT; i++)
        if (strncmp(scan->items[i].key, ORDER_PREFIX, strlen(ORDER_PREFIX)) == 0)
            names[count++] = scan->items[i].key[strlen(ORDER_PREFIX)];
    names[count] = '\0';
}

static const char *judge_order(const char *names)
{
    static const char *const written[DOCTOR_ORDER_COUNT] = {DOCTOR_ORDER};
    bool as_written = true, rises = true, falls = true;
    for (size_t i = 0; i < DOCTOR_ORDER_COUNT; i++) {
        as_written = as_written && names[i] == written[i][0];
        rises = rises && (i == 0 || names[i] > names[i - 1]);
        falls = falls && (i == 0 || names[i] < names[i - 1]);
    }
    if (as_written)
        return "as-written";
    if (rises)
        return "sorted";
    return falls ? "reversed" : "other";
}

bool doctor_order(struct doctor_vm *doctor)
{
    static const char about[] = "the guest's items";
    char answer[DOCTOR_ANSWER], names[DOCTOR_ORDER_COUNT + 1] = {0};
    struct kvpbus_scan scan = {0};
    if (!doctor_helped(doctor, about))
        return true;
    if (!doctor_ask(doctor, DOCTOR_ASK_ORDER, 0, ANSWER_WITHIN, answer))
        return false;
    bool well = doctor_read_guest(doctor, &scan);
    names_of(&scan, names);
    kvpbus_scan_free(&scan);
    if (!well)
        return false;
    if (strlen(names) != DOCTOR_ORDER_COUNT)
        doctor_unmeasured(doctor, about, "%zu of %d items were seen, %.30s", strlen(names),
                          DOCTOR_ORDER_COUNT, answer);
    else
        doctor_found(doctor, about, judge_order(names), "written as qbxdtf, read as %s", names);
    return doctor_ask(doctor, DOCTOR_ASK_STOP, 0, ANSWER_WITHIN, answer);
}
