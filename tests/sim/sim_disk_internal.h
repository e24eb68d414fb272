// SPDX-License-Identifier: Apache-2.0
//
// What the VFS does to a file of the disk.
#ifndef KVPBUS_SIM_DISK_INTERNAL_H
#define KVPBUS_SIM_DISK_INTERNAL_H

#include "sim_disk.h"

// `name` NULL: a temporary one. NULL: the disk has no more.
struct sim_file *sim_file_new(struct sim_disk *disk, const char *name);
void sim_file_clear(struct sim_file *file);
void sim_file_write(struct sim_file *file, const void *bytes, size_t length, size_t offset);
void sim_file_truncate(struct sim_file *file, size_t size);
void sim_file_sync(struct sim_file *file);

#endif
