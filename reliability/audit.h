// SPDX-License-Identifier: Apache-2.0
//
// The audit of one side: a chain of entries in its journal. Each entry has a number, from 1 on
// without a hole, and the hash
//
//   BLAKE2b-32(label || hash of the entry before, zeros for the first (32) || number (8) ||
//              time, ms since 1970 (8) || kind (2) || VM id, zeros for no peer (16) ||
//              length of detail (2) || detail)
//
// with label "kvpbus 1 audit entry" and its NUL, integers big-endian. A *mark* is a number and its
// hash, signed with the identity of the side: Ed25519 over "kvpbus 1 audit mark" with its NUL,
// number (8), time of signing (8) and hash (32). docs/security.md says what that shows, and what
// it cannot.
//
// What is here needs no journal; audit_journal.h is the chain in it.
#ifndef KVPBUS_AUDIT_H
#define KVPBUS_AUDIT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
    KVPBUS_AUDIT_HASH = 32,
    KVPBUS_AUDIT_SIGNATURE = 64,
    KVPBUS_AUDIT_KEY = 32,
    KVPBUS_AUDIT_VM = 16,
    KVPBUS_AUDIT_DETAIL_MAX = 240,
};

// X(name, number, word, text); numbers and words are stable, they stand in chains and exports.
#define KVPBUS_AUDIT_MAP(X)                                                                       \
    X(STARTED, 1, "started", "the service was started")                                           \
    X(STOPPED, 2, "stopped", "the service was stopped")                                           \
    X(CUT, 3, "cut", "older entries were given up; detail: up to this number")                    \
    X(OWN_KEY, 4, "own-key", "this side signs with another key; detail: the former one")          \
    X(ASKED, 5, "asked", "a local user asked for something; detail: what, and the uid")           \
    X(SHOWN, 10, "shown", "an identity asks to be paired; detail: its fingerprint")               \
    X(PAIRED, 11, "paired", "an identity was paired; detail: its fingerprint")                    \
    X(UNPAIRED, 12, "unpaired", "the peer is trusted no longer")                                  \
    X(KEY_CHANGED, 13, "key-changed", "another key than before; detail: the former one")          \
    X(NOT_PAIRED, 14, "not-paired", "a pairing was refused; detail: why")                         \
    X(FOLLOWED, 15, "followed", "a new key that the former one signed; detail: its fingerprint")  \
    X(TOKEN_MADE, 16, "token-made", "an enrolment token was made for the peer; detail: its id")   \
    X(TOKEN_USED, 17, "token-used", "the peer proved an enrolment token; detail: its id")         \
    X(TOKEN_TAKEN, 18, "token-taken", "an enrolment token of the peer was taken; detail: its id") \
    X(REBOUND, 19, "rebound", "the peer goes on under another id; detail: the former, the new")   \
    X(SESSION, 20, "session", "a session with the peer began")                                    \
    X(ALARM, 21, "alarm", "the link found something wrong; detail: what")                         \
    X(REVERTED, 22, "reverted", "one side was reverted; detail: which")                           \
    X(FORK, 23, "fork", "one position came with two contents")                                    \
    X(REFUSED, 24, "refused", "a bundle of the peer was refused; detail: why, which")             \
    X(SECOND_WRITER, 25, "second-writer", "another program uses this identity")                   \
    X(DELIVERED, 30, "delivered", "messages are in the peer's journal; detail: ids")              \
    X(EXPIRED, 31, "expired", "messages expired or were withdrawn; detail: ids")                  \
    X(DEAD, 32, "dead", "messages were refused by the peer; detail: ids")                         \
    X(UNKNOWN, 33, "unknown", "a revert hid the outcome of messages; detail: ids")                \
    X(RESENT, 34, "resent", "delivered messages wait again; detail: ids")                         \
    X(RECEIVED, 35, "received", "messages of the peer are in the journal; detail: ids")           \
    X(CONSUMED, 36, "consumed", "a program took a message; detail: id")                           \
    X(DEAD_LETTER, 37, "dead-letter", "nobody could take a message; detail: id, tries")           \
    X(WITHDRAWN, 38, "withdrawn", "a message is to be withdrawn; detail: id")

enum kvpbus_audit_kind {
#define X(name, number, word, text) KVPBUS_AUDIT_##name = number,
    KVPBUS_AUDIT_MAP(X)
#undef X
};

struct kvpbus_audit_entry {
    uint64_t number;
    int64_t time_ms;
    uint16_t kind; // enum kvpbus_audit_kind; a newer program may have written others
    uint8_t vm[KVPBUS_AUDIT_VM];
    char detail[KVPBUS_AUDIT_DETAIL_MAX + 1];
    uint8_t hash[KVPBUS_AUDIT_HASH];
};

struct kvpbus_audit_mark {
    uint64_t number; // 0: nothing yet
    int64_t time_ms;
    uint8_t hash[KVPBUS_AUDIT_HASH];
    uint8_t identity[KVPBUS_AUDIT_KEY]; // that signed
    uint8_t signature[KVPBUS_AUDIT_SIGNATURE];
};

// "paired"; "kind 77" for one that this program does not know, which needs `spare`.
const char *kvpbus_audit_word(uint16_t kind, char spare[16]);
// False: no such word.
bool kvpbus_audit_word_parse(const char *word, uint16_t *kind);
void kvpbus_audit_each(void (*visit)(const char *word, const char *text));

// What the entry's hash has to be after `before`.
void kvpbus_audit_hash(const uint8_t before[KVPBUS_AUDIT_HASH],
                       const struct kvpbus_audit_entry *entry, uint8_t hash[KVPBUS_AUDIT_HASH]);
// Signs number, time and hash, with identity and secret of the side.
void kvpbus_audit_sign(struct kvpbus_audit_mark *mark, const uint8_t identity[KVPBUS_AUDIT_KEY],
                       const uint8_t secret[64]);
bool kvpbus_audit_signed(const struct kvpbus_audit_mark *mark);

// --- going through a chain ---

enum kvpbus_audit_fault {
    KVPBUS_AUDIT_FITS,
    KVPBUS_AUDIT_MISSING,       // the number is not the next one: entries were taken out
    KVPBUS_AUDIT_CHANGED,       // the hash is not that of the content after the entry before
    KVPBUS_AUDIT_BAD_SIGNATURE, // a mark's
    KVPBUS_AUDIT_FOREIGN_KEY,   // a mark is signed with a key that is not this side's then
    KVPBUS_AUDIT_OTHER_HASH,    // a mark, or a head that somebody kept, names another hash
    KVPBUS_AUDIT_SHORT,         // it ends before a number that was signed, or begins without sign
};

// Entries ascending; each mark behind the entry of its number.
struct kvpbus_audit_walk {
    uint64_t number; // of the last entry
    uint8_t hash[KVPBUS_AUDIT_HASH];
    uint64_t begins; // behind this number
    bool begun;
    uint64_t cut; // what the last entry of kind cut says; 0 none
    uint8_t identity[KVPBUS_AUDIT_KEY];
    uint64_t signed_to; // by the last mark; 0: there was none
    uint8_t signer[KVPBUS_AUDIT_KEY];
    bool handed_over; // an entry behind the last mark names its signer as the former key
};

// `identity` is the side's now. Of a former one an entry behind its last mark tells, and before
// another one signs: so what a trusted key has signed names the one before it, and so on back.
void kvpbus_audit_walk_begin(struct kvpbus_audit_walk *walk,
                             const uint8_t identity[KVPBUS_AUDIT_KEY]);
// Behind which entry the chain begins: number 0 and zeros for all of it.
void kvpbus_audit_walk_base(struct kvpbus_audit_walk *walk, uint64_t number,
                            const uint8_t hash[KVPBUS_AUDIT_HASH]);
enum kvpbus_audit_fault kvpbus_audit_walk_entry(struct kvpbus_audit_walk *walk,
                                                const struct kvpbus_audit_entry *entry);
// A mark of the entry that was given last, or of the base. A foreign key is that of `signed_to`.
enum kvpbus_audit_fault kvpbus_audit_walk_mark(struct kvpbus_audit_walk *walk,
                                               const struct kvpbus_audit_mark *mark);
// After the last entry: whether the beginning is one that the chain itself tells of, and the last
// key the side's now, or named by an entry.
enum kvpbus_audit_fault kvpbus_audit_walk_end(const struct kvpbus_audit_walk *walk);

#endif
