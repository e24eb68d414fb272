// SPDX-License-Identifier: Apache-2.0
//
// Where the peer's bundles stand here.
#include "journal_internal.h"

// --- the peer's timeline ---
// What is whole stays, and goes to consumers before anything newer; what is not comes again under a
// new number.
static enum kvpbus_error drop_unfinished(struct kvpbus_journal *journal, int64_t peer)
{
    enum kvpbus_error error =
        RUN(journal,
            "DELETE FROM held WHERE arrived IN (SELECT id FROM arrived WHERE peer = ?1 AND "
            "state = 0)",
            INT(peer));
    return error == KVPBUS_OK
               ? RUN(journal, "DELETE FROM arrived WHERE peer = ?1 AND state = 0", INT(peer))
               : error;
}

static enum kvpbus_error take_up(struct kvpbus_journal *journal, int64_t peer, int64_t *source)
{
    enum kvpbus_error error = drop_unfinished(journal, peer);
    if (error == KVPBUS_OK)
        error = RUN(journal,
                    "INSERT INTO source(peer, timeline) SELECT id, offered FROM peer WHERE id = ?1",
                    INT(peer));
    *source = sqlite3_last_insert_rowid(journal->db);
    for (int i = 0; error == KVPBUS_OK && i < KVPBUS_CLASS_COUNT; i++)
        error =
            RUN(journal, "INSERT INTO floor(source, class) VALUES(?1, ?2)", INT(*source), INT(i));
    if (error == KVPBUS_OK)
        error = RUN(journal, "UPDATE peer SET source = ?2 WHERE id = ?1", INT(peer), INT(*source));
    return error;
}

enum kvpbus_error journal_arrive(struct kvpbus_journal *journal, int64_t peer,
                                 enum kvpbus_class class_, struct arrival *arrival)
{
    sqlite3_stmt *row;
    *arrival = (struct arrival){.peer = peer, .class_ = class_};
    enum kvpbus_error error =
        GET(journal, &row,
            "SELECT peer.source, offered IS NULL, offered IS NOT source.timeline, floor FROM peer "
            "LEFT JOIN source ON source.id = peer.source "
            "LEFT JOIN floor ON floor.source = peer.source AND floor.class = ?2 WHERE peer.id = ?1",
            INT(peer), INT(class_));
    if (error == KVPBUS_NOT_FOUND)
        return kvpbus_fail(&journal->failure, KVPBUS_NOT_FOUND, "the journal knows no such peer");
    if (error != KVPBUS_OK)
        return error;
    arrival->source = sqlite3_column_int64(row, 0);
    bool none = sqlite3_column_int(row, 1) != 0, other = sqlite3_column_int(row, 2) != 0;
    arrival->floor = (uint64_t)sqlite3_column_int64(row, 3);
    journal_end(row);
    if (none)
        return kvpbus_fail(&journal->failure, KVPBUS_BAD_PACKET,
                           "the peer sends before it has said where it stands");
    if (!other)
        return KVPBUS_OK;
    arrival->floor = 0;
    return take_up(journal, peer, &arrival->source);
}

enum kvpbus_error kvpbus_journal_agreed(struct kvpbus_journal *journal, int64_t peer,
                                        const uint8_t timeline[KVPBUS_TIMELINE_BYTES])
{
    sqlite3_stmt *row;
    enum kvpbus_error error =
        GET(journal, &row, "SELECT 1 FROM peer WHERE id = ?1 AND offered = ?2 AND source != 0",
            INT(peer), BLOB(timeline, KVPBUS_TIMELINE_BYTES));
    if (error != KVPBUS_OK)
        return error == KVPBUS_NOT_FOUND ? KVPBUS_OK : error;
    journal_end(row);
    struct arrival arrival;
    return journal_arrive(journal, peer, KVPBUS_CLASS_CONTROL, &arrival);
}

enum kvpbus_error journal_find_arrived(struct kvpbus_journal *journal,
                                       const struct arrival *arrival, uint64_t number,
                                       struct arrived *arrived)
{
    sqlite3_stmt *row;
    *arrived = (struct arrived){.number = number, .state = ARRIVED_PART};
    enum kvpbus_error error = GET(journal, &row,
                                  "SELECT id, state, total, held, resumed, print FROM arrived "
                                  "WHERE source = ?1 AND class = ?2 AND number = ?3",
                                  INT(arrival->source), INT(arrival->class_), INT(number));
    if (error != KVPBUS_OK)
        return error == KVPBUS_NOT_FOUND ? KVPBUS_OK : error;
    arrived->id = sqlite3_column_int64(row, 0);
    arrived->state = (enum arrived_state)sqlite3_column_int(row, 1);
    arrived->total = (uint32_t)sqlite3_column_int64(row, 2);
    arrived->held = (uint32_t)sqlite3_column_int64(row, 3);
    arrived->resumed = sqlite3_column_int(row, 4) != 0;
    arrived->known = sqlite3_column_type(row, 5) != SQLITE_NULL;
    if (arrived->known)
        error = journal_bytes(journal, row, 5, arrived->print, sizeof arrived->print);
    journal_end(row);
    return error;
}

enum kvpbus_error journal_make_arrived(struct kvpbus_journal *journal,
                                       const struct arrival *arrival, struct arrived *arrived)
{
    enum kvpbus_error error =
        RUN(journal, "INSERT INTO arrived(peer, source, class, number) VALUES(?1, ?2, ?3, ?4)",
            INT(arrival->peer), INT(arrival->source), INT(arrival->class_), INT(arrived->number));
    arrived->id = sqlite3_last_insert_rowid(journal->db);
    return error;
}
