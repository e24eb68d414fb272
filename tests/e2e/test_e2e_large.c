// SPDX-License-Identifier: Apache-2.0
//
// A message that was received while larger ones were let in than now: it can still be taken out.
#include <criterion/criterion.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "kvpbus/client.h"
#include "world.h"

enum { LENGTH = 3 * 1000 * 1000 };

static struct world world;
static struct kvpbus_failure failure;

static void send_big(void)
{
    world_ok(&world, WORLD_HOST, "send alpha files.big --file big --class bulk --wait delivered");
}

static void begin(void)
{
    world_begin_paired(&world);
    cr_assert_eq(world_shell(&world, "head -c %d /dev/urandom >big", LENGTH), 0);
    send_big();
    send_big();
    world_stop(&world, WORLD_ALPHA, SIGTERM);
    cr_assert_eq(world_shell(&world, "printf \"[kvpbus]\\nbody_max = 1M\\n\" >alpha.conf"), 0);
    world_start(&world, WORLD_ALPHA);
}

static void finish(void)
{
    world_end(&world);
}

TestSuite(e2e_large, .init = begin, .fini = finish);

static void is_big(const char *folder)
{
    cr_assert_eq(world_shell(&world, "cmp %s/* big && rm -r %s", folder, folder), 0, "%s",
                 world_output());
}

static void well(enum kvpbus_error error)
{
    cr_assert_eq(error, KVPBUS_OK, "%s", failure.detail);
}

// Refuses what waits, for good. Its id.
static void refuse(char id[KVPBUS_MESSAGE_ID_TEXT])
{
    char path[160];
    struct kvpbus_client *client;
    struct kvpbus_client_event event;
    snprintf(path, sizeof path, "%s/alpha.ctl", world.lab.directory);
    well(kvpbus_client_open(path, &client, &failure));
    well(kvpbus_client_receive(client, &(struct kvpbus_receiving){.pattern = NULL}, &failure));
    well(kvpbus_client_finish(client, 20000, &event, &failure));
    cr_assert_eq(event.message->body_length, LENGTH);
    snprintf(id, KVPBUS_MESSAGE_ID_TEXT, "%s", event.message->id);
    well(kvpbus_client_nack(client, event.message->lease, 0, "too big", true, &failure));
    well(kvpbus_client_finish(client, 20000, NULL, &failure));
    kvpbus_client_close(client);
}

Test(e2e_large, than_is_let_in_now)
{
    char id[KVPBUS_MESSAGE_ID_TEXT];
    world_ok(&world, WORLD_ALPHA, "recv --timeout 20s --out got");
    is_big("got");
    refuse(id);
    world_ok(&world, WORLD_ALPHA, "dead show %s --out dead", id);
    is_big("dead");
    world_ok(&world, WORLD_ALPHA, "dead retry %s", id);
    world_ok(&world, WORLD_ALPHA, "recv --timeout 20s --out got");
    is_big("got");
}
