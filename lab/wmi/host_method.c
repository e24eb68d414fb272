// SPDX-License-Identifier: Apache-2.0
//
// AddKvpItems, ModifyKvpItems and RemoveKvpItems, and the jobs that they start.
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "host_internal.h"
#include "item_text.h"

// A job's InstanceID is a GUID: this with the lab's number at its end.
#define JOB_GUID "4B565042-5553-4C41-8000-"

// One more than is allowed is enough for the service to refuse the call.
enum { ITEMS_MAX = KVPBUS_MANAGEMENT_BATCH + 1 };

static void job_id(uint64_t job, char *text, size_t size)
{
    snprintf(text, size, JOB_GUID "%012" PRIX64, job & UINT64_C(0xFFFFFFFFFFFF));
}

static bool job_number(const char *id, uint64_t *job)
{
    char canonical[KVPBUS_GUID_TEXT + 1], again[KVPBUS_GUID_TEXT + 1];
    uint8_t guid[KVPBUS_GUID_BYTES];
    if (!kvpbus_guid_parse(id, guid))
        return false;
    kvpbus_guid_format(guid, canonical);
    *job = strtoull(canonical + sizeof JOB_GUID - 1, NULL, 16);
    job_id(*job, again, sizeof again);
    return strcmp(canonical, again) == 0;
}

struct answer {
    bool given;
    uint32_t error;
    uint32_t return_value, job_state, error_code;
    uint64_t job;
    char description[160];
};

static void on_outcome(void *context, const Kvpbus__Lab__Reply *reply)
{
    struct answer *answer = context;
    answer->given = true;
    answer->error = reply->error;
    if (reply->outcome == NULL)
        return;
    answer->return_value = reply->outcome->return_value;
    answer->job = reply->outcome->job;
    answer->job_state = reply->outcome->job_state;
    answer->error_code = reply->outcome->error_code;
    snprintf(answer->description, sizeof answer->description, "%s", reply->outcome->description);
}

static const char *state_text(uint32_t state)
{
    switch (state) {
    case KVPBUS_JOB_NEW:
        return "Job is new";
    case KVPBUS_JOB_STARTING:
        return "Job is starting";
    case KVPBUS_JOB_RUNNING:
        return "Job is running";
    case KVPBUS_JOB_COMPLETED:
        return "Job has completed";
    case KVPBUS_JOB_EXCEPTION:
        return "Job has failed";
    default:
        return "";
    }
}

static unsigned percent(uint32_t state)
{
    if (state >= KVPBUS_JOB_COMPLETED)
        return 100;
    return state == KVPBUS_JOB_RUNNING ? 50 : 0;
}

static bool fill_job(struct kvpbus_cim_object *object, const char *id, const struct answer *answer)
{
    const char *description = answer->description[0] != '\0' ? answer->description : NULL;
    return kvpbus_cim_set(object, "InstanceID", id) &&
           kvpbus_cim_set(object, "Caption", "Changing Data Exchange items") &&
           kvpbus_cim_set(object, "ElementName", "Changing Data Exchange items") &&
           kvpbus_cim_set(object, "JobStatus", state_text(answer->job_state)) &&
           kvpbus_cim_set_number(object, "JobState", answer->job_state) &&
           kvpbus_cim_set_number(object, "PercentComplete", percent(answer->job_state)) &&
           kvpbus_cim_set_number(object, "ErrorCode", answer->error_code) &&
           kvpbus_cim_set(object, "ErrorDescription", description) &&
           kvpbus_cim_set(object, "ErrorSummaryDescription", description) &&
           kvpbus_cim_set(object, "Cancellable", "FALSE") &&
           kvpbus_cim_set(object, "DeleteOnCompletion", "FALSE");
}

enum kvpbus_cim_status kvpbus_cim_make_job(struct kvpbus_cim_host *host, const char *instance_id,
                                           struct kvpbus_cim_object **object)
{
    Kvpbus__Lab__Request request = KVPBUS__LAB__REQUEST__INIT;
    Kvpbus__Lab__JobQuery query = KVPBUS__LAB__JOB_QUERY__INIT;
    struct answer answer = {0};
    char id[KVPBUS_GUID_TEXT + 1];
    if (!job_number(instance_id, &query.id))
        return KVPBUS_CIM_NOT_FOUND;
    request.kind_case = KVPBUS__LAB__REQUEST__KIND_JOB;
    request.job = &query;
    enum kvpbus_cim_status status = kvpbus_cim_ask(host, &request, on_outcome, &answer, NULL);
    if (status != KVPBUS_CIM_OK)
        return status == KVPBUS_CIM_HIDDEN ? KVPBUS_CIM_NOT_FOUND : status;
    if (!answer.given || answer.error != KVPBUS_OK)
        return answer.error == KVPBUS_NOT_FOUND ? KVPBUS_CIM_NOT_FOUND : KVPBUS_CIM_FAILED;
    job_id(query.id, id, sizeof id);
    struct kvpbus_cim_object *job =
        kvpbus_cim_object_new(kvpbus_cim_class_find("Msvm_ConcreteJob"));
    if (job == NULL || !fill_job(job, id, &answer)) {
        kvpbus_cim_object_free(job);
        return KVPBUS_CIM_NOMEM;
    }
    *object = job;
    return KVPBUS_CIM_OK;
}

// The path of a job, for Job of a method; NULL: no memory. The caller frees it.
static char *job_path(const struct kvpbus_cim_host *host, uint64_t job)
{
    char id[KVPBUS_GUID_TEXT + 1];
    char *path = NULL;
    struct kvpbus_cim_object *object =
        kvpbus_cim_object_new(kvpbus_cim_class_find("Msvm_ConcreteJob"));
    job_id(job, id, sizeof id);
    if (object != NULL && kvpbus_cim_set(object, "InstanceID", id))
        path = kvpbus_cim_path(object, kvpbus_cim_host_scope(host));
    kvpbus_cim_object_free(object);
    return path;
}

// The VM that TargetSystem names. False when it names none.
static bool target_of(const struct kvpbus_cim_host *host, const char *path, uint8_t *guid)
{
    struct kvpbus_cim_reference reference;
    bool found = false;
    if (kvpbus_cim_path_parse(path, kvpbus_cim_host_scope(host), &reference) != KVPBUS_CIM_PATH_OK)
        return false;
    bool system = kvpbus_cim_compare(reference.class_name, "Msvm_ComputerSystem") == 0 &&
                  reference.is_instance &&
                  kvpbus_cim_path_fits(&reference, kvpbus_cim_class_find("Msvm_ComputerSystem"));
    for (size_t i = 0; system && i < reference.key_count; i++)
        if (reference.keys[i].name != NULL &&
            kvpbus_cim_compare(reference.keys[i].name, "Name") == 0)
            found = kvpbus_guid_parse(reference.keys[i].value, guid);
    free(reference.text);
    return found;
}

struct items {
    struct kvpbus_cim_item parsed[ITEMS_MAX];
    Kvpbus__Lab__Item messages[ITEMS_MAX], *pointers[ITEMS_MAX];
    size_t count;
};

static void free_items(struct items *items)
{
    for (size_t i = 0; items != NULL && i < items->count; i++)
        kvpbus_cim_item_clear(&items->parsed[i]);
    free(items);
}

static void put(ProtobufCBinaryData *data, char *text)
{
    data->data = (uint8_t *)text;
    data->len = text != NULL ? strlen(text) : 0;
}

// 0, or the return value with which the service refuses the items.
static uint32_t parse_items(const struct kvpbus_cim_value *value, struct items *items)
{
    for (size_t i = 0; i < value->count && i < ITEMS_MAX; i++) {
        struct kvpbus_cim_item *item = &items->parsed[i];
        enum kvpbus_cim_item_result result = kvpbus_cim_item_parse(value->texts[i], item);
        if (result != KVPBUS_CIM_ITEM_OK)
            return result == KVPBUS_CIM_ITEM_NOMEM ? KVPBUS_RETURN_OUT_OF_MEMORY
                                                   : KVPBUS_RETURN_INVALID_PARAMETER;
        items->count++;
        // Items for the host alone, Source 4, are not served.
        if (item->source != 0)
            return item->source == 4 ? KVPBUS_RETURN_NOT_SUPPORTED
                                     : KVPBUS_RETURN_INVALID_PARAMETER;
        kvpbus__lab__item__init(&items->messages[i]);
        put(&items->messages[i].key, item->name);
        put(&items->messages[i].value, item->data);
        items->pointers[i] = &items->messages[i];
    }
    return KVPBUS_RETURN_COMPLETED;
}

static enum kvpbus_cim_status start(struct kvpbus_cim_host *host, enum kvpbus_operation operation,
                                    uint8_t *guid, struct items *items, struct answer *answer)
{
    Kvpbus__Lab__Request request = KVPBUS__LAB__REQUEST__INIT;
    Kvpbus__Lab__Call call = KVPBUS__LAB__CALL__INIT;
    bool refused = false;
    call.operation = (uint32_t)operation;
    call.guid.data = guid;
    call.guid.len = KVPBUS_GUID_BYTES;
    call.items = items->pointers;
    call.n_items = items->count;
    request.kind_case = KVPBUS__LAB__REQUEST__KIND_CALL;
    request.call = &call;
    enum kvpbus_cim_status status = kvpbus_cim_ask(host, &request, on_outcome, answer, &refused);
    bool unknown = answer->given && answer->error == KVPBUS_VM_UNKNOWN;
    if (refused || unknown) {
        answer->return_value = KVPBUS_RETURN_INVALID_PARAMETER;
        return KVPBUS_CIM_OK;
    }
    return status == KVPBUS_CIM_OK && answer->error != KVPBUS_OK ? KVPBUS_CIM_FAILED : status;
}

static enum kvpbus_cim_status call(struct kvpbus_cim_host *host, enum kvpbus_operation operation,
                                   const struct kvpbus_cim_object *in, struct answer *answer)
{
    const char *target = kvpbus_cim_get(in, "TargetSystem");
    int index = kvpbus_cim_property_find(in->class, "DataItems");
    uint8_t guid[KVPBUS_GUID_BYTES];
    if (target == NULL)
        return KVPBUS_CIM_INVALID_PARAMETERS;
    struct items *items = calloc(1, sizeof *items);
    if (items == NULL)
        return KVPBUS_CIM_NOMEM;
    enum kvpbus_cim_status status = KVPBUS_CIM_OK;
    answer->return_value = target_of(host, target, guid) ? parse_items(&in->values[index], items)
                                                         : KVPBUS_RETURN_INVALID_PARAMETER;
    if (answer->return_value == KVPBUS_RETURN_COMPLETED)
        status = start(host, operation, guid, items, answer);
    free_items(items);
    return status;
}

static bool fill_out(const struct kvpbus_cim_host *host, struct kvpbus_cim_object *out,
                     const struct answer *answer)
{
    if (!kvpbus_cim_set_number(out, "ReturnValue", answer->return_value))
        return false;
    if (answer->job == 0)
        return true;
    char *path = job_path(host, answer->job);
    bool set = path != NULL && kvpbus_cim_set(out, "Job", path);
    free(path);
    return set;
}

static enum kvpbus_cim_status check_target(struct kvpbus_cim_host *host, const char *path,
                                           const char *name,
                                           const struct kvpbus_cim_method **method)
{
    struct kvpbus_cim_object *object;
    enum kvpbus_cim_status status = kvpbus_cim_host_get(host, path, &object);
    if (status != KVPBUS_CIM_OK)
        return status;
    *method = kvpbus_cim_method_find(object->class, name);
    if (*method == NULL)
        status = KVPBUS_CIM_INVALID_METHOD;
    else if (object->is_class)
        status = KVPBUS_CIM_INVALID_PARAMETERS; // none of the methods is static
    kvpbus_cim_object_free(object);
    return status;
}

enum kvpbus_cim_status kvpbus_cim_host_call(struct kvpbus_cim_host *host, const char *path,
                                            const char *name, const struct kvpbus_cim_object *in,
                                            struct kvpbus_cim_object **out)
{
    static const struct {
        const char *name;
        enum kvpbus_operation operation;
    } operations[] = {{"AddKvpItems", KVPBUS_OP_ADD},
                      {"ModifyKvpItems", KVPBUS_OP_MODIFY},
                      {"RemoveKvpItems", KVPBUS_OP_REMOVE}};
    const struct kvpbus_cim_method *method;
    struct answer answer = {0};
    enum kvpbus_operation operation = KVPBUS_OP_ADD;
    enum kvpbus_cim_status status = check_target(host, path, name, &method);
    if (status != KVPBUS_CIM_OK)
        return status;
    if (in == NULL || in->class != method->in)
        return KVPBUS_CIM_INVALID_PARAMETERS;
    for (size_t i = 0; i < sizeof operations / sizeof *operations; i++)
        if (kvpbus_cim_compare(operations[i].name, name) == 0)
            operation = operations[i].operation;
    status = call(host, operation, in, &answer);
    if (status != KVPBUS_CIM_OK)
        return status;
    *out = kvpbus_cim_object_new(method->out);
    if (*out == NULL || !fill_out(host, *out, &answer)) {
        kvpbus_cim_object_free(*out);
        return KVPBUS_CIM_NOMEM;
    }
    return KVPBUS_CIM_OK;
}
