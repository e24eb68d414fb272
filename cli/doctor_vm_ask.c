// SPDX-License-Identifier: Apache-2.0
//
// Questions to doctor --answer in the guest.
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "doctor_vm.h"

enum {
    LOOK_EVERY = 30,     // ms
    GREET_WITHIN = 3000, // ms; also the age that a copy of the guest's items may have
};

static bool put_question(struct doctor_vm *doctor, const char *text)
{
    struct kvpbus_call_result result;
    enum kvpbus_operation operation = doctor->question_there ? KVPBUS_OP_MODIFY : KVPBUS_OP_ADD;
    if (!doctor_call_one(doctor, operation, DOCTOR_KEY_QUESTION, text, &result))
        return false;
    doctor->question_there = true;
    return doctor_outcome(&result) == 0 ||
           doctor_refused(doctor, "a question to the guest", &result);
}

static bool take_answer(const struct kvpbus_scan *scan, uint32_t number, char *answer)
{
    const char *value = doctor_value(scan, DOCTOR_KEY_ANSWER);
    char *end;
    if (value == NULL || strtoul(value, &end, 16) != number || *end != ' ')
        return false;
    snprintf(answer, DOCTOR_ANSWER, "%s", end + 1);
    return true;
}

bool doctor_ask(struct doctor_vm *doctor, const char *word, unsigned argument, unsigned wait_ms,
                char answer[DOCTOR_ANSWER])
{
    struct kvpbus_scan scan = {0};
    char text[96];
    bool well;
    answer[0] = '\0';
    // Not those of an earlier run, whose answer may still be there.
    if (doctor->number == 0)
        doctor->number = (uint32_t)doctor_now_us() & 0xffffff;
    doctor->number++;
    snprintf(text, sizeof text, "%x %s %u", (unsigned)doctor->number, word, argument);
    int64_t deadline = doctor_now_us() + (int64_t)wait_ms * 1000;
    well = put_question(doctor, text);
    while (well && answer[0] == '\0') {
        well = doctor_read_guest(doctor, &scan);
        if (!well || take_answer(&scan, doctor->number, answer) || doctor_now_us() > deadline)
            break;
        well = doctor_pause(doctor, LOOK_EVERY);
    }
    kvpbus_scan_free(&scan);
    return well;
}

bool doctor_greet(struct doctor_vm *doctor)
{
    if (!doctor_ask(doctor, DOCTOR_ASK_HELLO, 0, GREET_WITHIN, doctor->guest))
        return false;
    doctor->helped = doctor->guest[0] != '\0';
    return true;
}
