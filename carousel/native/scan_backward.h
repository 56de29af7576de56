// Backpropagation: the walk turned round, step by step; then per chunk the large products, dx and the weights' gradients.
#pragma once

#include "machine.h"

namespace carousel::CAROUSEL_ISA {

template <class T> struct Backward {
    Machine<T> machine;
    const CarouselPlan& plan;
    const CarouselScan& scan;
    Factor<T> input;     // the input matrix as it stands: its gates' rows one below another
    // Per weight gradient: [block][source unit, and one for the bias][BLOCK]. A scan of one chunk needs no sums over chunks:
    // then a thread has one block at a time, which stays in L1.
    T** sums;
    bool one_chunk;
    enum Begun : int8_t { NOTHING, BIASES, ALL };  // of the sums of a weight gradient; what has not begun is in any state
    Begun* begun;        // per thread and weight gradient
    Turned<T>* sources;  // per weight gradient; neighbours share one
    T* nothing;          // the input of a row that has none

    Backward(const CarouselScan& scan, Arena& arena) : machine(scan, arena, true), plan(*scan.plan), scan(scan) {
        const Layout<T>& layout = machine.layout;
        input = Factor<T>::in(arena, layout.format, scan.grad_x ? blocks_of<T>(scan.input) : 0,
                              layout.inputs_read() * length_of<T>(layout.format, layout.units[HIDDEN]), int(layout.inputs_read()), layout.at_once);
        for (int64_t i = 0; i < layout.inputs_read() && !arena.counting(); ++i)
            input.parts[i] = {layout.parameter(0, plan.inputs[i].gate, layout.units[HIDDEN], scan.input), scan.input, layout.units[HIDDEN],
                              scan.input, false};
        one_chunk = layout.chunk_rows == scan.rows && !scan.first_edge;
        sums = arena.take<T*>(one_chunk ? layout.threads : plan.weight_gradients_count);
        int64_t deepest = 0;
        sources = arena.take<Turned<T>>(plan.weight_gradients_count);
        for (int64_t i = 0; i < plan.weight_gradients_count; ++i) {
            const CarouselWeightGradient& g = plan.weight_gradients[i];
            if (source_units(g) > deepest) deepest = source_units(g);
            T* sum = arena.take<T>(wanted(g) && !one_chunk ? layout.blocks[g.size] * (source_units(g) + 1) * BLOCK<T> : 0);
            const bool shared = shares_source(i);
            const Turned<T> source = shared ? Turned<T>{} : Turned<T>::in(arena, layout.format, source_units(g), layout.chunk_edges);
            if (arena.counting()) continue;
            sources[i] = shared ? sources[i - 1] : source;
            if (!one_chunk) sums[i] = sum;
        }
        begun = arena.take<Begun>(one_chunk ? 0 : layout.threads * plan.weight_gradients_count);
        nothing = arena.take<T>(scan.at ? scan.input : 0);
        for (int i = 0; i < layout.threads && one_chunk; ++i) {
            T* sum = arena.take<T>((deepest + 1) * BLOCK<T>);
            if (!arena.counting()) sums[i] = sum;
        }
    }

    // Whether a weight gradient has the same source as the one before it.
    bool shares_source(int64_t i) const { return i > 0 && plan.weight_gradients[i - 1].source == plan.weight_gradients[i].source; }

    int64_t source_units(const CarouselWeightGradient& g) const {
        return g.source < 0 ? scan.input : machine.layout.units[g.source_size];
    }

    bool wanted(const CarouselWeightGradient& g) const {
        return scan.grad_parameters[g.parameter] || (g.bias_parameter >= 0 && scan.grad_parameters[g.bias_parameter]);
    }

    void run(int thread, int threads, Barrier& barrier) {
        const Worker<T> w = machine.layout.worker(thread, threads);
        prepare(w);
        barrier.wait();
        for (Chunk c{}; c.end < machine.layout.walk.steps;) {
            c = next_chunk(machine.layout.walk, c.end, machine.layout.chunk_rows, machine.layout.chunk_edges);
            if (plan.before) {
                machine.run_before(w, c);
                barrier.wait();
            }
            for (int64_t k = c.begin; k < c.end; ++k) {
                const Step s = machine.layout.walk.step(k);
                machine.run_step(w, s, c, barrier);
                machine.take_leaving(w, s, c, scan.grad_first);
            }
            barrier.wait();
            if (plan.after) {
                machine.run_after(w, c);
                barrier.wait();
            }
            multiply_inputs(w, c);
            turn_sources(w, c);
            barrier.wait();
            if (one_chunk) {
                make_weight_gradients(w, c);
            } else {
                add_weight_gradients(w, c);
            }
            barrier.wait();
        }
        if (!one_chunk) write_weight_gradients(w);
        barrier.wait();
        if (thread == 0) write_vector_gradients(threads);
    }

    void prepare(const Worker<T>& w) const {
        machine.prepare(w);
        machine.prepare_states(w, true);
        for (int64_t u = 0; u < scan.input && scan.at; ++u) nothing[u] = 0;
        if (scan.grad_x) input.pack(share(blocks_of<T>(scan.input), w.thread, w.threads), w.scratch);
        for (int64_t i = 0; i < plan.weight_gradients_count && !one_chunk; ++i) begun_of(w)[i] = NOTHING;
    }

    // dx = the sum over gates of (gradient of its input part) W.
    void multiply_inputs(const Worker<T>& w, const Chunk& c) const {
        if (!scan.grad_x) return;
        const Layout<T>& layout = machine.layout;
        for_runs(scan, c, share(c.rows, w.thread, w.threads, TILE_ROWS), [&](Range rows, int64_t away) {
            Left<T> left{layout.format, w.scratch, {rows.begin + away, rows.end + away}, input.length};
            for (int64_t i = 0; i < plan.inputs_count; ++i)
                if (!plan.inputs[i].idle || c.first_row >= scan.leaves)
                    left.add(layout.buffers[plan.inputs[i].buffer], true, layout.units[HIDDEN]);
            T* dx = static_cast<T*>(scan.grad_x) + (scan.at ? -away : c.first_row) * scan.input;
            input.multiply(left, {0, blocks_of<T>(scan.input)}, {{dx, BLOCK<T>, scan.input}, false, scan.input}, {});
        });
    }

    // The rows that products read, turned.
    void turn_sources(const Worker<T>& w, const Chunk& c) const {
        const Range mine = share(c.rows, w.thread, w.threads, 2);
        for (int64_t i = 0; i < plan.weight_gradients_count; ++i) {
            const CarouselWeightGradient& g = plan.weight_gradients[i];
            if (shares_source(i)) continue;
            if (scan.first_edge) {
                turn_nodes(w, i, c);
                continue;
            }
            if (g.source < 0) {
                T* x = static_cast<T*>(const_cast<void*>(scan.x)) + c.first_row * scan.input;
                sources[i].turn({x, BLOCK<T>, scan.input}, 0, mine, c.rows, w.scratch);
                continue;
            }
            for (int64_t k = c.begin; k < c.end; ++k) {
                const Step s = machine.layout.walk.step(k);
                const int64_t base = s.offset - c.first_row;  // of the step's rows in the chunk
                for (int64_t row = 0; row < s.rows;) {
                    const int64_t end = row < s.going_on ? s.going_on : s.rows;
                    const Ref<T> from = find(machine.layout, plan.views[g.source], s, c, row);
                    sources[i].turn(from, -base, overlap({base + row, base + end}, mine), c.rows, w.scratch);
                    row = end;
                }
            }
        }
    }

    // Over trees: of the rows that count. A row without an input, and a child that there is not, are in between.
    void turn_nodes(const Worker<T>& w, int64_t i, const Chunk& c) const {
        const Layout<T>& layout = machine.layout;
        const CarouselWeightGradient& g = plan.weight_gradients[i];
        const Range rows = turned_rows(g, c);
        const int64_t count = gradient_rows(g, c);
        const auto turn = [&](int64_t n, Ref<T> row) { sources[i].turn(row, -n, {n, n + 1}, count, w.scratch); };
        T* x = static_cast<T*>(const_cast<void*>(scan.x));
        if (g.source < 0) {
            for (int64_t n = rows.begin, j = scan.at ? first_given(scan, c.first_row + n) : 0; n < rows.end; ++n) {
                const int64_t row = scan.at ? (j < scan.given && scan.at[j] == c.first_row + n ? j++ : -1) : c.first_row + n;
                turn(n, {row < 0 ? nothing : x + row * scan.input, BLOCK<T>, 0});
            }
        } else if (plan.views[g.source].kind == CHILD) {
            const CarouselGather& from = plan.gathers[plan.views[g.source].which];
            for (int64_t n = rows.begin; n < rows.end; ++n) turn(n, child_of(layout, from, (from.slot < 0 ? c.first_edge : c.first_row) + n));
        } else {
            sources[i].turn(find(layout, plan.views[g.source], Machine<T>::whole(c), c, 0), 0, rows, count, w.scratch);
        }
    }

    int64_t gradient_rows(const CarouselWeightGradient& g, const Chunk& c) const { return plan.buffers[g.gradient].members ? c.edges : c.rows; }

    // The rows of a chunk that are multiplied: over trees from the first to the last that has a source, in pairs.
    Range turned_rows(const CarouselWeightGradient& g, const Chunk& c) const {
        const int64_t count = gradient_rows(g, c);
        if (g.idle && c.first_row < scan.leaves) return {0, 0};
        if (g.source >= 0 || !scan.at) return {0, count};
        const int64_t a = first_given(scan, c.first_row), b = first_given(scan, c.first_row + c.rows);
        if (a == b) return {0, 0};
        const int64_t begin = (scan.at[a] - c.first_row) / 2 * 2, end = (scan.at[b - 1] - c.first_row + 2) / 2 * 2;
        return {begin, end < count ? end : count};
    }

    Begun* begun_of(const Worker<T>& w) const { return begun + w.thread * plan.weight_gradients_count; }

    // Zeros where a chunk is the first to add, just before it does: of the units of some groups, and of the bias after them.
    void begin_sums(const CarouselWeightGradient& g, Range groups, Begun was, Begun now, T* sum) const {
        const int64_t units = source_units(g), end = groups.end * TILE_ROWS;
        if (groups.size() <= 0 || now <= was) return;
        const int64_t first = now == ALL ? groups.begin * TILE_ROWS : units, last = was == BIASES ? units : units + 1;
        for (int64_t u = first * BLOCK<T>; u < (end < last ? end : last) * BLOCK<T>; ++u) sum[u] = 0;
    }

    // Rows that are not multiplied have a bias too.
    void add_biases(const CarouselWeightGradient& g, Range rows, const T* gradient, T* sum) const {
        if (g.bias_parameter < 0) return;
        add_columns<T>(1, int(rows.size()), sum + source_units(g) * BLOCK<T>, {const_cast<T*>(gradient) + rows.begin * BLOCK<T>, 0, BLOCK<T>});
    }

    // dW^T += (source rows)^T (gradient rows), over the rows of the chunk: one panel of gradients at a time.
    void add_weight_gradients(const Worker<T>& w, const Chunk& c) const {
        int64_t total = 0, seen = 0;
        for (int64_t i = 0; i < plan.weight_gradients_count; ++i) total += tiles_of(plan.weight_gradients[i]);
        const Range mine = share(total, w.thread, w.threads);
        for (int64_t i = 0; i < plan.weight_gradients_count; ++i) {
            const CarouselWeightGradient& g = plan.weight_gradients[i];
            if (!wanted(g)) continue;
            const int64_t groups = Turned<T>::groups(source_units(g));
            const Ref<T> gradient = machine.layout.buffers[g.gradient];
            const Range rows = turned_rows(g, c);
            const int64_t count = gradient_rows(g, c);
            const Begun now = rows.size() > 0 || begun_of(w)[i] == ALL ? ALL : BIASES;
            for (int64_t b = 0; b < machine.layout.blocks[g.size]; ++b, seen += groups) {
                const Range part = overlap(mine, {seen, seen + groups});
                const T* panel = gradient.at + b * gradient.block;
                T* sum = sums[i] + b * (source_units(g) + 1) * BLOCK<T>;
                begin_sums(g, {part.begin - seen, part.end - seen}, begun_of(w)[i], now, sum);
                sources[i].add_products({part.begin - seen, part.end - seen}, panel, count, rows, sum, w.scratch);
                if (part.end == seen + groups && part.size() > 0) {
                    add_biases(g, {0, rows.begin}, panel, sum);
                    add_biases(g, {rows.end, count}, panel, sum);
                }
            }
            begun_of(w)[i] = now;
        }
    }

    // How many products of a group of source units and a block of gradients a weight gradient is made of.
    int64_t tiles_of(const CarouselWeightGradient& g) const {
        return wanted(g) ? machine.layout.blocks[g.size] * Turned<T>::groups(source_units(g)) : 0;
    }

    // Of a scan of one chunk: block by block. A block is the same thread's in all gradients, which may share a parameter.
    void make_weight_gradients(const Worker<T>& w, const Chunk& c) const {
        T* sum = sums[w.thread];
        for (int64_t i = 0; i < plan.weight_gradients_count; ++i) {
            const CarouselWeightGradient& g = plan.weight_gradients[i];
            if (!wanted(g)) continue;
            const Ref<T> gradient = machine.layout.buffers[g.gradient];
            const Range mine = share(machine.layout.blocks[g.size], w.thread, w.threads);
            for (int64_t b = mine.begin; b < mine.end; ++b) {
                for (int64_t u = 0; u < (source_units(g) + 1) * BLOCK<T>; ++u) sum[u] = 0;
                sources[i].add_products({0, Turned<T>::groups(source_units(g))}, gradient.at + b * gradient.block, c.rows, {0, c.rows}, sum, w.scratch);
                write_block(g, b, sum, ALL);
            }
        }
    }

    // Several products may share one parameter.
    void write_weight_gradients(const Worker<T>& w) const {
        for (int64_t i = 0; i < plan.weight_gradients_count; ++i) {
            const CarouselWeightGradient& g = plan.weight_gradients[i];
            if (!wanted(g)) continue;
            const Range mine = share(machine.layout.blocks[g.size], w.thread, w.threads);
            for (int64_t b = mine.begin; b < mine.end; ++b) write_block(g, b, sums[i] + b * (source_units(g) + 1) * BLOCK<T>, begun_of(w)[i]);
        }
    }

    // From [source unit][unit of a block] to the parameter's rows.
    void write_block(const CarouselWeightGradient& g, int64_t block, const T* from, Begun made) const {
        const int64_t deep = source_units(g), rows = machine.layout.units[g.size], count = machine.layout.columns(g.size, block);
        const int64_t first = (g.gate < 0 ? 0 : g.gate * rows) + block * BLOCK<T>;
        T* weight = static_cast<T*>(scan.grad_parameters[g.parameter]);
        T* bias = g.bias_parameter < 0 ? nullptr : static_cast<T*>(scan.grad_parameters[g.bias_parameter]);
        if (weight && made == ALL) transpose<true>(from, BLOCK<T>, count, deep, weight + first * deep, deep);
        for (int64_t u = 0; u < count && bias && made != NOTHING; ++u) bias[first + u] += from[deep * BLOCK<T> + u];
    }

    // Each thread has summed its own rows or units; together, in the order of threads.
    void write_vector_gradients(int threads) const {
        const int64_t padded = machine.layout.longest_vector();
        for (int64_t i = 0; i < plan.column_sums_count; ++i) {
            const CarouselVector& v = plan.column_sums[i];
            T* to = static_cast<T*>(scan.grad_parameters[v.parameter]);
            if (!to) continue;
            const int64_t units = machine.layout.units[v.size];
            if (v.gate > 0) to += v.gate * units;
            for (int t = 0; t < threads; ++t)
                for (int64_t u = 0; u < units; ++u) to[u] += machine.layout.workers[t].column_sums[i * padded + u];
        }
    }
};

}  // namespace
