// SPDX-License-Identifier: Apache-2.0
#include "wine_fixture.h"

#include <criterion/criterion.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

// A line of bash with scripts/wine.bash; the folder is $1.
static void in_bash(const struct wine *wine, const char *line)
{
    char script[1024];
    int status;
    snprintf(script, sizeof script, ". '%s/scripts/wine.bash'; %s", KVPBUS_SOURCE_DIR, line);
    pid_t pid = fork();
    cr_assert_geq(pid, 0);
    if (pid == 0) {
        execlp("bash", "bash", "-c", script, "wine", wine->directory, (char *)NULL);
        _exit(127);
    }
    cr_assert_eq(waitpid(pid, &status, 0), pid);
    cr_assert_eq(status, 0, "%s", line);
}

static void make_directory(struct wine *wine)
{
    strcpy(wine->directory, "/tmp/kvpbus-wine-XXXXXX");
    cr_assert_not_null(mkdtemp(wine->directory));
    snprintf(wine->prefix, sizeof wine->prefix, "%s/prefix", wine->directory);
}

void wine_make_lab(struct wine *wine, const char *lab)
{
    char line[512];
    make_directory(wine);
    snprintf(
        line, sizeof line,
        "KVPBUS_WINDOWS_BUILD='%s' \"$wine_root/scripts/wine-lab\" \"$1/prefix\" '%s' >\"$1/said\"",
        KVPBUS_WINDOWS_BUILD, lab);
    in_bash(wine, line);
}

void wine_make(struct wine *wine, bool guest)
{
    make_directory(wine);
    in_bash(wine, guest ? "wine_prefix \"$1/prefix\" && wine_guest \"$1/prefix\""
                        : "wine_prefix \"$1/prefix\"");
}

void wine_share(struct wine *wine, const char *folder)
{
    int length = snprintf(wine->directory, sizeof wine->directory, KVPBUS_BUILD_DIR "/%s", folder);
    cr_assert(length > 0 && length < (int)sizeof wine->directory);
    snprintf(wine->prefix, sizeof wine->prefix, "%s/prefix", wine->directory);
    in_bash(wine,
            "mkdir -p \"$1\" && exec 9>\"$1/lock\" && flock 9 && "
            "{ [ \"$(cat \"$1/prefix/made-by\" 2>&1)\" = \"$(wine --version 2>/dev/null)\" ] || "
            "{ rm -rf \"$1/prefix\" && wine_prefix \"$1/prefix\"; }; }");
}

void wine_stay(const struct wine *wine)
{
    in_bash(wine, "wine_in \"$1/prefix\" wineserver -w && wine_in \"$1/prefix\" wineserver -p");
}

void wine_remove(struct wine *wine)
{
    in_bash(wine, "wine_end \"$1/prefix\"; rm -rf \"$1\"");
}

static void become(const struct wine *wine, const char *const *words)
{
    char program[PATH_MAX];
    const char *arguments[WINE_WORDS_MAX + 2] = {"wine", program};
    const bool ours = strchr(words[0], '/') != NULL;
    snprintf(program, sizeof program, "%s%s%s", ours ? KVPBUS_WINDOWS_BUILD : "", ours ? "/" : "",
             words[0]);
    for (size_t i = 1; words[i] != NULL && i < WINE_WORDS_MAX; i++)
        arguments[i + 1] = words[i];
    if (ours && access(program, R_OK) != 0) {
        fprintf(stderr, "%s is missing: build the preset mingw\n", program);
        return;
    }
    setenv("WINEPREFIX", wine->prefix, 1);
    setenv("WINEARCH", "win64", 1);
    setenv("WINEDEBUG", "-all", 0);
    setenv("WINEDLLOVERRIDES", "mscoree,mshtml=", 1);
    unsetenv("DISPLAY");
    execvp("wine", (char *const *)arguments);
    fprintf(stderr, "wine cannot be run: %s\n", strerror(errno));
}

pid_t wine_start(const struct wine *wine, const char *const *words, int input, int output)
{
    pid_t pid = fork();
    cr_assert_geq(pid, 0);
    if (pid > 0)
        return pid;
    int nothing = open("/dev/null", O_RDWR | O_CLOEXEC);
    // A test that crashes takes its programs with it.
    prctl(PR_SET_PDEATHSIG, SIGTERM);
    dup2(input >= 0 ? input : nothing, 0);
    dup2(output >= 0 ? output : nothing, 1);
    become(wine, words);
    _exit(127);
}

int wine_run(const struct wine *wine, const char *const *words, char *output, size_t size)
{
    int pipes[2], status;
    size_t length = 0, kept = 0;
    cr_assert_eq(pipe2(pipes, O_CLOEXEC), 0);
    pid_t pid = wine_start(wine, words, -1, pipes[1]);
    close(pipes[1]);
    for (ssize_t got = 1; got > 0 && length < size - 1;) {
        got = read(pipes[0], output + length, size - 1 - length);
        length += got > 0 ? (size_t)got : 0;
    }
    close(pipes[0]);
    for (size_t i = 0; i < length; i++)
        if (output[i] != '\r')
            output[kept++] = output[i];
    output[kept] = '\0';
    cr_assert_eq(waitpid(pid, &status, 0), pid);
    cr_assert(WIFEXITED(status), "%s was killed by signal %d", words[0], WTERMSIG(status));
    return WEXITSTATUS(status);
}

int wine_run_both(const struct wine *wine, const char *const *words, char *output, size_t size)
{
    int own = dup(STDERR_FILENO), errors = memfd_create("stderr", MFD_CLOEXEC);
    cr_assert(own >= 0 && errors >= 0);
    dup2(errors, STDERR_FILENO);
    int status = wine_run(wine, words, output, size);
    dup2(own, STDERR_FILENO);
    size_t length = strlen(output);
    ssize_t got = pread(errors, output + length, size - 1 - length, 0);
    output[length + (got > 0 ? (size_t)got : 0)] = '\0';
    close(own);
    close(errors);
    return status;
}

bool wine_checks(const struct wine *wine, const char *const *words, unsigned checks)
{
    static char output[64 * 1024];
    unsigned ran = 0, failed = UINT_MAX;
    int status = wine_run(wine, words, output, sizeof output);
    size_t length = strlen(output);
    char *last = output;
    if (length > 0 && output[length - 1] == '\n')
        output[--length] = '\0';
    if (strrchr(output, '\n') != NULL)
        last = strrchr(output, '\n') + 1;
    bool told = sscanf(last, "ran %u checks, %u failed", &ran, &failed) == 2;
    if (status == 0 && told && ran >= checks && failed == 0)
        return true;
    fprintf(stderr, "%s ended with %d and said:\n%s\n", words[0], status, output);
    return false;
}
