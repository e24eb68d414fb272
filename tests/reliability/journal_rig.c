// SPDX-License-Identifier: Apache-2.0
#include "journal_rig.h"

#include <criterion/criterion.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static const uint8_t vm[KVPBUS_VM_ID_BYTES] = {1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15};

// --- life ---

void side_reopen(struct journal_side *side)
{
    struct kvpbus_failure failure;
    kvpbus_journal_close(side->journal);
    enum kvpbus_error error =
        kvpbus_journal_open(side->path, &side->options, &side->journal, &failure);
    cr_assert_eq(error, KVPBUS_OK, "%s", failure.detail);
}

static void side_open(struct journal_rig *rig, struct journal_side *side, enum kvpbus_role role,
                      const char *name, const struct kvpbus_journal_options *options)
{
    snprintf(side->path, sizeof side->path, "%s/%s.db", rig->directory, name);
    snprintf(side->saved, sizeof side->saved, "%s/%s.saved", rig->directory, name);
    if (options != NULL)
        side->options = *options;
    side->options.role = side->role = role;
    crypto_sign_keypair(side->identity, side->secret);
    side_reopen(side);
    struct kvpbus_peer peer;
    IN(side, kvpbus_journal_peer(side->journal, vm, "other", &peer));
    side->peer = peer.id;
}

void rig_open(struct journal_rig *rig, const struct kvpbus_journal_options *options)
{
    cr_assert_geq(sodium_init(), 0);
    memset(rig, 0, sizeof *rig);
    rig->now = 1700000000000;
    // In memory where that can be: what these tests are about is not the disk.
    const char *folder = access("/dev/shm", W_OK) == 0 ? "/dev/shm" : "/tmp";
    snprintf(rig->directory, sizeof rig->directory, "%s/kvpbus-journal-XXXXXX", folder);
    cr_assert_not_null(mkdtemp(rig->directory));
    side_open(rig, &rig->host, KVPBUS_ROLE_HOST, "host", options);
    side_open(rig, &rig->guest, KVPBUS_ROLE_GUEST, "guest", options);
    IN(&rig->host, kvpbus_journal_pin(rig->host.journal, rig->host.peer, rig->guest.identity, vm));
    IN(&rig->guest,
       kvpbus_journal_pin(rig->guest.journal, rig->guest.peer, rig->host.identity, vm));
}

static void side_remove(struct journal_side *side)
{
    char wal[112];
    kvpbus_journal_close(side->journal);
    snprintf(wal, sizeof wal, "%s-wal", side->path);
    unlink(wal);
    unlink(side->path);
    unlink(side->saved);
}

void rig_close(struct journal_rig *rig)
{
    side_remove(&rig->host);
    side_remove(&rig->guest);
    rmdir(rig->directory);
}

static void copy_file(const char *from, const char *to)
{
    char block[65536];
    FILE *in = fopen(from, "rb"), *out = fopen(to, "wb");
    cr_assert(in != NULL && out != NULL);
    for (size_t length; (length = fread(block, 1, sizeof block, in)) > 0;)
        cr_assert_eq(fwrite(block, 1, length, out), length);
    fclose(in);
    cr_assert_eq(fclose(out), 0);
}

void side_save(struct journal_side *side)
{
    kvpbus_journal_close(side->journal); // the last connection leaves no WAL behind
    side->journal = NULL;
    copy_file(side->path, side->saved);
    side_reopen(side);
}

void side_restore(struct journal_side *side)
{
    kvpbus_journal_close(side->journal);
    side->journal = NULL;
    copy_file(side->saved, side->path);
    side_reopen(side);
}

// --- sending ---

void rig_noise(char *text, size_t length)
{
    randombytes_buf(text, length);
    for (size_t i = 0; i < length - 1; i++)
        text[i] = (char)('!' + (uint8_t)text[i] % 94);
    text[length - 1] = '\0';
}

struct kvpbus_message rig_message(const char *topic, const char *body)
{
    return (struct kvpbus_message){
        .topic = topic,
        .stream = "s",
        .class_ = KVPBUS_CLASS_NORMAL,
        .body = (const uint8_t *)body,
        .body_length = strlen(body),
    };
}

struct kvpbus_message_id rig_queue_message(struct journal_rig *rig, struct journal_side *side,
                                           struct kvpbus_message *message, bool resend)
{
    IN(side, kvpbus_journal_queue(side->journal, side->peer, message, resend, rig->now));
    return message->id;
}

struct kvpbus_message_id rig_queue(struct journal_rig *rig, struct journal_side *side,
                                   const char *body)
{
    struct kvpbus_message message = rig_message("t", body);
    return rig_queue_message(rig, side, &message, false);
}

struct kvpbus_sealed rig_seal(struct journal_rig *rig, struct journal_side *side, size_t target)
{
    struct kvpbus_sealed sealed;
    IN(side, kvpbus_journal_seal(side->journal, side->peer, KVPBUS_CLASS_NORMAL, target,
                                 side->identity, side->secret, rig->now, &sealed));
    return sealed;
}

uint8_t *rig_bytes(struct journal_side *side, const struct kvpbus_sealed *sealed)
{
    uint8_t *bytes = malloc(sealed->length);
    cr_assert_not_null(bytes);
    IN(side, kvpbus_journal_read_sealed(side->journal, side->peer, sealed->class_, sealed->number,
                                        0, bytes, sealed->length));
    return bytes;
}

// --- positions ---

static enum kvpbus_sync_verdict apply(struct journal_rig *rig, struct journal_side *side,
                                      const struct kvpbus_sync *sync)
{
    enum kvpbus_sync_verdict verdict;
    IN(side,
       kvpbus_journal_sync_apply(side->journal, side->peer, sync, false, rig->now, "", &verdict));
    return verdict;
}

struct rig_verdicts rig_sync(struct journal_rig *rig)
{
    struct rig_verdicts first = {.rounds = 0};
    for (;;) {
        struct kvpbus_sync host, guest;
        IN(&rig->host, kvpbus_journal_sync_make(rig->host.journal, rig->host.peer, &host));
        IN(&rig->guest, kvpbus_journal_sync_make(rig->guest.journal, rig->guest.peer, &guest));
        enum kvpbus_sync_verdict by_host = apply(rig, &rig->host, &guest);
        enum kvpbus_sync_verdict by_guest = apply(rig, &rig->guest, &host);
        if (first.rounds++ == 0) {
            first.host = by_host;
            first.guest = by_guest;
        }
        if (by_host == KVPBUS_SYNC_CONSISTENT && by_guest == KVPBUS_SYNC_CONSISTENT)
            return first;
        cr_assert_lt(first.rounds, 4, "the sides do not come to terms");
    }
}

// --- carrying ---

struct kvpbus_fragment_result rig_carry(struct journal_rig *rig, struct journal_side *to,
                                        const struct kvpbus_sealed *sealed, const uint8_t *bytes,
                                        uint32_t from, uint32_t end, size_t piece)
{
    struct kvpbus_fragment_result result = {.complete = false};
    for (uint32_t at = from; at < end;) {
        size_t length = end - at < piece ? end - at : piece;
        struct kvpbus_fragment fragment = {
            .class_ = sealed->class_,
            .number = sealed->number,
            .first = at == 0,
            .total = at == 0 ? sealed->length : 0,
            .offset = at,
            .data = bytes + at,
            .length = length,
        };
        IN(to, kvpbus_journal_fragment(to->journal, to->peer, &fragment, rig->now, &result));
        at += (uint32_t)length;
    }
    return result;
}

struct kvpbus_fragment_result rig_transfer(struct journal_rig *rig, struct journal_side *from,
                                           struct journal_side *to,
                                           const struct kvpbus_sealed *sealed)
{
    uint8_t *bytes = rig_bytes(from, sealed);
    struct kvpbus_fragment_result result =
        rig_carry(rig, to, sealed, bytes, 0, sealed->length, 700);
    free(bytes);
    IN(from, kvpbus_journal_delivered(from->journal, from->peer, sealed->class_, sealed->number));
    return result;
}

void rig_gaps(struct journal_rig *rig, struct journal_side *from, struct journal_side *to)
{
    struct kvpbus_gap gaps[8];
    size_t count;
    IN(from, kvpbus_journal_gaps(from->journal, from->peer, gaps, 8, &count));
    for (size_t i = 0; i < count; i++) {
        struct kvpbus_gap_answer answer;
        IN(to, kvpbus_journal_gap(to->journal, to->peer, &gaps[i], rig->now, &answer));
        IN(from, kvpbus_journal_gap_answered(from->journal, from->peer, &answer));
    }
}

static bool seal_any(struct journal_rig *rig, struct journal_side *from, enum kvpbus_class class_,
                     struct kvpbus_sealed *sealed)
{
    bool waiting;
    IN(from, kvpbus_journal_waiting(from->journal, from->peer, class_, &waiting));
    if (waiting)
        IN(from, kvpbus_journal_seal(from->journal, from->peer, class_, 256 * 1024, from->identity,
                                     from->secret, rig->now, sealed));
    return waiting;
}

void rig_flow(struct journal_rig *rig, struct journal_side *from, struct journal_side *to)
{
    rig_gaps(rig, from, to);
    for (int i = 0; i < KVPBUS_CLASS_COUNT; i++) {
        enum kvpbus_class class_ = (enum kvpbus_class)i;
        struct kvpbus_sealed open[KVPBUS_BUNDLE_WINDOW], sealed;
        size_t count;
        IN(from, kvpbus_journal_open_bundles(from->journal, from->peer, class_, open, &count));
        for (size_t k = 0; k < count; k++)
            if (!open[k].delivered && !open[k].void_)
                rig_transfer(rig, from, to, &open[k]);
        while (seal_any(rig, from, class_, &sealed))
            rig_transfer(rig, from, to, &sealed);
    }
}

// --- the other end ---

const char *rig_consume(struct journal_rig *rig, struct journal_side *side)
{
    static char text[32768];
    size_t length = 0;
    text[0] = '\0';
    for (;;) {
        struct kvpbus_delivery *delivery;
        cr_assert_eq(kvpbus_journal_begin(side->journal), KVPBUS_OK);
        enum kvpbus_error error = kvpbus_journal_lease(side->journal, &(struct kvpbus_filter){0},
                                                       1000, rig->now, &delivery);
        if (error == KVPBUS_OK) {
            length += (size_t)snprintf(text + length, sizeof text - length, "%s%.*s",
                                       length > 0 ? " " : "", (int)delivery->message.body_length,
                                       (const char *)delivery->message.body);
            cr_assert_lt(length, sizeof text);
            cr_assert_eq(kvpbus_journal_ack(side->journal, delivery->lease), KVPBUS_OK);
            kvpbus_delivery_free(delivery);
        }
        cr_assert_eq(kvpbus_journal_commit(side->journal, NULL), KVPBUS_OK);
        if (error != KVPBUS_OK) {
            cr_assert_eq(error, KVPBUS_NOT_FOUND);
            return text;
        }
    }
}

enum kvpbus_outcome rig_outcome(struct journal_side *side, const struct kvpbus_message_id *id)
{
    struct kvpbus_message_status status;
    IN(side, kvpbus_journal_status(side->journal, side->peer, id, &status));
    return status.outcome;
}

struct kvpbus_journal_counts rig_counts(struct journal_side *side)
{
    struct kvpbus_journal_counts counts;
    IN(side, kvpbus_journal_counts(side->journal, side->peer, &counts));
    return counts;
}
