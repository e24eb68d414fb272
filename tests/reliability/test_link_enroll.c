// SPDX-License-Identifier: Apache-2.0
//
// The proof of an enrolment token in the cores of a guest.
#include <criterion/criterion.h>
#include <string.h>

#include "hello.h"
#include "link_rig.h"

static struct rig rig;

static void start(void)
{
    rig_start(&rig, false);
}

static void stop(void)
{
    rig_stop(&rig);
}

TestSuite(link_enroll, .init = start, .fini = stop);

static struct kvpbus_token token_for_the_guest(void)
{
    struct kvpbus_token token = {.id = {1}, .secret = {2}};
    memcpy(token.host, rig.sides[RIG_HOST].identity, sizeof token.host);
    memcpy(token.vm, rig.vm, sizeof token.vm);
    return token;
}

static const uint8_t *proof_at_host(void)
{
    const struct rig_side *host = &rig.sides[RIG_HOST];
    const uint8_t *proof;
    size_t length;
    cr_assert(kvpbus_extension_find(host->extensions, host->extensions_length,
                                    KVPBUS_EXTENSION_ENROLMENT, &proof, &length));
    cr_assert_eq(length, KVPBUS_PROOF_BYTES);
    return proof;
}

Test(link_enroll, each_core_proves_the_token_anew)
{
    const struct rig_side *host = &rig.sides[RIG_HOST], *guest = &rig.sides[RIG_GUEST];
    struct kvpbus_token token = token_for_the_guest();
    uint8_t former[KVPBUS_PROOF_BYTES];
    cr_assert_eq(kvpbus_link_enroll(guest->link, &token, rig.now), KVPBUS_OK);
    rig_run(&rig, 5000);
    cr_assert(kvpbus_token_proves(&token, guest->identity, host->pending_epoch, proof_at_host()));
    memcpy(former, proof_at_host(), sizeof former);
    unsigned pendings = host->pendings;
    kvpbus_link_renew(guest->link, "another core", rig.now);
    rig_run(&rig, 5000);
    cr_assert_gt(host->pendings, pendings, "it is told again");
    cr_assert(kvpbus_token_proves(&token, guest->identity, host->pending_epoch, proof_at_host()));
    cr_assert_not(kvpbus_token_proves(&token, guest->identity, host->pending_epoch, former));
}

Test(link_enroll, with_the_token_both_sides_come_together_and_go_on_without_it)
{
    const struct rig_side *guest = &rig.sides[RIG_GUEST];
    struct kvpbus_token token = token_for_the_guest();
    cr_assert_eq(kvpbus_link_enroll(guest->link, &token, rig.now), KVPBUS_OK);
    rig_pin(&rig, RIG_GUEST);
    rig_run(&rig, 5000);
    cr_assert(kvpbus_token_proves(&token, guest->identity, rig.sides[RIG_HOST].pending_epoch,
                                  proof_at_host()));
    rig_pin(&rig, RIG_HOST);
    cr_assert(rig_until_live(&rig, 20000));
    size_t epochs = guest->epoch_count;
    cr_assert_eq(kvpbus_link_enroll(guest->link, NULL, rig.now), KVPBUS_OK);
    rig_send(&rig, RIG_GUEST, KVPBUS_CLASS_NORMAL, 3000);
    cr_assert(rig_until_delivered(&rig, 20000));
    cr_assert_eq(guest->epoch_count, epochs, "the session is not disturbed");
}

Test(link_enroll, a_proof_needs_room)
{
    static const uint8_t much[KVPBUS_EXTENSIONS_MAX - 3 - KVPBUS_PROOF_BYTES - 2];
    struct kvpbus_link *link = rig.sides[RIG_GUEST].link;
    struct kvpbus_token token = token_for_the_guest();
    cr_assert_eq(kvpbus_link_extend(link, KVPBUS_EXTENSION_ROTATION, much, sizeof much, rig.now),
                 KVPBUS_OK);
    cr_assert_eq(kvpbus_link_enroll(link, &token, rig.now), KVPBUS_TOO_LARGE);
    cr_assert_eq(
        kvpbus_link_extend(link, KVPBUS_EXTENSION_ROTATION, much, sizeof much - 1, rig.now),
        KVPBUS_OK);
    cr_assert_eq(kvpbus_link_enroll(link, &token, rig.now), KVPBUS_OK);
}
