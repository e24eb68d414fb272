// SPDX-License-Identifier: Apache-2.0
#include "service_files_windows.h"

#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "file.h"
#include "file_windows.h"
#include "paths.h"
#include "state_lock.h"
#include "state_lock_windows.h"
#include "token.h"
#include "trust.h"

enum { FRESH_PATH = KVPBUS_PATH_MAX + 8 };

static enum kvpbus_error failed(struct kvpbus_failure *failure, const char *what, const char *path)
{
    int code = kvpbus_system_code();
    enum kvpbus_error error = kvpbus_system_error(code);
    if (error != KVPBUS_ACCESS && error != KVPBUS_NO_SPACE && error != KVPBUS_NOT_FOUND)
        error = KVPBUS_IO;
    kvpbus_fail(failure, error, "cannot %s %.100s: %s", what, path, kvpbus_system_text(code));
    if (failure != NULL)
        failure->os_code = code;
    return error;
}

// --- what comes ---

// Of the installer's choice, who may write there anyway.
static enum kvpbus_error read_whole(const char *path, char **text, size_t *length,
                                    struct kvpbus_failure *failure)
{
    int file = kvpbus_file_open(path);
    if (file < 0)
        return failed(failure, "open", path);
    char *bytes = malloc(KVPBUS_TRUST_BYTES_MAX + 2);
    size_t count = 0;
    ssize_t got = bytes != NULL ? 1 : -1;
    while (got > 0 && count <= KVPBUS_TRUST_BYTES_MAX) {
        got = read(file, bytes + count, (unsigned)(KVPBUS_TRUST_BYTES_MAX + 1 - count));
        count += got > 0 ? (size_t)got : 0;
    }
    close(file);
    if (bytes == NULL)
        return kvpbus_fail(failure, KVPBUS_NOMEM, "out of memory");
    bytes[count] = '\0';
    if (got == 0 && strlen(bytes) == count) {
        *text = bytes;
        *length = count;
        return KVPBUS_OK;
    }
    sodium_memzero(bytes, count);
    free(bytes);
    return kvpbus_fail(failure, KVPBUS_CONFIG, "%.100s is not a text of at most %d bytes", path,
                       KVPBUS_TRUST_BYTES_MAX);
}

static enum kvpbus_error write_whole(const char *path, const char *text, size_t length,
                                     struct kvpbus_failure *failure)
{
    char fresh[FRESH_PATH];
    snprintf(fresh, sizeof fresh, "%s.new", path);
    kvpbus_file_remove(fresh);
    int file = kvpbus_file_create(fresh);
    if (file < 0)
        return failed(failure, "create", fresh);
    bool written = write(file, text, (unsigned)length) == (ssize_t)length && kvpbus_file_sync(file);
    if (close(file) == 0 && written && kvpbus_file_replace(fresh, path))
        return KVPBUS_OK;
    enum kvpbus_error error = failed(failure, "write", path);
    kvpbus_file_remove(fresh);
    return error;
}

static bool given(const char *text)
{
    return text != NULL && text[0] != '\0';
}

bool kvpbus_service_gives_trust(const struct kvpbus_service_files *files)
{
    return given(files->trust_key) || given(files->trust_key_file);
}

// What was read and is right; NULL: it was not given.
struct coming {
    char *text;
    size_t length;
};

static void forget(struct coming *coming)
{
    if (coming->text != NULL)
        sodium_memzero(coming->text, coming->length);
    free(coming->text);
}

static enum kvpbus_error read_trust(enum kvpbus_role role, const struct kvpbus_service_files *files,
                                    struct coming *trust, struct kvpbus_failure *failure)
{
    uint8_t identity[KVPBUS_IDENTITY_BYTES];
    struct kvpbus_trusted *list = NULL;
    const char *from = "the key";
    size_t count;
    if (given(files->trust_key_file)) {
        from = files->trust_key_file;
        enum kvpbus_error error = read_whole(from, &trust->text, &trust->length, failure);
        if (error != KVPBUS_OK)
            return error;
    } else if (given(files->trust_key)) {
        trust->text = strdup(files->trust_key);
        if (trust->text == NULL)
            return kvpbus_fail(failure, KVPBUS_NOMEM, "out of memory");
        trust->length = strlen(trust->text);
    } else {
        return KVPBUS_OK;
    }
    if (role == KVPBUS_ROLE_GUEST)
        return kvpbus_trust_host(from, trust->text, identity, failure);
    enum kvpbus_error error = kvpbus_trust_guests(from, trust->text, &list, &count, failure);
    free(list);
    return error;
}

static enum kvpbus_error read_token(const struct kvpbus_service_files *files, struct coming *coming,
                                    struct kvpbus_failure *failure)
{
    struct kvpbus_token token;
    if (!given(files->token_file))
        return KVPBUS_OK;
    enum kvpbus_error error =
        read_whole(files->token_file, &coming->text, &coming->length, failure);
    if (error != KVPBUS_OK)
        return error;
    error = kvpbus_token_read(coming->text, coming->length, &token, failure);
    sodium_memzero(&token, sizeof token);
    if (error != KVPBUS_OK)
        kvpbus_failure_wrap(failure, "%.100s", files->token_file);
    return error;
}

enum kvpbus_error kvpbus_service_put_files(const struct kvpbus_service_defaults *defaults,
                                           const struct kvpbus_service_files *files,
                                           struct kvpbus_failure *failure)
{
    struct coming trust = {0}, token = {0};
    if (given(files->trust_key) && given(files->trust_key_file))
        return kvpbus_fail(failure, KVPBUS_INVALID_ARGUMENT,
                           "give one of --trust-key and --trust-key-file");
    enum kvpbus_error error = read_trust(defaults->role, files, &trust, failure);
    if (error == KVPBUS_OK)
        error = read_token(files, &token, failure);
    if (error == KVPBUS_OK)
        error = kvpbus_state_parent_make(failure);
    if (error == KVPBUS_OK && trust.text != NULL)
        error = write_whole(defaults->role == KVPBUS_ROLE_GUEST ? KVPBUS_TRUSTED_HOST
                                                                : KVPBUS_KNOWN_GUESTS,
                            trust.text, trust.length, failure);
    if (error == KVPBUS_OK && token.text != NULL)
        error = write_whole(KVPBUS_ENROLL_TOKEN, token.text, token.length, failure);
    forget(&trust);
    forget(&token);
    return error;
}

// --- what goes ---

static enum kvpbus_error remove_state(const char *state, struct kvpbus_failure *failure)
{
    char real[KVPBUS_PATH_MAX];
    int lock = -1;
    if (!kvpbus_file_exists(state))
        return KVPBUS_OK;
    enum kvpbus_error error = kvpbus_state_lock(state, real, &lock, failure);
    if (error != KVPBUS_OK)
        return error;
    error = kvpbus_state_empty(real, NULL, failure);
    close(lock);
    if (error == KVPBUS_OK && !kvpbus_folder_remove(real))
        error = failed(failure, "remove", real);
    return error;
}

enum kvpbus_error kvpbus_service_purge(const struct kvpbus_service_defaults *defaults,
                                       struct kvpbus_failure *failure)
{
    bool guest = defaults->role == KVPBUS_ROLE_GUEST;
    if (!kvpbus_file_exists(KVPBUS_STATE_PARENT))
        return KVPBUS_OK;
    // Any user may have made it: nothing is removed through what is none of ours.
    enum kvpbus_error error = kvpbus_state_parent_make(failure);
    if (error == KVPBUS_OK)
        error = remove_state(defaults->state, failure);
    if (error == KVPBUS_OK)
        error = kvpbus_state_remove(defaults->config, NULL, failure);
    if (error == KVPBUS_OK)
        error =
            kvpbus_state_remove(guest ? KVPBUS_TRUSTED_HOST : KVPBUS_KNOWN_GUESTS, NULL, failure);
    if (error == KVPBUS_OK && guest)
        error = kvpbus_state_remove(KVPBUS_ENROLL_TOKEN, NULL, failure);
    if (error == KVPBUS_OK)
        kvpbus_folder_remove(KVPBUS_STATE_PARENT); // unless the other service has something there
    return error;
}
