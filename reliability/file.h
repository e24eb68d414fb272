// SPDX-License-Identifier: Apache-2.0
//
// Files by their paths, which are UTF-8, one source per system; reading and writing a descriptor is
// the same everywhere. Private: readable for the user of this process alone, on Windows for SYSTEM
// and Administrators too. What fails says why by kvpbus_system_code.
#ifndef KVPBUS_FILE_H
#define KVPBUS_FILE_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

#include "kvpbus/error.h"

// A private file that must not be there yet, to be written and read; -1.
int kvpbus_file_create(const char *path);
// To be read, and no link; -1.
int kvpbus_file_open(const char *path);
// As fopen: "r", "rb", or "wx" for a new one that is not private.
FILE *kvpbus_file_stream(const char *path, const char *mode);
// What was written is on the disk, and what of its attributes it takes to find that again.
bool kvpbus_file_sync(int file);
bool kvpbus_file_sync_data(int file);

bool kvpbus_file_size(const char *path, uint64_t *size);
bool kvpbus_file_exists(const char *path); // or a folder
bool kvpbus_file_remove(const char *path);
// Puts `from` in the place of `to`, which need not be there: the one or the other after a crash.
bool kvpbus_file_replace(const char *from, const char *to);

// A private folder. True also when it is there already.
bool kvpbus_folder_make(const char *path);
// Of that name with six characters in the place of the last six; `path` is made that.
bool kvpbus_folder_make_unique(char *path);
bool kvpbus_folder_remove(const char *path); // an empty one
// The names in it are on the disk.
bool kvpbus_folder_sync(const char *path);
// The same of the folder that a file is in.
bool kvpbus_file_sync_name(const char *path);

// The path as the system itself knows it: on Windows it may begin with %ProgramData%. Freed by the
// caller. NULL: why, by kvpbus_system_code.
char *kvpbus_real_path(const char *path);

enum { KVPBUS_FOLDER_ROOM = 4096 }; // as Linux' PATH_MAX
// The folder of a file; "." when it is named without one.
void kvpbus_file_folder(const char *path, char *folder, size_t size);

bool kvpbus_folder_free(const char *path, uint64_t *bytes);

// --- why ---

// Of the last that failed on this thread, read and write of a descriptor included: an errno, or a
// Win32 error.
int kvpbus_system_code(void);
const char *kvpbus_system_text(int code); // until the next one on this thread
// KVPBUS_ACCESS, KVPBUS_NO_SPACE, KVPBUS_NOT_FOUND, KVPBUS_EXISTS, else KVPBUS_IO.
enum kvpbus_error kvpbus_system_error(int code);

#endif
