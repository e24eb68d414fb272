// SPDX-License-Identifier: Apache-2.0
//
// The audit of the real programs: what stands in it, that it fits after a kill, that a changed one
// is found; and that neither it nor the log tells what messages say.
#include <criterion/criterion.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "world.h"

static struct world world;

static void begin(void)
{
    world_begin(&world, "");
    world_start(&world, WORLD_HOST);
    world_start(&world, WORLD_ALPHA);
}

static void end(void)
{
    world_end(&world);
}

TestSuite(audit, .init = begin, .fini = end);

// `kvpbus audit list` says this within 20 s.
static void listed(enum world_side side, const char *arguments, const char *text)
{
    for (int i = 0; i < 200; i++) {
        world_ok(&world, side, "audit list %s", arguments);
        if (strstr(world_output(), text) != NULL)
            return;
        lab_sleep_ms(100);
    }
    cr_assert_fail("audit list %s does not say: %s: %s", arguments, text, world_output());
}

static void fits(enum world_side side)
{
    world_ok(&world, side, "audit verify");
    cr_assert_not_null(strstr(world_output(), "the audit fits: entries 1 to "), "%s",
                       world_output());
}

Test(audit, it_tells_who_was_paired_and_what_became_of_messages)
{
    char asked[48], id[64];
    world_pair(&world, WORLD_ALPHA);
    world_ok(&world, WORLD_HOST, "send alpha app.greet --text hello --wait delivered");
    const char *word = strrchr(world_output(), ' ');
    snprintf(id, sizeof id, "%.34s", word != NULL ? word + 1 : world_output());
    world_ok(&world, WORLD_ALPHA, "recv --timeout 20s");
    world_ok(&world, WORLD_HOST, "unpair alpha");
    snprintf(asked, sizeof asked, "pair by uid %u", (unsigned)getuid());
    listed(WORLD_HOST, "", "  started        -");
    listed(WORLD_HOST, "--kind asked --peer alpha", asked);
    listed(WORLD_HOST, "--kind paired", "  alpha");
    listed(WORLD_HOST, "--kind session --since 1h", "  alpha");
    listed(WORLD_HOST, "--kind delivered", id);
    listed(WORLD_HOST, "--kind unpaired", "  alpha");
    listed(WORLD_ALPHA, "--kind received", id);
    listed(WORLD_ALPHA, "--kind consumed", id);
    world_ok(&world, WORLD_ALPHA, "--json audit list --kind shown");
    cr_assert_not_null(strstr(world_output(), "\"kind\":\"shown\""), "%s", world_output());
    fits(WORLD_HOST);
    fits(WORLD_ALPHA);
}

Test(audit, what_is_refused_is_entered)
{
    world_pair(&world, WORLD_ALPHA);
    cr_assert_neq(world_kvpbus(&world, WORLD_HOST,
                               "pair alpha --fingerprint "
                               "0000-0000-0000-0000-0000-0000-0000-0000"),
                  0);
    listed(WORLD_HOST, "--kind not-paired", "alpha is paired already");
    world_stop(&world, WORLD_ALPHA, SIGTERM);
    cr_assert_eq(world_shell(&world, "rm -r alpha.state"), 0);
    world_start(&world, WORLD_ALPHA);
    listed(WORLD_HOST, "--kind alarm", "another identity");
    listed(WORLD_HOST, "--kind shown", "  alpha");
    fits(WORLD_HOST);
}

Test(audit, a_vm_that_goes_on_under_another_id_is_entered)
{
    static const char next[] = "12345678-1234-1234-1234-123456789ABC";
    char old[64], asked[64], bound[128];
    world_pair(&world, WORLD_ALPHA);
    world_ok(&world, WORLD_HOST, "vms | sed -n \"s/^alpha *//p\" | cut -c1-36");
    snprintf(old, sizeof old, "%.63s", world_output());
    world_stop(&world, WORLD_ALPHA, SIGTERM);
    world_ok(&world, WORLD_HOST, "rebind alpha %s --force", next);
    snprintf(asked, sizeof asked, "rebind --force by uid %u", (unsigned)getuid());
    snprintf(bound, sizeof bound, "from %s to %s", old, next);
    listed(WORLD_HOST, "--kind asked", asked);
    listed(WORLD_HOST, "--kind rebound", bound);
    fits(WORLD_HOST);
}

Test(audit, it_fits_after_a_kill_at_any_moment)
{
    world_pair(&world, WORLD_ALPHA);
    for (int i = 0; i < 4; i++) {
        for (int k = 0; k < 5; k++)
            world_ok(&world, WORLD_HOST, "send alpha app.n --text x");
        lab_sleep_ms(40 * (unsigned)i);
        world_stop(&world, i % 2 == 0 ? WORLD_HOST : WORLD_ALPHA, SIGKILL);
        world_start(&world, i % 2 == 0 ? WORLD_HOST : WORLD_ALPHA);
        fits(WORLD_HOST);
        fits(WORLD_ALPHA);
    }
    world_stop(&world, WORLD_HOST, SIGTERM);
    world_start(&world, WORLD_HOST);
    listed(WORLD_HOST, "--kind stopped", "stopped");
}

Test(audit, an_export_is_verified_and_a_changed_one_is_found)
{
    char fingerprint[64], head[128];
    world_ok(&world, WORLD_HOST, "audit verify");
    const char *kept = strstr(world_output(), "another place: ");
    cr_assert_not_null(kept);
    snprintf(head, sizeof head, "%.127s", kept + strlen("another place: "));
    world_pair(&world, WORLD_ALPHA);
    world_ok(&world, WORLD_HOST, "identity");
    snprintf(fingerprint, sizeof fingerprint, "%.63s", world_output());
    world_ok(&world, WORLD_HOST, "audit export a.jsonl");
    cr_assert_eq(world_kvpbus(&world, WORLD_HOST, "audit export a.jsonl"), 1);
    world_ok(&world, WORLD_HOST, "audit verify a.jsonl --key %s --head %s", fingerprint, head);
    world_ok(&world, WORLD_HOST, "audit verify --head %s", head);
    cr_assert_eq(world_kvpbus(&world, WORLD_HOST, "audit verify --head 1:%064d", 0), 1);
    cr_assert_not_null(strstr(world_output(), "written anew"), "%s", world_output());
    world_ok(&world, WORLD_ALPHA, "identity");
    cr_assert_neq(world_kvpbus(&world, WORLD_HOST, "audit verify a.jsonl --key %s", world_output()),
                  0);
    cr_assert_eq(world_shell(&world, "sed \"3s/time_ms.:1/time_ms\\\":2/\" a.jsonl >b.jsonl"), 0);
    cr_assert_eq(world_kvpbus(&world, WORLD_HOST, "audit verify b.jsonl"), 1);
    cr_assert_not_null(strstr(world_output(), "at entry 2: it was changed"), "%s", world_output());
    cr_assert_eq(world_shell(&world, "sed 3d a.jsonl >b.jsonl"), 0);
    cr_assert_eq(world_kvpbus(&world, WORLD_HOST, "audit verify b.jsonl"), 1);
    cr_assert_not_null(strstr(world_output(), "at entry 2: it is missing"), "%s", world_output());
    cr_assert_eq(world_shell(&world, "sed \"\\$d\" a.jsonl >b.jsonl"), 0);
    cr_assert_neq(world_kvpbus(&world, WORLD_HOST, "audit verify b.jsonl"), 0);
    cr_assert_not_null(strstr(world_output(), "does not end with a signature"), "%s",
                       world_output());
    cr_assert_eq(world_shell(&world, "(head -n 3 a.jsonl; tail -n 1 a.jsonl) >b.jsonl"), 0);
    cr_assert_eq(world_kvpbus(&world, WORLD_HOST, "--json audit verify b.jsonl"), 1);
    cr_assert_not_null(strstr(world_output(), "entries are gone"), "%s", world_output());
}

Test(audit, wrong_words_are_answered)
{
    cr_assert_eq(world_kvpbus(&world, WORLD_HOST, "audit"), 2);
    cr_assert_eq(world_kvpbus(&world, WORLD_HOST, "audit show"), 2);
    cr_assert_eq(world_kvpbus(&world, WORLD_HOST, "audit list --kind payred"), 2);
    cr_assert_not_null(strstr(world_output(), "key-changed"), "%s", world_output());
    cr_assert_eq(world_kvpbus(&world, WORLD_HOST, "audit list --since yesterday"), 2);
    cr_assert_eq(world_kvpbus(&world, WORLD_HOST, "audit list --peer nobody"), 4);
    cr_assert_eq(world_kvpbus(&world, WORLD_HOST, "audit verify --head 5"), 2);
    cr_assert_neq(world_kvpbus(&world, WORLD_HOST, "audit verify nowhere"), 0);
    cr_assert_eq(world_kvpbus(&world, WORLD_HOST, "audit export"), 2);
}

// --- what must not be told ---

static void keep_quiet(const char *format)
{
    char text[64];
    world_stop(&world, WORLD_HOST, SIGTERM);
    snprintf(text, sizeof text, "[kvpbus]\nlog = debug\nlog_format = %s\n", format);
    world_configure_host(&world, text);
    world_start(&world, WORLD_HOST);
    world_ok(&world, WORLD_HOST,
             "send alpha quiet.topic --text whispered --stream hushed "
             "--wait delivered");
    world_ok(&world, WORLD_ALPHA, "recv --timeout 20s");
    world_ok(&world, WORLD_ALPHA, "send host quiet.topic --text whispered --wait delivered");
    world_ok(&world, WORLD_HOST, "recv --timeout 20s");
    world_ok(&world, WORLD_HOST, "send alpha quiet.topic --ttl 1ms --text whispered");
    cr_assert_neq(world_kvpbus(&world, WORLD_HOST, "send alpha quiet..topic --text whispered"), 0);
    cr_assert_neq(world_kvpbus(&world, WORLD_HOST, "recv --timeout 1ms --topic quiet..topic"), 0);
    world_ok(&world, WORLD_HOST, "audit export %s.jsonl", format);
    cr_assert_eq(world_shell(&world, "grep -E \"quiet|whispered|hushed\" *.log *.jsonl"), 1, "%s",
                 world_output());
    // Of the secret keys no eight bytes, neither as they are nor in hexadecimal.
    cr_assert_eq(world_shell(&world, "for s in host alpha; do for f in $s.state/identity*; do "
                                     "od -An -v -tx1 $f | tr -d \" \\n\" | cut -c1-16; echo; "
                                     "done; done | grep . >keys; test -s keys || exit 9; "
                                     "cat *.log *.jsonl | grep -iFf keys"),
                 1, "%s", world_output());
}

Test(audit, neither_log_nor_audit_tells_what_messages_say)
{
    world_pair(&world, WORLD_ALPHA);
    keep_quiet("text");
    keep_quiet("json");
}
