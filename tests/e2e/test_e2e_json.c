// SPDX-License-Identifier: Apache-2.0
//
// Every command at its work, with --json: it ends with 0, and what it prints is JSON and nothing
// else. In a pipe nothing of it has colour or progress, and a reader that goes away is no fault.
#include <criterion/criterion.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>

#include "world.h"

#define ON_HOST "$KVPBUS --socket host.ctl "
#define IN_ALPHA "$KVPBUS --socket alpha.ctl "
#define IN_BETA "$KVPBUS --socket beta.ctl "
#define LAB KVPBUS_BUILD_DIR "/lab/kvpbus-lab ctl . "
#define UNTIL(condition) "until " condition "; do sleep 0.1; done; "
// A message that alpha has done with.
#define DEAD_LETTER                                           \
    ON_HOST "send alpha d.x --text t; " UNTIL(                \
        IN_ALPHA                                              \
        "recv --topic d.x --timeout 1s >/dev/full; " IN_ALPHA \
        "--json dead list >letters && test -s letters") "id=$(head -n 1 letters | jq -r .id); "
#define BETA_IS_OFF LAB "stop beta; " UNTIL(ON_HOST "status beta | grep -qE \"is off|moved\"")
#define EXPORTED BETA_IS_OFF "rm -f moved; " ON_HOST "export beta moved --for $(cat other.key); "

static struct world world, other; // the host of `other` is one that a VM goes to

// What a shell does before the call and, when that goes on, during it. A call is run once when it
// cannot be made again.
struct call {
    const char *at, *call, *before, *during;
    bool once;
};

static const struct call calls[] = {
    {.at = "host", .call = "vms"},
    {.at = "host", .call = "identity"},
    {.at = "host", .call = "identity --public-key"},
    {.at = "host", .call = "status"},
    {.at = "host", .call = "status alpha"},
    {.at = "alpha", .call = "status host"},
    {.at = "host", .call = "send alpha a.b --text t --wait delivered"},
    {.at = "host", .call = "send --all a.b --text t --wait delivered"},
    {.at = "host", .call = "items alpha"},
    {.at = "host", .call = "metrics"},
    {.at = "host", .call = "doctor --side host --config host.conf"},
    {.at = "host",
     .call = "show $id",
     .before = "id=$(" ON_HOST "send alpha a.b --text t | cut -d \" \" -f 2); "},
    {.at = "alpha",
     .call = "recv --topic r.x --timeout 20s",
     .before = ON_HOST "send alpha r.x --text t; "},
    {.at = "alpha",
     .call = "recv --topic r.x --count 2 --timeout 20s --out got",
     .before = ON_HOST "send alpha r.x --text t; " ON_HOST "send alpha r.x --text t; "},
    {.at = "host", .call = "request alpha q.x --text t"},
    {.at = "alpha",
     .call = "reply host $id --text t",
     .before = "{ " ON_HOST "request alpha p.x --text t & }; id=$(" IN_ALPHA
               "--json recv --topic p.x --timeout 20s | jq -r .id); "},
    {.at = "alpha",
     .call = "serve s.x -- cat",
     .before = ": >printed; ",
     .during =
         ON_HOST "request alpha s.x --text t >/dev/null; " UNTIL("test -s printed") "kill $call; ",
     .once = true},
    {.at = "alpha", .call = "dead list", .before = DEAD_LETTER},
    {.at = "alpha", .call = "dead show $id", .before = DEAD_LETTER},
    {.at = "alpha", .call = "dead show $id --out got", .before = DEAD_LETTER},
    {.at = "alpha", .call = "dead retry $id", .before = DEAD_LETTER},
    {.at = "alpha", .call = "dead drop --all", .before = DEAD_LETTER},
    {.at = "host", .call = "audit list"},
    {.at = "host", .call = "audit verify"},
    {.at = "host", .call = "audit export audit.$$"},
    {.at = "host",
     .call = "audit verify audit.$$ --key $(" ON_HOST "identity)",
     .before = ON_HOST "audit export audit.$$; "},
    {.at = "host", .call = "backup copy.$$"},
    {.at = "host", .call = "rotate"},
    {.at = "host", .call = "enroll beta --replace"},
    {.at = "host", .call = "enroll beta --replace --out token.$$"},
    {.at = "beta",
     .call = "enroll --token-file token.$$",
     .before = ON_HOST "enroll beta --replace --out token.$$; "},
    {.at = "beta",
     .call = "unpair host",
     .before = IN_BETA "pair host --fingerprint $(" ON_HOST "identity); "},
    {.at = "beta",
     .call = "pair host --fingerprint $(" ON_HOST "identity)",
     .before = IN_BETA "unpair host; " UNTIL(IN_BETA "status host | grep -q asks")},
    {.at = "host",
     .call = "withdraw $id",
     .before = BETA_IS_OFF "id=$(" ON_HOST "send beta w.x --text t | cut -d \" \" -f 2); "},
    {.at = "host",
     .call = "export beta fresh --for $(cat other.key)",
     .before = BETA_IS_OFF "rm -f fresh; "},
    {.at = "host", .call = "export beta --undo", .before = EXPORTED},
    {.at = "other",
     .call = "import moved --fingerprint $(" ON_HOST "identity)",
     .before = EXPORTED,
     .once = true},
    {.at = "host",
     .call = "rebind $old $(cat vm/alpha/guid)",
     .before = "old=$(cat vm/alpha/guid); " LAB "stop alpha; " LAB "import alpha; " LAB
               "start alpha; " UNTIL(ON_HOST "vms | grep -qi $(cat vm/alpha/guid)"),
     .once = true},
};

enum { CALLS = sizeof calls / sizeof *calls };

static void begin(void)
{
    char text[200];
    world_begin(&world, "");
    snprintf(text, sizeof text, "[kvpbus]\nstore = lab:%s\nstate = host.state\nsocket = host.ctl\n",
             world.lab.socket);
    world_configure_host(&world, text);
    world_start(&world, WORLD_HOST);
    for (enum world_side side = WORLD_ALPHA; side <= WORLD_BETA; side++) {
        world_start(&world, side);
        world_pair(&world, side);
    }
    world_begin(&other, "");
    world_start(&other, WORLD_HOST);
    world_ok(&other, WORLD_HOST, "identity --public-key");
    cr_assert_eq(world_shell(&world,
                             "echo %s >other.key; ln -s %s/host.ctl other.ctl; " IN_ALPHA
                             "serve q.x -- cat >/dev/null 2>&1 & echo $! >serve.pid",
                             world_output(), other.lab.directory),
                 0);
}

static void finish(void)
{
    world_end(&world);
    world_end(&other);
}

TestSuite(e2e_json, .init = begin, .fini = finish);

// None is missing in the table.
static void has_every_command(void)
{
    cr_assert_eq(world_shell(&world, "$KVPBUS --help | grep -v \"^  kvpbus\" | "
                                     "grep -oE \"^  [a-z]+ +[a-z]\""),
                 0);
    char listed[4096];
    unsigned count = 0;
    snprintf(listed, sizeof listed, "%s", world_output());
    for (char *name = strtok(listed, "\n"); name != NULL; name = strtok(NULL, "\n"), count++) {
        size_t length = strcspn(name + 2, " "), i = 0;
        while (i < CALLS && (strncmp(calls[i].call, name + 2, length) != 0 ||
                             strchr(" ", calls[i].call[length]) == NULL))
            i++;
        cr_assert_lt(i, CALLS, "%s is not called", name);
    }
    cr_assert_gt(count, 20);
}

// The end of the call, which goes on in the background, is the shell's; `redirected` is where it
// prints.
static int run(const struct call *call, const char *options, const char *redirected)
{
    return world_shell(&world,
                       "{ %s :; } >/dev/null 2>&1; $KVPBUS --socket %s.ctl %s %s %s & call=$!; "
                       "%s wait $call",
                       call->before != NULL ? call->before : "", call->at, options, call->call,
                       redirected, call->during != NULL ? call->during : "");
}

Test(e2e_json, every_command)
{
    has_every_command();
    for (size_t i = 0; i < CALLS; i++) {
        const char *text = calls[i].call;
        int code = run(&calls[i], "--json", ">printed 2>errors");
        world_shell(&world, "cat errors");
        cr_assert_eq(code, 0, "%s ends with %d: %s", text, code, world_output());
        // One document, or one in each line.
        cr_assert_eq(world_shell(&world, "jq -e type printed"), 0, "%s: %s", text, world_output());
        cr_assert_eq(world_shell(&world, "n=$(jq -s length printed); "
                                         "test $n = 1 -o $n = $(grep -c ^ printed)"),
                     0, "%s prints documents of several lines", text);
    }
}

Test(e2e_json, pipes)
{
    for (size_t i = 0; i < CALLS; i++) {
        const char *text = calls[i].call;
        if (calls[i].once)
            continue;
        run(&calls[i], "", "| true");
        cr_assert_null(strstr(world_output(), "kvpbus: "), "%s: %s", text, world_output());
        run(&calls[i], "", "2>&1 | cat");
        cr_assert_str_not_empty(world_output(), "%s prints nothing", text);
        cr_assert_null(strpbrk(world_output(), "\033\r"), "%s in a pipe has colour or progress",
                       text);
    }
}
