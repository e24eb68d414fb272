// SPDX-License-Identifier: Apache-2.0
#ifndef KVPBUS_CONTROL_BACKUP_H
#define KVPBUS_CONTROL_BACKUP_H

// Removes what a process that was killed while it made a backup has left in the state folder.
void kvpbus_backup_clear(const char *state);

#endif
