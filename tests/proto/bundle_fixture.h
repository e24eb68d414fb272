// SPDX-License-Identifier: Apache-2.0
//
// A sender with fixed keys, sample messages, and bundles that it signs although they break the
// protocol.
#ifndef KVPBUS_TESTS_BUNDLE_FIXTURE_H
#define KVPBUS_TESTS_BUNDLE_FIXTURE_H

#include "bundle.h"

struct bundle_fixture {
    struct kvpbus_route route;
    uint8_t secret[KVPBUS_SECRET_BYTES];
    struct kvpbus_bundle_position position;
};

void bundle_fixture_init(struct bundle_fixture *fixture);

// A message that uses every field.
struct kvpbus_message bundle_fixture_full(void);

// An event with the index on `topic`, created when the bundle was.
struct kvpbus_message bundle_fixture_event(const struct bundle_fixture *fixture, unsigned index,
                                           const char *topic, const void *body, size_t length);

// Seals, and fails the test when that fails. The caller frees the result.
uint8_t *bundle_fixture_seal(const struct bundle_fixture *fixture,
                             const struct kvpbus_message *messages, size_t count, size_t *length);

// A header with the fields of the fixture around any packed bytes, truly signed. The caller frees
// the result.
uint8_t *bundle_fixture_forge(const struct bundle_fixture *fixture, bool compressed,
                              uint32_t plain_length, const void *packed, size_t packed_length,
                              size_t *length);

// Signs again after a change.
void bundle_fixture_sign(const struct bundle_fixture *fixture, uint8_t *sealed, size_t length);

void bundle_fixture_same(const struct kvpbus_message *is, const struct kvpbus_message *should);

#endif
