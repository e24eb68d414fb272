// SPDX-License-Identifier: Apache-2.0
//
// What people, disks and other VMs get wrong: one clear sentence and an exit code each, no crash,
// nothing lost, and the other VM goes on.
#include <criterion/criterion.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

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

TestSuite(e2e_bad_input, .init = begin, .fini = finish);

// The command's one line: it begins with the program's name and has the words.
static void fails(int code, int expected, const char *words)
{
    cr_assert_eq(code, expected, "%d instead of %d: %s", code, expected, world_output());
    cr_assert(strncmp(world_output(), "kvpbus", 6) == 0, "%s", world_output());
    cr_assert_not_null(strstr(world_output(), words), "'%s' is not in: %s", words, world_output());
}

static void one_line(void)
{
    cr_assert_null(strchr(world_output(), '\n'), "more than a line: %s", world_output());
}

#define START_HOST "$HOST --store lab:host.sock --state host.state --socket host.ctl"
#define START_ALPHA "$GUEST --store pool:vm/alpha/kvp --state alpha.state --socket alpha.ctl"

static void start_all(void)
{
    world_start(&world, WORLD_HOST);
    world_start(&world, WORLD_ALPHA);
    world_pair(&world, WORLD_ALPHA);
}

Test(e2e_bad_input, words_of_the_command)
{
    start_all();
    fails(world_kvpbus(&world, WORLD_HOST, "send gamma app.x --text t"), 4, "gamma");
    one_line();
    fails(world_kvpbus(&world, WORLD_HOST, "status 01234567-89AB-CDEF-0123-456789ABCDEF"), 4,
          "01234567");
    fails(world_kvpbus(&world, WORLD_HOST, "send beta app.x --text t"), 5, "kvpbus pair beta");
    one_line();
    static const char *const topics[] = {"app..x", ".app", "app.", "app/x", "\"app x\"", "\"\""};
    for (size_t i = 0; i < sizeof topics / sizeof *topics; i++) {
        fails(world_kvpbus(&world, WORLD_HOST, "send alpha %s --text t", topics[i]), 2, "topic");
        one_line();
    }
    fails(world_kvpbus(&world, WORLD_HOST, "send alpha app.x --text t --stream \"a b\""), 2,
          "stream");
    fails(world_kvpbus(&world, WORLD_HOST, "send alpha app.x --text t --class fast"), 2, "class");
    fails(world_kvpbus(&world, WORLD_HOST, "send alpha app.x --text t --ttl soon"), 2, "10s");
    fails(world_kvpbus(&world, WORLD_HOST, "send alpha app.x --text t --ttl 0s"), 2, "10s");
    fails(world_kvpbus(&world, WORLD_HOST, "send alpha app.x --text t --wait forever"), 2,
          "delivered");
    fails(world_kvpbus(&world, WORLD_HOST, "send alpha app.x"), 2, "--text");
    fails(world_kvpbus(&world, WORLD_HOST, "send alpha app.x --text t --file f"), 2, "--file");
    fails(world_kvpbus(&world, WORLD_HOST, "send alpha app.x --file nowhere"), 1, "nowhere");
    fails(world_kvpbus(&world, WORLD_HOST, "recv --count none"), 2, "count");
    fails(world_kvpbus(&world, WORLD_HOST, "recv --topic a..b --timeout 1s"), 2, "pattern");
    fails(world_kvpbus(&world, WORLD_HOST, "dance"), 2, "dance");
    fails(world_kvpbus(&world, WORLD_HOST, "recv --loud"), 2, "--loud");
    fails(world_kvpbus(&world, WORLD_HOST, "recv -l"), 2, "-l");
    fails(world_kvpbus(&world, WORLD_HOST, "send alpha app.x --text"), 2, "--text needs a value");
    fails(world_shell(&world, "$KVPBUS --loud vms"), 2, "--loud");
    fails(world_shell(&world, "$KVPBUS --socket nowhere vms"), 3, "nowhere");
    one_line();
    world_alpha_works(&world);
}

Test(e2e_bad_input, a_message_too_large)
{
    start_all();
    cr_assert_eq(world_shell(&world, "truncate -s 17M huge"), 0);
    fails(world_kvpbus(&world, WORLD_HOST, "send alpha app.x --file huge"), 7, "16777216");
    one_line();
    world_alpha_works(&world);
}

Test(e2e_bad_input, a_message_too_large_for_the_other_side)
{
    start_all();
    world_stop(&world, WORLD_ALPHA, SIGTERM);
    cr_assert_eq(world_shell(&world,
                             "printf \"[kvpbus]\\nbody_max = 1k\\n\" >small.conf; " START_ALPHA
                             " --config small.conf >small.log 2>&1 & echo $! >extra.pid; "
                             "head -c 1500000 /dev/urandom >large; head -c 500 large >small"),
                 0);
    fails(world_kvpbus(&world, WORLD_HOST, "send alpha app.x --file large --wait delivered"), 11,
          "refused");
    world_ok(&world, WORLD_HOST, "send alpha app.x --file small --wait delivered");
    world_ok(&world, WORLD_ALPHA, "recv --timeout 20s --out got");
    cr_assert_eq(world_shell(&world, "cmp small got/*"), 0, "%s", world_output());
    cr_assert_eq(world_shell(&world, "grep \": host: .*the limit is\" small.log"), 0);
    cr_assert_eq(world_shell(&world, "kill $(cat extra.pid)"), 0);
}

Test(e2e_bad_input, a_fingerprint_that_is_another_one)
{
    world_start(&world, WORLD_HOST);
    world_start(&world, WORLD_ALPHA);
    world_await(&world, WORLD_HOST, "alpha", "\"state\": \"unpaired\"", 10);
    fails(world_kvpbus(&world, WORLD_HOST,
                       "pair alpha --fingerprint 0123-4567-89ab-cdef-0123-4567-89ab-cdef"),
          5, "fingerprint");
    one_line();
    fails(world_kvpbus(&world, WORLD_HOST, "pair alpha"), 2, "fingerprint");
    fails(world_kvpbus(&world, WORLD_HOST, "pair beta --fingerprint 0123"), 5, "beta");
    world_pair(&world, WORLD_ALPHA);
}

Test(e2e_bad_input, another_identity_in_the_place_of_a_paired_one)
{
    start_all();
    world_stop(&world, WORLD_ALPHA, SIGTERM);
    cr_assert_eq(world_shell(&world, "mv alpha.state old.state"), 0);
    world_start(&world, WORLD_ALPHA);
    world_await(&world, WORLD_HOST, "alpha", "another identity than the one", 20);
    world_ok(&world, WORLD_HOST, "send alpha app.x --text secret");
    lab_sleep_ms(1500);
    cr_assert_eq(world_kvpbus(&world, WORLD_ALPHA, "recv --timeout 1s"), 6);
    // The right one back: it gets what was meant for it.
    world_stop(&world, WORLD_ALPHA, SIGTERM);
    cr_assert_eq(world_shell(&world, "rm -r alpha.state; mv old.state alpha.state"), 0);
    world_start(&world, WORLD_ALPHA);
    world_ok(&world, WORLD_ALPHA, "recv --timeout 40s");
    cr_assert_str_eq(world_output(), "secret");
}

Test(e2e_bad_input, a_second_service_on_the_same_state)
{
    start_all();
    fails(world_shell(&world, START_ALPHA "2"), 9, "alpha.state");
    one_line();
    fails(world_shell(&world, START_HOST "2"), 9, "host.state");
    world_alpha_works(&world);
}

// The VM `vm` gets and sends a message that no other side gets.
static void exchanges(enum world_side side, const char *vm, const char *text)
{
    world_ok(&world, WORLD_HOST, "send %s app.x --text %s --wait delivered", vm, text);
    world_ok(&world, side, "recv --timeout 20s");
    cr_assert_str_eq(world_output(), text);
    world_ok(&world, side, "send host app.%s --text %s-back --wait delivered", vm, text);
    world_ok(&world, WORLD_HOST, "recv --topic app.%s --timeout 20s", vm);
}

// True when the log has a line of the peer that names the fault and says what to do.
static bool second_is_told(const char *log)
{
    return world_shell(&world,
                       "grep -E \"host: another program writes this store with my identity: stop .*"
                       "start .* again\" %s",
                       log) == 0;
}

// Alpha's agent and a second one, with a state of its own but alpha's identity, run on alpha's
// pool; a message waits on either side of alpha's link.
static void start_a_second_alpha(void)
{
    world_stop(&world, WORLD_ALPHA, SIGTERM);
    world_ok(&world, WORLD_HOST, "send alpha app.x --text down");
    world_stop(&world, WORLD_HOST, SIGTERM);
    world_start(&world, WORLD_ALPHA);
    world_ok(&world, WORLD_ALPHA, "send host app.x --text up");
    cr_assert_eq(
        world_shell(&world,
                    "mkdir -m 700 second.state && cp alpha.state/identity.key second.state && "
                    "{ $GUEST --store pool:vm/alpha/kvp --state second.state --socket second.ctl "
                    ">second.log 2>&1 & echo $! >extra.pid; }"),
        0);
    world_start(&world, WORLD_HOST);
}

Test(e2e_bad_input, a_second_agent_with_the_same_identity)
{
    start_all();
    world_start(&world, WORLD_BETA);
    world_pair(&world, WORLD_BETA);
    start_a_second_alpha();
    // One of the two notices the other and says so; neither fights for ever, and the other VM goes
    // on meanwhile.
    bool alpha = false, second = false;
    for (int i = 0; !alpha && !second && i < 300; i++) {
        exchanges(WORLD_BETA, "beta", "beside");
        lab_sleep_ms(500);
        alpha = second_is_told("alpha.log");
        second = second_is_told("second.log");
    }
    cr_assert(alpha || second, "nobody noticed");
    cr_assert_eq(world_shell(&world, "$KVPBUS --socket %s.ctl status", alpha ? "alpha" : "second"),
                 0);
    cr_assert_not_null(strstr(world_output(), "host: stopped, another program"), "%s",
                       world_output());
    // What it says.
    cr_assert_eq(world_shell(&world, "kill $(cat extra.pid) && rm extra.pid"), 0);
    if (alpha) {
        world_stop(&world, WORLD_ALPHA, SIGTERM);
        world_start(&world, WORLD_ALPHA);
    }
    world_ok(&world, WORLD_ALPHA, "recv --timeout 50s");
    cr_assert_str_eq(world_output(), "down");
    world_ok(&world, WORLD_HOST, "recv --timeout 50s");
    cr_assert_str_eq(world_output(), "up");
    world_alpha_works(&world);
    cr_assert_eq(world_kvpbus(&world, WORLD_ALPHA, "recv --timeout 1s"), 6, "%s", world_output());
    cr_assert_eq(world_kvpbus(&world, WORLD_HOST, "recv --timeout 1s"), 6, "%s", world_output());
}

Test(e2e_bad_input, options_of_the_services)
{
    fails(world_shell(&world, "$HOST --store lab:nowhere.sock --state s --socket c"), 3, "nowhere");
    one_line();
    fails(world_shell(&world, "$HOST --state s --socket c"), 3, "/run/kvpbus-lab/host.sock");
    one_line();
    fails(world_shell(&world, "$HOST --store pool:x --state s --socket c"), 2, "pool:x");
    fails(world_shell(&world, "$HOST --store lab:host.sock --state a/b/c --socket c"), 1, "a/b/c");
    static const char *const services[] = {"$GUEST --store pool:vm/alpha/kvp",
                                           "$HOST --store lab:host.sock"};
    for (size_t i = 0; i < 2; i++) {
        fails(world_shell(&world, "%s --state s%zu --socket no/x", services[i], i), 1,
              "cannot listen on the socket no/x");
        one_line();
    }
    fails(world_shell(&world, START_HOST " --config nowhere.conf"), 2, "nowhere.conf");
    cr_assert_eq(world_shell(&world, "printf \"[kvpbus]\\nprefix = BAD\\n\" >bad.conf"), 0);
    fails(world_shell(&world, START_HOST " --config bad.conf"), 2, "prefix");
    one_line();
    fails(world_shell(&world, "$GUEST --store lab:x --state s --socket c"), 2, "lab:x");
    fails(world_shell(&world, "$GUEST --state s --socket c extra"), 2, "words");
    fails(world_shell(&world, "$HOST --fast"), 2, "--fast");
    one_line();
    fails(world_shell(&world, "$HOST --state"), 2, "--state needs a value");
    one_line();
    cr_assert_eq(world_shell(&world, "$HOST --help"), 0);
    cr_assert_eq(world_shell(&world, "$GUEST --version"), 0);
    if (access("/dev/vmbus/hv_kvp", F_OK) != 0) {
        fails(world_shell(&world, "$GUEST --state s --socket c"), 8, "not a Hyper-V guest");
        one_line();
    }
}

Test(e2e_bad_input, a_journal_that_is_damaged)
{
    start_all();
    world_stop(&world, WORLD_ALPHA, SIGTERM);
    cr_assert_eq(world_shell(&world, "cp -r alpha.state good; rm -f alpha.state/journal-*; "
                                     "head -c 8192 /dev/urandom >alpha.state/journal"),
                 0);
    fails(world_shell(&world, START_ALPHA), 10, "alpha.state/journal");
    one_line();
    cr_assert_eq(world_shell(&world, "rm -r alpha.state; mv good alpha.state"), 0);
    world_start(&world, WORLD_ALPHA);
    world_alpha_works(&world);
}

Test(e2e_bad_input, a_journal_that_is_newer)
{
    start_all();
    world_stop(&world, WORLD_ALPHA, SIGTERM);
    cr_assert_eq(world_shell(&world, "sqlite3 alpha.state/journal \"PRAGMA user_version = 999\""),
                 0, "%s", world_output());
    fails(world_shell(&world, START_ALPHA), 10, "newer");
    one_line();
}

Test(e2e_bad_input, an_identity_that_is_damaged)
{
    cr_assert_eq(world_shell(&world, "mkdir -m 700 alpha.state; echo x >alpha.state/identity.key"),
                 0);
    fails(world_shell(&world, START_ALPHA), 5, "identity.key");
    one_line();
}

// A mount namespace of its own, with a small file system under the state folder.
#define ON_SMALL_DISK(size, command)                                        \
    "mkdir -p small; exec $UNSHARE -m sh -c \"mount -t tmpfs -o size=" size \
    " none small && exec " command "\""
#define START_SMALL "$HOST --store lab:host.sock --state small/state --socket small.ctl"

Test(e2e_bad_input, a_disk_that_is_full_at_the_start)
{
    world_skip_unless(&world, "$UNSHARE -m mount -t tmpfs none vm");
    fails(world_shell(&world, ON_SMALL_DISK("16k", START_SMALL)), 7, "small/state");
}

Test(e2e_bad_input, a_disk_that_fills_up)
{
    world_skip_unless(&world, "$UNSHARE -m mount -t tmpfs none vm");
    world_start(&world, WORLD_ALPHA);
    cr_assert_eq(
        world_shell(&world,
                    "mkdir -p small; $UNSHARE -m sh -c \"mount -t tmpfs -o size=2M none small "
                    "&& exec " START_SMALL "\" >small.log 2>&1 & echo $! >extra.pid"),
        0);
    // Paired, with the VM off: what is accepted has to stay in the journal.
    world_ok(&world, WORLD_ALPHA, "identity");
    cr_assert_eq(
        world_shell(&world,
                    "i=0; until $KVPBUS --socket small.ctl pair alpha --fingerprint %s; do "
                    "i=$((i+1)); [ $i -lt 100 ] || exit 1; sleep 0.1; done",
                    world_output()),
        0, "%s", world_output());
    world_stop(&world, WORLD_ALPHA, SIGTERM);
    cr_assert_eq(world_shell(&world, "head -c 60000 /dev/urandom >body"), 0);
    int accepted = 0, code;
    while ((code = world_shell(&world,
                               "$KVPBUS --socket small.ctl send alpha app.x --file body")) == 0)
        cr_assert_lt(++accepted, 40);
    fails(code, 7, "disk");
    one_line();
    cr_assert_gt(accepted, 5);
    // It still serves, and holds exactly what it accepted.
    cr_assert_eq(world_shell(&world, "$KVPBUS --socket small.ctl --json status alpha"), 0);
    char text[32];
    snprintf(text, sizeof text, "\"queued\": %d,", accepted);
    cr_assert_not_null(strstr(world_output(), text), "not %s but %s", text, world_output());
    cr_assert_eq(world_shell(&world, "kill $(cat extra.pid)"), 0);
}

// Sends the bytes to the host's control socket. Returns how many bytes came back, up to 1000,
// before the service closed the connection; -1 when it is still open after a second.
static ssize_t talk(const void *bytes, size_t length)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    char answer[1000];
    size_t got = 0;
    snprintf(address.sun_path, sizeof address.sun_path, "%s/host.ctl", world.lab.directory);
    int connection = socket(AF_UNIX, SOCK_STREAM, 0);
    cr_assert_eq(connect(connection, (struct sockaddr *)&address, sizeof address), 0);
    send(connection, bytes, length, MSG_NOSIGNAL);
    struct pollfd wait = {.fd = connection, .events = POLLIN};
    ssize_t end = 1;
    while (end > 0 && got < sizeof answer && poll(&wait, 1, 1000) == 1) {
        end = recv(connection, answer + got, sizeof answer - got, 0);
        got += end > 0 ? (size_t)end : 0;
    }
    close(connection);
    return end > 0 ? -1 : (ssize_t)got;
}

Test(e2e_bad_input, what_comes_in_by_the_socket)
{
    static uint8_t noise[100000];
    start_all();
    // A huge length, an empty frame, something that is not a request: told and dropped.
    cr_assert_gt(talk("\xff\xff\xff\xff", 4), 0);
    cr_assert_gt(talk("\0\0\0\0", 4), 0);
    cr_assert_gt(talk("\0\0\0\3\xff\xff\xff", 7), 0);
    // A request that nobody knows is told; the connection stays.
    cr_assert_eq(talk("\0\0\0\3\xfa\7\0", 7), -1);
    // A frame that never ends does no harm.
    cr_assert_eq(talk("\0\0\1\0half", 8), -1);
    for (int round = 0; round < 20; round++) {
        for (size_t i = 0; i < sizeof noise; i++)
            noise[i] = (uint8_t)rand();
        memcpy(noise, "\0\0\1", 3);
        talk(noise, sizeof noise);
    }
    world_alpha_works(&world);
}

Test(e2e_bad_input, more_clients_than_are_served)
{
    int connections[100];
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    start_all();
    snprintf(address.sun_path, sizeof address.sun_path, "%s/host.ctl", world.lab.directory);
    for (size_t i = 0; i < 100; i++) {
        connections[i] = socket(AF_UNIX, SOCK_STREAM, 0);
        cr_assert_eq(connect(connections[i], (struct sockaddr *)&address, sizeof address), 0);
    }
    cr_assert_eq(world_kvpbus(&world, WORLD_HOST, "vms"), 1);
    cr_assert_not_null(strstr(world_output(), "64 clients are served already"), "%s",
                       world_output());
    // Whoever asks for the first time, and whoever examines the installation, is told the same.
    cr_assert_eq(world_kvpbus(&world, WORLD_HOST, "send alpha x.y --text z"), 1);
    cr_assert_not_null(strstr(world_output(), "64 clients are served already"), "%s",
                       world_output());
    world_shell(&world, "$KVPBUS --socket host.ctl doctor --side host | grep -A1 \"BAD  service\"");
    cr_assert_not_null(strstr(world_output(), "64 clients are served already"), "%s",
                       world_output());
    cr_assert_null(strstr(world_output(), "restart"), "%s", world_output());
    // Those that were refused are gone, the others are not.
    size_t gone = 0;
    for (size_t i = 0; i < 100; i++) {
        char answer[1000];
        ssize_t got = recv(connections[i], answer, sizeof answer, MSG_DONTWAIT);
        gone += got > 0 && recv(connections[i], answer, sizeof answer, 0) == 0;
        close(connections[i]);
    }
    cr_assert_eq(gone, 36);
    lab_sleep_ms(200);
    world_alpha_works(&world);
}

// Where Data Exchange is not, the agent ends at once, says so in one line, and leaves nothing.
Test(e2e_bad_input, a_machine_that_is_no_hyper_v_guest)
{
    if (access("/dev/vmbus/hv_kvp", F_OK) == 0)
        cr_skip("this machine is one");
    cr_assert_eq(world_shell(&world, "$GUEST --state agent --socket agent.sock"), 8);
    cr_assert_null(strchr(world_output(), '\n'), "%s", world_output()); // one line
    cr_assert_not_null(strstr(world_output(), "not a Hyper-V guest"), "%s", world_output());
    cr_assert_eq(world_shell(&world, "test -e agent -o -e agent.sock"), 1);
}
