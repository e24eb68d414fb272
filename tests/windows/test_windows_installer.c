// SPDX-License-Identifier: Apache-2.0
//
// The installers of both sides: what Windows Installer is told, and what comes of it under Wine.
// The older version of each is made of the same programs.
#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "token.h"
#include "version.h"
#include "wine_fixture.h"

#define GUEST KVPBUS_WINDOWS_BUILD "/kvpbus-guest-" KVPBUS_VERSION "-x64.msi"
#define HOST KVPBUS_WINDOWS_BUILD "/kvpbus-host-" KVPBUS_VERSION "-x64.msi"
#define OLD_GUEST KVPBUS_WINDOWS_BUILD "/tests/windows/kvpbus-guest-0.0.1-x64.msi"

#define EVENTS "HKLM\\SYSTEM\\CurrentControlSet\\Services\\EventLog\\Application\\kvpbus-"
#define SERVICES "HKLM\\SYSTEM\\CurrentControlSet\\Services\\kvpbus-"
#define ENVIRONMENT "HKLM\\SYSTEM\\CurrentControlSet\\Control\\Session Manager\\Environment"
#define PRODUCTS "HKLM\\SOFTWARE\\Microsoft\\Windows\\CurrentVersion\\Uninstall"
#define VERSION_KEY "SOFTWARE\\Microsoft\\Windows NT\\CurrentVersion"
#define KEY_TEXT "8a88e3dd7409f195fd52db2d3cba5d72ca6709bf1d94121bf3748801b40f6f5c"

enum { FAILED = 1603 & 0xff }; // ERROR_INSTALL_FAILURE, as Wine cuts it

static struct wine wine;
static char said[256 * 1024];

// --- what the packages say ---

// The rows of a table, each ended with '\n', behind three that describe it.
static const char *table(const char *package, const char *name)
{
    char line[600];
    snprintf(line, sizeof line, "msiinfo export '%s' '%s' | tr -d '\\r'", package, name);
    FILE *pipe = popen(line, "r"); // NOLINT(cert-env33-c): the words are the test's own
    cr_assert_not_null(pipe);
    size_t length = fread(said, 1, sizeof said - 1, pipe);
    said[length] = '\0';
    cr_assert_eq(pclose(pipe), 0);
    cr_assert_gt(length, 0, "%s has no table %s", package, name);
    return said;
}

static void has(const char *text, const char *what)
{
    cr_assert_not_null(strstr(text, what), "no '%s' in:\n%s", what, text);
}

static int number_of(const char *actions, const char *action)
{
    char row[80];
    snprintf(row, sizeof row, "\n%s\t", action);
    const char *at = strstr(actions, row);
    cr_assert_not_null(at, "no action %s in:\n%s", action, actions);
    at = strchr(at + strlen(row), '\t');
    cr_assert_not_null(at);
    return atoi(at + 1); // NOLINT(cert-err34-c): 0 is none
}

struct package {
    const char *side, *path, *upgrade_code;
};

// The codes are those by which a version finds the older one: they stay.
static const struct package packages[] = {
    {"guest", GUEST, "{A187B44D-C098-534C-B197-1CA7A1DACC39}"},
    {"host", HOST, "{966DE2DC-B0FE-56FF-8F7E-B4797D481F52}"},
};

static void check_properties(const struct package *package)
{
    char row[200];
    const char *rows = table(package->path, "Property");
    has(rows, "\nProductVersion\t" KVPBUS_VERSION "\n");
    has(rows, "\nALLUSERS\t1\n");
    has(rows, "\nARPNOREPAIR\t1\n");
    has(rows, "\nSTARTSERVICE\t1\n");
    has(rows, "\nKEEPSTATE\t1\n");
    snprintf(row, sizeof row, "\nServiceName\tkvpbus-%s\n", package->side);
    has(rows, row);
    has(rows, "\nSecureCustomProperties\tOLDER;NEWER;FORMERDIR;WINDOWSMAJOR;INSTALLDIR;TRUSTKEY;"
              "TRUSTKEYFILE;ENROLTOKENFILE;STARTSERVICE;KEEPSTATE\n");
    snprintf(row, sizeof row, "\nUpgradeCode\t%s\n", package->upgrade_code);
    has(rows, row);
    rows = table(package->path, "Upgrade");
    snprintf(row, sizeof row, "\n%s\t0.0.0\t" KVPBUS_VERSION "\t\t768\t\tOLDER\n",
             package->upgrade_code);
    has(rows, row);
    snprintf(row, sizeof row, "\n%s\t" KVPBUS_VERSION "\t\t\t2\t\tNEWER\n", package->upgrade_code);
    has(rows, row);
}

// What words and events of the programs name.
static const char *const documents[] = {"windows.md", "operations.md", "provisioning.md",
                                        "security.md", "wmi.md"};

static void check_contents(const struct package *package)
{
    char row[200];
    const char *rows = table(package->path, "File");
    snprintf(row, sizeof row, "\tkvpbus-%s.exe\t", package->side);
    has(rows, row);
    has(rows, "\tkvpbus.exe\t");
    has(rows, "\tLICENSE.txt\t");
    has(rows, "\tlicences.txt\t");
    has(rows, "\treadme.txt\t");
    for (size_t i = 0; i < sizeof documents / sizeof *documents; i++) {
        snprintf(row, sizeof row, "\n%s\tDocs\t%s\t", documents[i], documents[i]);
        has(rows, row);
    }
    const char *version = strstr(rows, "\t" KVPBUS_VERSION ".0\t1033\t");
    cr_assert(version != NULL && strstr(version + 1, "\t" KVPBUS_VERSION ".0\t1033\t") != NULL,
              "%s", rows);
    cr_assert_null(strstr(table(package->path, "MsiFileHash"), ".exe"), "%s", said);
    has(table(package->path, "Environment"), "\nPath\t=-*PATH\t[~];[INSTALLDIR]\tCommand\n");
    snprintf(row, sizeof row, "\nStop\tkvpbus-%s\t34\t\t1\tService\n", package->side);
    has(table(package->path, "ServiceControl"), row);
    // 64-bit ones, both.
    rows = table(package->path, "Component");
    has(rows, "\tINSTALLDIR\t256\t\tservice.exe\n");
    has(rows, "\tINSTALLDIR\t256\t\tkvpbus.exe\n");
    has(rows, "\tDOCSDIR\t256\t\twindows.md\n");
    has(table(package->path, "Directory"), "\nDOCSDIR\tINSTALLDIR\tdocs\n");
}

static void check_actions(const struct package *package)
{
    static const char *const order[] = {
        "FindRelatedProducts", "AppSearch",         "SetInstallDir",     "LaunchConditions",
        "CostFinalize",        "LookAtService",     "InstallValidate",   "SetStopService",
        "SetPurgeService",     "SetInstallService", "InstallInitialize", "RemoveExistingProducts",
        "RestartService",      "RestoreService",    "StopService",       "StopServices",
        "RemoveService",       "RemoveFiles",       "InstallFiles",      "UndoService",
        "InstallService",      "StartService",      "InstallFinalize",
    };
    char row[200];
    const char *rows = table(package->path, "CustomAction");
    // Deferred and not impersonated; what undoes is for the rollback.
    has(rows, "\nLookAtService\t1\tsetup.dll\tLookAtService\t\n");
    has(rows, "\nStopService\t3073\tsetup.dll\tTryProgram\t\n");
    has(rows, "\nRemoveService\t3073\tsetup.dll\tRunProgram\t\n");
    has(rows, "\nInstallService\t3073\tsetup.dll\tRunProgram\t\n");
    has(rows, "\nStartService\t3073\tsetup.dll\tTryProgram\t\n");
    has(rows, "\nUndoService\t3329\tsetup.dll\tTryProgram\t\n");
    has(rows, "\nRestoreService\t3329\tsetup.dll\tTryProgram\t\n");
    has(rows, "\nRestartService\t3329\tsetup.dll\tTryProgram\t\n");
    snprintf(row, sizeof row, "\"[INSTALLDIR]kvpbus-%s.exe\" service remove --purge\t\n",
             package->side);
    has(rows, row);
    rows = table(package->path, "InstallExecuteSequence");
    has(rows, "\nRemoveService\tREMOVE = \"ALL\" AND NOT UPGRADINGPRODUCTCODE\t");
    has(rows, "\nSetPurgeService\tREMOVE = \"ALL\" AND KEEPSTATE = \"0\"\t");
    has(rows, "\nUndoService\tNOT Installed AND NOT OLDER AND NOT ServiceState\t");
    has(rows, "\nRestartService\tInstalled AND ServiceState = \"running\"\t");
    for (size_t i = 1; i < sizeof order / sizeof *order; i++)
        cr_assert_lt(number_of(rows, order[i - 1]), number_of(rows, order[i]), "%s, %s",
                     order[i - 1], order[i]);
}

Test(installer_packages, say_what_they_should)
{
    for (size_t i = 0; i < sizeof packages / sizeof *packages; i++) {
        const struct package *package = &packages[i];
        check_properties(package);
        check_contents(package);
        check_actions(package);
        const char *rows = table(package->path, "LaunchCondition");
        has(rows, "\nInstalled OR NOT NEWER\tA newer version of [ProductName] is installed.");
        has(rows, "\nInstalled OR WINDOWSMAJOR\t[ProductName] needs Windows 10, Windows Server");
        has(rows, "\nNOT (Installed AND RestrictedUserControl) OR REMOVE = \"ALL\"\tRepair ");
        has(rows, "\tTRUSTKEY has a quote or a backslash");
        has(rows, "\tTRUSTKEYFILE is the whole path of a file");
        has(rows, "\tENROLTOKENFILE is");
        has(rows, "\tINSTALLDIR is the whole path of a folder");
        has(table(package->path, "AppSearch"), "\nWINDOWSMAJOR\tWindowsMajor\n");
        // msidbLocatorTypeRawValue, 64 bits.
        has(table(package->path, "RegLocator"),
            "\nWindowsMajor\t2\t" VERSION_KEY "\tCurrentMajorVersionNumber\t18\n");
    }
    // What is a token is a guest's.
    has(table(GUEST, "CustomAction"), "--enroll-token-file \"[ENROLTOKENFILE]\"");
    cr_assert_null(strstr(table(HOST, "CustomAction"), "ENROLTOKENFILE"));
}

// --- what they do ---

static void start(void)
{
    wine_make(&wine, true);
    wine_stay(&wine);
}

static void finish(void)
{
    wine_remove(&wine);
}

TestSuite(installer, .init = start, .fini = finish);

static int run(const char *const *words)
{
    return wine_run_both(&wine, words, said, sizeof said);
}

#define RUN(...) run((const char *const[]){__VA_ARGS__, NULL})
#define CHECK_RUN(code, text, run)                                                       \
    do {                                                                                 \
        int status = run;                                                                \
        cr_assert_eq(status, code, "it ended with %d, not %d:\n%s", status, code, said); \
        has(said, text);                                                                 \
    } while (0)

static const char *in_c(const char *name)
{
    static char path[600];
    snprintf(path, sizeof path, "%s/drive_c/%s", wine.prefix, name);
    return path;
}

static bool exists(const char *name)
{
    return access(in_c(name), F_OK) == 0;
}

static void read_file(const char *name, char *text, size_t size)
{
    FILE *file = fopen(in_c(name), "rb");
    size_t length = file != NULL ? fread(text, 1, size - 1, file) : 0;
    if (file != NULL)
        fclose(file);
    text[length] = '\0';
}

static void write_file(const char *name, const char *text)
{
    FILE *file = fopen(in_c(name), "w");
    cr_assert_not_null(file);
    fputs(text, file);
    cr_assert_eq(fclose(file), 0);
}

// Silently; `said` has the log.
static int installer(const char *how, const char *package, const char *const *properties)
{
    char path[600];
    const char *words[WINE_WORDS_MAX] = {"msiexec", how, path, "/qn", "/l*v", "C:\\log.txt"};
    snprintf(path, sizeof path, "Z:%s", package);
    for (size_t i = 0; properties[i] != NULL; i++)
        words[6 + i] = properties[i];
    unlink(in_c("log.txt"));
    int status = run(words);
    read_file("log.txt", said, sizeof said);
    return status;
}

#define INSTALL(package, ...) installer("/i", package, (const char *const[]){__VA_ARGS__, NULL})
#define REMOVE(package, ...) installer("/x", package, (const char *const[]){__VA_ARGS__, NULL})

// What the system knows of a side that is installed in `folder`, and that the program there runs.
static void check_installed(const char *side, const char *folder, const char *state)
{
    char name[300], program[300];
    snprintf(program, sizeof program, "%skvpbus-%s.exe", folder, side);
    snprintf(name, sizeof name, SERVICES "%s", side);
    CHECK_RUN(0, program, RUN("reg", "query", name));
    snprintf(name, sizeof name, EVENTS "%s", side);
    CHECK_RUN(0, program, RUN("reg", "query", name));
    snprintf(name, sizeof name, ";%s", folder);
    CHECK_RUN(0, name, RUN("reg", "query", ENVIRONMENT, "/v", "PATH"));
    snprintf(name, sizeof name, "kvpbus %s", side);
    CHECK_RUN(0, name, RUN("reg", "query", PRODUCTS, "/s"));
    cr_assert_null(strstr(strstr(said, name) + 1, name), "it is there twice:\n%s", said);
    CHECK_RUN(strcmp(state, "running") == 0 ? 0 : 3, state, RUN(program, "service", "status"));
    snprintf(program, sizeof program, "%skvpbus.exe", folder);
    CHECK_RUN(0, "kvpbus " KVPBUS_VERSION, RUN(program, "--version"));
}

static void check_gone(const char *side)
{
    char name[200];
    snprintf(name, sizeof name, "Program Files/kvpbus-%s", side);
    cr_assert(!exists(name));
    snprintf(name, sizeof name, SERVICES "%s", side);
    CHECK_RUN(1, "Unable to find", RUN("reg", "query", name));
    snprintf(name, sizeof name, EVENTS "%s", side);
    CHECK_RUN(1, "Unable to find", RUN("reg", "query", name));
    snprintf(name, sizeof name, "HKLM\\SOFTWARE\\kvpbus\\%s", side);
    CHECK_RUN(1, "Unable to find", RUN("reg", "query", name));
    CHECK_RUN(0, "PATH", RUN("reg", "query", ENVIRONMENT, "/v", "PATH"));
    snprintf(name, sizeof name, "\\kvpbus-%s", side);
    cr_assert_null(strstr(said, name), "%s", said);
    // The key of all products may have gone with the last one.
    int status = RUN("reg", "query", PRODUCTS, "/s");
    cr_assert(status == 0 || strstr(said, "Unable to find") != NULL, "%s", said);
    snprintf(name, sizeof name, "kvpbus %s", side);
    cr_assert_null(strstr(said, name), "%s", said);
}

#define IN_GUEST "C:\\Program Files\\kvpbus-guest\\"
#define IN_HOST "C:\\Program Files\\kvpbus-host\\"

static void check_trust(const char *text)
{
    char kept[200];
    read_file("ProgramData/kvpbus/trusted_host", kept, sizeof kept);
    cr_assert_str_eq(kept, text);
}

Test(installer, a_guest_is_installed_upgraded_and_removed_with_its_state_kept)
{
    static const char *const files[] = {"kvpbus.exe",   "kvpbus-guest.exe", "LICENSE.txt",
                                        "licences.txt", "readme.txt",       "docs/windows.md"};
    char path[200], identity[64], later[64];
    write_file("key", KEY_TEXT "\n");
    CHECK_RUN(0, "is registered", INSTALL(OLD_GUEST, "TRUSTKEYFILE=C:\\key", "STARTSERVICE=0"));
    for (size_t i = 0; i < sizeof files / sizeof *files; i++) {
        snprintf(path, sizeof path, "Program Files/kvpbus-guest/%s", files[i]);
        cr_assert(exists(path), "%s", path);
    }
    check_installed("guest", IN_GUEST, "stopped");
    check_trust(KEY_TEXT "\n");
    cr_assert(!exists("ProgramData/kvpbus/guest/identity.key"));

    CHECK_RUN(0, "kvpbus-guest runs", INSTALL(OLD_GUEST, NULL));
    check_installed("guest", IN_GUEST, "running");
    cr_assert(exists("ProgramData/kvpbus/guest/identity.key"));
    read_file("ProgramData/kvpbus/guest/identity.key", identity, sizeof identity);

    CHECK_RUN(0, "kvpbus-guest runs", INSTALL(GUEST, NULL));
    check_installed("guest", IN_GUEST, "running");
    CHECK_RUN(0, "    " KVPBUS_VERSION "\n", RUN("reg", "query", PRODUCTS, "/s"));
    check_trust(KEY_TEXT "\n");
    read_file("ProgramData/kvpbus/guest/identity.key", later, sizeof later);
    cr_assert_arr_eq(identity, later, 32);

    cr_assert_eq(INSTALL(OLD_GUEST, NULL), FAILED, "%s", said);
    check_installed("guest", IN_GUEST, "running");

    CHECK_RUN(0, "its state stays", REMOVE(GUEST, NULL));
    check_gone("guest");
    check_trust(KEY_TEXT "\n");
    cr_assert(exists("ProgramData/kvpbus/guest/identity.key"));
}

// As Windows tells it; Wine removes it as if nothing came after.
Test(installer, an_older_version_leaves_the_service_to_the_newer_one)
{
    CHECK_RUN(0, "kvpbus-guest runs", INSTALL(OLD_GUEST, NULL));
    CHECK_RUN(0, "registered", RUN(IN_GUEST "kvpbus-guest.exe", "service", "install", "--verbose"));
    CHECK_RUN(0, "has stopped",
              REMOVE(OLD_GUEST, "UPGRADINGPRODUCTCODE={A187B44D-C098-534C-B197-1CA7A1DACC39}"));
    cr_assert(!exists("Program Files/kvpbus-guest"));
    CHECK_RUN(0, "\"service\" \"run\" \"--verbose\"", RUN("reg", "query", SERVICES "guest"));
    CHECK_RUN(0, "kvpbus-guest runs", INSTALL(GUEST, NULL));
    check_installed("guest", IN_GUEST, "running");
    CHECK_RUN(0, "\"service\" \"run\" \"--verbose\"", RUN("reg", "query", SERVICES "guest"));
}

Test(installer, nothing_is_left_when_no_state_is_kept)
{
    struct kvpbus_token token = {.ends_ms = 1};
    char text[KVPBUS_TOKEN_TEXT];
    kvpbus_token_write(&token, text);
    write_file("token", text);
    CHECK_RUN(0, "is registered",
              INSTALL(GUEST, "TRUSTKEY=" KEY_TEXT, "ENROLTOKENFILE=C:\\token", "STARTSERVICE=0"));
    cr_assert_null(strstr(said, text), "the token is in the log");
    check_trust(KEY_TEXT);
    cr_assert(exists("ProgramData/kvpbus/enroll.token"));
    CHECK_RUN(0, "runs", RUN(IN_GUEST "kvpbus-guest.exe", "service", "start"));
    cr_assert(exists("ProgramData/kvpbus/guest/identity.key"));
    CHECK_RUN(0, "with all that it had", REMOVE(GUEST, "KEEPSTATE=0"));
    check_gone("guest");
    cr_assert(!exists("ProgramData/kvpbus"));
}

// A service that was removed by hand is no hindrance, and neither is one that cannot start.
Test(installer, another_folder_is_remembered)
{
    CHECK_RUN(0, "",
              RUN("reg", "delete", "HKLM\\SOFTWARE\\Microsoft\\Virtual Machine", "/f", "/reg:64"));
    // Now and then Wine takes a service that ends at once for one that does not start in time.
    CHECK_RUN(0, "is registered", INSTALL(OLD_GUEST, "INSTALLDIR=C:\\kvp bus"));
    cr_assert(strstr(said, "ended at once") != NULL || strstr(said, "(1053)") != NULL, "%s", said);
    check_installed("guest", "C:\\kvp bus\\", "stopped");
    CHECK_RUN(0, "is registered", INSTALL(GUEST, "STARTSERVICE=0"));
    check_installed("guest", "C:\\kvp bus\\", "stopped");
    cr_assert(exists("kvp bus/kvpbus.exe") && !exists("Program Files/kvpbus-guest"));
    CHECK_RUN(0, "removed", RUN("C:\\kvp bus\\kvpbus-guest.exe", "service", "remove"));
    CHECK_RUN(0, "is not registered", REMOVE(GUEST, NULL));
    check_gone("guest");
    cr_assert(!exists("kvp bus"));
}

Test(installer, both_sides_are_on_one_machine)
{
    CHECK_RUN(0, "is registered", INSTALL(GUEST, "STARTSERVICE=0"));
    CHECK_RUN(
        0, "is registered",
        INSTALL(HOST, "STARTSERVICE=0", "TRUSTKEY=8D660285-3FAF-4DD8-9F2B-9D835FAE583C " KEY_TEXT));
    check_installed("guest", IN_GUEST, "stopped");
    check_installed("host", IN_HOST, "stopped");
    cr_assert(exists("ProgramData/kvpbus/known_guests"));
    CHECK_RUN(0, "with all that it had", REMOVE(HOST, "KEEPSTATE=0"));
    check_gone("host");
    cr_assert(!exists("ProgramData/kvpbus/known_guests"));
    check_installed("guest", IN_GUEST, "stopped");
}

Test(installer, what_is_wrong_ends_it_and_leaves_nothing)
{
    static const struct {
        const char *package, *property, *text;
    } wrong[] = {
        {GUEST, "TRUSTKEY=nonsense", "kvpbus-guest: the key, line 1 has no key"},
        {HOST, "TRUSTKEY=" KEY_TEXT, "kvpbus-host: the key"},
        {GUEST, "TRUSTKEYFILE=C:\\missing", "cannot open C:\\missing"},
        {GUEST, "ENROLTOKENFILE=C:\\key", "C:\\key: this is not a token"},
        {GUEST, "TRUSTKEYFILE=key", "LaunchConditions. Return value 0"},
        {GUEST, "TRUSTKEYFILE=C:\\key\\", "LaunchConditions. Return value 0"},
        {GUEST, "TRUSTKEY=\"\"\" --purge\"", "LaunchConditions. Return value 0"},
        {GUEST, "ENROLTOKENFILE=\"C:\\\"\" --purge\"", "LaunchConditions. Return value 0"},
        {HOST, "ENROLTOKENFILE=C:\\key", "LaunchConditions. Return value 0"},
        {GUEST, "INSTALLDIR=here", "LaunchConditions. Return value 0"},
        {GUEST, "STARTSERVICE=yes", "LaunchConditions. Return value 0"},
        {GUEST, "KEEPSTATE=", "LaunchConditions. Return value 0"},
    };
    write_file("key", KEY_TEXT "\n");
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++)
        CHECK_RUN(FAILED, wrong[i].text, INSTALL(wrong[i].package, wrong[i].property));
    CHECK_RUN(FAILED, "this is not a token",
              INSTALL(GUEST, "TRUSTKEY=" KEY_TEXT, "ENROLTOKENFILE=C:\\key"));
    CHECK_RUN(FAILED, "LaunchConditions. Return value 0",
              INSTALL(GUEST, "TRUSTKEY=" KEY_TEXT, "TRUSTKEYFILE=C:\\key"));
    // As on Windows 8.1 and Server 2012 R2.
    CHECK_RUN(0, "",
              RUN("reg", "delete", "HKLM\\" VERSION_KEY, "/v", "CurrentMajorVersionNumber", "/f",
                  "/reg:64"));
    CHECK_RUN(FAILED, "LaunchConditions. Return value 0", INSTALL(HOST, "STARTSERVICE=0"));
    check_gone("guest");
    check_gone("host");
    cr_assert(!exists("ProgramData/kvpbus"));
}

// Wine takes the product for removed afterwards, so that one failure is all that can be looked at.
static void check_failed_repair(const char *start, const char *state)
{
    CHECK_RUN(0, "is registered", INSTALL(GUEST, "TRUSTKEY=" KEY_TEXT, start));
    CHECK_RUN(0, "registered", RUN(IN_GUEST "kvpbus-guest.exe", "service", "install", "--verbose"));
    CHECK_RUN(FAILED, "kvpbus-guest: the key", INSTALL(GUEST, "TRUSTKEY=nonsense"));
    CHECK_RUN(strcmp(state, "running") == 0 ? 0 : 3, state,
              RUN(IN_GUEST "kvpbus-guest.exe", "service", "status"));
    CHECK_RUN(0, "\"service\" \"run\" \"--verbose\"", RUN("reg", "query", SERVICES "guest"));
    check_trust(KEY_TEXT);
}

Test(installer, a_failed_repair_has_the_service_run_again)
{
    check_failed_repair("STARTSERVICE=1", "running");
}

Test(installer, a_failed_repair_leaves_a_stopped_service)
{
    check_failed_repair("STARTSERVICE=0", "stopped");
}

Test(installer, a_service_of_before_outlives_a_failed_installation)
{
    CHECK_RUN(0, "registered", RUN("guest/kvpbus-guest.exe", "service", "install", "--verbose"));
    CHECK_RUN(FAILED, "kvpbus-guest: the key", INSTALL(GUEST, "TRUSTKEY=nonsense"));
    CHECK_RUN(0, "\"service\" \"run\" \"--verbose\"", RUN("reg", "query", SERVICES "guest"));
    cr_assert(!exists("Program Files/kvpbus-guest"));
}
