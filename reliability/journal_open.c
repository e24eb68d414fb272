// SPDX-License-Identifier: Apache-2.0
//
// Life of a journal and its transactions.
#include <sodium.h>
#include <stdio.h>
#include <unistd.h>

#include "file.h"
#include "journal_internal.h"

enum {
    DEFAULT_BOX = 256 * 1024 * 1024,
    DEFAULT_RESERVE = 1024 * 1024,
    DEFAULT_TRIES = 10,
    DEFAULT_AUDIT = 1000000,
    AUDIT_SHARE = 2048, // bytes of total_max for each entry, unless given
    AUDIT_BYTES = 512,  // of the file for an entry, at most
    DAY_MS = 24 * 60 * 60 * 1000,
    PAGES_MIN = 128,
    WAL_KEPT = 16 * 1024 * 1024, // bytes that the WAL file keeps after a checkpoint
};

static void fill_defaults(struct kvpbus_journal_options *options)
{
    if (options->outbox_max == 0)
        options->outbox_max = DEFAULT_BOX;
    if (options->inbox_max == 0)
        options->inbox_max = DEFAULT_BOX;
    if (options->total_max == 0)
        options->total_max = (uint64_t)8 * 1024 * 1024 * 1024;
    if (options->control_reserve == 0)
        options->control_reserve = DEFAULT_RESERVE;
    if (options->body_max == 0)
        options->body_max = KVPBUS_MESSAGE_DEFAULT_MAX;
    if (options->tries_max == 0)
        options->tries_max = DEFAULT_TRIES;
    if (options->history_ms == 0)
        options->history_ms = (uint64_t)7 * DAY_MS;
    uint64_t share = options->total_max / AUDIT_SHARE;
    if (options->audit_max == 0)
        options->audit_max = share < DEFAULT_AUDIT ? share : DEFAULT_AUDIT;
    if (options->audit_ms == 0)
        options->audit_ms = (uint64_t)365 * DAY_MS;
}

// Limits of a single peer, or of all.
static enum kvpbus_error check_quota(const struct kvpbus_journal_options *options,
                                     const struct kvpbus_quota *quota,
                                     struct kvpbus_failure *failure)
{
    uint64_t longest = options->body_max + options->control_reserve;
    if (quota->outbox_max > INT64_MAX / 4 || quota->inbox_max > INT64_MAX / 4)
        return kvpbus_fail(failure, KVPBUS_CONFIG, "a limit of the journal is out of range");
    if ((quota->outbox_max != 0 && longest > quota->outbox_max) ||
        (quota->inbox_max != 0 && longest > quota->inbox_max))
        return kvpbus_fail(
            failure, KVPBUS_CONFIG,
            "%.64s: outbox_max and inbox_max must hold control_reserve and body_max, "
            "%llu bytes",
            quota->peer, (unsigned long long)longest);
    if (quota->bulk_max != 0 && quota->bulk_max < options->body_max)
        return kvpbus_fail(failure, KVPBUS_CONFIG, "%.64s: bulk_max must hold body_max, %zu bytes",
                           quota->peer, options->body_max);
    return KVPBUS_OK;
}

static enum kvpbus_error check_options(const struct kvpbus_journal_options *options,
                                       struct kvpbus_failure *failure)
{
    uint64_t longest = options->body_max + options->control_reserve;
    if (options->body_max > UINT32_MAX / 2 || options->tries_max > TRIES_LIMIT ||
        options->history_ms > INT64_MAX / 2 || options->audit_ms > INT64_MAX / 2 ||
        options->audit_max > INT32_MAX || options->total_max > INT64_MAX / 2 ||
        options->outbox_max > INT64_MAX / 2 || options->inbox_max > INT64_MAX / 4 ||
        options->control_reserve > INT64_MAX / 4)
        return kvpbus_fail(failure, KVPBUS_CONFIG, "a limit of the journal is out of range");
    if (longest > options->outbox_max || longest > options->inbox_max ||
        longest > options->total_max)
        return kvpbus_fail(failure, KVPBUS_CONFIG,
                           "outbox_max, inbox_max and journal_max must each hold control_reserve "
                           "and body_max, %llu bytes",
                           (unsigned long long)longest);
    if (options->bulk_max != 0 && options->bulk_max < options->body_max)
        return kvpbus_fail(failure, KVPBUS_CONFIG, "bulk_max must hold body_max, %zu bytes",
                           options->body_max);
    enum kvpbus_error error = KVPBUS_OK;
    for (size_t i = 0; error == KVPBUS_OK && i < options->quota_count; i++)
        error = check_quota(options, &options->quotas[i], failure);
    return error;
}

enum kvpbus_error kvpbus_journal_check(const struct kvpbus_journal_options *options,
                                       struct kvpbus_failure *failure)
{
    struct kvpbus_journal_options whole = *options;
    fill_defaults(&whole);
    return check_options(&whole, failure);
}

// SQLite would make the file readable by others. A file that is there is not opened here: closing
// it again would give up the locks that this process may hold on it.
static enum kvpbus_error make_private(const char *path, struct kvpbus_failure *failure)
{
    int file = kvpbus_file_create(path);
    if (file >= 0) {
        close(file);
        return KVPBUS_OK;
    }
    int number = kvpbus_system_code();
    enum kvpbus_error code = kvpbus_system_error(number);
    if (code == KVPBUS_EXISTS)
        return KVPBUS_OK;
    if (code == KVPBUS_NOT_FOUND)
        code = KVPBUS_IO; // the folder
    kvpbus_fail(failure, code, "journal %s cannot be created: %s", path,
                kvpbus_system_text(number));
    if (failure != NULL)
        failure->os_code = number;
    return code;
}

static enum kvpbus_error configure(struct kvpbus_journal *journal)
{
    // Exclusive before the first access to the file: so the WAL needs no shared memory. EXTRA is
    // FULL for a WAL; for the rollback journal of the switch to it, it also syncs the removal:
    // otherwise a power cut could bring that journal back, and with it the empty file.
    enum kvpbus_error error = journal_exec(journal, "PRAGMA locking_mode = EXCLUSIVE;"
                                                    "PRAGMA synchronous = EXTRA;"
                                                    "PRAGMA journal_mode = WAL;"
                                                    "PRAGMA trusted_schema = OFF;"
                                                    "PRAGMA temp_store = MEMORY;"
                                                    "BEGIN IMMEDIATE; COMMIT");
    if (error == KVPBUS_OK)
        error = journal_schema(journal);
    if (error != KVPBUS_OK)
        return error;
    char text[128];
    // The audit goes on when the journal is full, so that it can be emptied then.
    int64_t bytes =
        (int64_t)(journal->options.total_max + journal->options.audit_max * AUDIT_BYTES);
    int64_t pages = bytes / journal->page_size;
    if (pages < PAGES_MIN)
        pages = PAGES_MIN;
    snprintf(text, sizeof text, "PRAGMA max_page_count = %lld; PRAGMA journal_size_limit = %d",
             (long long)(pages + SPARE_PAGES), WAL_KEPT);
    return journal_exec(journal, text);
}

// Consumers were connected to the process that had the journal before: their leases end. A bundle
// that was open then gets no more messages: after a restored backup its id would mean two contents.
static enum kvpbus_error take_over(struct kvpbus_journal *journal)
{
    int64_t next;
    enum kvpbus_error error = kvpbus_journal_begin(journal);
    if (error == KVPBUS_OK)
        error = journal_exec(journal, "UPDATE lane SET bundle = NULL;"
                                      "UPDATE inbox SET due_ms = 1 WHERE leased = 1");
    if (error == KVPBUS_OK)
        error = kvpbus_journal_leases_end(journal, 1, &next);
    if (error == KVPBUS_OK)
        return kvpbus_journal_commit(journal, NULL);
    kvpbus_journal_rollback(journal);
    return error;
}

static enum kvpbus_error open_file(struct kvpbus_journal *journal)
{
    if (journal->options.vfs == NULL) {
        enum kvpbus_error error = make_private(journal->path, &journal->failure);
        if (error != KVPBUS_OK)
            return error;
    }
    int code = sqlite3_open_v2(journal->path, &journal->db,
                               SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE | SQLITE_OPEN_NOMUTEX,
                               journal->options.vfs);
    if (code != SQLITE_OK)
        return journal_sqlite_error(journal, code, "be opened");
    sqlite3_extended_result_codes(journal->db, 1);
    enum kvpbus_error error = configure(journal);
    return error == KVPBUS_OK ? take_over(journal) : error;
}

enum kvpbus_error kvpbus_journal_open(const char *path,
                                      const struct kvpbus_journal_options *options,
                                      struct kvpbus_journal **out, struct kvpbus_failure *failure)
{
    *out = NULL;
    if (sodium_init() < 0)
        return kvpbus_fail(failure, KVPBUS_INTERNAL, "libsodium cannot start");
    struct kvpbus_journal *journal = calloc(1, sizeof *journal);
    char *copy = strdup(path);
    struct kvpbus_quota *quotas = calloc(options->quota_count + 1, sizeof *quotas);
    if (journal == NULL || copy == NULL || quotas == NULL) {
        free(journal);
        free(copy);
        free(quotas);
        return kvpbus_fail(failure, KVPBUS_NOMEM, "journal %s: out of memory", path);
    }
    journal->path = copy;
    journal->options = *options;
    if (options->quota_count > 0)
        memcpy(quotas, options->quotas, options->quota_count * sizeof *quotas);
    journal->quotas = quotas;
    journal->options.quotas = quotas;
    fill_defaults(&journal->options);
    enum kvpbus_error error = check_options(&journal->options, &journal->failure);
    if (error == KVPBUS_OK)
        error = open_file(journal);
    if (error == KVPBUS_OK) {
        *out = journal;
        return KVPBUS_OK;
    }
    if (failure != NULL)
        *failure = journal->failure;
    kvpbus_journal_close(journal);
    return error;
}

void kvpbus_journal_close(struct kvpbus_journal *journal)
{
    if (journal == NULL)
        return;
    kvpbus_journal_backup_end(journal, false);
    journal_finalize(journal);
    int code = sqlite3_close(journal->db);
    assert(code == SQLITE_OK);
    (void)code;
    free(journal->path);
    free(journal->quotas);
    free(journal);
}

// --- transactions ---

enum kvpbus_error kvpbus_journal_begin(struct kvpbus_journal *journal)
{
    assert(!journal->open);
    memset(&journal->failure, 0, sizeof journal->failure);
    memset(&journal->undone, 0, sizeof journal->undone);
    enum kvpbus_error error = journal_exec(journal, "BEGIN IMMEDIATE");
    journal->open = error == KVPBUS_OK;
    return error;
}

enum kvpbus_error kvpbus_journal_commit(struct kvpbus_journal *journal,
                                        struct kvpbus_failure *failure)
{
    assert(journal->open);
    enum kvpbus_error error = journal_still_open(journal);
    if (error == KVPBUS_OK)
        error = journal_run(journal, "COMMIT", NULL, 0);
    if (error == KVPBUS_OK) {
        journal->open = false;
        return KVPBUS_OK;
    }
    if (failure != NULL)
        *failure = journal->failure;
    kvpbus_journal_rollback(journal);
    return error;
}

void kvpbus_journal_rollback(struct kvpbus_journal *journal)
{
    // It may have been rolled back already, by the failure that led here; there is nothing to be
    // done about an error: what is not committed is gone with the connection at the latest.
    if (!sqlite3_get_autocommit(journal->db))
        sqlite3_exec(journal->db, "ROLLBACK", NULL, NULL, NULL);
    journal->open = false;
}

enum kvpbus_error kvpbus_journal_savepoint(struct kvpbus_journal *journal)
{
    assert(journal->open);
    return journal_run(journal, "SAVEPOINT part", NULL, 0);
}

enum kvpbus_error kvpbus_journal_release(struct kvpbus_journal *journal, bool keep)
{
    assert(journal->open);
    enum kvpbus_error error = KVPBUS_OK;
    if (!keep)
        error = journal_run(journal, "ROLLBACK TO part", NULL, 0);
    return error == KVPBUS_OK ? journal_run(journal, "RELEASE part", NULL, 0) : error;
}

const struct kvpbus_failure *kvpbus_journal_failure(const struct kvpbus_journal *journal)
{
    return &journal->failure;
}
