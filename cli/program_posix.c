// SPDX-License-Identifier: Apache-2.0
#include "program.h"

#include <signal.h>
#include <sys/ioctl.h>
#include <time.h>
#include <unistd.h>

// NOLINTNEXTLINE(readability-non-const-parameter): Windows writes it
void kvpbus_program_begin(int *argc, char ***argv)
{
    (void)argc;
    (void)argv;
}

static struct kvpbus_terminal terminal_of(int descriptor)
{
    struct winsize size = {0};
    if (ioctl(descriptor, TIOCGWINSZ, &size) != 0)
        return (struct kvpbus_terminal){0, 0};
    return (struct kvpbus_terminal){size.ws_col, size.ws_row};
}

struct kvpbus_terminal kvpbus_terminal_of_error(void)
{
    return terminal_of(STDERR_FILENO);
}

struct kvpbus_terminal kvpbus_terminal_of_output(void)
{
    return terminal_of(STDOUT_FILENO);
}

static volatile sig_atomic_t ended;

static void on_end(int number)
{
    (void)number;
    ended = 1;
}

void kvpbus_program_end_gently(void)
{
    struct sigaction action = {.sa_handler = on_end}; // without SA_RESTART: a sleep ends as well
    sigemptyset(&action.sa_mask);
    sigaction(SIGINT, &action, NULL);
    sigaction(SIGTERM, &action, NULL);
    sigaction(SIGHUP, &action, NULL);
    signal(SIGXFSZ, SIG_IGN); // the write says it
}

bool kvpbus_program_ended(void)
{
    return ended != 0;
}

void kvpbus_program_pause(unsigned ms)
{
    struct timespec pause = {.tv_sec = ms / 1000, .tv_nsec = ms % 1000 * 1000000L};
    nanosleep(&pause, NULL);
}
