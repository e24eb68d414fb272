// SPDX-License-Identifier: Apache-2.0
#ifndef KVPBUS_SOCKET_WINDOWS_H
#define KVPBUS_SOCKET_WINDOWS_H

#include "kvpbus/error.h"

// KVPBUS_INVALID_ARGUMENT: it is no pipe of this machine, or longer than KVPBUS_SOCKET_PATH.
enum kvpbus_error kvpbus_pipe_check(const char *path, struct kvpbus_failure *failure);

#endif
