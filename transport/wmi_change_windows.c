// SPDX-License-Identifier: Apache-2.0
//
// AddKvpItems, ModifyKvpItems and RemoveKvpItems: their parameters, the call, and its job followed
// to the end.
#include <stdlib.h>
#include <string.h>

#include "hresult.h"
#include "kvp_item_text.h"
#include "wmi_management_windows.h"
#include "wmi_text.h"

enum {
    FIRST_PAUSE_MS = 5, // between two looks at a job; doubled up to
    LAST_PAUSE_MS = 250,
    PATH_ROOM = 1024,
    DESCRIPTION_ROOM = 2048,
};

struct item {
    char *key, *value;
};

struct change_call {
    struct kvpbus_wmi_call call;
    enum kvpbus_operation operation;
    uint8_t guid[KVPBUS_GUID_BYTES];
    struct item *items; // the values of a Remove are empty
    size_t count;
    struct kvpbus_call_result result;
    bool unknown;        // there is no such VM
    bool accepted;       // the method was begun
    bool unsure;         // it may have been carried out
    char job[PATH_ROOM]; // its path; empty: there is none
};

// --- items as embedded instances ---

static HRESULT write_by_source(IWbemObjectTextSrc *source, IWbemClassObject *object, BSTR *text)
{
    HRESULT result =
        IWbemObjectTextSrc_GetText(source, 0, object, WMI_OBJ_TEXT_CIM_DTD_2_0, NULL, text);
    if (SUCCEEDED(result))
        kvpbus_com_took(*text); // freed by kvpbus_bstr_free
    return result;
}

// The article's CreateInstance, Properties and GetText. The numbers of WMI's uint16 go as VT_I4.
static HRESULT make_instance(struct kvpbus_wmi_connection *connection, IWbemObjectTextSrc *source,
                             const struct item *item, BSTR *text)
{
    IWbemClassObject *object = NULL;
    HRESULT result = kvpbus_wmi_spawn(connection, connection->item_class, &object);
    if (SUCCEEDED(result))
        result = kvpbus_com_put_text(object, L"Name", item->key);
    if (SUCCEEDED(result))
        result = kvpbus_com_put_text(object, L"Data", item->value);
    if (SUCCEEDED(result))
        result = kvpbus_com_put_number(object, L"Source", 0);
    if (SUCCEEDED(result))
        result = write_by_source(source, object, text);
    kvpbus_com_release(&object);
    return result;
}

static HRESULT write_by_hand(const struct item *item, BSTR *text)
{
    char written[KVPBUS_ITEM_TEXT_ROOM];
    if (kvpbus_item_text_write(item->key, item->value, written, sizeof written) == 0)
        return E_INVALIDARG;
    *text = kvpbus_bstr(written);
    return *text != NULL ? S_OK : E_OUTOFMEMORY;
}

// All of them as strings, which the caller frees, also after a failure.
static HRESULT write_items(struct kvpbus_wmi_connection *connection,
                           const struct change_call *change, BSTR *texts)
{
    IWbemObjectTextSrc *source = NULL;
    HRESULT result = CoCreateInstance(&CLSID_WbemObjectTextSrc, NULL, CLSCTX_INPROC_SERVER,
                                      &IID_IWbemObjectTextSrc, (void **)&source);
    if (FAILED(result) && result != REGDB_E_CLASSNOTREG)
        return result;
    kvpbus_com_took(source);
    result = S_OK;
    for (size_t i = 0; i < change->count && SUCCEEDED(result); i++)
        result = source != NULL ? make_instance(connection, source, &change->items[i], &texts[i])
                                : write_by_hand(&change->items[i], &texts[i]);
    kvpbus_com_release(&source);
    return result;
}

// --- the call ---

// The VM as it is now: its path for TargetSystem.
static HRESULT find_vm(struct kvpbus_wmi_connection *connection, const struct change_call *change,
                       char *path)
{
    char relative[KVPBUS_WMI_PATH_ROOM];
    IWbemClassObject *object = NULL;
    bool set = false;
    kvpbus_wmi_vm_path(change->guid, relative);
    HRESULT result = kvpbus_wmi_object(connection, relative, &object);
    if (SUCCEEDED(result))
        result = kvpbus_com_text(object, L"__PATH", path, PATH_ROOM, &set);
    kvpbus_com_release(&object);
    return SUCCEEDED(result) && !set ? KVPBUS_WBEM(E_NOT_FOUND) : result;
}

static HRESULT make_parameters(struct kvpbus_wmi_connection *connection,
                               const struct change_call *change, const char *vm,
                               IWbemClassObject **parameters)
{
    BSTR texts[KVPBUS_MANAGEMENT_BATCH] = {0};
    HRESULT result =
        kvpbus_wmi_spawn(connection, connection->parameters[change->operation], parameters);
    if (SUCCEEDED(result))
        result = kvpbus_com_put_text(*parameters, L"TargetSystem", vm);
    if (SUCCEEDED(result))
        result = write_items(connection, change, texts);
    if (SUCCEEDED(result))
        return kvpbus_com_put_array(*parameters, L"DataItems", texts, change->count);
    for (size_t i = 0; i < change->count; i++)
        kvpbus_bstr_free(&texts[i]);
    return result;
}

// Waits for what an ExecMethod that returned at once gives in the end.
static HRESULT await_result(struct kvpbus_wmi_connection *connection, struct change_call *change,
                            IWbemCallResult *pending, IWbemClassObject **out)
{
    enum { SLICE_MS = 1000 }; // between two looks at whether the caller still waits
    HRESULT result = kvpbus_wmi_secure(connection->target, pending);
    while (SUCCEEDED(result)) {
        unsigned rest = kvpbus_wmi_task_rest(&change->call.work.task);
        if (rest == 0)
            return KVPBUS_WBEM(E_TIMED_OUT);
        result = IWbemCallResult_GetResultObject(pending, (LONG)(rest < SLICE_MS ? rest : SLICE_MS),
                                                 out);
        if (result == KVPBUS_WBEM(S_TIMEDOUT))
            continue;
        if (SUCCEEDED(result))
            kvpbus_com_took(*out);
        break;
    }
    return SUCCEEDED(result) && *out == NULL ? KVPBUS_WBEM(E_FAILED) : result;
}

static HRESULT execute(struct kvpbus_wmi_connection *connection, struct change_call *change,
                       IWbemClassObject *parameters, IWbemClassObject **out)
{
    IWbemCallResult *pending = NULL;
    BSTR method = kvpbus_bstr(kvpbus_wmi_method(change->operation));
    if (method == NULL)
        return E_OUTOFMEMORY;
    // Not one that its caller has left: who knows what was written in the meantime.
    if (kvpbus_wmi_task_rest(&change->call.work.task) == 0) {
        kvpbus_bstr_free(&method);
        return KVPBUS_WBEM(E_TIMED_OUT);
    }
    change->call.sent = true;
    HRESULT result =
        IWbemServices_ExecMethod(connection->services, connection->service, method,
                                 WBEM_FLAG_RETURN_IMMEDIATELY, NULL, parameters, NULL, &pending);
    if (SUCCEEDED(result)) {
        change->accepted = true;
        kvpbus_com_took(pending);
        result = await_result(connection, change, pending, out);
    }
    kvpbus_com_release(&pending);
    kvpbus_bstr_free(&method);
    return result;
}

static HRESULT take_outcome(struct change_call *change, IWbemClassObject *out)
{
    bool set;
    HRESULT result = kvpbus_com_number(out, L"ReturnValue", &change->result.return_value, &set);
    if (SUCCEEDED(result) && !set)
        return KVPBUS_WBEM(E_FAILED);
    if (SUCCEEDED(result) && change->result.return_value == KVPBUS_RETURN_JOB_STARTED)
        result = kvpbus_com_text(out, L"Job", change->job, sizeof change->job, &set);
    return result;
}

// What ExecMethod, or the wait for its result, says by failing.
static bool may_have_happened(const struct change_call *change, HRESULT result)
{
    switch (kvpbus_hresult_find((uint32_t)result)->kind) {
    case KVPBUS_HRESULT_PLAIN:
        return false;
    case KVPBUS_HRESULT_UNSENT:
        return change->accepted; // then it is only the answer that did not come
    default:
        return true;
    }
}

static HRESULT call_step(struct kvpbus_wmi_connection *connection, struct kvpbus_wmi_call *call)
{
    struct change_call *change = (struct change_call *)call;
    IWbemClassObject *parameters = NULL, *out = NULL;
    char vm[PATH_ROOM];
    change->accepted = false;
    call->work.step = "looking for the VM";
    HRESULT result = find_vm(connection, change, vm);
    change->unknown = result == KVPBUS_WBEM(E_NOT_FOUND);
    if (FAILED(result))
        return result;
    call->work.step = "making the parameters of a call";
    result = make_parameters(connection, change, vm, &parameters);
    if (SUCCEEDED(result)) {
        call->work.step = "calling the management service";
        result = execute(connection, change, parameters, &out);
    }
    bool answered = SUCCEEDED(result);
    if (answered)
        result = take_outcome(change, out);
    kvpbus_com_release(&out);
    kvpbus_com_release(&parameters);
    if (FAILED(result) && change->call.sent) {
        change->unsure = answered || may_have_happened(change, result);
        change->call.sent = change->unsure; // what was not carried out may be repeated
    }
    return result;
}

// --- its job ---

static HRESULT take_job(struct change_call *change, IWbemClassObject *job)
{
    struct kvpbus_call_result *answer = &change->result;
    char description[DESCRIPTION_ROOM];
    uint32_t state, code;
    bool state_set, set;
    HRESULT result = kvpbus_com_number(job, L"JobState", &state, &state_set);
    if (FAILED(result) || !state_set || state < KVPBUS_JOB_COMPLETED)
        return result;
    answer->job_state = (enum kvpbus_job_state)state;
    result = kvpbus_com_number(job, L"ErrorCode", &code, &set);
    if (SUCCEEDED(result))
        result = kvpbus_com_text(job, L"ErrorDescription", description, sizeof description, &set);
    if (FAILED(result))
        return result;
    answer->error_code = code;
    answer->hresult = (int64_t)kvpbus_hresult_in_text(description);
    return kvpbus_com_text(job, L"ErrorDescription", answer->description,
                           sizeof answer->description, &set);
}

// A job shows how it fares only to those who fetch it again.
static HRESULT job_step(struct kvpbus_wmi_connection *connection, struct kvpbus_wmi_call *call)
{
    struct change_call *change = (struct change_call *)call;
    IWbemClassObject *job = NULL;
    call->work.step = "looking at a job";
    HRESULT result = kvpbus_wmi_object(connection, change->job, &job);
    if (SUCCEEDED(result))
        result = take_job(change, job);
    kvpbus_com_release(&job);
    return result;
}

static HRESULT follow_job(struct change_call *change)
{
    unsigned pause = FIRST_PAUSE_MS;
    change->result.had_job = true;
    change->result.job_state = KVPBUS_JOB_NEW;
    change->call.sent = false; // to look at a job may be repeated
    for (;;) {
        HRESULT result = kvpbus_wmi_attempt(&change->call, job_step);
        if (FAILED(result) || change->result.job_state >= KVPBUS_JOB_COMPLETED)
            return result;
        if (kvpbus_wmi_task_rest(&change->call.work.task) == 0)
            return KVPBUS_WBEM(E_TIMED_OUT);
        kvpbus_wmi_task_pause(&change->call.work.task, pause);
        pause = pause * 2 < LAST_PAUSE_MS ? pause * 2 : LAST_PAUSE_MS;
    }
}

// --- the operation ---

static void change_run(struct kvpbus_wmi_task *task)
{
    struct change_call *change = (struct change_call *)task;
    struct kvpbus_wmi_call *call = &change->call;
    HRESULT result = kvpbus_wmi_attempt(call, call_step);
    if (SUCCEEDED(result) && change->job[0] != '\0') {
        change->unsure = true;
        result = follow_job(change);
    }
    if (SUCCEEDED(result))
        return;
    if (change->unknown) {
        call->error = kvpbus_fail(&call->failure, KVPBUS_VM_UNKNOWN, "%s",
                                  kvpbus_error_text(KVPBUS_VM_UNKNOWN));
        return;
    }
    kvpbus_wmi_failed(call, result);
    if (change->unsure)
        call->error = call->failure.code = KVPBUS_TIMEOUT;
}

static void change_discard(struct kvpbus_wmi_task *task)
{
    struct change_call *change = (struct change_call *)task;
    for (size_t i = 0; i < change->count; i++) {
        free(change->items[i].key);
        free(change->items[i].value);
    }
    free(change->items);
    free(change);
}

// What the service refuses for its length it is to refuse itself, as far as an item can be written.
static enum kvpbus_error copy_items(struct change_call *change, const struct kvpbus_change *items)
{
    for (size_t i = 0; i < change->count; i++) {
        const char *value = change->operation == KVPBUS_OP_REMOVE ? "" : items[i].value;
        if (strlen(items[i].key) > KVPBUS_ITEM_NAME_ROOM || strlen(value) > KVPBUS_ITEM_DATA_ROOM)
            return KVPBUS_TOO_LARGE;
        change->items[i].key = _strdup(items[i].key);
        change->items[i].value = _strdup(value);
        if (change->items[i].key == NULL || change->items[i].value == NULL)
            return KVPBUS_NOMEM;
    }
    return KVPBUS_OK;
}

// NULL: *error and *failure say why.
static struct change_call *new_change(struct kvpbus_wmi *wmi, enum kvpbus_operation operation,
                                      const struct kvpbus_change *items, size_t count,
                                      enum kvpbus_error *error, struct kvpbus_failure *failure)
{
    struct change_call *change = calloc(1, sizeof *change);
    if (change != NULL)
        change->items = calloc(count, sizeof *change->items);
    if (change == NULL || change->items == NULL) {
        free(change);
        *error = kvpbus_fail(failure, KVPBUS_NOMEM, "calling the management service");
        return NULL;
    }
    change->operation = operation;
    change->count = count;
    kvpbus_wmi_prepare(&change->call, wmi, change_run, change_discard);
    *error = copy_items(change, items);
    if (*error == KVPBUS_OK)
        return change;
    change_discard(&change->call.work.task);
    kvpbus_fail(failure, *error, "an item of a call: a key has at most %d bytes, a value %d",
                KVPBUS_ITEM_NAME_ROOM, KVPBUS_ITEM_DATA_ROOM);
    return NULL;
}

enum kvpbus_error
kvpbus_wmi_change(struct kvpbus_management *management, enum kvpbus_operation operation,
                  const uint8_t guid[KVPBUS_GUID_BYTES], const struct kvpbus_change *items,
                  size_t count, struct kvpbus_call_result *result, struct kvpbus_failure *failure)
{
    enum kvpbus_error error;
    if (count == 0 || count > KVPBUS_MANAGEMENT_BATCH)
        return kvpbus_fail(failure, KVPBUS_INVALID_ARGUMENT, "a call takes 1 to %d items, not %zu",
                           KVPBUS_MANAGEMENT_BATCH, count);
    *result = (struct kvpbus_call_result){0};
    struct change_call *change =
        new_change(kvpbus_wmi_of(management), operation, items, count, &error, failure);
    if (change == NULL)
        return error;
    memcpy(change->guid, guid, sizeof change->guid);
    if (!kvpbus_wmi_carry_out(&change->call, &error, failure))
        return error;
    error = change->call.error;
    *result = change->result;
    change_discard(&change->call.work.task);
    return error;
}
