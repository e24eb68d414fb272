// SPDX-License-Identifier: Apache-2.0
//
// kvpbus-host.exe and kvpbus-guest.exe as services, under Wine.
#include <criterion/criterion.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "log_event.h"
#include "wine_fixture.h"

#define EVENTS "HKLM\\SYSTEM\\CurrentControlSet\\Services\\EventLog\\Application\\"
#define SERVICES "HKLM\\SYSTEM\\CurrentControlSet\\Services\\"
#define KEY_TEXT "8a88e3dd7409f195fd52db2d3cba5d72ca6709bf1d94121bf3748801b40f6f5c"

enum {
#define X(name, id, level) +1
    EVENT_COUNT = 0 KVPBUS_LOG_EVENT_MAP(X),
#undef X
};

static struct wine wine;
static char said[16 * 1024]; // of the last program, both outputs

static void start(void)
{
    wine_make(&wine, true);
    wine_stay(&wine);
}

static void finish(void)
{
    wine_remove(&wine);
}

TestSuite(service, .init = start, .fini = finish);

static int run(const char *const *words)
{
    return wine_run_both(&wine, words, said, sizeof said);
}

#define RUN(...) run((const char *const[]){__VA_ARGS__, NULL})
#define SERVICE(side, ...) RUN(side "/kvpbus-" side ".exe", "service", __VA_ARGS__)

// Of a service that ends at once: now and then Wine takes that for a start that timed out.
static int start_in_vain(void)
{
    int status, tries = 0;
    do
        status = SERVICE("guest", "start");
    while (strstr(said, "(1053)") != NULL && ++tries < 10);
    return status;
}

#define CHECK_RUN(code, text, run)                          \
    do {                                                    \
        int status = run;                                   \
        cr_assert_eq(status, code, "%s", said);             \
        cr_assert_not_null(strstr(said, text), "%s", said); \
    } while (0)

// One line of the program, and nothing but that.
#define CHECK_ERROR(code, text, run)                                           \
    do {                                                                       \
        CHECK_RUN(code, text, run);                                            \
        cr_assert_eq(strncmp(said, "kvpbus-", 7), 0, "%s", said);              \
        cr_assert_eq(strchr(said, '\n'), said + strlen(said) - 1, "%s", said); \
    } while (0)

static bool exists(const char *name)
{
    char path[512];
    snprintf(path, sizeof path, "%s/drive_c/ProgramData/kvpbus/%s", wine.prefix, name);
    return access(path, F_OK) == 0;
}

static void write_file(const char *name, const char *text)
{
    char path[512];
    snprintf(path, sizeof path, "%s/%s", wine.directory, name);
    FILE *file = fopen(path, "w");
    cr_assert_not_null(file);
    fputs(text, file);
    cr_assert_eq(fclose(file), 0);
}

Test(service, a_guest_lives_and_is_known_to_the_system)
{
    CHECK_RUN(0, "is registered", SERVICE("guest", "install"));
    CHECK_RUN(0, "0x2", RUN("reg", "query", SERVICES "kvpbus-guest"));
    cr_assert_not_null(strstr(said, "\\kvpbus-guest.exe\" \"service\" \"run\""), "%s", said);
    CHECK_RUN(0, "EventMessageFile", RUN("reg", "query", EVENTS "kvpbus-guest"));
    cr_assert_not_null(strstr(said, "kvpbus-guest.exe"), "%s", said);
    CHECK_RUN(3, "is stopped", SERVICE("guest", "status"));
    CHECK_RUN(0, "kvpbus-guest runs", SERVICE("guest", "start"));
    CHECK_RUN(0, "is running", SERVICE("guest", "status"));
    CHECK_RUN(0, "RUNNING", RUN("sc.exe", "query", "kvpbus-guest"));
    cr_assert(exists("guest/identity.key"));
    // It is reached as any other.
    CHECK_RUN(0, "", RUN("cli/kvpbus.exe", "--socket", "\\\\.\\pipe\\kvpbus-guest", "identity"));
    CHECK_RUN(0, "kvpbus-guest runs", SERVICE("guest", "start"));
    CHECK_RUN(0, "has stopped", SERVICE("guest", "stop"));
    CHECK_RUN(0, "STOPPED", RUN("sc.exe", "query", "kvpbus-guest"));
    CHECK_RUN(0, "has stopped", SERVICE("guest", "stop"));
    CHECK_RUN(0, "its state stays", SERVICE("guest", "remove"));
    cr_assert(exists("guest/identity.key"));
    CHECK_RUN(1, "", RUN("reg", "query", EVENTS "kvpbus-guest"));
    CHECK_RUN(1, "", RUN("reg", "query", SERVICES "kvpbus-guest"));
}

Test(service, one_that_is_not_installed_is_told_in_one_line)
{
    static const char *const words[] = {"start", "stop", "status"};
    for (size_t i = 0; i < sizeof words / sizeof *words; i++) {
        CHECK_ERROR(1, "there is no service kvpbus-guest; 'kvpbus-guest service install'",
                    SERVICE("guest", words[i]));
        cr_assert_not_null(strstr(said, "(1060)"), "%s", said);
    }
    CHECK_RUN(0, "is not registered", SERVICE("guest", "remove"));
    CHECK_RUN(0, "with all that it had", SERVICE("guest", "remove", "--purge"));
}

Test(service, a_host_has_its_options_and_keeps_them)
{
    static const char *const wrong[][5] = {
        {"--state", "here", NULL, NULL, "not a whole path"},
        {"--verbose", "--help", NULL, NULL, "no option of a service"},
        {"--vers", NULL, NULL, NULL, "--version is no option of a service"},
        {"--conf", "here.conf", NULL, NULL, "not a whole path"},
        {"--nonsense", NULL, NULL, NULL, "there is no option"},
        {"--store", NULL, NULL, NULL, "--store needs a value"},
        {"--config", "C:\\missing.conf", NULL, NULL, "cannot read C:\\missing.conf"},
        {"--trust-key", "nonsense", NULL, NULL, "the key"},
    };
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        const char *const *words = wrong[i];
        cr_assert_neq(SERVICE("host", "install", words[0], words[1]), 0, "%s", said);
        cr_assert_not_null(strstr(said, words[4]), "%s", said);
    }
    CHECK_RUN(1, "there is no service", SERVICE("host", "status"));
    CHECK_RUN(0, "is registered",
              SERVICE("host", "install", "--store", "lab:127.0.0.1:1", "--verbose"));
    CHECK_RUN(0, "\"--store\" \"lab:127.0.0.1:1\" \"--verbose\"",
              RUN("reg", "query", SERVICES "kvpbus-host"));
    // Once more without options: as when a newer version is installed over it.
    CHECK_RUN(0, "is registered", SERVICE("host", "install"));
    CHECK_RUN(0, "\"--store\" \"lab:127.0.0.1:1\" \"--verbose\"",
              RUN("reg", "query", SERVICES "kvpbus-host"));
    CHECK_RUN(0, "is registered", SERVICE("host", "install", "--store", "lab:127.0.0.1:2"));
    CHECK_RUN(0, "lab:127.0.0.1:2", RUN("reg", "query", SERVICES "kvpbus-host"));
    cr_assert_null(strstr(said, "--verbose"), "%s", said);
    // Words that are hard to quote are kept as well.
    CHECK_RUN(0, "is registered",
              SERVICE("host", "install", "--state", "C:\\a state\\", "--verbose"));
    CHECK_RUN(0, "\"--state\" \"C:\\a state\\\\\" \"--verbose\"",
              RUN("reg", "query", SERVICES "kvpbus-host"));
    CHECK_RUN(0, "is registered", SERVICE("host", "install"));
    CHECK_RUN(0, "\"--state\" \"C:\\a state\\\\\" \"--verbose\"",
              RUN("reg", "query", SERVICES "kvpbus-host"));
    CHECK_RUN(0, "is removed", SERVICE("host", "remove"));
}

Test(service, whom_to_trust_comes_with_the_installation_and_goes_when_it_is_purged)
{
    char file[256];
    snprintf(file, sizeof file, "Z:%s/key", wine.directory);
    write_file("key", "not a key\n");
    CHECK_RUN(2, "key", SERVICE("guest", "install", "--trust-key-file", file));
    CHECK_RUN(5, "token",
              SERVICE("guest", "install", "--trust-key", KEY_TEXT, "--enroll-token-file", file));
    cr_assert(!exists(""));
    write_file("key", KEY_TEXT "\n");
    CHECK_RUN(0, "is registered", SERVICE("guest", "install", "--trust-key-file", file));
    cr_assert(exists("trusted_host"));
    CHECK_RUN(0, "is registered", SERVICE("guest", "install", "--trust-key=" KEY_TEXT));
    CHECK_ERROR(2, "give one of",
                SERVICE("guest", "install", "--trust-key=" KEY_TEXT, "--trust-key-file", file));
    CHECK_RUN(5, "token", SERVICE("guest", "install", "--enroll-token-file", file));
    cr_assert(!exists("enroll.token"));
    // One that is broken is replaced by the same words, also with options.
    write_file("prefix/drive_c/ProgramData/kvpbus/trusted_host", "not a key\n");
    CHECK_RUN(2, "trusted_host", SERVICE("guest", "install", "--verbose"));
    CHECK_RUN(2, "the key", SERVICE("guest", "install", "--verbose", "--trust-key", "nonsense"));
    CHECK_RUN(0, "is registered",
              SERVICE("guest", "install", "--verbose", "--trust-key", KEY_TEXT));
    CHECK_RUN(0, "is registered", SERVICE("guest", "install", "--verbose"));
    CHECK_RUN(0, "kvpbus-guest runs", SERVICE("guest", "start"));
    CHECK_RUN(0, "with all that it had", SERVICE("guest", "remove", "--purge"));
    cr_assert(!exists("guest") && !exists("trusted_host") && !exists(""));
    CHECK_RUN(1, "there is no service", SERVICE("guest", "status"));
}

Test(service, a_wrong_configuration_stops_it_with_its_number)
{
    CHECK_RUN(0, "is registered", SERVICE("guest", "install", "--trust-key", KEY_TEXT));
    write_file("prefix/drive_c/ProgramData/kvpbus/guest.conf", "[kvpbus]\npoll_fast = soon\n");
    CHECK_ERROR(3, "ended at once with 2; why stands in the Event Log", start_in_vain());
    CHECK_RUN(0, "is removed; its state stays", SERVICE("guest", "remove"));
    cr_assert(exists("guest.conf"));
    CHECK_RUN(0, "with all that it had", SERVICE("guest", "remove", "--purge"));
    cr_assert(!exists(""));
}

// Any user may make that folder before there is a service.
Test(service, a_folder_of_another_user_takes_no_files)
{
    char folder[300];
    if (geteuid() != 0)
        cr_skip_test("only root can give a folder to another user");
    snprintf(folder, sizeof folder, "%s/drive_c/ProgramData/kvpbus", wine.prefix);
    cr_assert_eq(mkdir(folder, 0777), 0);
    cr_assert_eq(chown(folder, 1, 1), 0);
    CHECK_ERROR(1, "belongs to another user", SERVICE("guest", "install", "--trust-key", KEY_TEXT));
    cr_assert(!exists("trusted_host"));
    CHECK_ERROR(1, "(1060)", SERVICE("guest", "status"));
    write_file("prefix/drive_c/ProgramData/kvpbus/guest.conf", "[kvpbus]\n");
    CHECK_ERROR(1, "belongs to another user", SERVICE("guest", "remove", "--purge"));
    cr_assert(exists("guest.conf"));
}

Test(service, foolish_words_are_told_what_is_possible)
{
    CHECK_ERROR(2, "install, start, stop", SERVICE("host", ""));
    CHECK_ERROR(2, "install, start, stop", SERVICE("host", "reload"));
    CHECK_ERROR(2, "too many", SERVICE("host", "start", "now"));
    CHECK_ERROR(2, "too many", SERVICE("host", "remove", "now"));
    CHECK_ERROR(2, "is for the service manager", SERVICE("host", "run"));
    // What no start would take is not registered.
    CHECK_ERROR(2, "is not a store of a guest on Windows",
                SERVICE("guest", "install", "--store", "pool:x"));
    CHECK_ERROR(2, "'a b' is not the name of a host",
                SERVICE("host", "install", "--hyperv-host", "a b"));
    CHECK_ERROR(1, "(1060)", SERVICE("guest", "status"));
    CHECK_RUN(0, "service install &&", SERVICE("host", "--help"));
    CHECK_RUN(0, "--enroll-token-file", SERVICE("guest", "install", "--help"));
    CHECK_RUN(0, "kvpbus-host service --help", RUN("host/kvpbus-host.exe", "--help"));
    CHECK_RUN(0, "kvpbus-guest service install &&", RUN("guest/kvpbus-guest.exe", "--help"));
}

Test(service, a_machine_that_is_no_guest_has_nothing_to_do_for_the_service)
{
    CHECK_RUN(0, "",
              RUN("reg", "delete", "HKLM\\SOFTWARE\\Microsoft\\Virtual Machine", "/f", "/reg:64"));
    CHECK_RUN(0, "is registered", SERVICE("guest", "install"));
    CHECK_ERROR(3, "there is nothing for it on this machine", start_in_vain());
    CHECK_RUN(3, "is stopped", SERVICE("guest", "status"));
    CHECK_RUN(0, "is removed", SERVICE("guest", "remove"));
}

Test(service, command_lines_and_refusals)
{
    cr_assert(
        wine_checks(&wine, (const char *const[]){"tests/windows/service_checks.exe", NULL}, 7));
}

Test(service, events_have_texts)
{
    static const char *const sides[] = {"host", "guest"};
    char program[PATH_MAX];
    for (size_t i = 0; i < 2; i++) {
        snprintf(program, sizeof program, "Z:" KVPBUS_WINDOWS_BUILD "/%s/kvpbus-%s.exe", sides[i],
                 sides[i]);
        cr_assert(wine_checks(
            &wine, (const char *const[]){"tests/windows/event_checks.exe", program, NULL},
            EVENT_COUNT));
    }
}
