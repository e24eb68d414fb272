// SPDX-License-Identifier: Apache-2.0
//
// What the parts of the journal share:
//   journal_open.c     life, transactions
//   journal_schema.c   tables
//   journal_sql.c      statements, SQLite's errors, counts
//   journal_content.c  a message as stored bytes
//   journal_peers.c    peers and epochs
//   journal_enroll.c   trust given beforehand, tokens
//   journal_queue.c    the outbox before sealing
//   journal_seal.c     bundles out
//   journal_outcome.c  what became of messages, gaps of mine
//   journal_arrival.c  where the peer stands
//   journal_receive.c  fragments
//   journal_quota.c    room: what is refused for the want of it
//   journal_held.c     bytes of unfinished bundles
//   journal_gap.c      gaps of the peer
//   journal_accept.c   a whole bundle
//   journal_inbox.c    its messages and their order
//   journal_lease.c    what a consumer is given
//   journal_consume.c  what ends a lease
//   journal_request.c  requests of mine and their replies
//   journal_dead.c     dead letters
//   journal_sync.c     the peer's positions and the verdict on them
//   journal_view.c     positions of this side
//   journal_void.c     whether both know the same to be void
//   journal_renew.c    a new timeline
//   journal_identity.c a peer goes on under another identity
//   journal_receipt.c  what consumers have done with messages, told and heard
//   journal_history.c  what is known of a message when it is gone
//   journal_status.c   asking
//   journal_prune.c    forgetting
//   journal_audit.c    the audit
//   journal_backup.c   a copy while it is in use
//   journal_move.c     one VM's part goes to another host
//   journal_rows.c     its rows, out and in
//
// Everything here sets journal->failure when it returns an error other than KVPBUS_NOT_FOUND of a
// query that found no row.
#ifndef KVPBUS_JOURNAL_INTERNAL_H
#define KVPBUS_JOURNAL_INTERNAL_H

#include <assert.h>
#include <sqlite3.h>
#include <stdlib.h>
#include <string.h>

#include "audit.h"
#include "journal.h"

enum {
    SCHEMA_VERSION = 3,
    TABLES_VERSION = 2, // the latest that changed a table: later ones have other indices alone
    STATEMENTS_MAX = 256,
    PRINT_BYTES = 16,          // BLAKE2b of a bundle's header
    PRINT_SHORT = 8,           // of it in SYNC, where many stand
    PART_BYTES = 64 * 1024,    // sealed bytes to send lie in rows of this size
    PART_BITS = 16,            // parts of a bundle
    EARLY_MAX = 64 * 1024,     // bytes of a bundle that may come before its first fragment
    PLAIN_SLACK = 1024 * 1024, // plain bytes of a bundle beyond the longest body
    SPARE_PAGES = 64,          // beyond total_max, so that a full journal can still be emptied
    TRY_BITS = 16,             // a lease is the message's row << 16 | the try
    TRIES_LIMIT = 65535,
    CORRELATION_BYTES = 18, // of a reply: the message id of its request
    ROW_BYTES = 1024,       // what a message needs in the file beside its content, at most
    OWED_BYTES = 256,       // what a receipt that was asked for counts in the inbox
    MOVED_BYTES = KVPBUS_IDENTITY_BYTES + KVPBUS_MOVE_ID, // of a peer that was handed over
};

// What messages are counted by, in the table tally; the first are enum kvpbus_outcome.
enum tally {
    TALLY_INBOX = 5,
    TALLY_DEAD_LETTERS = 6,
    TALLY_KEPT = 7,
    TALLY_BULK_QUEUED = 8,   // of class bulk, those without an outcome
    TALLY_BULK_RECEIVED = 9, // of class bulk, in the inbox or dead letters
    TALLY_RECEIPTS = 10,     // messages without an outcome that tell the peer of receipts
    TALLY_RECEIVED = 11,     // rows of the table received
    TALLY_OWED = 12,         // receipts that were asked for and that no message tells of yet
    TALLY_COUNT = 13,
};

// What became of a message behind its delivery; the first two are also the receipt's.
enum fate { FATE_NONE = 0, FATE_CONSUMED = 1, FATE_DEAD = 2, FATE_DROPPED = 3 };
// Of a message received.
enum receipt { RECEIPT_NONE = 0, RECEIPT_ASKED = 1, RECEIPT_DUE = 2, RECEIPT_TOLD = 3 };

// Topic and stream of the messages that tell of receipts.
#define RECEIPT_NAME "receipt"

// A bundle of the peer, in the table arrived.
enum arrived_state { ARRIVED_PART, ARRIVED_WHOLE, ARRIVED_VOID, ARRIVED_REFUSED };

struct statement {
    const char *sql; // a literal, known by its address
    sqlite3_stmt *prepared;
};

struct kvpbus_journal {
    sqlite3 *db;
    char *path;
    struct kvpbus_journal_options options; // with the defaults filled in
    struct kvpbus_quota *quotas;           // its own copy
    int64_t page_size;
    int64_t now_ms;         // of the latest call that said it
    int64_t lease_clock_ms; // the latest time by which a lease or a delay was reckoned
    int64_t settled;        // messages that the latest journal_settle settled
    uint64_t audit_since;   // entries of the audit since the latest mark, about
    int64_t audit_mark_ms;  // when that was
    int64_t due;            // the peer that receipts became due for; 0 none, -1 several
    bool open;              // a transaction is
    struct statement statements[STATEMENTS_MAX];
    size_t statement_count;
    struct kvpbus_failure failure;
    int64_t suspect; // unfinished bundle of several sessions that did not verify; a row, 0 none
    struct kvpbus_failure undone; // why SQLite undid the open transaction
    char *backup_path;            // of the copy that is being made; NULL: none
    int backup_file;              // with backup_made
    bool backup_made;
    uint64_t backup_done; // bytes
    int backup_restarts;
    sqlite3 *backup_db;
    sqlite3_backup *backup;
};

// --- journal_sql.c ---

enum value_kind { VALUE_NULL, VALUE_INT, VALUE_BLOB, VALUE_TEXT };
struct value {
    enum value_kind kind;
    int64_t number;
    const void *bytes;
    size_t length;
};
#define INT(x) ((struct value){.kind = VALUE_INT, .number = (int64_t)(x)})
#define BLOB(x, size) ((struct value){.kind = VALUE_BLOB, .bytes = (x), .length = (size)})
#define TEXT(x) ((struct value){.kind = VALUE_TEXT, .bytes = (x)})
#define NOTHING ((struct value){.kind = VALUE_NULL})
#define VALUES(...)                      \
    (const struct value[]){__VA_ARGS__}, \
        sizeof((const struct value[]){__VA_ARGS__}) / sizeof(struct value)

// Runs a statement that gives no rows.
#define RUN(journal, sql, ...) journal_run(journal, sql, VALUES(__VA_ARGS__))
// The first row; KVPBUS_NOT_FOUND: none. After KVPBUS_OK the caller goes on with journal_next until
// that says KVPBUS_NOT_FOUND, or ends the query with journal_end.
#define GET(journal, row, sql, ...) journal_get(journal, row, sql, VALUES(__VA_ARGS__))

enum kvpbus_error journal_run(struct kvpbus_journal *journal, const char *sql,
                              const struct value *values, size_t count);
enum kvpbus_error journal_get(struct kvpbus_journal *journal, sqlite3_stmt **row, const char *sql,
                              const struct value *values, size_t count);
enum kvpbus_error journal_next(struct kvpbus_journal *journal, sqlite3_stmt *row);
void journal_end(sqlite3_stmt *row);
// Rows that the last RUN changed.
int64_t journal_changed(const struct kvpbus_journal *journal);
// SQL without values, not kept prepared; may be several statements.
enum kvpbus_error journal_exec(struct kvpbus_journal *journal, const char *sql);
// Exactly `length` bytes, else the file is damaged.
enum kvpbus_error journal_bytes(struct kvpbus_journal *journal, sqlite3_stmt *row, int column,
                                void *bytes, size_t length);
enum kvpbus_error journal_damaged(struct kvpbus_journal *journal, const char *what);
// The failure for an SQLite result code.
enum kvpbus_error journal_sqlite_error(struct kvpbus_journal *journal, int code, const char *doing);
// An error when SQLite has undone the open transaction, as after a full disk: what would run now
// would be committed alone.
enum kvpbus_error journal_still_open(struct kvpbus_journal *journal);
void journal_finalize(struct kvpbus_journal *journal);
// Random bytes for which the query finds no row: a VM whose memory went back may draw what it drew
// before, and its journal may know that.
enum kvpbus_error journal_draw(struct kvpbus_journal *journal, const char *sql, uint8_t *bytes,
                               size_t length);
// Adds to a count and its bytes.
enum kvpbus_error journal_tally(struct kvpbus_journal *journal, int64_t peer, int what,
                                int64_t count, int64_t bytes);
enum kvpbus_error journal_tally_get(struct kvpbus_journal *journal, int64_t peer, int what,
                                    int64_t *count, int64_t *bytes);
// Bytes left in the file under total_max.
enum kvpbus_error journal_free(struct kvpbus_journal *journal, uint64_t *bytes);

// --- journal_schema.c ---
// Makes the tables in an empty file, else checks that they are this version's.
enum kvpbus_error journal_schema(struct kvpbus_journal *journal);

// --- journal_content.c ---
// All of a message but its id and sequence. *bytes is freed with free(); the size is that of all
// strings and of the body and a few bytes more.
enum kvpbus_error journal_encode(struct kvpbus_journal *journal,
                                 const struct kvpbus_message *message, uint8_t **bytes,
                                 size_t *length);
// *block holds a copy that *message points into, behind `head` bytes for the caller; freed with
// free().
enum kvpbus_error journal_decode(struct kvpbus_journal *journal, const void *bytes, size_t length,
                                 size_t head, void **block, struct kvpbus_message *message);

// --- journal_peers.c ---
// A timeline in which nothing is numbered yet becomes the present one.
enum kvpbus_error journal_new_line(struct kvpbus_journal *journal, int64_t peer);
enum kvpbus_error journal_add_line(struct kvpbus_journal *journal, int64_t peer,
                                   const uint8_t timeline[KVPBUS_TIMELINE_BYTES], int64_t *line);
// Of too many timelines of mine those go first in which the peer has nothing, then the oldest, but
// not the one that it has named now: what it goes back to again and again stays known.
enum kvpbus_error journal_trim_lines(struct kvpbus_journal *journal, int64_t peer, int64_t named);

// --- journal_enroll.c ---
// The peer has this identity pinned now: its tokens are over.
enum kvpbus_error journal_pinned_now(struct kvpbus_journal *journal, int64_t peer,
                                     const uint8_t identity[KVPBUS_IDENTITY_BYTES]);
enum kvpbus_error journal_prune_tokens(struct kvpbus_journal *journal, int64_t now_ms);

// --- journal_peers.c ---
// What belongs to a row that nothing was sent to or received from.
enum kvpbus_error journal_empty_peer(struct kvpbus_journal *journal, int64_t peer);

// --- journal_move.c ---
// KVPBUS_UNPAIRED when the VM was handed to another host.
enum kvpbus_error journal_here(struct kvpbus_journal *journal, int64_t peer);

// --- journal_rows.c ---
// All within a transaction but the check, with a file attached as `moving`. `copy` fills an empty
// one; `check` says whether it is what a program with these tables makes, and has room here; `take`
// puts its rows in the place of the peer's.
enum kvpbus_error journal_rows_copy(struct kvpbus_journal *journal, int64_t peer);
enum kvpbus_error journal_rows_check(struct kvpbus_journal *journal);
enum kvpbus_error journal_rows_take(struct kvpbus_journal *journal, int64_t peer);
// Everything of the peer but its own row; no file is needed.
enum kvpbus_error journal_rows_remove(struct kvpbus_journal *journal, int64_t peer);

// --- journal_outcome.c ---
// Where my numbers of a class stand in the present timeline.
struct position {
    int64_t line;
    uint64_t next, done;
    uint8_t print[PRINT_BYTES]; // of the bundle `done`; zeros: it is void
    uint64_t fresh;             // where a stream begins that is not listed
    uint64_t voids;             // digest of what the peer has called void, see journal_void.c
};
enum kvpbus_error journal_position(struct kvpbus_journal *journal, int64_t peer,
                                   enum kvpbus_class class_, struct position *position);
// Gives an outcome to messages: `condition` is one over the table message that takes ?1 and ?2 and
// is joined with "pending". A message that a revert has touched may have been delivered in what was
// undone: where it would expire, nobody knows.
// A dead letter's receipt may come before the acknowledgement.
#define SETTLE(condition)                                                                      \
    "UPDATE message SET outcome = CASE WHEN ?3 = 1 AND fate = 2 THEN 3 WHEN ?3 = 2 AND doubt " \
    "THEN 4 ELSE ?3 END, gap = 0, settled_ms = ?4, "                                           \
    "reason = CASE WHEN ?3 = 1 AND fate = 2 THEN reason WHEN ?3 = 2 AND doubt THEN "           \
    "'a revert hid whether it was delivered before it ended' ELSE coalesce(?5, reason) END, "  \
    "content = NULL, unproven = ?3 = 2 AND NOT doubt AND sent IS NULL "                        \
    "WHERE outcome = 0 AND " condition " RETURNING size, outcome, class, bundle, place, kind"
enum kvpbus_error journal_settle(struct kvpbus_journal *journal, int64_t peer, const char *sql,
                                 int64_t first, int64_t second, enum kvpbus_outcome outcome,
                                 const char *reason);
enum kvpbus_error journal_drop_parts(struct kvpbus_journal *journal, int64_t sealed);
// The peer is done with this bundle; its print there, NULL: as sealed, zeros: void.
enum kvpbus_error journal_bundle_done(struct kvpbus_journal *journal, int64_t peer,
                                      enum kvpbus_class class_, int64_t sealed,
                                      const uint8_t *print);

// --- journal_void.c ---

enum { WHOLE_BUNDLE = 0xffff }; // in the place of an index
uint64_t journal_void_digest(uint64_t number, uint16_t index);
// Whether the peer's digest is mine, but for questions whose answer has not come.
enum kvpbus_error journal_voids_fit(struct kvpbus_journal *journal, int64_t peer,
                                    enum kvpbus_class class_, const struct position *position,
                                    uint64_t theirs, bool *fit);
// The digest of the single messages of a sealed bundle that the peer has called void.
enum kvpbus_error journal_voids_of(struct kvpbus_journal *journal, int64_t sealed, uint64_t number,
                                   uint64_t *digest);

// --- journal_queue.c ---
// A message of the bus itself, which no quota keeps back; its row.
enum kvpbus_error journal_queue_receipts(struct kvpbus_journal *journal, int64_t peer,
                                         const uint8_t *body, size_t length, int64_t now_ms,
                                         int64_t *row);

// --- journal_seal.c ---
// The whole sealed bytes; freed with free().
enum kvpbus_error journal_sealed_bytes(struct kvpbus_journal *journal, int64_t sealed,
                                       uint32_t length, uint8_t **bytes);
// Puts other bytes in the place of the first ones of a sealed bundle.
enum kvpbus_error journal_change_sealed(struct kvpbus_journal *journal, int64_t sealed,
                                        const uint8_t *bytes, uint32_t length);
void journal_print(const uint8_t header[KVPBUS_BUNDLE_HEADER], uint8_t print[PRINT_BYTES]);
size_t journal_plain_max(const struct kvpbus_journal *journal);

// --- journal_renew.c ---
// A done bundle (its row) that the peer has forgotten: of my timeline `line`, beyond the floors of
// `sync` and not among its complete ones, or of a later timeline. KVPBUS_NOT_FOUND: none. Line 0 is
// before the first.
enum kvpbus_error journal_forgotten(struct kvpbus_journal *journal, int64_t peer, int64_t line,
                                    const struct kvpbus_sync *sync, int64_t *sealed);
// What expired unsent is proven so: the peer holds nothing of mine that I do not know. `false`: it
// does, so that nobody knows whether they were delivered.
enum kvpbus_error journal_prove(struct kvpbus_journal *journal, int64_t peer, bool proven);
// The peer may not have what counts as delivered here, or have had what counts as void: the bundles
// of a class that are done, from the one behind `after`, lose their outcome.
enum kvpbus_error journal_doubt(struct kvpbus_journal *journal, int64_t peer, int64_t line,
                                int class_, uint64_t after);
// Puts everything that is not done back in the queue, settles what the peer has forgotten (`sync`
// NULL: nothing), and begins a new timeline.
enum kvpbus_error journal_renew(struct kvpbus_journal *journal, int64_t peer, int64_t line,
                                const struct kvpbus_sync *sync);

// --- journal_arrival.c ---
// Where the peer's numbers stand here, in the timeline that it sends in.
struct arrival {
    int64_t peer, source; // source 0: nothing came yet
    enum kvpbus_class class_;
    uint64_t floor;
};
// A bundle of the peer.
struct arrived {
    int64_t id; // 0: no row
    enum arrived_state state;
    uint64_t number;
    uint32_t total, held; // bytes; total 0: its first fragment is not here
    bool resumed;         // some of it is from an earlier session
    bool known;           // `print` is set
    uint8_t print[PRINT_BYTES];
};
// For a frame of the peer: its first one in a new timeline begins that here.
enum kvpbus_error journal_arrive(struct kvpbus_journal *journal, int64_t peer,
                                 enum kvpbus_class class_, struct arrival *arrival);
enum kvpbus_error journal_find_arrived(struct kvpbus_journal *journal,
                                       const struct arrival *arrival, uint64_t number,
                                       struct arrived *arrived);
enum kvpbus_error journal_make_arrived(struct kvpbus_journal *journal,
                                       const struct arrival *arrival, struct arrived *arrived);

// --- journal_quota.c ---
// Whether there is room: for a message to send, of `size` bytes; for the bundle that the peer
// begins, of `total` sealed bytes; for the messages of one that is whole.
enum kvpbus_error journal_may_queue(struct kvpbus_journal *journal, int64_t peer,
                                    enum kvpbus_class class_, size_t size);
enum kvpbus_error journal_may_begin(struct kvpbus_journal *journal, int64_t peer, uint32_t total);
enum kvpbus_error journal_may_receive(struct kvpbus_journal *journal, int64_t peer, uint64_t plain,
                                      size_t count);

// --- journal_held.c ---
// The first bytes held of an unfinished bundle without a hole, else KVPBUS_NOT_FOUND.
enum kvpbus_error journal_read_held(struct kvpbus_journal *journal, int64_t arrived, uint8_t *bytes,
                                    size_t length);
enum kvpbus_error journal_held_header(struct kvpbus_journal *journal, int64_t arrived,
                                      uint8_t header[KVPBUS_BUNDLE_HEADER]);
// Bytes held from the start without a hole.
enum kvpbus_error journal_held_prefix(struct kvpbus_journal *journal, int64_t arrived,
                                      uint32_t *prefix);
enum kvpbus_error journal_drop_held(struct kvpbus_journal *journal, int64_t arrived, uint32_t from);
// Stores what of the fragment is not held yet: after a restart the peer may cut its bundle
// elsewhere. *stored: that many bytes.
enum kvpbus_error journal_store_held(struct kvpbus_journal *journal, struct arrived *arrived,
                                     const struct kvpbus_fragment *fragment, uint32_t *stored);

// --- journal_gap.c ---
// The indices of a bundle that are void, 2 bytes each, big-endian.
struct void_list {
    size_t length; // bytes
    uint8_t bytes[2 * KVPBUS_BUNDLE_MESSAGES_MAX];
};
enum kvpbus_error journal_read_voids(struct kvpbus_journal *journal, int64_t arrived,
                                     struct void_list *list);
bool journal_has_void(const struct void_list *voids, uint16_t index);

// --- journal_accept.c ---
// All bytes of a bundle are here: its messages enter the inbox, or it is refused.
enum kvpbus_error journal_accept(struct kvpbus_journal *journal, const struct arrival *arrival,
                                 const struct arrived *arrived, const uint8_t *bytes,
                                 int64_t now_ms, struct kvpbus_fragment_result *result);
// The bundle is done as `state` says, with its print when the header is known.
enum kvpbus_error journal_arrived(struct kvpbus_journal *journal, const struct arrival *arrival,
                                  const struct arrived *arrived, enum arrived_state state,
                                  const uint8_t *print);

// --- journal_consume.c ---
// A message of the inbox.
struct inbox_row {
    int64_t id, stream, peer, size;
    uint32_t tries;
    enum kvpbus_kind kind;
    enum kvpbus_class class_;
    bool leased;
};
// Removes it, from its stream and from what counts as the inbox.
enum kvpbus_error journal_take_out(struct kvpbus_journal *journal, const struct inbox_row *of);
// A lease or a delay from now on; a clock that is set back is followed.
int64_t journal_later(int64_t now_ms, uint64_t ms);
void journal_reckon(struct kvpbus_journal *journal, int64_t now_ms);

// --- journal_lease.c ---
// A delivery without lease of the row's columns content, sequence, bundle, place.
enum kvpbus_error journal_delivery(struct kvpbus_journal *journal, sqlite3_stmt *row, int64_t peer,
                                   struct kvpbus_delivery **delivery);

// --- journal_request.c ---
void journal_correlation(const struct kvpbus_message_id *id, uint8_t bytes[CORRELATION_BYTES]);
// When a message that arrives is no longer wanted: a request after its lifetime, a reply some time
// after that of its request; 0 never. A reply to no request of mine: at once.
enum kvpbus_error journal_wanted_until(struct kvpbus_journal *journal, int64_t peer,
                                       const struct kvpbus_message *message, int64_t now_ms,
                                       int64_t *until_ms);
// The last reply of a request was taken; nobody waits for others.
enum kvpbus_error journal_answered(struct kvpbus_journal *journal, const struct inbox_row *reply);

// --- journal_dead.c ---
enum kvpbus_error journal_bury(struct kvpbus_journal *journal, const struct inbox_row *of,
                               const char *reason);

// --- journal_receipt.c ---
// A message of the inbox (its row, still there) is done with.
enum kvpbus_error journal_ended(struct kvpbus_journal *journal, int64_t inbox, enum fate fate,
                                const char *reason);
// What is due to the peer is queued, as much as goes into one message.
enum kvpbus_error journal_receipts_queue(struct kvpbus_journal *journal, int64_t peer,
                                         int64_t now_ms);
// The peer has forgotten what it was told in this bundle: it is due again.
enum kvpbus_error journal_receipts_again(struct kvpbus_journal *journal, int64_t peer,
                                         int64_t sealed);
// The peer has sent this message again: it does not know, or no longer, what it was told.
enum kvpbus_error journal_receipt_again(struct kvpbus_journal *journal, int64_t peer,
                                        const struct kvpbus_message_id *id);
// Whether a message of kind RECEIPT is one.
bool journal_receipts_valid(const struct kvpbus_message *message);
// Takes in what it says.
enum kvpbus_error journal_receipts_came(struct kvpbus_journal *journal, int64_t peer,
                                        const struct kvpbus_message *message);

// --- journal_history.c ---
// A message that entered the inbox, as this row.
struct incoming;
enum kvpbus_error journal_remember(struct kvpbus_journal *journal, const struct incoming *incoming,
                                   int64_t inbox);
// Of too much that has ended the oldest goes, as much as a bundle can bring.
enum kvpbus_error journal_forget_oldest(struct kvpbus_journal *journal, int64_t peer);

// --- journal_inbox.c ---
// A message of the peer, as it stands in its bundle.
struct incoming {
    const struct arrival *arrival;
    uint64_t number; // of the bundle
    int64_t now_ms;
    const struct kvpbus_message *message;
    const uint8_t *content; // NULL: void or a duplicate, only its place in the stream is filled
    size_t length;
};
// Counts in *streams when its stream was not known.
enum kvpbus_error journal_inbox_add(struct kvpbus_journal *journal, const struct incoming *incoming,
                                    size_t *streams);
// Of too many streams with nothing in the inbox as many go as a bundle has brought, at most.
enum kvpbus_error journal_forget_streams(struct kvpbus_journal *journal, int64_t peer,
                                         size_t brought);

// --- journal_audit.c ---
// Messages of which the same is told: one entry for many of a bundle. Zeroed it is empty.
struct audit_ids {
    int64_t peer;
    enum kvpbus_audit_kind kind;
    uint8_t bundle[KVPBUS_BUNDLE_ID_BYTES];
    char text[KVPBUS_AUDIT_DETAIL_MAX + 1];
    size_t length, range; // 0: empty; where the end of the last range stands
    int last;
};
enum kvpbus_error journal_audit_id(struct kvpbus_journal *journal, struct audit_ids *ids,
                                   int64_t peer, enum kvpbus_audit_kind kind,
                                   const uint8_t bundle[KVPBUS_BUNDLE_ID_BYTES], int place);
// The same of a row with bundle and place in two columns from `column` on.
enum kvpbus_error journal_audit_row(struct kvpbus_journal *journal, struct audit_ids *ids,
                                    int64_t peer, enum kvpbus_audit_kind kind, sqlite3_stmt *row,
                                    int column);
// What was collected becomes an entry.
enum kvpbus_error journal_audit_flush(struct kvpbus_journal *journal, struct audit_ids *ids);
// A message in the inbox, by its row.
enum kvpbus_error journal_audit_inbox(struct kvpbus_journal *journal, enum kvpbus_audit_kind kind,
                                      int64_t message);
// An identity, by its fingerprint.
enum kvpbus_error journal_audit_key(struct kvpbus_journal *journal, int64_t peer,
                                    enum kvpbus_audit_kind kind,
                                    const uint8_t identity[KVPBUS_IDENTITY_BYTES]);
// That another key was pinned until now.
enum kvpbus_error journal_audit_former_key(struct kvpbus_journal *journal, int64_t peer);
enum kvpbus_error journal_audit_refused(struct kvpbus_journal *journal, int64_t peer,
                                        enum kvpbus_error why, enum kvpbus_class class_,
                                        uint64_t number);
// What is entered of a message that has this outcome now.
enum kvpbus_audit_kind journal_audit_outcome(int outcome);

#endif
