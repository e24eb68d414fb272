// SPDX-License-Identifier: Apache-2.0
//
// The VMs of a host and their stores: found by listing the management service, read together in one
// query a poll.
#ifndef KVPBUS_VMS_H
#define KVPBUS_VMS_H

#include "kvpbus/management.h"
#include "service.h"

struct kvpbus_vms;

// `management` must outlive it. Listing begins when the service runs.
struct kvpbus_vms *kvpbus_vms_new(struct kvpbus_management *management, const char *prefix);
void kvpbus_vms_start(struct kvpbus_vms *vms, struct kvpbus_service *service);
// After the service has ended.
void kvpbus_vms_free(struct kvpbus_vms *vms);

// For kvpbus_service_ops.
struct kvpbus_store *kvpbus_vms_store(void *vms, const struct kvpbus_endpoint *endpoint);
void kvpbus_vms_read(void *vms, struct kvpbus_endpoint **endpoints, size_t count);
void kvpbus_vms_rebound(void *vms);

#endif
