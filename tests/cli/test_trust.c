// SPDX-License-Identifier: Apache-2.0
//
// Files that say whom to trust: what they may look like, and who else may touch them.
#include <criterion/criterion.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "guarded_file.h"
#include "trust.h"

#define KEY "8a88e3dd7409f195fd52db2d3cba5d72ca6709bf1d94121bf3748801b40f6f5c"
#define OTHER "8139770ea87d175f56a35466c34c7ecccb8d8a91b4ee37a25df60f5b8fc9b394"
#define GUID "12345678-9ABC-DEF0-1234-56789ABCDEF0"
#define GUID_2 "22345678-9ABC-DEF0-1234-56789ABCDEF0"

static struct kvpbus_failure failure;

static enum kvpbus_error host(const char *text, uint8_t identity[KVPBUS_IDENTITY_BYTES])
{
    memset(&failure, 0, sizeof failure);
    return kvpbus_trust_host("FILE", text, identity, &failure);
}

Test(trust, a_host_is_one_key_with_comments_around)
{
    static const char *const good[] = {
        KEY,
        KEY "\n",
        "# the host\n\n  " KEY "  # of rack 3\r\n#" OTHER "\n",
        "8A88E3DD7409F195FD52DB2D3CBA5D72CA6709BF1D94121BF3748801B40F6F5C",
    };
    uint8_t identity[KVPBUS_IDENTITY_BYTES];
    for (size_t i = 0; i < sizeof good / sizeof *good; i++) {
        cr_assert_eq(host(good[i], identity), KVPBUS_OK, "%s: %s", good[i], failure.detail);
        cr_assert_eq(identity[0], 0x8a);
        cr_assert_eq(identity[31], 0x5c);
    }
}

Test(trust, anything_else_is_no_host)
{
    static const struct {
        const char *text, *said;
    } bad[] = {
        {"", "no key"},
        {"# nothing\n\n", "no key"},
        {KEY "\n\n" OTHER, "line 3: a guest has one host"},
        {KEY "\n" KEY, "line 2: a guest has one host"},
        {KEY " " OTHER, "line 1 has more"},
        {"6c70-3a3c-8d90-3a8c-6c70-3a3c-8d90-3a8c", "not the fingerprint"},
        {"\n" KEY "00", "line 2 has no key"},
        {"8a88e3dd7409f195fd52db2d3cba5d72ca6709bf1d94121bf3748801b40f6f5", "line 1 has no key"},
        {"8a88e3dd7409f195fd52db2d3cba5d72ca6709bf1d94121bf3748801b40f6f5g", "line 1 has no key"},
        {"0000000000000000000000000000000000000000000000000000000000000000", "not the key of"},
        {"ssh-ed25519 AAAA", "more than the key"},
    };
    uint8_t identity[KVPBUS_IDENTITY_BYTES];
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        cr_assert_eq(host(bad[i].text, identity), KVPBUS_CONFIG, "%s", bad[i].text);
        cr_assert(strstr(failure.detail, bad[i].said) != NULL &&
                      strstr(failure.detail, "FILE") != NULL,
                  "%s", failure.detail);
    }
}

static enum kvpbus_error guests(const char *text, size_t *count)
{
    struct kvpbus_trusted *list;
    memset(&failure, 0, sizeof failure);
    enum kvpbus_error error = kvpbus_trust_guests("FILE", text, &list, count, &failure);
    cr_assert_eq(error == KVPBUS_OK, list != NULL);
    if (*count > 0)
        cr_assert_eq(list[0].vm[0], 0x12);
    free(list);
    return error;
}

Test(trust, guests_are_guids_with_keys)
{
    size_t count;
    cr_assert_eq(guests("", &count), KVPBUS_OK);
    cr_assert_eq(count, 0);
    cr_assert_eq(guests("# fleet\n" GUID " " KEY " # web\n{" GUID_2 "}\t" OTHER, &count), KVPBUS_OK,
                 "%s", failure.detail);
    cr_assert_eq(count, 2);
    cr_assert_eq(guests(GUID " " KEY "\n" GUID " " KEY, &count), KVPBUS_OK);
    cr_assert_eq(count, 1);
}

Test(trust, two_keys_for_one_vm_are_refused)
{
    size_t count;
    cr_assert_eq(guests(GUID " " KEY "\n" GUID " " OTHER, &count), KVPBUS_CONFIG);
    cr_assert(strstr(failure.detail, "line 2") != NULL && strstr(failure.detail, GUID) != NULL);
    cr_assert_eq(guests(KEY, &count), KVPBUS_CONFIG);
    cr_assert_eq(guests(GUID, &count), KVPBUS_CONFIG);
    cr_assert_eq(guests("web " KEY, &count), KVPBUS_CONFIG);
    cr_assert_eq(guests(GUID " " KEY " web", &count), KVPBUS_CONFIG);
    cr_assert_eq(guests(GUID " fingerprint", &count), KVPBUS_CONFIG);
}

Test(trust, no_more_guests_than_there_may_be)
{
    char *text = calloc(KVPBUS_TRUSTED_MAX + 1, 128);
    size_t count, length = 0;
    for (unsigned i = 0; i <= KVPBUS_TRUSTED_MAX; i++)
        length += (size_t)sprintf(text + length, "12%06x-9ABC-DEF0-1234-56789ABCDEF0 " KEY "\n", i);
    cr_assert_eq(guests(text, &count), KVPBUS_CONFIG);
    text[length - 1 - strlen(KEY) - 1 - 36] = '\0';
    cr_assert_eq(guests(text, &count), KVPBUS_OK, "%s", failure.detail);
    cr_assert_eq(count, KVPBUS_TRUSTED_MAX);
    free(text);
}

// --- who else may touch it ---

static char folder[] = "/tmp/kvpbus-trust-XXXXXX", path[64];

static void make_folder(void)
{
    cr_assert_not_null(mkdtemp(folder));
    snprintf(path, sizeof path, "%s/file", folder);
}

static void remove_folder(void)
{
    chmod(folder, 0700);
    unlink(path);
    rmdir(folder);
}

static void write_file(const char *text, size_t length, mode_t mode)
{
    unlink(path);
    int file = open(path, O_WRONLY | O_CREAT | O_EXCL, 0600);
    cr_assert_geq(file, 0);
    cr_assert_eq(write(file, text, length), (ssize_t)length);
    cr_assert_eq(fchmod(file, mode), 0);
    close(file);
}

static enum kvpbus_error reads(bool secret)
{
    char *text = NULL;
    size_t length = 0;
    memset(&failure, 0, sizeof failure);
    enum kvpbus_error error =
        kvpbus_guarded_read(path, secret, 100, &text, &length, NULL, &failure);
    cr_assert_eq(error == KVPBUS_OK, text != NULL);
    if (text != NULL) {
        cr_assert_str_eq(text, "text");
        kvpbus_guarded_free(text, length);
    }
    return error;
}

Test(guarded_file, only_what_nobody_else_can_write, .init = make_folder, .fini = remove_folder)
{
    static const struct {
        mode_t file, folder;
        bool plain, secret;
    } modes[] = {
        {0600, 0700, true, true},   {0644, 0755, true, false},  {0640, 0755, true, true},
        {0400, 0755, true, true},   {0660, 0755, false, false}, {0666, 0755, false, false},
        {0602, 0755, false, false}, {0644, 0775, false, false}, {0644, 0757, false, false},
        {0644, 01777, true, false}, {0600, 0777, false, false},
    };
    for (size_t i = 0; i < sizeof modes / sizeof *modes; i++) {
        write_file("text", 4, modes[i].file);
        cr_assert_eq(chmod(folder, modes[i].folder), 0);
        cr_assert_eq(reads(false), modes[i].plain ? KVPBUS_OK : KVPBUS_ACCESS, "%zu", i);
        cr_assert_eq(reads(true), modes[i].secret ? KVPBUS_OK : KVPBUS_ACCESS, "%zu", i);
        chmod(folder, 0700);
    }
}

Test(guarded_file, of_another_user, .init = make_folder, .fini = remove_folder)
{
    if (geteuid() != 0)
        cr_skip_test("only root can give a file away");
    write_file("text", 4, 0600);
    cr_assert_eq(chown(path, 12345, (gid_t)-1), 0);
    cr_assert_eq(reads(true), KVPBUS_ACCESS);
    cr_assert_not_null(strstr(failure.detail, "12345"));
    cr_assert_eq(chown(path, 0, (gid_t)-1), 0);
    cr_assert_eq(chown(folder, 12345, (gid_t)-1), 0);
    cr_assert_eq(reads(true), KVPBUS_ACCESS);
}

Test(guarded_file, what_is_no_file_or_no_text, .init = make_folder, .fini = remove_folder)
{
    char much[128];
    cr_assert_eq(reads(false), KVPBUS_NOT_FOUND);
    memset(much, 'x', sizeof much);
    write_file(much, sizeof much, 0600);
    cr_assert_eq(reads(false), KVPBUS_CONFIG);
    write_file("te\0xt", 5, 0600);
    cr_assert_eq(reads(false), KVPBUS_CONFIG);
    unlink(path);
    cr_assert_eq(mkfifo(path, 0600), 0);
    cr_assert_eq(reads(false), KVPBUS_CONFIG);
    unlink(path);
    cr_assert_eq(mkdir(path, 0700), 0);
    cr_assert_eq(reads(false), KVPBUS_CONFIG);
    rmdir(path);
}

Test(guarded_file, only_the_file_that_was_read_is_removed, .init = make_folder,
     .fini = remove_folder)
{
    char *text, aside[72];
    size_t length;
    struct kvpbus_file_id id;
    write_file("text", 4, 0600);
    cr_assert_eq(kvpbus_guarded_read(path, true, 100, &text, &length, &id, &failure), KVPBUS_OK);
    kvpbus_guarded_free(text, length);
    snprintf(aside, sizeof aside, "%s.old", path);
    cr_assert_eq(rename(path, aside), 0);
    write_file("text", 4, 0600);
    cr_assert_eq(kvpbus_guarded_remove(path, &id, &failure), KVPBUS_OK);
    cr_assert_eq(access(path, F_OK), 0);
    cr_assert_eq(rename(aside, path), 0);
    cr_assert_eq(kvpbus_guarded_remove(path, &id, &failure), KVPBUS_OK);
    cr_assert_neq(access(path, F_OK), 0);
    cr_assert_eq(kvpbus_guarded_remove(path, &id, &failure), KVPBUS_OK);
}
