// The scan: per chunk of steps one large product for the input parts of all gates, then step by step.
#pragma once

#include "machine.h"

namespace carousel::CAROUSEL_ISA {

template <class T> struct Forward {
    Machine<T> machine;
    const CarouselPlan& plan;
    const CarouselScan& scan;
    Factor<T>* inputs;  // per gate with an input part
    T* input_biases;    // [gate][block][BLOCK]

    Forward(const CarouselScan& scan, Arena& arena) : machine(scan, arena, false), plan(*scan.plan), scan(scan) {
        const Layout<T>& layout = machine.layout;
        inputs = arena.take<Factor<T>>(plan.inputs_count);
        for (int64_t i = 0; i < plan.inputs_count; ++i) {
            const Factor<T> factor = Factor<T>::in(arena, layout.format, layout.blocks[HIDDEN], length_of<T>(layout.format, scan.input), 1,
                                                   layout.at_once);
            if (arena.counting()) continue;
            inputs[i] = factor;
            const int64_t hidden = layout.units[HIDDEN];
            factor.parts[0] = {layout.parameter(0, plan.inputs[i].gate, hidden, scan.input), scan.input, scan.input, hidden, true};
        }
        input_biases = arena.take<T>(plan.inputs_count * layout.blocks[HIDDEN] * BLOCK<T>);
    }

    void run(int thread, int threads, Barrier& barrier) const {
        const Worker<T> w = machine.layout.worker(thread, threads);
        prepare(w);
        machine.prepare_states(w, false);
        barrier.wait();
        for (Chunk c{}; c.end < machine.layout.walk.steps;) {
            c = next_chunk(machine.layout.walk, c.end, machine.layout.chunk_rows, machine.layout.chunk_edges);
            const T* x = static_cast<const T*>(scan.x) + (scan.at ? 0 : c.first_row * scan.input);
            run_chunk(w, c, x, scan.last, barrier, [&](int64_t k) { return machine.layout.walk.step(k); });
            barrier.wait();  // the next chunk's inputs go where this one's were
        }
    }

    // The steps of a chunk whose inputs are x; step_at(k) says where step k's rows are.
    template <class StepAt>
    void run_chunk(const Worker<T>& w, const Chunk& c, const T* x, void* const* last, Barrier& barrier, StepAt step_at) const {
        project_inputs(w, c, x);
        barrier.wait();
        if (plan.before) {
            machine.run_before(w, c);
            barrier.wait();
        }
        for (int64_t k = c.begin; k < c.end; ++k) {
            const Step s = step_at(k);
            machine.run_step(w, s, c, barrier);
            machine.take_leaving(w, s, c, last);
        }
        if (plan.after) {
            barrier.wait();
            machine.run_after(w, c);
        }
    }

    void prepare(const Worker<T>& w) const {
        machine.prepare(w);
        const Layout<T>& layout = machine.layout;
        const int64_t hidden = layout.units[HIDDEN], blocks = layout.blocks[HIDDEN], padded = blocks * BLOCK<T>;
        const Range mine = share(layout.inputs_read() * blocks, w.thread, w.threads);
        for (int64_t i = mine.begin; i < mine.end; ++i) inputs[i / blocks].pack({i % blocks, i % blocks + 1}, w.scratch);
        if (w.thread != 0) return;
        for (int64_t i = 0; i < plan.inputs_count; ++i) {
            T* bias = input_biases + i * padded;
            for (int64_t u = 0; u < padded; ++u) bias[u] = 0;
            const CarouselInput& in = plan.inputs[i];
            if (in.bias >= 0) machine.fill_vector(bias, in.bias, in.gate, hidden, padded, true);
            if (in.recurrent_bias >= 0) machine.fill_vector(bias, in.recurrent_bias, in.recurrent_gate, hidden, padded, true);
        }
    }

    // Input parts of the gates, W x + b, for every row of the chunk.
    void project_inputs(const Worker<T>& w, const Chunk& c, const T* x) const {
        const Layout<T>& layout = machine.layout;
        const Range mine = w.shares_rows ? Range{0, c.rows} : share(c.rows, w.thread, w.threads, TILE_ROWS);
        const bool leaves = c.first_row < scan.leaves;
        Left<T> nothing{layout.format, w.scratch, mine, length_of<T>(layout.format, scan.input)};
        for (int64_t i = 0; i < plan.inputs_count; ++i)
            if (scan.at || (leaves && plan.inputs[i].idle)) project(w, i, nothing, 0);
        for_runs(scan, c, mine, [&](Range rows, int64_t away) {
            Left<T> left{layout.format, w.scratch, rows, length_of<T>(layout.format, scan.input)};
            left.add({const_cast<T*>(x), BLOCK<T>, scan.input}, false, scan.input);
            for (int64_t i = 0; i < plan.inputs_count; ++i)
                if (!(leaves && plan.inputs[i].idle)) project(w, i, left, away);
        });
    }

    // One gate's, to rows that lie `away` from those of x.
    void project(const Worker<T>& w, int64_t i, const Left<T>& left, int64_t away) const {
        const Layout<T>& layout = machine.layout;
        inputs[i].multiply(left, w.blocks[HIDDEN], {moved(layout.buffers[plan.inputs[i].buffer], away), true, layout.units[HIDDEN]},
                           {input_biases + i * layout.blocks[HIDDEN] * BLOCK<T>, BLOCK<T>, 0});
    }
};

}  // namespace
