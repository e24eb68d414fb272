// SPDX-License-Identifier: Apache-2.0
//
// Questions 6, 8 and 9: a guest that takes nothing, a VM that is reverted, and one that is off, on
// its way, or has no Data Exchange. The doctor brings none of these about: it finds the VM so, or
// asks the user to.
#include <stdio.h>
#include <string.h>

#include "doctor_vm.h"
#include "program.h"

#define MARK DOCTOR_KEY("r")

enum { COPY_WITHIN = 10000, READY_TRIES = 20, READY_PAUSE = 500 }; // ms

// Adds an item; *kept tells whether the host has it then.
static bool add_and_look(struct doctor_vm *doctor, struct kvpbus_call_result *result, bool *kept)
{
    struct kvpbus_scan scan = {0};
    bool well = doctor_call_one(doctor, KVPBUS_OP_ADD, DOCTOR_KEY_TEXT, "kept?", result) &&
                doctor_read_host(doctor, &scan);
    *kept = doctor_value(&scan, DOCTOR_KEY_TEXT) != NULL;
    kvpbus_scan_free(&scan);
    return well;
}

// True: the user has done it. False: the user ended it, or nobody is there.
static bool done_by_user(const char *what)
{
    char line[80];
    fprintf(stderr, "\n%s, then press Enter: ", what);
    fflush(stderr);
    return fgets(line, sizeof line, stdin) != NULL && !kvpbus_program_ended();
}

// --- 6 ---

// Until it takes items again; each of those that it did not take may be stored.
static bool await_service(struct doctor_vm *doctor)
{
    struct kvpbus_call_result result;
    char key[32];
    for (unsigned i = 0; i < READY_TRIES; i++) {
        snprintf(key, sizeof key, DOCTOR_KEY("p") "%u", i);
        if (!doctor_call_one(doctor, KVPBUS_OP_ADD, key, "probe", &result))
            return false;
        doctor->silent = doctor_not_ready(&result);
        if (!doctor->silent)
            return true;
        if (!doctor_pause(doctor, READY_PAUSE))
            return false;
    }
    kvpbus_fail(&doctor->failure, KVPBUS_STORE_GONE, "the guest still takes no items (0x800710DF)");
    return false;
}

// The service is there again: has what was stored meanwhile come to the guest?
static bool sent_later(struct doctor_vm *doctor)
{
    static const char about[] = "sent when it is ready again";
    char answer[DOCTOR_ANSWER] = "";
    if (!doctor->only[6]) {
        doctor_unmeasured(doctor, about,
                          "needs you to start that service again: --only 6 asks you");
        return true;
    }
    if (!done_by_user("Start the service in the guest again, and 'kvpbus doctor --answer'")) {
        doctor_unmeasured(doctor, about, "the service was not started");
        return true;
    }
    if (!await_service(doctor))
        return false;
    if (!doctor_greet(doctor))
        return false;
    if (!doctor_helped(doctor, about))
        return true;
    if (!doctor_ask(doctor, DOCTOR_ASK_COPY, 0, COPY_WITHIN, answer))
        return false;
    bool sent = strcmp(answer, "copied") == 0;
    doctor_found(doctor, about, sent ? "sent" : "not-sent", "the guest %s it",
                 sent ? "has" : "does not have");
    return doctor_ask(doctor, DOCTOR_ASK_STOP, 0, COPY_WITHIN, answer);
}

bool doctor_not_taken(struct doctor_vm *doctor)
{
    static const char about[] = "after HRESULT 0x800710df";
    struct kvpbus_call_result result, again;
    char said[DOCTOR_SAYS];
    bool kept;
    if (!doctor->silent) {
        doctor_unmeasured(doctor, about,
                          "needs a running guest whose service of Data Exchange is stopped: stop "
                          "it there, then --only 6");
        return true;
    }
    if (!add_and_look(doctor, &result, &kept) ||
        !doctor_call_one(doctor, KVPBUS_OP_ADD, DOCTOR_KEY_TEXT, "again", &again))
        return false;
    doctor_outcome_text(&again, said);
    struct doctor_row *row =
        doctor_found(doctor, about, kept ? "stored" : "dropped",
                     "it is %samong the host's items; Add again: %.120s", kept ? "" : "not ", said);
    doctor_number(row, "stored", kept);
    doctor_number(row, "again_code", doctor_outcome(&again));
    doctor_code(row, &result);
    return !kept || sent_later(doctor);
}

// --- 8 ---

static bool mark(struct doctor_vm *doctor, enum kvpbus_operation operation, const char *value)
{
    struct kvpbus_call_result result;
    if (!doctor_call_one(doctor, operation, MARK, value, &result))
        return false;
    return doctor_outcome(&result) == 0 ||
           doctor_refused(doctor, "an item that marks the time", &result);
}

static bool look_at_mark(struct doctor_vm *doctor, const char *about)
{
    struct kvpbus_scan scan = {0};
    bool well = doctor_read_host(doctor, &scan);
    const char *value = doctor_value(&scan, MARK);
    if (well && value == NULL)
        doctor_found(doctor, about, "lost", "an item of the host is gone");
    else if (well && strcmp(value, "before") == 0)
        doctor_found(doctor, about, "rolled-back", "the host's items are those of the checkpoint");
    else if (well)
        doctor_found(doctor, about, "kept", "the host's items are those of before the revert");
    kvpbus_scan_free(&scan);
    return well;
}

// The guest hears of a removal only while it runs, and only when the host has the item.
static bool remove_copy(struct doctor_vm *doctor)
{
    struct kvpbus_call_result result;
    if (!done_by_user("Start the VM, so that its copy of the item can be removed"))
        return true;
    if (!doctor_call_one(doctor, KVPBUS_OP_MODIFY, MARK, "to be removed", &result))
        return false;
    if (doctor_outcome(&result) != 0 &&
        !doctor_call_one(doctor, KVPBUS_OP_ADD, MARK, "to be removed", &result))
        return false;
    bool well = doctor_outcome(&result) == 0 && doctor_state_now(doctor) == KVPBUS_VM_STATE_RUNNING;
    if (!doctor_call_one(doctor, KVPBUS_OP_REMOVE, MARK, "", &result))
        return false;
    doctor->copy_kept = !well || doctor_outcome(&result) != 0;
    return true;
}

bool doctor_revert(struct doctor_vm *doctor)
{
    static const char about[] = "the host's items at a revert";
    doctor_unmeasured(doctor, "sent again at a restore",
                      "needs a look into the guest while it is saved and started: see its registry "
                      "or pool files");
    if (!doctor->only[8]) {
        doctor_unmeasured(doctor, about,
                          "needs you to make a checkpoint and apply it: --only 8 asks you to");
        return true;
    }
    if (!mark(doctor, KVPBUS_OP_ADD, "before"))
        return false;
    // From now on the disk, or a checkpoint, may have a copy that the guest gets back.
    doctor->copy_kept = true;
    if (!done_by_user("Make a checkpoint of the VM, off or running")) {
        doctor_unmeasured(doctor, about, "no checkpoint was made");
        return true;
    }
    if (!mark(doctor, KVPBUS_OP_MODIFY, "after"))
        return false;
    if (!done_by_user("Apply that checkpoint")) {
        doctor_unmeasured(doctor, about, "no checkpoint was applied");
        return true;
    }
    return look_at_mark(doctor, about) && remove_copy(doctor);
}

// --- 9 ---

bool doctor_other_state(struct doctor_vm *doctor)
{
    struct kvpbus_call_result result;
    struct kvpbus_scan scan = {0};
    char said[DOCTOR_SAYS];
    bool kept;
    const char *about = doctor->vm.exchange_enabled ? kvpbus_vm_state_text(doctor->vm.state)
                                                    : "Data Exchange is off";
    if (doctor->vm.exchange_enabled && doctor->vm.state == KVPBUS_VM_STATE_RUNNING) {
        doctor_unmeasured(doctor, "Data Exchange off",
                          "needs it switched off in the VM's settings, then --only 9");
        doctor_unmeasured(doctor, "starting, saving, off",
                          "needs the VM in that state, then --only 9");
        return true;
    }
    if (!add_and_look(doctor, &result, &kept))
        return false;
    bool done = doctor_outcome(&result) == 0;
    const char *found = done ? "accepted" : "refused";
    if (done != kept)
        found = done ? "accepted-lost" : "refused-kept";
    doctor_outcome_text(&result, said);
    struct doctor_row *row =
        doctor_found(doctor, about, found, "Add: %.120s; the item is %samong the host's", said,
                     kept ? "" : "not ");
    doctor_number(row, "vm_state", doctor->vm.state);
    doctor_number(row, "exchange_enabled", doctor->vm.exchange_enabled);
    doctor_number(row, "kept", kept);
    doctor_code(row, &result);
    struct kvpbus_failure before = doctor->failure;
    if (!doctor_read_guest(doctor, &scan))
        doctor_number(row, "read_guest_error", doctor->failure.code);
    doctor->failure = before;
    kvpbus_scan_free(&scan);
    return !kvpbus_program_ended();
}
