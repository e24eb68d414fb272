// SPDX-License-Identifier: Apache-2.0
//
// Two real journals, a host's and a guest's, that know each other, in a directory of their own; and
// what the link does between them, by hand.
#ifndef KVPBUS_TESTS_JOURNAL_RIG_H
#define KVPBUS_TESTS_JOURNAL_RIG_H

#include "journal.h"

struct journal_side {
    char path[96], saved[96];
    enum kvpbus_role role;
    struct kvpbus_journal_options options;
    uint8_t identity[KVPBUS_IDENTITY_BYTES], secret[KVPBUS_SECRET_BYTES];
    struct kvpbus_journal *journal;
    int64_t peer;
};

struct journal_rig {
    char directory[64];
    int64_t now;
    struct journal_side host, guest;
};

// `options` NULL: the defaults; the roles are set here. Both sides are paired.
void rig_open(struct journal_rig *rig, const struct kvpbus_journal_options *options);
void rig_close(struct journal_rig *rig);

// Closes and opens again, as after a restart.
void side_reopen(struct journal_side *side);
// Keeps a copy of the closed file, and puts it back: a revert of the disk.
void side_save(struct journal_side *side);
void side_restore(struct journal_side *side);

// A call in a transaction of its own, which must succeed.
#define IN(side, call)                                                           \
    do {                                                                         \
        cr_assert_eq(kvpbus_journal_begin((side)->journal), KVPBUS_OK);          \
        enum kvpbus_error in_error = (call);                                     \
        cr_assert_eq(in_error, KVPBUS_OK, "%s: %s", kvpbus_error_name(in_error), \
                     kvpbus_journal_failure((side)->journal)->detail);           \
        struct kvpbus_failure in_failure;                                        \
        in_error = kvpbus_journal_commit((side)->journal, &in_failure);          \
        cr_assert_eq(in_error, KVPBUS_OK, "%s", in_failure.detail);              \
    } while (0)
// A call that must fail with `code`; its transaction is rolled back.
#define FAILS(side, code, call)                                                            \
    do {                                                                                   \
        cr_assert_eq(kvpbus_journal_begin((side)->journal), KVPBUS_OK);                    \
        enum kvpbus_error in_error = (call);                                               \
        cr_assert_eq(in_error, code, "%s, not %s: %s", kvpbus_error_name(in_error), #code, \
                     kvpbus_journal_failure((side)->journal)->detail);                     \
        cr_assert_neq(kvpbus_journal_failure((side)->journal)->detail[0], '\0');           \
        kvpbus_journal_rollback((side)->journal);                                          \
    } while (0)

// Text of `length` - 1 characters that does not compress, and its NUL.
void rig_noise(char *text, size_t length);
struct kvpbus_message rig_message(const char *topic, const char *body);
// Queues `body` under topic "t" in stream "s" of class normal.
struct kvpbus_message_id rig_queue(struct journal_rig *rig, struct journal_side *side,
                                   const char *body);
struct kvpbus_message_id rig_queue_message(struct journal_rig *rig, struct journal_side *side,
                                           struct kvpbus_message *message, bool resend);
// Seals what waits in class normal, which must be something; target: bytes.
struct kvpbus_sealed rig_seal(struct journal_rig *rig, struct journal_side *side, size_t target);
// The sealed bytes; freed with free().
uint8_t *rig_bytes(struct journal_side *side, const struct kvpbus_sealed *sealed);

// Both sides exchange SYNC; what each found. Goes on until both find it consistent, then returns
// how many rounds that took and the verdicts of the first.
struct rig_verdicts {
    enum kvpbus_sync_verdict host, guest;
    int rounds;
};
struct rig_verdicts rig_sync(struct journal_rig *rig);

// Gives bytes [from, to) of a bundle to the other side, in pieces of `piece` bytes; the last
// result.
struct kvpbus_fragment_result rig_carry(struct journal_rig *rig, struct journal_side *to,
                                        const struct kvpbus_sealed *sealed, const uint8_t *bytes,
                                        uint32_t from, uint32_t end, size_t piece);
// The whole bundle, and its acknowledgement.
struct kvpbus_fragment_result rig_transfer(struct journal_rig *rig, struct journal_side *from,
                                           struct journal_side *to,
                                           const struct kvpbus_sealed *sealed);
// Seals and transfers all that waits in all classes, and asks about gaps.
void rig_flow(struct journal_rig *rig, struct journal_side *from, struct journal_side *to);
void rig_gaps(struct journal_rig *rig, struct journal_side *from, struct journal_side *to);

// Takes all messages that may go out now, acknowledging each: their bodies, joined by spaces.
const char *rig_consume(struct journal_rig *rig, struct journal_side *side);
enum kvpbus_outcome rig_outcome(struct journal_side *side, const struct kvpbus_message_id *id);
struct kvpbus_journal_counts rig_counts(struct journal_side *side);

#endif
