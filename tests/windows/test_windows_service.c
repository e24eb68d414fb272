// SPDX-License-Identifier: Apache-2.0
//
// kvpbus-host.exe and kvpbus-guest.exe as services, under Wine.
#include <criterion/criterion.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "log_event.h"
#include "wine_fixture.h"

#define EVENTS "HKLM\\SYSTEM\\CurrentControlSet\\Services\\EventLog\\Application\\"
#define SERVICES "HKLM\\SYSTEM\\CurrentControlSet\\Services\\"
#define KEY_TEXT "8a88e3dd7409f195fd52db2d3cba5d72ca6709bf1d94121bf3748801b40f6f5c"

static struct wine wine;
static char said[16 * 1024]; // of the last program, both outputs

static void start(void)
{
    char line[300];
    wine_make(&wine, true);
    // A server that went away between two programs would be a system that starts anew, and with it
    // its services.
    snprintf(line, sizeof line, "export WINEPREFIX='%s'; wineserver -w; wineserver -p",
             wine.prefix);
    cr_assert_eq(system(line), 0); // NOLINT(cert-env33-c): the path is the test's own
}

static void finish(void)
{
    wine_remove(&wine);
}

TestSuite(service, .init = start, .fini = finish);

// Runs a program; `said` has what it wrote to standard output, then to standard error.
static int run(const char *const *words)
{
    char path[256];
    snprintf(path, sizeof path, "%s/said", wine.directory);
    int own = dup(2), file = open(path, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    cr_assert(own >= 0 && file >= 0);
    dup2(file, 2);
    int status = wine_run(&wine, words, said, sizeof said / 2);
    dup2(own, 2);
    close(own);
    size_t at = strlen(said);
    ssize_t length = pread(file, said + at, sizeof said - 1 - at, 0);
    said[at + (length > 0 ? (size_t)length : 0)] = '\0';
    close(file);
    return status;
}

#define RUN(...) run((const char *const[]){__VA_ARGS__, NULL})
#define SERVICE(side, ...) RUN(side "/kvpbus-" side ".exe", "service", __VA_ARGS__)

#define CHECK_RUN(code, text, run)                          \
    do {                                                    \
        int status = run;                                   \
        cr_assert_eq(status, code, "%s", said);             \
        cr_assert_not_null(strstr(said, text), "%s", said); \
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
    CHECK_RUN(1, "there is no service kvpbus-guest", SERVICE("guest", "status"));
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
    CHECK_RUN(1, "there is no service kvpbus-guest", SERVICE("guest", "start"));
    CHECK_RUN(1, "there is no service kvpbus-guest", SERVICE("guest", "remove"));
}

Test(service, a_host_has_its_options_and_keeps_them)
{
    static const char *const wrong[][5] = {
        {"--state", "here", NULL, NULL, "not a whole path"},
        {"--verbose", "--help", NULL, NULL, "no option of a service"},
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
    CHECK_RUN(0, "is removed", SERVICE("host", "remove"));
}

Test(service, whom_to_trust_comes_with_the_installation_and_goes_when_it_is_purged)
{
    char file[256];
    snprintf(file, sizeof file, "Z:%s/key", wine.directory);
    write_file("key", "not a key\n");
    CHECK_RUN(2, "key", SERVICE("guest", "install", "--trust-key-file", file));
    cr_assert(!exists("trusted_host"));
    write_file("key", KEY_TEXT "\n");
    CHECK_RUN(0, "is registered", SERVICE("guest", "install", "--trust-key-file", file));
    cr_assert(exists("trusted_host"));
    CHECK_RUN(0, "is registered", SERVICE("guest", "install", "--trust-key=" KEY_TEXT));
    CHECK_RUN(5, "token", SERVICE("guest", "install", "--enroll-token-file", file));
    cr_assert(!exists("enroll.token"));
    CHECK_RUN(0, "kvpbus-guest runs", SERVICE("guest", "start"));
    CHECK_RUN(0, "with all that it had", SERVICE("guest", "remove", "--purge"));
    cr_assert(!exists("guest") && !exists("trusted_host") && !exists(""));
    CHECK_RUN(1, "there is no service", SERVICE("guest", "status"));
}

Test(service, foolish_words_are_told_what_is_possible)
{
    CHECK_RUN(2, "install, start, stop", SERVICE("host", ""));
    CHECK_RUN(2, "install, start, stop", SERVICE("host", "reload"));
    CHECK_RUN(2, "too many", SERVICE("host", "start", "now"));
    CHECK_RUN(2, "too many", SERVICE("host", "remove", "now"));
    CHECK_RUN(2, "is for the service manager", SERVICE("host", "run"));
    CHECK_RUN(0, "service install", SERVICE("host", "--help"));
    CHECK_RUN(0, "service --help", RUN("host/kvpbus-host.exe", "--help"));
}

Test(service, a_machine_that_is_no_guest_has_nothing_to_do_for_the_service)
{
    CHECK_RUN(0, "",
              RUN("reg", "delete", "HKLM\\SOFTWARE\\Microsoft\\Virtual Machine", "/f", "/reg:64"));
    CHECK_RUN(0, "is registered", SERVICE("guest", "install"));
    CHECK_RUN(3, "ended at once", SERVICE("guest", "start"));
    CHECK_RUN(3, "is stopped", SERVICE("guest", "status"));
    CHECK_RUN(0, "is removed", SERVICE("guest", "remove"));
}

// The text of each event is in the programs, and docs/windows.md has a line for it.
Test(service, events_have_texts_and_are_described)
{
    static const char *const sides[] = {"host", "guest"};
    static const unsigned ids[] = {
#define X(name, id, level) id,
        KVPBUS_LOG_EVENT_MAP(X)
#undef X
    };
    static char manual[64 * 1024];
    enum { EVENTS_COUNT = sizeof ids / sizeof *ids };
    char program[PATH_MAX];
    FILE *file = fopen(KVPBUS_SOURCE_DIR "/docs/windows.md", "r");
    cr_assert_not_null(file);
    cr_assert_lt(fread(manual, 1, sizeof manual - 1, file), sizeof manual - 1);
    fclose(file);
    for (size_t i = 0; i < EVENTS_COUNT; i++) {
        char row[32];
        snprintf(row, sizeof row, "\n| %u |", ids[i]);
        cr_assert_not_null(strstr(manual, row), "docs/windows.md has no event %u", ids[i]);
    }
    for (size_t i = 0; i < 2; i++) {
        snprintf(program, sizeof program, "Z:" KVPBUS_WINDOWS_BUILD "/%s/kvpbus-%s.exe", sides[i],
                 sides[i]);
        cr_assert(wine_checks(
            &wine, (const char *const[]){"tests/windows/event_checks.exe", program, NULL},
            EVENTS_COUNT));
    }
}
