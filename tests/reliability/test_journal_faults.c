// SPDX-License-Identifier: Apache-2.0
//
// Every statement and every allocation of the journal fails once. The call that it happens in must
// say so and, after the rollback, be as if it had not been made: made again it succeeds, and the
// end is the same as without the fault. The linker puts the functions below in place of the real
// ones.
#include <criterion/criterion.h>
#include <sodium.h>
#include <sqlite3.h>
#include <stdlib.h>
#include <string.h>

#include "audit_check.h"
#include "journal_rig.h"

// --- faults ------------------------------------------------------------------------------------

static bool statements, armed, struck;
static long countdown, fails_at = -1; // fails_at: in each call of the story; -1: nowhere
static size_t strikes_told;

int __real_sqlite3_step(sqlite3_stmt *statement);
int __wrap_sqlite3_step(sqlite3_stmt *statement);
void *__real_malloc(size_t size);
void *__wrap_malloc(size_t size);
void *__real_calloc(size_t count, size_t size);
void *__wrap_calloc(size_t count, size_t size);
void *__real_realloc(void *memory, size_t size);
void *__wrap_realloc(void *memory, size_t size);

static bool strikes(bool statement)
{
    if (!armed || statement != statements || countdown-- != 0)
        return false;
    struck = true;
    armed = false;
    return true;
}

int __wrap_sqlite3_step(sqlite3_stmt *statement)
{
    return strikes(true) ? SQLITE_IOERR : __real_sqlite3_step(statement);
}

void *__wrap_malloc(size_t size)
{
    return strikes(false) ? NULL : __real_malloc(size);
}

void *__wrap_calloc(size_t count, size_t size)
{
    return strikes(false) ? NULL : __real_calloc(count, size);
}

void *__wrap_realloc(void *memory, size_t size)
{
    return strikes(false) ? NULL : __real_realloc(memory, size);
}

// --- the story ---------------------------------------------------------------------------------

static struct journal_rig rig;
static struct kvpbus_message_id ids[6], request;
static struct kvpbus_sync host_sync, guest_sync;
static struct kvpbus_sealed sealed;
static uint8_t bytes[64 * 1024];
static struct kvpbus_gap gaps[4];
static size_t gap_count;
static struct kvpbus_gap_answer answers[4];
static int64_t lease;
static int messages;

static enum kvpbus_error queue(int i, enum kvpbus_class class_, uint64_t ttl, bool resend)
{
    static char body[3000];
    rig_noise(body, sizeof body);
    struct kvpbus_message message = rig_message("a.b", body);
    struct kvpbus_header header = {"name", "value"};
    message.headers = &header;
    message.header_count = 1;
    message.class_ = class_;
    message.ttl_ms = ttl;
    message.receipt = true;
    enum kvpbus_error error =
        kvpbus_journal_queue(rig.host.journal, rig.host.peer, &message, resend, rig.now);
    ids[i] = message.id;
    return error;
}

static enum kvpbus_error seal(enum kvpbus_class class_)
{
    return kvpbus_journal_seal(rig.host.journal, rig.host.peer, class_, 100000, rig.host.identity,
                               rig.host.secret, rig.now, &sealed);
}

static enum kvpbus_error read_all(void)
{
    return kvpbus_journal_read_sealed(rig.host.journal, rig.host.peer, sealed.class_, sealed.number,
                                      0, bytes, sealed.length);
}

static enum kvpbus_error give(uint32_t from, uint32_t to)
{
    struct kvpbus_fragment piece = {
        .class_ = sealed.class_,
        .number = sealed.number,
        .first = from == 0,
        .total = from == 0 ? sealed.length : 0,
        .offset = from,
        .data = bytes + from,
        .length = to - from,
    };
    struct kvpbus_fragment_result result;
    enum kvpbus_error error =
        kvpbus_journal_fragment(rig.guest.journal, rig.guest.peer, &piece, rig.now, &result);
    if (error == KVPBUS_OK)
        messages = (int)result.messages;
    cr_assert(error != KVPBUS_OK || (!result.refused && !result.fork));
    return error;
}

static enum kvpbus_error apply(struct journal_side *side, const struct kvpbus_sync *sync,
                               bool forced)
{
    enum kvpbus_sync_verdict verdict;
    return kvpbus_journal_sync_apply(side->journal, side->peer, sync, forced, rig.now, "",
                                     &verdict);
}

static enum kvpbus_error sign_audit(const struct journal_side *as, int64_t later)
{
    struct kvpbus_audit_mark mark;
    kvpbus_journal_time(rig.host.journal, rig.now + later);
    return kvpbus_journal_audit_sign(rig.host.journal, as->identity, as->secret, &mark);
}

static enum kvpbus_error enter(void)
{
    return kvpbus_journal_audit(rig.host.journal, 0, KVPBUS_AUDIT_STARTED, "");
}

static enum kvpbus_error read_audit(void)
{
    static struct kvpbus_audit_page page;
    enum kvpbus_error error =
        kvpbus_journal_audit_read(rig.host.journal, &(struct kvpbus_audit_query){0}, &page);
    cr_assert(error != KVPBUS_OK || (page.base.number > 0 && page.mark_count > 0));
    return error;
}

static enum kvpbus_error lease_one(struct journal_side *side)
{
    struct kvpbus_delivery *delivery;
    enum kvpbus_error error = kvpbus_journal_lease(
        side->journal, &(struct kvpbus_filter){.pattern = "a.>"}, 1000, rig.now, &delivery);
    cr_assert_eq(error == KVPBUS_OK, delivery != NULL);
    if (error == KVPBUS_OK)
        lease = delivery->lease;
    kvpbus_delivery_free(delivery);
    return error;
}

// --- a call: the host asks, the guest answers twice ---

static enum kvpbus_error send_call(struct journal_side *side, enum kvpbus_kind kind)
{
    struct kvpbus_message message = rig_message("a.call", "body");
    uint8_t correlation[KVPBUS_BUNDLE_ID_BYTES + 2] = {0};
    memcpy(correlation, request.bundle, sizeof request.bundle);
    correlation[sizeof correlation - 1] = (uint8_t)request.index;
    message.kind = kind;
    message.class_ = KVPBUS_CLASS_CONTROL;
    message.ttl_ms = 5000;
    if (kind != KVPBUS_KIND_REQUEST) {
        message.correlation = correlation;
        message.correlation_length = sizeof correlation;
    }
    enum kvpbus_error error =
        kvpbus_journal_queue(side->journal, side->peer, &message, false, rig.now);
    if (kind == KVPBUS_KIND_REQUEST)
        request = message.id;
    return error;
}

static enum kvpbus_error seal_call(struct journal_side *side)
{
    enum kvpbus_error error =
        kvpbus_journal_seal(side->journal, side->peer, KVPBUS_CLASS_CONTROL, 100000, side->identity,
                            side->secret, rig.now, &sealed);
    if (error == KVPBUS_OK)
        error = kvpbus_journal_read_sealed(side->journal, side->peer, sealed.class_, sealed.number,
                                           0, bytes, sealed.length);
    return error;
}

static enum kvpbus_error give_call(struct journal_side *side)
{
    struct kvpbus_fragment piece = {
        .class_ = sealed.class_,
        .number = sealed.number,
        .first = true,
        .total = sealed.length,
        .data = bytes,
        .length = sealed.length,
    };
    struct kvpbus_fragment_result result;
    return kvpbus_journal_fragment(side->journal, side->peer, &piece, rig.now, &result);
}

static enum kvpbus_error lease_reply(void)
{
    struct kvpbus_delivery *delivery;
    struct kvpbus_filter filter = {.reply_to = &request, .pattern = "a.>"};
    enum kvpbus_error error =
        kvpbus_journal_lease(rig.host.journal, &filter, 1000, rig.now, &delivery);
    if (error == KVPBUS_OK)
        lease = delivery->lease;
    kvpbus_delivery_free(delivery);
    return error;
}

static enum kvpbus_error ask_what_comes(void)
{
    struct kvpbus_awaited awaited;
    return kvpbus_journal_awaited(rig.host.journal, rig.host.peer, &request, rig.now, &awaited);
}

// --- dead letters ---

static enum kvpbus_error look_at_dead(void)
{
    struct kvpbus_dead_letter letter;
    size_t count;
    bool more;
    enum kvpbus_error error =
        kvpbus_journal_dead_list(rig.guest.journal, &(struct kvpbus_dead_filter){.pattern = "a.>"},
                                 0, &letter, 1, &count, &more);
    cr_assert(error != KVPBUS_OK || (count == 1 && !more));
    struct kvpbus_delivery *delivery = NULL;
    if (error == KVPBUS_OK)
        error = kvpbus_journal_dead_get(rig.guest.journal,
                                        &(struct kvpbus_dead_filter){.id = &letter.id}, &delivery);
    kvpbus_delivery_free(delivery);
    return error;
}

static enum kvpbus_error walk_dead(bool again)
{
    struct kvpbus_dead_walk walk = {0};
    struct kvpbus_dead_filter filter = {0};
    struct kvpbus_journal *journal = rig.guest.journal;
    return again ? kvpbus_journal_dead_retry(journal, &filter, rig.now, 10, &walk)
                 : kvpbus_journal_dead_drop(journal, &filter, 10, &walk);
}

// --- what the guest tells ---

static struct kvpbus_sealed told;
static uint8_t receipts[4096];

static enum kvpbus_error seal_receipts(void)
{
    enum kvpbus_error error =
        kvpbus_journal_seal(rig.guest.journal, rig.guest.peer, KVPBUS_CLASS_CONTROL, 100000,
                            rig.guest.identity, rig.guest.secret, rig.now, &told);
    cr_assert(error != KVPBUS_OK || told.length <= sizeof receipts);
    return error;
}

static enum kvpbus_error read_receipts(void)
{
    return kvpbus_journal_read_sealed(rig.guest.journal, rig.guest.peer, told.class_, told.number,
                                      0, receipts, told.length);
}

static enum kvpbus_error hear_receipts(void)
{
    struct kvpbus_fragment piece = {
        .class_ = told.class_,
        .number = told.number,
        .first = true,
        .total = told.length,
        .data = receipts,
        .length = told.length,
    };
    struct kvpbus_fragment_result result;
    enum kvpbus_error error =
        kvpbus_journal_fragment(rig.host.journal, rig.host.peer, &piece, rig.now, &result);
    cr_assert(error != KVPBUS_OK || (result.receipts && result.messages == 0));
    return error;
}

static enum kvpbus_error show(struct journal_side *side, int i)
{
    struct kvpbus_message_record records[2];
    size_t count;
    int64_t peer;
    enum kvpbus_error error = kvpbus_journal_show(side->journal, &ids[i], records, 2, &count);
    if (error == KVPBUS_OK && side == &rig.host)
        error = kvpbus_journal_sent_to(side->journal, &ids[i], &peer);
    return error;
}

static enum kvpbus_error list_peers(void)
{
    struct kvpbus_peer *peers;
    size_t count;
    enum kvpbus_error error = kvpbus_journal_peers(rig.host.journal, &peers, &count);
    cr_assert(error != KVPBUS_OK || count == 2);
    free(peers);
    return error;
}

static enum kvpbus_error open_bundles(void)
{
    struct kvpbus_sealed open[KVPBUS_BUNDLE_WINDOW];
    size_t count;
    return kvpbus_journal_open_bundles(rig.host.journal, rig.host.peer, KVPBUS_CLASS_NORMAL, open,
                                       &count);
}

static enum kvpbus_error epochs(void)
{
    uint8_t list[KVPBUS_EPOCHS_KEPT][KVPBUS_EPOCH_BYTES];
    size_t count;
    enum kvpbus_error error =
        kvpbus_journal_epoch_add(rig.host.journal, rig.host.peer, true, ids[0].bundle);
    if (error != KVPBUS_OK)
        return error;
    return kvpbus_journal_epochs(rig.host.journal, rig.host.peer, true, list, &count);
}

// A token is made, another one in its place, which is taken, shown and used.
static enum kvpbus_error enroll(void)
{
    struct journal_side *host = &rig.host;
    struct kvpbus_token token = {.ends_ms = (uint64_t)rig.now + 1000, .id = {1}, .secret = {2}};
    struct kvpbus_proof proof = {.epoch = {3}};
    struct kvpbus_peer peer;
    enum kvpbus_error error = kvpbus_journal_peer_get(host->journal, host->peer, &peer);
    memcpy(token.host, host->identity, sizeof token.host);
    memcpy(token.vm, peer.vm, sizeof token.vm);
    if (error == KVPBUS_OK)
        error = kvpbus_journal_token_make(host->journal, host->peer, &token, true);
    token.id[0] = 9;
    if (error == KVPBUS_OK)
        error = kvpbus_journal_token_make(host->journal, host->peer, &token, true);
    memcpy(proof.identity, rig.guest.identity, sizeof proof.identity);
    kvpbus_token_prove(&token, proof.identity, proof.epoch, proof.bytes);
    if (error == KVPBUS_OK)
        error = kvpbus_journal_enroll(host->journal, host->peer, &proof, rig.now);
    if (error == KVPBUS_OK)
        error = kvpbus_journal_trust(host->journal, host->peer, rig.guest.identity);
    return error;
}

static enum kvpbus_error take_token(void)
{
    struct journal_side *guest = &rig.guest;
    struct kvpbus_token token = {.ends_ms = (uint64_t)rig.now + 1000, .id = {1}, .secret = {2}};
    bool open = false;
    struct kvpbus_peer peer;
    enum kvpbus_error error = kvpbus_journal_peer_get(guest->journal, guest->peer, &peer);
    memcpy(token.host, rig.host.identity, sizeof token.host);
    memcpy(token.vm, peer.vm, sizeof token.vm);
    if (error == KVPBUS_OK)
        error = kvpbus_journal_token_take(guest->journal, guest->peer, &token);
    if (error == KVPBUS_OK)
        error = kvpbus_journal_token_open(guest->journal, guest->peer, &open, &token);
    cr_assert(error != KVPBUS_OK || open);
    if (error == KVPBUS_OK)
        error = kvpbus_journal_token_done(guest->journal, guest->peer);
    return error;
}

static enum kvpbus_error other_calls(void)
{
    bool waiting;
    int64_t next;
    uint64_t room[KVPBUS_CLASS_COUNT];
    struct kvpbus_message_status status;
    struct kvpbus_journal_counts counts;
    struct kvpbus_journal *journal = rig.host.journal;
    enum kvpbus_error error =
        kvpbus_journal_waiting(journal, rig.host.peer, KVPBUS_CLASS_NORMAL, &waiting);
    if (error == KVPBUS_OK)
        error = kvpbus_journal_room(journal, rig.host.peer, room);
    if (error == KVPBUS_OK)
        error = kvpbus_journal_status(journal, rig.host.peer, &ids[0], &status);
    if (error == KVPBUS_OK)
        error = kvpbus_journal_counts(journal, rig.host.peer, &counts);
    if (error == KVPBUS_OK)
        error = kvpbus_journal_pending(journal, rig.host.peer, rig.guest.identity);
    if (error == KVPBUS_OK)
        error = kvpbus_journal_leases_end(journal, rig.now, &next);
    return error;
}

// The VM id that the guest was paired under.
static const uint8_t *first_vm(void)
{
    static struct kvpbus_peer peer;
    bool before = armed;
    armed = false;
    cr_assert_eq(kvpbus_journal_peer_get(rig.guest.journal, rig.guest.peer, &peer), KVPBUS_OK);
    armed = before;
    return peer.vm;
}

// Each call is a transaction of its own. Its side, for the commit, and what it does.
#define STORY(CALL)                                                                                \
    CALL(host,                                                                                     \
         kvpbus_journal_peer(rig.host.journal, ids[5].bundle, "x", &(struct kvpbus_peer){0}))      \
    CALL(host, list_peers())                                                                       \
    CALL(host, enroll())                                                                           \
    CALL(guest, take_token())                                                                      \
    CALL(host, epochs())                                                                           \
    CALL(host, kvpbus_journal_sync_make(rig.host.journal, rig.host.peer, &host_sync))              \
    CALL(guest, kvpbus_journal_sync_make(rig.guest.journal, rig.guest.peer, &guest_sync))          \
    CALL(host, apply(&rig.host, &guest_sync, false))                                               \
    CALL(guest, apply(&rig.guest, &host_sync, false))                                              \
    CALL(host, queue(0, KVPBUS_CLASS_NORMAL, 0, true))                                             \
    CALL(host, queue(1, KVPBUS_CLASS_NORMAL, 0, false))                                            \
    CALL(host, queue(2, KVPBUS_CLASS_NORMAL, 0, false))                                            \
    CALL(host, seal(KVPBUS_CLASS_NORMAL))                                                          \
    CALL(host, open_bundles())                                                                     \
    CALL(host, other_calls())                                                                      \
    CALL(host, read_all())                                                                         \
    CALL(guest, give(700, 1400))                                                                   \
    CALL(guest, give(0, 700))                                                                      \
    CALL(host, kvpbus_journal_withdraw(rig.host.journal, rig.host.peer, &ids[1]))                  \
    CALL(host, kvpbus_journal_gaps(rig.host.journal, rig.host.peer, gaps, 4, &gap_count))          \
    CALL(guest, kvpbus_journal_gap(rig.guest.journal, rig.guest.peer, &gaps[0], rig.now, answers)) \
    CALL(guest, kvpbus_journal_sync_make(rig.guest.journal, rig.guest.peer, &guest_sync))          \
    CALL(host, apply(&rig.host, &guest_sync, false))                                               \
    CALL(guest, give(1400, sealed.length))                                                         \
    CALL(guest, kvpbus_journal_sync_make(rig.guest.journal, rig.guest.peer, &guest_sync))          \
    CALL(host, apply(&rig.host, &guest_sync, false))                                               \
    CALL(host, kvpbus_journal_gap_answered(rig.host.journal, rig.host.peer, answers))              \
    CALL(guest, lease_one(&rig.guest))                                                             \
    CALL(guest, kvpbus_journal_nack(rig.guest.journal, lease, 10, "no", rig.now))                  \
    CALL(guest, kvpbus_journal_leases_end(rig.guest.journal, rig.now + 10, &(int64_t){0}))         \
    CALL(guest, lease_one(&rig.guest))                                                             \
    CALL(guest, kvpbus_journal_ack(rig.guest.journal, lease))                                      \
    CALL(guest, lease_one(&rig.guest))                                                             \
    CALL(guest, kvpbus_journal_leases_end(rig.guest.journal, rig.now + 2000, &(int64_t){0}))       \
    CALL(guest, lease_one(&rig.guest))                                                             \
    CALL(guest, kvpbus_journal_nack(rig.guest.journal, lease, 0, "no", rig.now))                   \
    CALL(guest, look_at_dead())                                                                    \
    CALL(guest, walk_dead(true))                                                                   \
    CALL(guest, lease_one(&rig.guest))                                                             \
    CALL(guest, kvpbus_journal_extend(rig.guest.journal, lease, 50, rig.now))                      \
    CALL(guest, kvpbus_journal_reject(rig.guest.journal, lease, "no", rig.now))                    \
    CALL(guest, walk_dead(false))                                                                  \
    CALL(guest, seal_receipts())                                                                   \
    CALL(guest, read_receipts())                                                                   \
    CALL(host, hear_receipts())                                                                    \
    CALL(guest,                                                                                    \
         kvpbus_journal_delivered(rig.guest.journal, rig.guest.peer, told.class_, told.number))    \
    CALL(host, show(&rig.host, 2))                                                                 \
    CALL(guest, show(&rig.guest, 2))                                                               \
    CALL(host, send_call(&rig.host, KVPBUS_KIND_REQUEST))                                          \
    CALL(host, seal_call(&rig.host))                                                               \
    CALL(guest, give_call(&rig.guest))                                                             \
    CALL(host, kvpbus_journal_delivered(rig.host.journal, rig.host.peer, sealed.class_, 1))        \
    CALL(host, ask_what_comes())                                                                   \
    CALL(guest, send_call(&rig.guest, KVPBUS_KIND_REPLY))                                          \
    CALL(guest, send_call(&rig.guest, KVPBUS_KIND_LAST_REPLY))                                     \
    CALL(guest, seal_call(&rig.guest))                                                             \
    CALL(host, give_call(&rig.host))                                                               \
    CALL(guest, kvpbus_journal_delivered(rig.guest.journal, rig.guest.peer, sealed.class_,         \
                                         sealed.number))                                           \
    CALL(host, lease_reply())                                                                      \
    CALL(host, kvpbus_journal_ack(rig.host.journal, lease))                                        \
    CALL(host, lease_reply())                                                                      \
    CALL(host, kvpbus_journal_ack(rig.host.journal, lease))                                        \
    CALL(host, ask_what_comes())                                                                   \
    CALL(guest, kvpbus_journal_leases_end(rig.guest.journal, rig.now + 5000, &(int64_t){0}))       \
    /* The host has lost what it was told. */                                                      \
    CALL(guest, apply(&rig.guest, &(struct kvpbus_sync){.timeline = {2}}, false))                  \
    CALL(host, queue(3, KVPBUS_CLASS_NORMAL, 0, false))                                            \
    CALL(host, seal(KVPBUS_CLASS_NORMAL))                                                          \
    CALL(host, kvpbus_journal_withdraw(rig.host.journal, rig.host.peer, &ids[3]))                  \
    CALL(host, kvpbus_journal_gaps(rig.host.journal, rig.host.peer, gaps, 4, &gap_count))          \
    CALL(guest, kvpbus_journal_gap(rig.guest.journal, rig.guest.peer, &gaps[0], rig.now, answers)) \
    CALL(host, kvpbus_journal_gap_answered(rig.host.journal, rig.host.peer, answers))              \
    CALL(host, queue(4, KVPBUS_CLASS_BULK, 500, false))                                            \
    CALL(host, seal(KVPBUS_CLASS_BULK))                                                            \
    CALL(host, queue(5, KVPBUS_CLASS_BULK, 500, false))                                            \
    CALL(host, kvpbus_journal_expire(rig.host.journal, rig.host.peer, rig.now + 1, &(int64_t){0})) \
    /* The guest has lost all that it had: what was delivered is unknown, or waits again. */       \
    CALL(host, apply(&rig.host, &(struct kvpbus_sync){.timeline = {1}}, false))                    \
    CALL(host,                                                                                     \
         kvpbus_journal_expire(rig.host.journal, rig.host.peer, rig.now + 500, &(int64_t){0}))     \
    CALL(host, seal(KVPBUS_CLASS_NORMAL))                                                          \
    CALL(host, kvpbus_journal_sync_make(rig.host.journal, rig.host.peer, &host_sync))              \
    CALL(guest, apply(&rig.guest, &host_sync, false))                                              \
    CALL(host, read_all())                                                                         \
    CALL(guest, give(0, sealed.length))                                                            \
    CALL(host, kvpbus_journal_signer(rig.host.journal, rig.host.peer, rig.guest.identity,          \
                                     rig.guest.secret))                                            \
    CALL(host, kvpbus_journal_follow(rig.host.journal, rig.host.peer, rig.guest.identity,          \
                                     rig.host.identity))                                           \
    CALL(host,                                                                                     \
         kvpbus_journal_rebind(rig.host.journal, rig.host.peer, ids[5].bundle, &(int64_t){0}))     \
    CALL(host, kvpbus_journal_signer(rig.host.journal, rig.host.peer, rig.guest.identity,          \
                                     rig.guest.secret))                                            \
    CALL(guest,                                                                                    \
         kvpbus_journal_rebound(rig.guest.journal, rig.guest.peer, first_vm(), ids[5].bundle))     \
    CALL(host, kvpbus_journal_met(rig.host.journal, rig.host.peer, rig.host.identity))             \
    CALL(host, kvpbus_journal_delivered(rig.host.journal, rig.host.peer, KVPBUS_CLASS_NORMAL, 1))  \
    CALL(host, kvpbus_journal_unpin(rig.host.journal, rig.host.peer))                              \
    CALL(host,                                                                                     \
         kvpbus_journal_pin(rig.host.journal, rig.host.peer, rig.host.identity, ids[0].bundle))    \
    CALL(host, sign_audit(&rig.host, 0))                                                           \
    CALL(host, enter())                                                                            \
    /* With another key, and all that is older is given up. */                                     \
    CALL(host, sign_audit(&rig.guest, 1000))                                                       \
    CALL(host, read_audit())                                                                       \
    CALL(host,                                                                                     \
         kvpbus_journal_prune(rig.host.journal, rig.now + (INT64_C(1) << 40), 100, &(bool){0}))    \
    CALL(guest,                                                                                    \
         kvpbus_journal_prune(rig.guest.journal, rig.now + (INT64_C(1) << 40), 100, &(bool){0}))

#define LISTED(side, call) {&rig.side, #call},
static const struct {
    struct journal_side *side;
    const char *text;
} story[] = {STORY(LISTED)};
enum { CALLS = sizeof story / sizeof story[0] };

#define MADE(side, call) \
    if (number-- == 0)   \
        return (call);
static enum kvpbus_error make_call(size_t number)
{
    STORY(MADE)
    return KVPBUS_INVALID_ARGUMENT;
}

// Makes the call; when the fault strikes, it is made again.
static void call(size_t number)
{
    struct kvpbus_journal *journal = story[number].side->journal;
    const char *text = story[number].text;
    cr_assert_eq(kvpbus_journal_begin(journal), KVPBUS_OK);
    struck = false;
    countdown = fails_at;
    armed = countdown >= 0;
    enum kvpbus_error error = make_call(number);
    armed = false;
    strikes_told += struck ? 1 : 0;
    if (error != KVPBUS_OK) {
        cr_assert(struck, "%s: %s", text, kvpbus_journal_failure(journal)->detail);
        cr_assert_eq(error, statements ? KVPBUS_IO : KVPBUS_NOMEM, "%s: %s", text,
                     kvpbus_error_name(error));
        cr_assert_eq(kvpbus_journal_failure(journal)->code, error, "%s", text);
        kvpbus_journal_rollback(journal);
        cr_assert_eq(kvpbus_journal_begin(journal), KVPBUS_OK);
        cr_assert_eq(make_call(number), KVPBUS_OK, "%s again: %s", text,
                     kvpbus_journal_failure(journal)->detail);
    } else { // compression may do without memory
        cr_assert(!struck || !statements, "%s hides a fault", text);
    }
    cr_assert_eq(kvpbus_journal_commit(journal, NULL), KVPBUS_OK);
}

static void check_end(void)
{
    struct kvpbus_message_status status;
    // All had come to an end, and was forgotten.
    for (int i = 0; i < 6; i++)
        FAILS(&rig.host, KVPBUS_NOT_FOUND,
              kvpbus_journal_status(rig.host.journal, rig.host.peer, &ids[i], &status));
    struct kvpbus_journal_counts host = rig_counts(&rig.host), guest = rig_counts(&rig.guest);
    cr_assert(host.queued == 0 && host.queued_bytes == 0 && host.delivered == 0 &&
              host.unknown == 0 && host.expired == 0);
    cr_assert(guest.received == 3 && guest.inbox == 0 && guest.inbox_bytes == 0 &&
              guest.dead_letters == 0 && !guest.receipts && host.dead == 0);
    uint64_t at;
    cr_assert_eq(audit_check(rig.host.journal, rig.guest.identity, &at), KVPBUS_AUDIT_FITS);
    cr_assert_eq(audit_check(rig.guest.journal, rig.guest.identity, &at), KVPBUS_AUDIT_FITS);
}

// How many of the story's calls the fault struck: each at the same place, counted from its
// beginning.
static size_t tell(long at)
{
    struct kvpbus_journal_options options = {.tries_max = 2, .audit_ms = 500};
    rig_open(&rig, &options);
    memset(ids, 0, sizeof ids);
    ids[5].bundle[0] = 99;
    fails_at = at;
    strikes_told = 0;
    for (size_t i = 0; i < CALLS; i++)
        call(i);
    check_end();
    rig_close(&rig);
    return strikes_told;
}

Test(journal_faults, the_story_without_faults)
{
    cr_assert_eq(tell(-1), 0);
}

// Every place of every call, though not in a story of its own.
static size_t tell_all(void)
{
    size_t all = 0, here = 1;
    for (long at = 0; here > 0; at++) {
        here = tell(at);
        all += here;
    }
    return all;
}

Test(journal_faults, every_statement_fails_once)
{
    statements = true;
    cr_assert_gt(tell_all(), 1000);
}

Test(journal_faults, every_allocation_fails_once)
{
    cr_assert_gt(tell_all(), 200);
}

Test(journal_faults, opening_fails_at_every_statement)
{
    struct kvpbus_failure failure;
    rig_open(&rig, NULL);
    kvpbus_journal_close(rig.host.journal);
    rig.host.journal = NULL;
    statements = true;
    long at = 0;
    enum kvpbus_error error;
    do {
        countdown = at++;
        armed = true;
        struck = false;
        error = kvpbus_journal_open(rig.host.path, &rig.host.options, &rig.host.journal, &failure);
        armed = false;
        cr_assert_eq(error, struck ? KVPBUS_IO : KVPBUS_OK);
    } while (error != KVPBUS_OK);
    cr_assert_gt(at, 5);
    rig_close(&rig);
}
