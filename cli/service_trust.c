// SPDX-License-Identifier: Apache-2.0
#include "service_trust.h"

#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "guarded_file.h"
#include "kvpbus/identity.h"
#include "trust.h"

enum { LOOK_EVERY = 3000, TOKEN_FILE_MAX = 4096 }; // ms; bytes

struct kvpbus_service_trust {
    struct kvpbus_service *service;
    uv_timer_t timer;
    bool stopped, taking; // taking: a token is under way to the journal
    size_t jobs;          // callbacks that still name this
    bool has_host;
    uint8_t host[KVPBUS_IDENTITY_BYTES];
    struct kvpbus_trusted *guests;
    size_t guest_count;
    struct kvpbus_file_id token_id; // of the file that is being taken
    uint8_t token[KVPBUS_TOKEN_ID]; // in it
    bool stays;                     // that one was taken, and could not be removed
    // What was said last of each, so that it is said once.
    char said_of_trust[KVPBUS_PATH_MAX + 256], said_of_token[KVPBUS_PATH_MAX + 256];
};

static void say_once(char *said, size_t size, const char *text)
{
    if (strncmp(said, text, size - 1) == 0)
        return;
    snprintf(said, size, "%s", text);
    if (text[0] != '\0')
        kvpbus_log_event(KVPBUS_LOGGED_NOT_TRUSTED, NULL, "%s", text);
}

// --- the keys ---

struct read_trust {
    bool has_host;
    uint8_t host[KVPBUS_IDENTITY_BYTES];
    struct kvpbus_trusted *guests;
    size_t guest_count;
};

static enum kvpbus_error read_trust(enum kvpbus_role role, const char *path, struct read_trust *out,
                                    struct kvpbus_failure *failure)
{
    char *text;
    size_t length;
    memset(out, 0, sizeof *out);
    enum kvpbus_error error =
        kvpbus_guarded_read(path, false, KVPBUS_TRUST_BYTES_MAX, &text, &length, NULL, failure);
    if (error != KVPBUS_OK)
        return error;
    if (role == KVPBUS_ROLE_GUEST)
        error = kvpbus_trust_host(path, text, out->host, failure);
    else
        error = kvpbus_trust_guests(path, text, &out->guests, &out->guest_count, failure);
    out->has_host = role == KVPBUS_ROLE_GUEST && error == KVPBUS_OK;
    kvpbus_guarded_free(text, length);
    return error;
}

enum kvpbus_error kvpbus_trust_check(enum kvpbus_role role, const char *trust_file,
                                     struct kvpbus_failure *failure)
{
    struct read_trust trust;
    enum kvpbus_error error = read_trust(role, trust_file, &trust, failure);
    free(trust.guests);
    return error;
}

static void take_trust(struct kvpbus_service_trust *trust)
{
    const struct kvpbus_service_options *options = &trust->service->options;
    struct kvpbus_failure failure = {0};
    struct read_trust fresh = {0};
    if (options->trust_file == NULL)
        return;
    enum kvpbus_error error = read_trust(options->role, options->trust_file, &fresh, &failure);
    say_once(trust->said_of_trust, sizeof trust->said_of_trust,
             error == KVPBUS_OK || error == KVPBUS_NOT_FOUND ? "" : failure.detail);
    free(trust->guests);
    trust->has_host = fresh.has_host;
    memcpy(trust->host, fresh.host, sizeof trust->host);
    trust->guests = fresh.guests;
    trust->guest_count = fresh.guest_count;
}

static const uint8_t *trusted_key(const struct kvpbus_service_trust *trust,
                                  const struct kvpbus_peer *peer)
{
    if (trust->has_host)
        return trust->host;
    for (size_t i = 0; i < trust->guest_count; i++)
        if (memcmp(trust->guests[i].vm, peer->vm, sizeof peer->vm) == 0)
            return trust->guests[i].identity;
    return NULL;
}

// --- callbacks ---

static void release(struct kvpbus_service_trust *trust)
{
    if (!trust->stopped || trust->jobs > 0 || trust->timer.data != NULL)
        return;
    free(trust->guests);
    free(trust);
}

static void on_timer_closed(uv_handle_t *handle)
{
    struct kvpbus_service_trust *trust = handle->data;
    trust->timer.data = NULL;
    release(trust);
}

// A callback came back. False: this has been stopped meanwhile.
static bool returned(struct kvpbus_service_trust *trust)
{
    trust->jobs--;
    if (!trust->stopped)
        return true;
    release(trust);
    return false;
}

struct trusting {
    struct kvpbus_service_trust *trust;
    struct kvpbus_endpoint *endpoint;
};

static void on_trusted(void *context, const struct kvpbus_failure *failure)
{
    struct trusting *trusting = context;
    struct kvpbus_service_trust *trust = trusting->trust;
    const struct kvpbus_peer *peer = kvpbus_endpoint_peer(trusting->endpoint);
    char fingerprint[KVPBUS_FINGERPRINT_TEXT];
    free(trusting);
    if (!returned(trust))
        return;
    const char *path = trust->service->options.trust_file;
    kvpbus_fingerprint(peer->identity, fingerprint);
    if (failure->code != KVPBUS_OK)
        kvpbus_log_event(KVPBUS_LOGGED_NOT_TRUSTED, peer->name, "%s: %s", path, failure->detail);
    else
        kvpbus_log_event(KVPBUS_LOGGED_TRUSTED, peer->name, "paired: its key %s stands in %s",
                         fingerprint, path);
}

void kvpbus_service_trust_peer(struct kvpbus_service_trust *trust, struct kvpbus_endpoint *endpoint)
{
    const struct kvpbus_peer *peer = kvpbus_endpoint_peer(endpoint);
    const uint8_t *key = trusted_key(trust, peer);
    if (key == NULL || (peer->paired && memcmp(peer->identity, key, KVPBUS_IDENTITY_BYTES) == 0))
        return;
    struct trusting *trusting = malloc(sizeof *trusting);
    if (trusting == NULL)
        abort(); // a few bytes
    *trusting = (struct trusting){trust, endpoint};
    trust->jobs++;
    kvpbus_bus_trust(endpoint, key, on_trusted, trusting);
}

// --- the token ---

static void remove_token(struct kvpbus_service_trust *trust)
{
    const char *path = trust->service->options.token_file;
    struct kvpbus_failure failure = {0};
    trust->stays = kvpbus_guarded_remove(path, &trust->token_id, &failure) != KVPBUS_OK;
    if (trust->stays)
        kvpbus_log_event(KVPBUS_LOGGED_TOKEN_STAYS, NULL,
                         "the enrolment token was taken and stays where it is, remove it: %s",
                         failure.detail);
}

static void on_taken(void *context, const struct kvpbus_failure *failure)
{
    struct kvpbus_service_trust *trust = context;
    trust->taking = false;
    if (!returned(trust))
        return;
    if (failure->code == KVPBUS_OK)
        kvpbus_log_event(KVPBUS_LOGGED_TOKEN_TAKEN, NULL,
                         "the enrolment token in %s was taken: its host is paired, and is shown "
                         "the token's proof",
                         trust->service->options.token_file);
    if (failure->code == KVPBUS_OK || failure->code == KVPBUS_EXISTS) {
        remove_token(trust);
        return;
    }
    char text[sizeof trust->said_of_token];
    snprintf(text, sizeof text, "%s: %s", trust->service->options.token_file, failure->detail);
    say_once(trust->said_of_token, sizeof trust->said_of_token, text);
}

static void take_token(struct kvpbus_service_trust *trust)
{
    const char *path = trust->service->options.token_file;
    struct kvpbus_failure failure = {0};
    struct kvpbus_token token;
    char *text;
    size_t length;
    if (path == NULL || trust->taking || trust->service->endpoint_count == 0)
        return;
    enum kvpbus_error error =
        kvpbus_guarded_read(path, true, TOKEN_FILE_MAX, &text, &length, &trust->token_id, &failure);
    if (error == KVPBUS_OK) {
        error = kvpbus_token_read(text, length, &token, &failure);
        if (error != KVPBUS_OK)
            kvpbus_failure_wrap(&failure, "%s", path);
        kvpbus_guarded_free(text, length);
    }
    if (error != KVPBUS_OK) {
        say_once(trust->said_of_token, sizeof trust->said_of_token,
                 error == KVPBUS_NOT_FOUND ? "" : failure.detail);
        return;
    }
    if (!trust->stays || memcmp(trust->token, token.id, sizeof trust->token) != 0) {
        trust->taking = true;
        trust->jobs++;
        trust->stays = false; // said of the one before
        memcpy(trust->token, token.id, sizeof trust->token);
        kvpbus_bus_token_take(trust->service->endpoints[0], &token, on_taken, trust);
    }
    sodium_memzero(&token, sizeof token);
}

// --- life ---

// As long as there is a guest: it may be unpaired. A key in a file would undo that at once, which a
// token does not, as each is taken once.
static void on_timer(uv_timer_t *timer)
{
    struct kvpbus_service_trust *trust = timer->data;
    const struct kvpbus_service *service = trust->service;
    if (!service->stopping && service->endpoint_count > 0 &&
        !kvpbus_endpoint_peer(service->endpoints[0])->paired)
        take_token(trust);
}

void kvpbus_service_trust_again(struct kvpbus_service_trust *trust)
{
    take_trust(trust);
    for (size_t i = 0; i < trust->service->endpoint_count; i++)
        kvpbus_service_trust_peer(trust, trust->service->endpoints[i]);
    take_token(trust);
}

struct kvpbus_service_trust *kvpbus_service_trust_start(struct kvpbus_service *service)
{
    struct kvpbus_service_trust *trust = calloc(1, sizeof *trust);
    if (trust == NULL)
        abort(); // a few hundred bytes
    trust->service = service;
    uv_timer_init(service->loop, &trust->timer);
    trust->timer.data = trust;
    uv_unref((uv_handle_t *)&trust->timer);
    if (service->options.role == KVPBUS_ROLE_GUEST)
        uv_timer_start(&trust->timer, on_timer, LOOK_EVERY, LOOK_EVERY);
    kvpbus_service_trust_again(trust);
    return trust;
}

void kvpbus_service_trust_stop(struct kvpbus_service_trust *trust)
{
    trust->stopped = true;
    uv_close((uv_handle_t *)&trust->timer, on_timer_closed);
}
