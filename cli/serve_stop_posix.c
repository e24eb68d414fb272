// SPDX-License-Identifier: Apache-2.0
#include "serve_stop.h"

#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <unistd.h>

static sigset_t signals;
// The ends of two pipes: closing one wakes whoever polls the other.
static int stop_bell, abort_bell;

// The signals wait for this thread alone; the workers and their programs never see them.
static void block_signals(void)
{
    sigemptyset(&signals);
    sigaddset(&signals, SIGINT);
    sigaddset(&signals, SIGTERM);
    sigaddset(&signals, SIGHUP);
    sigaddset(&signals, SIGUSR1);
    pthread_sigmask(SIG_BLOCK, &signals, NULL);
    signal(SIGPIPE, SIG_IGN);
}

bool serve_stop_begin(kvpbus_notice *stop, kvpbus_notice *abort)
{
    int first[2], second[2];
    if (pipe2(first, O_CLOEXEC) != 0 || pipe2(second, O_CLOEXEC) != 0) {
        perror("kvpbus: cannot make a pipe");
        return false;
    }
    *stop = first[0];
    *abort = second[0];
    stop_bell = first[1];
    abort_bell = second[1];
    block_signals();
    return true;
}

void serve_stop_now(void)
{
    kill(getpid(), SIGTERM);
}

void serve_stop_look(void)
{
    kill(getpid(), SIGUSR1);
}

void serve_stop_wait(unsigned (*running)(void))
{
    int number;
    for (int asked = 0; running() > 0;) {
        sigwait(&signals, &number);
        if (number == SIGUSR1 || asked == 2)
            continue;
        close(asked++ == 0 ? stop_bell : abort_bell);
        if (asked == 1)
            fputs("kvpbus: what runs is finished; once more ends it\n", stderr);
    }
}

bool serve_is_set(kvpbus_notice notice, kvpbus_notice other, int timeout_ms)
{
    struct pollfd wait[] = {{.fd = notice, .events = POLLIN}, {.fd = other, .events = POLLIN}};
    return poll(wait, 2, timeout_ms) > 0 && wait[0].revents != 0;
}
