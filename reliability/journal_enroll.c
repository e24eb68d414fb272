// SPDX-License-Identifier: Apache-2.0
//
// Trust that was given beforehand: keys from files, and enrolment tokens. On a host a row of the
// table token is one that was made, on a guest one that was taken. Its secret goes with its use.
#include <sodium.h>

#include "audit_journal.h"
#include "journal_internal.h"

enum {
    TOKENS_KEPT = 16, // rows of a peer
    // A guest does not judge when a token ends: its clock may be wrong. It only forgets it.
    GUEST_KEEPS_MS = 24 * 60 * 60 * 1000,
};

enum token_state { TOKEN_OPEN, TOKEN_USED, TOKEN_WITHDRAWN };

struct token_row {
    int64_t peer;
    enum token_state state;
    bool replaces;
    struct kvpbus_token token; // the secret only while it is open
};

static enum kvpbus_error refuse(struct kvpbus_journal *journal, const char *why)
{
    return kvpbus_fail(&journal->failure, KVPBUS_BAD_TOKEN, "%s", why);
}

static enum kvpbus_error read_row(struct kvpbus_journal *journal, sqlite3_stmt *row,
                                  struct token_row *out)
{
    memset(out, 0, sizeof *out);
    out->peer = sqlite3_column_int64(row, 0);
    out->state = (enum token_state)sqlite3_column_int(row, 1);
    out->replaces = sqlite3_column_int(row, 2) != 0;
    out->token.ends_ms = (uint64_t)sqlite3_column_int64(row, 3);
    enum kvpbus_error error = journal_bytes(journal, row, 4, out->token.id, KVPBUS_TOKEN_ID);
    if (error == KVPBUS_OK)
        error = journal_bytes(journal, row, 5, out->token.host, KVPBUS_IDENTITY_BYTES);
    if (error == KVPBUS_OK)
        error = journal_bytes(journal, row, 6, out->token.vm, KVPBUS_VM_ID_BYTES);
    if (error == KVPBUS_OK && out->state == TOKEN_OPEN)
        error = journal_bytes(journal, row, 7, out->token.secret, KVPBUS_TOKEN_SECRET);
    journal_end(row);
    return error;
}

#define TOKEN_COLUMNS "SELECT peer, state, replaces, ends_ms, id, host, vm, secret FROM token "

static enum kvpbus_error withdraw(struct kvpbus_journal *journal, int64_t peer)
{
    return RUN(journal, "UPDATE token SET state = 2, secret = NULL WHERE peer = ?1 AND state = 0",
               INT(peer));
}

// At most one token of a peer is open.
static enum kvpbus_error add_row(struct kvpbus_journal *journal, int64_t peer,
                                 const struct kvpbus_token *token, bool replaces)
{
    enum kvpbus_error error = withdraw(journal, peer);
    if (error == KVPBUS_OK)
        error = RUN(journal,
                    "INSERT INTO token(peer, state, replaces, ends_ms, id, host, vm, secret) "
                    "VALUES(?1, 0, ?2, ?3, ?4, ?5, ?6, ?7)",
                    INT(peer), INT(replaces), INT(token->ends_ms), BLOB(token->id, KVPBUS_TOKEN_ID),
                    BLOB(token->host, KVPBUS_IDENTITY_BYTES), BLOB(token->vm, KVPBUS_VM_ID_BYTES),
                    BLOB(token->secret, KVPBUS_TOKEN_SECRET));
    if (error != KVPBUS_OK)
        return error;
    return RUN(journal,
               "DELETE FROM token WHERE peer = ?1 AND number <= (SELECT number FROM token WHERE "
               "peer = ?1 ORDER BY number DESC LIMIT 1 OFFSET ?2)",
               INT(peer), INT(TOKENS_KEPT));
}

static enum kvpbus_error find(struct kvpbus_journal *journal, const uint8_t id[KVPBUS_TOKEN_ID],
                              struct token_row *out)
{
    sqlite3_stmt *row;
    enum kvpbus_error error =
        GET(journal, &row, TOKEN_COLUMNS "WHERE id = ?1", BLOB(id, KVPBUS_TOKEN_ID));
    return error == KVPBUS_OK ? read_row(journal, row, out) : error;
}

// Never the secret.
static enum kvpbus_error tell(struct kvpbus_journal *journal, int64_t peer,
                              enum kvpbus_audit_kind kind, const uint8_t id[KVPBUS_TOKEN_ID])
{
    char text[2 * KVPBUS_TOKEN_ID + 1];
    sodium_bin2hex(text, sizeof text, id, KVPBUS_TOKEN_ID);
    return kvpbus_journal_audit(journal, peer, kind, text);
}

// --- keys from files ---

enum kvpbus_error kvpbus_journal_trust(struct kvpbus_journal *journal, int64_t peer,
                                       const uint8_t identity[KVPBUS_IDENTITY_BYTES])
{
    static const uint8_t learnt_later[KVPBUS_VM_ID_BYTES];
    struct kvpbus_peer known;
    enum kvpbus_error error = kvpbus_journal_peer_get(journal, peer, &known);
    if (error != KVPBUS_OK)
        return error;
    bool host = journal->options.role == KVPBUS_ROLE_HOST;
    error = journal_here(journal, peer);
    if (error != KVPBUS_OK)
        return error;
    if (!known.paired)
        return kvpbus_journal_pin(journal, peer, identity, host ? known.vm : learnt_later);
    if (memcmp(known.identity, identity, sizeof known.identity) == 0)
        return KVPBUS_OK;
    return kvpbus_fail(&journal->failure, KVPBUS_BAD_KEY,
                       "another key is pinned than the one that the file gives: it stays, until "
                       "'kvpbus unpair %.100s'",
                       known.name);
}

enum kvpbus_error journal_pinned_now(struct kvpbus_journal *journal, int64_t peer,
                                     const uint8_t identity[KVPBUS_IDENTITY_BYTES])
{
    // A guest goes on proving its token while its host is pinned.
    bool host = journal->options.role == KVPBUS_ROLE_HOST;
    return RUN(journal,
               "UPDATE token SET state = 2, secret = NULL WHERE peer = ?1 AND state = 0 AND "
               "(?2 OR host != ?3)",
               INT(peer), INT(host), BLOB(identity, KVPBUS_IDENTITY_BYTES));
}

// --- on a host ---

enum kvpbus_error kvpbus_journal_token_make(struct kvpbus_journal *journal, int64_t peer,
                                            const struct kvpbus_token *token, bool replaces)
{
    struct kvpbus_peer known;
    enum kvpbus_error error = kvpbus_journal_peer_get(journal, peer, &known);
    if (error != KVPBUS_OK)
        return error;
    if (known.paired && !replaces)
        return kvpbus_fail(&journal->failure, KVPBUS_EXISTS,
                           "%.100s is paired already; with --replace the machine that shows the "
                           "token takes the place of that one",
                           known.name);
    error = add_row(journal, peer, token, replaces);
    return error == KVPBUS_OK ? tell(journal, peer, KVPBUS_AUDIT_TOKEN_MADE, token->id) : error;
}

static enum kvpbus_error judge(struct kvpbus_journal *journal, const struct token_row *row,
                               const struct kvpbus_proof *proof, int64_t peer, int64_t now_ms)
{
    if (row->peer != peer)
        return refuse(journal, "the token was made for another VM");
    if (row->state == TOKEN_USED)
        return refuse(journal, "the token was used already");
    if (row->state == TOKEN_WITHDRAWN)
        return refuse(journal, "the token was withdrawn: a later one was made, or the VM was "
                               "paired without it");
    if (now_ms >= (int64_t)row->token.ends_ms)
        return refuse(journal, "the token has expired");
    if (!kvpbus_token_proves(&row->token, proof->identity, proof->epoch, proof->bytes))
        return refuse(journal, "the proof is wrong: it was made without the token, for another "
                               "host, or copied from another hello");
    return KVPBUS_OK;
}

// One identity for two VMs would be a clone; and what is paired stays so unless it was said.
static enum kvpbus_error may_pin(struct kvpbus_journal *journal, const struct token_row *row,
                                 const uint8_t identity[KVPBUS_IDENTITY_BYTES])
{
    struct kvpbus_peer known;
    enum kvpbus_error error = kvpbus_journal_peer_get(journal, row->peer, &known);
    if (error != KVPBUS_OK)
        return error;
    if (memcmp(known.vm, row->token.vm, sizeof known.vm) != 0)
        return refuse(journal, "the token was made for the GUID that the VM had before");
    bool same = memcmp(known.identity, identity, sizeof known.identity) == 0;
    if (known.paired && !same && !row->replaces)
        return refuse(journal, "the VM is paired with another identity; make a token with "
                               "--replace if the machine was set up anew");
    sqlite3_stmt *other;
    error = GET(journal, &other,
                "SELECT 1 FROM peer WHERE identity = ?1 AND paired = 1 AND id != ?2 LIMIT 1",
                BLOB(identity, KVPBUS_IDENTITY_BYTES), INT(row->peer));
    if (error == KVPBUS_NOT_FOUND)
        return KVPBUS_OK;
    if (error != KVPBUS_OK)
        return error;
    journal_end(other);
    return refuse(journal, "another VM is paired with this identity: the machine is a clone; run "
                           "'kvpbus-guest generalize' in it and make another token");
}

enum kvpbus_error kvpbus_journal_enroll(struct kvpbus_journal *journal, int64_t peer,
                                        const struct kvpbus_proof *proof, int64_t now_ms)
{
    struct token_row row;
    enum kvpbus_error error = find(journal, proof->bytes, &row);
    if (error == KVPBUS_NOT_FOUND)
        return refuse(journal, "the token is not known here: another host made it, or it is long "
                               "over");
    if (error == KVPBUS_OK)
        error = judge(journal, &row, proof, peer, now_ms);
    if (error == KVPBUS_OK)
        error = may_pin(journal, &row, proof->identity);
    if (error == KVPBUS_OK)
        error = RUN(journal, "UPDATE token SET state = 1, secret = NULL WHERE id = ?1",
                    BLOB(proof->bytes, KVPBUS_TOKEN_ID));
    if (error == KVPBUS_OK)
        error = tell(journal, peer, KVPBUS_AUDIT_TOKEN_USED, proof->bytes);
    if (error == KVPBUS_OK)
        error = kvpbus_journal_pin(journal, peer, proof->identity, row.token.vm);
    sodium_memzero(&row, sizeof row);
    return error;
}

// --- on a guest ---

enum kvpbus_error kvpbus_journal_token_take(struct kvpbus_journal *journal, int64_t peer,
                                            const struct kvpbus_token *token)
{
    struct token_row row;
    struct kvpbus_peer known;
    enum kvpbus_error error = find(journal, token->id, &row);
    sodium_memzero(&row, sizeof row);
    if (error == KVPBUS_OK)
        return kvpbus_fail(&journal->failure, KVPBUS_EXISTS, "this token was taken already");
    if (error == KVPBUS_NOT_FOUND)
        error = kvpbus_journal_peer_get(journal, peer, &known);
    if (error != KVPBUS_OK)
        return error;
    if (known.paired && memcmp(known.identity, token->host, sizeof known.identity) != 0)
        return kvpbus_fail(&journal->failure, KVPBUS_BAD_KEY,
                           "another host is paired than the one that made the token: it stays, "
                           "until 'kvpbus unpair %.100s'",
                           known.name);
    error = tell(journal, peer, KVPBUS_AUDIT_TOKEN_TAKEN, token->id);
    if (error == KVPBUS_OK)
        error = kvpbus_journal_pin(journal, peer, token->host, token->vm);
    return error == KVPBUS_OK ? add_row(journal, peer, token, false) : error;
}

enum kvpbus_error kvpbus_journal_token_open(struct kvpbus_journal *journal, int64_t peer,
                                            bool *open, struct kvpbus_token *token)
{
    struct token_row row;
    sqlite3_stmt *found;
    enum kvpbus_error error =
        GET(journal, &found, TOKEN_COLUMNS "WHERE peer = ?1 AND state = 0", INT(peer));
    *open = error == KVPBUS_OK;
    if (error != KVPBUS_OK)
        return error == KVPBUS_NOT_FOUND ? KVPBUS_OK : error;
    error = read_row(journal, found, &row);
    *token = row.token;
    sodium_memzero(&row, sizeof row);
    return error;
}

enum kvpbus_error kvpbus_journal_token_done(struct kvpbus_journal *journal, int64_t peer)
{
    return RUN(journal, "UPDATE token SET state = 1, secret = NULL WHERE peer = ?1 AND state = 0",
               INT(peer));
}

enum kvpbus_error journal_prune_tokens(struct kvpbus_journal *journal, int64_t now_ms)
{
    bool host = journal->options.role == KVPBUS_ROLE_HOST;
    int64_t over = now_ms - (host ? 0 : GUEST_KEEPS_MS);
    enum kvpbus_error error =
        RUN(journal, "UPDATE token SET state = 2, secret = NULL WHERE state = 0 AND ends_ms <= ?1",
            INT(over));
    if (error != KVPBUS_OK)
        return error;
    return RUN(journal, "DELETE FROM token WHERE ends_ms < ?1",
               INT(over - (int64_t)journal->options.history_ms));
}
