// SPDX-License-Identifier: Apache-2.0
//
// One pool file on a real file system: locks, damage, limits and full disks.
#include "pool_file.h"

#include <criterion/criterion.h>
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/mount.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "pool_fixture.h"

enum { SHORT_WAIT_MS = 150 };

static struct pool_fixture fixture;
static struct kvpbus_failure failure;
static struct kvpbus_scan scan;

static void setup(void)
{
    pool_fixture_make(&fixture);
}

static void teardown(void)
{
    kvpbus_scan_free(&scan);
    pool_fixture_remove(&fixture);
}

TestSuite(pool_file, .init = setup, .fini = teardown);

static enum kvpbus_error read_file(void)
{
    const struct kvpbus_pool_place place = {fixture.folder, ".kvp_pool_1", SHORT_WAIT_MS};
    failure = (struct kvpbus_failure){0};
    return kvpbus_pool_file_read(&place, "kvpbus", &scan, &failure);
}

static enum kvpbus_error write_one(const char *key, const char *value)
{
    const struct kvpbus_pool_place place = {fixture.folder, ".kvp_pool_1", SHORT_WAIT_MS};
    const struct kvpbus_change change = {key, value};
    enum kvpbus_error result = KVPBUS_INTERNAL;
    failure = (struct kvpbus_failure){0};
    enum kvpbus_error error =
        kvpbus_pool_file_write(&place, "kvpbus", &change, 1, &result, &failure);
    cr_assert_eq(error, result);
    return error;
}

static void expect(const char *key, const char *value)
{
    cr_assert_eq(read_file(), KVPBUS_OK, "%s", failure.detail);
    cr_assert_eq(scan.count, 1);
    cr_assert_str_eq(scan.items[0].key, key);
    cr_assert_str_eq(scan.items[0].value, value);
}

static void expect_detail(const char *text)
{
    cr_assert_not_null(strstr(failure.detail, ".kvp_pool_1"), "%s", failure.detail);
    cr_assert_not_null(strstr(failure.detail, text), "%s", failure.detail);
}

Test(pool_file, a_missing_file_is_empty_and_made_at_the_first_put)
{
    cr_assert_eq(read_file(), KVPBUS_OK);
    cr_assert_eq(scan.count, 0);
    cr_assert_eq(write_one("kvpbus.h", NULL), KVPBUS_OK);
    cr_assert_eq(access(fixture.own, F_OK), -1);
    umask(022);
    cr_assert_eq(write_one("kvpbus.h", "v"), KVPBUS_OK);
    struct stat status;
    cr_assert_eq(stat(fixture.own, &status), 0);
    cr_assert_eq(status.st_mode & 0777, 0644);
    cr_assert_eq(status.st_size, POOL_RECORD);
    expect("kvpbus.h", "v");
}

Test(pool_file, the_file_is_edited_in_place_and_keeps_its_mode)
{
    struct stat before;
    struct stat after;
    pool_append(fixture.own, "foreign", "f", 1);
    chmod(fixture.own, 0600);
    stat(fixture.own, &before);
    cr_assert_eq(write_one("kvpbus.h", "v"), KVPBUS_OK);
    cr_assert_eq(write_one("kvpbus.h", "w"), KVPBUS_OK);
    cr_assert_eq(write_one("kvpbus.h", NULL), KVPBUS_OK);
    stat(fixture.own, &after);
    cr_assert_eq(before.st_ino, after.st_ino);
    cr_assert_eq(before.st_mode, after.st_mode);
    cr_assert_eq(before.st_size, after.st_size);
    cr_assert(pool_holds(fixture.own, 0, "foreign", "f", 1));
}

Test(pool_file, bytes_behind_a_nul_are_not_read)
{
    pool_append(fixture.own, "kvpbus.h", "hi", 3);
    expect("kvpbus.h", "hi");
}

Test(pool_file, part_of_a_record_at_the_end_is_ignored_and_overwritten)
{
    pool_append(fixture.own, "foreign", "f", 1);
    pool_append_bytes(fixture.own, "kvpbus.h\0torn", 13);
    cr_assert_eq(read_file(), KVPBUS_OK);
    cr_assert_eq(scan.count, 0);
    cr_assert_eq(scan.foreign, 1);
    cr_assert_eq(write_one("kvpbus.s", "v"), KVPBUS_OK);
    cr_assert_eq(pool_size(fixture.own), 2 * POOL_RECORD);
    cr_assert(pool_holds(fixture.own, 0, "foreign", "f", 1));
    expect("kvpbus.s", "v");
}

static void expect_locked_out(enum pool_lock kind)
{
    pool_append(fixture.own, "foreign", "f", 1);
    pid_t holder = pool_hold_lock(fixture.own, kind);
    cr_assert_eq(write_one("kvpbus.h", "v"), KVPBUS_STORE_BUSY);
    expect_detail("locked");
    cr_assert_eq(read_file(), KVPBUS_STORE_BUSY);
    cr_assert_eq(scan.count, 0);
    cr_assert_eq(pool_size(fixture.own), POOL_RECORD);
    pool_release(holder);
    cr_assert_eq(write_one("kvpbus.h", "v"), KVPBUS_OK);
    expect("kvpbus.h", "v");
    cr_assert(pool_holds(fixture.own, 0, "foreign", "f", 1));
}

Test(pool_file, the_lock_of_cloud_init_keeps_us_out)
{
    expect_locked_out(POOL_LOCK_FLOCK);
}

Test(pool_file, the_lock_of_the_daemon_keeps_us_out)
{
    expect_locked_out(POOL_LOCK_POSIX);
}

Test(pool_file, a_lock_that_is_released_in_time_is_waited_for)
{
    pool_append(fixture.own, "foreign", "f", 1);
    pid_t holder = pool_hold_lock(fixture.own, POOL_LOCK_POSIX);
    pid_t releaser = fork();
    if (releaser == 0) {
        usleep(50000);
        kill(holder, SIGKILL);
        _exit(0);
    }
    cr_assert_eq(write_one("kvpbus.h", "v"), KVPBUS_OK);
    waitpid(releaser, NULL, 0);
    waitpid(holder, NULL, 0);
}

Test(pool_file, several_readers_do_not_exclude_each_other)
{
    pool_append(fixture.own, "kvpbus.h", "v", 1);
    int fd = open(fixture.own, O_RDONLY | O_CLOEXEC);
    struct flock range = {.l_type = F_RDLCK, .l_whence = SEEK_SET};
    cr_assert_eq(fcntl(fd, F_OFD_SETLK, &range), 0);
    expect("kvpbus.h", "v");
    cr_assert_eq(write_one("kvpbus.h", "w"), KVPBUS_STORE_BUSY);
    close(fd);
}

Test(pool_file, a_file_that_others_cut_between_calls_loses_only_what_they_cut)
{
    pool_append(fixture.own, "foreign", "f", 1);
    cr_assert_eq(write_one("kvpbus.h", "v"), KVPBUS_OK);
    pool_append(fixture.own, "foreign", "g", 2);
    cr_assert_eq(truncate(fixture.own, POOL_RECORD + 700), 0);
    cr_assert_eq(read_file(), KVPBUS_OK);
    cr_assert_eq(scan.count, 0);
    cr_assert_eq(write_one("kvpbus.h", "again"), KVPBUS_OK);
    cr_assert(pool_holds(fixture.own, 0, "foreign", "f", 1));
    expect("kvpbus.h", "again");
    cr_assert_eq(truncate(fixture.own, 0), 0);
    cr_assert_eq(read_file(), KVPBUS_OK);
    cr_assert_eq(scan.count, 0);
    cr_assert_eq(write_one("kvpbus.h", "third"), KVPBUS_OK);
    expect("kvpbus.h", "third");
}

Test(pool_file, a_file_that_is_replaced_while_we_wait_is_opened_anew)
{
    char other[128];
    pool_append(fixture.own, "old", "f", 1);
    snprintf(other, sizeof(other), "%s/new", fixture.folder);
    pool_append(other, "new", "g", 2);
    pid_t holder = pool_hold_lock(fixture.own, POOL_LOCK_POSIX);
    pid_t replacer = fork();
    if (replacer == 0) {
        usleep(50000);
        rename(other, fixture.own);
        kill(holder, SIGKILL);
        _exit(0);
    }
    cr_assert_eq(write_one("kvpbus.h", "v"), KVPBUS_OK);
    waitpid(replacer, NULL, 0);
    waitpid(holder, NULL, 0);
    cr_assert(pool_holds(fixture.own, 0, "new", "g", 2));
    expect("kvpbus.h", "v");
}

Test(pool_file, a_missing_folder_is_a_store_that_is_gone)
{
    cr_assert_eq(rmdir(fixture.folder), 0);
    cr_assert_eq(read_file(), KVPBUS_STORE_GONE);
    expect_detail("no folder");
    cr_assert_eq(write_one("kvpbus.h", "v"), KVPBUS_STORE_GONE);
    cr_assert_eq(failure.os_code, ENOENT);
}

Test(pool_file, a_link_in_its_place_is_refused)
{
    char target[128];
    snprintf(target, sizeof(target), "%s/target", fixture.folder);
    pool_append(target, "kvpbus.h", "secret", 1);
    cr_assert_eq(symlink(target, fixture.own), 0);
    cr_assert_eq(read_file(), KVPBUS_STORE_GONE);
    expect_detail("symbolic link");
    cr_assert_eq(write_one("kvpbus.h", "v"), KVPBUS_STORE_GONE);
    cr_assert(pool_holds(target, 0, "kvpbus.h", "secret", 1));
    cr_assert_eq(unlink(fixture.own), 0);
    cr_assert_eq(symlink("nowhere", fixture.own), 0);
    cr_assert_eq(write_one("kvpbus.h", "v"), KVPBUS_STORE_GONE);
    unlink(target);
}

Test(pool_file, a_folder_or_pipe_in_its_place_is_refused)
{
    cr_assert_eq(mkdir(fixture.own, 0755), 0);
    cr_assert_eq(read_file(), KVPBUS_STORE_GONE);
    cr_assert_eq(write_one("kvpbus.h", "v"), KVPBUS_STORE_GONE);
    expect_detail("folder");
    cr_assert_eq(rmdir(fixture.own), 0);
    cr_assert_eq(mkfifo(fixture.own, 0644), 0);
    cr_assert_eq(read_file(), KVPBUS_STORE_GONE);
    cr_assert_eq(write_one("kvpbus.h", "v"), KVPBUS_STORE_GONE);
    expect_detail("plain file");
}

// Root may write everywhere, so it becomes another user first.
static void drop_root(void)
{
    if (geteuid() == 0)
        cr_assert_eq(seteuid(65534), 0);
}

static void regain_root(void)
{
    if (getuid() == 0)
        cr_assert_eq(seteuid(0), 0);
}

Test(pool_file, a_folder_without_permission_is_read_only)
{
    cr_assert_eq(chmod(fixture.folder, 0555), 0);
    drop_root();
    cr_assert_eq(read_file(), KVPBUS_OK);
    cr_assert_eq(write_one("kvpbus.h", "v"), KVPBUS_STORE_READ_ONLY);
    expect_detail("cannot create");
    regain_root();
    cr_assert_eq(chmod(fixture.folder, 0755), 0);
}

Test(pool_file, a_file_without_permission_is_an_access_error)
{
    pool_append(fixture.own, "kvpbus.h", "v", 1);
    cr_assert_eq(chmod(fixture.own, 0444), 0);
    drop_root();
    expect("kvpbus.h", "v");
    cr_assert_eq(write_one("kvpbus.h", "w"), KVPBUS_ACCESS);
    regain_root();
    expect("kvpbus.h", "v");
}

Test(pool_file, a_read_only_file_system_and_a_full_disk)
{
    // Mounts need root, or a namespace of one's own where the system allows it.
    if (unshare(geteuid() == 0 ? CLONE_NEWNS : CLONE_NEWNS | CLONE_NEWUSER) != 0 ||
        mount("none", "/", NULL, MS_REC | MS_PRIVATE, NULL) != 0 ||
        mount("none", fixture.folder, "tmpfs", 0, "size=16k") != 0) {
        pool_fixture_remove(&fixture);
        cr_skip_test("no mounts here");
    }
    pool_append(fixture.own, "foreign", "f", 1);
    char key[32];
    enum kvpbus_error error = KVPBUS_OK;
    int i = 0;
    for (; i < 20 && error == KVPBUS_OK; i++) {
        snprintf(key, sizeof(key), "kvpbus.%02d", i);
        error = write_one(key, "v");
    }
    cr_assert_eq(error, KVPBUS_STORE_FULL);
    expect_detail("No space");
    cr_assert_eq(pool_size(fixture.own) % POOL_RECORD, 0);
    cr_assert(pool_holds(fixture.own, 0, "foreign", "f", 1));
    cr_assert_eq(write_one("kvpbus.00", "update"), KVPBUS_OK);
    cr_assert_eq(write_one("kvpbus.01", NULL), KVPBUS_OK);
    cr_assert_eq(write_one(key, "room again"), KVPBUS_OK);

    cr_assert_eq(mount("none", fixture.folder, NULL, MS_REMOUNT | MS_RDONLY, NULL), 0);
    cr_assert_eq(read_file(), KVPBUS_OK);
    cr_assert_eq(write_one("kvpbus.00", "w"), KVPBUS_STORE_READ_ONLY);
    expect_detail("Read-only");
    umount(fixture.folder);
}

Test(pool_file, a_limit_on_file_size_is_a_full_store)
{
    pool_append(fixture.own, "foreign", "f", 1);
    cr_assert_eq(write_one("kvpbus.00", "v"), KVPBUS_OK);
    signal(SIGXFSZ, SIG_IGN);
    struct rlimit limit = {.rlim_cur = 2 * POOL_RECORD + 100, .rlim_max = RLIM_INFINITY};
    cr_assert_eq(setrlimit(RLIMIT_FSIZE, &limit), 0);
    cr_assert_eq(write_one("kvpbus.01", "v"), KVPBUS_STORE_FULL);
    cr_assert_eq(pool_size(fixture.own), 2 * POOL_RECORD);
    cr_assert(pool_holds(fixture.own, 0, "foreign", "f", 1));
    cr_assert_eq(write_one("kvpbus.00", "w"), KVPBUS_OK);
    // A build with coverage writes its counters at the end of the process.
    limit.rlim_cur = RLIM_INFINITY;
    cr_assert_eq(setrlimit(RLIMIT_FSIZE, &limit), 0);
    expect("kvpbus.00", "w");
}

Test(pool_file, garbage_is_survived)
{
    static uint8_t garbage[100 * POOL_RECORD + 77];
    uint32_t state = 7;
    for (size_t i = 0; i < sizeof(garbage); i++) {
        state = state * 1664525U + 1013904223U;
        garbage[i] = (uint8_t)(state >> 24);
    }
    pool_append_bytes(fixture.own, garbage, sizeof(garbage));
    cr_assert_eq(write_one("kvpbus.h", "v"), KVPBUS_OK);
    expect("kvpbus.h", "v");
    cr_assert_eq(scan.foreign, 100);
    size_t length;
    uint8_t *bytes = pool_bytes(fixture.own, &length);
    cr_assert_arr_eq(bytes, garbage, 100 * POOL_RECORD);
    free(bytes);
}

Test(pool_file, ten_thousand_records_are_counted_and_not_touched)
{
    const size_t records = 10000;
    uint8_t *bytes = calloc(records, POOL_RECORD);
    for (size_t i = 0; i < records; i++)
        pool_record(bytes + i * POOL_RECORD, i == 3 ? "kvpbus.h" : "flood", "v", (unsigned)i);
    pool_append_bytes(fixture.own, bytes, records * POOL_RECORD);
    expect("kvpbus.h", "v");
    cr_assert_eq(scan.foreign, records - 1);
    cr_assert_eq(write_one("kvpbus.h", "w"), KVPBUS_OK);
    cr_assert_eq(write_one("kvpbus.s", "v"), KVPBUS_STORE_TOO_MANY);
    expect_detail("full of records of other programs");
    cr_assert_eq(write_one("kvpbus.h", NULL), KVPBUS_STORE_TOO_MANY);
    expect("kvpbus.h", "w");
    size_t length;
    uint8_t *after = pool_bytes(fixture.own, &length);
    cr_assert_eq(length, records * POOL_RECORD);
    memcpy(after + 3 * POOL_RECORD, bytes + 3 * POOL_RECORD, POOL_RECORD);
    cr_assert_eq(memcmp(after, bytes, length), 0);
    free(after);
    free(bytes);
}

Test(pool_file, gigabytes_cost_neither_time_nor_memory)
{
    pool_append(fixture.own, "kvpbus.h", "v", 1);
    cr_assert_eq(truncate(fixture.own, (off_t)64 << 30), 0);
    struct timespec start;
    struct timespec end;
    clock_gettime(CLOCK_MONOTONIC, &start);
    expect("kvpbus.h", "v");
    cr_assert_eq(write_one("kvpbus.h", "w"), KVPBUS_OK);
    clock_gettime(CLOCK_MONOTONIC, &end);
    cr_assert_lt(end.tv_sec - start.tv_sec, 5);
    expect("kvpbus.h", "w");
    struct rusage usage;
    getrusage(RUSAGE_SELF, &usage);
    cr_assert_lt(usage.ru_maxrss, 300 * 1024);
}

// A writer is killed at random moments; other programs append, flock only, and rewrite like the
// daemon, fcntl only. No record of theirs may be lost, doubled in content or out of order.
static void write_until_killed(void)
{
    for (unsigned i = 0;; i++) {
        char keys[8][16];
        struct kvpbus_change changes[8];
        enum kvpbus_error results[8];
        const struct kvpbus_pool_place place = {fixture.folder, ".kvp_pool_1", 5000};
        for (unsigned k = 0; k < 8; k++) {
            snprintf(keys[k], sizeof(keys[k]), "kvpbus.%02u", (i * 5 + k * 3) % 24);
            changes[k] = (struct kvpbus_change){keys[k], (i + k) % 3 == 0 ? NULL : "value"};
        }
        if (kvpbus_pool_file_write(&place, "kvpbus", changes, 8, results, NULL) != KVPBUS_OK)
            _exit(1);
    }
}

static void append_under_flock(unsigned number)
{
    char key[32];
    uint8_t record[POOL_RECORD];
    pid_t child = fork(); // the lock goes with the process, as cloud-init's does
    if (child == 0) {
        snprintf(key, sizeof(key), "log-%04u", number);
        pool_record(record, key, "entry", number);
        int fd = open(fixture.own, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0644);
        if (flock(fd, LOCK_EX) != 0 || write(fd, record, sizeof(record)) != POOL_RECORD)
            _exit(1);
        _exit(0);
    }
    int status;
    waitpid(child, &status, 0);
    cr_assert_eq(status, 0);
}

static size_t count_log_entries(unsigned expected)
{
    size_t length;
    unsigned next = 0;
    size_t ours = 0;
    uint8_t record[POOL_RECORD];
    uint8_t *bytes = pool_bytes(fixture.own, &length);
    cr_assert_eq(length % POOL_RECORD, 0);
    for (size_t at = 0; at < length; at += POOL_RECORD) {
        const char *key = (const char *)bytes + at;
        unsigned number;
        if (strncmp(key, "kvpbus.", 7) == 0) {
            ours++;
            continue;
        }
        cr_assert_eq(sscanf(key, "log-%u", &number), 1, "%.20s", key);
        pool_record(record, key, "entry", number);
        cr_assert_arr_eq(bytes + at, record, POOL_RECORD);
        cr_assert_leq(number, next, "entry %u comes before %u", number, next);
        next = number + 1 > next ? number + 1 : next;
    }
    free(bytes);
    cr_assert_eq(next, expected);
    return ours;
}

Test(pool_file, a_killed_writer_harms_no_other_program)
{
    unsigned appended = 0;
    uint32_t state = 99;
    for (int round = 0; round < 60; round++) {
        pid_t writer = fork();
        if (writer == 0)
            write_until_killed();
        for (int i = 0; i < 3; i++)
            append_under_flock(appended++);
        state = state * 1664525U + 1013904223U;
        usleep(state >> 20);
        kill(writer, SIGKILL);
        int status;
        waitpid(writer, &status, 0);
        cr_assert(WIFSIGNALED(status), "the writer failed");
        count_log_entries(appended);
    }
    cr_assert_gt(count_log_entries(appended), 0);
}

Test(pool_file, writers_and_the_daemon_take_turns)
{
    pool_append(fixture.own, "first", "f", 1);
    pid_t writer = fork();
    if (writer == 0)
        write_until_killed();
    for (int i = 0; i < 100; i++) {
        char value[16];
        snprintf(value, sizeof(value), "%d", i);
        pool_daemon_set(fixture.own, "daemon", value);
    }
    kill(writer, SIGKILL);
    waitpid(writer, NULL, 0);
    cr_assert(pool_holds(fixture.own, 0, "first", "f", 1));
    size_t length;
    size_t found = 0;
    uint8_t *bytes = pool_bytes(fixture.own, &length);
    for (size_t at = 0; at + POOL_RECORD <= length; at += POOL_RECORD) {
        if (strcmp((char *)bytes + at, "daemon") == 0) {
            cr_assert_str_eq((char *)bytes + at + POOL_KEY, "99");
            found++;
        }
    }
    cr_assert_geq(found, 1);
    free(bytes);
}
