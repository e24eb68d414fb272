// SPDX-License-Identifier: Apache-2.0
#include "parcel.h"

#include <assert.h>
#include <sodium.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "file.h"

static const char magic[16] = "kvpbus parcel 1\n";
static const char label[] = "kvpbus 1 parcel"; // with its NUL

enum {
    FROM = sizeof magic,
    TO = FROM + KVPBUS_IDENTITY_BYTES,
    ID = TO + KVPBUS_IDENTITY_BYTES,
    VM = ID + KVPBUS_MOVE_ID,
    NAME = VM + KVPBUS_VM_ID_BYTES,
    ROTATION_LENGTH = NAME + KVPBUS_PEER_NAME_MAX + 1,
    ROTATION = ROTATION_LENGTH + 2,
    KEY = ROTATION + KVPBUS_ROTATION_MAX,
    KEY_SEALED = crypto_secretstream_xchacha20poly1305_KEYBYTES + crypto_box_SEALBYTES,
    STREAM = KEY + KEY_SEALED,
    SIGNATURE = STREAM + crypto_secretstream_xchacha20poly1305_HEADERBYTES,
    HEAD = SIGNATURE + crypto_sign_BYTES,
    PIECE = 64 * 1024,
    SEALED_PIECE = PIECE + crypto_secretstream_xchacha20poly1305_ABYTES,
    DIGEST = 32,
};
static_assert(sizeof magic == 16, "without a NUL");

static enum kvpbus_error failed(struct kvpbus_failure *failure, const char *path)
{
    int number = kvpbus_system_code();
    enum kvpbus_error code = kvpbus_system_error(number);
    if (code == KVPBUS_EXISTS)
        code = KVPBUS_IO;
    kvpbus_fail(failure, code, "%.180s: %s", path, kvpbus_system_text(number));
    if (failure != NULL)
        failure->os_code = number;
    return code;
}

// What is signed, and what each piece is bound to.
static void digest_of(const uint8_t *head, size_t length, uint8_t digest[DIGEST])
{
    crypto_generichash_state state;
    crypto_generichash_init(&state, NULL, 0, DIGEST);
    crypto_generichash_update(&state, (const uint8_t *)label, sizeof label);
    crypto_generichash_update(&state, head, length);
    crypto_generichash_final(&state, digest, DIGEST);
}

static FILE *create(const char *path)
{
    kvpbus_file_remove(path);
    int file = kvpbus_file_create(path);
    FILE *stream = file >= 0 ? fdopen(file, "wb") : NULL;
    if (file >= 0 && stream == NULL)
        close(file);
    return stream;
}

// All of it is on the disk, or the file is gone.
static enum kvpbus_error finish(FILE *out, const char *path, enum kvpbus_error error,
                                struct kvpbus_failure *failure)
{
    if (error == KVPBUS_OK && (fflush(out) != 0 || !kvpbus_file_sync(fileno(out))))
        error = failed(failure, path);
    if (fclose(out) != 0 && error == KVPBUS_OK)
        error = failed(failure, path);
    if (error == KVPBUS_OK && !kvpbus_file_sync_name(path))
        error = failed(failure, path);
    if (error != KVPBUS_OK)
        kvpbus_file_remove(path);
    return error;
}

// --- sealing ---

static enum kvpbus_error seal_pieces(FILE *in, const char *plain, FILE *out, const char *sealed,
                                     crypto_secretstream_xchacha20poly1305_state *stream,
                                     const uint8_t digest[DIGEST], struct kvpbus_failure *failure)
{
    static _Thread_local uint8_t bytes[PIECE], cipher[SEALED_PIECE];
    for (;;) {
        size_t length = fread(bytes, 1, sizeof bytes, in);
        if (ferror(in))
            return failed(failure, plain);
        int next = length == sizeof bytes ? getc(in) : EOF;
        if (next != EOF)
            ungetc(next, in);
        unsigned char tag = next == EOF ? crypto_secretstream_xchacha20poly1305_TAG_FINAL
                                        : crypto_secretstream_xchacha20poly1305_TAG_MESSAGE;
        unsigned long long made;
        crypto_secretstream_xchacha20poly1305_push(stream, cipher, &made, bytes, length, digest,
                                                   DIGEST, tag);
        if (fwrite(cipher, 1, (size_t)made, out) != made)
            return failed(failure, sealed);
        if (next == EOF)
            return ferror(in) ? failed(failure, plain) : KVPBUS_OK;
    }
}

static enum kvpbus_error make_head(const struct kvpbus_parcel *parcel,
                                   const uint8_t secret[KVPBUS_SECRET_BYTES],
                                   crypto_secretstream_xchacha20poly1305_state *stream,
                                   uint8_t head[HEAD], struct kvpbus_failure *failure)
{
    uint8_t key[crypto_secretstream_xchacha20poly1305_KEYBYTES], digest[DIGEST];
    uint8_t box[crypto_box_PUBLICKEYBYTES];
    memset(head, 0, HEAD);
    memcpy(head, magic, sizeof magic);
    memcpy(head + FROM, parcel->from, sizeof parcel->from);
    memcpy(head + TO, parcel->to, sizeof parcel->to);
    memcpy(head + ID, parcel->id, sizeof parcel->id);
    memcpy(head + VM, parcel->vm, sizeof parcel->vm);
    snprintf((char *)head + NAME, KVPBUS_PEER_NAME_MAX + 1, "%s", parcel->name);
    head[ROTATION_LENGTH] = (uint8_t)(parcel->rotation.length >> 8);
    head[ROTATION_LENGTH + 1] = (uint8_t)parcel->rotation.length;
    memcpy(head + ROTATION, parcel->rotation.bytes, parcel->rotation.length);
    if (crypto_sign_ed25519_pk_to_curve25519(box, parcel->to) != 0)
        return kvpbus_fail(failure, KVPBUS_BAD_KEY, "that is not the key of a host");
    crypto_secretstream_xchacha20poly1305_keygen(key);
    crypto_secretstream_xchacha20poly1305_init_push(stream, head + STREAM, key);
    crypto_box_seal(head + KEY, key, sizeof key, box);
    sodium_memzero(key, sizeof key);
    digest_of(head, SIGNATURE, digest);
    crypto_sign_detached(head + SIGNATURE, NULL, digest, sizeof digest, secret);
    return KVPBUS_OK;
}

enum kvpbus_error kvpbus_parcel_seal(const char *plain, const char *sealed,
                                     const struct kvpbus_parcel *parcel,
                                     const uint8_t secret[KVPBUS_SECRET_BYTES],
                                     struct kvpbus_failure *failure)
{
    crypto_secretstream_xchacha20poly1305_state stream;
    uint8_t head[HEAD], digest[DIGEST];
    enum kvpbus_error error = make_head(parcel, secret, &stream, head, failure);
    if (error != KVPBUS_OK)
        return error;
    FILE *in = kvpbus_file_stream(plain, "rb");
    if (in == NULL)
        return failed(failure, plain);
    FILE *out = create(sealed);
    if (out == NULL) {
        error = failed(failure, sealed);
        fclose(in);
        return error;
    }
    digest_of(head, HEAD, digest);
    if (fwrite(head, 1, sizeof head, out) != sizeof head)
        error = failed(failure, sealed);
    if (error == KVPBUS_OK)
        error = seal_pieces(in, plain, out, sealed, &stream, digest, failure);
    sodium_memzero(&stream, sizeof stream);
    fclose(in);
    return finish(out, sealed, error, failure);
}

// --- opening ---

static enum kvpbus_error changed(struct kvpbus_failure *failure)
{
    return kvpbus_fail(failure, KVPBUS_BAD_SIGNATURE,
                       "the file was changed or cut on its way; copy it again");
}

static enum kvpbus_error read_head(FILE *in, const char *path, uint8_t head[HEAD],
                                   struct kvpbus_parcel *parcel, struct kvpbus_failure *failure)
{
    uint8_t digest[DIGEST];
    size_t length = fread(head, 1, HEAD, in);
    if (ferror(in))
        return failed(failure, path);
    if (length < sizeof magic || memcmp(head, magic, sizeof magic - 2) != 0)
        return kvpbus_fail(failure, KVPBUS_INVALID_ARGUMENT,
                           "this is not a file that 'kvpbus export' made");
    if (memcmp(head, magic, sizeof magic) != 0)
        return kvpbus_fail(failure, KVPBUS_INVALID_ARGUMENT,
                           "the file is of another version; install the same one on both hosts");
    memset(parcel, 0, sizeof *parcel);
    if (length < HEAD)
        return changed(failure);
    memcpy(parcel->from, head + FROM, sizeof parcel->from);
    memcpy(parcel->to, head + TO, sizeof parcel->to);
    memcpy(parcel->id, head + ID, sizeof parcel->id);
    memcpy(parcel->vm, head + VM, sizeof parcel->vm);
    memcpy(parcel->name, head + NAME, sizeof parcel->name - 1);
    parcel->rotation.length = (size_t)head[ROTATION_LENGTH] << 8 | head[ROTATION_LENGTH + 1];
    digest_of(head, SIGNATURE, digest);
    if (parcel->rotation.length > KVPBUS_ROTATION_MAX ||
        parcel->rotation.length % KVPBUS_STATEMENT_BYTES != 0 ||
        crypto_sign_verify_detached(head + SIGNATURE, digest, sizeof digest, parcel->from) != 0)
        return changed(failure);
    memcpy(parcel->rotation.bytes, head + ROTATION, parcel->rotation.length);
    return KVPBUS_OK;
}

enum kvpbus_error kvpbus_parcel_read(const char *sealed, struct kvpbus_parcel *parcel,
                                     struct kvpbus_failure *failure)
{
    uint8_t head[HEAD];
    FILE *in = kvpbus_file_stream(sealed, "rb");
    if (in == NULL)
        return failed(failure, sealed);
    enum kvpbus_error error = read_head(in, sealed, head, parcel, failure);
    fclose(in);
    return error;
}

static enum kvpbus_error open_pieces(FILE *in, const char *sealed, FILE *out, const char *plain,
                                     crypto_secretstream_xchacha20poly1305_state *stream,
                                     const uint8_t digest[DIGEST], struct kvpbus_failure *failure)
{
    static _Thread_local uint8_t bytes[PIECE], cipher[SEALED_PIECE];
    unsigned char tag = 0;
    while (tag != crypto_secretstream_xchacha20poly1305_TAG_FINAL) {
        unsigned long long made;
        size_t length = fread(cipher, 1, sizeof cipher, in);
        if (ferror(in))
            return failed(failure, sealed);
        if (crypto_secretstream_xchacha20poly1305_pull(stream, bytes, &made, &tag, cipher, length,
                                                       digest, DIGEST) != 0)
            return changed(failure);
        if (fwrite(bytes, 1, (size_t)made, out) != made)
            return failed(failure, plain);
    }
    return getc(in) == EOF ? KVPBUS_OK : changed(failure);
}

static enum kvpbus_error begin_stream(const uint8_t head[HEAD], const struct kvpbus_parcel *parcel,
                                      const uint8_t identity[KVPBUS_IDENTITY_BYTES],
                                      const uint8_t secret[KVPBUS_SECRET_BYTES],
                                      crypto_secretstream_xchacha20poly1305_state *stream,
                                      struct kvpbus_failure *failure)
{
    uint8_t box[crypto_box_PUBLICKEYBYTES], box_secret[crypto_box_SECRETKEYBYTES];
    uint8_t key[crypto_secretstream_xchacha20poly1305_KEYBYTES];
    if (memcmp(parcel->to, identity, sizeof parcel->to) != 0)
        return kvpbus_fail(failure, KVPBUS_BAD_KEY,
                           "the file is for another host, or for an earlier identity of this one; "
                           "export it again with the key that 'kvpbus identity --public-key' "
                           "prints here");
    bool opened = crypto_sign_ed25519_pk_to_curve25519(box, identity) == 0 &&
                  crypto_sign_ed25519_sk_to_curve25519(box_secret, secret) == 0 &&
                  crypto_box_seal_open(key, head + KEY, KEY_SEALED, box, box_secret) == 0 &&
                  crypto_secretstream_xchacha20poly1305_init_pull(stream, head + STREAM, key) == 0;
    sodium_memzero(box_secret, sizeof box_secret);
    sodium_memzero(key, sizeof key);
    return opened ? KVPBUS_OK : changed(failure);
}

enum kvpbus_error kvpbus_parcel_open(const char *sealed, const char *plain,
                                     const uint8_t identity[KVPBUS_IDENTITY_BYTES],
                                     const uint8_t secret[KVPBUS_SECRET_BYTES],
                                     struct kvpbus_parcel *parcel, struct kvpbus_failure *failure)
{
    crypto_secretstream_xchacha20poly1305_state stream;
    uint8_t head[HEAD], digest[DIGEST];
    FILE *in = kvpbus_file_stream(sealed, "rb");
    if (in == NULL)
        return failed(failure, sealed);
    enum kvpbus_error error = read_head(in, sealed, head, parcel, failure);
    if (error == KVPBUS_OK)
        error = begin_stream(head, parcel, identity, secret, &stream, failure);
    FILE *out = error == KVPBUS_OK ? create(plain) : NULL;
    if (error == KVPBUS_OK && out == NULL)
        error = failed(failure, plain);
    if (out != NULL) {
        digest_of(head, HEAD, digest);
        error = open_pieces(in, sealed, out, plain, &stream, digest, failure);
        error = finish(out, plain, error, failure);
    }
    sodium_memzero(&stream, sizeof stream);
    fclose(in);
    return error;
}
