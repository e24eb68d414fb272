// SPDX-License-Identifier: Apache-2.0
//
// The programs of Windows by themselves, under Wine: their words, their errors, their state folder,
// their pipe.
#include <criterion/criterion.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "version.h"
#include "wine_fixture.h"

#define HOST "host/kvpbus-host.exe"
#define GUEST "guest/kvpbus-guest.exe"
#define KVPBUS "cli/kvpbus.exe"
#define PIPE "\\\\.\\pipe\\kvpbus-test"

static struct wine wine;
static char output[32 * 1024];

static void plain(void)
{
    wine_share(&wine, "wine-programs");
}

static void guest(void)
{
    wine_make(&wine, true);
}

static void gone(void)
{
    wine_remove(&wine);
}

#define WORDS(...) ((const char *const[]){__VA_ARGS__, NULL})

// Ends with `code`, and somewhere says `word`.
static void ends(int code, const char *word, const char *const *words)
{
    int status = wine_run_both(&wine, words, output, sizeof output);
    cr_assert_eq(status, code, "%s ended with %d, not %d: %s", words[0], status, code, output);
    cr_assert_not_null(strstr(output, word), "%s did not say '%s': %s", words[0], word, output);
}

// A path as Windows has it under Wine.
static const char *path_of(const char *name)
{
    static char paths[4][300];
    static unsigned next;
    char *path = paths[next++ % 4];
    snprintf(path, sizeof paths[0], "Z:%s/%s", wine.directory, name);
    return path;
}

static void put_file(const char *name, const char *text)
{
    char path[300];
    snprintf(path, sizeof path, "%s/%s", wine.directory, name);
    FILE *file = fopen(path, "w");
    cr_assert_not_null(file);
    cr_assert(fputs(text, file) >= 0);
    cr_assert_eq(fclose(file), 0);
}

static off_t size_of(const char *name)
{
    char path[300];
    struct stat status;
    snprintf(path, sizeof path, "%s/%s", wine.directory, name);
    return stat(path, &status) == 0 ? status.st_size : -1;
}

TestSuite(windows_words, .init = plain);

Test(windows_words, each_program_says_what_it_is)
{
    ends(0, "kvpbus-host " KVPBUS_VERSION "\n", WORDS(HOST, "--version"));
    ends(0, "kvpbus-guest " KVPBUS_VERSION "\n", WORDS(GUEST, "--version"));
    ends(0, "kvpbus " KVPBUS_VERSION "\n", WORDS(KVPBUS, "--version"));
    ends(0, "default \\\\.\\pipe\\kvpbus-host", WORDS(HOST, "--help"));
    ends(0, "default %ProgramData%\\kvpbus\\guest", WORDS(GUEST, "--help"));
    ends(0, "Usage: kvpbus [--socket PATH]", WORDS(KVPBUS, "--help"));
    cr_assert_not_null(strstr(output, "Exit codes: docs/windows.md"), "%s", output);
    ends(0, "--for KEY", WORDS(KVPBUS, "export", "--help"));
    ends(0, "kvpbus-guest service stop && kvpbus-guest generalize && shutdown",
         WORDS(GUEST, "generalize", "--help"));
}

Test(windows_words, what_is_wrong_with_a_command_line)
{
    ends(2, "there is no option '--nonsense'", WORDS(HOST, "--nonsense"));
    ends(2, "--store needs a value", WORDS(GUEST, "--store"));
    ends(2, "there is no option '--nonsense'", WORDS(KVPBUS, "--nonsense"));
    ends(2, "'pool:x' is not a store of a guest on Windows", WORDS(GUEST, "--store", "pool:x"));
    ends(2, "'pool:x' is not a store of a host on Windows", WORDS(HOST, "--store", "pool:x"));
    ends(2, "is not a pipe of this machine",
         WORDS(KVPBUS, "--socket", "\\\\elsewhere\\pipe\\kvpbus-host", "identity"));
}

Test(windows_words, what_is_wrong_with_the_machine)
{
    ends(8, "HKLM\\SOFTWARE\\Microsoft\\Virtual Machine", WORDS(GUEST, "--state", path_of("none")));
    ends(3, "(2)", WORDS(KVPBUS, "--socket", PIPE, "identity"));
    ends(3, "no kvpbus service runs here", WORDS(KVPBUS, "identity"));
    ends(3, "127.0.0.1:1", WORDS(HOST, "--store", "lab:127.0.0.1:1", "--state", path_of("none")));
    cr_assert_eq(size_of("none"), -1);
}

TestSuite(windows_state, .init = guest, .fini = gone);

Test(windows_state, a_configuration_as_windows_editors_write_it)
{
    put_file("bom.conf", "\xef\xbb\xbf[kvpbus]\r\nprefix = kvptest\r\nlog = debug\r\n");
    ends(0, "is right", WORDS(GUEST, "--config", path_of("bom.conf"), "--check-config"));
    put_file("metrics.conf", "[kvpbus]\nmetrics = 127.0.0.1:9000\n");
    ends(2, "there is no listener on Windows",
         WORDS(GUEST, "--config", path_of("metrics.conf"), "--check-config"));
    put_file("small.conf", "[kvpbus]\noutbox_max = 8M\n");
    ends(2, "outbox_max, inbox_max and journal_max must each hold",
         WORDS(GUEST, "--config", path_of("small.conf"), "--check-config"));
    put_file("pipe.conf", "[kvpbus]\nsocket = C:\\file\n");
    ends(2, "is not a pipe of this machine",
         WORDS(HOST, "--config", path_of("pipe.conf"), "--check-config"));
    put_file("wrong.conf", "[kvpbus]\nlog\n");
    ends(2, "line 2 is not", WORDS(HOST, "--config", path_of("wrong.conf"), "--check-config"));
    ends(2, "cannot read", WORDS(HOST, "--config", path_of("nowhere.conf")));
}

// --- a service that runs ---

static pid_t service;

static void start_agent(void)
{
    const char *const words[] = {GUEST, "--state", path_of("state"), "--socket", PIPE, NULL};
    service = wine_start(&wine, words, -1, -1);
    for (int tries = 0; tries < 300; tries++) {
        usleep(100000);
        cr_assert_eq(waitpid(service, NULL, WNOHANG), 0, "the agent has ended");
        if (wine_run_both(&wine, WORDS(KVPBUS, "--socket", PIPE, "identity"), output,
                          sizeof output) == 0)
            return;
    }
    cr_assert_fail("the agent does not answer: %s", output);
}

static void kill_agent(void)
{
    kill(service, SIGKILL);
    waitpid(service, NULL, 0);
}

Test(windows_state, an_identity_is_made_once_and_for_one_process)
{
    char first[64];
    start_agent();
    snprintf(first, sizeof first, "%.63s", output);
    cr_assert_eq(strlen(first), 40, "%s", first);
    cr_assert_eq(size_of("state/identity.key"), 32);
    cr_assert_gt(size_of("state/journal"), 0);
    ends(9, "is used by another kvpbus service",
         WORDS(GUEST, "--state", path_of("state"), "--socket", PIPE "-other"));
    kill_agent();
    start_agent();
    cr_assert_str_eq(output, first);
    kill_agent();
    put_file("state/identity.key", "too short");
    ends(5, "is not an identity", WORDS(GUEST, "--state", path_of("state"), "--socket", PIPE));
}

// Wine knows of two owners of files: the user of the prefix, and somebody else.
Test(windows_state, a_folder_of_another_user_is_not_used)
{
    const char *folder = "Z:\\usr";
    if (geteuid() == 0) {
        char path[300];
        snprintf(path, sizeof path, "%s/foreign", wine.directory);
        cr_assert_eq(mkdir(path, 0777), 0);
        cr_assert_eq(chown(path, 1, 1), 0);
        folder = path_of("foreign");
    }
    ends(1, "belongs to another user", WORDS(GUEST, "--state", folder, "--socket", PIPE));
    cr_assert_eq(size_of("foreign/identity.key"), -1);
}

Test(windows_state, what_a_pipe_is_sent_harms_nobody)
{
    start_agent();
    cr_assert(wine_checks(&wine, WORDS("tests/windows/pipe_checks.exe", PIPE), 30));
    kill_agent();
}

Test(windows_state, a_backup_is_a_state_folder)
{
    start_agent();
    ends(0, "bytes; keep it as secret", WORDS(KVPBUS, "--socket", PIPE, "backup", path_of("copy")));
    cr_assert_eq(size_of("copy/identity.key"), 32);
    ends(1, "is there already", WORDS(KVPBUS, "--socket", PIPE, "backup", path_of("copy")));
    ends(0, "backup by ", WORDS(KVPBUS, "--socket", PIPE, "audit", "list"));
    kill_agent();
    ends(0, "removed", WORDS(GUEST, "generalize", "--state", path_of("state")));
    cr_assert_eq(size_of("state/identity.key"), -1);
    cr_assert_eq(size_of("state/lock"), -1);
}

Test(windows_state, the_default_folder_is_made_ready_for_an_image_also_twice)
{
    char parent[300], folder[320];
    snprintf(parent, sizeof parent, "%s/prefix/drive_c/ProgramData/kvpbus", wine.directory);
    snprintf(folder, sizeof folder, "%s/guest", parent);
    cr_assert(mkdir(parent, 0700) == 0 && mkdir(folder, 0700) == 0);
    ends(0, "has no identity any more", WORDS(GUEST, "generalize"));
}

// What it names can be typed.
Test(windows_words, the_doctor_names_commands_of_windows)
{
    char text[500];
    put_file("wrong.key", "not a key\n");
    snprintf(text, sizeof text, "[security]\ntrusted_host = %s\n", path_of("wrong.key"));
    put_file("trust.conf", text);
    ends(1, ", then: kvpbus-guest service stop && kvpbus-guest service start",
         WORDS(KVPBUS, "doctor", "--side", "guest", "--config", path_of("trust.conf")));
    ends(1, "mend it: kvpbus-host service stop && kvpbus-host service start",
         WORDS(KVPBUS, "doctor", "--side", "host"));
}

Test(windows_words, the_doctor_names_a_store_that_is_none_of_this_side)
{
    put_file("other.conf", "[kvpbus]\nstore = pool:/x\n");
    ends(1, "BAD  store    'pool:/x' is not a store of a guest on Windows",
         WORDS(KVPBUS, "doctor", "--side", "guest", "--config", path_of("other.conf")));
    ends(1, "BAD  store    'pool:/x' is not a store of a host on Windows",
         WORDS(KVPBUS, "doctor", "--side", "host", "--config", path_of("other.conf")));
}
