// SPDX-License-Identifier: Apache-2.0
//
// What the link asks of the journal, as jobs, and what becomes of the answers.
#include "audit_journal.h"
#include "bus_internal.h"

enum kvpbus_error bus_noted(struct kvpbus_job *job, struct kvpbus_journal *journal,
                            enum kvpbus_error error)
{
    if (error != KVPBUS_OK)
        job->failure = *kvpbus_journal_failure(journal);
    return error;
}

// --- epochs ---

struct epoch_job {
    struct bus_job head;
    bool mine;
    uint8_t epoch[KVPBUS_EPOCH_BYTES];
};

static enum kvpbus_error epoch_run(struct kvpbus_job *base, struct kvpbus_journal *journal)
{
    struct epoch_job *job = (struct epoch_job *)base;
    return bus_noted(base, journal,
                     kvpbus_journal_epoch_add(journal, job->head.peer, job->mine, job->epoch));
}

static void epoch_finished(struct bus_job *base)
{
    struct epoch_job *job = (struct epoch_job *)base;
    if (job->mine)
        kvpbus_link_epoch_recorded(base->endpoint->link, job->epoch, base->bus->now);
}

static void record_epoch(struct kvpbus_endpoint *endpoint, const struct kvpbus_link_event *event)
{
    struct epoch_job *job =
        bus_job_new(sizeof *job, endpoint->bus, endpoint, epoch_run, epoch_finished);
    job->mine = event->kind == KVPBUS_LINK_NEW_EPOCH;
    memcpy(job->epoch, event->epoch, sizeof job->epoch);
    job->head.needed = true;
    bus_submit(&job->head);
}

// --- positions ---

struct sync_job {
    struct bus_job head;
    struct kvpbus_sync sync;
    uint64_t room[KVPBUS_CLASS_COUNT];
    enum kvpbus_sync_verdict verdict;
    struct kvpbus_peer peer;
    int64_t wall;
    bool tell; // in the audit, of a revert
    char note[KVPBUS_AUDIT_DETAIL_MAX + 1];
};

static enum kvpbus_error sync_make_run(struct kvpbus_job *base, struct kvpbus_journal *journal)
{
    struct sync_job *job = (struct sync_job *)base;
    int64_t peer = job->head.peer;
    enum kvpbus_error error = kvpbus_journal_sync_make(journal, peer, &job->sync);
    if (error == KVPBUS_OK)
        error = kvpbus_journal_room(journal, peer, job->room);
    return bus_noted(base, journal, error);
}

static void sync_make_finished(struct bus_job *base)
{
    struct sync_job *job = (struct sync_job *)base;
    if (base->job.result != KVPBUS_OK)
        return; // its session is over
    kvpbus_link_room(base->endpoint->link, job->room);
    kvpbus_link_sync_ready(base->endpoint->link, base->session, &job->sync, base->bus->now);
}

static void make_sync(struct kvpbus_endpoint *endpoint, uint32_t session)
{
    struct sync_job *job =
        bus_job_new(sizeof *job, endpoint->bus, endpoint, sync_make_run, sync_make_finished);
    job->head.session = session;
    job->head.needed = job->head.of_session = true;
    bus_submit(&job->head);
}

static enum kvpbus_error sync_apply_run(struct kvpbus_job *base, struct kvpbus_journal *journal)
{
    struct sync_job *job = (struct sync_job *)base;
    int64_t peer = job->head.peer;
    enum kvpbus_error error = kvpbus_journal_sync_apply(
        journal, peer, &job->sync, false, job->wall, job->tell ? job->note : NULL, &job->verdict);
    if (error == KVPBUS_OK)
        error = kvpbus_journal_peer_get(journal, peer, &job->peer);
    return bus_noted(base, journal, error);
}

static void sync_apply_finished(struct bus_job *base)
{
    struct sync_job *job = (struct sync_job *)base;
    struct kvpbus_endpoint *endpoint = base->endpoint;
    if (base->job.result != KVPBUS_OK)
        return; // its session is over
    memcpy(endpoint->peer.timeline, job->peer.timeline, sizeof endpoint->peer.timeline);
    memcpy(endpoint->offered, job->sync.timeline, sizeof endpoint->offered);
    bool consistent = job->verdict == KVPBUS_SYNC_CONSISTENT;
    bool current = base->session == endpoint->session;
    kvpbus_link_sync_done(endpoint->link, base->session, consistent, base->bus->now);
    if (!consistent) {
        bus_audit_count(endpoint, AUDIT_LIMIT_REVERTS, job->tell);
        bus_event(
            endpoint, KVPBUS_EVENT_WENT_BACK,
            job->verdict == KVPBUS_SYNC_I_WENT_BACK
                ? "this side was reverted: what is queued goes out in a new timeline"
                : "the peer was reverted: messages that it had and lost are listed as unknown");
    } else if (current) {
        feed_begin(endpoint, &job->sync);
    }
    bus_outcome(base->bus, endpoint->peer.id);
}

static void apply_sync(struct kvpbus_endpoint *endpoint, const struct kvpbus_link_event *event)
{
    struct sync_job *job =
        bus_job_new(sizeof *job, endpoint->bus, endpoint, sync_apply_run, sync_apply_finished);
    job->head.session = event->session;
    job->sync = event->sync;
    job->wall = endpoint->bus->wall;
    job->tell = bus_audit_may(endpoint, AUDIT_LIMIT_REVERTS, "", job->note);
    job->head.needed = job->head.of_session = true;
    bus_submit(&job->head);
}

struct agreed_job {
    struct bus_job head;
    uint8_t identity[KVPBUS_IDENTITY_BYTES];
    uint8_t timeline[KVPBUS_TIMELINE_BYTES];
    bool tell;
    char detail[KVPBUS_AUDIT_DETAIL_MAX + 1];
};

static enum kvpbus_error agreed_run(struct kvpbus_job *base, struct kvpbus_journal *journal)
{
    struct agreed_job *job = (struct agreed_job *)base;
    int64_t peer = job->head.peer;
    enum kvpbus_error error = kvpbus_journal_agreed(journal, peer, job->timeline);
    if (error == KVPBUS_OK)
        error = kvpbus_journal_met(journal, peer, job->identity);
    if (error == KVPBUS_OK && job->tell)
        error = kvpbus_journal_audit(journal, peer, KVPBUS_AUDIT_SESSION, job->detail);
    return bus_noted(base, journal, error);
}

static void agreed_finished(struct bus_job *base)
{
    struct agreed_job *job = (struct agreed_job *)base;
    if (base->job.result == KVPBUS_OK) {
        base->endpoint->peer.known = true;
        memcpy(base->endpoint->peer.met, job->identity, sizeof job->identity);
    }
    bus_inbox(base->bus, base->endpoint->peer.id);
}

static void agree(struct kvpbus_endpoint *endpoint)
{
    struct agreed_job *job =
        bus_job_new(sizeof *job, endpoint->bus, endpoint, agreed_run, agreed_finished);
    memcpy(job->timeline, endpoint->offered, sizeof job->timeline);
    memcpy(job->identity, endpoint->bus->options.identity, sizeof job->identity);
    job->tell = bus_audit_limit(endpoint, AUDIT_LIMIT_SESSIONS, "", job->detail);
    job->head.needed = job->head.of_session = true;
    bus_submit(&job->head);
}

// --- packets ---

struct packet_job {
    struct bus_job head;
    struct kvpbus_link_packet *packet;
    int64_t wall;
    size_t messages;
    bool receipts; // outcomes changed
    int64_t due;   // the peer to be told of some, 0 none
    bool fork;
    struct kvpbus_failure refusal; // why a bundle of the packet was refused
    // An answer for each gap, and one for each bundle that is refused.
    struct kvpbus_gap_answer answers[2 * KVPBUS_LINK_FRAMES_MAX];
    size_t answer_count;
    uint64_t room[KVPBUS_CLASS_COUNT];
};

static enum kvpbus_error commit_fragments(struct packet_job *job, struct kvpbus_journal *journal)
{
    const struct kvpbus_link_packet *packet = job->packet;
    for (size_t i = 0; i < packet->fragment_count; i++) {
        struct kvpbus_fragment_result result;
        enum kvpbus_error error = kvpbus_journal_fragment(
            journal, job->head.peer, &packet->fragments[i], job->wall, &result);
        job->fork |= result.fork;
        if (error != KVPBUS_OK)
            return error;
        job->messages += result.messages;
        job->receipts |= result.receipts;
        if (!result.refused)
            continue;
        job->refusal = *kvpbus_journal_failure(journal);
        job->answers[job->answer_count++] = (struct kvpbus_gap_answer){
            .class_ = packet->fragments[i].class_,
            .number = packet->fragments[i].number,
            .answers = {KVPBUS_ANSWER_REFUSED},
        };
    }
    return KVPBUS_OK;
}

static enum kvpbus_error packet_run(struct kvpbus_job *base, struct kvpbus_journal *journal)
{
    struct packet_job *job = (struct packet_job *)base;
    const struct kvpbus_link_packet *packet = job->packet;
    int64_t peer = job->head.peer;
    job->messages = job->answer_count = 0;
    job->receipts = false;
    job->refusal.code = KVPBUS_OK;
    enum kvpbus_error error = commit_fragments(job, journal);
    for (size_t i = 0; error == KVPBUS_OK && i < packet->gap_count; i++)
        error = kvpbus_journal_gap(journal, peer, &packet->gaps[i], job->wall,
                                   &job->answers[job->answer_count++]);
    for (size_t i = 0; error == KVPBUS_OK && i < packet->answer_count; i++)
        error = kvpbus_journal_gap_answered(journal, peer, &packet->answers[i]);
    if (error == KVPBUS_OK)
        error = kvpbus_journal_room(journal, peer, job->room);
    job->due = kvpbus_journal_receipts_due(journal);
    return bus_noted(base, journal, error);
}

static void packet_finished(struct bus_job *base)
{
    struct packet_job *job = (struct packet_job *)base;
    struct kvpbus_endpoint *endpoint = base->endpoint;
    const struct kvpbus_link_packet *packet = job->packet;
    enum kvpbus_error error = base->job.result;
    if (error != KVPBUS_OK) {
        bool fatal = error == KVPBUS_BAD_PACKET || error == KVPBUS_CREDIT;
        if (!base->bus->journal_failing || fatal)
            bus_event(endpoint, KVPBUS_EVENT_ALARM, base->job.failure.detail);
        if (fatal)
            bus_audit_alarm(endpoint, job->fork ? KVPBUS_AUDIT_FORK : KVPBUS_AUDIT_ALARM,
                            base->job.failure.detail);
        base->bus->journal_failing |= !fatal;
        kvpbus_link_refused(endpoint->link, packet->session, packet->number, fatal, base->bus->now);
        return;
    }
    bus_room(endpoint, job->room);
    kvpbus_link_committed(endpoint->link, packet->session, packet->number, base->bus->now);
    for (size_t i = 0; i < job->answer_count; i++)
        feed_answer(endpoint, &job->answers[i]);
    if (job->fork)
        bus_event(endpoint, KVPBUS_EVENT_ALARM,
                  "the peer used one position for two bundles: the second was refused");
    if (job->refusal.code != KVPBUS_OK) {
        kvpbus_failure_wrap(&job->refusal, "a bundle was refused, and its sender is told");
        bus_event(endpoint, KVPBUS_EVENT_ALARM, job->refusal.detail);
    }
    if (job->messages > 0)
        bus_inbox(base->bus, endpoint->peer.id);
    for (size_t i = 0; i < packet->answer_count; i++) {
        const struct kvpbus_gap_answer *answer = &packet->answers[i];
        if (answer->count == 0 && packet->session == endpoint->session)
            kvpbus_link_answered(endpoint->link, answer->class_, answer->number);
        feed_answered(endpoint, answer);
    }
    feed_receipts(base->bus, job->due);
    if (packet->answer_count > 0 || job->receipts)
        bus_outcome(base->bus, endpoint->peer.id);
}

static void packet_dispose(struct bus_job *base)
{
    free(((struct packet_job *)base)->packet);
}

static void commit_packet(struct kvpbus_endpoint *endpoint, struct kvpbus_link_packet *packet)
{
    struct packet_job *job =
        bus_job_new(sizeof *job, endpoint->bus, endpoint, packet_run, packet_finished);
    job->packet = packet;
    job->wall = endpoint->bus->wall;
    job->head.dispose = packet_dispose;
    endpoint->packets++;
    bus_submit(&job->head);
}

// --- bytes of a bundle ---

struct want_job {
    struct bus_job head;
    struct kvpbus_link_want want;
    uint8_t data[KVPBUS_LINK_CHUNK];
};

static enum kvpbus_error want_run(struct kvpbus_job *base, struct kvpbus_journal *journal)
{
    struct want_job *job = (struct want_job *)base;
    enum kvpbus_error error =
        kvpbus_journal_read_sealed(journal, job->head.peer, job->want.class_, job->want.number,
                                   job->want.offset, job->data, job->want.length);
    // A bundle that was answered or renumbered meanwhile; the link has forgotten it too.
    if (error == KVPBUS_NOT_FOUND)
        job->want.length = 0;
    return error == KVPBUS_NOT_FOUND ? KVPBUS_OK : bus_noted(base, journal, error);
}

static void want_finished(struct bus_job *base)
{
    struct want_job *job = (struct want_job *)base;
    if (job->want.length > 0)
        kvpbus_link_supply(base->endpoint->link, &job->want, job->data);
}

static void read_want(struct kvpbus_endpoint *endpoint, const struct kvpbus_link_want *want)
{
    struct want_job *job =
        bus_job_new(sizeof *job, endpoint->bus, endpoint, want_run, want_finished);
    job->want = *want;
    job->head.needed = job->head.of_session = true;
    bus_submit(&job->head);
}

// --- delivered ---

struct delivered_job {
    struct bus_job head;
    enum kvpbus_class class_;
    uint64_t number;
};

static enum kvpbus_error delivered_run(struct kvpbus_job *base, struct kvpbus_journal *journal)
{
    struct delivered_job *job = (struct delivered_job *)base;
    enum kvpbus_error error =
        kvpbus_journal_delivered(journal, job->head.peer, job->class_, job->number);
    return error == KVPBUS_NOT_FOUND ? KVPBUS_OK : bus_noted(base, journal, error);
}

static void delivered_finished(struct bus_job *base)
{
    struct delivered_job *job = (struct delivered_job *)base;
    feed_again(base->endpoint, job->class_);
    bus_outcome(base->bus, base->endpoint->peer.id);
}

static void mark_delivered(struct kvpbus_endpoint *endpoint, const struct kvpbus_link_event *event)
{
    struct delivered_job *job =
        bus_job_new(sizeof *job, endpoint->bus, endpoint, delivered_run, delivered_finished);
    job->class_ = event->done.class_;
    job->number = event->done.number;
    job->head.needed = job->head.of_session = true;
    bus_submit(&job->head);
}

// --- events ---

static enum kvpbus_event event_of(enum kvpbus_link_event_kind kind)
{
    return kind == KVPBUS_LINK_ALARM           ? KVPBUS_EVENT_ALARM
           : kind == KVPBUS_LINK_WENT_BACK     ? KVPBUS_EVENT_WENT_BACK
           : kind == KVPBUS_LINK_SECOND_WRITER ? KVPBUS_EVENT_SECOND_WRITER
                                               : KVPBUS_EVENT_CHANGED;
}

static void take_event(struct kvpbus_endpoint *endpoint, const struct kvpbus_link_event *event)
{
    switch (event->kind) {
    case KVPBUS_LINK_NEW_EPOCH:
    case KVPBUS_LINK_RETIRED:
        record_epoch(endpoint, event);
        break;
    case KVPBUS_LINK_NEEDS_SYNC:
        feed_end(endpoint);
        endpoint->session = event->session;
        bus_confirmed(endpoint);
        make_sync(endpoint, event->session);
        break;
    case KVPBUS_LINK_SYNC:
        apply_sync(endpoint, event);
        break;
    case KVPBUS_LINK_AGREED:
        agree(endpoint);
        break;
    case KVPBUS_LINK_PACKET:
        commit_packet(endpoint, event->packet);
        break;
    case KVPBUS_LINK_WANT:
        read_want(endpoint, &event->want);
        break;
    case KVPBUS_LINK_PENDING:
        bus_take_pending(endpoint, event);
        break;
    case KVPBUS_LINK_ROTATED:
        bus_follow(endpoint, event);
        break;
    case KVPBUS_LINK_REBOUND:
        bus_go_on_as(endpoint, event);
        break;
    case KVPBUS_LINK_CHANGED:
    case KVPBUS_LINK_ALARM:
    case KVPBUS_LINK_WENT_BACK:
    case KVPBUS_LINK_SECOND_WRITER:
        bus_event(endpoint, event_of(event->kind), event->text);
        bus_audit_event(endpoint, event->kind, event->text);
        break;
    case KVPBUS_LINK_DELIVERED:
        break; // bus_drain keeps these
    }
}

// What is acknowledged in a scan may be refused by a packet of the same scan: that is judged first,
// so that nothing is called delivered which is dead a moment later.
struct acknowledged {
    size_t count;
    struct kvpbus_link_event events[KVPBUS_CLASS_COUNT * KVPBUS_BUNDLE_WINDOW];
};

static void mark_all(struct kvpbus_endpoint *endpoint, struct acknowledged *list)
{
    for (size_t i = 0; i < list->count; i++)
        mark_delivered(endpoint, &list->events[i]);
    list->count = 0;
}

void bus_drain(struct kvpbus_endpoint *endpoint)
{
    struct kvpbus_link_event event;
    struct acknowledged list;
    list.count = 0;
    if (endpoint->link == NULL)
        return;
    while (kvpbus_link_next_event(endpoint->link, &event)) {
        if (event.kind == KVPBUS_LINK_DELIVERED) {
            assert(list.count < sizeof list.events / sizeof *list.events);
            list.events[list.count++] = event;
            continue;
        }
        // Behind a new session the same number may be another bundle's.
        if (event.kind != KVPBUS_LINK_PACKET)
            mark_all(endpoint, &list);
        take_event(endpoint, &event);
    }
    mark_all(endpoint, &list);
    feed_run(endpoint);
}
