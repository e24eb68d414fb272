// SPDX-License-Identifier: Apache-2.0
//
// What the journal has for the link: bundles in the order of their numbers, gaps, and answers to
// the peer's gaps. Sealing waits until the link can take a bundle, so that what was queued
// meanwhile shares it.
#include <sodium.h>

#include "bus_internal.h"

void feed_begin(struct kvpbus_endpoint *endpoint, const struct kvpbus_sync *sync)
{
    // What the peer holds of a former timeline is no part of the bundles that are numbered now.
    bool present = memcmp(sync->peer_timeline, endpoint->peer.timeline, KVPBUS_TIMELINE_BYTES) == 0;
    endpoint->feeding = true;
    for (size_t class_ = 0; class_ < KVPBUS_CLASS_COUNT; class_++) {
        struct class_feed *feed = &endpoint->feeds[class_];
        feed->offered = 0;
        feed->waiting = true;
        feed->peer = present ? sync->classes[class_] : (struct kvpbus_sync_class){0};
    }
    endpoint->gaps_due = true;
}

void feed_end(struct kvpbus_endpoint *endpoint)
{
    endpoint->feeding = false;
    // The peer asks again for what it did not get an answer to.
    endpoint->answer_count = 0;
}

void feed_again(struct kvpbus_endpoint *endpoint, enum kvpbus_class class_)
{
    endpoint->feeds[class_].waiting = true;
}

void feed_queued(struct kvpbus_endpoint *endpoint, enum kvpbus_class class_, uint64_t ttl_ms)
{
    endpoint->feeds[class_].waiting = true;
    if (ttl_ms == 0)
        return;
    uint64_t at = endpoint->bus->now + (ttl_ms < TIMER_MAX ? ttl_ms : TIMER_MAX);
    if (at < endpoint->expire_at)
        endpoint->expire_at = at;
}

void feed_receipts(struct kvpbus_bus *bus, int64_t peer)
{
    for (size_t i = 0; peer != 0 && i < bus->endpoint_count; i++)
        if (peer == -1 || bus->endpoints[i]->peer.id == peer) {
            bus->endpoints[i]->feeds[KVPBUS_CLASS_CONTROL].waiting = true;
            bus_drain(bus->endpoints[i]);
        }
}

void feed_answered(struct kvpbus_endpoint *endpoint, const struct kvpbus_gap_answer *answer)
{
    // Of a bundle that the peer had, messages that it was asked about one by one are still open.
    bool had = answer->count == 0 && answer->answers[0] == KVPBUS_ANSWER_HAD;
    endpoint->gaps_due |= had || endpoint->gaps_more;
    feed_again(endpoint, answer->class_);
}

// Whether `answer` says all that `old` says.
static bool covers(const struct kvpbus_gap_answer *answer, const struct kvpbus_gap_answer *old)
{
    return answer->class_ == old->class_ && answer->number == old->number &&
           (answer->count == 0) == (old->count == 0) && answer->count >= old->count &&
           memcmp(answer->indices, old->indices, old->count * sizeof *old->indices) == 0;
}

void feed_answer(struct kvpbus_endpoint *endpoint, const struct kvpbus_gap_answer *answer)
{
    for (size_t i = 0; i < endpoint->answer_count; i++)
        if (covers(answer, &endpoint->answers[i])) { // asked about once more meanwhile
            endpoint->answers[i] = *answer;
            return;
        }
    if (endpoint->answer_count < ANSWERS_MAX) {
        endpoint->answers[endpoint->answer_count++] = *answer;
        return;
    }
    endpoint->answer_count = 0;
    kvpbus_link_renew(endpoint->link,
                      "more withdrawn messages at once than can be answered; the session is "
                      "renewed, in which the peer asks again",
                      endpoint->bus->now);
}

// --- bundles ---

struct offer_job {
    struct bus_job head;
    enum kvpbus_class class_;
    uint64_t after; // numbers up to it were offered in this session
    struct kvpbus_sync_class peer;
    int64_t wall;
    uint8_t identity[KVPBUS_IDENTITY_BYTES], secret[KVPBUS_SECRET_BYTES]; // mine in this session
    bool found;
    struct kvpbus_sealed sealed;
    uint32_t held;
    size_t length;
    uint8_t data[KVPBUS_LINK_CHUNK];
};

static uint32_t held_of(const struct kvpbus_sync_class *peer, uint64_t number)
{
    for (size_t i = 0; i < peer->partial_count; i++)
        if (peer->partial[i] == number)
            return peer->partial_prefix[i];
    return 0;
}

static enum kvpbus_error next_bundle(struct offer_job *job, struct kvpbus_journal *journal)
{
    const struct kvpbus_bus_options *options = &job->head.bus->options;
    int64_t peer = job->head.peer;
    struct kvpbus_sealed open[KVPBUS_BUNDLE_WINDOW];
    size_t count;
    enum kvpbus_error error = kvpbus_journal_open_bundles(journal, peer, job->class_, open, &count);
    if (error != KVPBUS_OK)
        return error;
    for (size_t i = 0; i < count; i++)
        if (open[i].number > job->after && !open[i].void_ && !open[i].delivered) {
            job->sealed = open[i];
            job->found = true;
            return KVPBUS_OK;
        }
    error = kvpbus_journal_seal(journal, peer, job->class_, options->bundle_target, job->identity,
                                job->secret, job->wall, &job->sealed);
    job->found = error == KVPBUS_OK;
    return error == KVPBUS_NOT_FOUND || error == KVPBUS_BUSY ? KVPBUS_OK : error;
}

static enum kvpbus_error offer_run(struct kvpbus_job *base, struct kvpbus_journal *journal)
{
    struct offer_job *job = (struct offer_job *)base;
    job->found = false;
    enum kvpbus_error error =
        kvpbus_journal_signer(journal, job->head.peer, job->identity, job->secret);
    if (error == KVPBUS_OK)
        error = next_bundle(job, journal);
    if (error == KVPBUS_OK && job->found) {
        job->held = held_of(&job->peer, job->sealed.number);
        if (job->held >= job->sealed.length)
            job->held = 0; // nonsense of the peer: it gets all of it again
        uint32_t left = job->sealed.length - job->held;
        job->length = left < KVPBUS_LINK_CHUNK ? left : KVPBUS_LINK_CHUNK;
        error = kvpbus_journal_read_sealed(journal, job->head.peer, job->class_, job->sealed.number,
                                           job->held, job->data, job->length);
    }
    if (error != KVPBUS_OK)
        base->failure = *kvpbus_journal_failure(journal);
    return error;
}

static void offer_finished(struct bus_job *base)
{
    struct offer_job *job = (struct offer_job *)base;
    struct kvpbus_endpoint *endpoint = base->endpoint;
    struct class_feed *feed = &endpoint->feeds[job->class_];
    feed->busy = false;
    if (base->session != endpoint->session || !endpoint->feeding) {
        feed->waiting = true; // in the next session
        return;
    }
    if (!job->found)
        return;
    feed->waiting = true;
    if (kvpbus_link_offer(endpoint->link, &job->sealed, job->held, job->data, job->length) ==
        KVPBUS_OK)
        feed->offered = job->sealed.number;
}

static void forget_secret(struct bus_job *base)
{
    struct offer_job *job = (struct offer_job *)base;
    sodium_memzero(job->secret, sizeof job->secret);
}

static void offer(struct kvpbus_endpoint *endpoint, enum kvpbus_class class_)
{
    struct class_feed *feed = &endpoint->feeds[class_];
    struct offer_job *job =
        bus_job_new(sizeof *job, endpoint->bus, endpoint, offer_run, offer_finished);
    job->class_ = class_;
    job->after = feed->offered;
    job->peer = feed->peer;
    job->wall = endpoint->bus->wall;
    memcpy(job->identity, endpoint->bus->options.identity, sizeof job->identity);
    memcpy(job->secret, endpoint->bus->options.secret, sizeof job->secret);
    job->head.dispose = forget_secret;
    job->head.needed = job->head.of_session = true;
    feed->waiting = false;
    feed->busy = true;
    bus_submit(&job->head);
}

// --- gaps ---

struct gaps_job {
    struct bus_job head;
    struct kvpbus_gap gaps[KVPBUS_LINK_FRAMES_MAX];
    size_t count;
};

static enum kvpbus_error gaps_run(struct kvpbus_job *base, struct kvpbus_journal *journal)
{
    struct gaps_job *job = (struct gaps_job *)base;
    enum kvpbus_error error = kvpbus_journal_gaps(journal, job->head.peer, job->gaps,
                                                  KVPBUS_LINK_FRAMES_MAX, &job->count);
    if (error != KVPBUS_OK)
        base->failure = *kvpbus_journal_failure(journal);
    return error;
}

static void gaps_finished(struct bus_job *base)
{
    struct gaps_job *job = (struct gaps_job *)base;
    struct kvpbus_endpoint *endpoint = base->endpoint;
    endpoint->gaps_busy = false;
    endpoint->gaps_more = job->count == KVPBUS_LINK_FRAMES_MAX;
    if (base->session != endpoint->session || !endpoint->feeding)
        return;
    for (size_t i = 0; i < job->count; i++)
        if (kvpbus_link_gap(endpoint->link, &job->gaps[i]) != KVPBUS_OK)
            endpoint->gaps_due = true;
}

static void send_gaps(struct kvpbus_endpoint *endpoint)
{
    struct gaps_job *job =
        bus_job_new(sizeof *job, endpoint->bus, endpoint, gaps_run, gaps_finished);
    job->head.needed = job->head.of_session = true;
    endpoint->gaps_due = false;
    endpoint->gaps_busy = true;
    bus_submit(&job->head);
}

// --- lifetimes ---

struct expire_job {
    struct bus_job head;
    int64_t wall, next;
};

static enum kvpbus_error expire_run(struct kvpbus_job *base, struct kvpbus_journal *journal)
{
    struct expire_job *job = (struct expire_job *)base;
    enum kvpbus_error error = kvpbus_journal_expire(journal, job->head.peer, job->wall, &job->next);
    if (error != KVPBUS_OK)
        base->failure = *kvpbus_journal_failure(journal);
    return error;
}

static void expire_finished(struct bus_job *base)
{
    struct expire_job *job = (struct expire_job *)base;
    struct kvpbus_endpoint *endpoint = base->endpoint;
    endpoint->expire_busy = false;
    endpoint->expire_at = job->next == 0 ? NEVER : bus_timer(base->bus, job->next);
    endpoint->gaps_due = true;
    bus_outcome(base->bus, endpoint->peer.id);
}

static void expire(struct kvpbus_endpoint *endpoint)
{
    struct expire_job *job =
        bus_job_new(sizeof *job, endpoint->bus, endpoint, expire_run, expire_finished);
    job->wall = endpoint->bus->wall;
    job->head.needed = true;
    endpoint->expire_busy = true;
    bus_submit(&job->head);
}

// --- all of it ---

static void send_answers(struct kvpbus_endpoint *endpoint)
{
    size_t taken = 0;
    while (taken < endpoint->answer_count &&
           kvpbus_link_answer(endpoint->link, &endpoint->answers[taken]) == KVPBUS_OK)
        taken++;
    endpoint->answer_count -= taken;
    memmove(endpoint->answers, endpoint->answers + taken,
            endpoint->answer_count * sizeof *endpoint->answers);
}

void feed_run(struct kvpbus_endpoint *endpoint)
{
    if (!endpoint->expire_busy && endpoint->bus->now >= endpoint->expire_at)
        expire(endpoint);
    if (!endpoint->feeding)
        return;
    send_answers(endpoint);
    if (endpoint->gaps_due && !endpoint->gaps_busy && kvpbus_link_takes_gap(endpoint->link))
        send_gaps(endpoint);
    for (int class_ = 0; class_ < KVPBUS_CLASS_COUNT; class_++) {
        const struct class_feed *feed = &endpoint->feeds[class_];
        if (feed->waiting && !feed->busy &&
            kvpbus_link_accepts(endpoint->link, (enum kvpbus_class)class_))
            offer(endpoint, (enum kvpbus_class)class_);
    }
}

uint64_t feed_deadline(const struct kvpbus_endpoint *endpoint)
{
    return endpoint->expire_busy ? NEVER : endpoint->expire_at;
}
