// SPDX-License-Identifier: Apache-2.0
#include "service.h"

#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "audit_bus.h"
#include "control_backup.h"
#include "control_listener.h"
#include "control_server.h"
#include "exit_code.h"
#include "metrics_server.h"
#include "service_notify.h"
#include "service_trust.h"
#include "version.h"

static int64_t wall_ms(void)
{
    uv_timeval64_t now;
    uv_gettimeofday(&now);
    return now.tv_sec * 1000 + now.tv_usec / 1000;
}

void kvpbus_service_tick(struct kvpbus_service *service)
{
    uv_update_time(service->loop);
    kvpbus_bus_tick(service->bus, uv_now(service->loop), wall_ms());
}

static void before_jobs(void *service)
{
    if (((struct kvpbus_service *)service)->bus != NULL)
        kvpbus_service_tick(service);
}

// --- turns ---

static void on_timer(uv_timer_t *timer)
{
    (void)timer; // wakes the loop; the turn comes before its next wait
}

static void on_prepare(uv_prepare_t *prepare)
{
    struct kvpbus_service *service = prepare->data;
    kvpbus_service_start_held(service);
    kvpbus_service_start_rebind(service);
    kvpbus_service_start_move(service);
    if (service->stopping)
        return;
    kvpbus_service_tick(service);
    kvpbus_service_take_actions(service);
    uint64_t deadline = kvpbus_bus_deadline(service->bus), now = uv_now(service->loop);
    uint64_t wait = deadline > now ? deadline - now : 1;
    if (deadline == UINT64_MAX)
        uv_timer_stop(&service->timer);
    else
        uv_timer_start(&service->timer, on_timer, wait, 0);
}

// --- peers ---

struct add_call {
    struct kvpbus_service *service;
    kvpbus_service_added_fn *added;
    void *context;
};

static void keep_endpoint(struct kvpbus_service *service, struct kvpbus_endpoint *endpoint)
{
    for (size_t i = 0; i < service->endpoint_count; i++)
        if (service->endpoints[i] == endpoint)
            return;
    struct kvpbus_endpoint **grown =
        realloc(service->endpoints, (service->endpoint_count + 1) * sizeof *grown);
    if (grown == NULL)
        abort();
    service->endpoints = grown;
    service->endpoints[service->endpoint_count++] = endpoint;
}

static void on_added(void *context, struct kvpbus_endpoint *endpoint,
                     const struct kvpbus_failure *failure)
{
    struct add_call *call = context;
    if (endpoint != NULL)
        keep_endpoint(call->service, endpoint);
    if (endpoint != NULL && call->service->trust != NULL)
        kvpbus_service_trust_peer(call->service->trust, endpoint);
    if (call->added != NULL)
        call->added(call->context, endpoint, failure);
    free(call);
}

void kvpbus_service_add_peer(struct kvpbus_service *service, const uint8_t vm[KVPBUS_VM_ID_BYTES],
                             const char *name, kvpbus_service_added_fn *added, void *context)
{
    struct add_call *call = calloc(1, sizeof *call);
    if (call == NULL)
        abort();
    call->service = service;
    call->added = added;
    call->context = context;
    kvpbus_bus_add(service->bus, vm, name, on_added, call);
}

struct kvpbus_endpoint *kvpbus_service_find(const struct kvpbus_service *service, const char *name,
                                            struct kvpbus_failure *failure)
{
    uint8_t guid[KVPBUS_GUID_BYTES];
    bool by_guid = kvpbus_guid_parse(name, guid);
    struct kvpbus_endpoint *found = NULL;
    size_t matches = 0;
    char guids[2][KVPBUS_GUID_TEXT + 1];
    for (size_t i = 0; i < service->endpoint_count; i++) {
        const struct kvpbus_peer *peer = kvpbus_endpoint_peer(service->endpoints[i]);
        if (by_guid ? memcmp(peer->vm, guid, sizeof guid) != 0 : strcmp(peer->name, name) != 0)
            continue;
        if (matches < 2)
            kvpbus_guid_format(peer->vm, guids[matches]);
        matches++;
        found = service->endpoints[i];
    }
    if (matches == 1)
        return found;
    if (matches == 0)
        kvpbus_fail(failure, KVPBUS_VM_UNKNOWN,
                    "%.100s is not known here; 'kvpbus vms' lists what is", name);
    else // with a name of any length both are told
        kvpbus_fail(failure, KVPBUS_VM_AMBIGUOUS, "%zu VMs are named %.60s; use the GUID: %s or %s",
                    matches, name, guids[0], guids[1]);
    return NULL;
}

const char *kvpbus_service_name(const struct kvpbus_service *service,
                                const struct kvpbus_endpoint *endpoint,
                                char guid[KVPBUS_GUID_TEXT + 1])
{
    if (endpoint == NULL)
        return "";
    const struct kvpbus_peer *peer = kvpbus_endpoint_peer(endpoint);
    if (kvpbus_service_find(service, peer->name, NULL) == endpoint)
        return peer->name;
    kvpbus_guid_format(peer->vm, guid);
    return guid;
}

// --- what the bus says ---

static void on_inbox(void *context, int64_t peer)
{
    struct kvpbus_service *service = context;
    (void)peer;
    if (service->control != NULL)
        kvpbus_control_server_inbox(service->control);
}

static void on_outcome(void *context, int64_t peer)
{
    struct kvpbus_service *service = context;
    if (service->control != NULL)
        kvpbus_control_server_outcome(service->control, peer);
}

static void on_event(void *context, int64_t peer, enum kvpbus_event event, const char *text)
{
    static const enum kvpbus_log_event logged[] = {
        [KVPBUS_EVENT_CHANGED] = KVPBUS_LOGGED_LINK,
        [KVPBUS_EVENT_PENDING] = KVPBUS_LOGGED_PAIRING_ASKED,
        [KVPBUS_EVENT_ALARM] = KVPBUS_LOGGED_ALARM,
        [KVPBUS_EVENT_WENT_BACK] = KVPBUS_LOGGED_WENT_BACK,
        [KVPBUS_EVENT_SECOND_WRITER] = KVPBUS_LOGGED_SECOND_WRITER,
        [KVPBUS_EVENT_REBOUND] = KVPBUS_LOGGED_REBOUND,
        [KVPBUS_EVENT_ROTATED] = KVPBUS_LOGGED_PEER_ROTATED,
    };
    struct kvpbus_service *service = context;
    struct kvpbus_endpoint *endpoint = kvpbus_bus_find(service->bus, peer);
    kvpbus_log_event(logged[event], endpoint != NULL ? kvpbus_endpoint_peer(endpoint)->name : "bus",
                     "%s", text);
}

// --- life ---

static _Noreturn void end_at_once(const struct kvpbus_service *service, const char *why)
{
    kvpbus_log_event(KVPBUS_LOGGED_STOP_CUT_SHORT, NULL,
                     "%s: ended with %zu calls under way; what was accepted is in the journal", why,
                     service->calls);
    kvpbus_notify_cut_short();
    _exit(KVPBUS_EXIT_FAILED);
}

static void on_signal(uv_signal_t *handle, int number)
{
    struct kvpbus_service *service = handle->data;
    (void)number;
    if (kvpbus_service_signals[handle - service->signals].reloads) {
        if (service->options.reload != NULL && !service->stopping)
            service->options.reload(service);
        return;
    }
    if (service->stopping)
        end_at_once(service, "a second signal");
    kvpbus_log_event(KVPBUS_LOGGED_STOPPING, NULL, "stopping");
    kvpbus_service_stop(service);
}

static void on_stop_late(uv_timer_t *timer)
{
    end_at_once(timer->data, "the stop took too long");
}

// The peers that are known before anything is heard of them: a guest's host, and the VMs that this
// host is paired with, be they here now or not.
static enum kvpbus_error known_peers(const struct kvpbus_service *service,
                                     struct kvpbus_journal *journal, struct kvpbus_peer **peers,
                                     size_t *count)
{
    static const uint8_t any_vm[KVPBUS_VM_ID_BYTES];
    struct kvpbus_peer host;
    enum kvpbus_error error = kvpbus_journal_begin(journal);
    if (error == KVPBUS_OK && service->options.role == KVPBUS_ROLE_GUEST)
        error = kvpbus_journal_peer(journal, any_vm, "host", &host);
    if (error == KVPBUS_OK)
        error = kvpbus_journal_peers(journal, peers, count);
    if (error == KVPBUS_OK)
        return kvpbus_journal_commit(journal, NULL);
    kvpbus_journal_rollback(journal);
    return error;
}

static struct kvpbus_journal_options journal_options(const struct kvpbus_service_options *options)
{
    return (struct kvpbus_journal_options){
        .role = options->role,
        .outbox_max = options->outbox_max,
        .inbox_max = options->inbox_max,
        .total_max = options->journal_max,
        .control_reserve = options->control_reserve,
        .bulk_max = options->bulk_max,
        .quotas = options->quotas,
        .quota_count = options->quota_count,
        .tries_max = options->tries_max,
        .history_ms = options->history_ms,
        .audit_max = options->audit_max,
        .audit_ms = (uint64_t)options->audit_days * 86400000,
        .body_max = (size_t)options->body_max,
    };
}

static enum kvpbus_error open_journal(struct kvpbus_service *service, struct kvpbus_peer **peers,
                                      size_t *peer_count, struct kvpbus_failure *failure)
{
    char path[KVPBUS_PATH_MAX + 16];
    struct kvpbus_journal *journal;
    struct kvpbus_journal_options options = journal_options(&service->options);
    snprintf(path, sizeof path, "%s/journal", service->state.path);
    enum kvpbus_error error = kvpbus_journal_open(path, &options, &journal, failure);
    if (error != KVPBUS_OK)
        return error;
    error = known_peers(service, journal, peers, peer_count);
    if (error != KVPBUS_OK && failure != NULL)
        *failure = *kvpbus_journal_failure(journal);
    if (error == KVPBUS_OK)
        error = kvpbus_journal_thread_start(service->loop, journal, before_jobs, service,
                                            &service->journal);
    if (error != KVPBUS_OK)
        kvpbus_journal_close(journal);
    return error;
}

static enum kvpbus_error attach_known(struct kvpbus_service *service,
                                      const struct kvpbus_peer *peers, size_t count)
{
    enum kvpbus_error error = KVPBUS_OK;
    for (size_t i = 0; error == KVPBUS_OK && i < count; i++) {
        struct kvpbus_endpoint *endpoint;
        if (service->options.role == KVPBUS_ROLE_HOST && !peers[i].paired && !peers[i].moved)
            continue;
        error = kvpbus_bus_attach(service->bus, &peers[i], peers[i].vm, &endpoint);
        if (error == KVPBUS_OK)
            keep_endpoint(service, endpoint);
    }
    return error;
}

static enum kvpbus_error open_bus(struct kvpbus_service *service, const struct kvpbus_peer *peers,
                                  size_t peer_count)
{
    struct kvpbus_bus_options options = {
        .role = service->options.role,
        .prefix = service->options.prefix,
        .ring_slots = service->options.ring_slots,
        .body_max = (size_t)service->options.body_max,
        .poll_fast_ms = service->options.poll_fast_ms,
        .poll_slow_ms = service->options.poll_slow_ms,
        .listener = {service, on_inbox, on_outcome, on_event},
    };
    memcpy(options.identity, service->state.identity, sizeof options.identity);
    memcpy(options.secret, service->state.secret, sizeof options.secret);
    enum kvpbus_error error =
        kvpbus_bus_open(&options, kvpbus_journal_thread_executor(service->journal), &service->bus);
    sodium_memzero(options.secret, sizeof options.secret);
    if (error == KVPBUS_OK)
        kvpbus_bus_follows(service->bus, &service->state.rotation);
    return error == KVPBUS_OK ? attach_known(service, peers, peer_count) : error;
}

// The bus is worth more than its figures: without them it runs all the same.
static void open_metrics(struct kvpbus_service *service)
{
    struct kvpbus_failure failure = {0};
    if (service->options.metrics == NULL)
        return;
    if (kvpbus_metrics_server_open(service, service->options.metrics, &service->metrics,
                                   &failure) == KVPBUS_OK)
        kvpbus_log(KVPBUS_LOG_INFO, "metrics at %s", service->options.metrics);
    else
        kvpbus_log(KVPBUS_LOG_ERROR, "%s", failure.detail);
}

static void open_handles(struct kvpbus_service *service)
{
    uv_timer_init(service->loop, &service->timer);
    uv_prepare_init(service->loop, &service->prepare);
    service->prepare.data = service;
    uv_prepare_start(&service->prepare, on_prepare);
    for (size_t i = 0; i < KVPBUS_SERVICE_SIGNALS; i++) {
        uv_signal_init(service->loop, &service->signals[i]);
        service->signals[i].data = service;
        uv_signal_start(&service->signals[i], on_signal, kvpbus_service_signals[i].number);
    }
}

enum kvpbus_error kvpbus_service_check(const struct kvpbus_service_options *options,
                                       struct kvpbus_failure *failure)
{
    struct kvpbus_journal_options journal = journal_options(options);
    if (options->prefix != NULL && !kvpbus_prefix_valid(options->prefix))
        return kvpbus_fail(failure, KVPBUS_CONFIG,
                           "'%s' is not a prefix: 1 to %d characters of a-z and 0-9",
                           options->prefix, KVPBUS_PREFIX_MAX);
    enum kvpbus_error error = control_listener_check(options->socket, failure);
    return error == KVPBUS_OK ? kvpbus_journal_check(&journal, failure) : error;
}

enum kvpbus_error kvpbus_service_open(struct kvpbus_service *service,
                                      const struct kvpbus_service_options *options,
                                      const struct kvpbus_service_ops *ops, void *program,
                                      struct kvpbus_failure *failure)
{
    memset(service, 0, sizeof *service);
    service->loop = uv_default_loop();
    service->ops = ops;
    service->program = program;
    service->options = *options;
    service->state.lock = -1;
    service->began_ms = wall_ms();
    kvpbus_service_ignore_hang_up();
    if (sodium_init() < 0)
        return kvpbus_fail(failure, KVPBUS_INTERNAL, "libsodium cannot start");
    enum kvpbus_error error = kvpbus_service_check(options, failure);
    if (error == KVPBUS_OK)
        error = kvpbus_state_dir_open(options->state, &service->state, failure);
    if (error != KVPBUS_OK)
        return error;
    kvpbus_backup_clear(service->state.path);
    kvpbus_move_clear(service->state.path);
    struct kvpbus_peer *peers = NULL;
    size_t peer_count = 0;
    error = open_journal(service, &peers, &peer_count, failure);
    if (error == KVPBUS_OK)
        error = open_bus(service, peers, peer_count);
    free(peers);
    if (error == KVPBUS_OK)
        error = kvpbus_control_server_open(service, options->socket, &service->control, failure);
    if (error == KVPBUS_OK) {
        open_handles(service);
        open_metrics(service);
        service->trust = kvpbus_service_trust_start(service);
        return KVPBUS_OK;
    }
    // What was begun for the known peers leads to further jobs, which need the thread.
    while (service->bus != NULL && kvpbus_bus_busy(service->bus))
        uv_run(service->loop, UV_RUN_ONCE);
    if (service->journal != NULL)
        kvpbus_journal_thread_stop(service->journal);
    kvpbus_bus_close(service->bus);
    uv_run(service->loop, UV_RUN_DEFAULT);
    free(service->endpoints);
    kvpbus_state_dir_close(&service->state);
    return error;
}

void kvpbus_service_stop(struct kvpbus_service *service)
{
    service->stopping = true;
    uv_stop(service->loop);
}

uint32_t kvpbus_service_stops_within(const struct kvpbus_service *service)
{
    uint32_t within = service->options.stop_within_ms;
    return within != 0 ? within : KVPBUS_STOP_WITHIN;
}

void kvpbus_service_run(struct kvpbus_service *service)
{
    struct kvpbus_notifier *notifier = kvpbus_notifier_start(service);
    kvpbus_service_tick(service);
    kvpbus_bus_audit(service->bus, NULL, KVPBUS_AUDIT_STARTED, KVPBUS_VERSION, true);
    uv_run(service->loop, UV_RUN_DEFAULT);
    kvpbus_notifier_stopping(notifier);
    kvpbus_control_server_close(service->control);
    service->control = NULL;
    kvpbus_metrics_server_stopping(service->metrics);
    kvpbus_service_trust_stop(service->trust);
    service->trust = NULL;
    // What is under way ends by its own deadlines; nothing new begins.
    service->timer.data = service;
    uv_timer_start(&service->timer, on_stop_late, kvpbus_service_stops_within(service), 0);
    while (service->calls > 0 || kvpbus_bus_busy(service->bus))
        uv_run(service->loop, UV_RUN_ONCE);
    kvpbus_bus_audit(service->bus, NULL, KVPBUS_AUDIT_STOPPED, "", true);
    while (kvpbus_bus_busy(service->bus))
        uv_run(service->loop, UV_RUN_ONCE);
    kvpbus_notifier_close(notifier);
    kvpbus_metrics_server_close(service->metrics);
    kvpbus_journal_thread_stop(service->journal);
    kvpbus_bus_close(service->bus);
    uv_close((uv_handle_t *)&service->timer, NULL);
    uv_close((uv_handle_t *)&service->prepare, NULL);
    for (size_t i = 0; i < KVPBUS_SERVICE_SIGNALS; i++)
        uv_close((uv_handle_t *)&service->signals[i], NULL);
    uv_run(service->loop, UV_RUN_DEFAULT);
    free(service->endpoints);
    kvpbus_state_dir_close(&service->state);
}
