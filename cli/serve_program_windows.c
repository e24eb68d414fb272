// SPDX-License-Identifier: Apache-2.0
//
// The program and whatever it starts are in one job, which is ended with it. Its input and output
// are pipes with a name that nobody can guess, because those without one know no overlapped calls.
#include "serve_program.h"

#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <wchar.h>
#include <windows.h>

#include "private_windows.h"
#include "serve_command_windows.h"
#include "windows_text.h"

enum {
    PIECE = 64 * 1024,
    GRACE = 5000,   // ms between Ctrl-Break and the end of the job
    LOOK = 100,     // ms between looks at the time
    LOOK_SOON = 10, // for what is still in the pipe of a program that has ended
    PIECES_LEFT = 3,
};

// The end of a pipe that is here, with one call under way at a time.
struct end {
    HANDLE pipe; // NULL: closed
    OVERLAPPED call;
    bool calling;
    uint8_t bytes[PIECE];
    DWORD length; // of what is being written
};

struct running {
    const struct serve_program *program;
    struct serve_result *result;
    HANDLE process, job;
    DWORD group;
    struct end in, out;
    size_t written, capacity;
    ULONGLONG deadline, ticks_at, kill_at; // kill_at 0: it was not told to end
    bool ended;
};

// --- pipes ---

static void close_handle(HANDLE *handle)
{
    if (*handle != NULL)
        CloseHandle(*handle);
    *handle = NULL;
}

static void close_end(struct end *end)
{
    DWORD moved;
    if (end->calling) {
        CancelIoEx(end->pipe, &end->call);
        GetOverlappedResult(end->pipe, &end->call, &moved, TRUE);
    }
    end->calling = false;
    close_handle(&end->pipe);
}

static bool make_pipe(struct end *end, bool input, HANDLE *its)
{
    SECURITY_ATTRIBUTES mine, inherited = {.nLength = sizeof inherited, .bInheritHandle = TRUE};
    uint8_t random[16];
    char hex[2 * sizeof random + 1];
    wchar_t name[64];
    randombytes_buf(random, sizeof random);
    swprintf(name, sizeof name / sizeof *name, L"\\\\.\\pipe\\kvpbus-serve-%hs",
             sodium_bin2hex(hex, sizeof hex, random, sizeof random));
    if (!kvpbus_private_attributes(false, &mine))
        return false;
    end->pipe = CreateNamedPipeW(name,
                                 (input ? PIPE_ACCESS_OUTBOUND : PIPE_ACCESS_INBOUND) |
                                     FILE_FLAG_OVERLAPPED | FILE_FLAG_FIRST_PIPE_INSTANCE,
                                 PIPE_TYPE_BYTE | PIPE_WAIT | PIPE_REJECT_REMOTE_CLIENTS, 1, PIECE,
                                 PIECE, 0, &mine);
    kvpbus_private_free(&mine);
    if (end->pipe == INVALID_HANDLE_VALUE) {
        end->pipe = NULL;
        return false;
    }
    *its = CreateFileW(name, input ? GENERIC_READ : GENERIC_WRITE, 0, &inherited, OPEN_EXISTING,
                       FILE_ATTRIBUTE_NORMAL, NULL);
    if (*its == INVALID_HANDLE_VALUE)
        *its = NULL;
    return *its != NULL;
}

static bool make_event(struct end *end)
{
    end->call.hEvent = CreateEventW(NULL, TRUE, FALSE, NULL);
    return end->call.hEvent != NULL;
}

// --- start ---

// It inherits these handles and no others.
static bool create(struct running *running, wchar_t *words, wchar_t *environment, HANDLE in,
                   HANDLE out)
{
    HANDLE error = GetStdHandle(STD_ERROR_HANDLE), inherited[3] = {in, out, error};
    DWORD count = error != NULL && error != INVALID_HANDLE_VALUE &&
                          SetHandleInformation(error, HANDLE_FLAG_INHERIT, HANDLE_FLAG_INHERIT)
                      ? 3
                      : 2;
    STARTUPINFOEXW start = {
        .StartupInfo = {.cb = sizeof start,
                        .dwFlags = STARTF_USESTDHANDLES,
                        .hStdInput = in,
                        .hStdOutput = out,
                        .hStdError = count == 3 ? error : NULL},
    };
    PROCESS_INFORMATION process;
    SIZE_T size = 0;
    InitializeProcThreadAttributeList(NULL, 1, 0, &size);
    start.lpAttributeList = malloc(size);
    wchar_t *application = serve_command_find(running->program->argv[0]);
    bool started = application != NULL && start.lpAttributeList != NULL &&
                   InitializeProcThreadAttributeList(start.lpAttributeList, 1, 0, &size);
    if (started) {
        started =
            UpdateProcThreadAttribute(start.lpAttributeList, 0, PROC_THREAD_ATTRIBUTE_HANDLE_LIST,
                                      inherited, count * sizeof *inherited, NULL, NULL) &&
            CreateProcessW(application, words, NULL, NULL, TRUE,
                           CREATE_SUSPENDED | CREATE_NEW_PROCESS_GROUP |
                               CREATE_UNICODE_ENVIRONMENT | EXTENDED_STARTUPINFO_PRESENT,
                           environment, NULL, &start.StartupInfo, &process);
        DWORD code = GetLastError();
        DeleteProcThreadAttributeList(start.lpAttributeList);
        SetLastError(code);
    }
    DWORD code = GetLastError();
    free(start.lpAttributeList);
    free(application);
    SetLastError(code);
    if (!started)
        return false;
    running->process = process.hProcess;
    running->group = process.dwProcessId;
    started = AssignProcessToJobObject(running->job, process.hProcess) &&
              ResumeThread(process.hThread) != (DWORD)-1;
    code = GetLastError();
    if (!started)
        TerminateProcess(process.hProcess, 1);
    CloseHandle(process.hThread);
    SetLastError(code);
    return started;
}

static DWORD start(struct running *running)
{
    HANDLE in = NULL, out = NULL;
    wchar_t *words = kvpbus_wide_line(running->program->argv);
    wchar_t *environment = serve_command_environment(running->program->environment);
    running->job = CreateJobObjectW(NULL, NULL);
    bool started = words != NULL && environment != NULL && running->job != NULL &&
                   make_event(&running->in) && make_event(&running->out) &&
                   make_pipe(&running->in, true, &in) && make_pipe(&running->out, false, &out) &&
                   create(running, words, environment, in, out);
    DWORD code = GetLastError();
    free(words);
    free(environment);
    close_handle(&in);
    close_handle(&out);
    if (started)
        return 0;
    return code != 0 ? code : ERROR_NOT_ENOUGH_MEMORY;
}

// --- run ---

static void end_it(struct running *running, enum serve_end why)
{
    if (running->kill_at != 0)
        return;
    running->result->end = why;
    running->kill_at = GetTickCount64() + GRACE;
    // Only what shares this console hears it; the rest ends with the job.
    if (!GenerateConsoleCtrlEvent(CTRL_BREAK_EVENT, running->group))
        TerminateJobObject(running->job, 1);
}

static void feed(struct running *running)
{
    const struct serve_program *program = running->program;
    struct end *in = &running->in;
    DWORD taken;
    while (in->pipe != NULL) {
        if (in->calling && !HasOverlappedIoCompleted(&in->call))
            return;
        // A program need not read what it is given.
        bool gone = in->calling && !GetOverlappedResult(in->pipe, &in->call, &taken, FALSE);
        in->calling = false;
        size_t left = program->input_length - running->written;
        if (gone || left == 0) {
            close_end(in);
            return;
        }
        in->length = left < PIECE ? (DWORD)left : PIECE;
        memcpy(in->bytes, program->input + running->written, in->length);
        running->written += in->length;
        ResetEvent(in->call.hEvent);
        in->calling = WriteFile(in->pipe, in->bytes, in->length, NULL, &in->call) ||
                      GetLastError() == ERROR_IO_PENDING;
        if (!in->calling)
            close_end(in);
    }
}

static void take(struct running *running, size_t length)
{
    if (running->kill_at != 0)
        return; // it is thrown away
    if (!serve_output_keep(running->result, &running->capacity, running->program->output_max,
                           running->out.bytes, length))
        end_it(running, SERVE_TOO_LARGE);
}

// Takes what one read got, and begins the next.
static void collect(struct running *running)
{
    struct end *out = &running->out;
    DWORD got;
    if (out->pipe == NULL || (out->calling && !HasOverlappedIoCompleted(&out->call)))
        return;
    if (out->calling && !GetOverlappedResult(out->pipe, &out->call, &got, FALSE)) {
        out->calling = false;
        close_end(out);
        return;
    }
    if (out->calling && got > 0)
        take(running, got);
    ResetEvent(out->call.hEvent);
    out->calling = ReadFile(out->pipe, out->bytes, PIECE, NULL, &out->call) ||
                   GetLastError() == ERROR_IO_PENDING;
    if (!out->calling)
        close_end(out);
}

static void look(struct running *running)
{
    DWORD code;
    if (WaitForSingleObject(running->process, 0) != WAIT_OBJECT_0)
        return;
    running->ended = true;
    GetExitCodeProcess(running->process, &code);
    running->result->status = (int)code;
    // What it wrote is in the pipe by now, which has room for one piece while another is read; what
    // its children do with that end is not waited for.
    for (int i = 0; i < PIECES_LEFT && running->out.pipe != NULL &&
                    WaitForSingleObject(running->out.call.hEvent, LOOK_SOON) == WAIT_OBJECT_0;
         i++)
        collect(running);
    if (running->kill_at != 0)
        TerminateJobObject(running->job, 1);
}

static void watch_time(struct running *running)
{
    const struct serve_program *program = running->program;
    ULONGLONG now = GetTickCount64();
    if (now >= running->deadline)
        end_it(running, SERVE_TIMED_OUT);
    if (running->kill_at != 0 && now >= running->kill_at)
        TerminateJobObject(running->job, 1);
    if (program->tick != NULL && now >= running->ticks_at) {
        running->ticks_at = now + program->tick_ms;
        if (!program->tick(program->context))
            end_it(running, SERVE_ABORTED);
    }
}

static void turn(struct running *running)
{
    HANDLE wait[4] = {running->process};
    DWORD count = 1;
    if (running->in.pipe != NULL)
        wait[count++] = running->in.call.hEvent;
    if (running->out.pipe != NULL)
        wait[count++] = running->out.call.hEvent;
    if (running->kill_at == 0 && running->program->stop != KVPBUS_NO_NOTICE)
        wait[count++] = running->program->stop;
    WaitForMultipleObjects(count, wait, FALSE, LOOK);
    feed(running);
    collect(running);
    if (running->program->stop != KVPBUS_NO_NOTICE &&
        WaitForSingleObject(running->program->stop, 0) == WAIT_OBJECT_0)
        end_it(running, SERVE_ABORTED);
    watch_time(running);
    look(running);
}

static void release(struct running *running)
{
    close_end(&running->in);
    close_end(&running->out);
    close_handle(&running->in.call.hEvent);
    close_handle(&running->out.call.hEvent);
    close_handle(&running->process);
    close_handle(&running->job);
    free(running);
}

void serve_program_run(const struct serve_program *program, struct serve_result *result)
{
    struct running *running = calloc(1, sizeof *running);
    *result = (struct serve_result){.end = SERVE_NOT_STARTED, .status = ERROR_NOT_ENOUGH_MEMORY};
    if (running == NULL)
        return;
    ULONGLONG now = GetTickCount64();
    running->program = program;
    running->result = result;
    running->deadline = now + program->timeout_ms;
    running->ticks_at = now + program->tick_ms;
    result->status = (int)start(running);
    if (result->status == 0) {
        result->end = SERVE_EXITED;
        feed(running);
        collect(running);
        while (!running->ended)
            turn(running);
    }
    release(running);
}
