// SPDX-License-Identifier: Apache-2.0
//
// What is of another type on Windows than elsewhere; the only place that asks.
#ifndef KVPBUS_PLATFORM_H
#define KVPBUS_PLATFORM_H

// What tells of a change and can be waited for: a descriptor that becomes readable, on Windows the
// HANDLE of an event that stays set until it is acknowledged.
#ifdef _WIN32
typedef void *kvpbus_notice;
#define KVPBUS_NO_NOTICE ((kvpbus_notice)0)
#else
typedef int kvpbus_notice;
#define KVPBUS_NO_NOTICE (-1)
#endif

#endif
