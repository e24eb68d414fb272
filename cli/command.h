// SPDX-License-Identifier: Apache-2.0
//
// The commands of `kvpbus`. Each gets its own words as argv and returns an exit code; it says
// itself what went wrong.
#ifndef KVPBUS_COMMAND_H
#define KVPBUS_COMMAND_H

#include "control_call.h"
#include "exit_code.h"

struct kvpbus_command_context {
    const char *socket; // NULL: found by itself
    bool json;
    const char *usage; // of the command, one line
};

int kvpbus_command_vms(const struct kvpbus_command_context *context, int argc, char **argv);
int kvpbus_command_identity(const struct kvpbus_command_context *context, int argc, char **argv);
int kvpbus_command_status(const struct kvpbus_command_context *context, int argc, char **argv);
// status --watch; `peer` NULL: all.
int kvpbus_command_watch(const struct kvpbus_command_context *context, const char *peer);
int kvpbus_command_pair(const struct kvpbus_command_context *context, int argc, char **argv);
int kvpbus_command_enroll(const struct kvpbus_command_context *context, int argc, char **argv);
int kvpbus_command_unpair(const struct kvpbus_command_context *context, int argc, char **argv);
int kvpbus_command_rebind(const struct kvpbus_command_context *context, int argc, char **argv);
int kvpbus_command_export(const struct kvpbus_command_context *context, int argc, char **argv);
int kvpbus_command_import(const struct kvpbus_command_context *context, int argc, char **argv);
int kvpbus_command_rotate(const struct kvpbus_command_context *context, int argc, char **argv);
int kvpbus_command_send(const struct kvpbus_command_context *context, int argc, char **argv);
int kvpbus_command_recv(const struct kvpbus_command_context *context, int argc, char **argv);
int kvpbus_command_request(const struct kvpbus_command_context *context, int argc, char **argv);
int kvpbus_command_reply(const struct kvpbus_command_context *context, int argc, char **argv);
int kvpbus_command_serve(const struct kvpbus_command_context *context, int argc, char **argv);
int kvpbus_command_withdraw(const struct kvpbus_command_context *context, int argc, char **argv);
int kvpbus_command_show(const struct kvpbus_command_context *context, int argc, char **argv);
int kvpbus_command_dead(const struct kvpbus_command_context *context, int argc, char **argv);
int kvpbus_command_audit(const struct kvpbus_command_context *context, int argc, char **argv);
int kvpbus_command_doctor(const struct kvpbus_command_context *context, int argc, char **argv);
int kvpbus_command_metrics(const struct kvpbus_command_context *context, int argc, char **argv);
int kvpbus_command_backup(const struct kvpbus_command_context *context, int argc, char **argv);
int kvpbus_command_items(const struct kvpbus_command_context *context, int argc, char **argv);

// "kvpbus: detail"; returns the exit code of the error.
int kvpbus_command_failed(const struct kvpbus_command_context *context,
                          const struct kvpbus_failure *failure);
// "kvpbus: what" and how the command is used; returns KVPBUS_EXIT_USAGE.
int kvpbus_command_usage(const struct kvpbus_command_context *context, const char *what);

// The same for an option that getopt_long refused.
int kvpbus_command_bad_option(const struct kvpbus_command_context *context, char *const *argv,
                              int result);

// One request and its one response. *response is NULL after a failure, which has been said; the
// exit code is returned.
int kvpbus_command_ask(const struct kvpbus_command_context *context,
                       const Kvpbus__Control__Request *request,
                       Kvpbus__Control__Response **response);
// The same for one peer, or with NULL for all.
int kvpbus_command_peers(const struct kvpbus_command_context *context, const char *peer,
                         Kvpbus__Control__Peers **peers);

#endif
