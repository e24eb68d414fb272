// SPDX-License-Identifier: Apache-2.0
//
// What is not known of Hyper-V, measured at one VM of this host through its management service,
// beside the kvpbus service or without it. One question of the fact sheet at a time; each is one
// function that adds rows to the table. Everything that is written has a prefix of its own, and is
// removed after each question and at the end.
#ifndef KVPBUS_DOCTOR_VM_H
#define KVPBUS_DOCTOR_VM_H

#include <jansson.h>

#include "command.h"
#include "doctor_probe.h"
#include "kvpbus/management.h"

enum {
    DOCTOR_QUESTIONS = 11,
    DOCTOR_ROWS_MAX = 64,
    DOCTOR_NUMBERS_MAX = 12,
    DOCTOR_SAYS = 240,
    DOCTOR_ANSWER = 256,
    DOCTOR_UNTIL = 8, // items in question 3, unless given
};

// A row: found is one of the words of its question; NULL: it was not measured, and `says` why.
struct doctor_row {
    unsigned question;
    const char *about, *found;
    char says[DOCTOR_SAYS];
    struct {
        const char *name;
        int64_t value;
    } numbers[DOCTOR_NUMBERS_MAX];
    size_t number_count;
};

struct doctor_vm {
    // What is wanted.
    const char *name, *store, *report;
    bool only[DOCTOR_QUESTIONS + 1]; // none: all
    unsigned until;
    bool shows; // how it goes on

    struct kvpbus_management *management;
    struct kvpbus_vm vm;
    bool silent;               // the guest's service takes no items: 0x800710DF
    bool helped;               // doctor --answer runs in the guest,
    char guest[DOCTOR_ANSWER]; // and says this of itself

    uint32_t number;     // of the last question to the guest
    bool question_there; // its item is
    bool clearing;       // then Ctrl-C does not hinder
    unsigned now;        // the question
    struct doctor_row rows[DOCTOR_ROWS_MAX];
    size_t count;
    size_t left;    // items that could not be removed
    bool copy_kept; // the guest may have one that the host has not
    int64_t began;
    struct kvpbus_failure failure; // why it ended early
};

struct doctor_question {
    const char *asks;
    const char *words; // what can be found, each between blanks
    bool takes;        // the guest's service has to take items
    // False: it cannot go on; doctor->failure says why.
    bool (*measure)(struct doctor_vm *doctor);
};

// doctor_vm.c
extern const struct doctor_question doctor_questions[DOCTOR_QUESTIONS]; // 1 is the first
int doctor_vm(const struct kvpbus_command_context *context, struct doctor_vm *doctor);

// doctor_vm_row.c: further rows than there is room for are left out.
struct doctor_row *doctor_found(struct doctor_vm *doctor, const char *about, const char *found,
                                const char *says, ...) KVPBUS_PRINTF(4, 5);
void doctor_number(struct doctor_row *row, const char *name, int64_t value);
void doctor_code(struct doctor_row *row, const struct kvpbus_call_result *result);
void doctor_unmeasured(struct doctor_vm *doctor, const char *about, const char *why, ...)
    KVPBUS_PRINTF(3, 4);
// "needs 'kvpbus doctor --answer' in the VM" unless that runs.
bool doctor_helped(struct doctor_vm *doctor, const char *about);
void doctor_progress(const struct doctor_vm *doctor, const char *what, unsigned done,
                     unsigned total);
void doctor_print(const struct doctor_vm *doctor);

// doctor_vm_call.c: false, and doctor->failure, when it was not answered or the user ended it.
bool doctor_call(struct doctor_vm *doctor, enum kvpbus_operation operation,
                 const struct kvpbus_change *items, size_t count,
                 struct kvpbus_call_result *result);
bool doctor_call_one(struct doctor_vm *doctor, enum kvpbus_operation operation, const char *key,
                     const char *value, struct kvpbus_call_result *result);
// 0: it has been done; else the code that says why not.
uint32_t doctor_outcome(const struct kvpbus_call_result *result);
// "32773, invalid parameter: " and what the job says.
void doctor_outcome_text(const struct kvpbus_call_result *result, char text[DOCTOR_SAYS]);
// What has to be done for a question could not be: fills in doctor->failure; false.
bool doctor_refused(struct doctor_vm *doctor, const char *what,
                    const struct kvpbus_call_result *result);
bool doctor_not_ready(const struct kvpbus_call_result *result); // 0x800710DF
bool doctor_read_host(struct doctor_vm *doctor, struct kvpbus_scan *scan);
bool doctor_read_guest(struct doctor_vm *doctor, struct kvpbus_scan *scan);
// The value of a key; NULL: it is not there.
const char *doctor_value(const struct kvpbus_scan *scan, const char *key);
// "kvpbusdoctor.kkkk", so long.
enum { DOCTOR_LONG_KEY_MAX = 257 };
void doctor_long_key(size_t length, char key[DOCTOR_LONG_KEY_MAX + 1]);
// Removes what of this prefix is among the host's items; doctor->left says what stays.
bool doctor_clear(struct doctor_vm *doctor);
// Not longer than until the user ends it.
bool doctor_pause(struct doctor_vm *doctor, unsigned ms);
int64_t doctor_now_us(void);

// A number of measured times, or of anything; sorted in place.
struct doctor_spread {
    int64_t median, most;
};
struct doctor_spread doctor_spread_of(int64_t *values, size_t count);

// doctor_vm_ask.c: asks the guest. `answer` is "" when it has not answered in time.
bool doctor_ask(struct doctor_vm *doctor, const char *word, unsigned argument, unsigned wait_ms,
                char answer[DOCTOR_ANSWER]);
// Whether anybody answers.
bool doctor_greet(struct doctor_vm *doctor);

// doctor_vm_time.c, doctor_vm_limit.c, doctor_vm_batch.c, doctor_vm_state.c, doctor_vm_guest.c
bool doctor_reads(struct doctor_vm *doctor);       // 1
bool doctor_job_times(struct doctor_vm *doctor);   // 2
bool doctor_ceilings(struct doctor_vm *doctor);    // 3
bool doctor_batches(struct doctor_vm *doctor);     // 4
bool doctor_lengths(struct doctor_vm *doctor);     // 5
bool doctor_not_taken(struct doctor_vm *doctor);   // 6
bool doctor_texts(struct doctor_vm *doctor);       // 7
bool doctor_revert(struct doctor_vm *doctor);      // 8
bool doctor_other_state(struct doctor_vm *doctor); // 9
bool doctor_unchanged(struct doctor_vm *doctor);   // 10
bool doctor_order(struct doctor_vm *doctor);       // 11

// Of the VM; as it was at first when that cannot be seen.
enum kvpbus_vm_state doctor_state_now(struct doctor_vm *doctor);

// doctor_report.c
json_t *doctor_report(const struct doctor_vm *doctor);
// Into a new file.
enum kvpbus_error doctor_report_write(const struct doctor_vm *doctor,
                                      struct kvpbus_failure *failure);

// doctor_answer.c: doctor --answer, in the guest.
int doctor_answer(const struct kvpbus_command_context *context, const char *store,
                  uint64_t within_ms);

#endif
