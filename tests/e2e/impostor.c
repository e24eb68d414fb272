// SPDX-License-Identifier: Apache-2.0
#include "impostor.h"

#include <criterion/criterion.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "link.h"

enum { TURN_MS = 20, PATIENCE_MS = 40000 };

struct impostor {
    struct kvpbus_store *store;
    struct kvpbus_scan scan;
    struct kvpbus_link *link;
    struct bundle_fixture fixture;
    const uint8_t *sealed; // under way
    bool synced, delivered, refused;
};

static uint64_t now_ms(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
}

static void draw(void *context, uint8_t *bytes, size_t length)
{
    (void)context;
    randombytes_buf(bytes, length);
}

// --- what the agent would ask its journal ---

static void give_sync(struct impostor *impostor, uint32_t session)
{
    const uint64_t room[KVPBUS_CLASS_COUNT] = {1 << 20, 1 << 20, 1 << 20};
    struct kvpbus_sync sync = {0};
    memcpy(sync.timeline, impostor->fixture.position.timeline, sizeof sync.timeline);
    for (size_t class_ = 0; class_ < KVPBUS_CLASS_COUNT; class_++)
        sync.classes[class_].next = 1;
    sync.classes[KVPBUS_CLASS_NORMAL].next = impostor->fixture.position.number + 1;
    impostor->synced = false;
    kvpbus_link_room(impostor->link, room);
    kvpbus_link_sync_ready(impostor->link, session, &sync, now_ms());
}

static void take_packet(struct impostor *impostor, struct kvpbus_link_packet *packet)
{
    for (size_t i = 0; i < packet->answer_count; i++)
        impostor->refused |= packet->answers[i].number == impostor->fixture.position.number &&
                             packet->answers[i].answers[0] == KVPBUS_ANSWER_REFUSED;
    kvpbus_link_committed(impostor->link, packet->session, packet->number, now_ms());
    free(packet);
}

static void take_events(struct impostor *impostor)
{
    struct kvpbus_link *link = impostor->link;
    struct kvpbus_link_event event;
    while (kvpbus_link_next_event(link, &event)) {
        if (event.kind == KVPBUS_LINK_NEW_EPOCH)
            kvpbus_link_epoch_recorded(link, event.epoch, now_ms());
        else if (event.kind == KVPBUS_LINK_NEEDS_SYNC)
            give_sync(impostor, event.session);
        else if (event.kind == KVPBUS_LINK_SYNC)
            kvpbus_link_sync_done(link, event.session, true, now_ms());
        else if (event.kind == KVPBUS_LINK_PACKET)
            take_packet(impostor, event.packet);
        else if (event.kind == KVPBUS_LINK_WANT)
            kvpbus_link_supply(link, &event.want, impostor->sealed + event.want.offset);
        else if (event.kind == KVPBUS_LINK_DELIVERED)
            impostor->delivered |= event.done.number == impostor->fixture.position.number;
    }
}

static void turn(struct impostor *impostor)
{
    const struct kvpbus_store_ops *ops = impostor->store->ops;
    const struct kvpbus_change *changes;
    enum kvpbus_error results[KVPBUS_LINK_KEYS];
    struct kvpbus_link *link = impostor->link;
    kvpbus_link_tick(link, now_ms());
    take_events(impostor);
    size_t count = kvpbus_link_write(link, &changes, now_ms());
    if (count > 0) {
        take_events(impostor);
        ops->write(impostor->store, changes, count, results, NULL);
        kvpbus_link_write_done(link, results, now_ms());
    }
    if (kvpbus_link_wants_own_scan(link)) {
        cr_assert_eq(ops->read_own(impostor->store, &impostor->scan, NULL), KVPBUS_OK);
        kvpbus_link_scan_own(link, &impostor->scan, now_ms());
    }
    cr_assert_eq(ops->read_peer(impostor->store, &impostor->scan, NULL), KVPBUS_OK);
    kvpbus_link_scan_peer(link, &impostor->scan, now_ms());
    take_events(impostor);
    lab_sleep_ms(TURN_MS);
}

static void turn_until(struct impostor *impostor, const bool *done, const char *what)
{
    for (int i = 0; !*done && i < PATIENCE_MS / TURN_MS; i++)
        turn(impostor);
    cr_assert(*done, "the host has not %s", what);
}

// --- who it is ---

static void read_key(const struct world *world, const char *side, uint8_t *public, uint8_t *secret)
{
    char path[160];
    uint8_t seed[crypto_sign_SEEDBYTES];
    snprintf(path, sizeof path, "%s/%s.state/identity.key", world->lab.directory, side);
    FILE *file = fopen(path, "rb");
    cr_assert_not_null(file, "%s", path);
    cr_assert_eq(fread(seed, 1, sizeof seed, file), sizeof seed);
    fclose(file);
    crypto_sign_seed_keypair(public, secret, seed);
}

static void begin_link(struct impostor *impostor, const uint8_t *host)
{
    const struct bundle_fixture *fixture = &impostor->fixture;
    struct kvpbus_link_options options = {
        .role = KVPBUS_ROLE_GUEST,
        .prefix = "kvpbus",
        .ring_slots = KVPBUS_RING_MAX,
        .value_max = KVPBUS_VALUE_MAX,
        .bundle_max = 1 << 20,
        .random = draw,
    };
    memcpy(options.identity, fixture->route.sender, sizeof options.identity);
    memcpy(options.secret, fixture->secret, sizeof options.secret);
    memcpy(options.vm, fixture->route.vm, sizeof options.vm);
    impostor->link = kvpbus_link_new(&options, now_ms());
    cr_assert_not_null(impostor->link);
    kvpbus_link_pin(impostor->link, host, options.vm, now_ms());
}

struct impostor *impostor_new(const struct world *world)
{
    uint8_t host[KVPBUS_IDENTITY_BYTES], unused[KVPBUS_SECRET_BYTES];
    char directory[128];
    struct impostor *impostor = calloc(1, sizeof *impostor);
    struct bundle_fixture *fixture = &impostor->fixture;
    bundle_fixture_init(fixture);
    read_key(world, "beta", fixture->route.sender, fixture->secret);
    read_key(world, "host", host, unused);
    fixture->route.recipient = KVPBUS_ROLE_HOST;
    memcpy(fixture->route.vm, world->lab.guids[LAB_BETA], sizeof fixture->route.vm);
    randombytes_buf(fixture->position.timeline, sizeof fixture->position.timeline);
    fixture->position.number = 0;
    snprintf(directory, sizeof directory, "%s/vm/beta/kvp", world->lab.directory);
    cr_assert_eq(kvpbus_pool_store_open(directory, "kvpbus", &impostor->store, NULL), KVPBUS_OK);
    begin_link(impostor, host);
    return impostor;
}

void impostor_free(struct impostor *impostor)
{
    kvpbus_link_free(impostor->link);
    kvpbus_store_close(impostor->store);
    kvpbus_scan_free(&impostor->scan);
    free(impostor);
}

// --- what it does ---

const struct bundle_fixture *impostor_next(struct impostor *impostor)
{
    impostor->fixture.position.number++;
    randombytes_buf(impostor->fixture.position.id, sizeof impostor->fixture.position.id);
    return &impostor->fixture;
}

void impostor_send(struct impostor *impostor, const uint8_t *sealed, size_t length)
{
    struct kvpbus_sealed bundle = {
        .class_ = KVPBUS_CLASS_NORMAL,
        .number = impostor->fixture.position.number,
        .length = (uint32_t)length,
    };
    bool accepts = false;
    impostor->sealed = sealed;
    impostor->delivered = impostor->refused = false;
    for (int i = 0; !accepts && i < PATIENCE_MS / TURN_MS; i++) {
        turn(impostor);
        accepts = kvpbus_link_accepts(impostor->link, KVPBUS_CLASS_NORMAL);
    }
    cr_assert(accepts, "the host has not begun a session");
    size_t first = length < KVPBUS_LINK_CHUNK ? length : KVPBUS_LINK_CHUNK;
    cr_assert_eq(kvpbus_link_offer(impostor->link, &bundle, 0, sealed, first), KVPBUS_OK);
    turn_until(impostor, &impostor->delivered, "acknowledged the bundle");
}

void impostor_await_refusal(struct impostor *impostor)
{
    turn_until(impostor, &impostor->refused, "refused the bundle");
}

// Built from docs/protocol.md section 2.1 and not with the code that reads it.
void impostor_hello(struct impostor *impostor, const uint8_t *seed, size_t at, const void *bytes,
                    size_t length)
{
    enum { HEAD = 8, CORE = 124, SIGNATURE = 64, LABEL = sizeof "kvpbus 1 hello core" };
    const struct bundle_fixture *fixture = &impostor->fixture;
    uint8_t item[HEAD + CORE + SIGNATURE] = {0x11}, secret[KVPBUS_SECRET_BYTES];
    uint8_t text[LABEL + CORE] = "kvpbus 1 hello core", *core = item + HEAD;
    char value[KVPBUS_VALUE_MAX + 1];
    memcpy(secret, fixture->secret, sizeof secret);
    memcpy(core + 4, fixture->route.sender, KVPBUS_IDENTITY_BYTES);
    if (seed != NULL)
        crypto_sign_seed_keypair(core + 4, secret, seed);
    item[7] = CORE;
    memcpy(core, "\1\1\2\1", 4);              // versions 1 to 1, a guest, base64url
    randombytes_buf(core + 36, 32 + 16 + 16); // ephemeral key, epoch, nonce
    memcpy(core + 100, fixture->route.vm, KVPBUS_VM_ID_BYTES);
    memcpy(core + 116, "\100\100\3\376\0\20\0\0", 8); // 64 slots, window 64, 1022, 1 MiB
    memcpy(core + at, bytes, length);
    memcpy(text + LABEL, core, CORE);
    crypto_sign_detached(core + CORE, NULL, text, sizeof text, secret);
    kvpbus_item_encode(item, sizeof item, value);
    impostor_write(impostor, "kvpbus.h", value);
}

void impostor_write(struct impostor *impostor, const char *key, const char *value)
{
    const struct kvpbus_change change = {key, value};
    enum kvpbus_error result;
    cr_assert_eq(impostor->store->ops->write(impostor->store, &change, 1, &result, NULL),
                 KVPBUS_OK);
}
