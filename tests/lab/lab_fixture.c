// SPDX-License-Identifier: Apache-2.0
#include "lab_fixture.h"

#include <criterion/criterion.h>
#include <dirent.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "lab_management.h"

enum { RECORD = 2560, RECORD_KEY = 512, WORDS_MAX = 48 };

#define PROGRAM KVPBUS_BUILD_DIR "/lab/kvpbus-lab"

const char *lab_always = "";

static const char *const names[LAB_VMS] = {"alpha", "beta", "gamma"};

void lab_sleep_ms(unsigned ms)
{
    struct timespec time = {.tv_sec = ms / 1000, .tv_nsec = (long)(ms % 1000) * 1000000};
    nanosleep(&time, NULL);
}

// Cuts a command line at its blanks; "DIR" becomes the folder.
static void split(const struct lab *lab, char *line, char **words)
{
    size_t count = 0;
    words[count++] = (char *)PROGRAM;
    for (char *word = strtok(line, " "); word != NULL; word = strtok(NULL, " ")) {
        cr_assert_lt(count, WORDS_MAX - 1);
        words[count++] = strcmp(word, "DIR") == 0 ? (char *)lab->directory : word;
    }
    words[count] = NULL;
}

static pid_t launch(const struct lab *lab, const char *command_line, int output)
{
    char line[1024];
    char *words[WORDS_MAX];
    snprintf(line, sizeof line, "%s", command_line);
    split(lab, line, words);
    pid_t pid = fork();
    cr_assert_geq(pid, 0);
    if (pid == 0) {
        // A test that crashes takes its lab with it.
        prctl(PR_SET_PDEATHSIG, SIGTERM);
        dup2(output, 1);
        dup2(output, 2);
        execv(PROGRAM, words);
        _exit(127);
    }
    return pid;
}

static void await_ready(int output)
{
    char text[4096] = "";
    size_t length = 0;
    while (strstr(text, "ready: ") == NULL) {
        ssize_t got = read(output, text + length, sizeof text - 1 - length);
        cr_assert_gt(got, 0, "the lab has not come up: %s", text);
        length += (size_t)got;
        text[length] = '\0';
    }
}

static void connect_management(struct lab *lab, bool named)
{
    struct kvpbus_failure failure;
    struct kvpbus_vm *vms;
    size_t count;
    cr_assert_eq(kvpbus_lab_management_open(lab->socket, &lab->management, &failure), KVPBUS_OK);
    cr_assert_eq(lab->management->ops->list(lab->management, &vms, &count, &failure), KVPBUS_OK);
    cr_assert(count > LAB_BETA && count <= LAB_VMS);
    for (size_t i = 0; i < count; i++) {
        cr_assert(!named || strcmp(vms[i].name, names[i]) == 0, "%s", vms[i].name);
        memcpy(lab->guids[i], vms[i].guid, KVPBUS_GUID_BYTES);
    }
    free(vms);
}

void lab_start_again(struct lab *lab, const char *options)
{
    char line[512];
    int output[2];
    cr_assert_eq(pipe2(output, O_CLOEXEC), 0);
    snprintf(line, sizeof line, "run DIR --vm alpha --vm beta %s %s", lab_always, options);
    lab->pid = launch(lab, line, output[1]);
    close(output[1]);
    await_ready(output[0]);
    // Kept open, so that a lab that says more is not killed by it.
    connect_management(lab, strstr(options, "--same-name ") == NULL);
}

void lab_start(struct lab *lab, const char *options)
{
    memset(lab, 0, sizeof *lab);
    strcpy(lab->directory, "/tmp/kvpbus-lab-XXXXXX");
    cr_assert_not_null(mkdtemp(lab->directory));
    snprintf(lab->socket, sizeof lab->socket, "%s/host.sock", lab->directory);
    lab_start_again(lab, options);
}

void lab_address(const struct lab *lab, char address[LAB_ADDRESS])
{
    char path[96];
    unsigned port = 0;
    snprintf(path, sizeof path, "%s/host.port", lab->directory);
    FILE *file = fopen(path, "r");
    cr_assert_not_null(file, "%s is missing", path);
    cr_assert_eq(fscanf(file, "%u", &port), 1);
    fclose(file);
    snprintf(address, LAB_ADDRESS, "127.0.0.1:%u", port & 0xffff);
}

static bool file_contains(const char *path, const char *text)
{
    static char content[256 * 1024];
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return false;
    ssize_t length = read(fd, content, sizeof content);
    close(fd);
    return length > 0 && memmem(content, (size_t)length, text, strlen(text)) != NULL;
}

// The first process whose environment has the text, 0 when there is none.
static pid_t process_with(const char *text)
{
    DIR *processes = opendir("/proc");
    pid_t found = 0;
    cr_assert_not_null(processes);
    for (struct dirent *entry = readdir(processes); entry != NULL; entry = readdir(processes)) {
        char path[300];
        pid_t pid = (pid_t)strtol(entry->d_name, NULL, 10);
        snprintf(path, sizeof path, "/proc/%s/environ", entry->d_name);
        if (pid > 0 && file_contains(path, text))
            found = pid;
    }
    closedir(processes);
    return found;
}

pid_t lab_daemon(const struct lab *lab, int vm)
{
    char text[160];
    snprintf(text, sizeof text, "KVPBUS_LAB_DEVICE=%s/vm/%s/", lab->directory, names[vm]);
    return process_with(text);
}

void lab_stop(struct lab *lab)
{
    int status;
    lab->management->ops->close(lab->management);
    cr_assert_eq(kill(lab->pid, SIGTERM), 0);
    cr_assert_eq(waitpid(lab->pid, &status, 0), lab->pid);
    cr_assert(WIFEXITED(status) && WEXITSTATUS(status) == 0, "the lab ended with %d", status);
    lab->pid = 0;
    char text[160];
    snprintf(text, sizeof text, "KVPBUS_LAB_DEVICE=%s/", lab->directory);
    cr_assert_eq(process_with(text), 0, "a daemon is left");
    cr_assert_not(file_contains("/proc/self/mounts", lab->directory), "a mount is left");
    cr_assert_neq(access(lab->socket, F_OK), 0, "the socket is left");
}

void lab_remove(struct lab *lab)
{
    char command[128];
    snprintf(command, sizeof command, "rm -rf '%s'", lab->directory);
    cr_assert_eq(system(command), 0);
}

int lab_program(const struct lab *lab, const char *command_line, char *output, size_t size)
{
    char discarded[8192];
    size_t length = 0;
    int pipes[2], status;
    if (output == NULL) {
        output = discarded;
        size = sizeof discarded;
    }
    cr_assert_eq(pipe2(pipes, O_CLOEXEC), 0);
    pid_t pid = launch(lab, command_line, pipes[1]);
    close(pipes[1]);
    for (ssize_t got = 1; got > 0;) {
        got = read(pipes[0], output + length, size - 1 - length);
        length += got > 0 ? (size_t)got : 0;
    }
    output[length] = '\0';
    close(pipes[0]);
    cr_assert_eq(waitpid(pid, &status, 0), pid);
    cr_assert(WIFEXITED(status), "killed: %s", command_line);
    return WEXITSTATUS(status);
}

void lab_ctl(const struct lab *lab, const char *words)
{
    char line[512], output[8192];
    snprintf(line, sizeof line, "ctl DIR %s", words);
    cr_assert_eq(lab_program(lab, line, output, sizeof output), 0, "%s: %s", words, output);
}

static struct kvpbus_call_result call(const struct lab *lab, int vm,
                                      enum kvpbus_operation operation,
                                      const struct kvpbus_change *items, size_t count)
{
    struct kvpbus_call_result result;
    struct kvpbus_failure failure = {0};
    enum kvpbus_error error = lab->management->ops->call(lab->management, operation, lab->guids[vm],
                                                         items, count, &result, &failure);
    cr_assert_eq(error, KVPBUS_OK, "%s", failure.detail);
    return result;
}

struct kvpbus_call_result lab_call(const struct lab *lab, int vm, enum kvpbus_operation operation,
                                   const char *key, const char *value)
{
    const struct kvpbus_change item = {key, value};
    return call(lab, vm, operation, &item, 1);
}

struct kvpbus_call_result lab_call_many(const struct lab *lab, int vm,
                                        enum kvpbus_operation operation, unsigned first,
                                        unsigned count)
{
    static char keys[KVPBUS_MANAGEMENT_BATCH][32], values[KVPBUS_MANAGEMENT_BATCH][32];
    struct kvpbus_change items[KVPBUS_MANAGEMENT_BATCH];
    for (unsigned i = 0; i < count; i++) {
        snprintf(keys[i], sizeof keys[i], "kvpbus.%u", first + i);
        snprintf(values[i], sizeof values[i], "v%u", first + i);
        items[i].key = keys[i];
        items[i].value = values[i];
    }
    return call(lab, vm, operation, items, count);
}

bool lab_done(const struct kvpbus_call_result *result)
{
    return result->return_value == KVPBUS_RETURN_JOB_STARTED && result->had_job &&
           result->job_state == KVPBUS_JOB_COMPLETED && result->error_code == 0;
}

const char *lab_pool_value(const struct lab *lab, int vm, int pool, const char *key)
{
    static char record[RECORD + 1];
    char path[160];
    snprintf(path, sizeof path, "%s/vm/%s/kvp/.kvp_pool_%d", lab->directory, names[vm], pool);
    FILE *file = fopen(path, "r");
    const char *value = NULL;
    if (file == NULL)
        return NULL;
    while (value == NULL && fread(record, RECORD, 1, file) == 1)
        if (strcmp(record, key) == 0)
            value = record + RECORD_KEY;
    fclose(file);
    return value;
}

void lab_guest_write(const struct lab *lab, int vm, const char *key, const char *value)
{
    char folder[160];
    struct kvpbus_store *store;
    struct kvpbus_failure failure = {0};
    enum kvpbus_error result;
    const struct kvpbus_change change = {key, value};
    snprintf(folder, sizeof folder, "%s/vm/%s/kvp", lab->directory, names[vm]);
    cr_assert_eq(kvpbus_pool_store_open(folder, "kvpbus", &store, &failure), KVPBUS_OK, "%s",
                 failure.detail);
    cr_assert_eq(store->ops->write(store, &change, 1, &result, &failure), KVPBUS_OK, "%s",
                 failure.detail);
    kvpbus_store_close(store);
}

enum kvpbus_error lab_read(const struct lab *lab, int vm, struct kvpbus_scan *scan)
{
    enum kvpbus_error result;
    struct kvpbus_failure failure = {0};
    enum kvpbus_error error = lab->management->ops->read_guest(
        lab->management, "kvpbus", (const uint8_t(*)[KVPBUS_GUID_BYTES])lab->guids[vm], 1, scan,
        &result, &failure);
    cr_assert_eq(error, KVPBUS_OK, "%s", failure.detail);
    return result;
}

static void read_host(const struct lab *lab, int vm, struct kvpbus_scan *scan)
{
    cr_assert_eq(
        lab->management->ops->read_host(lab->management, "kvpbus", lab->guids[vm], scan, NULL),
        KVPBUS_OK);
}

const char *lab_host_value(const struct lab *lab, int vm, const char *key)
{
    static char value[KVPBUS_VALUE_MAX + 1];
    struct kvpbus_scan scan = {0};
    bool found = false;
    read_host(lab, vm, &scan);
    for (size_t i = 0; i < scan.count && !found; i++) {
        found = strcmp(scan.items[i].key, key) == 0;
        if (found)
            strcpy(value, scan.items[i].value);
    }
    kvpbus_scan_free(&scan);
    return found ? value : NULL;
}

size_t lab_host_count(const struct lab *lab, int vm)
{
    struct kvpbus_scan scan = {0};
    read_host(lab, vm, &scan);
    size_t count = scan.count;
    kvpbus_scan_free(&scan);
    return count;
}

enum kvpbus_vm_state lab_state(const struct lab *lab, int vm)
{
    struct kvpbus_vm *vms;
    size_t count;
    cr_assert_eq(lab->management->ops->list(lab->management, &vms, &count, NULL), KVPBUS_OK);
    enum kvpbus_vm_state state = vms[vm].state;
    free(vms);
    return state;
}

void lab_await_state(const struct lab *lab, int vm, enum kvpbus_vm_state state)
{
    for (int i = 0; i < 500 && lab_state(lab, vm) != state; i++)
        lab_sleep_ms(10);
    cr_assert_eq(lab_state(lab, vm), state);
}

const char *lab_line(const struct lab *lab, int vm, const char *name)
{
    static char line[256];
    char path[200];
    snprintf(path, sizeof path, "%s/vm/%s/%s", lab->directory, names[vm], name);
    FILE *file = fopen(path, "r");
    cr_assert_not_null(file, "%s is missing", path);
    cr_assert_not_null(fgets(line, sizeof line, file));
    fclose(file);
    line[strcspn(line, "\n")] = '\0';
    return line;
}

void lab_put_peer(void *context, const char *key, const char *value)
{
    lab_guest_write(context, LAB_ALPHA, key, value);
}

void lab_plant_foreign(void *context, const char *key, const char *value)
{
    struct kvpbus_call_result result = lab_call(context, LAB_ALPHA, KVPBUS_OP_ADD, key, value);
    cr_assert(lab_done(&result));
}

bool lab_foreign_intact(void *context, const char *key, const char *value)
{
    const char *now = lab_pool_value(context, LAB_ALPHA, 0, key);
    return now != NULL && strcmp(now, value) == 0;
}
