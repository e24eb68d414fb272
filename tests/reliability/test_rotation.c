// SPDX-License-Identifier: Apache-2.0
//
// A side goes on as another identity, or a VM under another id: the statements, and the link that
// follows them.
#include <criterion/criterion.h>
#include <sodium.h>
#include <string.h>

#include "link_rig.h"
#include "rotation.h"

enum { LIVES = 6 };

static uint8_t identity[LIVES][KVPBUS_IDENTITY_BYTES], secret[LIVES][KVPBUS_SECRET_BYTES];
static const uint8_t vm[KVPBUS_VM_ID_BYTES] = {7}, other_vm[KVPBUS_VM_ID_BYTES] = {8};
static struct kvpbus_rotation rotation;
static struct rig rig;

static void draw_identities(void)
{
    cr_assert_geq(sodium_init(), 0);
    for (size_t i = 0; i < LIVES; i++)
        crypto_sign_keypair(identity[i], secret[i]);
    rotation.length = 0;
}

TestSuite(rotation, .init = draw_identities);

static void rotate(const uint8_t *scope, size_t from)
{
    kvpbus_rotation_add(&rotation, KVPBUS_ROLE_HOST, scope, identity[from], secret[from],
                        identity[from + 1]);
}

static struct kvpbus_core core_of(size_t life)
{
    struct kvpbus_core core = {.role = KVPBUS_ROLE_HOST};
    size_t length = 0;
    memcpy(core.identity, identity[life], sizeof core.identity);
    cr_assert(kvpbus_extension_put(core.extensions, &length, KVPBUS_EXTENSION_ROTATION,
                                   rotation.bytes, rotation.length));
    core.extensions_length = (uint16_t)length;
    return core;
}

Test(rotation, leads_from_each_of_the_latest_identities)
{
    for (size_t i = 0; i + 1 < LIVES; i++)
        rotate(NULL, i);
    struct kvpbus_core core = core_of(LIVES - 1);
    for (size_t from = 0; from < LIVES - 1; from++)
        cr_assert_eq(kvpbus_rotation_leads(&core, vm, identity[from]),
                     from >= LIVES - 1 - KVPBUS_STATEMENTS_MAX, "%zu", from);
    cr_assert_not(kvpbus_rotation_leads(&core, vm, identity[LIVES - 1]), "it is there already");
}

Test(rotation, one_more_leaves_the_oldest_behind)
{
    for (size_t i = 0; i < KVPBUS_STATEMENTS_MAX; i++) {
        cr_assert_not(kvpbus_rotation_forgets(&rotation, identity[i], identity[0]), "%zu", i);
        rotate(NULL, i);
    }
    const uint8_t *now = identity[KVPBUS_STATEMENTS_MAX];
    cr_assert(kvpbus_rotation_forgets(&rotation, now, identity[0]));
    cr_assert_not(kvpbus_rotation_forgets(&rotation, now, identity[1]));
    cr_assert_not(kvpbus_rotation_forgets(&rotation, now, now), "it has been seen");
}

Test(rotation, leads_nowhere_else)
{
    rotate(NULL, 0);
    struct kvpbus_core core = core_of(2), guest = core_of(1);
    cr_assert_not(kvpbus_rotation_leads(&core, vm, identity[0]), "another one than was signed");
    guest.role = KVPBUS_ROLE_GUEST;
    cr_assert_not(kvpbus_rotation_leads(&guest, vm, identity[0]), "another role");
    core = core_of(1);
    cr_assert(kvpbus_rotation_leads(&core, vm, identity[0]));
    cr_assert_not(kvpbus_rotation_leads(&core, vm, identity[3]));
    core.extensions_length = 0;
    cr_assert_not(kvpbus_rotation_leads(&core, vm, identity[0]));
}

Test(rotation, may_be_for_one_vm_alone)
{
    rotate(vm, 0);
    rotate(NULL, 1);
    struct kvpbus_core core = core_of(2);
    cr_assert(kvpbus_rotation_leads(&core, vm, identity[0]));
    cr_assert_not(kvpbus_rotation_leads(&core, other_vm, identity[0]));
    cr_assert(kvpbus_rotation_leads(&core, other_vm, identity[1]));
}

Test(rotation, every_changed_byte_is_noticed)
{
    rotate(NULL, 0);
    for (size_t i = 0; i < KVPBUS_STATEMENT_BYTES; i++) {
        rotation.bytes[i] ^= 1;
        struct kvpbus_core core = core_of(1);
        cr_assert_not(kvpbus_rotation_leads(&core, vm, identity[0]), "byte %zu", i);
        rotation.bytes[i] ^= 1;
    }
    rotation.length--;
    struct kvpbus_core core = core_of(1);
    cr_assert_not(kvpbus_rotation_leads(&core, vm, identity[0]), "cut");
}

// --- the link ---

static void paired(void)
{
    draw_identities();
    rig_start(&rig, true);
}

static void stop(void)
{
    rig_stop(&rig);
}

TestSuite(rotating, .init = paired, .fini = stop);

static void rotate_side(int which, size_t life)
{
    struct rig_side *side = &rig.sides[which];
    kvpbus_rotation_add(&rotation, which == RIG_HOST ? KVPBUS_ROLE_HOST : KVPBUS_ROLE_GUEST, NULL,
                        side->identity, side->secret, identity[life]);
    memcpy(side->identity, identity[life], sizeof side->identity);
    memcpy(side->secret, secret[life], sizeof side->secret);
    kvpbus_link_rotate(side->link, side->identity, side->secret, rotation.bytes, rotation.length,
                       rig.now);
}

Test(rotating, the_peer_follows_by_itself)
{
    for (int side = 0; side < 2; side++) {
        cr_assert(rig_until_live(&rig, 20000));
        rig_send(&rig, side, KVPBUS_CLASS_NORMAL, 3000);
        rotation.length = 0;
        rotate_side(side, (size_t)side);
        rig_send(&rig, 1 - side, KVPBUS_CLASS_NORMAL, 3000);
        cr_assert(rig_until_delivered(&rig, 60000));
        cr_assert_eq(rig.sides[1 - side].rotated, 1);
        cr_assert_eq(rig.sides[1 - side].alarms, 0);
    }
}

Test(rotating, a_peer_that_was_away_follows_several_at_once)
{
    cr_assert(rig_until_live(&rig, 20000));
    kvpbus_link_suspend(rig.sides[RIG_GUEST].link, true, rig.now);
    for (size_t life = 0; life < KVPBUS_STATEMENTS_MAX; life++) {
        rotate_side(RIG_HOST, life);
        rig_run(&rig, 5000);
    }
    kvpbus_link_suspend(rig.sides[RIG_GUEST].link, false, rig.now);
    rig_send(&rig, RIG_GUEST, KVPBUS_CLASS_NORMAL, 3000);
    cr_assert(rig_until_delivered(&rig, 60000));
    cr_assert_eq(rig.sides[RIG_GUEST].rotated, 1);
}

Test(rotating, both_sides_at_once)
{
    cr_assert(rig_until_live(&rig, 20000));
    rotate_side(RIG_HOST, 0);
    rotation.length = 0;
    rotate_side(RIG_GUEST, 1);
    rig_send(&rig, RIG_GUEST, KVPBUS_CLASS_NORMAL, 3000);
    rig_send(&rig, RIG_HOST, KVPBUS_CLASS_NORMAL, 3000);
    cr_assert(rig_until_delivered(&rig, 120000));
}

// S7: what was shown before the rotation, and the rotation of before, lead nowhere any more.
Test(rotating, what_was_shown_before_brings_no_old_key_back)
{
    char first[KVPBUS_VALUE_MAX + 1], second[KVPBUS_VALUE_MAX + 1];
    cr_assert(rig_until_live(&rig, 20000));
    strcpy(first, rig_get(&rig, RIG_HOST, "kvpbus.h"));
    rotate_side(RIG_HOST, 0);
    cr_assert(rig_until_live(&rig, 60000));
    strcpy(second, rig_get(&rig, RIG_HOST, "kvpbus.h"));
    rotate_side(RIG_HOST, 1);
    rig_send(&rig, RIG_HOST, KVPBUS_CLASS_NORMAL, 100);
    cr_assert(rig_until_delivered(&rig, 60000));
    cr_assert_eq(rig.sides[RIG_GUEST].rotated, 2);
    kvpbus_link_suspend(rig.sides[RIG_HOST].link, true, rig.now);
    for (int i = 0; i < 10; i++) {
        rig_put(&rig, RIG_HOST, "kvpbus.h", i % 2 == 0 ? first : second);
        rig_run(&rig, 3000);
    }
    cr_assert_eq(rig.sides[RIG_GUEST].rotated, 2);
    kvpbus_link_suspend(rig.sides[RIG_HOST].link, false, rig.now);
    rig_send(&rig, RIG_GUEST, KVPBUS_CLASS_NORMAL, 100);
    cr_assert(rig_until_delivered(&rig, 120000));
}

Test(rotating, a_stranger_that_names_the_pinned_identity_gets_nowhere)
{
    struct rig_side *host = &rig.sides[RIG_HOST];
    uint8_t true_identity[KVPBUS_IDENTITY_BYTES];
    cr_assert(rig_until_live(&rig, 20000));
    memcpy(true_identity, host->identity, sizeof true_identity);
    // Signed by the new one itself, in the name of the old.
    kvpbus_rotation_add(&rotation, KVPBUS_ROLE_HOST, NULL, true_identity, secret[0], identity[0]);
    kvpbus_link_rotate(host->link, identity[0], secret[0], rotation.bytes, rotation.length,
                       rig.now);
    rig_run(&rig, 60000);
    cr_assert_eq(rig.sides[RIG_GUEST].rotated, 0);
    cr_assert_neq(rig_state(&rig, RIG_GUEST), KVPBUS_LINK_LIVE);
    cr_assert_geq(rig.sides[RIG_GUEST].alarms, 1);
}

// --- a VM's new id ---

// The host's link to the VM under another id, as after 'kvpbus rebind'.
static void rebind(uint8_t to, bool says)
{
    struct rig_side *host = &rig.sides[RIG_HOST];
    uint8_t former[KVPBUS_VM_ID_BYTES];
    memcpy(former, rig.vm, sizeof former);
    memset(rig.vm, to, sizeof rig.vm);
    rig_restart(&rig, RIG_HOST);
    if (says)
        cr_assert_eq(kvpbus_link_extend(host->link, KVPBUS_EXTENSION_FORMER_VMS, former,
                                        sizeof former, rig.now),
                     KVPBUS_OK);
}

Test(rotating, a_vm_goes_on_under_another_id_by_the_word_of_its_host)
{
    cr_assert(rig_until_live(&rig, 20000));
    rebind(7, true);
    rig_send(&rig, RIG_HOST, KVPBUS_CLASS_NORMAL, 3000);
    rig_send(&rig, RIG_GUEST, KVPBUS_CLASS_NORMAL, 3000);
    cr_assert(rig_until_delivered(&rig, 60000));
    cr_assert_eq(rig.sides[RIG_GUEST].rebound, 1);
    cr_assert_eq(rig.sides[RIG_GUEST].alarms + rig.sides[RIG_HOST].alarms, 0);
}

Test(rotating, a_vm_whose_host_says_nothing_is_a_clone)
{
    cr_assert(rig_until_live(&rig, 20000));
    rebind(7, false);
    rig_run(&rig, 60000);
    cr_assert_eq(rig.sides[RIG_GUEST].rebound, 0);
    cr_assert_neq(rig_state(&rig, RIG_HOST), KVPBUS_LINK_LIVE);
    cr_assert_geq(rig.sides[RIG_GUEST].alarms, 1);
}

// A hello of the host for another VM, or of another host, is no word for this one.
Test(rotating, another_vms_former_id_is_not_mine)
{
    static const uint8_t another[2 * KVPBUS_VM_ID_BYTES] = {9};
    struct kvpbus_link *host;
    cr_assert(rig_until_live(&rig, 20000));
    rebind(7, false);
    host = rig.sides[RIG_HOST].link;
    cr_assert_eq(
        kvpbus_link_extend(host, KVPBUS_EXTENSION_FORMER_VMS, another, sizeof another, rig.now),
        KVPBUS_OK);
    rig_run(&rig, 60000);
    cr_assert_eq(rig.sides[RIG_GUEST].rebound, 0);
}

Test(rotating, nobody_else_gives_a_vm_another_id)
{
    struct rig_side *host = &rig.sides[RIG_HOST];
    uint8_t true_identity[KVPBUS_IDENTITY_BYTES];
    memcpy(true_identity, host->identity, sizeof true_identity);
    cr_assert(rig_until_live(&rig, 20000));
    memcpy(host->identity, identity[0], sizeof host->identity);
    memcpy(host->secret, secret[0], sizeof host->secret);
    rebind(7, true);
    rig_run(&rig, 60000);
    cr_assert_eq(rig.sides[RIG_GUEST].rebound, 0);
    memcpy(host->identity, true_identity, sizeof host->identity);
}
