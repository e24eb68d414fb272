// SPDX-License-Identifier: Apache-2.0
//
// The rule for every command: given nonsense, or without a service, it ends with the exit code that
// kvpbus(1) lists and one line that begins with the program's name and says what to do. Only how
// the command is used may follow. What is asked of a program never goes to standard error, nor an
// error to standard output.
#include <criterion/criterion.h>
#include <stdio.h>
#include <string.h>

#include "world.h"

static struct world world;

static void begin(void)
{
    world_begin(&world, "");
}

static void finish(void)
{
    world_end(&world);
}

TestSuite(e2e_words, .init = begin, .fini = finish);

// A sensible call of each command, and a foolish one with what is said of it.
static const struct {
    const char *name, *call;
    bool local; // tells something without a service
    const char *nonsense, *told;
} commands[] = {
    {"vms", "vms", false, "vms web", "too many"},
    {"identity", "identity", false, "identity web", "too many"},
    {"enroll", "enroll web", false, "enroll", "name one VM"},
    {"pair", "pair web --fingerprint 0123", false, "pair", "name one peer"},
    {"unpair", "unpair web", false, "unpair", "name one peer"},
    {"rebind", "rebind a b", false, "rebind a", "name the VM"},
    {"export", "export web file --for 00", false, "export web file", "--for"},
    {"import", "import file --fingerprint 0123", false, "import", "name one file"},
    {"rotate", "rotate", false, "rotate web", "too many"},
    {"send", "send web a.b --text t", false, "send web", "topic"},
    {"recv", "recv --timeout 1s", false, "recv web", "too many"},
    {"request", "request web a.b", false, "request web", "topic"},
    {"reply", "reply web 00000000000000000000000000000000.0", false, "reply web", "id"},
    {"serve", "serve a.b -- true", false, "serve a.b true", "--"},
    {"status", "status web", false, "status a b", "too many"},
    {"backup", "backup copy", false, "backup", "name one folder"},
    {"metrics", "metrics", false, "metrics web", "too many"},
    {"audit", "audit list", false, "audit lost", "verify"},
    {"doctor", "doctor", true, "doctor --side left", "guest"},
    {"withdraw", "withdraw 00000000000000000000000000000000.0", false, "withdraw", "id"},
    {"show", "show 00000000000000000000000000000000.0", false, "show", "id"},
    {"dead", "dead list", false, "dead letters", "retry"},
    {"items", "items web", false, "items", "name one peer"},
};

enum { COMMANDS = sizeof commands / sizeof *commands };

// Runs it in the folder; world_output() is what it wrote to standard error, and it wrote nothing
// else.
static int errors_of(const char *program, const char *words)
{
    int code = world_shell(&world,
                           "%s %s >printed 2>errors </dev/null; code=$?; "
                           "test ! -s printed || exit 99; cat errors; exit $code",
                           program, words);
    cr_assert_neq(code, 99, "%s %s writes to standard output as well", program, words);
    return code;
}

// One line of the program, and at most one more: how it is used.
static void says(int code, int expected, const char *program, const char *words, const char *told)
{
    const char *said = world_output(), *rest = strchr(said, '\n');
    size_t length = strlen(program);
    cr_assert_eq(code, expected, "%s %s ends with %d and not with %d: %s", program, words, code,
                 expected, said);
    cr_assert(strncmp(said, program, length) == 0 && strncmp(said + length, ": ", 2) == 0, "%s: %s",
              words, said);
    cr_assert(rest == NULL ||
                  (strncmp(rest, "\nusage: ", 8) == 0 && strchr(rest + 1, '\n') == NULL),
              "%s: %s", words, said);
    const char *found = strstr(said, told);
    cr_assert(found != NULL && (rest == NULL || found < rest), "'%s' is not told to %s: %s", told,
              words, said);
}

static void refuses(const char *words, const char *told)
{
    says(errors_of("$KVPBUS --socket nowhere", words), 2, "kvpbus", words, told);
    says(errors_of("$KVPBUS --json --socket nowhere", words), 2, "kvpbus", words, told);
}

Test(e2e_words, every_command_refuses_nonsense)
{
    char words[128];
    for (size_t i = 0; i < COMMANDS; i++) {
        refuses(commands[i].nonsense, commands[i].told);
        // `audit` and `serve` need a further word before they look at options.
        const char *more = strcmp(commands[i].name, "audit") == 0 ? " list" : "";
        const char *end = strcmp(commands[i].name, "serve") == 0 ? " -- true" : "";
        snprintf(words, sizeof words, "%s%s --frobnicate%s", commands[i].name, more, end);
        refuses(words, "no option '--frobnicate'");
        snprintf(words, sizeof words, "%s%s --json%s", commands[i].name, more, end);
        refuses(words, "kvpbus --json");
    }
    refuses("audit verify --frobnicate", "no option");
    refuses("dance", "kvpbus --help");
    says(errors_of("$KVPBUS", "--frobnicate vms"), 2, "kvpbus", "--frobnicate", "kvpbus --help");
    says(errors_of("$KVPBUS", "--socket"), 2, "kvpbus", "--socket", "needs a value");
}

Test(e2e_words, every_command_without_a_service_says_so)
{
    for (size_t i = 0; i < COMMANDS; i++) {
        if (commands[i].local)
            continue;
        const char *call = commands[i].call;
        says(errors_of("$KVPBUS --socket nowhere", call), 3, "kvpbus", call, "kvpbus doctor");
        says(errors_of("$KVPBUS --json --socket nowhere", call), 3, "kvpbus", call, "nowhere");
        cr_assert_null(strchr(world_output(), '\n'), "%s", world_output());
    }
}

Test(e2e_words, every_command_has_help_with_its_usage)
{
    for (size_t i = 0; i < COMMANDS; i++) {
        char usage[64], listed[32];
        cr_assert_eq(world_shell(&world, "$KVPBUS --help"), 0);
        snprintf(listed, sizeof listed, "\n  %-9s ", commands[i].name);
        cr_assert_not_null(strstr(world_output(), listed), "%s is not listed", listed);
        cr_assert_eq(world_shell(&world, "$KVPBUS %s --help 2>/dev/null", commands[i].name), 0);
        snprintf(usage, sizeof usage, "\nUsage: kvpbus %s", commands[i].name);
        cr_assert_not_null(strstr(world_output(), usage), "%s", world_output());
    }
    // None is missing in the table above.
    cr_assert_eq(world_shell(&world,
                             "test $($KVPBUS --help | grep -v \"^  kvpbus\" | "
                             "grep -cE \"^  [a-z]+ +[a-z]\") = %d",
                             (int)COMMANDS),
                 0);
}

Test(e2e_words, services_and_lab_refuse_nonsense)
{
    static const struct {
        const char *run, *program, *words, *told;
    } calls[] = {
        {"$HOST", "kvpbus-host", "--frobnicate", "kvpbus-host --help"},
        {"$HOST", "kvpbus-host", "web", "kvpbus-host --help"},
        {"$HOST", "kvpbus-host", "--config", "needs a value"},
        {"$HOST", "kvpbus-host", "--config nowhere", "cannot read nowhere"},
        {"$HOST", "kvpbus-host", "service", "systemctl enable --now kvpbus-host"},
        {"$GUEST", "kvpbus-guest", "service install", "systemctl enable --now kvpbus-guest"},
        {"$GUEST", "kvpbus-guest", "--frobnicate", "kvpbus-guest --help"},
        {"$GUEST", "kvpbus-guest", "web", "kvpbus-guest --help"},
        {"$GUEST", "kvpbus-guest", "--config nowhere", "cannot read nowhere"},
        {KVPBUS_BUILD_DIR "/lab/kvpbus-lab", "kvpbus-lab", "--frobnicate", "--help"},
        {KVPBUS_BUILD_DIR "/lab/kvpbus-lab", "kvpbus-lab", "run folder", "--vm"},
        {KVPBUS_BUILD_DIR "/lab/kvpbus-lab", "kvpbus-lab", "run --frobnicate", "--frobnicate"},
        {KVPBUS_BUILD_DIR "/lab/kvpbus-lab", "kvpbus-lab", "ctl . dance", "dance"},
        {KVPBUS_BUILD_DIR "/lab/kvpbus-lab", "kvpbus-lab", "ctl . --frobnicate", "--frobnicate"},
    };
    for (size_t i = 0; i < sizeof calls / sizeof *calls; i++)
        says(errors_of(calls[i].run, calls[i].words), 2, calls[i].program, calls[i].words,
             calls[i].told);
}
