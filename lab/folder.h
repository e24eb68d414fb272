// SPDX-License-Identifier: Apache-2.0
//
// Folders with all that is in them, as a disk is copied.
#ifndef KVPBUS_LAB_FOLDER_H
#define KVPBUS_LAB_FOLDER_H

#include "kvpbus/error.h"

// Removes everything in the folder and copies everything of `from` into it; it is made when it is
// not there. Files and folders with their modes, at most 16 deep; sockets and the like are left
// out.
enum kvpbus_error kvpbus_lab_folder_replace(const char *from, const char *to,
                                            struct kvpbus_failure *failure);

#endif
