// SPDX-License-Identifier: Apache-2.0
//
// kvpbus-bench: what kvpbus makes of the channel, beside what the channel can do. Everything that
// is compared is measured in one run and in turns: the machine's speed and load are the same for
// all.
#include <stdio.h>

#include "by_hand.h"
#include "figures.h"
#include "fleet.h"
#include "message.h"
#include "options.h"
#include "raw.h"
#include "report.h"
#include "world.h"

// Bytes of a packet in a full value, docs/protocol.md section 2.3.
enum { PAYLOAD = 724 };

static void add(struct bench_figures *figures, enum bench_row row, struct bench_figure figure)
{
    figures->rounds[row][figures->counts[row]++] = figure;
}

static struct bench_figure bare(double seconds, size_t items)
{
    return (struct bench_figure){
        .seconds = seconds,
        .bytes = (uint64_t)items * PAYLOAD,
        .items = items,
        .chars = (uint64_t)items * KVPBUS_VALUE_MAX,
    };
}

// One direction after the other: slots that the other one used stand for two seconds more, and each
// read would have to carry them.
static void measure(const struct bench_world *world, const struct bench_options *options,
                    struct bench_figures *figures)
{
    size_t items = (options->bytes + PAYLOAD - 1) / PAYLOAD;
    for (size_t i = 0; i < options->rounds; i++) {
        struct bench_figure sets = bare(bench_bare_sets(world, items), items);
        sets.calls = bench_bare_calls(items);
        add(figures, BENCH_SETS, sets);
        add(figures, BENCH_TO_GUEST, bench_message(world, true, options->bytes));
    }
    for (size_t i = 0; options->to_host && i < options->rounds; i++) {
        struct bench_figure reads = bare(bench_bare_reads(world, items), items);
        reads.reads = bench_bare_calls(items);
        add(figures, BENCH_READS, reads);
        add(figures, BENCH_TO_HOST, bench_message(world, false, options->bytes));
    }
    if (options->by_hand)
        add(figures, BENCH_BY_HAND, bench_by_hand(world, options->bytes));
}

int main(int argc, char **argv)
{
    static struct bench_world world;
    static struct bench_figures figures;
    struct bench_options options;
    int code = bench_options(argc, argv, &options);
    if (code >= 0)
        return code;
    if (options.vms > 0)
        return options.hostile ? bench_hostile(&options) : bench_fleets(&options);
    bench_world_start(&world, options.build);
    measure(&world, &options, &figures);
    bench_world_stop(&world);
    if (!bench_report(&figures, options.json))
        bench_die("cannot write the figures");
    double ratio = bench_ratio(&figures, BENCH_TO_GUEST, BENCH_SETS);
    if (ratio >= options.check)
        return 0;
    fprintf(stderr, "kvpbus-bench: %.3f of the bare daemon is less than %.3f\n", ratio,
            options.check);
    return 1;
}
