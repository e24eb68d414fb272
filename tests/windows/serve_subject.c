// SPDX-License-Identifier: Apache-2.0
//
// What kvpbus serve runs in a test of it:
//   serve_subject.exe tell         says who asks, of what topic, and what; ends with 3
//   serve_subject.exe hold FILE    makes the file, starts `rest`, says "let go" when the file is
//   gone serve_subject.exe rest FILE    a program of that program: goes on until the file is gone
#include <fcntl.h>
#include <io.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <windows.h>

enum { LOOK = 50 }; // ms

static int tell_request(void)
{
    int byte;
    _setmode(0, _O_BINARY);
    _setmode(1, _O_BINARY);
    printf("%s %s ", getenv("KVPBUS_PEER"), getenv("KVPBUS_TOPIC"));
    while ((byte = getchar()) != EOF)
        putchar(byte);
    return 3;
}

static int rest(const char *path)
{
    while (GetFileAttributesA(path) != INVALID_FILE_ATTRIBUTES)
        Sleep(LOOK);
    return 0;
}

static int hold(const char *program, const char *path)
{
    char line[600];
    STARTUPINFOA start = {.cb = sizeof start};
    PROCESS_INFORMATION process;
    snprintf(line, sizeof line, "\"%s\" rest \"%s\"", program, path);
    FILE *file = fopen(path, "w");
    if (file == NULL || fclose(file) != 0 ||
        !CreateProcessA(NULL, line, NULL, NULL, FALSE, 0, NULL, NULL, &start, &process))
        return 4;
    CloseHandle(process.hThread);
    CloseHandle(process.hProcess);
    rest(path);
    puts("let go");
    return 0;
}

int main(int argc, char **argv)
{
    if (argc == 2 && strcmp(argv[1], "tell") == 0)
        return tell_request();
    if (argc == 3 && strcmp(argv[1], "hold") == 0)
        return hold(argv[0], argv[2]);
    if (argc == 3 && strcmp(argv[1], "rest") == 0)
        return rest(argv[2]);
    return 2;
}
