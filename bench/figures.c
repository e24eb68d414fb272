// SPDX-License-Identifier: Apache-2.0
#include "figures.h"

double bench_rate(const struct bench_figure *figure)
{
    return figure->seconds > 0 ? (double)figure->bytes / figure->seconds : 0;
}

// The one with as many faster as slower ones; of an even number the slower of the middle two.
const struct bench_figure *bench_median(const struct bench_figures *figures, enum bench_row row)
{
    const struct bench_figure *rounds = figures->rounds[row];
    size_t count = figures->counts[row];
    for (size_t i = 0; i < count; i++) {
        size_t slower = 0;
        double mine = bench_rate(&rounds[i]);
        for (size_t j = 0; j < count; j++) {
            double other = bench_rate(&rounds[j]);
            slower += other < mine || (j < i && other <= mine);
        }
        if (slower == (count - 1) / 2)
            return &rounds[i];
    }
    return NULL;
}

double bench_ratio(const struct bench_figures *figures, enum bench_row row, enum bench_row base)
{
    const struct bench_figure *a = bench_median(figures, row), *b = bench_median(figures, base);
    return a == NULL || b == NULL || bench_rate(b) <= 0 ? 0 : bench_rate(a) / bench_rate(b);
}
