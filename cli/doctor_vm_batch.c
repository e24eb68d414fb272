// SPDX-License-Identifier: Apache-2.0
//
// Questions 4 and 7: calls with one bad item among good ones, and what becomes of a value's text.
#include <stdio.h>
#include <string.h>

#include "doctor_vm.h"

enum { ANSWER_WITHIN = 10000 }; // ms

#define BEFORE DOCTOR_KEY("b1")
#define BAD DOCTOR_KEY("b2")
#define BEHIND DOCTOR_KEY("b3")

// --- 4 ---

static bool has(const struct kvpbus_scan *scan, const char *key, const char *value)
{
    const char *kept = doctor_value(scan, key);
    return kept != NULL && strcmp(kept, value) == 0;
}

// Makes the call with the bad item in the middle and says what was done of it.
static bool one_bad(struct doctor_vm *doctor, const char *about, enum kvpbus_operation operation)
{
    static const struct kvpbus_change items[] = {{BEFORE, "new"}, {BAD, "new"}, {BEHIND, "new"}};
    struct kvpbus_call_result result;
    struct kvpbus_scan scan = {0};
    bool well =
        doctor_call(doctor, operation, items, 3, &result) && doctor_read_host(doctor, &scan);
    bool before = has(&scan, BEFORE, "new");
    bool behind = has(&scan, BEHIND, "new");
    kvpbus_scan_free(&scan);
    if (!well)
        return false;
    uint32_t code = doctor_outcome(&result);
    const char *found = "rolled-back";
    if (code == 0)
        found = "accepted";
    else if (before && behind)
        found = "skipped";
    else if (before || behind)
        found = "partial";
    struct doctor_row *row = doctor_found(
        doctor, about, found, "%u, %s; of the good ones that before it is %sdone, that behind %s",
        (unsigned)code, kvpbus_return_text(code), before ? "" : "not ", behind ? "too" : "not");
    doctor_number(row, "before_done", before);
    doctor_number(row, "behind_done", behind);
    doctor_code(row, &result);
    return doctor_clear(doctor);
}

static bool prepared(struct doctor_vm *doctor, const struct kvpbus_change *items, size_t count)
{
    struct kvpbus_call_result result;
    if (!doctor_call(doctor, KVPBUS_OP_ADD, items, count, &result))
        return false;
    return doctor_outcome(&result) == 0 || doctor_refused(doctor, "a plain Add", &result);
}

static bool one_alone(struct doctor_vm *doctor, const char *about, enum kvpbus_operation operation)
{
    struct kvpbus_call_result result;
    char said[DOCTOR_SAYS];
    if (!doctor_call_one(doctor, operation, BAD, "again", &result))
        return false;
    doctor_outcome_text(&result, said);
    doctor_code(doctor_found(doctor, about, doctor_outcome(&result) == 0 ? "accepted" : "refused",
                             "%s", said),
                &result);
    return true;
}

bool doctor_batches(struct doctor_vm *doctor)
{
    static const struct kvpbus_change there[] = {{BAD, "old"}};
    static const struct kvpbus_change others[] = {{BEFORE, "old"}, {BEHIND, "old"}};
    return one_alone(doctor, "Modify of what is missing", KVPBUS_OP_MODIFY) &&
           one_alone(doctor, "Remove of what is missing", KVPBUS_OP_REMOVE) &&
           prepared(doctor, there, 1) && one_alone(doctor, "Add of what is there", KVPBUS_OP_ADD) &&
           one_bad(doctor, "Add of 3, one is there", KVPBUS_OP_ADD) &&
           prepared(doctor, others, 2) &&
           one_bad(doctor, "Modify of 3, one is missing", KVPBUS_OP_MODIFY);
}

// --- 7 ---

static const char text[] = "  <a href=\"x\">&amp; 'q' &</a> ]]>  ";
static const char trimmed[] = "<a href=\"x\">&amp; 'q' &</a> ]]>";

static void judge(struct doctor_vm *doctor, const char *about, const char *came)
{
    const char *found = "changed";
    if (came == NULL)
        found = "lost";
    else if (strcmp(came, text) == 0)
        found = "exact";
    else if (strcmp(came, trimmed) == 0)
        found = "trimmed";
    else if (strstr(came, "&lt;a") != NULL || strstr(came, "&#") != NULL)
        found = "escaped";
    doctor_found(doctor, about, found, "[%s] became [%.120s]", text, came != NULL ? came : "");
}

static bool through_guest(struct doctor_vm *doctor)
{
    static const char about[] = "to the guest and back";
    char answer[DOCTOR_ANSWER];
    struct kvpbus_scan scan = {0};
    if (!doctor_helped(doctor, about))
        return true;
    if (!doctor_ask(doctor, DOCTOR_ASK_COPY, 0, ANSWER_WITHIN, answer))
        return false;
    if (answer[0] == '\0') {
        doctor_unmeasured(doctor, about, "the guest has not answered within %d s",
                          ANSWER_WITHIN / 1000);
        return true;
    }
    bool well = doctor_read_guest(doctor, &scan);
    if (well)
        judge(doctor, about, doctor_value(&scan, DOCTOR_KEY_TEXT));
    kvpbus_scan_free(&scan);
    return well && doctor_ask(doctor, DOCTOR_ASK_STOP, 0, ANSWER_WITHIN, answer);
}

bool doctor_texts(struct doctor_vm *doctor)
{
    static const char about[] = "as the host reads it back";
    struct kvpbus_call_result result;
    char said[DOCTOR_SAYS];
    struct kvpbus_scan scan = {0};
    doctor_unmeasured(doctor, "items written by hand",
                      "needs a program of its own: kvpbus takes the text of WMI where that is "
                      "registered");
    if (!doctor_call_one(doctor, KVPBUS_OP_ADD, DOCTOR_KEY_TEXT, text, &result))
        return false;
    if (doctor_outcome(&result) != 0) {
        doctor_outcome_text(&result, said);
        doctor_code(doctor_found(doctor, about, "refused", "%s", said), &result);
        return true;
    }
    bool well = doctor_read_host(doctor, &scan);
    if (well)
        judge(doctor, about, doctor_value(&scan, DOCTOR_KEY_TEXT));
    kvpbus_scan_free(&scan);
    return well && through_guest(doctor);
}
