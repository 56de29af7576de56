// Backpropagation: the walk turned round, step by step; then per chunk the large products, dx and the weights' gradients.
#pragma once

#include "machine.h"

namespace carousel::CAROUSEL_ISA {

template <class T> struct Backward {
    Machine<T> machine;
    const CarouselScan& scan;
    int64_t input_blocks;
    T* input_panels;            // [block of inputs][gate * unit][BLOCK]: the input matrix as it stands
    Pair* input_pairs;          // the same in bfloat16, one or the other
    Segment<T>* input_rows;     // per thread: the gates' gradients as one long row
    int64_t input_segments;
    T** sums;                   // per weight gradient: [block][source unit, and one for the bias][BLOCK]
    T** packed;                 // per weight gradient: its source rows, [group of 6 units][row][6]; shared by neighbours;
                                // in bfloat16 [group of 6 units][pair of rows][6]

    Backward(const CarouselScan& scan, Arena& arena) : machine(scan, arena, true), scan(scan) {
        const CarouselPlan& plan = machine.plan;
        input_blocks = (scan.input + BLOCK<T> - 1) / BLOCK<T>;
        const int64_t wide = scan.grad_x ? input_blocks * BLOCK<T> * plan.inputs_count : 0;
        input_panels = arena.take<T>(machine.in_pairs ? 0 : wide * machine.units[HIDDEN]);
        input_pairs = arena.take<Pair>(machine.in_pairs ? wide * pairs_of(machine.units[HIDDEN]) : 0);
        input_segments = plan.inputs_count * machine.blocks[HIDDEN];
        input_rows = arena.take<Segment<T>>(input_segments * machine.threads);
        sums = arena.take<T*>(plan.weight_gradients_count);
        packed = arena.take<T*>(plan.weight_gradients_count);
        for (int64_t i = 0; i < plan.weight_gradients_count; ++i) {
            const CarouselWeightGradient& g = plan.weight_gradients[i];
            T* sum = arena.take<T>(wanted(g) ? machine.blocks[g.size] * (source_units(g) + 1) * BLOCK<T> : 0);
            T* source = i > 0 && plan.weight_gradients[i - 1].source == g.source
                            ? nullptr
                            : arena.take<T>(groups(g) * TILE_ROWS * (machine.chunk_rows + 1));
            if (!arena.counting()) sums[i] = sum, packed[i] = source ? source : packed[i - 1];
        }
    }

    int64_t source_units(const CarouselWeightGradient& g) const {
        return g.source < 0 ? scan.input : machine.units[g.source_size];
    }

    // A row of ones under the source's units makes the bias's gradient fall out of the same product.
    int64_t groups(const CarouselWeightGradient& g) const { return (source_units(g) + 1 + TILE_ROWS - 1) / TILE_ROWS; }

    bool wanted(const CarouselWeightGradient& g) const {
        return scan.grad_parameters[g.parameter] || (g.bias_parameter >= 0 && scan.grad_parameters[g.bias_parameter]);
    }

    void run(int thread, int threads, Barrier& barrier) {
        const Worker<T> w = machine.worker(thread, threads);
        prepare(w);
        barrier.wait();
        for (Chunk c{}; c.end < machine.walk.steps;) {
            c = next_chunk(machine.walk, c.end, machine.chunk_rows);
            if (machine.plan.before) {
                machine.run_before(w, c);
                barrier.wait();
            }
            for (int64_t k = c.begin; k < c.end; ++k) {
                const Step s = machine.walk.step(k);
                machine.run_step(w, s, c, barrier);
                machine.take_leaving(w, s, c, scan.grad_first);
            }
            barrier.wait();
            if (machine.plan.after) {
                machine.run_after(w, c);
                barrier.wait();
            }
            multiply_inputs(w, c);
            pack_sources(w, c);
            barrier.wait();
            add_weight_gradients(w, c);
            barrier.wait();
        }
        write_weight_gradients(w);
        barrier.wait();
        if (thread == 0) write_vector_gradients(threads);
    }

    void prepare(const Worker<T>& w) {
        machine.prepare(w);
        machine.prepare_states(w, true);
        const CarouselPlan& plan = machine.plan;
        const int64_t hidden = machine.units[HIDDEN], depth = plan.inputs_count * hidden;
        if (scan.grad_x) {
            const Range mine = share(input_blocks, w.thread, w.threads);
            for (int64_t b = mine.begin; b < mine.end; ++b)
                for (int64_t i = 0; i < plan.inputs_count; ++i) {
                    T* panel = machine.in_pairs ? w.panel : input_panels + (b * depth + i * hidden) * BLOCK<T>;
                    pack_panel(machine.parameter(0, plan.inputs[i].gate, hidden, scan.input), scan.input, hidden, b * BLOCK<T>,
                               input_columns(b), false, panel);
                    if (machine.in_pairs)
                        machine.to_pairs(panel, hidden, input_pairs + (b * plan.inputs_count + i) * pairs_of(hidden) * BLOCK<T>);
                }
        }
        for (int64_t i = 0; i < plan.weight_gradients_count; ++i) {
            const CarouselWeightGradient& g = plan.weight_gradients[i];
            if (!wanted(g)) continue;
            const Range mine = share(machine.blocks[g.size] * (source_units(g) + 1) * BLOCK<T>, w.thread, w.threads);
            for (int64_t u = mine.begin; u < mine.end; ++u) sums[i][u] = 0;
        }
    }

    int input_columns(int64_t block) const {
        const int64_t left = scan.input - block * BLOCK<T>;
        return int(left < BLOCK<T> ? left : BLOCK<T>);
    }

    // dx = the sum over gates of (gradient of its input part) W.
    void multiply_inputs(const Worker<T>& w, const Chunk& c) const {
        if (!scan.grad_x) return;
        const CarouselPlan& plan = machine.plan;
        Segment<T>* segments = input_rows + w.thread * input_segments;
        int count = 0;
        for (int64_t i = 0; i < plan.inputs_count; ++i)
            count += machine.add_segments(segments + count, machine.buffers[plan.inputs[i].buffer], true, machine.units[HIDDEN]);
        const Range rows = share(c.rows, w.thread, w.threads, TILE_ROWS);
        T* dx = static_cast<T*>(scan.grad_x) + c.first_row * scan.input;
        if constexpr (PAIRS<T>)
            if (machine.in_pairs) {
                const int64_t each = pairs_of(machine.units[HIDDEN]), depth = plan.inputs_count * each;
                for (int64_t i = 0; i < plan.inputs_count; ++i)
                    machine.pair_rows(machine.buffers[plan.inputs[i].buffer], true, rows, machine.units[HIDDEN], w.pairs + i * each, depth);
                for (int64_t b = 0; b < input_blocks; ++b)
                    multiply_pairs(w.pairs, depth, rows.size(), input_pairs + b * depth * BLOCK<T>,
                                   dx + rows.begin * scan.input + b * BLOCK<T>, scan.input, input_columns(b), Start<T>{nullptr, 0});
                return;
            }
        const int64_t depth = plan.inputs_count * machine.units[HIDDEN];
        for (int64_t b = 0; b < input_blocks; ++b)
            multiply(segments, count, rows.begin, rows.end, input_panels + b * depth * BLOCK<T>, dx + b * BLOCK<T>, scan.input,
                     input_columns(b), Start<T>{nullptr, 0});
    }

    // The rows that products read, turned so that six units of one row lie together.
    void pack_sources(const Worker<T>& w, const Chunk& c) const {
        const CarouselPlan& plan = machine.plan;
        const Range mine = share(c.rows, w.thread, w.threads, 2);
        for (int64_t i = 0; i < plan.weight_gradients_count; ++i) {
            const CarouselWeightGradient& g = plan.weight_gradients[i];
            if (i > 0 && packed[i] == packed[i - 1]) continue;
            if (g.source < 0) {
                const Ref<T> x{static_cast<T*>(const_cast<void*>(scan.x)) + c.first_row * scan.input, BLOCK<T>, scan.input};
                pack_rows(w, i, x, 0, mine, c.rows);
                continue;
            }
            for (int64_t k = c.begin; k < c.end; ++k) {
                const Step s = machine.walk.step(k);
                const int64_t base = s.offset - c.first_row;  // of the step's rows in the chunk
                for (int64_t row = 0; row < s.rows;) {
                    const int64_t end = row < s.going_on ? s.going_on : s.rows;
                    const Ref<T> from = machine.find(plan.views[g.source], s, c, row);
                    pack_rows(w, i, from, -base, overlap({base + row, base + end}, mine), c.rows);
                    row = end;
                }
            }
        }
    }

    // Rows n of the chunk, which are rows n + shift of `from`.
    void pack_rows(const Worker<T>& w, int64_t i, Ref<T> from, int64_t shift, Range rows, int64_t chunk_rows) const {
        const CarouselWeightGradient& g = machine.plan.weight_gradients[i];
        const int64_t units = source_units(g);
        if (machine.in_pairs) return pack_paired_rows(w, i, from, shift, rows, chunk_rows);
        for (int64_t n = rows.begin; n < rows.end; ++n) {
            T* to = packed[i] + n * TILE_ROWS;
            for (int64_t b = 0, u = 0; u < units; ++b) {
                const T* row = from.at + (n + shift) * from.row + b * from.block;
                const int64_t end = u + BLOCK<T> < units ? u + BLOCK<T> : units;
                for (; u < end; ++u) to[u / TILE_ROWS * chunk_rows * TILE_ROWS + u % TILE_ROWS] = row[u - b * BLOCK<T>];
            }
            to[units / TILE_ROWS * chunk_rows * TILE_ROWS + units % TILE_ROWS] = 1;
        }
    }

    void pack_paired_rows(const Worker<T>& w, int64_t i, Ref<T> from, int64_t shift, Range rows, int64_t chunk_rows) const {
        const int64_t units = source_units(machine.plan.weight_gradients[i]), pairs = pairs_of(chunk_rows);
        uint16_t* row = reinterpret_cast<uint16_t*>(w.pairs);
        for (int64_t n = rows.begin; n < rows.end; ++n) {
            machine.pair_rows(from, true, {n + shift, n + shift + 1}, units, w.pairs, 0);
            row[units] = 0x3f80;  // 1
            uint16_t* to = reinterpret_cast<uint16_t*>(packed[i]) + n / 2 * TILE_ROWS * 2 + n % 2;
            const bool single = n + 1 == chunk_rows && n % 2 == 0;  // the last row has no other to pair with
            for (int64_t u = 0; u <= units; to += pairs * TILE_ROWS * 2)
                for (int64_t j = 0; j < TILE_ROWS && u <= units; ++j, ++u) {
                    to[2 * j] = row[u];
                    if (single) to[2 * j + 1] = 0;
                }
        }
    }

    // dW^T += (source rows)^T (gradient rows), over the rows of the chunk: one panel of gradients at a time.
    void add_weight_gradients(const Worker<T>& w, const Chunk& c) const {
        const CarouselPlan& plan = machine.plan;
        int64_t total = 0, seen = 0;
        for (int64_t i = 0; i < plan.weight_gradients_count; ++i)
            if (wanted(plan.weight_gradients[i])) total += machine.blocks[plan.weight_gradients[i].size] * groups(plan.weight_gradients[i]);
        const Range mine = share(total, w.thread, w.threads);
        for (int64_t i = 0; i < plan.weight_gradients_count; ++i) {
            const CarouselWeightGradient& g = plan.weight_gradients[i];
            if (!wanted(g)) continue;
            const int64_t in_block = groups(g), units = source_units(g) + 1;
            const Ref<T> gradient = machine.buffers[g.gradient];
            for (int64_t b = 0; b < machine.blocks[g.size]; ++b, seen += in_block) {
                const Range part = overlap(mine, {seen, seen + in_block});
                T* sum = sums[i] + b * units * BLOCK<T>;
                if constexpr (PAIRS<T>)
                    if (machine.in_pairs && part.size() > 0) {
                        pair_panel(gradient.at + b * gradient.block, c.rows, w.paired);
                        const int64_t pairs = pairs_of(c.rows);
                        const Pair* left = reinterpret_cast<const Pair*>(packed[i]);
                        for (int64_t q = part.begin - seen; q < part.end - seen; ++q) {
                            const Segment<Pair> source{left + q * pairs * TILE_ROWS, 1, TILE_ROWS, int(pairs)};
                            const int64_t u = q * TILE_ROWS;
                            T* at = sum + u * BLOCK<T>;
                            tile_of<T>(int(units - u < TILE_ROWS ? units - u : TILE_ROWS), &source, 1, 0, w.paired, at, BLOCK<T>,
                                       Start<T>{at, BLOCK<T>});
                        }
                        continue;
                    }
                for (int64_t n = 0; n < c.rows && part.size() > 0; n += DEPTH) {
                    const int deep = int(c.rows - n < DEPTH ? c.rows - n : DEPTH);
                    const T* panel = gradient.at + b * gradient.block + n * BLOCK<T>;
                    for (int64_t q = part.begin - seen; q < part.end - seen; ++q) {
                        const Segment<T> source{packed[i] + (q * c.rows + n) * TILE_ROWS, 1, TILE_ROWS, deep};
                        const int64_t u = q * TILE_ROWS;
                        T* at = sum + u * BLOCK<T>;
                        tile_of<T>(int(units - u < TILE_ROWS ? units - u : TILE_ROWS), &source, 1, 0, panel, at, BLOCK<T>,
                                   Start<T>{at, BLOCK<T>});
                    }
                }
            }
        }
    }

    // From [block][source unit][unit of the block] to the parameter's rows; several products may share one parameter.
    void write_weight_gradients(const Worker<T>& w) const {
        const CarouselPlan& plan = machine.plan;
        for (int64_t i = 0; i < plan.weight_gradients_count; ++i) {
            const CarouselWeightGradient& g = plan.weight_gradients[i];
            if (!wanted(g)) continue;
            const int64_t deep = source_units(g), rows = machine.units[g.size];
            const int64_t first = g.gate < 0 ? 0 : g.gate * rows;
            const Range mine = share(rows, w.thread, w.threads);
            T* weight = static_cast<T*>(scan.grad_parameters[g.parameter]);
            T* bias = g.bias_parameter < 0 ? nullptr : static_cast<T*>(scan.grad_parameters[g.bias_parameter]);
            for (int64_t j = mine.begin; j < mine.end; ++j) {
                const T* from = sums[i] + j / BLOCK<T> * (deep + 1) * BLOCK<T> + j % BLOCK<T>;
                if (weight)
                    for (int64_t k = 0; k < deep; ++k) weight[(first + j) * deep + k] += from[k * BLOCK<T>];
                if (bias) bias[first + j] += from[deep * BLOCK<T>];
            }
        }
    }

    // Each thread has summed its own rows or units; together, in the order of threads.
    void write_vector_gradients(int threads) const {
        const CarouselPlan& plan = machine.plan;
        const int64_t hidden = machine.units[HIDDEN], padded = machine.blocks[HIDDEN] * BLOCK<T>;
        for (int64_t i = 0; i < plan.column_sums_count; ++i) {
            const CarouselVector& v = plan.column_sums[i];
            T* to = static_cast<T*>(scan.grad_parameters[v.parameter]);
            if (!to) continue;
            if (v.gate > 0) to += v.gate * hidden;
            for (int t = 0; t < threads; ++t)
                for (int64_t u = 0; u < hidden; ++u) to[u] += machine.workers[t].column_sums[i * padded + u];
        }
    }
};

}  // namespace
