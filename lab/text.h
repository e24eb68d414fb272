// SPDX-License-Identifier: Apache-2.0
//
// UTF-8 measured in UTF-16 units, since the limits of the channel are counted in those.
#ifndef KVPBUS_LAB_TEXT_H
#define KVPBUS_LAB_TEXT_H

#include <stdbool.h>
#include <stddef.h>

// The longest beginning of `text` that has at most `units` UTF-16 units and at most `bytes` bytes
// and ends between two characters, in *length. Returns false when the text is not UTF-8.
bool kvpbus_lab_text_fit(const char *text, size_t text_length, size_t units, size_t bytes,
                         size_t *length);

// True when the text is UTF-8 and has 0 to `units` UTF-16 units.
bool kvpbus_lab_text_within(const char *text, size_t text_length, size_t units);

// Takes the blanks at both ends away, unless there is nothing else.
void kvpbus_lab_text_trim(char *text);

// Writes & < > as references; as it was when that takes more than `size` bytes with the NUL.
void kvpbus_lab_text_escape(char *text, size_t size);

#endif
