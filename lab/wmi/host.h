// SPDX-License-Identifier: Apache-2.0
//
// What the stand-in WMI provider knows: the objects of a Hyper-V host, made from what kvpbus-lab
// says at the moment, and the methods of its management service. One of these is what a client gets
// from ConnectServer. Any thread; a request that the lab delays holds up only its own caller.
#ifndef KVPBUS_LAB_WMI_HOST_H
#define KVPBUS_LAB_WMI_HOST_H

#include "cim.h"

// Each is one HRESULT for the client.
enum kvpbus_cim_status {
    KVPBUS_CIM_OK,
    KVPBUS_CIM_NOMEM,
    KVPBUS_CIM_INVALID_QUERY,
    KVPBUS_CIM_INVALID_CLASS,
    KVPBUS_CIM_INVALID_PATH,
    KVPBUS_CIM_INVALID_METHOD,
    KVPBUS_CIM_INVALID_PARAMETERS,
    KVPBUS_CIM_INVALID_NAMESPACE,
    KVPBUS_CIM_NOT_FOUND,
    KVPBUS_CIM_ACCESS_DENIED,
    KVPBUS_CIM_DISCONNECTED, // the service has been restarted since the client connected
    KVPBUS_CIM_UNREACHABLE,  // no lab runs there
    KVPBUS_CIM_HIDDEN,       // within the provider: there are no objects for this client
    KVPBUS_CIM_FAILED,       // the lab has said something else
};

struct kvpbus_cim_host;

// Connects to the lab; the address is as for kvpbus_lab_channel_open. The host has one reference.
enum kvpbus_cim_status kvpbus_cim_host_open(const char *address,
                                            const struct kvpbus_cim_scope *scope,
                                            struct kvpbus_cim_host **host);
void kvpbus_cim_host_retain(struct kvpbus_cim_host *host);
void kvpbus_cim_host_release(struct kvpbus_cim_host *host);

const struct kvpbus_cim_scope *kvpbus_cim_host_scope(const struct kvpbus_cim_host *host);

// The objects that a query asks for, in *list, which is empty and is freed by the caller.
enum kvpbus_cim_status kvpbus_cim_host_query(struct kvpbus_cim_host *host, const char *query,
                                             struct kvpbus_cim_list *list);

// All instances of a class and of those derived from it; `shallow`: of the class alone.
enum kvpbus_cim_status kvpbus_cim_host_instances(struct kvpbus_cim_host *host,
                                                 const char *class_name, bool shallow,
                                                 struct kvpbus_cim_list *list);

// The class or the instance that a path names.
enum kvpbus_cim_status kvpbus_cim_host_get(struct kvpbus_cim_host *host, const char *path,
                                           struct kvpbus_cim_object **object);

// Calls a method of the object that the path names. *out are its out parameters.
enum kvpbus_cim_status kvpbus_cim_host_call(struct kvpbus_cim_host *host, const char *path,
                                            const char *method, const struct kvpbus_cim_object *in,
                                            struct kvpbus_cim_object **out);

#endif
