// A plan that runs: packed once a call, then step by step. What forward and backward share.
#pragma once

#include "segment.h"

namespace carousel::CAROUSEL_ISA {

template <class T> struct Machine {
    Layout<T> layout;
    const CarouselPlan& plan;
    const CarouselScan& scan;

    Machine(const CarouselScan& scan, Arena& arena, bool backward) : layout(scan, arena, backward), plan(*scan.plan), scan(scan) {}

    // ---- once a call, by the whole team

    // One number per unit, padded with zeros to whole blocks.
    void fill_vector(T* to, int parameter, int gate, int64_t count, int64_t padded, bool add) const {
        const T* from = layout.parameter(parameter, gate, count, 1);
        for (int64_t u = 0; u < padded; ++u) to[u] = (add ? to[u] : T(0)) + (u < count ? from[u] : T(0));
    }

    void prepare(const Worker<T>& w) const {
        for (int64_t i = 0; i < plan.products_count; ++i) pack_product(w, i);
        for (int64_t i = 0; i < plan.vectors_count; ++i) {
            const CarouselVector& v = plan.vectors[i];
            if (i % w.threads == w.thread)
                fill_vector(layout.vectors[i], v.parameter, v.gate, layout.units[v.size], layout.blocks[v.size] * BLOCK<T>, false);
        }
        if (w.thread == 0)
            for (int64_t i = 0; i < plan.constants_count; ++i) {
                const CarouselConstant& c = plan.constants[i];
                const T value = c.parameter >= 0 ? *layout.parameter(c.parameter, -1, 1, 1) : T(c.per < 0 ? c.value : 1.0 / double(layout.units[c.per]));
                for (int u = 0; u < BLOCK<T>; ++u) layout.constants[i * BLOCK<T> + u] = value;
            }
        for (int64_t i = 0; i < plan.column_sums_count * layout.longest_vector(); ++i) w.column_sums[i] = 0;
        place_fixed(layout, w);
    }

    void pack_product(const Worker<T>& w, int64_t index) const {
        const CarouselProduct& p = plan.products[index];
        const int64_t wide = layout.units[p.size];
        layout.products[index].pack(share(layout.blocks[p.size], w.thread, w.threads), w.scratch);
        if (layout.biases[index] && w.thread == 0)
            fill_vector(layout.biases[index], p.bias_parameter, p.bias_gate, wide, layout.blocks[p.size] * BLOCK<T>, false);
    }

    void prepare_states(const Worker<T>& w, bool backward) const {
        if (scan.first_edge) return prepare_nodes();
        for (int64_t i = 0; i < plan.carried_count; ++i)
            if (plan.buffers[plan.carried[i]].layout == PANEL)
                pack_first(w, layout.first[i], backward ? scan.grad_last[i] : scan.first[i], plan.buffers[plan.carried[i]]);
        for (int64_t i = 0; i < plan.forward_states_count; ++i)
            if (plan.forward_states[i] >= 0 && plan.buffers[plan.forward_states[i]].layout == PANEL)
                pack_first(w, layout.forward_first[i], scan.first[i], plan.buffers[plan.forward_states[i]]);
    }

    // Over trees: the rows of children that there are not, and zeros to which gradients are added.
    void prepare_nodes() const {
        for (int64_t i = 0; i < plan.state_sizes_count; ++i)
            for (int64_t u = 0; u < layout.longest_vector(); ++u)
                layout.absent[i][u] = scan.first[i] && u < layout.units[plan.state_sizes[i]] ? static_cast<const T*>(scan.first[i])[u] : T(0);
        for (int64_t i = 0; i < plan.scatters_count; ++i) {
            const CarouselBuffer& b = plan.buffers[plan.scatters[i].nodes];
            if (i == 0 || plan.scatters[i].nodes != plan.scatters[i - 1].nodes) std::memset(layout.buffers[plan.scatters[i].nodes].at, 0, scan.rows * width_of<T>(b, layout.blocks) * sizeof(T));
        }
    }

    // Rows as torch stores them -> a panel.
    void pack_first(const Worker<T>& w, const Ref<T>& to, const void* rows, const CarouselBuffer& buffer) const {
        const int64_t units = layout.units[buffer.size];
        const Range mine = times(share(scan.batch, w.thread, w.threads), layout.rows_each(buffer));
        const Ref<T> from{static_cast<T*>(const_cast<void*>(rows)), BLOCK<T>, ptrdiff_t(units)};
        copy_units(moved(to, mine.begin), moved(from, mine.begin), int(layout.blocks[buffer.size]), int(mine.size()), units, true);
    }

    // ---- steps

    static Range times(Range rows, int64_t each) { return {rows.begin * each, rows.end * each}; }

    Range rows_of(const Worker<T>& w, int64_t rows) const {
        if (w.shares_rows) return {0, rows};
        return overlap(share(scan.batch, w.thread, w.threads), {0, rows});
    }

    void run_step(const Worker<T>& w, const Step& s, const Chunk& chunk, Barrier& barrier) const {
        const Range rows = rows_of(w, s.rows);
        if (layout.walk.each) return run_rows(w, s, chunk, rows);
        for (int64_t i = 0; i < plan.gathers_count; ++i) gather(layout, plan.gathers[i], s, chunk);
        for (int64_t i = plan.before; i < plan.segments_count - plan.after; ++i) {
            if (w.shares_rows && plan.segments[i].waits) barrier.wait();
            run_segment(layout, w, plan.segments[i], s, chunk, plan.segments[i].members ? Range{0, s.edges} : rows);
        }
        for (int64_t i = 0; i < plan.scatters_count; ++i) scatter(layout, plan.scatters[i], s, chunk);
    }

    // Where every row has as many members: from one segment with products to the next, a few rows at a time pass through
    // all segments, so that their members stay in cache.
    void run_rows(const Worker<T>& w, const Step& s, const Chunk& chunk, Range rows) const {
        const int64_t each = layout.walk.each, bytes = each * layout.widest_of_members() * int64_t(sizeof(T));
        const int64_t together = bytes < MEMBERS_BYTES ? MEMBERS_BYTES / bytes : 1;
        const int64_t last = plan.segments_count - plan.after;
        const auto range = [&](const CarouselSegment& g, Range r) { return g.members ? times(r, each) : r; };
        for (int64_t i = plan.before, end; i < last; i = end) {
            run_products(layout, w, plan.segments[i], s, chunk, range(plan.segments[i], rows));
            for (end = i + 1; end < last && plan.segments[end].products == plan.segments[end].products_end;) ++end;
            for (int64_t r = rows.begin; r < rows.end; r += together)
                for (int64_t k = i; k < end; ++k)
                    run_pointwise(layout, w, plan.segments[k], s, chunk, range(plan.segments[k], overlap(rows, {r, r + together})));
        }
    }

    void run_before(const Worker<T>& w, const Chunk& chunk) const { run_chunk(w, chunk, 0, plan.before); }
    void run_after(const Worker<T>& w, const Chunk& chunk) const {
        run_chunk(w, chunk, plan.segments_count - plan.after, plan.segments_count);
    }

    // Segments that know no steps: the chunk's rows as those of one step, divided among the threads, a few at a time.
    void run_chunk(const Worker<T>& w, const Chunk& chunk, int64_t first, int64_t last) const {
        Worker<T> own = w;
        own.shares_rows = false;
        for (int s = 0; s < SIZES; ++s) own.blocks[s] = {0, layout.blocks[s]};
        const Step all = whole(chunk);
        const Range mine = share(chunk.rows, w.thread, w.threads, TILE_ROWS);
        for (int64_t r = mine.begin; r < mine.end; r += ROWS_TOGETHER)
            for (int64_t i = first; i < last; ++i)
                run_segment(layout, own, plan.segments[i], all, chunk, overlap(mine, {r, r + ROWS_TOGETHER}));
    }

    // The rows of a chunk as those of one step.
    static Step whole(const Chunk& c) { return {c.rows, c.first_row, c.rows, 0, c.rows, 0, 0, c.first_edge, c.edges}; }

    // States of the rows that end at this step, as rows: from the carried buffers.
    void take_leaving(const Worker<T>& w, const Step& s, const Chunk& chunk, void* const* to) const {
        if (s.going_on == s.rows) return;
        const Range rows = overlap(rows_of(w, s.rows), {s.going_on, s.rows});
        for (int64_t i = 0; i < plan.carried_count; ++i) {
            if (to[i] == nullptr) continue;
            const int size = plan.state_sizes[i];
            const Ref<T> from = state_after(layout, i, s, chunk);
            const Range mine = w.blocks[size], of_state = times(rows, layout.rows_each(plan.buffers[plan.carried[i]]));
            for (int64_t b = mine.begin; b < mine.end; ++b)
                for (int64_t r = of_state.begin; r < of_state.end; ++r)
                    std::memcpy(static_cast<T*>(to[i]) + r * layout.units[size] + b * BLOCK<T>, from.at + b * from.block + r * from.row,
                                layout.columns(size, b) * sizeof(T));
        }
    }
};

}  // namespace
