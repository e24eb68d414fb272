// SPDX-License-Identifier: Apache-2.0
//
// The frames of the local socket, for a program that was built with one version of the library and
// talks to the service of another: each kind of request and response, with every field, is written
// as in the golden files and read from them. A field or a kind that is new is set in a further case
// at the end of its table, so that what is there stays as it is.
#include <criterion/criterion.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../golden.h"
#include "control.pb-c.h"
#include "frame.h"

enum { TEXT = 1024, FILE_MAX = 4096 };

// name=value, or name(...) for a message, in the order of the fields' numbers; bytes are in hex.
static const char *const requests[] = {
    "identity()",
    "pair(peer=web fingerprint=0123-4567)",
    "unpair(peer=web)",
    "send(peer=web topic=app.x stream=s class=2 ttl_ms=7000 body_length=5 wait=2 kind=3)",
    "send(topic=app.x headers(name=a value=1) headers(name=b) reply_to=0a.7 status=-3 resend=1)",
    "send(topic=app.x peers=web peers=db)",
    "send(topic=app.x all=1)",
    "chunk(data=00ff68)",
    "receive(pattern=app.> lease_ms=30000 peer=web kinds=12 reply_to=0a.7 now=1)",
    "ack(lease=300)",
    "status(peer=web after=600)",
    "items(peer=web)",
    "nack(lease=300 delay_ms=1500 reason=busy dead=1)",
    "extend(lease=300 lease_ms=30000)",
    "withdraw(id=0a.7 wait=1)",
    "show(id=0a.7)",
    "dead(verb=2 peer=web pattern=app.> id=0a.7 all=1 after=200)",
    "enroll(peer=web ttl_ms=86400000 replace=1 token=kvpbus1)",
    "rebind(peer=old vm=new force=1)",
    "export(peer=web key=00ff undo=1)",
    "import(size=70000 fingerprint=0123-4567 replace=1)",
    "rotate(force=1)",
    "backup()",
    "audit(after=200 since_ms=-5 peer=web kind=7 sign=1)",
    "metrics()",
};

static const char *const responses[] = {
    "failure(code=42 detail=words)",
    "done(count=300)",
    "peers(peers(name=web guid=970F state=live why=because paired=1 fingerprint=0123"
    " pending_fingerprint=4567 queued=1001 queued_bytes=1002 inbox=1003 delivered=1004"
    " received=1005 in_flight=1006 ring_limit=1007 ring_slots=1008 rewrites=1009 writes=1010"
    " items_written=1011 data_items_written=1012 data_chars_written=1013 bad_items=1014"
    " round_trip_ms=1015 inbox_bytes=1016 expired=1017 dead=1018 unknown=1019 dead_letters=1020"
    " enrolments_refused=1021) peers(name=db) total=600)",
    "queued(id=0a.7 peer=web)",
    "progress(acknowledged=300 total=5000)",
    "outcome(id=0a.7 outcome=delivered reason=none peer=web consumed=1)",
    "delivery(lease=300 peer=web id=0a.7 topic=app.x stream=s class=bulk created_ms=1795692000099"
    " body_length=5 try=2 kind=3 status=-3 reply_to=0b.8 headers(name=a value=1)"
    " headers(name=b value=2) ttl_ms=7000)",
    "chunk(data=00ff68)",
    "items(items(store=mine key=kvpbus.h value=abc) items(store=peer))",
    "refused(peer=web code=42 detail=words)",
    "records(records(sent=1 peer=web id=0a.7 topic=app.x stream=s class=normal size=1001"
    " queued_ms=1002 settled_ms=1003 outcome=delivered reason=none receipt=1 consumed_ms=1004)"
    " records(place=leased tries=2))",
    "dead_letters(letters(number=1001 peer=web id=0a.7 topic=app.x stream=s class=normal size=1002"
    " tries=10 died_ms=1003 reason=busy) letters(number=1004) more=1)",
    "token(token=kvpbus1 id=0c peer=web guid=970F ends_ms=1795692000099)",
    "exported(size=70000)",
    "backup_file(name=journal size=70000)",
    "audit_entries(entries(number=1001 time_ms=-5 kind=7 vm=00ff detail=words hash=01fe name=web)"
    " marks(number=1002 time_ms=-6 hash=02fd identity=03fc signature=04fb) next=1003 head=1004"
    " begin(number=1005) newest(number=1006) identity=05fa)",
    "text(text=words more=1)",
    "identity(fingerprint=0123 public_key=00ff role=host)",
    "items(items(store=mine key=kvpbus.s) more=1 skipped=300)",
};

struct table {
    const char *file;
    const ProtobufCMessageDescriptor *type;
    const char *const *cases;
    size_t count;
};

static const struct table tables[] = {
    {"control-requests.bin", &kvpbus__control__request__descriptor, requests,
     sizeof requests / sizeof *requests},
    {"control-responses.bin", &kvpbus__control__response__descriptor, responses,
     sizeof responses / sizeof *responses},
};

enum { TABLES = sizeof tables / sizeof *tables };

// --- text to message ---

static ProtobufCMessage *message_of(const ProtobufCMessageDescriptor *type, const char **at);

static void set_bytes(ProtobufCBinaryData *data, const char *text, size_t length)
{
    data->len = length / 2;
    data->data = malloc(data->len);
    for (size_t i = 0; i < data->len; i++) {
        unsigned byte;
        cr_assert_eq(sscanf(text + 2 * i, "%2x", &byte), 1, "%s", text);
        data->data[i] = (uint8_t)byte;
    }
}

static bool is_long(const ProtobufCFieldDescriptor *field)
{
    return field->type == PROTOBUF_C_TYPE_UINT64 || field->type == PROTOBUF_C_TYPE_INT64;
}

static void set_value(const ProtobufCFieldDescriptor *field, void *member, const char **at)
{
    const char *text = *at + 1;
    size_t length = strcspn(text, " )");
    if (field->type == PROTOBUF_C_TYPE_MESSAGE) {
        cr_assert_eq(**at, '(', "%s", *at);
        *at = text;
        *(ProtobufCMessage **)member = message_of(field->descriptor, at);
        return;
    }
    cr_assert_eq(**at, '=', "%s", *at);
    *at = text + length;
    if (field->type == PROTOBUF_C_TYPE_STRING)
        *(char **)member = strndup(text, length);
    else if (field->type == PROTOBUF_C_TYPE_BYTES)
        set_bytes(member, text, length);
    else if (is_long(field))
        *(int64_t *)member = strtoll(text, NULL, 10);
    else
        *(int32_t *)member = (int32_t)strtol(text, NULL, 10);
}

// The member's place; for a repeated field a further element's.
static void *member_of(ProtobufCMessage *message, const ProtobufCFieldDescriptor *field)
{
    char *base = (char *)message;
    void *member = base + field->offset;
    if ((field->flags & PROTOBUF_C_FIELD_FLAG_ONEOF) != 0)
        *(uint32_t *)(void *)(base + field->quantifier_offset) = field->id;
    if (field->label != PROTOBUF_C_LABEL_REPEATED)
        return member;
    cr_assert(field->type == PROTOBUF_C_TYPE_STRING || field->type == PROTOBUF_C_TYPE_MESSAGE);
    size_t *count = (size_t *)(void *)(base + field->quantifier_offset);
    void ***list = member;
    *list = realloc(*list, (*count + 1) * sizeof **list);
    return *list + (*count)++;
}

static ProtobufCMessage *message_of(const ProtobufCMessageDescriptor *type, const char **at)
{
    ProtobufCMessage *message = malloc(type->sizeof_message);
    protobuf_c_message_init(type, message);
    while (**at != ')' && **at != '\0') {
        char name[64];
        size_t length = strcspn(*at, "=(");
        cr_assert_lt(length, sizeof name);
        snprintf(name, sizeof name, "%.*s", (int)length, *at);
        const ProtobufCFieldDescriptor *field =
            protobuf_c_message_descriptor_get_field_by_name(type, name);
        cr_assert_not_null(field, "%s has no %s", type->short_name, name);
        *at += length;
        set_value(field, member_of(message, field), at);
        *at += **at == ' ';
    }
    *at += **at == ')';
    return message;
}

// --- message to text ---

static const ProtobufCFieldDescriptor *seen[1000]; // those of which something was said
static size_t seen_count;

struct text {
    char words[TEXT];
    size_t length;
};

static void say(struct text *text, const char *format, ...) __attribute__((format(printf, 2, 3)));

static void say(struct text *text, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    int length = vsnprintf(text->words + text->length, TEXT - text->length, format, arguments);
    va_end(arguments);
    text->length += (size_t)length;
    cr_assert_lt(text->length, TEXT);
}

static void describe(struct text *text, const ProtobufCMessage *message);

static void describe_value(struct text *text, const ProtobufCFieldDescriptor *field,
                           const void *member)
{
    if (text->length > 0 && text->words[text->length - 1] != '(')
        say(text, " ");
    cr_assert_lt(seen_count, sizeof seen / sizeof *seen);
    seen[seen_count++] = field;
    say(text, "%s%s", field->name, field->type == PROTOBUF_C_TYPE_MESSAGE ? "(" : "=");
    if (field->type == PROTOBUF_C_TYPE_MESSAGE) {
        describe(text, *(ProtobufCMessage *const *)member);
        say(text, ")");
    } else if (field->type == PROTOBUF_C_TYPE_STRING) {
        say(text, "%s", *(char *const *)member);
    } else if (field->type == PROTOBUF_C_TYPE_BYTES) {
        const ProtobufCBinaryData *data = member;
        for (size_t i = 0; i < data->len; i++)
            say(text, "%02x", data->data[i]);
    } else if (is_long(field)) {
        say(text, "%" PRId64, *(const int64_t *)member);
    } else {
        say(text, "%" PRId32, *(const int32_t *)member);
    }
}

static bool is_set(const ProtobufCFieldDescriptor *field, const char *base)
{
    const void *member = base + field->offset;
    if ((field->flags & PROTOBUF_C_FIELD_FLAG_ONEOF) != 0)
        return *(const uint32_t *)(const void *)(base + field->quantifier_offset) == field->id;
    if (field->type == PROTOBUF_C_TYPE_MESSAGE)
        return *(ProtobufCMessage *const *)member != NULL;
    if (field->type == PROTOBUF_C_TYPE_STRING)
        return **(char *const *)member != '\0';
    if (field->type == PROTOBUF_C_TYPE_BYTES)
        return ((const ProtobufCBinaryData *)member)->len > 0;
    return is_long(field) ? *(const int64_t *)member != 0 : *(const int32_t *)member != 0;
}

static void describe(struct text *text, const ProtobufCMessage *message)
{
    const char *base = (const char *)message;
    for (unsigned i = 0; i < message->descriptor->n_fields; i++) {
        const ProtobufCFieldDescriptor *field = &message->descriptor->fields[i];
        if (field->label != PROTOBUF_C_LABEL_REPEATED) {
            if (is_set(field, base))
                describe_value(text, field, base + field->offset);
            continue;
        }
        size_t count = *(const size_t *)(const void *)(base + field->quantifier_offset);
        void *const *list = *(void *const *const *)(const void *)(base + field->offset);
        for (size_t n = 0; n < count; n++)
            describe_value(text, field, &list[n]);
    }
}

// --- the files ---

static size_t write_frame(const struct table *table, size_t i, uint8_t *to)
{
    const char *at = table->cases[i];
    ProtobufCMessage *message = message_of(table->type, &at);
    cr_assert_str_empty(at);
    size_t length = protobuf_c_message_pack(message, to + KVPBUS_FRAME_HEAD);
    kvpbus_frame_head(to, length);
    protobuf_c_message_free_unpacked(message, NULL);
    return KVPBUS_FRAME_HEAD + length;
}

static void expect(const struct table *table, size_t i, const uint8_t *bytes, size_t length)
{
    struct text text = {.length = 0};
    ProtobufCMessage *message = protobuf_c_message_unpack(table->type, NULL, length, bytes);
    cr_assert_not_null(message, "%s", table->cases[i]);
    describe(&text, message);
    cr_assert_str_eq(text.words, table->cases[i]);
    protobuf_c_message_free_unpacked(message, NULL);
}

Test(control, is_written_as_in_the_files)
{
    static uint8_t bytes[4 * FILE_MAX];
    for (size_t t = 0; t < TABLES; t++) {
        size_t length = 0;
        for (size_t i = 0; i < tables[t].count; i++)
            length += write_frame(&tables[t], i, bytes + length);
        golden_compare(tables[t].file, bytes, length);
    }
}

// Also when a newer program has put a field there that is not known here.
Test(control, is_read_from_the_files)
{
    static const uint8_t unknown[] = {0xc0, 0x3e, 1}; // number 1000, a varint
    uint8_t bytes[FILE_MAX], more[FILE_MAX];
    for (size_t t = 0; t < TABLES; t++) {
        struct kvpbus_frame_reader *reader = calloc(1, sizeof *reader);
        size_t left = golden_read(tables[t].file, bytes, sizeof bytes), taken, length;
        const uint8_t *frame;
        for (size_t i = 0, at = 0; i < tables[t].count; i++, at += taken, left -= taken) {
            cr_assert_eq(kvpbus_frame_take(reader, bytes + at, left, &taken, &frame, &length),
                         KVPBUS_OK);
            cr_assert_not_null(frame);
            expect(&tables[t], i, frame, length);
            memcpy(more, frame, length);
            memcpy(more + length, unknown, sizeof unknown);
            expect(&tables[t], i, more, length + sizeof unknown);
            kvpbus_frame_next(reader);
        }
        cr_assert_eq(left, 0);
        free(reader);
    }
}

// --- nothing is left out ---

static void all_seen(const ProtobufCMessageDescriptor *type)
{
    for (unsigned i = 0; i < type->n_fields; i++) {
        const ProtobufCFieldDescriptor *field = &type->fields[i];
        size_t n = 0;
        while (n < seen_count && seen[n] != field)
            n++;
        cr_assert_lt(n, seen_count, "no case has %s of %s", field->name, type->short_name);
        if (field->type == PROTOBUF_C_TYPE_MESSAGE)
            all_seen(field->descriptor);
    }
}

Test(control, each_kind_and_field_is_in_a_case)
{
    for (size_t t = 0; t < TABLES; t++)
        for (size_t i = 0; i < tables[t].count; i++) {
            uint8_t bytes[FILE_MAX];
            size_t length = write_frame(&tables[t], i, bytes);
            expect(&tables[t], i, bytes + KVPBUS_FRAME_HEAD, length - KVPBUS_FRAME_HEAD);
        }
    for (size_t t = 0; t < TABLES; t++)
        all_seen(tables[t].type);
}
