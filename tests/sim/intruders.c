// SPDX-License-Identifier: Apache-2.0
//
// What others put into the stores.
#include <sodium.h>
#include <stdio.h>
#include <string.h>

#include "hello.h"
#include "world.h"

static void any_key(struct sim_world *world, char *key)
{
    static const char *const names[] = {"h", "s", "64", "7", "x"};
    uint64_t pick = sim_rng_below(&world->rng, 20);
    if (pick < sizeof names / sizeof *names)
        snprintf(key, SIM_KEY, SIM_PREFIX ".%s", names[pick]);
    else
        snprintf(key, SIM_KEY, SIM_PREFIX ".%02u", (unsigned)sim_rng_below(&world->rng, 64));
}

static void replay(struct sim_world *world, int writer, bool own)
{
    for (uint64_t n = sim_rng_range(&world->rng, 1, 20); n > 0; n--) {
        const struct sim_entry *entry = sim_channel_archived(&world->channels[writer], &world->rng);
        char key[SIM_KEY], value[KVPBUS_VALUE_MAX + 1];
        if (entry == NULL)
            return;
        memcpy(key, entry->key, sizeof key);
        snprintf(value, sizeof value, "%s", sim_entry_text(entry));
        if (sim_rng_chance(&world->rng, 200))
            any_key(world, key);
        sim_intrude(world, writer, own, key, value);
    }
}

static void garbage(struct sim_world *world, int writer)
{
    for (uint64_t n = sim_rng_range(&world->rng, 1, 20); n > 0; n--) {
        uint8_t bytes[KVPBUS_ITEM_MAX];
        char key[SIM_KEY], value[KVPBUS_VALUE_MAX + 1];
        size_t length = sim_rng_range(&world->rng, 1, sizeof bytes);
        any_key(world, key);
        sim_rng_bytes(&world->rng, bytes, length);
        if (sim_rng_chance(&world->rng, 700))
            bytes[0] = (uint8_t)sim_rng_range(&world->rng, 0x11, 0x13);
        kvpbus_item_encode(bytes, length, value);
        if (sim_rng_chance(&world->rng, 200))
            value[sim_rng_below(&world->rng, strlen(value))] = '=';
        sim_intrude(world, writer, sim_rng_chance(&world->rng, 300), key, value);
    }
}

static void draw(void *context, uint8_t *bytes, size_t length)
{
    sim_rng_bytes(context, bytes, length);
}

static void put_hello(struct sim_world *world, int writer, bool own,
                      const uint8_t identity[KVPBUS_IDENTITY_BYTES],
                      const uint8_t secret[KVPBUS_SECRET_BYTES], const uint8_t *vm)
{
    struct kvpbus_own_core core;
    uint8_t bytes[KVPBUS_ITEM_MAX];
    char value[KVPBUS_VALUE_MAX + 1];
    memset(&core, 0, sizeof core);
    core.core.role = world->sides[writer].role;
    memcpy(core.core.identity, identity, KVPBUS_IDENTITY_BYTES);
    memcpy(core.core.vm, vm, KVPBUS_VM_ID_BYTES);
    core.core.ring_slots = core.core.window = 64;
    core.core.value_max = KVPBUS_VALUE_MAX;
    core.core.bundle_max = 1 << 20;
    kvpbus_core_make(&core, secret, draw, &world->rng);
    kvpbus_item_encode(bytes, kvpbus_hello_write(&core, secret, NULL, false, 1, bytes), value);
    sim_intrude(world, writer, own, SIM_PREFIX ".h", value);
}

// Another identity for this VM, or the same one for another VM: a clone that shares the disk.
static void stranger(struct sim_world *world, int writer)
{
    const struct sim_side *side = &world->sides[writer];
    uint8_t vm[KVPBUS_VM_ID_BYTES], seed[crypto_sign_SEEDBYTES];
    uint8_t identity[KVPBUS_IDENTITY_BYTES], secret[KVPBUS_SECRET_BYTES];
    sim_rng_bytes(&world->rng, vm, sizeof vm);
    sim_rng_bytes(&world->rng, seed, sizeof seed);
    crypto_sign_seed_keypair(identity, secret, seed);
    if (sim_rng_chance(&world->rng, 500)) {
        // What stands in pool 1 is in the guest's own store: there it is a second writer's.
        world->second_writer |= !world->channels[writer].pushed;
        put_hello(world, writer, false, side->identity, side->secret, vm);
    } else
        put_hello(world, writer, false, identity, secret, world->vm);
}

static void second_writer(struct sim_world *world, int writer, uint64_t until)
{
    const struct sim_side *side = &world->sides[writer];
    put_hello(world, writer, true, side->identity, side->secret, world->vm);
    if (world->now < until)
        sim_plan_add(world, sim_soon(world, 500, 5000), SIM_WRITE_AS_SECOND, writer, until);
}

void sim_host_calls_vm(struct sim_world *world, const uint8_t *vm)
{
    const struct sim_side *host = &world->sides[SIM_HOST];
    put_hello(world, SIM_HOST, false, host->identity, host->secret, vm);
}

void sim_intrusion(struct sim_world *world, const struct sim_event *event)
{
    switch (event->kind) {
    case SIM_REPLAY:
        replay(world, event->side, sim_rng_chance(&world->rng, 300));
        break;
    case SIM_STRANGER:
        stranger(world, event->side);
        break;
    case SIM_GARBAGE:
        garbage(world, event->side);
        break;
    default:
        world->second_writer = true;
        second_writer(world, event->side,
                      event->kind == SIM_SECOND_WRITER ? sim_soon(world, 1000, 40000)
                                                       : event->argument);
        break;
    }
}
