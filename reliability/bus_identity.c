// SPDX-License-Identifier: Apache-2.0
//
// Identities: this side's new one, and what the peer's hello shows: one to be paired, a new one
// that the pinned one has signed, another id of this VM.
#include "audit_journal.h"
#include "bus_internal.h"
#include "kvpbus/identity.h"

// --- this side's own ---

void bus_statements(const struct kvpbus_endpoint *endpoint, struct kvpbus_rotation *joined)
{
    const struct kvpbus_bus *bus = endpoint->bus;
    kvpbus_rotation_join(&bus->rotation, bus->options.identity, &endpoint->chain, joined);
}

void kvpbus_bus_follows(struct kvpbus_bus *bus, const struct kvpbus_rotation *rotation)
{
    bus->rotation = *rotation;
    if (rotation->length > 0) // the program may have died between the new key and the audit of it
        bus_audit_key(bus);
}

void kvpbus_bus_rotate(struct kvpbus_bus *bus, const uint8_t identity[KVPBUS_IDENTITY_BYTES],
                       const uint8_t secret[KVPBUS_SECRET_BYTES],
                       const struct kvpbus_rotation *rotation)
{
    memcpy(bus->options.identity, identity, sizeof bus->options.identity);
    memcpy(bus->options.secret, secret, sizeof bus->options.secret);
    bus->rotation = *rotation;
    for (size_t i = 0; i < bus->endpoint_count; i++) {
        struct kvpbus_endpoint *endpoint = bus->endpoints[i];
        if (endpoint->link == NULL)
            continue; // it gets all of this when its journal has been read
        struct kvpbus_rotation joined;
        bus_statements(endpoint, &joined);
        kvpbus_link_rotate(endpoint->link, identity, secret, joined.bytes, joined.length, bus->now);
        bus_drain(endpoint);
    }
    bus_audit_key(bus);
}

const struct kvpbus_peer *kvpbus_bus_left_behind(const struct kvpbus_bus *bus)
{
    for (size_t i = 0; i < bus->endpoint_count; i++) {
        const struct kvpbus_peer *peer = &bus->endpoints[i]->peer;
        struct kvpbus_rotation shown;
        bus_statements(bus->endpoints[i], &shown);
        if (peer->paired && peer->known &&
            kvpbus_rotation_forgets(&shown, bus->options.identity, peer->met))
            return peer;
    }
    return NULL;
}

// --- the peer shows one ---

struct pending_job {
    struct bus_job head;
    bool pin; // the pinned key itself, that only lacked the VM id
    uint8_t identity[KVPBUS_IDENTITY_BYTES], mine[KVPBUS_IDENTITY_BYTES];
    uint8_t vm[KVPBUS_VM_ID_BYTES];
    bool tell;
    char detail[KVPBUS_AUDIT_DETAIL_MAX + 1];
    bool proves; // an enrolment token
    struct kvpbus_proof proof;
    int64_t wall;
    bool enrolled;
    struct kvpbus_failure refusal; // why the proof was not believed
    struct kvpbus_peer peer;
};

static enum kvpbus_error judge_pending(struct pending_job *job, struct kvpbus_journal *journal)
{
    int64_t peer = job->head.peer;
    if (job->pin)
        return kvpbus_journal_pin(journal, peer, job->identity, job->vm);
    if (!job->proves)
        return kvpbus_journal_pending(journal, peer, job->identity);
    enum kvpbus_error error = kvpbus_journal_enroll(journal, peer, &job->proof, job->wall);
    job->enrolled = error == KVPBUS_OK;
    if (error != KVPBUS_BAD_TOKEN)
        return error;
    job->refusal = *kvpbus_journal_failure(journal);
    return kvpbus_journal_pending(journal, peer, job->identity);
}

static enum kvpbus_error pending_run(struct kvpbus_job *base, struct kvpbus_journal *journal)
{
    struct pending_job *job = (struct pending_job *)base;
    enum kvpbus_error error = judge_pending(job, journal);
    if (error == KVPBUS_OK)
        error = kvpbus_journal_introduced(journal, job->head.peer, job->mine);
    if (error == KVPBUS_OK && job->tell)
        error = kvpbus_journal_audit(journal, job->head.peer, KVPBUS_AUDIT_SHOWN, job->detail);
    if (error == KVPBUS_OK)
        error = kvpbus_journal_peer_get(journal, job->head.peer, &job->peer);
    return bus_noted(base, journal, error);
}

static void pending_finished(struct bus_job *base)
{
    struct pending_job *job = (struct pending_job *)base;
    struct kvpbus_endpoint *endpoint = base->endpoint;
    // One that proves something wrong comes again with each of its cores.
    bool said = job->refusal.code != KVPBUS_OK && endpoint->peer.pending &&
                memcmp(endpoint->peer.pending_identity, job->identity, sizeof job->identity) == 0;
    endpoint->peer = job->peer;
    if (job->enrolled)
        bus_event(endpoint, KVPBUS_EVENT_CHANGED, "paired: it has shown its enrolment token");
    if (job->refusal.code != KVPBUS_OK)
        bus_enrolment_refused(endpoint, &job->refusal);
    if (job->pin || job->enrolled)
        bus_pinned(endpoint);
    else if (!said)
        bus_event(endpoint, KVPBUS_EVENT_PENDING,
                  "an identity waits for pairing: compare fingerprints, then 'kvpbus pair'");
}

void bus_take_pending(struct kvpbus_endpoint *endpoint, const struct kvpbus_link_event *event)
{
    struct pending_job *job =
        bus_job_new(sizeof *job, endpoint->bus, endpoint, pending_run, pending_finished);
    memcpy(job->identity, event->identity, sizeof job->identity);
    memcpy(job->mine, endpoint->bus->options.identity, sizeof job->mine);
    memcpy(job->vm, event->vm, sizeof job->vm);
    memcpy(endpoint->pending_vm, event->vm, sizeof endpoint->pending_vm);
    job->pin = endpoint->peer.paired &&
               memcmp(endpoint->peer.identity, event->identity, sizeof job->identity) == 0;
    char shown[KVPBUS_FINGERPRINT_TEXT];
    kvpbus_fingerprint(event->identity, shown);
    job->tell = !job->pin && bus_audit_limit(endpoint, AUDIT_LIMIT_SHOWN, shown, job->detail);
    job->proves = bus_proof(endpoint, event, &job->proof);
    job->wall = endpoint->bus->wall;
    job->head.needed = true;
    bus_submit(&job->head);
}

// --- the peer's new identity ---

struct follow_job {
    struct bus_job head;
    uint8_t from[KVPBUS_IDENTITY_BYTES], to[KVPBUS_IDENTITY_BYTES];
    struct kvpbus_peer peer;
};

static enum kvpbus_error follow_run(struct kvpbus_job *base, struct kvpbus_journal *journal)
{
    struct follow_job *job = (struct follow_job *)base;
    int64_t peer = job->head.peer;
    enum kvpbus_error error = kvpbus_journal_follow(journal, peer, job->from, job->to);
    if (error == KVPBUS_OK)
        error = kvpbus_journal_peer_get(journal, peer, &job->peer);
    return bus_noted(base, journal, error);
}

static void follow_finished(struct bus_job *base)
{
    struct follow_job *job = (struct follow_job *)base;
    struct kvpbus_endpoint *endpoint = base->endpoint;
    endpoint->peer = job->peer;
    if (endpoint->peer.paired && memcmp(endpoint->peer.identity, job->to, sizeof job->to) == 0)
        bus_event(endpoint, KVPBUS_EVENT_ROTATED,
                  "the peer has a new identity, which its old one has signed; it is trusted in "
                  "its place");
    bus_pinned(endpoint);
}

void bus_follow(struct kvpbus_endpoint *endpoint, const struct kvpbus_link_event *event)
{
    struct follow_job *job =
        bus_job_new(sizeof *job, endpoint->bus, endpoint, follow_run, follow_finished);
    memcpy(job->from, endpoint->peer.identity, sizeof job->from);
    memcpy(job->to, event->identity, sizeof job->to);
    job->head.needed = true;
    bus_submit(&job->head);
}

// --- this VM's new id ---

struct rebound_job {
    struct bus_job head;
    uint8_t from[KVPBUS_VM_ID_BYTES], to[KVPBUS_VM_ID_BYTES];
    struct kvpbus_peer peer;
};

static enum kvpbus_error rebound_run(struct kvpbus_job *base, struct kvpbus_journal *journal)
{
    struct rebound_job *job = (struct rebound_job *)base;
    int64_t peer = job->head.peer;
    enum kvpbus_error error = kvpbus_journal_rebound(journal, peer, job->from, job->to);
    if (error == KVPBUS_OK)
        error = kvpbus_journal_peer_get(journal, peer, &job->peer);
    return bus_noted(base, journal, error);
}

static void rebound_finished(struct bus_job *base)
{
    struct rebound_job *job = (struct rebound_job *)base;
    struct kvpbus_endpoint *endpoint = base->endpoint;
    endpoint->peer = job->peer;
    if (memcmp(endpoint->peer.vm, job->to, sizeof job->to) == 0)
        bus_event(endpoint, KVPBUS_EVENT_REBOUND,
                  "the host knows this VM under another id now, by its operator's word; it goes on "
                  "under that");
    bus_pinned(endpoint);
}

void bus_go_on_as(struct kvpbus_endpoint *endpoint, const struct kvpbus_link_event *event)
{
    struct rebound_job *job =
        bus_job_new(sizeof *job, endpoint->bus, endpoint, rebound_run, rebound_finished);
    memcpy(job->from, endpoint->peer.vm, sizeof job->from);
    memcpy(job->to, event->vm, sizeof job->to);
    job->head.needed = true;
    bus_submit(&job->head);
}

void bus_pinned(struct kvpbus_endpoint *endpoint)
{
    kvpbus_link_pin(endpoint->link, endpoint->peer.paired ? endpoint->peer.identity : NULL,
                    endpoint->peer.vm, endpoint->bus->now);
}
