// SPDX-License-Identifier: Apache-2.0
//
// What the doctor has found at a VM, as JSON.
#include <stdio.h>

#include "doctor_vm.h"
#include "file.h"
#include "version.h"

static json_t *row_json(const struct doctor_row *row)
{
    json_t *numbers = json_object();
    for (size_t i = 0; i < row->number_count; i++)
        json_object_set_new(numbers, row->numbers[i].name, json_integer(row->numbers[i].value));
    return json_pack("{s:s, s:s?, s:s, s:o}", "about", row->about, "found", row->found, "says",
                     row->says, "numbers", numbers);
}

static json_t *questions_json(const struct doctor_vm *doctor)
{
    json_t *questions = json_array();
    for (unsigned number = 1; number <= DOCTOR_QUESTIONS; number++) {
        json_t *findings = json_array();
        for (size_t i = 0; i < doctor->count; i++)
            if (doctor->rows[i].question == number)
                json_array_append_new(findings, row_json(&doctor->rows[i]));
        if (json_array_size(findings) == 0) {
            json_decref(findings);
            continue;
        }
        json_array_append_new(questions,
                              json_pack("{s:i, s:s, s:o}", "number", (int)number, "question",
                                        doctor_questions[number - 1].asks, "findings", findings));
    }
    return questions;
}

json_t *doctor_report(const struct doctor_vm *doctor)
{
    char guid[KVPBUS_GUID_TEXT + 1], system[DOCTOR_SYSTEM_TEXT];
    kvpbus_guid_format(doctor->vm.guid, guid);
    doctor_system(system);
    json_t *vm = json_pack("{s:s, s:s, s:s, s:b}", "guid", guid, "name", doctor->vm.name, "state",
                           kvpbus_vm_state_text(doctor->vm.state), "exchange_enabled",
                           (int)doctor->vm.exchange_enabled);
    bool complete = doctor->failure.code == KVPBUS_OK;
    // An error of zero has no name in a report.
    return json_pack("{s:i, s:s, s:I, s:s, s:s, s:o, s:s?, s:i, s:b, s:s?, s:i, s:o}", "report", 1,
                     "kvpbus", KVPBUS_VERSION, "time_ms", (json_int_t)doctor->began, "host", system,
                     "store", doctor->store, "vm", vm, "guest",
                     doctor->helped ? doctor->guest : NULL, "until", (int)doctor->until, "complete",
                     (int)complete, "failure", complete ? NULL : doctor->failure.detail,
                     "items_left", (int)doctor->left, "questions", questions_json(doctor));
}

enum kvpbus_error doctor_report_write(const struct doctor_vm *doctor,
                                      struct kvpbus_failure *failure)
{
    json_t *report = doctor_report(doctor);
    if (report == NULL)
        return kvpbus_fail(failure, KVPBUS_NOMEM, "the report %.120s", doctor->report);
    FILE *file = kvpbus_file_stream(doctor->report, "wx");
    bool well =
        file != NULL && json_dumpf(report, file, JSON_INDENT(2)) == 0 && fputc('\n', file) != EOF;
    int code = kvpbus_system_code();
    if (file != NULL && fclose(file) != 0)
        well = false;
    json_decref(report);
    if (well)
        return KVPBUS_OK;
    return kvpbus_fail(failure, kvpbus_system_error(code), "the report %.120s: %s", doctor->report,
                       kvpbus_system_text(code));
}
