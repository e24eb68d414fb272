// SPDX-License-Identifier: Apache-2.0
//
// Trust that is given by files: the key of a guest's host, the keys of a host's guests, and the
// token by which a guest enrols. Everything here belongs to the loop's thread; the files are small
// and local.
#ifndef KVPBUS_SERVICE_TRUST_H
#define KVPBUS_SERVICE_TRUST_H

#include "service.h"

struct kvpbus_service_trust;

// Reads the files that service->options names and applies them to the peers that are there. A guest
// that is not paired looks for a token every few seconds: provisioning may come later than the
// agent, and again.
struct kvpbus_service_trust *kvpbus_service_trust_start(struct kvpbus_service *service);
// Once more, with the options as they are now.
void kvpbus_service_trust_again(struct kvpbus_service_trust *trust);
// A peer has come.
void kvpbus_service_trust_peer(struct kvpbus_service_trust *trust,
                               struct kvpbus_endpoint *endpoint);
// No look is taken any more. What is closed here is gone after the next turn of the loop.
void kvpbus_service_trust_stop(struct kvpbus_service_trust *trust);

// Whether a file of trusted keys can be used.
enum kvpbus_error kvpbus_trust_check(enum kvpbus_role role, const char *trust_file,
                                     struct kvpbus_failure *failure);

#endif
