// SPDX-License-Identifier: Apache-2.0
//
// doctor --vm: which questions there are, and that they are asked of a VM that can answer.
#include "doctor_vm.h"

#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "file.h"
#include "host_management.h"
#include "program.h"

const struct doctor_question doctor_questions[DOCTOR_QUESTIONS] = {
    {"Are the guest's items read on demand, and how late?", " measured on-demand cached unclear ",
     true, doctor_reads},
    {"How long do jobs take?", " measured refused ", true, doctor_job_times},
    {"How many items are there room for?", " reached not-reached ", true, doctor_ceilings},
    {"One bad item in a call: is it undone, or done in part?",
     " accepted refused skipped partial rolled-back ", true, doctor_batches},
    {"How long may a value be, and a key?", " refused not-reached ", true, doctor_lengths},
    {"Is an item stored that the guest did not take?", " stored dropped sent not-sent ", false,
     doctor_not_taken},
    {"Does a value's text come back as it was?", " exact trimmed escaped changed lost refused ",
     true, doctor_texts},
    {"What does a revert do to the host's items?", " rolled-back kept lost ", false, doctor_revert},
    {"What do calls give when the VM cannot exchange?",
     " accepted accepted-lost refused refused-kept ", false, doctor_other_state},
    {"Does the guest notice a Modify that changes nothing?", " notifies silent unclear ", true,
     doctor_unchanged},
    {"In which order are the guest's items read?", " as-written sorted reversed other ", true,
     doctor_order},
};

// Whether the question is wanted.
static bool asked(const struct doctor_vm *doctor, unsigned question)
{
    bool any = false;
    for (unsigned i = 1; i <= DOCTOR_QUESTIONS; i++)
        any = any || doctor->only[i];
    return !any || doctor->only[question];
}

// 8 and 9 are about VMs that do not run.
static bool has_to_run(const struct doctor_vm *doctor)
{
    for (unsigned i = 1; i <= DOCTOR_QUESTIONS; i++)
        if (i != 8 && i != 9 && asked(doctor, i))
            return true;
    return false;
}

static enum kvpbus_error check_state(struct doctor_vm *doctor)
{
    const struct kvpbus_vm *vm = &doctor->vm;
    if (!has_to_run(doctor))
        return KVPBUS_OK;
    if (!vm->exchange_enabled)
        return kvpbus_fail(&doctor->failure, KVPBUS_EXCHANGE_DISABLED,
                           "Data Exchange is switched off for VM %.60s; switch it on, or see with "
                           "--only 9 what calls give so",
                           vm->name);
    if (vm->state == KVPBUS_VM_STATE_FAILED)
        return kvpbus_fail(&doctor->failure, KVPBUS_STORE_TOO_MANY,
                           "VM %.60s has too many items of its host; remove some first", vm->name);
    if (vm->state != KVPBUS_VM_STATE_RUNNING)
        return kvpbus_fail(&doctor->failure, KVPBUS_VM_OFF,
                           "VM %.60s is %s, and has to run; --only 9 sees what calls give so",
                           vm->name, kvpbus_vm_state_text(vm->state));
    return KVPBUS_OK;
}

// Whether the guest's service takes items, and whether its doctor answers.
static bool meet_guest(struct doctor_vm *doctor)
{
    struct kvpbus_call_result result;
    if (doctor->vm.state != KVPBUS_VM_STATE_RUNNING || !doctor->vm.exchange_enabled)
        return true;
    if (!doctor_call_one(doctor, KVPBUS_OP_ADD, DOCTOR_KEY("p"), "probe", &result))
        return false;
    doctor->silent = doctor_not_ready(&result);
    if (doctor_outcome(&result) != 0 && !doctor->silent)
        return doctor_refused(doctor, "an item of the doctor", &result);
    return doctor->silent || doctor_greet(doctor);
}

static bool ask_all(struct doctor_vm *doctor)
{
    for (doctor->now = 1; doctor->now <= DOCTOR_QUESTIONS; doctor->now++) {
        const struct doctor_question *question = &doctor_questions[doctor->now - 1];
        if (!asked(doctor, doctor->now))
            continue;
        doctor_progress(doctor, question->asks, 0, 1);
        if (question->takes && doctor->silent)
            doctor_unmeasured(doctor, "all of it",
                              "needs a guest that takes items; its service of Data Exchange is "
                              "not ready (0x800710DF)");
        else if (!question->measure(doctor))
            return false;
        if (!doctor_clear(doctor))
            return false;
    }
    return true;
}

static void examine(struct doctor_vm *doctor)
{
    // What a run that was killed has left. In a state in which it cannot be removed the rest tells.
    bool clean = doctor_clear(doctor);
    if (doctor->failure.code == KVPBUS_OK && meet_guest(doctor) && (clean || doctor_clear(doctor)))
        ask_all(doctor);
    doctor_clear(doctor);
    doctor_progress(doctor, NULL, 0, 0);
}

static enum kvpbus_error begin(struct doctor_vm *doctor)
{
    enum kvpbus_error error = KVPBUS_OK;
    if (doctor->report != NULL && kvpbus_file_exists(doctor->report))
        return kvpbus_fail(&doctor->failure, KVPBUS_EXISTS,
                           "%.120s is there already; name another file for the report",
                           doctor->report);
    error = kvpbus_host_management_open(doctor->store, &doctor->management, &doctor->failure);
    if (error == KVPBUS_OK)
        error =
            kvpbus_management_find(doctor->management, doctor->name, &doctor->vm, &doctor->failure);
    return error == KVPBUS_OK ? check_state(doctor) : error;
}

// What was found before it ended early is worth something too.
static int tell_found(const struct kvpbus_command_context *context, struct doctor_vm *doctor)
{
    struct kvpbus_failure failure = {0};
    int code = KVPBUS_EXIT_OK;
    if (context->json) {
        json_t *report = doctor_report(doctor);
        json_dumpf(report, stdout, JSON_INDENT(2));
        putchar('\n');
        json_decref(report);
    } else {
        doctor_print(doctor);
    }
    if (doctor->report != NULL && doctor_report_write(doctor, &failure) != KVPBUS_OK)
        code = kvpbus_command_failed(context, &failure);
    if (doctor->left > 0) {
        fprintf(stderr,
                "kvpbus: %zu items " DOCTOR_PREFIX ".* stay among the host's items of VM %s; the "
                "next 'kvpbus doctor --vm' removes them\n",
                doctor->left, doctor->vm.name);
        code = KVPBUS_EXIT_FAILED;
    }
    if (doctor->copy_kept)
        fputs("kvpbus: the guest may keep its copy of " DOCTOR_PREFIX ".r: remove it there\n",
              stderr);
    if (doctor->failure.code == KVPBUS_OK)
        return code;
    code = kvpbus_command_failed(context, &doctor->failure);
    return doctor->failure.code == KVPBUS_CLOSED ? KVPBUS_EXIT_FAILED : code; // by the user
}

int doctor_vm(const struct kvpbus_command_context *context, struct doctor_vm *doctor)
{
    int code;
    if (begin(doctor) != KVPBUS_OK) {
        code = kvpbus_command_failed(context, &doctor->failure);
    } else {
        kvpbus_program_end_gently();
        doctor->shows = isatty(STDERR_FILENO) != 0;
        doctor->began = (int64_t)time(NULL) * 1000;
        examine(doctor);
        code = tell_found(context, doctor);
    }
    if (doctor->management != NULL)
        doctor->management->ops->close(doctor->management);
    return code;
}
