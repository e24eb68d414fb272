// SPDX-License-Identifier: Apache-2.0
//
// Positions compared: who went back when what the peer says it has does not fit. Content decides
// (the print of a bundle's header), never numbers alone: after a revert a number may stand for two
// bundles.
#include <sodium.h>
#include <stdio.h>

#include "audit_journal.h"
#include "big_endian.h"
#include "journal_internal.h"

// A peer that goes back may take once more, in another order, what its ring held: a packet a slot,
// and of one class no more bundles in each than are in flight.
enum { DOUBT_MAX = 64 * KVPBUS_BUNDLE_WINDOW };

struct comparison {
    int64_t peer, line;             // `line`: what the peer takes from me; 0 nothing
    bool present;                   // that is my present timeline
    bool unknown;                   // I never had such a timeline
    bool other;                     // the peer holds what I do not have, or other content
    bool doubt[KVPBUS_CLASS_COUNT]; // one of us does not know all that is void
    bool fits[KVPBUS_CLASS_COUNT];  // what the peer has up to its floor is mine
    bool fork[KVPBUS_CLASS_COUNT];  // it has another content where mine was acknowledged
    bool crossed;                   // each of us holds what the other never sent
    bool forgotten;                 // the peer does not have what it had acknowledged
};

static bool zeros(const uint8_t *bytes, size_t length)
{
    return sodium_is_zero(bytes, length) != 0;
}

static enum kvpbus_error line_of(struct kvpbus_journal *journal, int64_t peer,
                                 const uint8_t timeline[KVPBUS_TIMELINE_BYTES], int64_t *line,
                                 bool *present)
{
    sqlite3_stmt *row;
    enum kvpbus_error error = GET(journal, &row,
                                  "SELECT line.id, line.id = peer.line FROM line JOIN peer ON "
                                  "peer.id = line.peer WHERE line.peer = ?1 AND timeline = ?2",
                                  INT(peer), BLOB(timeline, KVPBUS_TIMELINE_BYTES));
    if (error != KVPBUS_OK)
        return error;
    *line = sqlite3_column_int64(row, 0);
    *present = sqlite3_column_int(row, 1) != 0;
    journal_end(row);
    return KVPBUS_OK;
}

// The peer takes a timeline that I began in a life that was undone. What it had of mine before it,
// it may have lost meanwhile: the newest one that we both know tells.
static enum kvpbus_error find_former(struct kvpbus_journal *journal, struct kvpbus_sync *sync,
                                     struct comparison *of)
{
    int64_t unknown;
    bool present;
    of->unknown = true;
    // From now on it is a former one, which the peer may still name.
    enum kvpbus_error error = journal_add_line(journal, of->peer, sync->peer_timeline, &unknown);
    memset(sync->classes, 0, sizeof sync->classes);
    for (size_t i = 0; error == KVPBUS_OK && i < sync->former_count; i++) {
        const struct kvpbus_former *former = &sync->former[i];
        error = line_of(journal, of->peer, former->timeline, &of->line, &present);
        if (error == KVPBUS_OK) {
            for (int class_ = 0; class_ < KVPBUS_CLASS_COUNT; class_++)
                sync->classes[class_].floor = former->floors[class_];
            return KVPBUS_OK;
        }
        if (error == KVPBUS_NOT_FOUND)
            error = KVPBUS_OK;
    }
    return error;
}

static enum kvpbus_error find_line(struct kvpbus_journal *journal, struct kvpbus_sync *sync,
                                   struct comparison *of)
{
    if (zeros(sync->peer_timeline, sizeof sync->peer_timeline))
        return KVPBUS_OK;
    enum kvpbus_error error =
        line_of(journal, of->peer, sync->peer_timeline, &of->line, &of->present);
    return error == KVPBUS_NOT_FOUND ? find_former(journal, sync, of) : error;
}

struct own_bundle {
    uint8_t print[PRINT_BYTES];
    bool in_question; // all its messages, so that the peer may have it as void
    bool done;
};

// What I have as bundle `number` of the present timeline. KVPBUS_NOT_FOUND: I no longer know.
static enum kvpbus_error my_bundle(struct kvpbus_journal *journal, int64_t peer,
                                   const struct position *at, int class_, uint64_t number,
                                   struct own_bundle *mine)
{
    mine->in_question = false;
    mine->done = true;
    memcpy(mine->print, at->print, PRINT_BYTES);
    if (number == at->done)
        return KVPBUS_OK;
    sqlite3_stmt *row;
    enum kvpbus_error error =
        GET(journal, &row,
            "SELECT print, NOT EXISTS(SELECT 1 FROM message WHERE sent = sealed.id AND "
            "outcome = 0 AND gap = 0), done FROM sealed WHERE peer = ?1 AND line = ?2 AND "
            "class = ?3 AND number = ?4",
            INT(peer), INT(at->line), INT(class_), INT(number));
    if (error != KVPBUS_OK)
        return error;
    mine->in_question = sqlite3_column_int(row, 1) != 0;
    mine->done = sqlite3_column_int(row, 2) != 0;
    error = journal_bytes(journal, row, 0, mine->print, PRINT_BYTES);
    journal_end(row);
    return error;
}

// Two contents are two pasts of mine; when the peer had acknowledged the one, and has the other, it
// went back as well. What one has and the other calls void may be the peer's: an item that it read
// before it went back, and again afterwards, may have met its gap only once.
static void differ(struct comparison *of, int class_, const struct own_bundle *mine,
                   const uint8_t *print, const uint8_t theirs[PRINT_SHORT])
{
    if (zeros(print, PRINT_SHORT) || zeros(theirs, PRINT_SHORT)) {
        of->doubt[class_] = true;
        return;
    }
    of->other = true;
    of->fork[class_] |= mine->done;
}

// What one entry of SYNC says about my bundle `number`: is it that bundle?
static enum kvpbus_error check_entry(struct kvpbus_journal *journal, const struct position *at,
                                     int class_, uint64_t number, const uint8_t print[PRINT_SHORT],
                                     struct comparison *of, bool *same)
{
    struct own_bundle mine;
    *same = false;
    if (number >= at->next) {
        of->other = true;
        return KVPBUS_OK;
    }
    enum kvpbus_error error = my_bundle(journal, of->peer, at, class_, number, &mine);
    if (error == KVPBUS_NOT_FOUND) // older than what the history keeps
        return KVPBUS_OK;
    *same = memcmp(mine.print, print, PRINT_SHORT) == 0 ||
            (mine.in_question && zeros(print, PRINT_SHORT));
    if (error == KVPBUS_OK && !*same)
        differ(of, class_, &mine, mine.print, print);
    return error;
}

// The print of the floor tells the bundle by its second half; the first has the digest of what is
// void mixed in.
static enum kvpbus_error check_floor(struct kvpbus_journal *journal, const struct position *at,
                                     int class_, const struct kvpbus_sync_class *view,
                                     struct comparison *of, bool *same)
{
    struct own_bundle mine;
    const uint8_t *half = view->floor_id + PRINT_SHORT;
    *same = false;
    if (view->floor >= at->next) {
        of->other = true;
        return KVPBUS_OK;
    }
    enum kvpbus_error error = my_bundle(journal, of->peer, at, class_, view->floor, &mine);
    if (error == KVPBUS_NOT_FOUND) // older than what the history keeps
        return KVPBUS_OK;
    if (error != KVPBUS_OK)
        return error;
    if (mine.in_question && zeros(half, PRINT_SHORT))
        memset(mine.print, 0, sizeof mine.print);
    *same = memcmp(mine.print + PRINT_SHORT, half, PRINT_SHORT) == 0;
    if (!*same) {
        differ(of, class_, &mine, mine.print + PRINT_SHORT, half);
        return KVPBUS_OK;
    }
    error =
        journal_voids_fit(journal, of->peer, (enum kvpbus_class)class_, at,
                          kvpbus_get_be(view->floor_id, 8) ^ kvpbus_get_be(mine.print, 8), same);
    of->doubt[class_] |= !*same;
    return error;
}

// `void_`: the peer has the last of them as void.
static enum kvpbus_error mark_done(struct kvpbus_journal *journal, int64_t peer, int class_,
                                   int64_t line, uint64_t from, uint64_t to, bool void_)
{
    static const uint8_t none[PRINT_BYTES];
    for (;;) {
        sqlite3_stmt *row;
        enum kvpbus_error error =
            GET(journal, &row,
                "SELECT id, number FROM sealed WHERE peer = ?1 AND line = ?2 AND class = ?3 AND "
                "number BETWEEN ?4 AND ?5 AND done = 0 ORDER BY number LIMIT 1",
                INT(peer), INT(line), INT(class_), INT(from), INT(to));
        if (error != KVPBUS_OK)
            return error == KVPBUS_NOT_FOUND ? KVPBUS_OK : error;
        int64_t sealed = sqlite3_column_int64(row, 0);
        bool last = (uint64_t)sqlite3_column_int64(row, 1) == to;
        journal_end(row);
        error = journal_bundle_done(journal, peer, (enum kvpbus_class)class_, sealed,
                                    last && void_ ? none : NULL);
        if (error != KVPBUS_OK)
            return error;
    }
}

// Compares a class in my present timeline; what the peer has, and is the same, is delivered.
static enum kvpbus_error compare_class(struct kvpbus_journal *journal,
                                       const struct kvpbus_sync_class *view, int class_,
                                       struct comparison *of)
{
    struct position at;
    bool *fits = &of->fits[class_], same;
    enum kvpbus_error error = journal_position(journal, of->peer, (enum kvpbus_class)class_, &at);
    if (error == KVPBUS_OK)
        error = check_floor(journal, &at, class_, view, of, fits);
    if (error == KVPBUS_OK && *fits && view->floor > at.done)
        error = mark_done(journal, of->peer, class_, at.line, at.done + 1, view->floor,
                          zeros(view->floor_id + PRINT_SHORT, PRINT_SHORT));
    for (size_t i = 0; error == KVPBUS_OK && i < view->partial_count; i++)
        error = check_entry(journal, &at, class_, view->partial[i], view->partial_id[i], of, &same);
    for (size_t i = 0; error == KVPBUS_OK && i < view->complete_count; i++) {
        uint64_t number = view->complete[i];
        error = check_entry(journal, &at, class_, number, view->complete_id[i], of, &same);
        // When the floor does not fit, messages of this one may be void that I do not know of.
        if (error == KVPBUS_OK && *fits && same)
            error = mark_done(journal, of->peer, class_, at.line, number, number,
                              zeros(view->complete_id[i], PRINT_SHORT));
    }
    return error;
}

// Rows may have been pruned; how far a timeline was done is kept as long as the timeline.
static enum kvpbus_error compare_floors(struct kvpbus_journal *journal,
                                        const struct kvpbus_sync *sync, struct comparison *of)
{
    sqlite3_stmt *row;
    enum kvpbus_error error =
        GET(journal, &row,
            "SELECT 1 FROM line JOIN position ON position.line = line.id WHERE line.peer = ?1 AND "
            "(done > 0 OR voids != 0) AND (line.id > ?2 OR (line.id = ?2 AND "
            "((class = 0 AND done > ?3) OR (class = 1 AND done > ?4) OR (class = 2 AND done > ?5)"
            "))) LIMIT 1",
            INT(of->peer), INT(of->line), INT(sync->classes[0].floor), INT(sync->classes[1].floor),
            INT(sync->classes[2].floor));
    static_assert(KVPBUS_CLASS_COUNT == 3, "the query lists them");
    if (error == KVPBUS_OK) {
        journal_end(row);
        of->forgotten = true;
        return KVPBUS_OK;
    }
    return error == KVPBUS_NOT_FOUND ? KVPBUS_OK : error;
}

// `sync`: its classes become those of the timeline that is compared.
static enum kvpbus_error compare(struct kvpbus_journal *journal, struct kvpbus_sync *sync,
                                 struct comparison *of)
{
    enum kvpbus_error error = find_line(journal, sync, of);
    for (int i = 0; error == KVPBUS_OK && of->present && i < KVPBUS_CLASS_COUNT; i++)
        error = compare_class(journal, &sync->classes[i], i, of);
    if (error == KVPBUS_OK)
        error = compare_floors(journal, sync, of);
    if (error != KVPBUS_OK || of->forgotten)
        return error;
    int64_t sealed;
    error = journal_forgotten(journal, of->peer, of->line, sync, &sealed);
    of->forgotten = error == KVPBUS_OK;
    return error == KVPBUS_NOT_FOUND ? KVPBUS_OK : error;
}

// Whether I hold of the peer what it never sent by its own account: numbers of its timeline beyond
// its next one, or a later timeline.
static enum kvpbus_error peer_behind(struct kvpbus_journal *journal, int64_t peer,
                                     const struct kvpbus_sync *sync, bool *behind)
{
    sqlite3_stmt *row;
    enum kvpbus_error error =
        GET(journal, &row,
            "SELECT (now.timeline IS ?2 AND (EXISTS(SELECT 1 FROM floor WHERE source = now.id AND "
            "floor >= iif(class = 0, ?3, iif(class = 1, ?4, ?5))) OR EXISTS(SELECT 1 FROM arrived "
            "WHERE source = now.id AND number >= iif(class = 0, ?3, iif(class = 1, ?4, ?5))))) OR "
            "(now.timeline IS NOT ?2 AND EXISTS(SELECT 1 FROM source WHERE peer = ?1 AND "
            "timeline = ?2)) FROM peer JOIN source AS now ON now.id = peer.source WHERE "
            "peer.id = ?1",
            INT(peer), BLOB(sync->timeline, sizeof sync->timeline), INT(sync->classes[0].next),
            INT(sync->classes[1].next), INT(sync->classes[2].next));
    static_assert(KVPBUS_CLASS_COUNT == 3, "the query lists them");
    *behind = false;
    if (error != KVPBUS_OK) // nothing came yet
        return error == KVPBUS_NOT_FOUND ? KVPBUS_OK : error;
    *behind = sqlite3_column_int(row, 0) != 0;
    journal_end(row);
    return KVPBUS_OK;
}

// Neither is what I have of the peer what it sent in this past of it. Its timelines get names that
// it does not know, so that it settles what it has as delivered, and what expired, likewise.
static enum kvpbus_error disown(struct kvpbus_journal *journal, int64_t peer)
{
    uint8_t present[KVPBUS_TIMELINE_BYTES], former[KVPBUS_TIMELINE_BYTES];
    randombytes_buf(present, sizeof present);
    randombytes_buf(former, sizeof former);
    return RUN(journal,
               "UPDATE source SET timeline = iif(id = (SELECT source FROM peer WHERE id = ?1), "
               "?2, ?3) WHERE peer = ?1",
               INT(peer), BLOB(present, sizeof present), BLOB(former, sizeof former));
}

// What counts as delivered, or void, here may not be so for the peer: those bundles lose their
// outcome. Where both sides went back, what is not known to be shared may all be of another past.
static enum kvpbus_error settle_doubts(struct kvpbus_journal *journal,
                                       const struct kvpbus_sync *sync, const struct comparison *of)
{
    bool forked = of->crossed || of->fork[0] || of->fork[1] || of->fork[2];
    static_assert(KVPBUS_CLASS_COUNT == 3, "all of them");
    enum kvpbus_error error = KVPBUS_OK;
    for (int i = 0; error == KVPBUS_OK && i < KVPBUS_CLASS_COUNT; i++) {
        uint64_t floor = sync->classes[i].floor;
        uint64_t latest = floor > DOUBT_MAX ? floor - DOUBT_MAX : 0;
        if (forked && !of->fits[i])
            error = journal_doubt(journal, of->peer, of->line, i, 0);
        else if (of->doubt[i])
            error = journal_doubt(journal, of->peer, of->line, i, latest);
        else if (of->fork[i])
            error = journal_doubt(journal, of->peer, of->line, i, floor);
    }
    return error == KVPBUS_OK && forked ? disown(journal, of->peer) : error;
}

static bool sync_valid(const struct kvpbus_sync *sync)
{
    for (int i = 0; i < KVPBUS_CLASS_COUNT; i++) {
        const struct kvpbus_sync_class *view = &sync->classes[i];
        if (view->complete_count > KVPBUS_BUNDLE_WINDOW ||
            view->partial_count > KVPBUS_BUNDLE_WINDOW ||
            view->floor > INT64_MAX - KVPBUS_BUNDLE_WINDOW)
            return false;
    }
    return !zeros(sync->timeline, sizeof sync->timeline);
}

static enum kvpbus_error audit_reverted(struct kvpbus_journal *journal, int64_t peer,
                                        enum kvpbus_sync_verdict verdict, const char *note)
{
    char detail[KVPBUS_AUDIT_DETAIL_MAX + 1];
    const char *who = verdict == KVPBUS_SYNC_I_WENT_BACK ? "this side" : "the peer";
    snprintf(detail, sizeof detail, "%s%s%s", who, note[0] != '\0' ? " " : "", note);
    return kvpbus_journal_audit(journal, peer, KVPBUS_AUDIT_REVERTED, detail);
}

enum kvpbus_error kvpbus_journal_sync_apply(struct kvpbus_journal *journal, int64_t peer,
                                            const struct kvpbus_sync *sync, bool forced,
                                            int64_t now_ms, const char *note,
                                            enum kvpbus_sync_verdict *verdict)
{
    journal->now_ms = now_ms;
    *verdict = KVPBUS_SYNC_CONSISTENT;
    if (!sync_valid(sync))
        return kvpbus_fail(&journal->failure, KVPBUS_BAD_PACKET, "the peer's SYNC makes no sense");
    // A timeline that is new here is taken up when the peer has found its own memory in order.
    enum kvpbus_error error = RUN(journal, "UPDATE peer SET offered = ?2 WHERE id = ?1", INT(peer),
                                  BLOB(sync->timeline, sizeof sync->timeline));
    struct comparison of = {.peer = peer};
    struct kvpbus_sync theirs = *sync;
    if (error == KVPBUS_OK)
        error = compare(journal, &theirs, &of);
    if (error != KVPBUS_OK)
        return error;
    bool mine = of.unknown || of.other, doubt = of.doubt[0] || of.doubt[1] || of.doubt[2];
    static_assert(KVPBUS_CLASS_COUNT == 3, "all of them");
    if (mine || ((doubt || forced) && !of.forgotten))
        *verdict = KVPBUS_SYNC_I_WENT_BACK;
    else if (of.forgotten)
        *verdict = KVPBUS_SYNC_PEER_WENT_BACK;
    // Had only one of us gone back, the other would know all that it holds.
    bool behind = false;
    if (mine)
        error = peer_behind(journal, peer, sync, &behind);
    of.crossed = behind;
    if (error == KVPBUS_OK)
        error = journal_prove(journal, peer, !mine);
    if (error != KVPBUS_OK || *verdict == KVPBUS_SYNC_CONSISTENT)
        return error;
    if (note != NULL)
        error = audit_reverted(journal, peer, *verdict, note);
    if (error == KVPBUS_OK)
        error = journal_renew(journal, peer, of.line, &theirs);
    if (error == KVPBUS_OK)
        error = settle_doubts(journal, &theirs, &of);
    return error == KVPBUS_OK ? journal_trim_lines(journal, peer, of.line) : error;
}
