// SPDX-License-Identifier: Apache-2.0
//
// One message to several VMs, and what becomes of messages afterwards: consumed, withdrawn, shown.
#include <criterion/criterion.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "world.h"

static struct world world;

static void begin(void)
{
    world_begin_paired(&world);
}

static void finish(void)
{
    world_end(&world);
}

TestSuite(e2e_fleet, .init = begin, .fini = finish);

static void says(const char *text)
{
    cr_assert_not_null(strstr(world_output(), text), "'%s' is not in: %s", text, world_output());
}

static void ends(int code, int expected)
{
    cr_assert_eq(code, expected, "%d instead of %d: %s", code, expected, world_output());
}

static void start_beta(void)
{
    world_start(&world, WORLD_BETA);
    world_pair(&world, WORLD_BETA);
}

static int host(const char *words)
{
    return world_kvpbus(&world, WORLD_HOST, "%s", words);
}

// The id behind the first word of what was printed last.
static const char *id(void)
{
    static char text[64];
    cr_assert_eq(sscanf(world_output(), "%*s %63s", text), 1, "%s", world_output());
    return text;
}

static void gets(enum world_side side, const char *text)
{
    world_ok(&world, side, "recv --timeout 20s");
    cr_assert_str_eq(world_output(), text);
}

Test(e2e_fleet, each_of_several_gets_it)
{
    start_beta();
    ends(host("send alpha beta app.x --text both --wait delivered"), 0);
    says("alpha: delivered ");
    says("beta: delivered ");
    gets(WORLD_ALPHA, "both");
    gets(WORLD_BETA, "both");
    ends(world_shell(&world, "head -c 200000 /dev/urandom >sent; $KVPBUS --socket host.ctl --json "
                             "send --all app.x --file sent --wait delivered"),
         0);
    says("\"peer\": \"alpha\"");
    says("\"peer\": \"beta\"");
    ends(world_shell(&world, "for side in alpha beta; do $KVPBUS --socket $side.ctl recv --timeout "
                             "20s --out $side.got && cmp sent $side.got/* || exit 1; done"),
         0);
}

Test(e2e_fleet, what_one_does_not_get_the_others_do)
{
    ends(host("send alpha beta app.x --text one --wait delivered"), 5);
    says("alpha: delivered ");
    says("beta: refused: ");
    says("kvpbus pair beta");
    gets(WORLD_ALPHA, "one");
    ends(host("send gamma alpha app.x --text two"), 4);
    says("gamma: refused: ");
    says("alpha: queued ");
    gets(WORLD_ALPHA, "two");
    // All that are paired.
    ends(host("send --all app.x --text three"), 0);
    cr_assert_null(strstr(world_output(), "beta"), "%s", world_output());
    gets(WORLD_ALPHA, "three");
    ends(host("--json send alpha beta app.x --text four"), 5);
    says("\"error\": \"UNPAIRED\"");
    ends(host("send --all beta app.x --text five"), 2);
}

Test(e2e_fleet, who_waits_until_it_is_consumed_learns_it)
{
    ends(world_shell(&world, "$KVPBUS --socket host.ctl send alpha app.x --text read --wait "
                             "consumed >sent 2>&1 & "
                             "$KVPBUS --socket alpha.ctl recv --timeout 20s && wait && cat sent"),
         0);
    says("read\nconsumed ");
    // Nobody can do anything with it.
    ends(world_shell(&world, "($KVPBUS --socket host.ctl send alpha app.x --text bad --wait "
                             "consumed; echo $?) >sent 2>&1 & "
                             "until $KVPBUS --socket alpha.ctl dead list | grep app.x; do "
                             "$KVPBUS --socket alpha.ctl recv --timeout 1s >/dev/full; done; wait; "
                             "cat sent"),
         0);
    says("dead ");
    says("\n11");
}

Test(e2e_fleet, what_was_sent_can_be_shown)
{
    world_ok(&world, WORLD_HOST, "send alpha app.x --text hello --stream s --wait delivered");
    char sent[64];
    strcpy(sent, id());
    world_ok(&world, WORLD_HOST, "show %s", sent);
    says("sent to alpha");
    says("delivered");
    world_ok(&world, WORLD_ALPHA, "show %s", sent);
    says("received from host");
    says("waiting");
    gets(WORLD_ALPHA, "hello");
    world_ok(&world, WORLD_HOST, "--json show %s", sent);
    says("\"outcome\": \"delivered\"");
    // Times for people are in UTC, wherever the machine stands.
    ends(world_shell(&world,
                     "ms=$($KVPBUS --socket host.ctl --json show %s | sed -n "
                     "\"s/.*queued_ms.: \\([0-9]*\\).*/\\1/p\") && "
                     "TZ=JST-9 $KVPBUS --socket host.ctl show %s | grep -F \" queued:   "
                     "$(date -u -d @$((ms / 1000)) +%%FT%%TZ)\"",
                     sent, sent),
         0);
    ends(world_kvpbus(&world, WORLD_HOST, "show 0123456789abcdef0123456789abcdef.0"), 1);
    ends(host("show nonsense"), 2);
    ends(host("show"), 2);
}

Test(e2e_fleet, what_was_not_delivered_can_be_withdrawn)
{
    world_stop(&world, WORLD_ALPHA, SIGTERM);
    world_ok(&world, WORLD_HOST, "send alpha app.x --text oops");
    char sent[64];
    strcpy(sent, id());
    world_ok(&world, WORLD_HOST, "send alpha app.x --text kept");
    world_ok(&world, WORLD_HOST, "withdraw %s", sent);
    world_start(&world, WORLD_ALPHA);
    world_ok(&world, WORLD_HOST, "withdraw %s --wait", sent);
    says("withdrawn ");
    gets(WORLD_ALPHA, "kept");
    world_ok(&world, WORLD_HOST, "show %s", sent);
    says("expired");
    // Too late.
    world_ok(&world, WORLD_HOST, "send alpha app.x --text gone --wait delivered");
    strcpy(sent, id());
    ends(world_kvpbus(&world, WORLD_HOST, "withdraw %s --wait", sent), 11);
    says("too late");
    ends(world_kvpbus(&world, WORLD_HOST, "withdraw %s", sent), 11);
    ends(host("withdraw nonsense"), 2);
    ends(host("withdraw"), 2);
}

Test(e2e_fleet, headers_travel)
{
    world_ok(&world, WORLD_HOST, "send alpha app.x --text a --header colour=red --header b=");
    world_ok(&world, WORLD_ALPHA, "--json recv --timeout 20s");
    says("{\"name\": \"colour\", \"value\": \"red\"}");
    says("{\"name\": \"b\", \"value\": \"\"}");
    ends(host("send alpha app.x --text a --header colour"), 2);
    ends(host("send alpha app.x --text a --header \"a b=c\""), 2);
}
