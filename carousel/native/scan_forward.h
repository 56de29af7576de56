// The scan: per chunk of steps one large product for the input parts of all gates, then step by step.
#pragma once

#include "machine.h"

namespace carousel::CAROUSEL_ISA {

template <class T> struct Forward {
    Machine<T> machine;
    const CarouselScan& scan;
    T* input_panels;  // [gate][block][input][BLOCK]
    Pair* input_pairs;  // the same in bfloat16, one or the other
    T* input_biases;  // [gate][block][BLOCK]

    Forward(const CarouselScan& scan, Arena& arena) : machine(scan, arena, false), scan(scan) {
        const int64_t wide = machine.blocks[HIDDEN] * BLOCK<T>;
        input_panels = arena.take<T>(machine.in_pairs ? 0 : machine.plan.inputs_count * wide * scan.input);
        input_pairs = arena.take<Pair>(machine.in_pairs ? machine.plan.inputs_count * wide * pairs_of(scan.input) : 0);
        input_biases = arena.take<T>(machine.plan.inputs_count * wide);
    }

    void run(int thread, int threads, Barrier& barrier) const {
        const Worker<T> w = machine.worker(thread, threads);
        prepare(w);
        machine.prepare_states(w, false);
        barrier.wait();
        for (Chunk c{}; c.end < machine.walk.steps;) {
            c = next_chunk(machine.walk, c.end, machine.chunk_rows);
            const T* x = static_cast<const T*>(scan.x) + c.first_row * scan.input;
            run_chunk(w, c, x, scan.last, barrier, [&](int64_t k) { return machine.walk.step(k); });
            barrier.wait();  // the next chunk's inputs go where this one's were
        }
    }

    // The steps of a chunk whose inputs are x; step_at(k) says where step k's rows are.
    template <class StepAt>
    void run_chunk(const Worker<T>& w, const Chunk& c, const T* x, void* const* last, Barrier& barrier, StepAt step_at) const {
        project_inputs(w, c, x);
        barrier.wait();
        if (machine.plan.before) {
            machine.run_before(w, c);
            barrier.wait();
        }
        for (int64_t k = c.begin; k < c.end; ++k) {
            const Step s = step_at(k);
            machine.run_step(w, s, c, barrier);
            machine.take_leaving(w, s, c, last);
        }
        if (machine.plan.after) {
            barrier.wait();
            machine.run_after(w, c);
        }
    }

    void prepare(const Worker<T>& w) const {
        machine.prepare(w);
        const CarouselPlan& plan = machine.plan;
        const int64_t hidden = machine.units[HIDDEN], blocks = machine.blocks[HIDDEN];
        const Range mine = share(plan.inputs_count * blocks, w.thread, w.threads);
        for (int64_t i = mine.begin; i < mine.end; ++i) {
            const int gate = plan.inputs[i / blocks].gate;
            T* panel = machine.in_pairs ? w.panel : input_panels + i * scan.input * BLOCK<T>;
            pack_panel(machine.parameter(0, gate, hidden, scan.input), scan.input, scan.input, i % blocks * BLOCK<T>,
                       machine.columns(HIDDEN, i % blocks), true, panel);
            if (machine.in_pairs) machine.to_pairs(panel, scan.input, input_pairs + i * pairs_of(scan.input) * BLOCK<T>);
        }
        if (w.thread != 0) return;
        for (int64_t i = 0; i < plan.inputs_count; ++i) {
            T* bias = input_biases + i * blocks * BLOCK<T>;
            for (int64_t u = 0; u < blocks * BLOCK<T>; ++u) bias[u] = 0;
            const CarouselInput& in = plan.inputs[i];
            if (in.bias >= 0) machine.fill_vector(bias, in.bias, in.gate, hidden, blocks * BLOCK<T>, true);
            if (in.recurrent_bias >= 0)
                machine.fill_vector(bias, in.recurrent_bias, in.recurrent_gate, hidden, blocks * BLOCK<T>, true);
        }
    }

    // Input parts of the gates, W x + b, for every row of the chunk.
    void project_inputs(const Worker<T>& w, const Chunk& c, const T* x) const {
        const CarouselPlan& plan = machine.plan;
        const Range rows = w.shares_rows ? Range{0, c.rows} : share(c.rows, w.thread, w.threads, TILE_ROWS);
        const Range blocks = w.blocks[HIDDEN];
        const int64_t pairs = pairs_of(scan.input);
        if (machine.in_pairs) machine.pair_rows({const_cast<T*>(x), 0, scan.input}, false, rows, scan.input, w.pairs, pairs);
        const int across = panels_across(rows.size());
        const bool few = !machine.in_pairs && rows.size() > 0 && rows.size() <= FEW_ROWS;
        for (int64_t i = 0; i < plan.inputs_count; ++i) {
            const Ref<T> to = machine.buffers[plan.inputs[i].buffer];
            for (int64_t b = blocks.begin, wide; b < blocks.end; b += wide) {
                wide = few && b + across <= blocks.end ? across : 1;
                const int64_t at = i * machine.blocks[HIDDEN] + b;
                const T* panel = input_panels + at * scan.input * BLOCK<T>;
                Start<T> start{input_biases + at * BLOCK<T>, 0};
                T* gate = to.at + b * to.block;
                if constexpr (PAIRS<T>)
                    if (machine.in_pairs) {
                        multiply_pairs(w.pairs, pairs, rows.size(), input_pairs + at * pairs * BLOCK<T>, gate + rows.begin * BLOCK<T>,
                                       BLOCK<T>, BLOCK<T>, start);
                        continue;
                    }
                Next next{ptrdiff_t(scan.input) * BLOCK<T>, to.block, BLOCK<T>};
                for (int64_t k = 0; k == 0 || k < scan.input; k += DEPTH) {
                    const Segment<T> segment{x + k, scan.input, 1, int(scan.input - k < DEPTH ? scan.input - k : DEPTH)};
                    if (wide > 1)
                        multiply_across(&segment, 1, rows.begin, rows.size(), panel + k * BLOCK<T>, gate, BLOCK<T>, start, next);
                    else
                        multiply(&segment, 1, rows.begin, rows.end, panel + k * BLOCK<T>, gate, BLOCK<T>, BLOCK<T>, start);
                    start = {gate, BLOCK<T>};
                    next.start = to.block;
                }
            }
        }
    }
};

}  // namespace
