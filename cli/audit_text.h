// SPDX-License-Identifier: Apache-2.0
//
// Entries and marks of the audit on their way to people and files: from the service, to JSON and
// back.
#ifndef KVPBUS_AUDIT_TEXT_H
#define KVPBUS_AUDIT_TEXT_H

#include <jansson.h>

#include "audit.h"
#include "control_call.h"

// One page; freed with kvpbus__control__response__free_unpacked. KVPBUS_PROTOCOL: the answer is
// none.
enum kvpbus_error kvpbus_audit_ask(struct kvpbus_client *client,
                                   const Kvpbus__Control__AuditRequest *request,
                                   Kvpbus__Control__Response **response,
                                   struct kvpbus_failure *failure);
// False: it has not the shape of one.
bool kvpbus_audit_take_entry(const Kvpbus__Control__AuditEntry *from,
                             struct kvpbus_audit_entry *entry);
bool kvpbus_audit_take_mark(const Kvpbus__Control__AuditMark *from, struct kvpbus_audit_mark *mark);

// 2026-01-31T12:00:00.000Z
void kvpbus_audit_time(int64_t time_ms, char text[32]);

// `name` NULL: without it.
json_t *kvpbus_audit_entry_json(const struct kvpbus_audit_entry *entry, const char *name);
json_t *kvpbus_audit_mark_json(const struct kvpbus_audit_mark *mark);
bool kvpbus_audit_entry_parse(const json_t *value, struct kvpbus_audit_entry *entry);
bool kvpbus_audit_mark_parse(const json_t *value, struct kvpbus_audit_mark *mark);

// verify, with argv from its own word on.
struct kvpbus_command_context;
int kvpbus_command_audit_verify(const struct kvpbus_command_context *context, int argc,
                                char **argv);

#endif
