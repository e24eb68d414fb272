// SPDX-License-Identifier: Apache-2.0
//
// The audit over the local socket: reading it, and entering who asked for what.
#include <stdio.h>
#include <string.h>

#include "audit_bus.h"
#include "control_client_state.h"

typedef Kvpbus__Control__Request Request;
typedef Kvpbus__Control__Response Response;

// --- who asked ---

bool control_is_owner(const struct control_client *client)
{
    char user[CONTROL_USER_TEXT];
    bool owner;
    return control_listener_user(&client->pipe, user, &owner) && owner;
}

// The word for what is asked, and whom it is about; NULL: nothing that is entered.
static const char *administrative(const Request *request, const char **peer)
{
    *peer = "";
    switch (request->kind_case) {
    case KVPBUS__CONTROL__REQUEST__KIND_PAIR:
        *peer = request->pair->peer;
        return "pair";
    case KVPBUS__CONTROL__REQUEST__KIND_UNPAIR:
        *peer = request->unpair->peer;
        return "unpair";
    case KVPBUS__CONTROL__REQUEST__KIND_ENROLL:
        *peer = request->enroll->peer;
        return "enroll";
    case KVPBUS__CONTROL__REQUEST__KIND_REBIND:
        *peer = request->rebind->peer;
        return request->rebind->force ? "rebind --force" : "rebind";
    case KVPBUS__CONTROL__REQUEST__KIND_EXPORT:
        *peer = request->export->peer;
        return request->export->undo ? "export --undo" : "export";
    case KVPBUS__CONTROL__REQUEST__KIND_IMPORT:
        return "import";
    case KVPBUS__CONTROL__REQUEST__KIND_ROTATE:
        return "rotate";
    case KVPBUS__CONTROL__REQUEST__KIND_BACKUP:
        return "backup";
    case KVPBUS__CONTROL__REQUEST__KIND_WITHDRAW:
        return "withdraw";
    case KVPBUS__CONTROL__REQUEST__KIND_DEAD:
        *peer = request->dead->peer;
        return request->dead->verb == KVPBUS__CONTROL__DEAD_REQUEST__VERB__RETRY  ? "dead retry"
               : request->dead->verb == KVPBUS__CONTROL__DEAD_REQUEST__VERB__DROP ? "dead drop"
                                                                                  : NULL;
    default:
        return NULL;
    }
}

void control_audit_asked(struct control_client *client, const Request *request)
{
    char detail[80], user[CONTROL_USER_TEXT];
    const char *peer;
    bool owner;
    const char *what = administrative(request, &peer);
    if (what == NULL)
        return;
    struct kvpbus_endpoint *endpoint = NULL;
    if (peer[0] != '\0')
        endpoint = kvpbus_service_find(control_service(client), peer, NULL);
    if (control_listener_user(&client->pipe, user, &owner))
        snprintf(detail, sizeof detail, "%s by %s", what, user);
    else
        snprintf(detail, sizeof detail, "%s by a user who is not known", what);
    kvpbus_bus_audit(client->bus, endpoint, KVPBUS_AUDIT_ASKED, detail, false);
}

// --- reading ---

static void fill_mark(Kvpbus__Control__AuditMark *out, const struct kvpbus_audit_mark *mark)
{
    kvpbus__control__audit_mark__init(out);
    out->number = mark->number;
    out->time_ms = mark->time_ms;
    out->hash = (ProtobufCBinaryData){sizeof mark->hash, (uint8_t *)mark->hash};
    out->identity = (ProtobufCBinaryData){sizeof mark->identity, (uint8_t *)mark->identity};
    out->signature = (ProtobufCBinaryData){sizeof mark->signature, (uint8_t *)mark->signature};
}

static const char *name_of(const struct kvpbus_service *service,
                           const uint8_t vm[KVPBUS_VM_ID_BYTES])
{
    for (size_t i = 0; i < service->endpoint_count; i++) {
        const struct kvpbus_peer *peer = kvpbus_endpoint_peer(service->endpoints[i]);
        if (memcmp(peer->vm, vm, sizeof peer->vm) == 0)
            return peer->name;
    }
    return "";
}

static void fill_entry(Kvpbus__Control__AuditEntry *out, const struct kvpbus_service *service,
                       const struct kvpbus_audit_entry *entry)
{
    static const uint8_t none[KVPBUS_VM_ID_BYTES];
    kvpbus__control__audit_entry__init(out);
    out->number = entry->number;
    out->time_ms = entry->time_ms;
    out->kind = entry->kind;
    out->vm = (ProtobufCBinaryData){sizeof entry->vm, (uint8_t *)entry->vm};
    out->detail = (char *)entry->detail;
    out->hash = (ProtobufCBinaryData){sizeof entry->hash, (uint8_t *)entry->hash};
    if (memcmp(entry->vm, none, sizeof none) != 0)
        out->name = (char *)name_of(service, entry->vm);
}

static void on_page(void *context, const struct kvpbus_audit_page *page,
                    const struct kvpbus_audit_mark *mark, const struct kvpbus_failure *failure)
{
    struct control_client *client = context;
    if (!control_returned(client))
        return;
    if (page == NULL) {
        control_fail(client, failure->code, failure->detail);
        return;
    }
    struct kvpbus_service *service = control_service(client);
    Kvpbus__Control__AuditEntries answer = KVPBUS__CONTROL__AUDIT_ENTRIES__INIT;
    Kvpbus__Control__AuditEntry entries[KVPBUS_AUDIT_PAGE], *entry_list[KVPBUS_AUDIT_PAGE];
    Kvpbus__Control__AuditMark marks[KVPBUS_AUDIT_PAGE_MARKS], *mark_list[KVPBUS_AUDIT_PAGE_MARKS],
        base, newest;
    for (size_t i = 0; i < page->count; i++)
        fill_entry(entry_list[i] = &entries[i], service, &page->entries[i]);
    for (size_t i = 0; i < page->mark_count; i++)
        fill_mark(mark_list[i] = &marks[i], &page->marks[i]);
    fill_mark(&base, &page->base);
    answer.n_entries = page->count;
    answer.entries = entry_list;
    answer.n_marks = page->mark_count;
    answer.marks = mark_list;
    answer.next = page->next;
    answer.head = page->head;
    answer.begin = &base;
    if (mark != NULL)
        fill_mark(answer.newest = &newest, mark);
    answer.identity =
        (ProtobufCBinaryData){sizeof service->state.identity, service->state.identity};
    Response response = KVPBUS__CONTROL__RESPONSE__INIT;
    response.kind_case = KVPBUS__CONTROL__RESPONSE__KIND_AUDIT_ENTRIES;
    response.audit_entries = &answer;
    client->request = CONTROL_IDLE;
    control_respond(client, &response);
}

void control_audit(struct control_client *client, const Kvpbus__Control__AuditRequest *request)
{
    struct kvpbus_audit_query query = {
        .after = request->after,
        .since_ms = request->since_ms,
        .kind = (uint16_t)request->kind,
        .of_peer = request->peer[0] != '\0',
    };
    if (query.of_peer) {
        const struct kvpbus_endpoint *endpoint = control_named(client, request->peer);
        if (endpoint == NULL)
            return;
        memcpy(query.vm, kvpbus_endpoint_peer(endpoint)->vm, sizeof query.vm);
    }
    client->request = CONTROL_BUSY;
    client->jobs++;
    kvpbus_bus_audit_read(client->bus, &query, request->sign, on_page, client);
}
