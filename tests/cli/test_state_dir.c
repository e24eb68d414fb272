// SPDX-License-Identifier: Apache-2.0
//
// The state folder: one service at a time, an identity drawn once and readable by the owner alone.
#include <criterion/criterion.h>
#include <fcntl.h>
#include <signal.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "state_dir.h"

static char base[32], folder[64], key[96];
static struct kvpbus_state_dir first, second;
static struct kvpbus_failure failure;

static void begin(void)
{
    cr_assert_geq(sodium_init(), 0);
    strcpy(base, "/tmp/kvpbus-state-XXXXXX");
    cr_assert_not_null(mkdtemp(base));
    snprintf(folder, sizeof folder, "%s/state", base);
    snprintf(key, sizeof key, "%s/identity.key", folder);
}

static void finish(void)
{
    char command[64];
    snprintf(command, sizeof command, "rm -rf '%s'", base);
    cr_assert_eq(system(command), 0);
}

TestSuite(state_dir, .init = begin, .fini = finish);

static mode_t mode(const char *path)
{
    struct stat status;
    cr_assert_eq(stat(path, &status), 0);
    return status.st_mode & 07777;
}

static void overwrite(const char *text)
{
    FILE *file = fopen(key, "w");
    cr_assert(file != NULL && fputs(text, file) >= 0 && fclose(file) == 0);
}

Test(state_dir, the_identity_is_drawn_once)
{
    uint8_t identity[KVPBUS_IDENTITY_BYTES];
    cr_assert_eq(kvpbus_state_dir_open(folder, &first, &failure), KVPBUS_OK, "%s", failure.detail);
    memcpy(identity, first.identity, sizeof identity);
    kvpbus_state_dir_close(&first);
    cr_assert_eq(kvpbus_state_dir_open(folder, &second, &failure), KVPBUS_OK);
    cr_assert_arr_eq(second.identity, identity, sizeof identity);
    kvpbus_state_dir_close(&second);
}

Test(state_dir, the_secret_belongs_to_the_identity)
{
    uint8_t public_key[crypto_sign_PUBLICKEYBYTES];
    cr_assert_eq(kvpbus_state_dir_open(folder, &first, &failure), KVPBUS_OK);
    crypto_sign_ed25519_sk_to_pk(public_key, first.secret);
    cr_assert_arr_eq(public_key, first.identity, sizeof public_key);
    kvpbus_state_dir_close(&first);
    cr_assert(sodium_is_zero(first.secret, sizeof first.secret), "the secret stays in memory");
}

Test(state_dir, only_the_owner_gets_in)
{
    umask(0);
    cr_assert_eq(kvpbus_state_dir_open(folder, &first, &failure), KVPBUS_OK);
    cr_assert_eq(mode(folder), 0700);
    cr_assert_eq(mode(key), 0600);
    kvpbus_state_dir_close(&first);
}

Test(state_dir, a_second_service_is_turned_away)
{
    cr_assert_eq(kvpbus_state_dir_open(folder, &first, &failure), KVPBUS_OK);
    cr_assert_eq(kvpbus_state_dir_open(folder, &second, &failure), KVPBUS_JOURNAL_LOCKED);
    cr_assert_not_null(strstr(failure.detail, folder));
    kvpbus_state_dir_close(&first);
    cr_assert_eq(kvpbus_state_dir_open(folder, &second, &failure), KVPBUS_OK);
    kvpbus_state_dir_close(&second);
}

Test(state_dir, a_damaged_identity_is_never_replaced)
{
    static const char *const contents[] = {"", "short",
                                           "0123456789abcdef0123456789abcdef and more"};
    cr_assert_eq(kvpbus_state_dir_open(folder, &first, &failure), KVPBUS_OK);
    kvpbus_state_dir_close(&first);
    for (size_t i = 0; i < sizeof contents / sizeof *contents; i++) {
        char kept[64] = "";
        overwrite(contents[i]);
        cr_assert_eq(kvpbus_state_dir_open(folder, &second, &failure), KVPBUS_BAD_KEY);
        cr_assert_not_null(strstr(failure.detail, key));
        FILE *file = fopen(key, "r");
        cr_assert_not_null(file);
        size_t length = fread(kept, 1, sizeof kept - 1, file);
        fclose(file);
        cr_assert_eq(length, strlen(contents[i]));
        cr_assert_str_eq(kept, contents[i]);
    }
}

Test(state_dir, a_crash_before_the_key_was_whole_is_made_good)
{
    char unfinished[96];
    snprintf(unfinished, sizeof unfinished, "%s/identity.new", folder);
    cr_assert_eq(mkdir(folder, 0700), 0);
    int file = open(unfinished, O_WRONLY | O_CREAT, 0600);
    cr_assert(file >= 0 && write(file, "half", 4) == 4 && close(file) == 0);
    cr_assert_eq(kvpbus_state_dir_open(folder, &first, &failure), KVPBUS_OK, "%s", failure.detail);
    kvpbus_state_dir_close(&first);
}

Test(state_dir, a_link_is_not_followed)
{
    char elsewhere[96];
    snprintf(elsewhere, sizeof elsewhere, "%s/elsewhere", base);
    cr_assert_eq(mkdir(folder, 0700), 0);
    cr_assert_eq(symlink(elsewhere, key), 0);
    cr_assert_neq(kvpbus_state_dir_open(folder, &first, &failure), KVPBUS_OK);
    cr_assert_neq(access(elsewhere, F_OK), 0);
}

Test(state_dir, a_folder_that_cannot_be_is_said)
{
    cr_assert_eq(kvpbus_state_dir_open("/nowhere/at/all", &first, &failure), KVPBUS_IO);
    cr_assert_not_null(strstr(failure.detail, "/nowhere/at/all"));
    char longest[KVPBUS_PATH_MAX + 1];
    memset(longest, 'x', sizeof longest - 1);
    longest[sizeof longest - 1] = '\0';
    cr_assert_eq(kvpbus_state_dir_open(longest, &first, &failure), KVPBUS_INVALID_ARGUMENT);
}

// --- none any more ---

static char removed[4][128];
static size_t removed_count;

static void note_removed(const char *path)
{
    cr_assert_lt(removed_count, 4);
    snprintf(removed[removed_count++], sizeof removed[0], "%s", path);
}

Test(state_dir, it_is_emptied_and_the_lock_goes_last)
{
    char path[128];
    cr_assert_eq(kvpbus_state_dir_open(folder, &first, &failure), KVPBUS_OK);
    cr_assert_eq(kvpbus_state_empty(folder, note_removed, &failure), KVPBUS_OK);
    snprintf(path, sizeof path, "%s/lock", folder);
    cr_assert_eq(removed_count, 2);
    cr_assert_str_eq(removed[0], key);
    cr_assert_str_eq(removed[1], path);
    cr_assert_eq(rmdir(folder), 0);
    kvpbus_state_dir_close(&first);
}

Test(state_dir, what_cannot_be_removed_is_said_and_the_lock_stays)
{
    char path[128];
    cr_assert_eq(kvpbus_state_dir_open(folder, &first, &failure), KVPBUS_OK);
    snprintf(path, sizeof path, "%s/folder", folder);
    cr_assert_eq(mkdir(path, 0700), 0);
    cr_assert_neq(kvpbus_state_empty(folder, NULL, &failure), KVPBUS_OK);
    cr_assert_not_null(strstr(failure.detail, path), "%s", failure.detail);
    snprintf(path, sizeof path, "%s/lock", folder);
    cr_assert_eq(access(path, F_OK), 0);
    kvpbus_state_dir_close(&first);
    cr_assert_neq(kvpbus_state_empty("/nowhere/at/all", NULL, &failure), KVPBUS_OK);
    cr_assert_eq(kvpbus_state_remove("/nowhere/at/all", NULL, &failure), KVPBUS_OK);
}

// --- a new identity ---

static void open_first(void)
{
    cr_assert_eq(kvpbus_state_dir_open(folder, &first, &failure), KVPBUS_OK, "%s", failure.detail);
}

// What a peer that has pinned `from` makes of what is shown now.
static bool leads_from(const uint8_t from[KVPBUS_IDENTITY_BYTES])
{
    static const uint8_t vm[KVPBUS_VM_ID_BYTES] = {1};
    struct kvpbus_core core = {.role = KVPBUS_ROLE_HOST};
    size_t length = 0;
    memcpy(core.identity, first.identity, sizeof core.identity);
    cr_assert(kvpbus_extension_put(core.extensions, &length, KVPBUS_EXTENSION_ROTATION,
                                   first.rotation.bytes, first.rotation.length));
    core.extensions_length = (uint16_t)length;
    return kvpbus_rotation_leads(&core, vm, from);
}

Test(state_dir, a_new_identity_is_signed_by_the_old_one_and_stays)
{
    uint8_t old[KVPBUS_IDENTITY_BYTES], secret[KVPBUS_SECRET_BYTES];
    open_first();
    for (int i = 0; i < KVPBUS_STATEMENTS_MAX + 2; i++) {
        memcpy(old, first.identity, sizeof old);
        cr_assert_eq(kvpbus_state_dir_rotate(&first, KVPBUS_ROLE_HOST, &failure), KVPBUS_OK);
        memcpy(secret, first.secret, sizeof secret);
        cr_assert_arr_neq(first.identity, old, sizeof old);
        cr_assert(leads_from(old));
        kvpbus_state_dir_close(&first);
        open_first();
        cr_assert(leads_from(old), "and after a restart");
        cr_assert_arr_eq(first.secret, secret, sizeof secret);
        cr_assert_eq(mode(key), 0600);
    }
    kvpbus_state_dir_close(&first);
}

Test(state_dir, without_room_for_a_new_identity_the_old_one_stays)
{
    char blocked[96];
    uint8_t old[KVPBUS_IDENTITY_BYTES];
    open_first();
    memcpy(old, first.identity, sizeof old);
    snprintf(blocked, sizeof blocked, "%s/identity.new", folder);
    cr_assert_eq(mkdir(blocked, 0700), 0);
    cr_assert_neq(kvpbus_state_dir_rotate(&first, KVPBUS_ROLE_HOST, &failure), KVPBUS_OK);
    cr_assert_arr_eq(first.identity, old, sizeof old);
    cr_assert_eq(first.rotation.length, 0);
    kvpbus_state_dir_close(&first);
    open_first();
    cr_assert_arr_eq(first.identity, old, sizeof old);
    kvpbus_state_dir_close(&first);
}

// Killed at any moment, the folder has the old identity or the new one, and the way from each that
// was there before.
Test(state_dir, a_kill_while_it_is_replaced_leaves_one_of_the_two)
{
    uint8_t before[KVPBUS_IDENTITY_BYTES];
    open_first();
    kvpbus_state_dir_close(&first);
    for (int i = 0; i < 100; i++) {
        memcpy(before, first.identity, sizeof before);
        pid_t child = fork();
        cr_assert_geq(child, 0);
        if (child == 0) {
            if (kvpbus_state_dir_open(folder, &second, &failure) == KVPBUS_OK)
                kvpbus_state_dir_rotate(&second, KVPBUS_ROLE_HOST, &failure);
            _exit(0);
        }
        usleep((useconds_t)i * 30);
        kill(child, SIGKILL);
        cr_assert_eq(waitpid(child, NULL, 0), child);
        open_first();
        cr_assert(memcmp(first.identity, before, sizeof before) == 0 || leads_from(before));
        kvpbus_state_dir_close(&first);
    }
}
