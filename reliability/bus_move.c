// SPDX-License-Identifier: Apache-2.0
//
// A VM goes to another host, and comes from one. The work is done outside of transactions, with
// some of its own; the link is made anew for what the row is then.
#include <sodium.h>
#include <stdio.h>

#include "audit_journal.h"
#include "bus_internal.h"
#include "file.h"

enum move { MOVE_OUT, MOVE_BACK, MOVE_IN };

struct move_job {
    struct bus_job head;
    enum move move;
    struct kvpbus_moving moving;
    uint8_t identity[KVPBUS_IDENTITY_BYTES], secret[KVPBUS_SECRET_BYTES];
    uint8_t vm[KVPBUS_VM_ID_BYTES];
    struct kvpbus_rotation rotation; // what my cores for the VM show
    bool moved;                      // the row is another one now
    struct kvpbus_peer peer;
    struct bus_memory memory;
    kvpbus_done_fn *callback;
    void *context;
};

static enum kvpbus_error seal(struct move_job *job, const uint8_t id[KVPBUS_MOVE_ID])
{
    struct kvpbus_parcel parcel = {.rotation = job->rotation};
    memcpy(parcel.from, job->identity, sizeof parcel.from);
    memcpy(parcel.to, job->moving.host, sizeof parcel.to);
    memcpy(parcel.id, id, sizeof parcel.id);
    memcpy(parcel.vm, job->peer.vm, sizeof parcel.vm);
    snprintf(parcel.name, sizeof parcel.name, "%s", job->peer.name);
    kvpbus_rotation_add(&parcel.rotation, KVPBUS_ROLE_HOST, job->peer.vm, job->identity,
                        job->secret, job->moving.host);
    return kvpbus_parcel_seal(job->moving.copy, job->moving.sealed, &parcel, job->secret,
                              &job->head.job.failure);
}

static enum kvpbus_error told(struct move_job *job, struct kvpbus_journal *journal,
                              enum kvpbus_error error)
{
    if (error != KVPBUS_OK)
        job->head.job.failure = *kvpbus_journal_failure(journal);
    return error;
}

static enum kvpbus_error move_out(struct move_job *job, struct kvpbus_journal *journal, int64_t row)
{
    uint8_t to[KVPBUS_IDENTITY_BYTES], id[KVPBUS_MOVE_ID];
    enum kvpbus_error error = told(job, journal, kvpbus_journal_peer_get(journal, row, &job->peer));
    if (error != KVPBUS_OK)
        return error;
    error = kvpbus_journal_moved(journal, row, to, id);
    if (error == KVPBUS_OK && memcmp(to, job->moving.host, sizeof to) != 0)
        return kvpbus_fail(&job->head.job.failure, KVPBUS_EXISTS,
                           "%s was exported for another host already; take it back first, with "
                           "--undo",
                           job->peer.name);
    if (error == KVPBUS_NOT_FOUND && job->peer.known &&
        kvpbus_rotation_forgets(&job->rotation, job->identity, job->peer.met))
        return kvpbus_fail(&job->head.job.failure, KVPBUS_BUSY,
                           "the agent of %.100s has not been here since its host's identity "
                           "changed %d times, and could not follow another one: start the VM on "
                           "this host once, then export it",
                           job->peer.name, KVPBUS_STATEMENTS_MAX);
    if (error == KVPBUS_NOT_FOUND) {
        randombytes_buf(id, sizeof id);
        error = told(job, journal,
                     kvpbus_journal_move_out(journal, row, job->moving.copy, job->moving.host, id));
        job->moved = error == KVPBUS_OK;
    } else {
        error = told(job, journal, error);
    }
    return error == KVPBUS_OK ? seal(job, id) : error;
}

static enum kvpbus_error move_in(struct move_job *job, struct kvpbus_journal *journal, int64_t row)
{
    struct kvpbus_parcel parcel;
    struct kvpbus_failure *failure = &job->head.job.failure;
    enum kvpbus_error error = kvpbus_parcel_open(job->moving.sealed, job->moving.copy,
                                                 job->identity, job->secret, &parcel, failure);
    if (error == KVPBUS_OK && memcmp(parcel.from, job->moving.host, sizeof parcel.from) != 0)
        error =
            kvpbus_fail(failure, KVPBUS_BAD_KEY,
                        "the file is from another host than the one whose fingerprint you gave");
    if (error == KVPBUS_OK && memcmp(parcel.vm, job->vm, sizeof parcel.vm) != 0)
        error = kvpbus_fail(failure, KVPBUS_INVALID_ARGUMENT, "the file is of another VM");
    if (error == KVPBUS_OK)
        error = told(job, journal,
                     kvpbus_journal_move_in(journal, row, job->moving.copy, &parcel,
                                            job->moving.replace, job->head.wall));
    job->moved = error == KVPBUS_OK;
    kvpbus_file_remove(job->moving.copy);
    return error;
}

static enum kvpbus_error move_after(struct kvpbus_job *base, struct kvpbus_journal *journal)
{
    struct move_job *job = (struct move_job *)base;
    int64_t row = job->head.peer;
    enum kvpbus_error error = KVPBUS_OK;
    kvpbus_journal_time(journal, job->head.wall);
    switch (job->move) {
    case MOVE_OUT:
        error = move_out(job, journal, row);
        break;
    case MOVE_BACK:
        error = told(job, journal, kvpbus_journal_move_back(journal, row, job->moving.copy));
        job->moved = error == KVPBUS_OK;
        break;
    case MOVE_IN:
        error = move_in(job, journal, row);
        break;
    }
    if (!job->moved)
        return error;
    // The journal has it now, whatever came of the file.
    enum kvpbus_error loaded = kvpbus_journal_peer_get(journal, row, &job->peer);
    if (loaded == KVPBUS_OK)
        loaded = bus_remember(journal, row, &job->memory);
    if (loaded == KVPBUS_OK)
        return error;
    job->moved = false;
    return told(job, journal, loaded);
}

static void move_finished(struct bus_job *base)
{
    static const char *const words[] = {
        [MOVE_OUT] = "it was exported: it is for another host to serve it",
        [MOVE_BACK] = "its export was undone",
        [MOVE_IN] = "it came from another host; its agent follows when it sees that",
    };
    struct move_job *job = (struct move_job *)base;
    if (job->moved) {
        bus_move_link(base->endpoint, &job->peer, &job->memory);
        base->bus->leases_at = base->bus->now; // those of the former host's consumers end
        base->endpoint->expire_at = base->bus->now;
        bus_event(base->endpoint, KVPBUS_EVENT_REBOUND, words[job->move]);
        bus_inbox(base->bus, base->endpoint->peer.id);
    }
    job->callback(job->context, bus_failure(base));
}

static void move_dispose(struct bus_job *base)
{
    struct move_job *job = (struct move_job *)base;
    sodium_memzero(job->secret, sizeof job->secret);
}

static void submit(struct kvpbus_endpoint *endpoint, enum move move,
                   const struct kvpbus_moving *moving, kvpbus_done_fn *callback, void *context)
{
    struct kvpbus_bus *bus = endpoint->bus;
    struct move_job *job = bus_job_new(sizeof *job, bus, endpoint, NULL, move_finished);
    job->head.job.after = move_after;
    job->head.dispose = move_dispose;
    job->move = move;
    job->moving = *moving;
    memcpy(job->identity, bus->options.identity, sizeof job->identity);
    memcpy(job->secret, bus->options.secret, sizeof job->secret);
    memcpy(job->vm, endpoint->peer.vm, sizeof job->vm);
    bus_statements(endpoint, &job->rotation);
    job->callback = callback;
    job->context = context;
    bus_submit(&job->head);
}

void kvpbus_bus_export(struct kvpbus_endpoint *endpoint, const struct kvpbus_moving *moving,
                       kvpbus_done_fn *callback, void *context)
{
    submit(endpoint, MOVE_OUT, moving, callback, context);
}

void kvpbus_bus_export_undo(struct kvpbus_endpoint *endpoint, const struct kvpbus_moving *moving,
                            kvpbus_done_fn *callback, void *context)
{
    submit(endpoint, MOVE_BACK, moving, callback, context);
}

void kvpbus_bus_import(struct kvpbus_endpoint *endpoint, const struct kvpbus_moving *moving,
                       kvpbus_done_fn *callback, void *context)
{
    submit(endpoint, MOVE_IN, moving, callback, context);
}
