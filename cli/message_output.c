// SPDX-License-Identifier: Apache-2.0
#include "message_output.h"

#include <errno.h>
#include <jansson.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "file.h"

enum {
    PIECE = 1024 * 1024,  // bytes of one write
    DIRECTORY_MAX = 4000, // bytes: with a name behind it no longer than a path may be on Linux
};

const char *message_kind_name(enum kvpbus_kind kind)
{
    static const char *const names[] = {"event", "request", "reply", "last reply"};
    return names[kind];
}

bool message_output_begin(const struct message_output *output)
{
    if (output->directory == NULL)
        return true;
    if (strlen(output->directory) > DIRECTORY_MAX) {
        fprintf(stderr, "kvpbus: the folder has more than %d bytes; name it from a nearer one\n",
                DIRECTORY_MAX);
        return false;
    }
    if (kvpbus_folder_make(output->directory))
        return true;
    fprintf(stderr, "kvpbus: cannot create %s: %s\n", output->directory,
            kvpbus_system_text(kvpbus_system_code()));
    return false;
}

// The file appears whole under its name or not at all. An id is hex digits, a dot and digits: the
// journal wrote it.
static bool write_file(const char *directory, const struct kvpbus_incoming *message)
{
    char path[DIRECTORY_MAX + KVPBUS_MESSAGE_ID_TEXT + 8], fresh[sizeof path + 8];
    snprintf(path, sizeof path, "%s/%s", directory, message->id);
    snprintf(fresh, sizeof fresh, "%s.part", path);
    kvpbus_file_remove(fresh);
    int file = kvpbus_file_create(fresh);
    if (file < 0)
        return false;
    size_t written = 0;
    while (written < message->body_length) {
        size_t left = message->body_length - written;
        unsigned piece = left < PIECE ? (unsigned)left : PIECE;
        ssize_t got = write(file, message->body + written, piece);
        if (got < 0 && errno != EINTR)
            break;
        written += got > 0 ? (size_t)got : 0;
    }
    bool whole = written == message->body_length && kvpbus_file_sync(file);
    whole &= close(file) == 0;
    return whole && kvpbus_file_replace(fresh, path);
}

// As text when it is UTF-8.
static void add_body(json_t *value, const struct kvpbus_incoming *message)
{
    json_t *text = json_stringn((const char *)message->body, message->body_length);
    if (text != NULL) {
        json_object_set_new(value, "text", text);
        return;
    }
    size_t size = sodium_base64_ENCODED_LEN(message->body_length, sodium_base64_VARIANT_ORIGINAL);
    char *encoded = malloc(size);
    if (encoded == NULL)
        return;
    sodium_bin2base64(encoded, size, message->body, message->body_length,
                      sodium_base64_VARIANT_ORIGINAL);
    json_object_set_new(value, "base64", json_string(encoded));
    free(encoded);
}

static void add_headers(json_t *value, const struct kvpbus_incoming *message)
{
    json_t *list = json_array();
    for (size_t i = 0; i < message->header_count; i++)
        json_array_append_new(list, json_pack("{s:s, s:s}", "name", message->headers[i].name,
                                              "value", message->headers[i].value));
    json_object_set_new(value, "headers", list);
}

static bool write_json(const struct kvpbus_incoming *message, const char *directory)
{
    json_t *value =
        json_pack("{s:s, s:s, s:s, s:s, s:s, s:s, s:I, s:I, s:i}", "peer", message->peer, "id",
                  message->id, "topic", message->topic, "stream", message->stream, "class",
                  kvpbus_class_name(message->class_), "kind", message_kind_name(message->kind),
                  "created_ms", (json_int_t)message->created_ms, "length",
                  (json_int_t)message->body_length, "try", (int)message->try_);
    if (message->kind >= KVPBUS_KIND_REPLY) {
        json_object_set_new(value, "reply_to", json_string(message->reply_to));
        json_object_set_new(value, "status", json_integer(message->status));
    }
    if (message->ttl_ms > 0)
        json_object_set_new(value, "ttl_ms", json_integer((json_int_t)message->ttl_ms));
    if (message->header_count > 0)
        add_headers(value, message);
    if (directory != NULL)
        json_object_set_new(value, "file", json_string(message->id));
    else
        add_body(value, message);
    bool written = json_dumpf(value, stdout, 0) == 0 && putchar('\n') != EOF;
    json_decref(value);
    return written;
}

static bool write_text(const struct message_output *output, const struct kvpbus_incoming *message)
{
    bool terminal = isatty(STDOUT_FILENO) != 0;
    bool written = true;
    if (terminal && !output->bare)
        written = printf("%s  %s  ", message->peer, message->topic) > 0;
    // Who is asked has to know what to answer.
    if (terminal && !output->bare && message->kind == KVPBUS_KIND_REQUEST)
        written &= printf("request %s  ", message->id) > 0;
    written &= fwrite(message->body, 1, message->body_length, stdout) == message->body_length;
    bool ends = message->body_length > 0 && message->body[message->body_length - 1] == '\n';
    if (!ends && (terminal || !output->exact))
        written &= putchar('\n') != EOF;
    return written;
}

bool message_output_write(const struct message_output *output,
                          const struct kvpbus_incoming *message)
{
    if (output->directory != NULL && !write_file(output->directory, message)) {
        fprintf(stderr, "kvpbus: cannot write into %s: %s\n", output->directory,
                kvpbus_system_text(kvpbus_system_code()));
        return false;
    }
    bool written;
    if (output->json)
        written = write_json(message, output->directory);
    else if (output->directory != NULL)
        written = printf("%s  %s  %zu bytes  %s\n", message->peer, message->topic,
                         message->body_length, message->id) > 0;
    else
        written = write_text(output, message);
    if (written && fflush(stdout) == 0)
        return true;
    fprintf(stderr, "kvpbus: cannot write the output: %s\n",
            kvpbus_system_text(kvpbus_system_code()));
    return false;
}
