// SPDX-License-Identifier: Apache-2.0
#include "audit_text.h"

#include <sodium.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "kvpbus/management.h"

enum { ANSWER_WITHIN = 30000 }; // ms

enum kvpbus_error kvpbus_audit_ask(struct kvpbus_client *client,
                                   const Kvpbus__Control__AuditRequest *request,
                                   Kvpbus__Control__Response **response,
                                   struct kvpbus_failure *failure)
{
    Kvpbus__Control__Request packed = KVPBUS__CONTROL__REQUEST__INIT;
    packed.kind_case = KVPBUS__CONTROL__REQUEST__KIND_AUDIT;
    packed.audit = (Kvpbus__Control__AuditRequest *)request;
    *response = NULL;
    enum kvpbus_error error = kvpbus_control_write(client, &packed, failure);
    if (error == KVPBUS_OK)
        error = kvpbus_control_read(client, ANSWER_WITHIN, response, failure);
    if (error != KVPBUS_OK)
        return error;
    if ((*response)->kind_case == KVPBUS__CONTROL__RESPONSE__KIND_AUDIT_ENTRIES &&
        (*response)->audit_entries->begin != NULL &&
        (*response)->audit_entries->identity.len == KVPBUS_AUDIT_KEY)
        return KVPBUS_OK;
    kvpbus__control__response__free_unpacked(*response, NULL);
    *response = NULL;
    return kvpbus_fail(failure, KVPBUS_PROTOCOL, "the service does not answer as it should");
}

static bool take(const ProtobufCBinaryData *from, uint8_t *to, size_t length)
{
    if (from->len != length)
        return false;
    memcpy(to, from->data, length);
    return true;
}

bool kvpbus_audit_take_entry(const Kvpbus__Control__AuditEntry *from,
                             struct kvpbus_audit_entry *entry)
{
    *entry = (struct kvpbus_audit_entry){
        .number = from->number, .time_ms = from->time_ms, .kind = (uint16_t)from->kind};
    if (strlen(from->detail) >= sizeof entry->detail || from->kind > UINT16_MAX)
        return false;
    strcpy(entry->detail, from->detail);
    return take(&from->vm, entry->vm, sizeof entry->vm) &&
           take(&from->hash, entry->hash, sizeof entry->hash);
}

bool kvpbus_audit_take_mark(const Kvpbus__Control__AuditMark *from, struct kvpbus_audit_mark *mark)
{
    *mark = (struct kvpbus_audit_mark){.number = from->number, .time_ms = from->time_ms};
    return take(&from->hash, mark->hash, sizeof mark->hash) &&
           take(&from->identity, mark->identity, sizeof mark->identity) &&
           take(&from->signature, mark->signature, sizeof mark->signature);
}

void kvpbus_audit_time(int64_t time_ms, char text[32])
{
    time_t seconds = (time_t)(time_ms / 1000);
    struct tm parts = {.tm_mday = 1};
    gmtime_r(&seconds, &parts);
    size_t length = strftime(text, 24, "%Y-%m-%dT%H:%M:%S", &parts);
    snprintf(text + length, 32 - length, ".%03dZ", (int)(time_ms % 1000));
}

// --- JSON ---

static json_t *hex(const uint8_t *bytes, size_t length)
{
    char text[2 * KVPBUS_AUDIT_SIGNATURE + 1];
    return json_string(sodium_bin2hex(text, sizeof text, bytes, length));
}

json_t *kvpbus_audit_entry_json(const struct kvpbus_audit_entry *entry, const char *name)
{
    static const uint8_t none[KVPBUS_AUDIT_VM];
    char time_text[32], spare[16], guid[KVPBUS_GUID_TEXT + 1] = "";
    kvpbus_audit_time(entry->time_ms, time_text);
    if (memcmp(entry->vm, none, sizeof none) != 0)
        kvpbus_guid_format(entry->vm, guid);
    json_t *value =
        json_pack("{s:I, s:I, s:s, s:i, s:s, s:s, s:s, s:o}", "number", (json_int_t)entry->number,
                  "time_ms", (json_int_t)entry->time_ms, "time", time_text, "code",
                  (int)entry->kind, "kind", kvpbus_audit_word(entry->kind, spare), "peer", guid,
                  "detail", entry->detail, "hash", hex(entry->hash, sizeof entry->hash));
    if (name != NULL)
        json_object_set_new(value, "name", json_string(name));
    return value;
}

json_t *kvpbus_audit_mark_json(const struct kvpbus_audit_mark *mark)
{
    return json_pack("{s:I, s:I, s:o, s:o, s:o}", "number", (json_int_t)mark->number, "time_ms",
                     (json_int_t)mark->time_ms, "hash", hex(mark->hash, sizeof mark->hash),
                     "public_key", hex(mark->identity, sizeof mark->identity), "signature",
                     hex(mark->signature, sizeof mark->signature));
}

static bool bytes_of(const json_t *value, const char *name, uint8_t *bytes, size_t length)
{
    const char *text = json_string_value(json_object_get(value, name));
    size_t got;
    return text != NULL &&
           sodium_hex2bin(bytes, length, text, strlen(text), NULL, &got, NULL) == 0 &&
           got == length && strlen(text) == 2 * length;
}

static bool number_of(const json_t *value, const char *name, int64_t max, int64_t *number)
{
    const json_t *field = json_object_get(value, name);
    *number = json_integer_value(field);
    return json_is_integer(field) && *number >= 0 && *number <= max;
}

bool kvpbus_audit_entry_parse(const json_t *value, struct kvpbus_audit_entry *entry)
{
    int64_t number, kind;
    memset(entry, 0, sizeof *entry);
    const char *peer = json_string_value(json_object_get(value, "peer"));
    const char *detail = json_string_value(json_object_get(value, "detail"));
    if (peer == NULL || detail == NULL || strlen(detail) >= sizeof entry->detail ||
        (peer[0] != '\0' && !kvpbus_guid_parse(peer, entry->vm)) ||
        !number_of(value, "number", INT64_MAX, &number) ||
        !number_of(value, "time_ms", INT64_MAX, &entry->time_ms) ||
        !number_of(value, "code", UINT16_MAX, &kind))
        return false;
    entry->number = (uint64_t)number;
    entry->kind = (uint16_t)kind;
    strcpy(entry->detail, detail);
    return bytes_of(value, "hash", entry->hash, sizeof entry->hash);
}

bool kvpbus_audit_mark_parse(const json_t *value, struct kvpbus_audit_mark *mark)
{
    int64_t number;
    memset(mark, 0, sizeof *mark);
    if (!number_of(value, "number", INT64_MAX, &number) ||
        !number_of(value, "time_ms", INT64_MAX, &mark->time_ms))
        return false;
    mark->number = (uint64_t)number;
    return bytes_of(value, "hash", mark->hash, sizeof mark->hash) &&
           bytes_of(value, "public_key", mark->identity, sizeof mark->identity) &&
           bytes_of(value, "signature", mark->signature, sizeof mark->signature);
}
