// SPDX-License-Identifier: Apache-2.0
//
// The peers of a service, which gives so many at once as one frame takes.
#include <stdlib.h>
#include <string.h>

#include "client_internal.h"
#include "control_call.h"
#include "kvpbus/bus.h"

typedef Kvpbus__Control__Peers Peers;

// One page: what follows the first `after` peers.
static enum kvpbus_error ask(struct kvpbus_client *client, const char *peer, uint64_t after,
                             int64_t timeout_ms, Peers **page, struct kvpbus_failure *failure)
{
    Kvpbus__Control__Request request = KVPBUS__CONTROL__REQUEST__INIT;
    Kvpbus__Control__StatusRequest status = KVPBUS__CONTROL__STATUS_REQUEST__INIT;
    Kvpbus__Control__Response *response;
    request.kind_case = KVPBUS__CONTROL__REQUEST__KIND_STATUS;
    request.status = &status;
    if (peer != NULL)
        status.peer = (char *)peer;
    status.after = after;
    enum kvpbus_error error = kvpbus_control_write(client, &request, failure);
    if (error == KVPBUS_OK)
        error = kvpbus_control_read(client, timeout_ms, &response, failure);
    if (error != KVPBUS_OK)
        return error;
    if (response->kind_case == KVPBUS__CONTROL__RESPONSE__KIND_PEERS) {
        *page = response->peers; // ours now
        response->peers = NULL;
        response->kind_case = KVPBUS__CONTROL__RESPONSE__KIND__NOT_SET;
    } else {
        client_strange(client, failure);
        error = KVPBUS_PROTOCOL;
    }
    kvpbus__control__response__free_unpacked(response, NULL);
    return error;
}

// Moves the peers of a page behind the others.
static bool append(Peers *peers, Peers *page)
{
    size_t count = peers->n_peers + page->n_peers;
    Kvpbus__Control__Peer **grown = realloc(peers->peers, (count + 1) * sizeof *grown);
    if (grown == NULL)
        return false;
    peers->peers = grown;
    memcpy(grown + peers->n_peers, page->peers, page->n_peers * sizeof *grown);
    peers->n_peers = count;
    peers->total = page->total;
    page->n_peers = 0;
    return true;
}

enum kvpbus_error kvpbus_control_peers(struct kvpbus_client *client, const char *peer, size_t most,
                                       int64_t timeout_ms, Peers **out,
                                       struct kvpbus_failure *failure)
{
    Peers *peers = NULL, *page;
    enum kvpbus_error error = ask(client, peer, 0, timeout_ms, &peers, failure);
    if (error == KVPBUS_OK && peer != NULL && peers->n_peers != 1)
        error = client_strange(client, failure);
    while (error == KVPBUS_OK && peers->n_peers < peers->total && peers->n_peers < most) {
        error = ask(client, peer, peers->n_peers, timeout_ms, &page, failure);
        if (error != KVPBUS_OK)
            break;
        if (page->n_peers == 0 || peers->n_peers + page->n_peers > KVPBUS_PEERS_MAX)
            error = client_strange(client, failure);
        else if (!append(peers, page))
            error = kvpbus_fail(failure, KVPBUS_NOMEM, "out of memory");
        kvpbus__control__peers__free_unpacked(page, NULL);
    }
    if (error == KVPBUS_OK) {
        *out = peers;
        return KVPBUS_OK;
    }
    if (peers != NULL)
        kvpbus__control__peers__free_unpacked(peers, NULL);
    return error;
}
