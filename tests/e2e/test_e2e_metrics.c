// SPDX-License-Identifier: Apache-2.0
//
// The figures of a service: over HTTP, by the command, and as status has them. promtool judges the
// format.
#include <criterion/criterion.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>

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

TestSuite(metrics, .init = begin, .fini = end);

static void shell_ok(const char *command)
{
    cr_assert_eq(world_shell(&world, "%s", command), 0, "%s: %s", command, world_output());
}

static void pair_and_send(void)
{
    world_start(&world, WORLD_HOST);
    world_start(&world, WORLD_ALPHA);
    world_pair(&world, WORLD_ALPHA);
    world_ok(&world, WORLD_HOST, "send alpha secret.topic --text whispered --wait delivered");
    world_ok(&world, WORLD_ALPHA, "send host secret.topic --text whispered --wait delivered");
}

static const char scrape[] = "curl -sS --max-time 20 --unix-socket metrics.sock ";

Test(metrics, prometheus_reads_them_at_a_socket)
{
    char path[160];
    snprintf(path, sizeof path, "[kvpbus]\nmetrics = unix:%s/metrics.sock\n", world.lab.directory);
    world_configure_host(&world, path);
    pair_and_send();
    shell_ok("test \"$(stat -c %a metrics.sock)\" = 660");
    cr_assert_eq(world_shell(&world,
                             "%s -D head http://x/metrics >figures && "
                             "grep -i \"^content-type: text/plain; version=0.0.4\" head",
                             scrape),
                 0, "%s", world_output());
    shell_ok("promtool check metrics <figures");
    cr_assert_str_eq(world_output(), "", "%s", world_output());
    shell_ok("grep -xE \"kvpbus_link_up[{]vm=.alpha.,guid=.[0-9A-F-]{36}.[}] 1\" figures");
    shell_ok("grep -E \"^kvpbus_received_messages_total[{]vm=.alpha.*[}] 1\" figures");
    shell_ok("grep -E \"^kvpbus_history_messages[{]vm=.alpha.*outcome=.delivered.[}] 1\" figures");
    shell_ok("grep -E \"^kvpbus_link_state[{]vm=.beta.*state=.suspended|alone|unpaired\" figures");
    cr_assert_eq(world_shell(&world, "grep -E \"whispered|secret\" figures"), 1);

    // What else may come to an HTTP port.
    cr_assert_eq(world_shell(&world, "%s -o /dev/null -w \"%%{http_code}\" http://x/", scrape), 0);
    cr_assert_str_eq(world_output(), "404");
    cr_assert_eq(
        world_shell(&world, "%s -o /dev/null -w \"%%{http_code}\" -d x http://x/metrics", scrape),
        0);
    cr_assert_str_eq(world_output(), "405");
    cr_assert_eq(world_shell(&world, "%s -I http://x/metrics | head -1", scrape), 0);
    cr_assert_not_null(strstr(world_output(), "200"), "%s", world_output());
    // One that says nothing, and one that does not wait for its answer, hold nothing up.
    cr_assert_eq(world_shell(&world,
                             "for i in 1 2 3 4 5 6 7 8; do "
                             "%s --max-time 0.001 http://x/metrics >/dev/null 2>&1; done; "
                             "%s http://x/metrics >again && grep -c kvpbus_link_up again",
                             scrape, scrape),
                 0, "%s", world_output());
    world_stop(&world, WORLD_HOST, SIGTERM);
    cr_assert_eq(world_shell(&world, "test -e metrics.sock"), 1, "the socket is left behind");
}

// The command, status and HTTP at a port tell the same.
Test(metrics, the_command_has_the_same_figures)
{
    world_configure_host(&world, "[kvpbus]\nmetrics = 127.0.0.1:19464\n");
    pair_and_send();
    shell_ok("curl -sS --max-time 20 http://127.0.0.1:19464/metrics | cut -d\" \" -f1 >by.port");
    shell_ok("$KVPBUS --socket host.ctl metrics >text && promtool check metrics <text");
    shell_ok("cut -d\" \" -f1 text | diff - by.port");
    shell_ok(
        "$KVPBUS --socket host.ctl --json metrics | jq -e \"map(select(.name == "
        "\\\"kvpbus_received_messages_total\\\" and .labels.vm == \\\"alpha\\\")) | .[0].value "
        "== 1\"");
    shell_ok("test \"$($KVPBUS --socket host.ctl --json metrics | jq length)\" = "
             "\"$(grep -vc \"^#\" text)\"");
    shell_ok(
        "$KVPBUS --socket host.ctl --json status alpha >status && for pair in "
        "received:kvpbus_received_messages_total delivered:history inbox:kvpbus_inbox_messages "
        "inbox_bytes:kvpbus_inbox_bytes writes:kvpbus_store_writes_total; do "
        "jq -e \".${pair%%:*}\" status >/dev/null || exit 1; done");
    shell_ok("grep \"kvpbus_inbox_bytes.*alpha\" text | grep -w \"$(jq .inbox_bytes status)\"");
    cr_assert_eq(world_kvpbus(&world, WORLD_HOST, "metrics all"), 2);
}

Test(metrics, they_are_for_this_machine_alone)
{
    world_start(&world, WORLD_HOST); // off unless asked for
    world_stop(&world, WORLD_HOST, SIGTERM);
    cr_assert_eq(world_shell(&world, "grep -q metrics host.log"), 1);
    static const char *const refused[] = {"0.0.0.0:9464",    "10.0.0.1:9464", "[::]:9464",
                                          "localhost:9464",  "127.0.0.1",     "127.0.0.1:0",
                                          "127.0.0.1:66000", "unix:here",     "9464"};
    for (size_t i = 0; i < sizeof refused / sizeof *refused; i++) {
        char text[96];
        snprintf(text, sizeof text, "[kvpbus]\nmetrics = %s\n", refused[i]);
        world_configure_host(&world, text);
        cr_assert_eq(world_shell(&world, "$HOST --config host.conf --check-config"), 2, "%s",
                     refused[i]);
    }
    // A place that cannot be had costs the figures, not the bus.
    world_configure_host(&world, "[kvpbus]\nmetrics = unix:/nowhere/metrics.sock\n");
    world_start(&world, WORLD_HOST);
    shell_ok("grep -F \"no metrics at unix:/nowhere/metrics.sock\" host.log");
}
