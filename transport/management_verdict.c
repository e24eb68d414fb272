// SPDX-License-Identifier: Apache-2.0
#include "management_verdict.h"

#include <stdio.h>

// What the guest's or the host's part of the exchange says within a job's error description.
#define HRESULT_DEVICE_NOT_READY UINT32_C(0x800710DF)
#define HRESULT_NO_RESOURCES UINT32_C(0x800705AA)
#define HRESULT_INVALID_ARGUMENT UINT32_C(0x80070057)

static const char *operation_name(enum kvpbus_operation operation)
{
    switch (operation) {
    case KVPBUS_OP_ADD:
        return "Add";
    case KVPBUS_OP_MODIFY:
        return "Modify";
    default:
        return "Remove";
    }
}

static struct kvpbus_verdict lost(void)
{
    return (struct kvpbus_verdict){
        .kind = KVPBUS_VERDICT_LOST,
        .error = KVPBUS_STORE_UNKNOWN,
        .partial = true,
    };
}

static struct kvpbus_verdict refused(enum kvpbus_error error, bool ask_state)
{
    return (struct kvpbus_verdict){
        .kind = KVPBUS_VERDICT_REFUSED,
        .error = error,
        .ask_state = ask_state,
    };
}

static struct kvpbus_verdict by_code(uint32_t code, uint32_t hresult)
{
    if (hresult == HRESULT_DEVICE_NOT_READY)
        return refused(KVPBUS_STORE_GONE, false);
    if (hresult == HRESULT_NO_RESOURCES)
        return refused(KVPBUS_STORE_TOO_MANY, false);
    switch (code) {
    case KVPBUS_RETURN_INVALID_PARAMETER:
    case KVPBUS_RETURN_NOT_FOUND:
        return (struct kvpbus_verdict){
            .kind = KVPBUS_VERDICT_COLLISION,
            .error = KVPBUS_STORE_REJECTED,
        };
    case KVPBUS_RETURN_ACCESS_DENIED:
        return refused(KVPBUS_ACCESS, false);
    case KVPBUS_RETURN_NOT_SUPPORTED:
        return refused(KVPBUS_UNSUPPORTED, false);
    case KVPBUS_RETURN_BAD_DATA_TYPE:
        return refused(KVPBUS_STORE_REJECTED, false);
    case KVPBUS_RETURN_IN_USE:
    case KVPBUS_RETURN_INVALID_STATE:
    case KVPBUS_RETURN_NOT_AVAILABLE:
        return refused(KVPBUS_STORE_BUSY, true);
    case KVPBUS_RETURN_OUT_OF_MEMORY:
        return refused(KVPBUS_STORE_BUSY, false);
    default:
        // A job that was tried again after a failure in the guest has been seen to end like this.
        if (hresult == HRESULT_INVALID_ARGUMENT)
            return (struct kvpbus_verdict){
                .kind = KVPBUS_VERDICT_COLLISION,
                .error = KVPBUS_STORE_REJECTED,
            };
        return refused(KVPBUS_STORE_REJECTED, true);
    }
}

// 0 when the service says that it has been done, and *unsure when it does not know.
static uint32_t failure_code(const struct kvpbus_call_result *result, bool *unsure)
{
    bool by_job = result->return_value == KVPBUS_RETURN_JOB_STARTED;
    bool failed = by_job && result->had_job && result->job_state == KVPBUS_JOB_EXCEPTION;
    bool completed = by_job && result->had_job && result->job_state == KVPBUS_JOB_COMPLETED;
    uint32_t code = by_job ? result->error_code : result->return_value;
    *unsure = (by_job && !failed && !completed) || code == KVPBUS_RETURN_UNKNOWN ||
              code == KVPBUS_RETURN_TIMEOUT;
    return failed && code == KVPBUS_RETURN_COMPLETED ? KVPBUS_RETURN_FAILED : code;
}

// "Add of 3 items: job terminated (8): failed (32768): the description"
static void say(struct kvpbus_failure *failure, enum kvpbus_error error,
                enum kvpbus_operation operation, size_t count,
                const struct kvpbus_call_result *result, uint32_t code)
{
    char job[64] = "", outcome[64] = "";
    if (result->had_job)
        snprintf(job, sizeof job, ": job %s (%u)",
                 kvpbus_job_state_text((uint32_t)result->job_state), (unsigned)result->job_state);
    // A job that goes on has no code yet.
    if (!result->had_job || code != KVPBUS_RETURN_COMPLETED)
        snprintf(outcome, sizeof outcome, ": %s (%u)", kvpbus_return_text(code), (unsigned)code);
    kvpbus_fail(failure, error, "%s of %zu items%s%s%s%.120s", operation_name(operation), count,
                job, outcome, result->description[0] == '\0' ? "" : ": ", result->description);
    if (failure != NULL)
        failure->os_code = result->hresult != 0 ? result->hresult : (int64_t)code;
}

struct kvpbus_verdict kvpbus_management_verdict(enum kvpbus_operation operation, size_t count,
                                                enum kvpbus_error call_error,
                                                const struct kvpbus_call_result *result,
                                                struct kvpbus_failure *failure)
{
    if (call_error == KVPBUS_TIMEOUT || call_error == KVPBUS_STORE_UNKNOWN) {
        kvpbus_failure_wrap(failure, "%s of %zu items", operation_name(operation), count);
        if (failure != NULL)
            failure->code = KVPBUS_STORE_UNKNOWN;
        return lost();
    }
    if (call_error != KVPBUS_OK)
        return refused(call_error, false);

    bool unsure;
    uint32_t code = failure_code(result, &unsure);
    if (unsure) {
        say(failure, KVPBUS_STORE_UNKNOWN, operation, count, result, code);
        return lost();
    }
    if (code == KVPBUS_RETURN_COMPLETED)
        return (struct kvpbus_verdict){.kind = KVPBUS_VERDICT_DONE, .error = KVPBUS_OK};

    struct kvpbus_verdict verdict = by_code(code, (uint32_t)result->hresult);
    verdict.partial = result->return_value == KVPBUS_RETURN_JOB_STARTED;
    say(failure, verdict.error, operation, count, result, code);
    return verdict;
}
