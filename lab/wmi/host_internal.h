// SPDX-License-Identifier: Apache-2.0
//
// Between the parts of the host: host_link.c (requests to the lab), host_objects.c (objects made of
// its answers), host_query.c (which of them a client asks for) and host_method.c.
#ifndef KVPBUS_LAB_WMI_HOST_INTERNAL_H
#define KVPBUS_LAB_WMI_HOST_INTERNAL_H

#include "host.h"
#include "kvpbus/management.h"
#include "lab.pb-c.h"

// Receives each reply of a request, of which there is one for each VM in a read.
typedef void kvpbus_cim_on_reply(void *context, const Kvpbus__Lab__Reply *reply);

// Sends a request and gives its replies to `on_reply`, unless that is NULL. KVPBUS_CIM_OK also when
// a reply has an error of its own, which is for `on_reply` to look at: only access, namespace and
// connection are looked at here. `refused`, unless NULL, is set when the lab finds the request too
// long.
enum kvpbus_cim_status kvpbus_cim_ask(struct kvpbus_cim_host *host, Kvpbus__Lab__Request *request,
                                      kvpbus_cim_on_reply *on_reply, void *context, bool *refused);

// The cheap part of all instances of a class: without items, which take a read of each VM.
enum kvpbus_cim_status kvpbus_cim_make_instances(struct kvpbus_cim_host *host,
                                                 const struct kvpbus_cim_class *class,
                                                 struct kvpbus_cim_list *list);

// Reads the items of those objects in which they are visible: the guests' in one request.
enum kvpbus_cim_status kvpbus_cim_fill_items(struct kvpbus_cim_host *host,
                                             struct kvpbus_cim_list *list);

// The job with this InstanceID.
enum kvpbus_cim_status kvpbus_cim_make_job(struct kvpbus_cim_host *host, const char *instance_id,
                                           struct kvpbus_cim_object **object);

#endif
