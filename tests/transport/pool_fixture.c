// SPDX-License-Identifier: Apache-2.0
#include "pool_fixture.h"

#include <criterion/criterion.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

void pool_fixture_make(struct pool_fixture *fixture)
{
    snprintf(fixture->folder, sizeof(fixture->folder), "/tmp/kvpbus-pool-XXXXXX");
    cr_assert_not_null(mkdtemp(fixture->folder));
    cr_assert_eq(chmod(fixture->folder, 0755), 0);
    snprintf(fixture->own, sizeof(fixture->own), "%s/.kvp_pool_1", fixture->folder);
    snprintf(fixture->peer, sizeof(fixture->peer), "%s/.kvp_pool_0", fixture->folder);
}

static void remove_anything(const char *path)
{
    if (unlink(path) != 0)
        (void)rmdir(path);
}

void pool_fixture_remove(struct pool_fixture *fixture)
{
    remove_anything(fixture->own);
    remove_anything(fixture->peer);
    (void)rmdir(fixture->folder);
}

void pool_record(uint8_t record[POOL_RECORD], const char *key, const char *value, unsigned seed)
{
    uint32_t state = seed * 2654435761U + 1;
    for (size_t i = 0; i < POOL_RECORD; i++) {
        state = state * 1664525U + 1013904223U;
        record[i] = (uint8_t)(state >> 24);
    }
    memcpy(record, key, strlen(key) + 1);
    memcpy(record + POOL_KEY, value, strlen(value) + 1);
}

void pool_append_bytes(const char *path, const void *bytes, size_t length)
{
    int fd = open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0644);
    cr_assert_geq(fd, 0);
    cr_assert_eq(write(fd, bytes, length), (ssize_t)length);
    close(fd);
}

void pool_append(const char *path, const char *key, const char *value, unsigned seed)
{
    uint8_t record[POOL_RECORD];
    pool_record(record, key, value, seed);
    pool_append_bytes(path, record, sizeof(record));
}

uint8_t *pool_bytes(const char *path, size_t *length)
{
    FILE *file = fopen(path, "rb");
    cr_assert_not_null(file, "%s", path);
    *length = (size_t)pool_size(path);
    uint8_t *bytes = malloc(*length + 1);
    cr_assert_eq(fread(bytes, 1, *length, file), *length);
    fclose(file);
    return bytes;
}

off_t pool_size(const char *path)
{
    struct stat status;
    cr_assert_eq(stat(path, &status), 0, "%s", path);
    return status.st_size;
}

bool pool_holds(const char *path, size_t index, const char *key, const char *value, unsigned seed)
{
    size_t length;
    uint8_t expected[POOL_RECORD];
    uint8_t *bytes = pool_bytes(path, &length);
    pool_record(expected, key, value, seed);
    bool same = (index + 1) * POOL_RECORD <= length &&
                memcmp(bytes + index * POOL_RECORD, expected, POOL_RECORD) == 0;
    free(bytes);
    return same;
}

// Works the change into the records, as the daemon does. Returns the new number of records.
static size_t daemon_edit(uint8_t *bytes, size_t count, const char *key, const char *value)
{
    size_t place = 0;
    while (place < count && strcmp((char *)bytes + place * POOL_RECORD, key) != 0)
        place++;
    uint8_t *record = bytes + place * POOL_RECORD;
    if (value != NULL) {
        memcpy(record, key, strlen(key) + 1);
        memcpy(record + POOL_KEY, value, strlen(value) + 1);
        return place == count ? count + 1 : count;
    }
    if (place == count)
        return count;
    memmove(record, record + POOL_RECORD, (count - place - 1) * POOL_RECORD);
    return count - 1;
}

void pool_daemon_set(const char *path, const char *key, const char *value)
{
    struct flock whole = {.l_type = F_WRLCK, .l_whence = SEEK_SET};
    int locked = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0644);
    cr_assert_geq(locked, 0);
    cr_assert_eq(fcntl(locked, F_SETLKW, &whole), 0);
    size_t count = (size_t)pool_size(path) / POOL_RECORD;
    uint8_t *bytes = calloc(count + 1, POOL_RECORD);
    cr_assert_eq(pread(locked, bytes, count * POOL_RECORD, 0), (ssize_t)(count * POOL_RECORD));
    count = daemon_edit(bytes, count, key, value);
    FILE *file = fopen(path, "we");
    cr_assert_not_null(file);
    cr_assert_eq(fwrite(bytes, POOL_RECORD, count, file), count);
    cr_assert_eq(fflush(file), 0);
    fclose(file);
    close(locked);
    free(bytes);
}

static void hold(const char *path, enum pool_lock kind, int tell)
{
    struct flock whole = {.l_type = F_WRLCK, .l_whence = SEEK_SET};
    int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0644);
    bool locked =
        kind == POOL_LOCK_FLOCK ? flock(fd, LOCK_EX) == 0 : fcntl(fd, F_SETLKW, &whole) == 0;
    if (!locked || write(tell, "x", 1) != 1)
        _exit(1);
    for (;;)
        pause();
}

pid_t pool_hold_lock(const char *path, enum pool_lock kind)
{
    int channel[2];
    char byte;
    cr_assert_eq(pipe(channel), 0);
    pid_t holder = fork();
    if (holder == 0)
        hold(path, kind, channel[1]);
    close(channel[1]);
    cr_assert_eq(read(channel[0], &byte, 1), 1);
    close(channel[0]);
    return holder;
}

void pool_release(pid_t holder)
{
    kill(holder, SIGKILL);
    waitpid(holder, NULL, 0);
}
