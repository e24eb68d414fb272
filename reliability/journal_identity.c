// SPDX-License-Identifier: Apache-2.0
//
// One peer goes on under another identity: mine has changed, or its own.
#include <stdio.h>

#include "audit_journal.h"
#include "journal_internal.h"
#include "kvpbus/management.h"

// The next bundle under way that was not signed by `identity` for the present VM.
static enum kvpbus_error signed_otherwise(struct kvpbus_journal *journal, int64_t peer,
                                          const uint8_t identity[KVPBUS_IDENTITY_BYTES],
                                          int64_t *sealed, uint32_t *length)
{
    sqlite3_stmt *row;
    enum kvpbus_error error =
        GET(journal, &row,
            "SELECT sealed.id, length FROM peer JOIN position ON position.line = peer.line JOIN "
            "sealed ON sealed.peer = peer.id AND sealed.line = peer.line AND "
            "sealed.class = position.class AND sealed.number > position.done WHERE peer.id = ?1 "
            "AND sealed.done = 0 AND (sealed.sender != ?2 OR sealed.vm IS NOT NULL) LIMIT 1",
            INT(peer), BLOB(identity, KVPBUS_IDENTITY_BYTES));
    if (error != KVPBUS_OK)
        return error;
    *sealed = sqlite3_column_int64(row, 0);
    *length = (uint32_t)sqlite3_column_int64(row, 1);
    journal_end(row);
    return KVPBUS_OK;
}

static enum kvpbus_error sign_again(struct kvpbus_journal *journal,
                                    const struct kvpbus_route *route,
                                    const uint8_t secret[KVPBUS_SECRET_BYTES], int64_t sealed,
                                    uint32_t length)
{
    uint8_t *bytes, print[PRINT_BYTES];
    enum kvpbus_error error = journal_sealed_bytes(journal, sealed, length, &bytes);
    if (error != KVPBUS_OK)
        return error;
    kvpbus_bundle_sign_again(route, secret, bytes, length);
    journal_print(bytes, print);
    error = journal_change_sealed(journal, sealed, bytes, length);
    free(bytes);
    if (error != KVPBUS_OK)
        return error;
    return RUN(journal, "UPDATE sealed SET sender = ?2, print = ?3, vm = NULL WHERE id = ?1",
               INT(sealed), BLOB(route->sender, sizeof route->sender), BLOB(print, sizeof print));
}

enum kvpbus_error kvpbus_journal_signer(struct kvpbus_journal *journal, int64_t peer,
                                        const uint8_t identity[KVPBUS_IDENTITY_BYTES],
                                        const uint8_t secret[KVPBUS_SECRET_BYTES])
{
    int64_t sealed;
    uint32_t length;
    enum kvpbus_error error;
    while ((error = signed_otherwise(journal, peer, identity, &sealed, &length)) == KVPBUS_OK) {
        struct kvpbus_peer to;
        struct kvpbus_route route = {
            .recipient =
                journal->options.role == KVPBUS_ROLE_HOST ? KVPBUS_ROLE_GUEST : KVPBUS_ROLE_HOST,
        };
        memcpy(route.sender, identity, sizeof route.sender);
        error = kvpbus_journal_peer_get(journal, peer, &to);
        memcpy(route.vm, to.vm, sizeof route.vm);
        if (error == KVPBUS_OK)
            error = sign_again(journal, &route, secret, sealed, length);
        if (error != KVPBUS_OK)
            return error;
    }
    return error == KVPBUS_NOT_FOUND ? KVPBUS_OK : error;
}

// What is held of unfinished bundles is signed by the old identity, or for the old VM: it comes
// again from the first byte, signed by the new one. What of them is void stays so.
static enum kvpbus_error drop_unfinished(struct kvpbus_journal *journal, int64_t peer)
{
    for (;;) {
        sqlite3_stmt *row;
        enum kvpbus_error error =
            GET(journal, &row,
                "SELECT id FROM arrived WHERE peer = ?1 AND state = ?2 AND held > 0 LIMIT 1",
                INT(peer), INT(ARRIVED_PART));
        if (error != KVPBUS_OK)
            return error == KVPBUS_NOT_FOUND ? KVPBUS_OK : error;
        int64_t arrived = sqlite3_column_int64(row, 0);
        journal_end(row);
        error = journal_drop_held(journal, arrived, 0);
        if (error != KVPBUS_OK)
            return error;
    }
}

enum kvpbus_error kvpbus_journal_follow(struct kvpbus_journal *journal, int64_t peer,
                                        const uint8_t from[KVPBUS_IDENTITY_BYTES],
                                        const uint8_t to[KVPBUS_IDENTITY_BYTES])
{
    sqlite3_stmt *row;
    enum kvpbus_error error =
        GET(journal, &row,
            "UPDATE peer SET identity = ?3, pending = NULL WHERE id = ?1 AND paired = 1 AND "
            "identity = ?2 RETURNING id",
            INT(peer), BLOB(from, KVPBUS_IDENTITY_BYTES), BLOB(to, KVPBUS_IDENTITY_BYTES));
    bool followed = error == KVPBUS_OK;
    if (followed)
        error = journal_next(journal, row);
    if (error != KVPBUS_NOT_FOUND)
        return error;
    if (followed) {
        error = journal_audit_key(journal, peer, KVPBUS_AUDIT_KEY_CHANGED, from);
        if (error == KVPBUS_OK)
            error = journal_audit_key(journal, peer, KVPBUS_AUDIT_FOLLOWED, to);
        if (error != KVPBUS_OK)
            return error;
    }
    return drop_unfinished(journal, peer);
}

enum kvpbus_error kvpbus_journal_met(struct kvpbus_journal *journal, int64_t peer,
                                     const uint8_t identity[KVPBUS_IDENTITY_BYTES])
{
    return RUN(journal,
               "UPDATE peer SET met = ?2, rebound = 0 WHERE id = ?1 AND (met IS NOT ?2 OR rebound)",
               INT(peer), BLOB(identity, KVPBUS_IDENTITY_BYTES));
}

enum kvpbus_error kvpbus_journal_introduced(struct kvpbus_journal *journal, int64_t peer,
                                            const uint8_t identity[KVPBUS_IDENTITY_BYTES])
{
    return RUN(journal, "UPDATE peer SET met = ?2 WHERE id = ?1 AND met IS NULL AND paired",
               INT(peer), BLOB(identity, KVPBUS_IDENTITY_BYTES));
}

// --- another VM id ---

// What is signed for the present id, and may be needed yet, keeps it.
static enum kvpbus_error keep_signed_vm(struct kvpbus_journal *journal, int64_t peer)
{
    return RUN(journal,
               "UPDATE sealed SET vm = (SELECT vm FROM peer WHERE id = ?1) WHERE peer = ?1 AND "
               "vm IS NULL AND (done = 0 OR kept = 1)",
               INT(peer));
}

static enum kvpbus_error enter_rebound(struct kvpbus_journal *journal, int64_t peer,
                                       const uint8_t from[KVPBUS_VM_ID_BYTES],
                                       const uint8_t to[KVPBUS_VM_ID_BYTES])
{
    char former[KVPBUS_GUID_TEXT + 1], next[KVPBUS_GUID_TEXT + 1], text[128];
    kvpbus_guid_format(from, former);
    kvpbus_guid_format(to, next);
    snprintf(text, sizeof text, "from %s to %s", former, next);
    return kvpbus_journal_audit(journal, peer, KVPBUS_AUDIT_REBOUND, text);
}

// The other row stands for whatever VM has the id `vm`: it takes the id and the name of `peer`.
static enum kvpbus_error make_room(struct kvpbus_journal *journal, int64_t peer,
                                   const uint8_t vm[KVPBUS_VM_ID_BYTES], int64_t *other)
{
    sqlite3_stmt *row;
    *other = 0;
    enum kvpbus_error error = GET(journal, &row, "SELECT id, paired, name FROM peer WHERE vm = ?1",
                                  BLOB(vm, KVPBUS_VM_ID_BYTES));
    if (error != KVPBUS_OK)
        return error == KVPBUS_NOT_FOUND ? KVPBUS_OK : error;
    *other = sqlite3_column_int64(row, 0);
    bool paired = sqlite3_column_int(row, 1) != 0;
    char name[KVPBUS_PEER_NAME_MAX + 1];
    const char *text = (const char *)sqlite3_column_text(row, 2);
    snprintf(name, sizeof name, "%s", text != NULL ? text : "");
    journal_end(row);
    if (*other == peer)
        return kvpbus_fail(&journal->failure, KVPBUS_INVALID_ARGUMENT, "%s has this id already",
                           name);
    if (paired)
        return kvpbus_fail(&journal->failure, KVPBUS_EXISTS,
                           "%s is paired already as a VM of its own; unpair it first", name);
    error = keep_signed_vm(journal, *other);
    // The id is unique: for a moment the row has none.
    if (error == KVPBUS_OK)
        error = RUN(journal, "UPDATE peer SET vm = zeroblob(17) WHERE id = ?1", INT(*other));
    return error;
}

enum kvpbus_error kvpbus_journal_rebind(struct kvpbus_journal *journal, int64_t peer,
                                        const uint8_t vm[KVPBUS_VM_ID_BYTES], int64_t *other)
{
    struct kvpbus_peer old;
    enum kvpbus_error error = kvpbus_journal_peer_get(journal, peer, &old);
    if (error == KVPBUS_OK && !old.paired)
        error = kvpbus_fail(&journal->failure, KVPBUS_UNPAIRED,
                            "%s is not paired: there is nothing that could go on", old.name);
    if (error != KVPBUS_OK)
        return error;
    uint8_t former[KVPBUS_FORMER_VMS][KVPBUS_VM_ID_BYTES];
    size_t count = old.former_count < KVPBUS_FORMER_VMS ? old.former_count + 1 : KVPBUS_FORMER_VMS;
    memcpy(former[0], old.vm, sizeof former[0]);
    memcpy(former[1], old.former, (count - 1) * sizeof former[0]);
    error = make_room(journal, peer, vm, other);
    if (error == KVPBUS_OK)
        error = keep_signed_vm(journal, peer);
    if (error == KVPBUS_OK)
        error = RUN(journal,
                    "UPDATE peer SET former = ?3, vm = ?2, rebound = 1, name = coalesce((SELECT "
                    "name FROM peer "
                    "WHERE id = ?4), name) WHERE id = ?1",
                    INT(peer), BLOB(vm, KVPBUS_VM_ID_BYTES),
                    BLOB(former, count * KVPBUS_VM_ID_BYTES), INT(*other));
    if (error == KVPBUS_OK && *other != 0)
        error = RUN(journal, "UPDATE peer SET vm = ?2, name = ?3 WHERE id = ?1", INT(*other),
                    BLOB(old.vm, sizeof old.vm), TEXT(old.name));
    if (error == KVPBUS_OK)
        error = enter_rebound(journal, peer, old.vm, vm);
    return error == KVPBUS_OK ? drop_unfinished(journal, peer) : error;
}

enum kvpbus_error kvpbus_journal_rebound(struct kvpbus_journal *journal, int64_t peer,
                                         const uint8_t from[KVPBUS_VM_ID_BYTES],
                                         const uint8_t to[KVPBUS_VM_ID_BYTES])
{
    struct kvpbus_peer now;
    enum kvpbus_error error = kvpbus_journal_peer_get(journal, peer, &now);
    if (error != KVPBUS_OK || !now.paired || memcmp(now.vm, from, sizeof now.vm) != 0)
        return error;
    error = keep_signed_vm(journal, peer);
    if (error == KVPBUS_OK)
        error = RUN(journal, "UPDATE peer SET vm = ?2 WHERE id = ?1", INT(peer),
                    BLOB(to, KVPBUS_VM_ID_BYTES));
    if (error == KVPBUS_OK)
        error = enter_rebound(journal, peer, from, to);
    return error == KVPBUS_OK ? drop_unfinished(journal, peer) : error;
}
