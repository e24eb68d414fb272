// SPDX-License-Identifier: Apache-2.0
//
// What was measured.
#ifndef KVPBUS_BENCH_FIGURES_H
#define KVPBUS_BENCH_FIGURES_H

#include <stddef.h>
#include <stdint.h>

enum { BENCH_ROUNDS_MAX = 99 };

enum bench_row {
    BENCH_SETS,     // bare SETs of full values
    BENCH_TO_GUEST, // a message, from send to delivered
    BENCH_READS,    // bare reads of full values
    BENCH_TO_HOST,
    BENCH_BY_HAND, // as scripts do it
    BENCH_ROWS,
};

// Bytes of payload, items and calls of one measurement.
struct bench_figure {
    double seconds;
    uint64_t bytes;
    uint64_t items; // written for it, registers included
    uint64_t chars; // of their values
    uint64_t calls; // Add, Modify and Remove
    uint64_t reads; // of the guest's items by the host
};

struct bench_figures {
    struct bench_figure rounds[BENCH_ROWS][BENCH_ROUNDS_MAX];
    size_t counts[BENCH_ROWS];
};

// Bytes per second.
double bench_rate(const struct bench_figure *figure);
// The measurement with the median rate; NULL: nothing was measured.
const struct bench_figure *bench_median(const struct bench_figures *figures, enum bench_row row);
// Median of `row` by median of `base`; 0: one of them was not measured.
double bench_ratio(const struct bench_figures *figures, enum bench_row row, enum bench_row base);

#endif
