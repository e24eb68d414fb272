// SPDX-License-Identifier: Apache-2.0
//
// doctor --vm against the lab: what each of the lab's switches was set to is found, nothing of the
// doctor stays, and what is wrong is one clear error.
#include <criterion/criterion.h>
#include <criterion/parameterized.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "world.h"

#define DOCTOR "$KVPBUS --json doctor --store lab:host.sock --vm alpha "
#define ANSWER_BEGINS                                                              \
    "$KVPBUS doctor --store pool:vm/alpha/kvp --answer 2>answer.log & helper=$!; " \
    "until grep -q answering answer.log; do sleep 0.1; done"
#define ANSWER_ENDS "kill -INT $helper; wait $helper || code=99"

static struct world world;

static void end(void)
{
    world_end(&world);
}

// Neither side has an item of the doctor.
static void nothing_is_left(void)
{
    cr_assert_neq(world_shell(&world, "grep kvpbusdoctor vm/alpha/host-items.json"), 0, "%s",
                  world_output());
    cr_assert_neq(world_shell(&world, "grep -a kvpbusdoctor vm/alpha/kvp/.kvp_pool_[01]"), 0);
}

// --- what is found ---

struct setting {
    char options[64]; // of the lab
    char fault[32];   // of alpha; "": none
    char words[40];   // of doctor
    bool helped;      // by doctor --answer
    char about[40], found[16];
    char number[24]; // "": none; at least, or exactly, this
    long least, exact;
};

static struct setting settings[] = {
    {"", "", "--only 1", true, "what the guest writes", "on-demand", "reads", 5, 0},
    {"--guest-cache 400", "", "--only 1", true, "what the guest writes", "cached",
     "change_median_us", 150000, 0},
    {"--latency 60", "", "--only 1", false, "a read of the guest's items", "measured",
     "guest_median_us", 60000, 0},
    {"", "", "--only 2", false, "16 items", "measured", "tries", 0, 5},
    {"--job-latency 100", "", "--only 2", false, "1 item", "measured", "add_median_us", 100000, 0},
    {"", "", "--only 3 --until 40", false, "items of the host", "not-reached", "items", 0, 40},
    {"--item-limit 20", "", "--only 3 --until 40", false, "items of the host", "reached", "items",
     0, 20},
    {"", "", "--only 3 --until 40", true, "items of the guest", "not-reached", "items", 0, 40},
    {"--guest-limit 20", "", "--only 3 --until 40", true, "items of the guest", "reached", "items",
     0, 19},
    {"", "", "--only 4", false, "Add of 3, one is there", "partial", "", 0, 0},
    {"", "", "--only 4", false, "Modify of 3, one is missing", "partial", "", 0, 0},
    {"--atomic", "", "--only 4", false, "Add of 3, one is there", "rolled-back", "", 0, 0},
    {"--atomic", "", "--only 4", false, "Modify of 3, one is missing", "rolled-back", "", 0, 0},
    {"", "", "--only 4", false, "Modify of what is missing", "refused", "error_code", 0, 32773},
    {"--modify-missing 32779", "", "--only 4", false, "Modify of what is missing", "refused",
     "error_code", 0, 32779},
    {"", "", "--only 4", false, "Remove of what is missing", "accepted", "", 0, 0},
    {"--remove-missing 32773", "", "--only 4", false, "Remove of what is missing", "refused",
     "error_code", 0, 32773},
    {"", "", "--only 5", false, "characters of a value", "refused", "last_taken", 0, 1023},
    {"--value-limit 1022", "", "--only 5", false, "characters of a value", "refused", "last_taken",
     0, 1022},
    {"", "", "--only 5", false, "characters of a value", "refused", "return_value", 0, 32773},
    {"--too-long 32768", "", "--only 5", false, "characters of a value", "refused", "return_value",
     0, 32768},
    {"", "daemon-absent", "--only 6", false, "after HRESULT 0x800710df", "stored", "again_code", 0,
     32773},
    {"--drop-failed", "daemon-absent", "--only 6", false, "after HRESULT 0x800710df", "dropped", "",
     0, 0},
    {"", "", "--only 7", true, "to the guest and back", "exact", "", 0, 0},
    {"--item-text trimmed", "", "--only 7", false, "as the host reads it back", "trimmed", "", 0,
     0},
    {"--item-text escaped", "", "--only 7", true, "to the guest and back", "escaped", "", 0, 0},
    {"", "disable-exchange", "--only 9", false, "Data Exchange is off", "refused", "return_value",
     0, 32775},
    {"--exchange-off 32777", "disable-exchange", "--only 9", false, "Data Exchange is off",
     "refused", "return_value", 0, 32777},
    {"--exchange-off 0", "disable-exchange", "--only 9", false, "Data Exchange is off", "accepted",
     "", 0, 0},
    {"--stopped", "", "--only 9", false, "off", "accepted", "vm_state", 0, KVPBUS_VM_STATE_OFF},
    {"", "", "--only 10", true, "Modify that changes nothing", "notifies", "", 0, 0},
    {"--skip-unchanged", "", "--only 10", true, "Modify that changes nothing", "silent", "", 0, 0},
    {"", "", "--only 11", true, "the guest's items", "as-written", "", 0, 0},
    {"--sort-guest", "", "--only 11", true, "the guest's items", "sorted", "", 0, 0},
};

// The row about something in the report that was printed.
static const char *row_about(const char *about)
{
    char words[64];
    snprintf(words, sizeof words, "\"about\": \"%s\"", about);
    const char *row = strstr(world_output(), words);
    cr_assert_not_null(row, "nothing about %s: %s", about, world_output());
    return row;
}

static void expect_found(const char *about, const char *found)
{
    char words[64];
    const char *row = row_about(about);
    const char *says = strstr(row, "\"found\": ");
    snprintf(words, sizeof words, "\"found\": \"%s\"", found);
    cr_assert_eq(strncmp(says, words, strlen(words)), 0, "%s is not %s: %.300s", about, found, row);
}

static long number_of(const char *about, const char *name)
{
    char words[64];
    const char *row = row_about(about);
    snprintf(words, sizeof words, "\"%s\": ", name);
    const char *number = strstr(row, words);
    cr_assert_not_null(number, "no %s: %.400s", name, row);
    return strtol(number + strlen(words), NULL, 10);
}

static void await_no_daemon(void)
{
    for (int i = 0; i < 500 && lab_daemon(&world.lab, LAB_ALPHA) != 0; i++)
        lab_sleep_ms(10);
}

static int run_doctor(const struct setting *setting)
{
    if (!setting->helped)
        return world_shell(&world, DOCTOR "%s </dev/null", setting->words);
    return world_shell(
        &world, ANSWER_BEGINS "; " DOCTOR "%s </dev/null; code=$?; " ANSWER_ENDS "; exit $code",
        setting->words);
}

ParameterizedTestParameters(doctor_vm, a_switch_is_found)
{
    return cr_make_param_array(struct setting, settings, sizeof settings / sizeof *settings);
}

ParameterizedTest(struct setting *setting, doctor_vm, a_switch_is_found, .fini = end)
{
    char fault[64];
    world_begin(&world, setting->options);
    snprintf(fault, sizeof fault, "fault alpha %s", setting->fault);
    if (setting->fault[0] != '\0')
        lab_ctl(&world.lab, fault);
    if (strcmp(setting->fault, "daemon-absent") == 0)
        await_no_daemon();
    cr_assert_eq(run_doctor(setting), 0, "%s", world_output());
    expect_found(setting->about, setting->found);
    if (setting->number[0] != '\0') {
        long number = number_of(setting->about, setting->number);
        cr_assert(setting->least != 0 ? number >= setting->least : number == setting->exact,
                  "%s is %ld", setting->number, number);
    }
    nothing_is_left();
}

// Runs the doctor, which asks its user for something; `steps` wait for that with `asked WORDS`, do
// it, and press Enter with `enter`.
static void with_user(const char *words, const char *steps)
{
    cr_assert_eq(
        world_shell(
            &world,
            "asked() { for i in $(seq 300); do grep -q \"$1\" asks && return; sleep 0.1; "
            "done; cat asks; exit 98; }; enter() { echo >&3; }; lab() { %s ctl . \"$@\"; }; "
            "mkfifo user; " DOCTOR "%s <user 2>asks >says & doctor=$!; exec 3>user; "
            "%s; wait $doctor; code=$?; %s; cat says asks; exit $code",
            KVPBUS_BUILD_DIR "/lab/kvpbus-lab", words, steps,
            strstr(steps, "helper=") != NULL ? ANSWER_ENDS : "true"),
        0, "%s", world_output());
}

static void revert(const char *options, const char *found)
{
    world_begin(&world, options);
    with_user("--only 8", "asked \"Make a checkpoint\"; lab stop alpha; lab checkpoint alpha one; "
                          "enter; asked \"Apply that\"; lab revert alpha one; "
                          "enter; asked \"Start the VM\"; lab start alpha; enter");
    expect_found("the host's items at a revert", found);
    nothing_is_left();
}

Test(doctor_vm, a_revert_takes_the_items_back, .fini = end)
{
    revert("", "rolled-back");
}

Test(doctor_vm, a_revert_leaves_the_items, .fini = end)
{
    revert("--revert-keeps-items", "kept");
}

static void service_comes_back(const char *options, const char *found)
{
    world_begin(&world, options);
    lab_ctl(&world.lab, "fault alpha daemon-absent");
    await_no_daemon();
    with_user("--only 6",
              "asked \"Start the service\"; lab fault alpha clear; " ANSWER_BEGINS "; enter");
    expect_found("sent when it is ready again", found);
    nothing_is_left();
}

Test(doctor_vm, what_was_stored_is_not_sent_by_itself, .fini = end)
{
    service_comes_back("", "not-sent");
}

Test(doctor_vm, what_was_stored_is_sent_when_the_service_is_back, .fini = end)
{
    service_comes_back("--push-at-reconnect", "sent");
}

Test(doctor_vm, nothing_is_left_by_a_run_of_all, .fini = end)
{
    world_begin(&world, "");
    cr_assert_eq(world_shell(&world, "$KVPBUS doctor --store lab:host.sock --vm alpha "
                                     "--report new.json </dev/null"),
                 0, "%s", world_output());
    cr_assert_not_null(strstr(world_output(), "not measured needs"), "%s", world_output());
    nothing_is_left();
    cr_assert_eq(world_shell(&world, "grep -c \"\\\"number\\\":\" new.json"), 0);
    cr_assert_str_eq(world_output(), "11");
    // A report is not written over.
    cr_assert_eq(world_shell(&world, DOCTOR "--report new.json"), 1);
    cr_assert_not_null(strstr(world_output(), "new.json is there already"), "%s", world_output());
}

Test(doctor_vm, a_copy_that_the_guest_may_keep_is_said, .fini = end)
{
    world_begin(&world, "");
    with_user("--only 8", "asked \"Make a checkpoint\"; lab stop alpha; lab checkpoint alpha one; "
                          "enter; asked \"Apply that\"; lab revert alpha one; enter; exec 3>&-");
    expect_found("the host's items at a revert", "rolled-back");
    cr_assert_not_null(strstr(world_output(), "the guest may keep its copy of kvpbusdoctor.r"),
                       "%s", world_output());
}

// --- an end before the end ---

static void stopped_by(const char *signal)
{
    world_begin(&world, "--job-latency 200");
    cr_assert_eq(
        world_shell(&world,
                    "$KVPBUS doctor --store lab:host.sock --vm alpha --only 2,3 --until 100 >says "
                    "2>&1 & doctor=$!; until grep -q kvpbusdoctor.n "
                    "vm/alpha/host-items.json; do sleep 0.1; done; kill -%s $doctor; "
                    "wait $doctor; code=$?; cat says; exit $code",
                    signal),
        1, "%s", world_output());
    cr_assert_not_null(strstr(world_output(), "stopped before the end"), "%s", world_output());
    cr_assert_not_null(strstr(world_output(), "How long do jobs take?"), "%s", world_output());
    nothing_is_left();
}

Test(doctor_vm, nothing_is_left_after_ctrl_c, .fini = end)
{
    stopped_by("INT");
}

Test(doctor_vm, nothing_is_left_after_sigterm, .fini = end)
{
    stopped_by("TERM");
}

Test(doctor_vm, what_cannot_be_removed_is_said_and_removed_by_the_next_run, .fini = end)
{
    world_begin(&world, "");
    lab_call(&world.lab, LAB_ALPHA, KVPBUS_OP_ADD, "kvpbusdoctor.old", "of a run that was killed");
    lab_ctl(&world.lab, "fault alpha disable-exchange");
    cr_assert_eq(world_shell(&world, DOCTOR "--only 9"), 1, "%s", world_output());
    cr_assert_not_null(strstr(world_output(), "1 items kvpbusdoctor.* stay"), "%s", world_output());
    lab_ctl(&world.lab, "fault alpha enable-exchange");
    cr_assert_eq(world_shell(&world, DOCTOR "--only 4"), 0, "%s", world_output());
    nothing_is_left();
}

Test(doctor_vm, a_store_that_refuses_its_first_item_is_an_error, .fini = end)
{
    world_begin(&world, "");
    lab_ctl(&world.lab, "fault alpha too-many --count 1");
    cr_assert_eq(world_shell(&world, DOCTOR "--only 4"), 1, "%s", world_output());
    cr_assert_not_null(strstr(world_output(), "an item of the doctor is refused: 32768, failed"),
                       "%s", world_output());
}

// --- beside the bus ---

Test(doctor_vm, the_bus_goes_on_beside_it, .fini = end)
{
    world_begin_paired(&world);
    cr_assert_eq(world_shell(&world, ANSWER_BEGINS
                             "; " DOCTOR "--only 2,4,7,11; code=$?; " ANSWER_ENDS "; exit $code"),
                 0, "%s", world_output());
    expect_found("Add of 3, one is there", "partial");
    world_alpha_works(&world);
    nothing_is_left();
}

// --- what is wrong ---

struct wrong {
    char fault[32]; // a command of ctl; "": none
    char words[80]; // of doctor
    int exit_code;
    char says[64];
};

static const struct wrong wrongs[] = {
    {"stop alpha", "--store lab:host.sock --vm alpha", 1, "VM alpha is off, and has to run"},
    {"pause alpha", "--store lab:host.sock --vm alpha", 1, "VM alpha is paused"},
    {"fault alpha disable-exchange", "--store lab:host.sock --vm alpha", 1,
     "Data Exchange is switched off for VM alpha"},
    {"", "--store lab:host.sock --vm gamma", 4, "this host has no VM gamma"},
    {"", "--store lab:nowhere.sock --vm alpha", 3, "nowhere.sock"},
    {"", "--store pool:kvp --vm alpha", 2, "is not a store of a host"},
    {"", "--store lab:host.sock --answer", 2, "is not a store of a guest"},
    {"", "--vm alpha --until 2000", 2, "1 to 1024"},
    {"", "--vm alpha --only 12", 2, "1 to 11"},
    {"", "--vm alpha --only 1-3", 2, "1 to 11"},
    {"", "--vm alpha --answer", 2, "--answer for the guest"},
    {"", "--report new.json", 2, "go with --vm or --answer"},
    {"", "--answer --for ever", 2, "--for is how long"},
};

Test(doctor_vm, what_is_wrong_is_said, .fini = end)
{
    for (size_t i = 0; i < sizeof wrongs / sizeof *wrongs; i++) {
        const struct wrong *wrong = &wrongs[i];
        if (i > 0)
            end();
        world_begin(&world, "");
        if (wrong->fault[0] != '\0')
            lab_ctl(&world.lab, wrong->fault);
        cr_assert_eq(world_shell(&world, "$KVPBUS doctor %s", wrong->words), wrong->exit_code, "%s",
                     world_output());
        cr_assert_not_null(strstr(world_output(), wrong->says), "%s", world_output());
        nothing_is_left();
    }
}
