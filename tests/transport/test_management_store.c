// SPDX-License-Identifier: Apache-2.0
//
// One VM's store over a management service that fails in every way that is known.
#include <criterion/criterion.h>
#include <string.h>

#include "conformance.h"
#include "fake_management.h"

static struct fake_management fake;
static struct kvpbus_store *store;
static struct kvpbus_failure failure;
static enum kvpbus_error results[KVPBUS_CHANGES_MAX];

static void setup(void)
{
    fake_management_make(&fake);
    cr_assert_eq(kvpbus_management_store_open(&fake.head, fake.vm.guid, "kvpbus", &store),
                 KVPBUS_OK);
}

static void teardown(void)
{
    kvpbus_store_close(store);
}

TestSuite(management_store, .init = setup, .fini = teardown);

static void put_peer(void *context, const char *key, const char *value)
{
    (void)context;
    fake_set(&fake.guest, key, value);
}

static void plant_foreign(void *context, const char *key, const char *value)
{
    (void)context;
    fake_set(&fake.host, key, value);
}

static bool foreign_intact(void *context, const char *key, const char *value)
{
    (void)context;
    return fake_get(&fake.host, key) != NULL && strcmp(fake_get(&fake.host, key), value) == 0;
}

static void keep_contract(void)
{
    const struct conformance suite = {
        .store = store,
        .put_peer = put_peer,
        .plant_foreign = plant_foreign,
        .foreign_intact = foreign_intact,
    };
    conformance_run(&suite);
}

Test(management_store, keeps_the_contract)
{
    keep_contract();
}

Test(management_store, keeps_the_contract_with_methods_that_end_at_once)
{
    fake.direct = true;
    fake.modify_missing = KVPBUS_RETURN_NOT_FOUND;
    fake.remove_missing = KVPBUS_RETURN_INVALID_PARAMETER;
    keep_contract();
}

static enum kvpbus_error write_changes(const struct kvpbus_change *changes, size_t count)
{
    failure = (struct kvpbus_failure){0};
    memset(results, 0x55, sizeof(results));
    memset(fake.calls, 0, sizeof(fake.calls));
    memset(fake.order, 0, sizeof(fake.order));
    fake.reads = 0;
    fake.lists = 0;
    return store->ops->write(store, changes, count, results, &failure);
}

static enum kvpbus_error write_one(const char *key, const char *value)
{
    return write_changes(&(struct kvpbus_change){key, value}, 1);
}

static void expect_item(const char *key, const char *value)
{
    const char *is = fake_get(&fake.host, key);
    if (value == NULL)
        cr_assert_null(is);
    else
        cr_assert(is != NULL && strcmp(is, value) == 0, "%s", key);
}

static void read_own(void)
{
    struct kvpbus_scan scan = {0};
    cr_assert_eq(store->ops->read_own(store, &scan, NULL), KVPBUS_OK);
    kvpbus_scan_free(&scan);
}

Test(management_store, known_keys_cost_one_call)
{
    const struct kvpbus_change changes[] = {{"kvpbus.00", "a"}, {"kvpbus.01", "b"}};
    read_own();
    cr_assert_eq(write_changes(changes, 2), KVPBUS_OK);
    cr_assert_str_eq(fake.order, "A");
    cr_assert_eq(fake.last_count[KVPBUS_OP_ADD], 2);
    cr_assert_eq(fake.reads, 0);
    cr_assert_eq(write_changes(changes, 2), KVPBUS_OK);
    cr_assert_str_eq(fake.order, "M");
    cr_assert_eq(fake.last_count[KVPBUS_OP_MODIFY], 2);
}

Test(management_store, a_mixed_batch_is_one_call_of_each_kind_with_removals_last)
{
    const struct kvpbus_change first[] = {{"kvpbus.00", "a"}, {"kvpbus.01", "b"}};
    const struct kvpbus_change mixed[] = {
        {"kvpbus.00", NULL}, {"kvpbus.02", "c"}, {"kvpbus.01", "B"}, {"kvpbus.gone", NULL}};
    cr_assert_eq(write_changes(first, 2), KVPBUS_OK);
    cr_assert_eq(fake.reads, 1);
    cr_assert_eq(write_changes(mixed, 4), KVPBUS_OK);
    cr_assert_str_eq(fake.order, "AMR");
    cr_assert_eq(fake.last_count[KVPBUS_OP_REMOVE], 1);
    cr_assert_eq(fake.reads, 0);
    cr_assert_eq(write_one("kvpbus.gone", NULL), KVPBUS_OK);
    cr_assert_str_eq(fake.order, "");
}

static void expect_add_collision_heals(void)
{
    read_own();
    fake_set(&fake.host, "kvpbus.h", "unexpected");
    cr_assert_eq(write_one("kvpbus.h", "wanted"), KVPBUS_OK);
    cr_assert_str_eq(fake.order, "AM");
    cr_assert_eq(fake.reads, 1);
    expect_item("kvpbus.h", "wanted");
}

Test(management_store, add_of_what_exists_becomes_modify)
{
    expect_add_collision_heals();
}

Test(management_store, add_of_what_exists_becomes_modify_without_a_job)
{
    fake.direct = true;
    expect_add_collision_heals();
}

static void expect_modify_collision_heals(uint32_t code)
{
    fake.modify_missing = code;
    fake_set(&fake.host, "kvpbus.h", "x");
    read_own();
    fake_set(&fake.host, "kvpbus.h", NULL);
    cr_assert_eq(write_one("kvpbus.h", "wanted"), KVPBUS_OK);
    cr_assert_str_eq(fake.order, "MA");
    expect_item("kvpbus.h", "wanted");
}

Test(management_store, modify_of_what_is_missing_becomes_add)
{
    expect_modify_collision_heals(KVPBUS_RETURN_INVALID_PARAMETER);
}

Test(management_store, modify_of_what_is_missing_becomes_add_on_newer_hosts)
{
    expect_modify_collision_heals(KVPBUS_RETURN_NOT_FOUND);
}

static void expect_remove_missing(uint32_t code, const char *order)
{
    const struct kvpbus_change changes[] = {{"kvpbus.00", NULL}, {"kvpbus.01", NULL}};
    fake.remove_missing = code;
    fake_set(&fake.host, "kvpbus.00", "x");
    fake_set(&fake.host, "kvpbus.01", "x");
    read_own();
    fake_set(&fake.host, "kvpbus.00", NULL);
    cr_assert_eq(write_changes(changes, 2), KVPBUS_OK);
    cr_assert_str_eq(fake.order, order);
    expect_item("kvpbus.01", NULL);
}

Test(management_store, removal_of_what_is_missing_succeeds)
{
    expect_remove_missing(KVPBUS_RETURN_COMPLETED, "R");
}

Test(management_store, removal_of_what_is_missing_on_older_hosts)
{
    expect_remove_missing(KVPBUS_RETURN_INVALID_PARAMETER, "RR");
}

// Half of an Add is done, then one item exists: what is left is one Modify and one Add.
Test(management_store, a_collision_in_the_middle_is_settled_item_by_item)
{
    const struct kvpbus_change changes[] = {
        {"kvpbus.00", "a"}, {"kvpbus.01", "b"}, {"kvpbus.02", "c"}, {"kvpbus.03", "d"}};
    read_own();
    fake_set(&fake.host, "kvpbus.02", "other");
    cr_assert_eq(write_changes(changes, 4), KVPBUS_OK);
    cr_assert_str_eq(fake.order, "AAM");
    cr_assert_eq(fake.last_count[KVPBUS_OP_ADD], 1);
    cr_assert_eq(fake.last_count[KVPBUS_OP_MODIFY], 1);
    for (size_t i = 0; i < 4; i++)
        expect_item(changes[i].key, changes[i].value);
}

Test(management_store, an_item_that_a_scan_cannot_show_is_modified)
{
    fake.oversized = "kvpbus.h";
    read_own();
    cr_assert_eq(write_one("kvpbus.h", "wanted"), KVPBUS_OK);
    cr_assert_str_eq(fake.order, "AM");
    expect_item("kvpbus.h", "wanted");
    fake.oversized = "kvpbus.s";
    read_own();
    cr_assert_eq(write_one("kvpbus.s", NULL), KVPBUS_OK);
    cr_assert_str_eq(fake.order, "R");
    cr_assert_null(fake.oversized);
}

static void set_fault(struct fake_fault fault)
{
    if (fault.times == 0)
        fault.times = 1;
    fake.fault = fault;
}

static void expect_refusal(struct fake_fault fault, enum kvpbus_error expected)
{
    const struct kvpbus_change changes[] = {{"kvpbus.00", "a"}, {"kvpbus.01", "b"}};
    read_own();
    fault.times = 10;
    set_fault(fault);
    cr_assert_eq(write_changes(changes, 2), expected, "%s instead of %s (%s)",
                 kvpbus_error_name(failure.code), kvpbus_error_name(expected), failure.detail);
    cr_assert_eq(results[0], expected);
    cr_assert_eq(results[1], expected);
    cr_assert_eq(failure.code, expected);
    cr_assert_neq(failure.detail[0], '\0');
    cr_assert_leq(strlen(fake.order), 2, "%s", fake.order);
    fake.fault.kind = FAKE_NO_FAULT;
    cr_assert_eq(write_changes(changes, 2), KVPBUS_OK);
    fake_set(&fake.host, "kvpbus.00", NULL);
    fake_set(&fake.host, "kvpbus.01", NULL);
}

struct refusal {
    uint32_t code;
    int64_t hresult;
    enum kvpbus_error expected;
};

static const struct refusal refusals[] = {
    {KVPBUS_RETURN_ACCESS_DENIED, 0, KVPBUS_ACCESS},
    {KVPBUS_RETURN_NOT_SUPPORTED, 0, KVPBUS_UNSUPPORTED},
    {KVPBUS_RETURN_BAD_DATA_TYPE, 0, KVPBUS_STORE_REJECTED},
    {KVPBUS_RETURN_INVALID_PARAMETER, 0, KVPBUS_STORE_REJECTED},
    {KVPBUS_RETURN_IN_USE, 0, KVPBUS_STORE_BUSY},
    {KVPBUS_RETURN_INVALID_STATE, 0, KVPBUS_STORE_BUSY},
    {KVPBUS_RETURN_NOT_AVAILABLE, 0, KVPBUS_STORE_BUSY},
    {KVPBUS_RETURN_OUT_OF_MEMORY, 0, KVPBUS_STORE_BUSY},
    {KVPBUS_RETURN_FAILED, 0, KVPBUS_STORE_REJECTED},
    {4711, 0, KVPBUS_STORE_REJECTED},
    {KVPBUS_RETURN_FAILED, 0x800710DF, KVPBUS_STORE_GONE},
    {KVPBUS_RETURN_FAILED, (int32_t)0x800710DF, KVPBUS_STORE_GONE},
    {KVPBUS_RETURN_INVALID_PARAMETER, 0x800710DF, KVPBUS_STORE_GONE},
    {KVPBUS_RETURN_FAILED, 0x80070057, KVPBUS_STORE_REJECTED},
    {KVPBUS_RETURN_FAILED, 0x800705AA, KVPBUS_STORE_TOO_MANY},
};

Test(management_store, each_refusal_by_a_job_has_its_error)
{
    for (size_t i = 0; i < sizeof(refusals) / sizeof(refusals[0]); i++) {
        expect_refusal((struct fake_fault){.kind = FAKE_JOB,
                                           .state = KVPBUS_JOB_EXCEPTION,
                                           .code = refusals[i].code,
                                           .hresult = refusals[i].hresult},
                       refusals[i].expected);
    }
}

Test(management_store, each_refusal_by_a_method_has_its_error)
{
    for (size_t i = 0; i < sizeof(refusals) / sizeof(refusals[0]); i++) {
        if (refusals[i].hresult == 0)
            expect_refusal((struct fake_fault){.kind = FAKE_RETURN, .code = refusals[i].code},
                           refusals[i].expected);
    }
}

Test(management_store, the_state_of_the_vm_tells_the_reason)
{
    const struct fake_fault invalid_state = {.kind = FAKE_RETURN,
                                             .code = KVPBUS_RETURN_INVALID_STATE};
    fake.vm.state = KVPBUS_VM_STATE_OFF;
    expect_refusal(invalid_state, KVPBUS_VM_OFF);
    fake.vm.state = KVPBUS_VM_STATE_SAVED;
    expect_refusal(invalid_state, KVPBUS_VM_OFF);
    fake.vm.state = KVPBUS_VM_STATE_RUNNING;
    fake.vm.exchange_enabled = false;
    expect_refusal(invalid_state, KVPBUS_EXCHANGE_DISABLED);
    fake.vm_absent = true;
    expect_refusal(invalid_state, KVPBUS_VM_UNKNOWN);
}

Test(management_store, a_lost_connection_before_the_call_is_a_store_that_is_gone)
{
    expect_refusal((struct fake_fault){.kind = FAKE_DISCONNECTED}, KVPBUS_STORE_GONE);
}

static void expect_unknown(struct fake_fault fault, const char *says)
{
    const struct kvpbus_change changes[] = {{"kvpbus.00", "a"}, {"kvpbus.01", "b"}};
    read_own();
    set_fault(fault);
    cr_assert_eq(write_changes(changes, 2), KVPBUS_STORE_UNKNOWN);
    cr_assert_str_eq(failure.detail, says);
    cr_assert_eq(failure.code, KVPBUS_STORE_UNKNOWN);
    cr_assert_eq(results[0], KVPBUS_STORE_UNKNOWN);
    cr_assert_eq(results[1], KVPBUS_STORE_UNKNOWN);
    cr_assert_eq(strlen(fake.order), 1);
    cr_assert_eq(fake.reads, 0, "the job may still run: a read settles nothing");
    // What was known is forgotten, so the next write reads first and makes no call that must fail.
    cr_assert_eq(write_changes(changes, 2), KVPBUS_OK);
    cr_assert_eq(fake.reads, 1);
    expect_item("kvpbus.00", "a");
    expect_item("kvpbus.01", "b");
    fake_set(&fake.host, "kvpbus.00", NULL);
    fake_set(&fake.host, "kvpbus.01", NULL);
}

Test(management_store, no_answer_is_an_unknown_outcome)
{
    for (size_t applied = 0; applied <= 2; applied++)
        expect_unknown((struct fake_fault){.kind = FAKE_TIMEOUT, .applied = applied},
                       "Add of 2 items: no answer");
    expect_unknown((struct fake_fault){.kind = FAKE_RETURN, .code = KVPBUS_RETURN_TIMEOUT},
                   "Add of 2 items: timeout (32772)");
    expect_unknown((struct fake_fault){.kind = FAKE_RETURN, .code = KVPBUS_RETURN_UNKNOWN},
                   "Add of 2 items: status unknown (32771)");
}

Test(management_store, every_job_state_but_completed_and_exception_is_an_unknown_outcome)
{
    static const struct {
        enum kvpbus_job_state state;
        const char *says;
    } jobs[] = {
        {KVPBUS_JOB_NEW, "Add of 2 items: job new (2)"},
        {KVPBUS_JOB_STARTING, "Add of 2 items: job starting (3)"},
        {KVPBUS_JOB_RUNNING, "Add of 2 items: job running (4)"},
        {KVPBUS_JOB_SUSPENDED, "Add of 2 items: job suspended (5)"},
        {KVPBUS_JOB_SHUTTING_DOWN, "Add of 2 items: job shutting down (6)"},
        {KVPBUS_JOB_TERMINATED, "Add of 2 items: job terminated (8)"},
        {KVPBUS_JOB_KILLED, "Add of 2 items: job killed (9)"},
        {KVPBUS_JOB_SERVICE, "Add of 2 items: job in service (11)"},
        {(enum kvpbus_job_state)32768, "Add of 2 items: job in an unlisted state (32768)"},
    };
    for (size_t i = 0; i < sizeof jobs / sizeof *jobs; i++)
        expect_unknown((struct fake_fault){.kind = FAKE_JOB, .state = jobs[i].state, .applied = 1},
                       jobs[i].says);
}

Test(management_store, an_exception_without_a_code_is_a_failure)
{
    expect_refusal((struct fake_fault){.kind = FAKE_JOB, .state = KVPBUS_JOB_EXCEPTION},
                   KVPBUS_STORE_REJECTED);
}

Test(management_store, after_a_lost_call_no_further_one_is_made)
{
    fake_set(&fake.host, "kvpbus.01", "x");
    read_own();
    set_fault((struct fake_fault){.kind = FAKE_TIMEOUT});
    const struct kvpbus_change changes[] = {{"kvpbus.00", "a"}, {"kvpbus.01", "b"}};
    cr_assert_eq(write_changes(changes, 2), KVPBUS_STORE_BUSY);
    cr_assert_eq(results[0], KVPBUS_STORE_UNKNOWN);
    cr_assert_eq(results[1], KVPBUS_STORE_BUSY);
    cr_assert_str_eq(fake.order, "A");
}

Test(management_store, half_a_batch_is_told_apart)
{
    const struct kvpbus_change changes[] = {
        {"kvpbus.00", "a"}, {"kvpbus.01", "b"}, {"kvpbus.02", "c"}};
    read_own();
    set_fault((struct fake_fault){.kind = FAKE_JOB,
                                  .state = KVPBUS_JOB_EXCEPTION,
                                  .code = KVPBUS_RETURN_FAILED,
                                  .hresult = 0x800710DF,
                                  .applied = 2});
    cr_assert_eq(write_changes(changes, 3), KVPBUS_STORE_GONE);
    cr_assert_eq(results[0], KVPBUS_OK);
    cr_assert_eq(results[1], KVPBUS_OK);
    cr_assert_eq(results[2], KVPBUS_STORE_GONE);
    cr_assert_eq(write_changes(changes, 3), KVPBUS_OK);
    cr_assert_str_eq(fake.order, "AM");
}

Test(management_store, half_a_batch_that_cannot_be_read_back_is_unknown)
{
    const struct kvpbus_change changes[] = {{"kvpbus.00", "a"}, {"kvpbus.01", "b"}};
    read_own();
    set_fault((struct fake_fault){.kind = FAKE_JOB,
                                  .state = KVPBUS_JOB_EXCEPTION,
                                  .code = KVPBUS_RETURN_FAILED,
                                  .applied = 1});
    fake.read_host_error = KVPBUS_STORE_GONE;
    cr_assert_eq(write_changes(changes, 2), KVPBUS_STORE_UNKNOWN);
    cr_assert_eq(results[0], KVPBUS_STORE_UNKNOWN);
    cr_assert_eq(results[1], KVPBUS_STORE_UNKNOWN);
    cr_assert_eq(write_changes(changes, 2), KVPBUS_STORE_GONE);
    cr_assert_str_eq(fake.order, "");
    fake.read_host_error = KVPBUS_OK;
    cr_assert_eq(write_changes(changes, 2), KVPBUS_OK);
}

Test(management_store, success_without_effect_heals_at_the_next_write)
{
    read_own();
    set_fault((struct fake_fault){.kind = FAKE_NO_EFFECT});
    cr_assert_eq(write_one("kvpbus.h", "a"), KVPBUS_OK);
    expect_item("kvpbus.h", NULL);
    cr_assert_eq(write_one("kvpbus.h", "b"), KVPBUS_OK);
    cr_assert_str_eq(fake.order, "MA");
    expect_item("kvpbus.h", "b");
}

Test(management_store, a_collision_that_does_not_heal_ends_after_one_retry)
{
    read_own();
    set_fault((struct fake_fault){.kind = FAKE_JOB,
                                  .state = KVPBUS_JOB_EXCEPTION,
                                  .code = KVPBUS_RETURN_INVALID_PARAMETER,
                                  .times = 100});
    cr_assert_eq(write_one("kvpbus.h", "a"), KVPBUS_STORE_REJECTED);
    cr_assert_eq(strlen(fake.order), 2);
    cr_assert_eq(fake.reads, 2);
    cr_assert_not_null(strstr(failure.detail, "32773"), "%s", failure.detail);
}

// New keys are refused, what exists is still changed, and a removal in the same write is made.
Test(management_store, too_many_items)
{
    for (int i = 0; i < 4; i++)
        fake_set(&fake.host, (const char *[]){"a", "b", "kvpbus.00", "kvpbus.01"}[i], "x");
    fake.limit = 4;
    const struct kvpbus_change changes[] = {
        {"kvpbus.02", "new"}, {"kvpbus.00", "up"}, {"kvpbus.01", NULL}};
    cr_assert_eq(write_changes(changes, 3), KVPBUS_STORE_TOO_MANY);
    cr_assert_eq(results[0], KVPBUS_STORE_TOO_MANY);
    cr_assert_eq(results[1], KVPBUS_OK);
    cr_assert_eq(results[2], KVPBUS_OK);
    cr_assert_str_eq(fake.order, "AMR");
    fake.vm.state = KVPBUS_VM_STATE_RUNNING;
    cr_assert_eq(write_one("kvpbus.02", "new"), KVPBUS_OK);
}

Test(management_store, writing_while_the_vm_is_off_goes_into_its_configuration)
{
    fake.vm.state = KVPBUS_VM_STATE_OFF;
    cr_assert_eq(write_one("kvpbus.h", "a"), KVPBUS_OK);
    cr_assert_eq(fake.lists, 0);
    expect_item("kvpbus.h", "a");
}

Test(management_store, the_guests_side_says_why_it_cannot_be_read)
{
    struct kvpbus_scan scan = {0};
    fake_set(&fake.guest, "kvpbus.h", "x");
    static const enum kvpbus_error reasons[] = {KVPBUS_VM_UNKNOWN, KVPBUS_VM_OFF,
                                                KVPBUS_EXCHANGE_DISABLED, KVPBUS_STORE_GONE};
    for (size_t i = 0; i < 4; i++) {
        fake.guest_result = reasons[i];
        cr_assert_eq(store->ops->read_peer(store, &scan, &failure), reasons[i]);
        cr_assert_eq(failure.code, reasons[i]);
        cr_assert_eq(scan.count, 0);
    }
    kvpbus_scan_free(&scan);
}

Test(management_store, bad_prefix)
{
    struct kvpbus_store *other;
    cr_assert_eq(kvpbus_management_store_open(&fake.head, fake.vm.guid, "", &other),
                 KVPBUS_INVALID_ARGUMENT);
}

Test(management_text, codes)
{
    cr_assert_str_eq(kvpbus_return_text(0), "completed");
    cr_assert_str_eq(kvpbus_return_text(32773), "invalid parameter");
    cr_assert_str_eq(kvpbus_return_text(32779), "not found");
    cr_assert_str_eq(kvpbus_return_text(4711), "unlisted code");
}
