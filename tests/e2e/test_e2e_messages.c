// SPDX-License-Identifier: Apache-2.0
//
// The programs as a person uses them: pair, send, receive, look.
#include <criterion/criterion.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>

#include "world.h"

static struct world world;

static void begin(void)
{
    world_begin(&world, "");
    world_start(&world, WORLD_HOST);
    world_start(&world, WORLD_ALPHA);
}

static void finish(void)
{
    world_end(&world);
}

TestSuite(e2e_messages, .init = begin, .fini = finish);

static void says(const char *text)
{
    cr_assert_not_null(strstr(world_output(), text), "'%s' is not in: %s", text, world_output());
}

Test(e2e_messages, go_both_ways)
{
    world_pair(&world, WORLD_ALPHA);
    world_ok(&world, WORLD_HOST, "send alpha app.greet --text hello --wait delivered");
    says("delivered ");
    world_ok(&world, WORLD_ALPHA, "recv --timeout 10s");
    cr_assert_str_eq(world_output(), "hello");
    world_ok(&world, WORLD_ALPHA, "send host app.answer --text \"hi there\" --wait delivered");
    world_ok(&world, WORLD_HOST, "--json recv --timeout 10s");
    says("\"peer\": \"alpha\"");
    says("\"topic\": \"app.answer\"");
    says("\"text\": \"hi there\"");
    cr_assert_eq(world_kvpbus(&world, WORLD_HOST, "recv --timeout 300ms"), 6);
}

Test(e2e_messages, keep_their_order)
{
    world_pair(&world, WORLD_ALPHA);
    for (int i = 0; i < 20; i++)
        world_ok(&world, WORLD_HOST, "send alpha app.count --stream s --text n%d", i);
    world_ok(&world, WORLD_ALPHA, "recv --count 20 --timeout 20s");
    char expected[128] = "";
    for (int i = 0; i < 20; i++)
        snprintf(expected + strlen(expected), 16, "%sn%d", i > 0 ? "\n" : "", i);
    cr_assert_str_eq(world_output(), expected);
}

Test(e2e_messages, a_body_arrives_byte_for_byte)
{
    world_pair(&world, WORLD_ALPHA);
    cr_assert_eq(world_shell(&world, "head -c 200000 /dev/urandom >sent; : >empty"), 0);
    world_ok(&world, WORLD_HOST, "send alpha app.file --file sent --class bulk --wait delivered");
    world_ok(&world, WORLD_HOST, "send alpha app.empty --file empty --class bulk --wait delivered");
    world_ok(&world, WORLD_ALPHA, "recv --topic app.file --out got --timeout 10s");
    cr_assert_eq(world_shell(&world, "cmp sent got/*"), 0, "%s", world_output());
    world_ok(&world, WORLD_ALPHA, "recv --topic app.empty --timeout 10s");
    cr_assert_str_eq(world_output(), "");
}

Test(e2e_messages, each_goes_into_a_file_of_its_own_in_a_long_folder)
{
    char folder[1001];
    for (size_t i = 0; i < sizeof folder - 1; i++)
        folder[i] = i % 200 == 199 ? '/' : 'd';
    folder[sizeof folder - 2] = 'd';
    folder[sizeof folder - 1] = '\0';
    world_pair(&world, WORLD_ALPHA);
    cr_assert_eq(world_shell(&world, "mkdir -p %s", folder), 0);
    // In one bundle, whose messages have ids with one beginning.
    world_stop(&world, WORLD_HOST, SIGTERM);
    world_stop(&world, WORLD_ALPHA, SIGTERM);
    world_start(&world, WORLD_ALPHA);
    for (int i = 0; i < 3; i++)
        world_ok(&world, WORLD_ALPHA, "send host app.x --text text-%d", i);
    world_start(&world, WORLD_HOST);
    world_ok(&world, WORLD_HOST, "recv --count 3 --timeout 20s --out %s", folder);
    cr_assert_eq(world_shell(&world, "cd %s && ls | wc -l && cat *", folder), 0);
    cr_assert_str_eq(world_output(), "3\ntext-0text-1text-2");
    // One that is too long for every system is refused before a message is taken.
    world_ok(&world, WORLD_ALPHA, "send host app.x --text stays --wait delivered");
    cr_assert_eq(world_kvpbus(&world, WORLD_HOST,
                              "recv --timeout 10s --out ./$(head -c 5000 /dev/zero | tr \"\\000\" "
                              "/)"),
                 1);
    cr_assert_not_null(strstr(world_output(), "4000"), "%s", world_output());
    world_ok(&world, WORLD_HOST, "recv --timeout 10s");
    cr_assert_str_eq(world_output(), "stays");
}

Test(e2e_messages, a_body_comes_from_standard_input)
{
    world_pair(&world, WORLD_ALPHA);
    cr_assert_eq(
        world_shell(&world, "printf \"a\\0b\" | $KVPBUS --socket host.ctl send alpha x.y -"), 0);
    world_ok(&world, WORLD_ALPHA, "recv --timeout 10s | od -An -c");
    says("a  \\0   b");
}

Test(e2e_messages, topics_are_chosen)
{
    world_pair(&world, WORLD_ALPHA);
    world_ok(&world, WORLD_HOST, "send alpha app.one --text 1 --stream a --wait delivered");
    world_ok(&world, WORLD_HOST, "send alpha sys.two --text 2 --stream b --wait delivered");
    cr_assert_eq(world_kvpbus(&world, WORLD_ALPHA, "recv --topic other.* --timeout 300ms"), 6);
    world_ok(&world, WORLD_ALPHA, "recv --topic \"sys.>\" --timeout 10s");
    cr_assert_str_eq(world_output(), "2");
    world_ok(&world, WORLD_ALPHA, "recv --topic \"*.one\" --timeout 10s");
    cr_assert_str_eq(world_output(), "1");
}

Test(e2e_messages, what_was_not_written_out_comes_again)
{
    world_pair(&world, WORLD_ALPHA);
    world_ok(&world, WORLD_HOST, "send alpha app.x --text precious --wait delivered");
    cr_assert_eq(world_kvpbus(&world, WORLD_ALPHA, "recv --timeout 10s >/dev/full"), 1);
    says("stays in the inbox");
    world_ok(&world, WORLD_ALPHA, "recv --timeout 10s");
    cr_assert_str_eq(world_output(), "precious");
}

Test(e2e_messages, a_lifetime_ends)
{
    world_pair(&world, WORLD_ALPHA);
    world_stop(&world, WORLD_ALPHA, SIGTERM);
    // It may have arrived for all that the host knows: the other side says so when it is back.
    cr_assert_eq(world_shell(&world,
                             "($KVPBUS --socket host.ctl send alpha app.x --text late --ttl "
                             "500ms --wait delivered >late 2>&1; echo $? >code) >/dev/null 2>&1 &"),
                 0);
    lab_sleep_ms(1500);
    world_start(&world, WORLD_ALPHA);
    cr_assert_eq(world_shell(&world, "until [ -s code ]; do sleep 0.1; done; cat late; exit "
                                     "$(cat code)"),
                 11);
    says("expired");
    world_ok(&world, WORLD_HOST, "send alpha app.x --text later --wait delivered");
    world_ok(&world, WORLD_ALPHA, "recv --timeout 10s");
    cr_assert_str_eq(world_output(), "later");
}

Test(e2e_messages, stores_and_state_can_be_looked_at)
{
    world_ok(&world, WORLD_HOST, "vms");
    says("alpha");
    says("beta");
    world_await(&world, WORLD_HOST, "alpha", "\"state\": \"unpaired\"", 10);
    world_ok(&world, WORLD_HOST, "status alpha");
    says("asks to be paired");
    world_pair(&world, WORLD_ALPHA);
    world_ok(&world, WORLD_HOST, "items alpha");
    says("hello");
    says("state");
    world_ok(&world, WORLD_ALPHA, "--json items host");
    says("\"what\": \"hello\"");
    world_ok(&world, WORLD_HOST, "status alpha");
    says("alpha: live");
}

Test(e2e_messages, nothing_of_a_message_can_be_read_in_a_store)
{
    world_pair(&world, WORLD_ALPHA);
    world_ok(&world, WORLD_HOST, "send alpha secret.topic --text confidential --wait delivered");
    world_ok(&world, WORLD_ALPHA, "send host secret.topic --text confidential --wait delivered");
    // The items are still there: they are collected when the link has been idle for a while.
    cr_assert_eq(world_shell(&world, "cat vm/alpha/kvp/.kvp_pool_* >all; grep -acF kvpbus.00 all"),
                 0, "no data item was there to look at");
    cr_assert_eq(world_shell(&world, "grep -aF -e secret -e confidential all"), 1, "%s",
                 world_output());
}

Test(e2e_messages, an_unpaired_peer_gets_nothing_more)
{
    world_pair(&world, WORLD_ALPHA);
    world_ok(&world, WORLD_HOST, "unpair alpha");
    cr_assert_eq(world_kvpbus(&world, WORLD_HOST, "send alpha app.x --text no"), 5);
    world_trust(&world, WORLD_HOST, WORLD_ALPHA);
    world_ok(&world, WORLD_HOST, "send alpha app.x --text again --wait delivered");
    world_ok(&world, WORLD_ALPHA, "recv --timeout 10s");
    cr_assert_str_eq(world_output(), "again");
}
