// SPDX-License-Identifier: Apache-2.0
//
// What sealing costs, with the numbers that the design promises: a data item carries 724 bytes of
// packet, of which a fragment's head takes about 6.
#include <criterion/criterion.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bundle_fixture.h"

enum { MESSAGES = 100, RANDOM_BODY = 200 };

static const char *const topics[] = {"telemetry.host", "telemetry.service", "command.request",
                                     "command.result"};

// Bodies as applications queue them within some seconds, on a few topics and streams.
static struct kvpbus_message queued(const struct bundle_fixture *fixture, unsigned i,
                                    const void *body, size_t length)
{
    struct kvpbus_message message = bundle_fixture_event(fixture, i, topics[i % 4], body, length);
    message.stream = i % 4 < 2 ? "" : "commands";
    message.sequence = 70000 + i / 4;
    message.created_ms = fixture->position.created_ms - 37 * (MESSAGES - (int64_t)i);
    message.ttl_ms = 3600000;
    return message;
}

static size_t sealed_length(const struct bundle_fixture *fixture,
                            const struct kvpbus_message *messages, size_t count)
{
    size_t length;
    free(bundle_fixture_seal(fixture, messages, count, &length));
    return length;
}

Test(bundle_size, a_hundred_random_messages_fit_32_items)
{
    static uint8_t bodies[MESSAGES][RANDOM_BODY];
    struct bundle_fixture fixture;
    struct kvpbus_message messages[MESSAGES];
    bundle_fixture_init(&fixture);
    randombytes_buf(bodies, sizeof bodies);
    for (unsigned i = 0; i < MESSAGES; i++)
        messages[i] = queued(&fixture, i, bodies[i], RANDOM_BODY);
    size_t length = sealed_length(&fixture, messages, MESSAGES);
    cr_log_info("%zu bytes", length);
    cr_assert_leq(length, 22900, "%zu", length);
}

Test(bundle_size, a_hundred_json_lines_fit_10_items)
{
    static char lines[MESSAGES][512];
    struct bundle_fixture fixture;
    struct kvpbus_message messages[MESSAGES];
    bundle_fixture_init(&fixture);
    FILE *file = fopen(KVPBUS_TEST_DATA "/corpus.jsonl", "r");
    cr_assert_not_null(file);
    size_t total = 0;
    for (unsigned i = 0; i < MESSAGES; i++) {
        cr_assert_not_null(fgets(lines[i], sizeof lines[i], file));
        size_t line = strcspn(lines[i], "\n");
        total += line;
        messages[i] = queued(&fixture, i, lines[i], line);
    }
    fclose(file);
    cr_assert_geq(total, MESSAGES * 200);
    size_t length = sealed_length(&fixture, messages, MESSAGES);
    cr_log_info("%zu bytes from %zu", length, total);
    cr_assert_leq(length, 7150, "%zu", length);
}

Test(bundle_size, a_large_random_message_costs_little)
{
    static uint8_t body[64 * 1024];
    struct bundle_fixture fixture;
    bundle_fixture_init(&fixture);
    randombytes_buf(body, sizeof body);
    struct kvpbus_message message = queued(&fixture, 0, body, sizeof body);
    size_t length = sealed_length(&fixture, &message, 1);
    cr_assert_leq(length, sizeof body + 200 + strlen(message.topic), "%zu", length);
}

Test(bundle_size, a_message_of_every_limit_keeps_to_its_overhead)
{
    static char topic[KVPBUS_TOPIC_MAX + 1], stream[KVPBUS_STREAM_MAX + 1];
    static char name[KVPBUS_HEADER_NAME_MAX + 1];
    static char values[KVPBUS_HEADERS_MAX][KVPBUS_HEADER_VALUE_MAX + 1];
    static uint8_t body[4096], correlation[KVPBUS_CORRELATION_MAX], operator_signature[64];
    struct kvpbus_header headers[KVPBUS_HEADERS_MAX];
    struct bundle_fixture fixture;
    bundle_fixture_init(&fixture);
    memset(topic, 't', KVPBUS_TOPIC_MAX);
    memset(stream, 's', KVPBUS_STREAM_MAX);
    memset(name, 'n', KVPBUS_HEADER_NAME_MAX);
    for (size_t i = 0; i < KVPBUS_HEADERS_MAX; i++) {
        for (size_t j = 0; j < KVPBUS_HEADER_VALUE_MAX; j++)
            values[i][j] = (char)(' ' + randombytes_uniform('~' - ' '));
        headers[i] = (struct kvpbus_header){name, values[i]};
    }
    randombytes_buf(body, sizeof body);
    struct kvpbus_message message = queued(&fixture, 0, body, sizeof body);
    message.id.index = UINT16_MAX;
    message.topic = topic;
    message.stream = stream;
    message.sequence = message.ttl_ms = UINT64_MAX;
    message.created_ms = 0;
    message.kind = KVPBUS_KIND_LAST_REPLY;
    message.status = INT32_MIN;
    message.correlation = correlation;
    message.correlation_length = sizeof correlation;
    message.headers = headers;
    message.header_count = KVPBUS_HEADERS_MAX;
    message.operator_signature = operator_signature;
    size_t length;
    struct kvpbus_bundle_header header;
    uint8_t *sealed = bundle_fixture_seal(&fixture, &message, 1, &length);
    cr_assert_eq(kvpbus_bundle_header_read(sealed, length, &header, NULL), KVPBUS_OK);
    cr_assert_leq(header.plain_length + KVPBUS_BUNDLE_HEADER,
                  sizeof body + KVPBUS_MESSAGE_OVERHEAD);
    free(sealed);
}
