// SPDX-License-Identifier: Apache-2.0
#include "report.h"

#include <inttypes.h>
#include <jansson.h>
#include <stdio.h>

static const struct {
    const char *name, *text;
    enum bench_row base; // what its ratio is to
} rows[BENCH_ROWS] = {
    [BENCH_SETS] = {"bare_sets", "bare SETs of full values", BENCH_SETS},
    [BENCH_TO_GUEST] = {"to_guest", "message to the guest", BENCH_SETS},
    [BENCH_READS] = {"bare_reads", "bare reads of full values", BENCH_READS},
    [BENCH_TO_HOST] = {"to_host", "message to the host", BENCH_READS},
    [BENCH_BY_HAND] = {"by_hand", "scripts, polls of 500 ms", BENCH_SETS},
};

static double share(const struct bench_figure *figure)
{
    return figure->chars > 0 ? (double)figure->bytes / (double)figure->chars : 0;
}

static json_t *row_json(const struct bench_figures *figures, enum bench_row row)
{
    const struct bench_figure *median = bench_median(figures, row);
    json_t *rounds = json_array();
    for (size_t i = 0; i < figures->counts[row]; i++)
        json_array_append_new(rounds, json_real(bench_rate(&figures->rounds[row][i])));
    return json_pack("{s:f, s:f, s:I, s:I, s:I, s:I, s:f, s:o}", "bytes_per_second",
                     bench_rate(median), "ratio", bench_ratio(figures, row, rows[row].base),
                     "bytes", (json_int_t)median->bytes, "items", (json_int_t)median->items,
                     "calls", (json_int_t)median->calls, "reads", (json_int_t)median->reads,
                     "payload_share", share(median), "rounds", rounds);
}

static void print_json(const struct bench_figures *figures)
{
    json_t *all = json_object();
    for (int row = 0; row < BENCH_ROWS; row++)
        if (figures->counts[row] > 0)
            json_object_set_new(all, rows[row].name, row_json(figures, (enum bench_row)row));
    json_dumpf(all, stdout, JSON_INDENT(2) | JSON_REAL_PRECISION(6));
    json_decref(all);
    putchar('\n');
}

static void print_table(const struct bench_figures *figures)
{
    printf("%-26s %7s %10s %7s %7s %7s %7s %7s\n", "", "rounds", "KiB/s", "ratio", "items", "calls",
           "reads", "payload");
    for (int row = 0; row < BENCH_ROWS; row++) {
        const struct bench_figure *median = bench_median(figures, (enum bench_row)row);
        if (median == NULL)
            continue;
        printf("%-26s %7zu %10.1f %7.2f %7" PRIu64 " %7" PRIu64 " %7" PRIu64 " %7.3f\n",
               rows[row].text, figures->counts[row], bench_rate(median) / 1024,
               bench_ratio(figures, (enum bench_row)row, rows[row].base), median->items,
               median->calls, median->reads, share(median));
    }
}

bool bench_report(const struct bench_figures *figures, bool json)
{
    if (json)
        print_json(figures);
    else
        print_table(figures);
    return fflush(stdout) == 0 && !ferror(stdout);
}
