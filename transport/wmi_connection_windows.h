// SPDX-License-Identifier: Apache-2.0
//
// A connection to a Hyper-V namespace of WMI, with what every call needs of it fetched once, and
// the queries over it. On threads of kvpbus_wmi_workers.
#ifndef KVPBUS_WMI_CONNECTION_WINDOWS_H
#define KVPBUS_WMI_CONNECTION_WINDOWS_H

#include "kvpbus/management.h"
#include "wmi_com_windows.h"
#include "wmi_workers_windows.h"

// Rows of a query: one for each of 4,096 VMs and of the 50 checkpoints that each may have ("Plan
// for Hyper-V scalability in Windows Server").
enum { KVPBUS_WMI_ROWS_MAX = 4096 * 51 };

// Where to, and as whom. Strings in UTF-8; NULL: this machine, the caller's own account.
struct kvpbus_wmi_target {
    char *host, *user, *password;
    bool old_namespace;
};

// One attempt at something: the steps say what they are about, for the error's text.
struct kvpbus_wmi_work {
    struct kvpbus_wmi_task task;
    const char *step;
};

struct kvpbus_wmi_connection {
    volatile LONG references;
    const struct kvpbus_wmi_target *target;
    IWbemServices *services;
    BSTR service;                                       // path of the management service
    IWbemClassObject *item_class;                       // Msvm_KvpExchangeDataItem
    IWbemClassObject *parameters[KVPBUS_OP_REMOVE + 1]; // of the methods, by operation
    SRWLOCK spawning;
};

// The connection, with one reference.
HRESULT kvpbus_wmi_connect(const struct kvpbus_wmi_target *target, struct kvpbus_wmi_work *work,
                           struct kvpbus_wmi_connection **connection);
void kvpbus_wmi_connection_hold(struct kvpbus_wmi_connection *connection);
void kvpbus_wmi_connection_drop(struct kvpbus_wmi_connection *connection);

// AddKvpItems, ModifyKvpItems, RemoveKvpItems.
const char *kvpbus_wmi_method(enum kvpbus_operation operation);

// Runs a query; `row` is called for each object, and ends it by returning a failure. One with more
// rows than that fails: what is cut off would be taken for not there.
HRESULT kvpbus_wmi_query(struct kvpbus_wmi_connection *connection, struct kvpbus_wmi_work *work,
                         const char *query, HRESULT (*row)(void *context, IWbemClassObject *object),
                         void *context);

// An object by its path.
HRESULT kvpbus_wmi_object(struct kvpbus_wmi_connection *connection, const char *path,
                          IWbemClassObject **object);

// A new instance of `class`, which is one of the connection's.
HRESULT kvpbus_wmi_spawn(struct kvpbus_wmi_connection *connection, IWbemClassObject *class,
                         IWbemClassObject **object);

// Lets a proxy act with the connection's identity. Of an object that lives in this process nothing
// is asked.
HRESULT kvpbus_wmi_secure(const struct kvpbus_wmi_target *target, void *proxy);

#endif
