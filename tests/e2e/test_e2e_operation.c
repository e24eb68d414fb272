// SPDX-License-Identifier: Apache-2.0
//
// What an operator does with a running service: changes its configuration, reads its log, stops it.
#include <criterion/criterion.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>

#include "world.h"

static struct world world;

static void begin(void)
{
    world_begin(&world, "");
}

static void end(void)
{
    world_end(&world);
}

TestSuite(operation, .init = begin, .fini = end);

static void logged(const char *words)
{
    for (int i = 0; i < 200; i++) {
        if (world_shell(&world, "grep -F \"%s\" host.log", words) == 0)
            return;
        lab_sleep_ms(50);
    }
    cr_assert_fail("the log does not say: %s", words);
}

Test(operation, the_configuration_is_checked)
{
    world_configure_host(&world, "[kvpbus]\nring_slots = 8\n");
    cr_assert_eq(world_shell(&world, "$HOST --config host.conf --check-config"), 0);
    world_configure_host(&world, "[kvpbus]\nring_slots = 8\nspeed = 3\n");
    cr_assert_eq(world_shell(&world, "$HOST --config host.conf --check-config"), 2);
    cr_assert_not_null(strstr(world_output(), "speed"), "%s", world_output());
    world_configure_host(&world, "[kvpbus]\nring_slots = 800\n");
    cr_assert_eq(world_shell(&world, "$HOST --config host.conf --check-config"), 2);
    cr_assert_not_null(strstr(world_output(), "1 to 64"), "%s", world_output());
    cr_assert_eq(world_shell(&world, "$HOST --print-config >all.conf && "
                                     "$HOST --config all.conf --check-config"),
                 0);
}

// Longer than a socket's path can be.
#define LONG                                                  \
    "/a/path/of/more/than/a/hundred/and/seven/characters/as/" \
    "no/socket/can/have/one/because/its/address/has/no/room"

// Each value is possible by itself; the service does not begin with it all the same.
static const struct {
    const char *side, *file, *says;
} refused[] = {
    {"host", "outbox_max = 8M", "outbox_max, inbox_max and journal_max must each hold"},
    {"host", "inbox_max = 8M", "outbox_max, inbox_max and journal_max must each hold"},
    {"host", "journal_max = 8M", "outbox_max, inbox_max and journal_max must each hold"},
    {"host", "control_reserve = 256M", "outbox_max, inbox_max and journal_max must each hold"},
    {"host", "body_max = 256M", "outbox_max, inbox_max and journal_max must each hold"},
    {"host", "bulk_max = 8M", "bulk_max must hold body_max, 16777216 bytes"},
    {"host", "[vm web]\noutbox_max = 8M", "web: outbox_max and inbox_max must hold"},
    {"host", "[vm web]\ninbox_max = 8M", "web: outbox_max and inbox_max must hold"},
    {"host", "body_max = 64M\n[vm web]\nbulk_max = 63M", "web: bulk_max must hold body_max"},
    {"host", "store = foo", "'foo' is not a store of a host"},
    {"host", "store = lab:", "'lab:' is not a store of a host"},
    {"host", "store = lab:" LONG, "is too long for a socket"},
    {"host", "socket = " LONG, "is longer than 107 characters"},
    {"guest", "outbox_max = 8M", "outbox_max, inbox_max and journal_max must each hold"},
    {"guest", "store = foo", "'foo' is not a store of a guest"},
    {"guest", "store = pool:", "'pool:' is not a store of a guest"},
};

static void ends(int code, int expected, const char *file, const char *says)
{
    cr_expect_eq(code, expected, "%s: %d", file, code);
    cr_expect_not_null(strstr(world_output(), says), "%s: %s", file, world_output());
}

// The start, the check before it and the doctor are of one mind.
static void is_refused(const char *side, const char *file, const char *says)
{
    bool host = strcmp(side, "host") == 0;
    const char *store = host ? "store = lab:host.sock" : "store = pool:vm/alpha/kvp";
    const char *program = host ? "$HOST" : "$GUEST";
    char path[160];
    snprintf(path, sizeof path, "%s/refused.conf", world.lab.directory);
    FILE *out = fopen(path, "w");
    cr_assert_not_null(out);
    fprintf(out, "[kvpbus]\n%s\n%s\n", strncmp(file, "store", 5) != 0 ? store : "", file);
    fclose(out);
    ends(world_shell(&world, "%s --config refused.conf --check-config", program), 2, file, says);
    ends(world_shell(&world, "%s --config refused.conf --state refused", program), 2, file, says);
    ends(world_shell(&world, "[ ! -e refused ]"), 0, file, "");
    ends(world_shell(&world, "$KVPBUS doctor --side %s --config refused.conf | grep config", side),
         0, file, says);
}

Test(operation, what_the_start_refuses_is_not_called_right)
{
    for (size_t i = 0; i < sizeof refused / sizeof *refused; i++)
        is_refused(refused[i].side, refused[i].file, refused[i].says);
}

Test(operation, an_unknown_option_stops_only_what_depends_on_it)
{
    world_configure_host(&world, "[kvpbus]\nspeed = 3\n");
    world_start(&world, WORLD_HOST);
    logged("warning: host.conf: there is no option speed");
    world_stop(&world, WORLD_HOST, SIGTERM);
    world_configure_host(&world, "[security]\nonly_signed = yes\n");
    cr_assert_eq(world_shell(&world, "$HOST --store lab:x --state s --config host.conf"), 2);
    cr_assert_not_null(strstr(world_output(), "only_signed"), "%s", world_output());
}

static void shell(const char *command)
{
    cr_assert_eq(world_shell(&world, "%s", command), 0, "%s: %s", command, world_output());
}

Test(operation, what_the_file_says_holds)
{
    shell("printf \"[kvpbus]\\nprefix = other\\nring_slots = 3\\nbody_max = 64k\\n\" "
          "| tee host.conf >alpha.conf");
    world_start(&world, WORLD_HOST);
    world_start(&world, WORLD_ALPHA);
    world_pair(&world, WORLD_ALPHA);
    shell("grep -aq other.h vm/alpha/kvp/.kvp_pool_1 && ! grep -aq kvpbus.h "
          "vm/alpha/kvp/.kvp_pool_1");
    world_ok(&world, WORLD_HOST, "status alpha");
    cr_assert_not_null(strstr(world_output(), "of up to 3\n"), "%s", world_output());
    shell("head -c 70000 /dev/zero >long");
    cr_assert_eq(world_kvpbus(&world, WORLD_HOST, "send alpha app.x --file long"), 7);
    cr_assert_not_null(strstr(world_output(), "body_max"), "%s", world_output());
    world_alpha_works(&world);
    world_stop(&world, WORLD_ALPHA, SIGTERM);
    // What the command line has given so far.
    shell("printf \"store = pool:vm/alpha/kvp\\nstate = own.state\\nsocket = own.ctl\\n\" "
          ">>alpha.conf");
    shell("$GUEST --config alpha.conf 2>own.log & for i in $(seq 200); do sleep 0.1; "
          "$KVPBUS --socket own.ctl status host && break; done; kill $!; wait $! && "
          "[ -f own.state/journal ] && [ ! -e own.ctl ]");
}

Test(operation, a_hangup_reads_the_configuration_again)
{
    world_configure_host(&world, "[kvpbus]\nring_slots = 8\n");
    world_start(&world, WORLD_HOST);
    world_configure_host(&world, "[kvpbus]\nring_slots = 9\nlog_format = json\npoll_slow = 1s\n");
    cr_assert_eq(kill(world.pids[WORLD_HOST], SIGHUP), 0);
    logged("ring_slots takes effect at the next start");
    logged("log_format takes effect now");
    logged("poll_slow takes effect now");
    world_configure_host(&world, "[kvpbus]\nring_slots = many\n");
    cr_assert_eq(kill(world.pids[WORLD_HOST], SIGHUP), 0);
    logged("the configuration stays as it was: host.conf: ");
    world_configure_host(&world, "[kvpbus]\noutbox_max = 8M\npoll_slow = 3s\n");
    cr_assert_eq(kill(world.pids[WORLD_HOST], SIGHUP), 0);
    logged("the configuration stays as it was: outbox_max, inbox_max");
    world_ok(&world, WORLD_HOST, "vms");
}

// The host, which nobody tells of changes, has looked once and would look again in ten minutes.
Test(operation, a_hangup_brings_the_next_look_forward)
{
    world_configure_host(&world, "[kvpbus]\npoll_slow = 10m\n");
    world_start(&world, WORLD_HOST);
    world_await(&world, WORLD_HOST, "alpha", "\"paired\": false", 20);
    lab_sleep_ms(1000);
    world_start(&world, WORLD_ALPHA);
    world_configure_host(&world, "[kvpbus]\npoll_slow = 1s\n");
    cr_assert_eq(kill(world.pids[WORLD_HOST], SIGHUP), 0);
    logged("poll_slow takes effect now");
    world_pair(&world, WORLD_ALPHA);
}

// One object a line, and nothing of what is sent.
Test(operation, the_log_keeps_secrets)
{
    world_configure_host(&world, "[kvpbus]\nlog = debug\nlog_format = json\n");
    world_start(&world, WORLD_HOST);
    world_start(&world, WORLD_ALPHA);
    world_pair(&world, WORLD_ALPHA);
    world_ok(&world, WORLD_HOST, "send alpha quiet.topic --text whispered --wait delivered");
    world_ok(&world, WORLD_ALPHA, "recv --timeout 20s");
    // While nobody is there to take it.
    world_stop(&world, WORLD_ALPHA, SIGKILL);
    world_ok(&world, WORLD_HOST, "send alpha quiet.topic --ttl 1ms --text whispered");
    world_start(&world, WORLD_ALPHA);
    world_await(&world, WORLD_HOST, "alpha", "\"expired\": 1", 20);
    cr_assert_neq(world_kvpbus(&world, WORLD_HOST, "send alpha quiet..topic --text whispered"), 0);
    world_stop(&world, WORLD_HOST, SIGTERM);
    cr_assert_eq(world_shell(&world, "grep -E \"quiet|whispered\" host.log alpha.log"), 1, "%s",
                 world_output());
    cr_assert_eq(world_shell(&world, "grep -c . host.log && grep -vE \"^[{].time.: .20[0-9T:.-]*Z.,"
                                     " .level.: .(info|warning|error|debug).,"
                                     " (.peer.: .alpha., )?.message.: .*.[}]$\" host.log"),
                 1, "%s", world_output());
    cr_assert_eq(world_shell(&world, "grep -F \"\\\"peer\\\": \\\"alpha\\\"\" host.log"), 0);
}

// The lab answers no call: what is under way cannot end.
static pid_t stuck(const char *text)
{
    world_configure_host(&world, text);
    world_start(&world, WORLD_HOST);
    world_start(&world, WORLD_ALPHA);
    world_pair(&world, WORLD_ALPHA);
    cr_assert_eq(kill(world.lab.pid, SIGSTOP), 0);
    world_ok(&world, WORLD_HOST, "send alpha app.kept --text kept");
    lab_sleep_ms(3000);
    return world.pids[WORLD_HOST];
}

static void ends_and_has_lost_nothing(pid_t host)
{
    int status;
    cr_assert_eq(waitpid(host, &status, 0), host);
    world.pids[WORLD_HOST] = 0;
    cr_assert_eq(kill(world.lab.pid, SIGCONT), 0);
    cr_assert(WIFEXITED(status) && WEXITSTATUS(status) == 1, "%#x", (unsigned)status);
    world_start(&world, WORLD_HOST);
    world_ok(&world, WORLD_ALPHA, "recv --timeout 50s");
    cr_assert_str_eq(world_output(), "kept");
}

Test(operation, a_stop_ends_within_its_bound)
{
    pid_t host = stuck("[kvpbus]\nstop_within = 1s\n");
    cr_assert_eq(kill(host, SIGTERM), 0);
    ends_and_has_lost_nothing(host);
    logged("the stop took too long");
}

Test(operation, a_second_signal_ends_at_once)
{
    pid_t host = stuck("[kvpbus]\nstop_within = 5m\n");
    cr_assert_eq(kill(host, SIGTERM), 0);
    logged("stopping");
    cr_assert_eq(kill(host, SIGTERM), 0);
    ends_and_has_lost_nothing(host);
    logged("a second signal");
}

Test(operation, vms_are_asked_for_before_the_first_was_found)
{
    cr_assert_eq(kill(world.lab.pid, SIGSTOP), 0);
    world_start(&world, WORLD_HOST);
    world_ok(&world, WORLD_HOST, "vms");
    cr_assert_str_eq(world_output(), "no VM has been found yet");
    world_ok(&world, WORLD_HOST, "--json vms");
    cr_assert_str_eq(world_output(), "[]");
    cr_assert_eq(kill(world.lab.pid, SIGCONT), 0);
    world_await(&world, WORLD_HOST, "alpha", "\"state\": \"alone\"", 30);
}

// On a terminal of so many columns, with Ctrl-C after a while.
static int watch(int columns)
{
    return world_shell(&world,
                       "script -qec \"stty cols %d rows 10; timeout --foreground --preserve-status "
                       "-s INT 3 $KVPBUS --socket host.ctl status --watch\" /dev/null",
                       columns);
}

Test(operation, the_status_is_watched_on_a_terminal)
{
    world_start(&world, WORLD_HOST);
    world_await(&world, WORLD_HOST, "", "beta", 20);
    cr_assert_eq(watch(100), 0, "%s", world_output());
    cr_assert(strstr(world_output(), "alpha") != NULL && strstr(world_output(), "beta") != NULL,
              "%s", world_output());
    cr_assert_not_null(strstr(world_output(), "\033[?1049l"), "the screen is not given back");
    cr_assert_eq(watch(12), 0);
    cr_assert_not_null(strstr(world_output(), "NAME        \033[K"), "%s", world_output());
    cr_assert_null(strstr(world_output(), "LINK"), "%s", world_output());
    cr_assert_eq(world_kvpbus(&world, WORLD_HOST, "status --watch"), 2);
    cr_assert_not_null(strstr(world_output(), "needs a terminal"), "%s", world_output());
}
