// SPDX-License-Identifier: Apache-2.0
#ifndef KVPBUS_BENCH_REPORT_H
#define KVPBUS_BENCH_REPORT_H

#include <stdbool.h>

#include "figures.h"

// Prints the medians and ratios, for people or as JSON. False: standard output cannot be written.
bool bench_report(const struct bench_figures *figures, bool json);

#endif
