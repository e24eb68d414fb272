// SPDX-License-Identifier: Apache-2.0
//
// Cores and sessions: rules H1 to H5 of docs/protocol.md section 2.1.
#include <sodium.h>

#include "link_internal.h"
#include "rotation.h"

static bool epoch_in(const uint8_t *epochs, size_t count, const uint8_t *epoch)
{
    for (size_t i = 0; i < count; i++)
        if (memcmp(epochs + i * KVPBUS_EPOCH_BYTES, epoch, KVPBUS_EPOCH_BYTES) == 0)
            return true;
    return false;
}

static void epoch_push(uint8_t (*epochs)[KVPBUS_EPOCH_BYTES], size_t *count, const uint8_t *epoch)
{
    if (*count == KVPBUS_EPOCHS_KEPT)
        memmove(epochs, epochs + 1, (--*count) * sizeof *epochs);
    memcpy(epochs[(*count)++], epoch, sizeof *epochs);
}

bool handshake_own_epoch(const struct kvpbus_link *link, const uint8_t *epoch)
{
    const struct handshake *shake = &link->handshake;
    return epoch_in(shake->own_epochs[0], shake->own_epoch_count, epoch);
}

static void session_forget(struct kvpbus_link *link)
{
    struct handshake *shake = &link->handshake;
    shake->peer_confirms = shake->proven = shake->keyed = false;
    link->session++; // what is still under way for the old one is answered to nobody
    link->synced = link->own_sync_done = link->peer_sync_done = false;
    sodium_memzero(&link->keys, sizeof link->keys);
    sender_reset(link);
    receiver_reset(link);
    store_wish(link, CELL_STATE, CELL_LEAVE);
}

// They make the hello longer than the channel is known to carry: then it goes without them.
static bool extensions_fit(const struct kvpbus_link *link)
{
    size_t hello = KVPBUS_HELLO_MIN + link->extensions_length;
    return hello * 4 <= (size_t)link->value_max * 3;
}

// In the place that kvpbus_link_enroll has kept for it.
static void put_proof(const struct kvpbus_link *link, struct kvpbus_core *core)
{
    uint8_t proof[KVPBUS_PROOF_BYTES];
    size_t length = core->extensions_length;
    if (!link->enrolling || length == 0)
        return;
    kvpbus_token_prove(&link->token, core->identity, core->epoch, proof);
    bool fits = kvpbus_extension_put(core->extensions, &length, KVPBUS_EXTENSION_ENROLMENT, proof,
                                     sizeof proof);
    assert(fits && length == core->extensions_length);
    (void)fits;
}

void handshake_new_core(struct kvpbus_link *link)
{
    struct handshake *shake = &link->handshake;
    struct kvpbus_core *core = &shake->own.core;
    memset(core, 0, sizeof *core);
    core->role = link->options.role;
    memcpy(core->identity, link->options.identity, sizeof core->identity);
    memcpy(core->vm, core->role == KVPBUS_ROLE_HOST ? link->options.vm : link->pinned_vm,
           sizeof core->vm);
    core->ring_slots = (uint8_t)link->options.ring_slots;
    core->window = KVPBUS_LINK_WINDOW;
    core->value_max = KVPBUS_VALUE_MAX;
    core->bundle_max = link->options.bundle_max;
    if (extensions_fit(link)) {
        core->extensions_length = (uint16_t)link->extensions_length;
        memcpy(core->extensions, link->extensions, link->extensions_length);
    }
    kvpbus_core_draw(&shake->own, link->options.random, link->options.random_context);
    put_proof(link, core);
    kvpbus_core_sign(&shake->own, link->options.secret);
    shake->recorded = shake->used = false;
    shake->peer_confirms = false;
    shake->made = link->now;
    shake->rewrite_delay = HELLO_FIRST;
    shake->rewrite_at = link->now + HELLO_FIRST;
    shake->rewrites = 0;
    epoch_push(shake->own_epochs, &shake->own_epoch_count, core->epoch);
    store_wish(link, CELL_HELLO, CELL_LEAVE);
    struct kvpbus_link_event *event = link_event(link, KVPBUS_LINK_NEW_EPOCH);
    memcpy(event->epoch, core->epoch, sizeof event->epoch);
}

void handshake_start(struct kvpbus_link *link)
{
    struct handshake *shake = &link->handshake;
    for (size_t i = link->options.own_epoch_count; i-- > 0;)
        epoch_push(shake->own_epochs, &shake->own_epoch_count, link->options.own_epochs[i]);
    for (size_t i = link->options.retired_epoch_count; i-- > 0;)
        epoch_push(shake->retired, &shake->retired_count, link->options.retired_epochs[i]);
    handshake_new_core(link);
}

void handshake_renew(struct kvpbus_link *link, enum kvpbus_link_event_kind kind, const char *why)
{
    link_say(link, kind, "%s", why);
    session_forget(link);
    handshake_new_core(link);
    link_report_state(link);
}

void kvpbus_link_renew(struct kvpbus_link *link, const char *why, uint64_t now)
{
    link->now = now;
    handshake_renew(link, KVPBUS_LINK_ALARM, why);
}

enum kvpbus_error kvpbus_link_extend(struct kvpbus_link *link, enum kvpbus_extension type,
                                     const uint8_t *bytes, size_t length, uint64_t now)
{
    const uint8_t *present;
    size_t present_length;
    link->now = now;
    bool has = kvpbus_extension_find(link->extensions, link->extensions_length, type, &present,
                                     &present_length);
    if (has == (bytes != NULL) &&
        (!has || (present_length == length && memcmp(present, bytes, length) == 0)))
        return KVPBUS_OK;
    if (!kvpbus_extension_put(link->extensions, &link->extensions_length, type, bytes, length))
        return KVPBUS_TOO_LARGE;
    handshake_renew(link, KVPBUS_LINK_CHANGED, "this side's hello says something else now");
    return KVPBUS_OK;
}

void kvpbus_link_rotate(struct kvpbus_link *link, const uint8_t identity[KVPBUS_IDENTITY_BYTES],
                        const uint8_t secret[KVPBUS_SECRET_BYTES], const uint8_t *statements,
                        size_t length, uint64_t now)
{
    link->now = now;
    memcpy(link->options.identity, identity, sizeof link->options.identity);
    memcpy(link->options.secret, secret, sizeof link->options.secret);
    bool fits = kvpbus_extension_put(link->extensions, &link->extensions_length,
                                     KVPBUS_EXTENSION_ROTATION, statements, length);
    assert(fits); // the other extensions leave room for it
    (void)fits;
    handshake_renew(link, KVPBUS_LINK_CHANGED, "this side has a new identity");
}

enum kvpbus_error kvpbus_link_enroll(struct kvpbus_link *link, const struct kvpbus_token *token,
                                     uint64_t now)
{
    uint8_t place[KVPBUS_PROOF_BYTES] = {0};
    link->now = now;
    if (token == NULL) {
        // The present core goes on as it is.
        link->enrolling = false;
        sodium_memzero(&link->token, sizeof link->token);
        kvpbus_extension_put(link->extensions, &link->extensions_length, KVPBUS_EXTENSION_ENROLMENT,
                             NULL, 0);
        return KVPBUS_OK;
    }
    memcpy(place, token->id, sizeof token->id);
    if (!kvpbus_extension_put(link->extensions, &link->extensions_length,
                              KVPBUS_EXTENSION_ENROLMENT, place, sizeof place))
        return KVPBUS_TOO_LARGE;
    link->token = *token;
    link->enrolling = true;
    handshake_renew(link, KVPBUS_LINK_CHANGED, "this side's hello proves an enrolment token now");
    return KVPBUS_OK;
}

void kvpbus_link_epoch_recorded(struct kvpbus_link *link, const uint8_t epoch[KVPBUS_EPOCH_BYTES],
                                uint64_t now)
{
    link->now = now;
    if (memcmp(epoch, link->handshake.own.core.epoch, KVPBUS_EPOCH_BYTES) != 0)
        return; // that core has been replaced meanwhile
    link->handshake.recorded = true;
    store_dirty(link, CELL_HELLO);
}

size_t handshake_value(struct kvpbus_link *link, uint8_t bytes[KVPBUS_ITEM_MAX])
{
    struct handshake *shake = &link->handshake;
    assert(shake->recorded);
    return kvpbus_hello_write(&shake->own, link->options.secret,
                              shake->has_peer ? &shake->peer : NULL,
                              link->receiver.say_hello_missing, ++shake->attempt, bytes);
}

// --- the peer's hello ---

static void pending(struct kvpbus_link *link, const struct kvpbus_core *core)
{
    struct handshake *shake = &link->handshake;
    uint8_t text[sizeof core->identity + sizeof core->extensions], digest[DIGEST];
    memcpy(text, core->identity, sizeof core->identity);
    memcpy(text + sizeof core->identity, core->extensions, core->extensions_length);
    link_digest(text, sizeof core->identity + core->extensions_length, digest);
    if (shake->has_pending && memcmp(shake->pending, digest, DIGEST) == 0)
        return;
    memcpy(shake->pending, digest, DIGEST);
    shake->has_pending = true;
    struct kvpbus_link_event *event = link_event(link, KVPBUS_LINK_PENDING);
    memcpy(event->identity, core->identity, sizeof event->identity);
    memcpy(event->vm, core->vm, sizeof event->vm);
    memcpy(event->epoch, core->epoch, sizeof event->epoch);
    event->extensions.length = core->extensions_length;
    memcpy(event->extensions.bytes, core->extensions, core->extensions_length);
    if (link->paired && memcmp(core->identity, link->pinned, sizeof link->pinned) != 0)
        link_say(link, KVPBUS_LINK_ALARM,
                 "the peer shows another identity than the one that was paired: unpair and pair "
                 "again if it was replaced on purpose");
}

static const uint8_t *vm_of_pair(const struct kvpbus_link *link, const struct kvpbus_core *core)
{
    if (link->options.role == KVPBUS_ROLE_HOST)
        return link->options.vm;
    return sodium_is_zero(link->pinned_vm, sizeof link->pinned_vm) ? core->vm : link->pinned_vm;
}

// The pinned peer has signed that it goes on as another identity. The session of the old one ends
// here: nothing of it may be taken once the journal has the new one.
static bool follows(struct kvpbus_link *link, const struct kvpbus_core *core)
{
    struct handshake *shake = &link->handshake;
    if (!link->paired || !kvpbus_rotation_leads(core, vm_of_pair(link, core), link->pinned))
        return false;
    if (shake->has_follower && memcmp(shake->follower, core->identity, sizeof shake->follower) == 0)
        return true;
    session_forget(link);
    shake->has_peer = false;
    shake->has_follower = true;
    memcpy(shake->follower, core->identity, sizeof shake->follower);
    struct kvpbus_link_event *event = link_event(link, KVPBUS_LINK_ROTATED);
    memcpy(event->identity, core->identity, sizeof event->identity);
    return true;
}

static bool former_vm(const uint8_t *list, size_t length, const uint8_t vm[KVPBUS_VM_ID_BYTES])
{
    for (size_t at = 0; at + KVPBUS_VM_ID_BYTES <= length; at += KVPBUS_VM_ID_BYTES)
        if (memcmp(list + at, vm, KVPBUS_VM_ID_BYTES) == 0)
            return true;
    return false;
}

// The operator of the host, whose pinned identity has signed this core, says that the VM which was
// paired as `mine` has another id now.
static bool rebound(struct kvpbus_link *link, const struct kvpbus_core *core, const uint8_t *mine)
{
    struct handshake *shake = &link->handshake;
    const uint8_t *list;
    size_t length;
    if (link->options.role != KVPBUS_ROLE_GUEST ||
        !kvpbus_core_extension(core, KVPBUS_EXTENSION_FORMER_VMS, &list, &length) ||
        !former_vm(list, length, mine))
        return false;
    if (shake->rebound)
        return true;
    session_forget(link);
    shake->has_peer = false;
    shake->rebound = true;
    memcpy(link_event(link, KVPBUS_LINK_REBOUND)->vm, core->vm, sizeof core->vm);
    return true;
}

// A guest that has not yet seen that it was rebound.
static bool will_follow(const struct kvpbus_link *link, const struct kvpbus_core *core)
{
    const uint8_t *list;
    size_t length;
    return link->options.role == KVPBUS_ROLE_HOST &&
           kvpbus_extension_find(link->extensions, link->extensions_length,
                                 KVPBUS_EXTENSION_FORMER_VMS, &list, &length) &&
           former_vm(list, length, core->vm);
}

// H5: a clone or an import carries the identity of the VM that was paired, under another VM id.
static bool vm_fits(struct kvpbus_link *link, const struct kvpbus_core *core)
{
    bool am_guest = link->options.role == KVPBUS_ROLE_GUEST;
    const uint8_t *mine = am_guest ? link->pinned_vm : link->options.vm;
    if (sodium_is_zero(core->vm, sizeof core->vm) || sodium_is_zero(mine, KVPBUS_VM_ID_BYTES) ||
        memcmp(core->vm, mine, sizeof core->vm) == 0)
        return true;
    if (rebound(link, core, mine) || will_follow(link, core))
        return false;
    link_say(link, KVPBUS_LINK_ALARM,
             am_guest ? "the host knows this VM under another id than when it was paired: it is a "
                        "clone or an import and must be paired anew"
                      : "the guest was paired as another VM: it is a clone or an import and must "
                        "be paired anew");
    return false;
}

// The core is authentic; says whether its owner is the one that is pinned and may begin a session.
static bool acceptable(struct kvpbus_link *link, const struct kvpbus_core *core)
{
    if (core->role == link->options.role ||
        memcmp(core->identity, link->options.identity, sizeof core->identity) == 0) {
        link_say(link, KVPBUS_LINK_ALARM,
                 "a hello of my own side stands in the peer's store: somebody has copied it "
                 "there; it is ignored");
        return false;
    }
    link->handshake.peer_seen = true;
    link->handshake.stranger = true;
    if (!link->paired || memcmp(core->identity, link->pinned, sizeof link->pinned) != 0) {
        if (!follows(link, core))
            pending(link, core);
        return false;
    }
    if (core->version_min > KVPBUS_PROTOCOL_VERSION ||
        core->version_max < KVPBUS_PROTOCOL_VERSION) {
        link_say(link, KVPBUS_LINK_ALARM,
                 "the peer speaks protocol versions %u to %u, I speak %u: update the older side",
                 core->version_min, core->version_max, KVPBUS_PROTOCOL_VERSION);
        return false;
    }
    if (link->options.role == KVPBUS_ROLE_GUEST &&
        sodium_is_zero(link->pinned_vm, sizeof link->pinned_vm)) {
        // Pinned by key alone: the owner records the VM id that the host gives, then pins again.
        pending(link, core);
        return false;
    }
    link->handshake.stranger = false;
    return vm_fits(link, core);
}

bool core_in(uint8_t (*hashes)[KVPBUS_CORE_HASH], size_t count, const uint8_t *hash)
{
    for (size_t i = 0; i < count; i++)
        if (memcmp(hashes[i], hash, sizeof hashes[i]) == 0)
            return true;
    return false;
}

// Whatever the other side's store has shown, also before it is paired.
static void remember_core(struct handshake *shake, const uint8_t hash[KVPBUS_CORE_HASH])
{
    if (core_in(shake->peer_cores, PEER_CORES_KEPT, hash))
        return;
    memcpy(shake->peer_cores[shake->peer_core_next++ % PEER_CORES_KEPT], hash, KVPBUS_CORE_HASH);
}

// H1: my core was in a session already, so the new peer core gets a new one of mine.
static void take_core(struct kvpbus_link *link, const struct kvpbus_core *core)
{
    struct handshake *shake = &link->handshake;
    if (shake->has_peer && memcmp(shake->peer.hash, core->hash, sizeof core->hash) == 0)
        return;
    session_forget(link);
    shake->peer = *core;
    shake->has_peer = true;
    shake->rewrite_delay = HELLO_FIRST;
    shake->rewrite_at = link->now + HELLO_FIRST;
    if (shake->used)
        handshake_new_core(link);
    else
        store_dirty(link, CELL_HELLO);
}

static void confirmed(struct kvpbus_link *link)
{
    struct handshake *shake = &link->handshake;
    shake->peer_confirms = true;
    if (shake->keyed)
        return;
    if (kvpbus_session_derive(&shake->own, &shake->peer, &link->keys) != KVPBUS_OK) {
        link_say(link, KVPBUS_LINK_ALARM, "the peer's ephemeral key is weak");
        return;
    }
    shake->keyed = true;
    shake->used = true; // numbers begin at 1 once for each pair of cores, proven or not
    sender_reset(link);
    receiver_reset(link);
    link->session++;
    link->synced = link->own_sync_done = link->peer_sync_done = false;
    store_dirty(link, CELL_STATE);
    struct kvpbus_link_event *event = link_event(link, KVPBUS_LINK_NEEDS_SYNC);
    event->session = link->session;
}

bool handshake_hello(struct kvpbus_link *link, const char *value)
{
    struct handshake *shake = &link->handshake;
    uint8_t digest[DIGEST], bytes[KVPBUS_ITEM_MAX];
    size_t length;
    link_digest(value, strlen(value), digest);
    if (memcmp(digest, shake->last_digest, DIGEST) == 0)
        return shake->shows_peer;
    if (link->now < shake->look_again)
        return false;
    memcpy(shake->last_digest, digest, DIGEST);
    shake->shows_peer = false;

    struct kvpbus_hello hello;
    if (kvpbus_item_decode(value, bytes, &length) != KVPBUS_OK ||
        kvpbus_hello_read(bytes, length, &hello) != KVPBUS_OK ||
        epoch_in(shake->retired[0], shake->retired_count, hello.core.epoch)) {
        link->counters.bad_items++;
        return false;
    }
    // Whoever is not the pinned peer gets one check of a signature a second.
    shake->look_again = link->now + HELLO_FIRST;
    if (kvpbus_hello_verify(bytes, length, &hello) != KVPBUS_OK) {
        link->counters.bad_items++;
        return false;
    }
    remember_core(shake, hello.core.hash);
    if (!acceptable(link, &hello.core))
        return false;
    shake->look_again = 0;
    shake->shows_peer = true;
    link->last_news = link->now;
    take_core(link, &hello.core);
    if ((hello.flags & KVPBUS_HELLO_MISSING) != 0)
        store_dirty(link, CELL_HELLO);
    if (kvpbus_hello_confirms(&hello, &shake->own) && shake->recorded)
        confirmed(link);
    else if (shake->keyed || shake->rewrite_at == NEVER) {
        // It shows its core without knowing mine: it has started again with an old value, or lost
        // my hello. The timer writes mine again.
        shake->rewrite_delay = HELLO_FIRST;
        shake->rewrite_at = link->now + HELLO_FIRST;
    }
    return true;
}

void handshake_proven(struct kvpbus_link *link)
{
    struct handshake *shake = &link->handshake;
    if (shake->proven)
        return;
    shake->proven = true;
    shake->rewrite_at = NEVER;
    // H2. Exactly the core of the session before: one that never came to live may be the peer's
    // present one, seen before a stale scan brought back an older.
    if (memcmp(shake->met, shake->peer.epoch, sizeof shake->met) == 0)
        return;
    if (!sodium_is_zero(shake->met, sizeof shake->met) &&
        !epoch_in(shake->retired[0], shake->retired_count, shake->met)) {
        epoch_push(shake->retired, &shake->retired_count, shake->met);
        struct kvpbus_link_event *event = link_event(link, KVPBUS_LINK_RETIRED);
        memcpy(event->epoch, shake->met, sizeof event->epoch);
    }
    memcpy(shake->met, shake->peer.epoch, sizeof shake->met);
}

// --- time ---

static bool rewrite_due(const struct kvpbus_link *link)
{
    const struct handshake *shake = &link->handshake;
    return (shake->has_peer || shake->peer_seen) && shake->recorded && !shake->proven;
}

uint64_t handshake_deadline(const struct kvpbus_link *link)
{
    const struct handshake *shake = &link->handshake;
    uint64_t deadline = rewrite_due(link) ? shake->rewrite_at : NEVER;
    if (shake->used && shake->made + CORE_LIFETIME < deadline)
        deadline = shake->made + CORE_LIFETIME;
    return deadline;
}

void handshake_tick(struct kvpbus_link *link)
{
    struct handshake *shake = &link->handshake;
    if (shake->used && link->now >= shake->made + CORE_LIFETIME) {
        handshake_renew(link, KVPBUS_LINK_CHANGED, "the session is a day old and is renewed");
        return;
    }
    if (!rewrite_due(link) || link->now < shake->rewrite_at)
        return;
    shake->rewrite_delay =
        shake->rewrite_delay * 2 > HELLO_MAX ? HELLO_MAX : shake->rewrite_delay * 2;
    shake->rewrite_at = link->now + shake->rewrite_delay;
    // The peer answers another core than this one for ever when a session of it was live in a life
    // that I do not remember (H2).
    if (++shake->rewrites >= HELLO_REWRITES_MAX && shake->has_peer) {
        handshake_renew(link, KVPBUS_LINK_CHANGED, "no session came about; a new core is shown");
        return;
    }
    store_dirty(link, CELL_HELLO);
    if (shake->keyed)
        store_dirty(link, CELL_STATE);
}
