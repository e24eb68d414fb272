// SPDX-License-Identifier: Apache-2.0
//
// The own store is reconciled: from what it should hold and what it holds, as far as is known, come
// the changes of the next write. Any write may be lost, half done or undone by others.
#include <sodium.h>
#include <stdlib.h>

#include "link_internal.h"

void store_dirty(struct kvpbus_link *link, unsigned cell)
{
    if (cell == CELL_HELLO && !link->handshake.recorded)
        return;
    if (cell == CELL_STATE && !link->handshake.keyed)
        return;
    link->store.cells[cell].wish = CELL_HOLD;
    link->store.cells[cell].dirty = true;
    if (cell == CELL_HELLO)
        link->store.scan_wanted = true; // see kvpbus_link_write
}

void store_wish(struct kvpbus_link *link, unsigned cell, enum cell_wish wish)
{
    assert(wish != CELL_HOLD);
    link->store.cells[cell].wish = wish;
    link->store.cells[cell].dirty = false;
}

void store_start(struct kvpbus_link *link)
{
    struct own_store *store = &link->store;
    store->keys = calloc(KVPBUS_LINK_KEYS, sizeof *store->keys);
    store->values = calloc(KVPBUS_LINK_KEYS, sizeof *store->values);
    store->scan_wanted = true;
    store->retry = RETRY_FIRST;
    store->repair_delay = REPAIR_FIRST;
}

void store_free(struct kvpbus_link *link)
{
    free(link->store.keys);
    free(link->store.values);
}

static void cell_key(const struct kvpbus_link *link, unsigned cell, char *key)
{
    char full[KVPBUS_KEY_MAX + 1];
    enum kvpbus_key_kind kind = cell == CELL_HELLO   ? KVPBUS_KEY_HELLO
                                : cell == CELL_STATE ? KVPBUS_KEY_STATE
                                                     : KVPBUS_KEY_SLOT;
    kvpbus_key_format(link->prefix, kind, cell >= CELL_SLOT ? cell - CELL_SLOT : 0, full);
    assert(strlen(full) < KVPBUS_PREFIX_MAX + 8);
    memcpy(key, full, strlen(full) + 1);
}

// --- what is to be written ---

static void make_value(struct kvpbus_link *link, unsigned cell, char *value)
{
    if (cell == CELL_HELLO) {
        uint8_t bytes[KVPBUS_ITEM_MAX];
        size_t length = handshake_value(link, bytes);
        kvpbus_item_encode(bytes, length, value);
    } else if (cell == CELL_STATE) {
        uint8_t plain[KVPBUS_STATE_PLAIN];
        receiver_state_plain(link, plain);
        kvpbus_item_seal(&link->keys.send, KVPBUS_ITEM_STATE, ++link->receiver.version, 0, plain,
                         sizeof plain, value);
    } else {
        const struct sent_packet *packet = sender_in_slot(link, cell - CELL_SLOT);
        assert(packet != NULL && packet->attempt <= KVPBUS_ATTEMPT_MAX);
        kvpbus_item_seal(&link->keys.send, KVPBUS_ITEM_DATA, packet->number, packet->attempt,
                         packet->plain, packet->length, value);
        link->counters.data_items_written++;
        link->counters.data_chars_written += strlen(value);
    }
}

static void add_change(struct own_store *store, unsigned cell, bool remove)
{
    size_t n = store->change_count++;
    assert(n < KVPBUS_LINK_KEYS);
    store->change_cell[n] = (uint8_t)cell;
    store->changes[n].key = store->keys[n];
    store->changes[n].value = remove ? NULL : store->values[n];
}

static void put_changes(struct kvpbus_link *link)
{
    struct own_store *store = &link->store;
    for (unsigned i = 0; i < KVPBUS_LINK_KEYS; i++) {
        struct cell *cell = &store->cells[i];
        if (cell->wish != CELL_HOLD || !cell->dirty)
            continue;
        size_t n = store->change_count;
        cell_key(link, i, store->keys[n]);
        make_value(link, i, store->values[n]);
        link_digest(store->values[n], strlen(store->values[n]), cell->wanted);
        memcpy(store->change_digest[n], cell->wanted, DIGEST);
        cell->dirty = false;
        add_change(store, i, false);
    }
}

// Removals go alone, so that a write is at most one Add and one Modify call, or one Remove.
static void remove_changes(struct kvpbus_link *link)
{
    struct own_store *store = &link->store;
    for (unsigned i = 0; i < KVPBUS_LINK_KEYS; i++) {
        if (store->cells[i].wish != CELL_REMOVE || store->cells[i].found != FOUND_VALUE)
            continue;
        cell_key(link, i, store->keys[store->change_count]);
        add_change(store, i, true);
    }
    size_t length = strlen(store->stray);
    if (length > 0 && length < sizeof store->keys[0] && store->change_count < KVPBUS_LINK_KEYS) {
        memcpy(store->keys[store->change_count], store->stray, length + 1);
        add_change(store, KVPBUS_LINK_KEYS, true);
    }
    store->stray[0] = '\0';
}

size_t kvpbus_link_write(struct kvpbus_link *link, const struct kvpbus_change **changes,
                         uint64_t now)
{
    struct own_store *store = &link->store;
    link->now = now;
    assert(!store->writing);
    // The first scan shows what is left of an earlier life; until then nothing is certain.
    if (link->suspended || link->stopped || !store->scanned || now < store->write_after)
        return 0;
    // A hello is looked at before it is overwritten: it may be a second writer's.
    if (store->cells[CELL_HELLO].dirty && store->scan_wanted)
        return 0;
    sender_fill(link);
    store->change_count = 0;
    put_changes(link);
    if (store->change_count == 0)
        remove_changes(link);
    *changes = store->changes;
    store->writing = store->change_count > 0;
    if (store->writing) {
        link->sender.write_serial++;
        link->counters.writes++;
    }
    return store->change_count;
}

// --- what came of it ---

static void change_done(struct kvpbus_link *link, size_t n)
{
    struct own_store *store = &link->store;
    unsigned i = store->change_cell[n];
    link->counters.items_written++;
    if (i == KVPBUS_LINK_KEYS)
        return;
    struct cell *cell = &store->cells[i];
    if (store->changes[n].value == NULL) {
        cell->found = FOUND_NOTHING;
        return;
    }
    cell->found = FOUND_VALUE;
    memcpy(cell->held, store->change_digest[n], DIGEST);
    if (i == CELL_HELLO)
        store->hello_written = true;
    if (i >= CELL_SLOT && !cell->dirty)
        sender_written(link, i - CELL_SLOT);
}

static void change_failed(struct kvpbus_link *link, size_t n)
{
    struct own_store *store = &link->store;
    unsigned i = store->change_cell[n];
    if (i == KVPBUS_LINK_KEYS || store->changes[n].value == NULL)
        return;
    struct cell *cell = &store->cells[i];
    cell->found = FOUND_UNKNOWN;
    if (cell->wish == CELL_HOLD)
        cell->dirty = true;
}

static void ring_grows(struct kvpbus_link *link)
{
    struct sender *sender = &link->sender;
    if (sender->ring_limit >= link->options.ring_slots || ++link->store.good_writes < GROW_AFTER)
        return;
    link->store.good_writes = 0;
    sender->ring_limit++;
}

void kvpbus_link_write_done(struct kvpbus_link *link, const enum kvpbus_error *results,
                            uint64_t now)
{
    struct own_store *store = &link->store;
    enum kvpbus_error worst = KVPBUS_OK;
    bool full = false, too_many = false;
    assert(store->writing);
    store->writing = false;
    link->now = now;
    for (size_t n = 0; n < store->change_count; n++) {
        if (results[n] == KVPBUS_OK) {
            change_done(link, n);
            continue;
        }
        change_failed(link, n);
        worst = results[n];
        full |= worst == KVPBUS_STORE_FULL || worst == KVPBUS_NO_SPACE;
        too_many |= worst == KVPBUS_STORE_TOO_MANY;
    }
    if (worst == KVPBUS_OK) {
        store->retry = RETRY_FIRST;
        store->write_after = 0;
        ring_grows(link);
    } else {
        store->scan_wanted = true;
        store->good_writes = 0;
        store->write_after = now + store->retry;
        store->retry = store->retry * 2 > RETRY_MAX ? RETRY_MAX : store->retry * 2;
        if (worst != store->last_error)
            link_say(link, KVPBUS_LINK_ALARM, "writing failed: %s", kvpbus_error_text(worst));
        if (full || too_many)
            sender_shrink(link, too_many);
    }
    store->last_error = worst;
}

// --- what it really holds ---

// Counts a hello of mine that I did not write. True: these are too many for leftovers.
static bool is_second_writer(struct kvpbus_link *link, const struct kvpbus_hello *hello)
{
    struct handshake *shake = &link->handshake;
    struct own_store *store = &link->store;
    if (shake->peer_core_next == 0)
        return ++store->foreign_alone >= FOREIGN_ALONE_MAX;
    if ((hello->flags & KVPBUS_HELLO_CONFIRMS) == 0 ||
        !core_in(shake->peer_cores, PEER_CORES_KEPT, hello->confirmed) ||
        core_in(store->foreign_answers, store->foreign_answer_count, hello->confirmed))
        return false;
    memcpy(store->foreign_answers[store->foreign_answer_count++], hello->confirmed,
           sizeof hello->confirmed);
    return store->foreign_answer_count == FOREIGN_ANSWERS_MAX;
}

// A hello with my signature that I did not write: another program uses my identity, or my prefix
// with a copy of my state.
static void check_writer(struct kvpbus_link *link, const char *value)
{
    struct own_store *store = &link->store;
    uint8_t bytes[KVPBUS_ITEM_MAX];
    size_t length;
    struct kvpbus_hello hello;
    if (!store->hello_written || kvpbus_item_decode(value, bytes, &length) != KVPBUS_OK ||
        kvpbus_hello_read(bytes, length, &hello) != KVPBUS_OK ||
        memcmp(hello.core.identity, link->options.identity, KVPBUS_IDENTITY_BYTES) != 0 ||
        handshake_own_epoch(link, hello.core.epoch) ||
        memcmp(hello.core.epoch, store->foreign_epoch, KVPBUS_EPOCH_BYTES) == 0 ||
        kvpbus_hello_verify(bytes, length, &hello) != KVPBUS_OK)
        return;
    // One that only stands there is left over from a life that I do not remember.
    memcpy(store->foreign_epoch, hello.core.epoch, KVPBUS_EPOCH_BYTES);
    if (!is_second_writer(link, &hello))
        return;
    link->stopped = true;
    link_say(link, KVPBUS_LINK_SECOND_WRITER,
             "another program writes this store with my identity: stop it, or give it an identity "
             "of its own; then start this one again");
    link_report_state(link);
}

// A slot's lost item is the same packet with a new attempt; registers make a new value anyway.
static void repair(struct kvpbus_link *link, unsigned i)
{
    if (i >= CELL_SLOT) {
        struct sent_packet *packet = sender_in_slot(link, i - CELL_SLOT);
        if (packet == NULL)
            return;
        packet->attempt++;
        packet->written = false;
        link->counters.rewrites++;
    }
    store_dirty(link, i);
}

static bool differs(const struct cell *cell)
{
    return cell->wish == CELL_HOLD && !cell->dirty &&
           (cell->found != FOUND_VALUE || memcmp(cell->held, cell->wanted, DIGEST) != 0);
}

// An item of my present session with a number that I never used: I went back with my memory, and
// my store did not.
static bool from_my_future(const struct kvpbus_link *link, const char *value)
{
    uint8_t bytes[KVPBUS_ITEM_MAX], plain[KVPBUS_PLAIN_MAX];
    size_t length, plain_length;
    struct kvpbus_item_head head;
    if (!link->handshake.keyed || kvpbus_item_decode(value, bytes, &length) != KVPBUS_OK ||
        kvpbus_item_open(&link->keys.send, bytes, length, &head, plain, &plain_length) != KVPBUS_OK)
        return false;
    return head.type == KVPBUS_ITEM_STATE ? head.number > link->receiver.version
                                          : head.number >= link->sender.next;
}

// False: an item shows that I went back.
static bool take_found(struct kvpbus_link *link, const struct kvpbus_scan *scan)
{
    struct own_store *store = &link->store;
    bool past = false;
    for (unsigned i = 0; i < KVPBUS_LINK_KEYS; i++)
        store->cells[i].found = FOUND_NOTHING;
    for (size_t n = 0; n < scan->count; n++) {
        const struct kvpbus_item *item = &scan->items[n];
        unsigned slot = 0;
        enum kvpbus_key_kind kind = kvpbus_key_parse(link->prefix, item->key, &slot);
        if (kind == KVPBUS_KEY_OTHER) {
            memcpy(store->stray, item->key, sizeof store->stray);
            continue;
        }
        unsigned i = kind == KVPBUS_KEY_HELLO   ? CELL_HELLO
                     : kind == KVPBUS_KEY_STATE ? CELL_STATE
                                                : CELL_SLOT + slot;
        struct cell *cell = &store->cells[i];
        uint8_t digest[DIGEST];
        link_digest(item->value, strlen(item->value), digest);
        past |= memcmp(digest, cell->wanted, DIGEST) != 0 && from_my_future(link, item->value);
        // Of two records with one key the one that is mine counts; the other goes with the next
        // write.
        if (cell->found == FOUND_VALUE && memcmp(cell->held, cell->wanted, DIGEST) == 0)
            continue;
        cell->found = FOUND_VALUE;
        memcpy(cell->held, digest, DIGEST);
        if (kind == KVPBUS_KEY_HELLO)
            check_writer(link, item->value);
    }
    return !past;
}

void kvpbus_link_scan_own(struct kvpbus_link *link, const struct kvpbus_scan *scan, uint64_t now)
{
    struct own_store *store = &link->store;
    assert(!store->writing);
    link->now = now;
    bool present = take_found(link, scan);
    store->scanned = true;
    store->scan_wanted = false;
    store->last_scan = now;
    if (!present) {
        handshake_renew(link, KVPBUS_LINK_WENT_BACK,
                        "my store holds what I have not written yet: this side went back");
        return;
    }
    bool any = false;
    for (unsigned i = 0; i < KVPBUS_LINK_KEYS; i++)
        any |= differs(&store->cells[i]);
    if (!any) {
        if (now >= store->repair_after + store->repair_delay)
            store->repair_delay = REPAIR_FIRST;
        return;
    }
    // Limited, so that two writers cannot fight at full speed.
    if (now < store->repair_after) {
        store->scan_wanted = false;
        return;
    }
    for (unsigned i = 0; i < KVPBUS_LINK_KEYS; i++)
        if (differs(&store->cells[i]))
            repair(link, i);
    store->repair_after = now + store->repair_delay;
    store->repair_delay =
        store->repair_delay * 2 > REPAIR_MAX ? REPAIR_MAX : store->repair_delay * 2;
}

void kvpbus_link_own_scan_failed(struct kvpbus_link *link, uint64_t now)
{
    link->now = now;
    link->store.scan_after = now + OWN_SCAN_RETRY;
}

bool kvpbus_link_wants_own_scan(const struct kvpbus_link *link)
{
    const struct own_store *store = &link->store;
    return !link->suspended && !link->stopped && !store->writing &&
           link->now >= store->scan_after &&
           (store->scan_wanted || link->now >= store->last_scan + OWN_SCAN_EVERY ||
            (link->now >= store->repair_after && store->repair_after > store->last_scan));
}

uint64_t store_deadline(const struct kvpbus_link *link)
{
    const struct own_store *store = &link->store;
    uint64_t deadline = store->last_scan + OWN_SCAN_EVERY;
    if (store->repair_after > store->last_scan && store->repair_after < deadline)
        deadline = store->repair_after;
    if (store->scan_wanted && store->scan_after < deadline)
        deadline = store->scan_after;
    if (store->write_after > link->now && store->write_after < deadline)
        deadline = store->write_after;
    return deadline;
}
