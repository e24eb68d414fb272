// SPDX-License-Identifier: Apache-2.0
//
// The files that are delivered for Windows, as their headers and bytes tell of them: what Windows
// is asked to protect, what they load, what they say that they are. Nothing is run.
#include <criterion/criterion.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "version.h"

#define STAGE KVPBUS_WINDOWS_BUILD "/packaging/windows/stage/"

static const struct file {
    const char *name;
    uint32_t type;
} files[] = {
    {"kvpbus-host.exe", 1}, // VFT_APP
    {"kvpbus-guest.exe", 1},
    {"kvpbus.exe", 1},
    {"kvpbus-setup.dll", 2}, // VFT_DLL
};

enum { FILES = sizeof files / sizeof *files, BYTES_MAX = 16 * 1024 * 1024 };

// Of what objdump tells of a file's headers, the lines with one of the words.
static const char *headers(const char *name, const char *words)
{
    static char said[16 * 1024];
    char line[600];
    snprintf(line, sizeof line, "x86_64-w64-mingw32-objdump -p '" STAGE "%s' | grep -E '%s'", name,
             words);
    FILE *pipe = popen(line, "r"); // NOLINT(cert-env33-c): the words are the test's own
    cr_assert_not_null(pipe);
    size_t length = fread(said, 1, sizeof said - 1, pipe);
    said[length] = '\0';
    cr_assert_eq(pclose(pipe), 0, "%s: %s", name, said);
    return said;
}

Test(windows_files, ask_for_random_addresses_and_no_executable_data)
{
    static const char *const flags[] = {"HIGH_ENTROPY_VA", "DYNAMIC_BASE", "NX_COMPAT"};
    for (size_t i = 0; i < FILES; i++) {
        const char *said = headers(files[i].name, "HIGH_ENTROPY_VA|DYNAMIC_BASE|NX_COMPAT|Entry 5");
        for (size_t flag = 0; flag < sizeof flags / sizeof *flags; flag++)
            cr_assert_not_null(strstr(said, flags[flag]), "%s has no %s", files[i].name,
                               flags[flag]);
        // Without the table of what is to be moved Windows moves nothing.
        unsigned long address = 0, size = 0;
        const char *relocations = strstr(said, "Entry 5 ");
        cr_assert_not_null(relocations);
        cr_assert_eq(sscanf(relocations, "Entry 5 %16lx %8lx Base Relocation", &address, &size), 2);
        cr_assert(address != 0 && size != 0, "%s cannot be moved", files[i].name);
    }
}

// Of Windows' own the "known DLLs": those that are loaded from System32 whatever lies beside the
// program.
static bool is_known(const char *library)
{
    static const char *const known[] = {"ADVAPI32.dll", "KERNEL32.dll", "OLEAUT32.dll",
                                        "SHELL32.dll",  "USER32.dll",   "WS2_32.dll",
                                        "msvcrt.dll",   "ole32.dll"};
    for (size_t i = 0; i < sizeof known / sizeof *known; i++)
        if (strcmp(library, known[i]) == 0)
            return true;
    return false;
}

Test(windows_files, load_nothing_at_the_start_but_what_comes_from_system32)
{
    for (size_t i = 0; i < FILES; i++) {
        const char *said = headers(files[i].name, "DLL Name:");
        bool of_installer = strcmp(files[i].name, "kvpbus-setup.dll") == 0;
        unsigned count = 0;
        for (const char *at = said; (at = strstr(at, "DLL Name: ")) != NULL; count++) {
            char library[100] = "";
            at += strlen("DLL Name: ");
            cr_assert_eq(sscanf(at, "%99s", library), 1);
            // Windows Installer has its own one when it loads that library.
            if (of_installer && strcmp(library, "msi.dll") == 0)
                continue;
            cr_assert(is_known(library), "%s loads %s", files[i].name, library);
        }
        cr_assert_gt(count, 2, "%s: %s", files[i].name, said);
    }
}

static size_t read_bytes(const char *name, unsigned char *bytes)
{
    char path[600];
    snprintf(path, sizeof path, STAGE "%s", name);
    FILE *file = fopen(path, "rb");
    cr_assert_not_null(file, "%s", path);
    size_t length = fread(bytes, 1, BYTES_MAX, file);
    cr_assert_lt(length, BYTES_MAX);
    fclose(file);
    return length;
}

// As a resource has text, in UTF-16, with its NUL.
static size_t wide(const char *text, unsigned char *bytes)
{
    size_t length = strlen(text) + 1;
    for (size_t i = 0; i < length; i++) {
        bytes[2 * i] = (unsigned char)text[i];
        bytes[2 * i + 1] = 0;
    }
    return 2 * length;
}

// That the version's text is behind its name, at the next multiple of four.
static void has_string(const struct file *file, const unsigned char *bytes, size_t length,
                       const char *name, const char *value)
{
    unsigned char key[100], text[100];
    size_t key_length = wide(name, key), text_length = wide(value, text);
    const unsigned char *at = memmem(bytes, length, key, key_length);
    cr_assert_not_null(at, "%s has no %s", file->name, name);
    const unsigned char *end = bytes + length;
    at += key_length;
    for (int padding = 0; padding < 2 && at + 2 <= end && at[0] == 0 && at[1] == 0; padding++)
        at += 2;
    cr_assert(at + text_length <= end && memcmp(at, text, text_length) == 0,
              "%s has another %s than '%s'", file->name, name, value);
}

static uint32_t number_at(const unsigned char *bytes)
{
    return (uint32_t)bytes[0] | (uint32_t)bytes[1] << 8 | (uint32_t)bytes[2] << 16 |
           (uint32_t)bytes[3] << 24;
}

// VS_FIXEDFILEINFO: signature, its version, four numbers of file and product, mask, flags, system,
// type.
static void has_numbers(const struct file *file, const unsigned char *bytes, size_t length)
{
    static const unsigned char signature[] = {0xbd, 0x04, 0xef, 0xfe, 0x00, 0x00, 0x01, 0x00};
    unsigned major, minor, patch;
    cr_assert_eq(sscanf(KVPBUS_VERSION, "%u.%u.%u", &major, &minor, &patch), 3);
    const unsigned char *at = memmem(bytes, length, signature, sizeof signature);
    cr_assert(at != NULL && at + 40 <= bytes + length, "%s has no version", file->name);
    for (size_t of = 8; of <= 16; of += 8) {
        cr_assert_eq(number_at(at + of), major << 16 | minor, "%s", file->name);
        cr_assert_eq(number_at(at + of + 4), patch << 16, "%s", file->name);
    }
    cr_assert_eq(number_at(at + 36), file->type, "%s", file->name);
}

Test(windows_files, have_the_version_and_name_no_manual_page)
{
    static const char *const pages[] = {"kvpbus(1)", "kvpbus.conf(5)", "kvpbus-host(8)",
                                        "kvpbus-guest(8)"};
    unsigned char *bytes = malloc(BYTES_MAX);
    cr_assert_not_null(bytes);
    for (size_t i = 0; i < FILES; i++) {
        size_t length = read_bytes(files[i].name, bytes);
        has_numbers(&files[i], bytes, length);
        has_string(&files[i], bytes, length, "FileVersion", KVPBUS_VERSION);
        has_string(&files[i], bytes, length, "ProductVersion", KVPBUS_VERSION);
        has_string(&files[i], bytes, length, "OriginalFilename", files[i].name);
        // Of Linux, where there are man pages.
        for (size_t page = 0; page < sizeof pages / sizeof *pages; page++)
            cr_assert_null(memmem(bytes, length, pages[page], strlen(pages[page])), "%s names %s",
                           files[i].name, pages[page]);
    }
    free(bytes);
}
