// SPDX-License-Identifier: Apache-2.0
//
// A guest that is hostile on purpose: somebody in beta who writes hellos and bundles by hand, with
// and without the key that the host has pinned. The host says what it is, believes none of it,
// loses nothing, and goes on with alpha, and with beta when its agent is back.
#include <criterion/criterion.h>
#include <signal.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <zlib.h>

#include "impostor.h"

static struct world world;
static struct impostor *impostor;

// Both VMs are paired; beta's agent is stopped and something waits for it.
static void begin(void)
{
    world_begin(&world, "");
    world_start(&world, WORLD_HOST);
    world_start(&world, WORLD_ALPHA);
    world_start(&world, WORLD_BETA);
    world_pair(&world, WORLD_ALPHA);
    world_pair(&world, WORLD_BETA);
    world_stop(&world, WORLD_BETA, SIGTERM);
    impostor = impostor_new(&world);
}

static void finish(void)
{
    if (impostor != NULL)
        impostor_free(impostor);
    world_end(&world);
}

TestSuite(e2e_hostile, .init = begin, .fini = finish);

// The true agent of beta is back: what was queued for it arrives, and it can send.
static void beta_comes_back(const char *waiting)
{
    impostor_free(impostor);
    impostor = NULL;
    world_start(&world, WORLD_BETA);
    world_ok(&world, WORLD_BETA, "recv --timeout 50s");
    cr_assert_str_eq(world_output(), waiting);
    world_ok(&world, WORLD_BETA, "send host from.beta --text me --wait delivered");
    world_ok(&world, WORLD_HOST, "--json recv --timeout 20s");
    cr_assert_not_null(strstr(world_output(), "\"peer\": \"beta\""), "%s", world_output());
}

// --- hellos ---

static long not_believed(void)
{
    world_ok(&world, WORLD_HOST, "--json status beta");
    const char *found = strstr(world_output(), "\"bad_items\": ");
    cr_assert_not_null(found);
    return strtol(found + strlen("\"bad_items\": "), NULL, 10);
}

static void is_not_believed(long before)
{
    for (int i = 0; i < 200; i++) {
        if (not_believed() > before)
            return;
        lab_sleep_ms(50);
    }
    cr_assert_fail("the host has believed it: %s", world_output());
}

Test(e2e_hostile, hellos_that_are_not_signed_well)
{
    static const uint8_t seed[crypto_sign_SEEDBYTES] = {1};
    world_ok(&world, WORLD_HOST, "send beta for.beta --text kept");
    // Beta's identity, signed by somebody else.
    long before = not_believed();
    impostor_hello(impostor, seed, 4, impostor_next(impostor)->route.sender, 32);
    is_not_believed(before);
    // Cut, and not an item at all.
    static const char *const values[] = {"EQAAAAAAAHw", "junk", "EQAAAAAAAHw="};
    for (size_t i = 0; i < sizeof values / sizeof *values; i++) {
        before = not_believed();
        impostor_write(impostor, "kvpbus.h", values[i]);
        is_not_believed(before);
    }
    // A host that knows nothing but this says so.
    world_stop(&world, WORLD_HOST, SIGTERM);
    world_start(&world, WORLD_HOST);
    world_await(&world, WORLD_HOST, "beta", "is not to be believed", 20);
    world_alpha_works(&world);
    beta_comes_back("kept");
}

Test(e2e_hostile, hellos_that_are_signed_and_not_meant)
{
    static const uint8_t seed[crypto_sign_SEEDBYTES] = {2};
    world_ok(&world, WORLD_HOST, "send beta for.beta --text kept");
    impostor_hello(impostor, seed, 0, "\1", 1);
    world_logged(&world, WORLD_HOST, "beta", "another identity than the one that was paired");
    impostor_hello(impostor, NULL, 0, "\2\3", 2);
    world_logged(&world, WORLD_HOST, "beta", "the peer speaks protocol versions 2 to 3");
    impostor_hello(impostor, NULL, 100, "another VM", 10);
    world_logged(&world, WORLD_HOST, "beta", "clone or an import");
    impostor_write(impostor, "kvpbus.h", lab_pool_value(&world.lab, LAB_BETA, 0, "kvpbus.h"));
    world_logged(&world, WORLD_HOST, "beta", "a hello of my own side");
    world_alpha_works(&world);
    beta_comes_back("kept");
}

Test(e2e_hostile, a_new_hello_at_every_look)
{
    world_ok(&world, WORLD_HOST, "send beta for.beta --text kept");
    for (uint8_t i = 0; i < 200; i++) {
        uint8_t seed[crypto_sign_SEEDBYTES] = {3, i};
        impostor_hello(impostor, seed, 0, "\1", 1);
        lab_sleep_ms(10);
    }
    world_logged(&world, WORLD_HOST, "beta", "another identity than the one that was paired");
    world_alpha_works(&world);
    beta_comes_back("kept");
}

// --- bundles ---

// The most memory that the host's service has ever used, in KiB.
static long peak_memory(void)
{
    cr_assert_eq(world_shell(&world,
                             "sed -n \"s/VmHWM:[^0-9]*\\([0-9]*\\).*/\\1/p\" /proc/%d/status",
                             (int)world.pids[WORLD_HOST]),
                 0);
    return strtol(world_output(), NULL, 10);
}

static void send_bomb(uint32_t declared, size_t inflated)
{
    uLongf packed_length = compressBound(inflated);
    uint8_t *zeros = calloc(1, inflated), *packed = malloc(packed_length);
    cr_assert_eq(compress2(packed, &packed_length, zeros, inflated, 9), Z_OK);
    size_t length;
    uint8_t *sealed = bundle_fixture_forge(impostor_next(impostor), true, declared, packed,
                                           packed_length, &length);
    impostor_send(impostor, sealed, length);
    impostor_await_refusal(impostor);
    free(sealed);
    free(zeros);
    free(packed);
}

static void send_good(const char *text)
{
    const struct bundle_fixture *fixture = impostor_next(impostor);
    struct kvpbus_message message =
        bundle_fixture_event(fixture, 0, "app.good", text, strlen(text));
    message.sequence = fixture->position.number;
    size_t length;
    uint8_t *sealed = bundle_fixture_seal(fixture, &message, 1, &length);
    impostor_send(impostor, sealed, length);
    free(sealed);
    world_ok(&world, WORLD_HOST, "recv --timeout 20s");
    cr_assert_str_eq(world_output(), text);
}

Test(e2e_hostile, zip_bombs)
{
    enum { MIB = 1024 * 1024 };
    send_good("before");
    long memory = peak_memory();
    send_bomb(MIB, 64 * MIB);        // inflates to more than it declares
    send_bomb(UINT32_MAX, 64 * MIB); // declares more than is accepted
    send_bomb(60 * 1000, 50 * 1000); // inflates to less
    cr_assert_lt(peak_memory() - memory, 32 * 1024, "the host has inflated a bomb");
    world_logged(&world, WORLD_HOST, "beta", "refused");
    send_good("after");
    world_alpha_works(&world);
}

Test(e2e_hostile, bundles_that_are_not_meant_for_the_host)
{
    struct bundle_fixture forged = *impostor_next(impostor);
    uint8_t packed[] = "something";
    size_t length;
    forged.route.vm[0] ^= 1; // sealed for another VM
    uint8_t *sealed =
        bundle_fixture_forge(&forged, false, sizeof packed, packed, sizeof packed, &length);
    impostor_send(impostor, sealed, length);
    impostor_await_refusal(impostor);
    world_logged(&world, WORLD_HOST, "beta", "refused");
    free(sealed);
    send_good("after");
    world_alpha_works(&world);
}
