// SPDX-License-Identifier: Apache-2.0
//
// A WMI in this process that says whatever a check wants, of any type, fails at any call and hangs
// where it is told to. It is found under CLSID_WbemLocator in the multi-threaded apartment.
#ifndef KVPBUS_TESTS_FAKE_WMI_H
#define KVPBUS_TESTS_FAKE_WMI_H

#define COBJMACROS
#include <windows.h>

#include <oleauto.h>
#include <stdbool.h>
#include <stddef.h>
#include <wbemcli.h>

enum { FAKE_ROWS_MAX = 256, FAKE_PROPERTIES_MAX = 8, FAKE_STATES_MAX = 8, FAKE_TEXT_MAX = 2048 };

struct fake_property {
    wchar_t name[40];
    VARIANT value;
};

// What a query gives as one row, or GetObject as an object.
struct fake_row {
    struct fake_property properties[FAKE_PROPERTIES_MAX];
    size_t count;
};

struct fake_rows {
    struct fake_row rows[FAKE_ROWS_MAX];
    size_t count;
};

struct fake_wmi {
    // By class.
    struct fake_rows systems, settings, components, service;
    // So many rows of checkpoints come before `settings`.
    size_t checkpoints;
    struct fake_row checkpoint;
    // Of a call of a method.
    struct fake_row outcome;
    // Of its job: the states that it shows one after the other, the last for ever; 0 is null.
    int states[FAKE_STATES_MAX];
    size_t state_count;
    struct fake_row job;
    bool job_missing, vm_missing;
    bool pending; // the outcome never comes

    // The call, counted from 1, that fails, and as what; 0: none.
    long fails_at;
    long fails_every; // or each so many; 0: none
    HRESULT fails_as;
    // Whoever asks for one of these waits for `release`. NULL: nobody does.
    HANDLE query_hangs, object_hangs;

    volatile LONG calls, live, connections, queries, executed;
    volatile LONG looks; // at the job of the last call
    char last_query[FAKE_TEXT_MAX];
    wchar_t last_method[64];
    long last_items;        // elements of DataItems
    wchar_t last_item[512]; // the first of them
    wchar_t last_target[256];
};

extern struct fake_wmi fake;

// Begins with a host of `count` running VMs, each with one item of ours, whose calls succeed by way
// of a job. The ids are 00000000-0000-0000-0000-0000000000NN.
void fake_wmi_begin(size_t count);
// Forgets the rows.
void fake_wmi_end(void);

void fake_row_text(struct fake_row *row, const wchar_t *name, const wchar_t *text);
void fake_row_number(struct fake_row *row, const wchar_t *name, LONG number);
void fake_row_texts(struct fake_row *row, const wchar_t *name, const wchar_t *const *texts,
                    size_t count);
// Takes the value over; replaces a property that is there.
void fake_row_set(struct fake_row *row, const wchar_t *name, const VARIANT *value);

#endif
