// SPDX-License-Identifier: Apache-2.0
//
// The rows of the table, and how it is shown.
#include <assert.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "doctor_vm.h"
#include "moment.h"
#include "utf8.h"
#include "version.h"

static struct doctor_row *new_row(struct doctor_vm *doctor, const char *about)
{
    if (doctor->count == DOCTOR_ROWS_MAX)
        doctor->count--; // the last one is overwritten
    struct doctor_row *row = &doctor->rows[doctor->count++];
    *row = (struct doctor_row){.question = doctor->now, .about = about};
    return row;
}

static bool among(const char *words, const char *word)
{
    size_t length = strlen(word);
    for (const char *at = words; (at = strstr(at, word)) != NULL; at += length)
        if (at > words && at[-1] == ' ' && at[length] == ' ')
            return true;
    return false;
}

struct doctor_row *doctor_found(struct doctor_vm *doctor, const char *about, const char *found,
                                const char *says, ...)
{
    struct doctor_row *row = new_row(doctor, about);
    va_list arguments;
    assert(among(doctor_questions[doctor->now - 1].words, found));
    row->found = found;
    va_start(arguments, says);
    vsnprintf(row->says, sizeof row->says, says, arguments);
    kvpbus_utf8_mend(row->says);
    va_end(arguments);
    return row;
}

void doctor_number(struct doctor_row *row, const char *name, int64_t value)
{
    assert(row->number_count < DOCTOR_NUMBERS_MAX);
    row->numbers[row->number_count].name = name;
    row->numbers[row->number_count++].value = value;
}

void doctor_code(struct doctor_row *row, const struct kvpbus_call_result *result)
{
    doctor_number(row, "return_value", result->return_value);
    if (result->had_job) {
        doctor_number(row, "job_state", result->job_state);
        doctor_number(row, "error_code", result->error_code);
    }
    doctor_number(row, "hresult", result->hresult);
}

void doctor_unmeasured(struct doctor_vm *doctor, const char *about, const char *why, ...)
{
    struct doctor_row *row = new_row(doctor, about);
    va_list arguments;
    va_start(arguments, why);
    vsnprintf(row->says, sizeof row->says, why, arguments);
    kvpbus_utf8_mend(row->says);
    va_end(arguments);
}

bool doctor_helped(struct doctor_vm *doctor, const char *about)
{
    if (!doctor->helped)
        doctor_unmeasured(doctor, about, "needs 'kvpbus doctor --answer' running in the VM");
    return doctor->helped;
}

void doctor_progress(const struct doctor_vm *doctor, const char *what, unsigned done,
                     unsigned total)
{
    if (!doctor->shows)
        return;
    if (what == NULL)
        fputs("\r\033[K", stderr);
    else
        fprintf(stderr, "\r%2u of %d: %s %u/%u\033[K", doctor->now, DOCTOR_QUESTIONS, what, done,
                total);
}

void doctor_print(const struct doctor_vm *doctor)
{
    char guid[KVPBUS_GUID_TEXT + 1], system[DOCTOR_SYSTEM_TEXT], moment[MOMENT_TEXT];
    unsigned question = 0;
    kvpbus_guid_format(doctor->vm.guid, guid);
    doctor_system(system);
    moment_text(doctor->began, moment);
    printf("VM     %s (%s), %s\n", doctor->vm.name, guid, moment);
    printf("host   kvpbus %s, %s; store %s\n", KVPBUS_VERSION, system,
           doctor->store[0] != '\0' ? doctor->store : "as installed");
    printf("guest  %s\n", doctor->helped ? doctor->guest : "nobody answers in it");
    for (size_t i = 0; i < doctor->count; i++) {
        const struct doctor_row *row = &doctor->rows[i];
        if (row->question != question)
            printf("\n%2u  %s\n", row->question, doctor_questions[row->question - 1].asks);
        question = row->question;
        printf("    %-28s %-12s %s\n", row->about, row->found != NULL ? row->found : "not measured",
               row->says);
    }
}
