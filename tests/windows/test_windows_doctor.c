// SPDX-License-Identifier: Apache-2.0
//
// doctor --vm of kvpbus.exe against the lab: what WMI can tell of the lab's switches is found, one
// way and the other, and the report says so; beside it doctor --answer of both systems.
#include <criterion/criterion.h>
#include <fcntl.h>
#include <jansson.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "guest_fixture.h"
#include "version.h"
#include "wine_fixture.h"

#define KVPBUS "cli/kvpbus.exe"

static struct lab lab;
static struct wine host; // its WMI is the lab's
static struct guest guest;
static json_t *report;
static char output[32 * 1024];

static void begin(const char *options)
{
    lab_start(&lab, options);
    wine_make_lab(&host, lab.directory);
}

static void end(void)
{
    json_decref(report);
    wine_remove(&host);
    if (guest.service != 0) {
        guest_end(&guest, &lab);
        return;
    }
    lab_stop(&lab);
    lab_remove(&lab);
}

TestSuite(windows_doctor, .fini = end);

// --- the doctor of the host ---

static json_t *load(const char *path)
{
    json_error_t error;
    json_t *json = json_load_file(path, 0, &error);
    cr_assert_not_null(json, "%s: %s", path, error.text);
    return json;
}

// Its report is in `report`.
static void examine(const char *vm, const char *only, const char *until)
{
    static unsigned runs;
    char path[128], windows_path[160];
    snprintf(path, sizeof path, "%s/report-%u.json", lab.directory, ++runs);
    snprintf(windows_path, sizeof windows_path, "Z:%s", path);
    const char *const words[] = {KVPBUS,   "doctor", "--vm",    vm,    "--report", windows_path,
                                 "--only", only,     "--until", until, NULL};
    int status = wine_run_both(&host, words, output, sizeof output);
    cr_assert_eq(status, 0, "the doctor ended with %d: %s", status, output);
    json_decref(report);
    report = load(path);
    cr_assert(json_is_true(json_object_get(report, "complete")));
    cr_assert_eq(json_integer_value(json_object_get(report, "items_left")), 0);
}

static const char *text_of(const char *name)
{
    const char *text = json_string_value(json_object_get(report, name));
    cr_assert_not_null(text, "the report has no %s", name);
    return text;
}

static const json_t *finding_about(const char *about)
{
    const json_t *found = NULL;
    size_t i, j;
    json_t *question, *finding;
    json_array_foreach(json_object_get(report, "questions"), i, question) json_array_foreach(
        json_object_get(question, "findings"), j,
        finding) if (strcmp(json_string_value(json_object_get(finding, "about")), about) == 0)
        found = finding;
    cr_assert_not_null(found, "nothing about %s: %s", about, output);
    return found;
}

struct expected {
    const char *about, *found, *number; // number NULL: none; at least, or exactly, this
    json_int_t least, exact;
};

static void expect(const struct expected *expected)
{
    const json_t *finding = finding_about(expected->about);
    const char *found = json_string_value(json_object_get(finding, "found"));
    cr_assert_not_null(found, "%s was not measured: %s", expected->about, output);
    cr_assert_str_eq(found, expected->found, "%s is %s: %s", expected->about, found, output);
    if (expected->number == NULL)
        return;
    const json_t *json = json_object_get(json_object_get(finding, "numbers"), expected->number);
    cr_assert(json_is_integer(json), "%s has no %s: %s", expected->about, expected->number, output);
    json_int_t number = json_integer_value(json);
    cr_assert(expected->least != 0 ? number >= expected->least : number == expected->exact,
              "%s of %s is %lld", expected->number, expected->about, (long long)number);
}

static void expect_all(const struct expected *expected, size_t count)
{
    for (size_t i = 0; i < count; i++)
        expect(&expected[i]);
}

static size_t count_left(int vm, bool of_host)
{
    struct kvpbus_management *management = lab.management;
    struct kvpbus_scan scan = {0};
    struct kvpbus_failure failure;
    enum kvpbus_error error, result = KVPBUS_OK;
    if (of_host)
        error =
            management->ops->read_host(management, "kvpbusdoctor", lab.guids[vm], &scan, &failure);
    else
        error = management->ops->read_guest(management, "kvpbusdoctor",
                                            (const uint8_t(*)[KVPBUS_GUID_BYTES])lab.guids[vm], 1,
                                            &scan, &result, &failure);
    cr_assert_eq(error, KVPBUS_OK);
    cr_assert_eq(result, KVPBUS_OK);
    size_t count = scan.count;
    kvpbus_scan_free(&scan);
    return count;
}

// Neither side has an item of the doctor. The host may have a copy of the guest's.
static void expect_nothing_left(int vm)
{
    size_t left = 1;
    cr_assert_eq(count_left(vm, true), 0);
    for (int tries = 0; tries < 50 && (left = count_left(vm, false)) > 0; tries++)
        lab_sleep_ms(100);
    cr_assert_eq(left, 0);
}

// --- that of the guest ---

struct answering {
    pid_t pid;
    int says; // what it tells its user
};

static void await_answering(const struct answering *answering)
{
    char text[512] = "";
    size_t length = 0;
    while (strstr(text, "answering 'kvpbus doctor --vm'") == NULL) {
        ssize_t got = read(answering->says, text + length, sizeof text - 1 - length);
        cr_assert_gt(got, 0, "nobody answers in the guest: %s", text);
        length += (size_t)got;
    }
}

static struct answering answer_on_linux(void)
{
    char store[128];
    int says[2];
    cr_assert_eq(pipe2(says, O_CLOEXEC), 0);
    snprintf(store, sizeof store, "pool:%s/vm/alpha/kvp", lab.directory);
    pid_t pid = fork();
    cr_assert_geq(pid, 0);
    if (pid == 0) {
        dup2(says[1], STDERR_FILENO);
        execl(KVPBUS_BUILD_DIR "/cli/kvpbus", "kvpbus", "doctor", "--store", store, "--answer",
              (char *)NULL);
        _exit(127);
    }
    close(says[1]);
    return (struct answering){pid, says[0]};
}

static struct answering answer_on_windows(void)
{
    const char *const words[] = {KVPBUS, "doctor", "--answer", NULL};
    int own = dup(STDERR_FILENO), says[2];
    cr_assert_eq(pipe2(says, O_CLOEXEC), 0);
    dup2(says[1], STDERR_FILENO);
    pid_t pid = wine_start(&guest.wine, words, -1, -1);
    dup2(own, STDERR_FILENO);
    close(own);
    close(says[1]);
    return (struct answering){pid, says[0]};
}

// SIGINT is Ctrl-C also for a program under Wine.
static void end_answer(const struct answering *answering)
{
    int status;
    kill(answering->pid, SIGINT);
    cr_assert_eq(waitpid(answering->pid, &status, 0), answering->pid);
    cr_assert(WIFEXITED(status) && WEXITSTATUS(status) == 0, "the answer ended with %x", status);
    close(answering->says);
}

// --- the switches of the lab, both ways ---

static void examine_with_answer(void)
{
    struct answering answering = answer_on_linux();
    await_answering(&answering);
    examine("alpha", "1,2,3,4,5,7,10,11", "24");
    cr_assert_not_null(strstr(text_of("guest"), "Linux"), "%s", text_of("guest"));
    cr_assert_not_null(strstr(text_of("host"), "Windows"), "%s", text_of("host"));
    end_answer(&answering);
    expect_nothing_left(LAB_ALPHA);
}

static void examine_faults(void)
{
    lab_ctl(&lab, "fault alpha disable-exchange");
    examine("alpha", "9", "8");
}

static void examine_absent(void)
{
    lab_ctl(&lab, "fault alpha daemon-absent");
    for (int i = 0; i < 500 && lab_daemon(&lab, LAB_ALPHA) != 0; i++)
        lab_sleep_ms(10);
    examine("alpha", "6", "8");
    lab_ctl(&lab, "fault alpha clear");
}

static const struct expected plainly[] = {
    {"a read of the guest's items", "measured", "tries", 1, 0},
    {"what the guest writes", "on-demand", "reads", 5, 0},
    {"1 item", "measured", "tries", 1, 0},
    {"items of the host", "not-reached", "items", 0, 24},
    {"items of the guest", "not-reached", "items", 0, 24},
    {"Add of 3, one is there", "partial", NULL, 0, 0},
    {"Modify of 3, one is missing", "partial", NULL, 0, 0},
    {"Modify of what is missing", "refused", "error_code", 0, 32773},
    {"Remove of what is missing", "accepted", NULL, 0, 0},
    {"characters of a value", "refused", "last_taken", 0, 1023},
    {"characters of a value", "refused", "return_value", 0, 32773},
    {"to the guest and back", "exact", NULL, 0, 0},
    {"Modify that changes nothing", "notifies", NULL, 0, 0},
    {"the guest's items", "as-written", NULL, 0, 0},
};

Test(windows_doctor, a_lab_without_switches)
{
    static const struct expected stored = {"after HRESULT 0x800710df", "stored", "again_code", 0,
                                           32773};
    static const struct expected refused = {"Data Exchange is off", "refused", "return_value", 0,
                                            32775};
    begin("--tcp");
    examine_with_answer();
    expect_all(plainly, sizeof plainly / sizeof *plainly);
    examine_absent();
    expect(&stored);
    examine_faults();
    expect(&refused);
}

static const struct expected switched[] = {
    {"a read of the guest's items", "measured", "guest_median_us", 15000, 0},
    {"what the guest writes", "cached", "change_median_us", 100000, 0},
    {"1 item", "measured", "add_median_us", 30000, 0},
    {"items of the host", "reached", "items", 0, 20},
    {"items of the guest", "reached", "items", 0, 19},
    {"Add of 3, one is there", "rolled-back", NULL, 0, 0},
    {"Modify of 3, one is missing", "rolled-back", NULL, 0, 0},
    {"Modify of what is missing", "refused", "error_code", 0, 32779},
    {"Remove of what is missing", "refused", "error_code", 0, 32773},
    {"characters of a value", "refused", "last_taken", 0, 1022},
    {"characters of a value", "refused", "return_value", 0, 32768},
    {"as the host reads it back", "trimmed", NULL, 0, 0},
    {"Modify that changes nothing", "silent", NULL, 0, 0},
    {"the guest's items", "sorted", NULL, 0, 0},
};

Test(windows_doctor, a_lab_with_all_of_them)
{
    static const struct expected dropped = {"after HRESULT 0x800710df", "dropped", NULL, 0, 0};
    static const struct expected refused = {"Data Exchange is off", "refused", "return_value", 0,
                                            32777};
    begin("--tcp --guest-cache 250 --latency 15 --job-latency 30 --item-limit 20 --guest-limit 20 "
          "--atomic --modify-missing 32779 --remove-missing 32773 --value-limit 1022 --too-long "
          "32768 --item-text trimmed --skip-unchanged --sort-guest --drop-failed --exchange-off "
          "32777");
    examine_with_answer();
    expect_all(switched, sizeof switched / sizeof *switched);
    examine_absent();
    expect(&dropped);
    examine_faults();
    expect(&refused);
}

// --- Windows on both sides ---

// Of the registry the guest learns nothing by a value that is written as it was, under Wine, and
// its items are read in the order of the registry.
static const struct expected pair[] = {
    {"question and answer", "measured", "tries", 1, 0},
    {"what the guest writes", "on-demand", "reads", 5, 0},
    {"items of the guest", "not-reached", "items", 0, 8},
    {"to the guest and back", "exact", NULL, 0, 0},
    {"Modify that changes nothing", "silent", NULL, 0, 0},
    {"the guest's items", "sorted", NULL, 0, 0},
};

Test(windows_doctor, a_pair_of_windows_programs)
{
    begin("--windows-vm gamma");
    guest_start(&guest, &lab, NULL);
    struct answering answering = answer_on_windows();
    await_answering(&answering);
    examine("gamma", "1,2,3,4,5,6,7,8,9,10,11", "8");
    end_answer(&answering);
    expect_all(pair, sizeof pair / sizeof *pair);
    expect_nothing_left(LAB_GAMMA);
    cr_assert_eq(json_integer_value(json_object_get(report, "report")), 1);
    cr_assert_eq(json_array_size(json_object_get(report, "questions")), 11);
    cr_assert_str_eq(text_of("kvpbus"), KVPBUS_VERSION);
    cr_assert_str_eq(json_string_value(json_object_get(json_object_get(report, "vm"), "name")),
                     "gamma");
    cr_assert_not_null(strstr(text_of("guest"), "Windows"), "%s", text_of("guest"));
    cr_assert_not_null(strstr(output, "What does a revert do"), "%s", output);
}
