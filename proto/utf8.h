// SPDX-License-Identifier: Apache-2.0
#ifndef KVPBUS_UTF8_H
#define KVPBUS_UTF8_H

#include <stddef.h>

// Bytes of the character that the `left` bytes of `text` begin with, of which there is one at
// least; 0: with none. Overlong forms, surrogates and what lies beyond U+10FFFF are none (RFC
// 3629). With a NUL at its end `left` may be 4 whatever the length.
size_t kvpbus_utf8_character(const char *text, size_t left);

// Each byte that belongs to no character becomes a question mark: half of one, where a text was
// cut, too.
void kvpbus_utf8_mend(char *text);

#endif
