// SPDX-License-Identifier: Apache-2.0
//
// Quotas by class and by peer: what is refused says which one, whose, how much, and what helps.
#include <criterion/criterion.h>
#include <string.h>

#include "journal_rig.h"

enum { BODY_MAX = 64 * 1024, BOX = 1024 * 1024, RESERVE = 64 * 1024, BULK = 256 * 1024 };

static struct journal_rig rig;

static void begin(const struct kvpbus_quota *quota)
{
    struct kvpbus_journal_options options = {
        .outbox_max = BOX,
        .inbox_max = BOX,
        .control_reserve = RESERVE,
        .bulk_max = BULK,
        .body_max = BODY_MAX,
        .quotas = quota,
        .quota_count = quota != NULL ? 1 : 0,
    };
    rig_open(&rig, &options);
    rig_sync(&rig);
}

static enum kvpbus_error queue(enum kvpbus_class class_)
{
    static char body[BODY_MAX];
    rig_noise(body, sizeof body);
    struct kvpbus_message message = rig_message("t", body);
    message.class_ = class_;
    cr_assert_eq(kvpbus_journal_begin(rig.host.journal), KVPBUS_OK);
    enum kvpbus_error error =
        kvpbus_journal_queue(rig.host.journal, rig.host.peer, &message, false, rig.now);
    if (error == KVPBUS_OK)
        cr_assert_eq(kvpbus_journal_commit(rig.host.journal, NULL), KVPBUS_OK);
    else
        kvpbus_journal_rollback(rig.host.journal);
    return error;
}

static int fill(enum kvpbus_class class_)
{
    int count = 0;
    enum kvpbus_error error;
    while ((error = queue(class_)) == KVPBUS_OK)
        count++;
    cr_assert_eq(error, KVPBUS_QUOTA);
    return count;
}

static void says(const char *text)
{
    const char *said = kvpbus_journal_failure(rig.host.journal)->detail;
    cr_assert_not_null(strstr(said, text), "'%s' is not in: %s", text, said);
}

static void room(struct journal_side *side, uint64_t free[KVPBUS_CLASS_COUNT])
{
    IN(side, kvpbus_journal_room(side->journal, side->peer, free));
}

Test(journal_quota, bulk_leaves_room_for_the_others)
{
    begin(NULL);
    cr_assert_eq(fill(KVPBUS_CLASS_BULK), BULK / BODY_MAX - 1);
    says("class bulk");
    says("wait for other");
    says("bulk_max is 256k");
    cr_assert_geq(fill(KVPBUS_CLASS_NORMAL), (BOX - BULK - RESERVE) / BODY_MAX - 1);
    says("outbox_max is 1M");
    says("64k are for class control");
    cr_assert_geq(fill(KVPBUS_CLASS_CONTROL), 1);
    // Delivered, it counts no more.
    rig_flow(&rig, &rig.host, &rig.guest);
    cr_assert_eq(fill(KVPBUS_CLASS_BULK), BULK / BODY_MAX - 1);
    rig_close(&rig);
}

Test(journal_quota, bulk_that_is_withdrawn_or_comes_back_is_counted)
{
    begin(NULL);
    side_save(&rig.guest);
    struct kvpbus_message message = rig_message("t", "a");
    message.class_ = KVPBUS_CLASS_BULK;
    rig_queue_message(&rig, &rig.host, &message, true);
    rig_flow(&rig, &rig.host, &rig.guest);
    // The guest goes back: what it had is to be sent again and waits.
    side_restore(&rig.guest);
    rig_sync(&rig);
    cr_assert_eq(rig_outcome(&rig.host, &message.id), KVPBUS_OUTCOME_PENDING);
    fill(KVPBUS_CLASS_BULK);
    rig_flow(&rig, &rig.host, &rig.guest);
    cr_assert_eq(fill(KVPBUS_CLASS_BULK), BULK / BODY_MAX - 1);
    rig_close(&rig);
}

Test(journal_quota, the_peer_gets_less_credit_for_bulk)
{
    uint64_t before[KVPBUS_CLASS_COUNT], after[KVPBUS_CLASS_COUNT];
    begin(NULL);
    room(&rig.guest, before);
    cr_assert_eq(before[KVPBUS_CLASS_BULK], BULK);
    cr_assert_eq(before[KVPBUS_CLASS_NORMAL], BOX - RESERVE);
    cr_assert_eq(before[KVPBUS_CLASS_CONTROL], BOX);
    cr_assert_eq(queue(KVPBUS_CLASS_BULK), KVPBUS_OK);
    rig_flow(&rig, &rig.host, &rig.guest);
    room(&rig.guest, after);
    cr_assert_lt(after[KVPBUS_CLASS_BULK], BULK - BODY_MAX);
    struct kvpbus_delivery *delivery;
    IN(&rig.guest, kvpbus_journal_lease(rig.guest.journal, &(struct kvpbus_filter){0}, 1000,
                                        rig.now, &delivery));
    IN(&rig.guest, kvpbus_journal_ack(rig.guest.journal, delivery->lease));
    kvpbus_delivery_free(delivery);
    room(&rig.guest, after);
    cr_assert_arr_eq((char *)after, (char *)before, sizeof before);
    rig_close(&rig);
}

Test(journal_quota, without_a_limit_of_its_own_bulk_has_three_quarters)
{
    uint64_t free[KVPBUS_CLASS_COUNT];
    begin(NULL);
    rig.guest.options.bulk_max = 0;
    side_reopen(&rig.guest);
    room(&rig.guest, free);
    cr_assert_eq(free[KVPBUS_CLASS_BULK], BOX / 4 * 3);
    // But room for the longest message, as far as there is any.
    rig.guest.options.inbox_max = BODY_MAX + RESERVE;
    side_reopen(&rig.guest);
    room(&rig.guest, free);
    cr_assert_eq(free[KVPBUS_CLASS_BULK], BODY_MAX);
    rig_close(&rig);
}

Test(journal_quota, one_peer_may_have_its_own)
{
    static const struct kvpbus_quota quotas[] = {
        {"other", .outbox_max = BOX / 2, .inbox_max = 2 * BOX, .bulk_max = 2 * BULK},
        {"01020304-0506-0708-090A-0B0C0D0E0F00", .outbox_max = BOX / 2},
        {"somebody", .outbox_max = BOX / 2},
    };
    uint64_t free[KVPBUS_CLASS_COUNT];
    begin(&quotas[0]);
    fill(KVPBUS_CLASS_NORMAL);
    says("outbox_max is 512k");
    room(&rig.guest, free);
    cr_assert_eq(free[KVPBUS_CLASS_CONTROL], 2 * BOX);
    cr_assert_eq(free[KVPBUS_CLASS_BULK], 2 * BULK);
    rig_close(&rig);
    begin(&quotas[1]); // by its GUID
    fill(KVPBUS_CLASS_NORMAL);
    says("outbox_max is 512k");
    room(&rig.guest, free);
    cr_assert_eq(free[KVPBUS_CLASS_CONTROL], BOX);
    rig_close(&rig);
    begin(&quotas[2]);
    fill(KVPBUS_CLASS_NORMAL);
    says("outbox_max is 1M");
    rig_close(&rig);
}

Test(journal_quota, limits_that_no_message_fits_into_are_refused)
{
    static const struct kvpbus_quota quotas[] = {
        {"web", .outbox_max = BODY_MAX},
        {"web", .inbox_max = BODY_MAX},
        {"web", .bulk_max = BODY_MAX - 1},
        {"web", .inbox_max = UINT64_MAX},
    };
    struct kvpbus_journal *journal;
    struct kvpbus_failure failure;
    begin(NULL);
    struct kvpbus_journal_options options = rig.host.options;
    options.quota_count = 1;
    for (size_t i = 0; i < sizeof quotas / sizeof *quotas; i++) {
        options.quotas = &quotas[i];
        cr_assert_eq(kvpbus_journal_open(rig.host.path, &options, &journal, &failure),
                     KVPBUS_CONFIG);
        cr_assert(i == 3 || strstr(failure.detail, "web") != NULL, "%s", failure.detail);
    }
    options.quota_count = 0;
    options.bulk_max = BODY_MAX - 1;
    cr_assert_eq(kvpbus_journal_open(rig.host.path, &options, &journal, &failure), KVPBUS_CONFIG);
    cr_assert_not_null(strstr(failure.detail, "bulk_max"));
    rig_close(&rig);
}
