// One segment of a step, for some rows: products, then numbers of one per row, then strips.
#pragma once

#include "slots.h"

namespace carousel::CAROUSEL_ISA {

template <class T> inline void run_product(const Layout<T>& l, const Worker<T>& w, int index, Range rows, bool leaves) {
    const CarouselProduct& p = l.plan.products[index];
    const bool idle = p.idle && leaves;
    if (idle && p.accumulate) return;
    Left<T> left{l.format, w.scratch, rows, l.products[index].length};
    for (int t = 0; t < p.terms && !idle; ++t) {
        const CarouselTerm& term = l.plan.terms[p.first_term + t];
        left.add(w.places[term.source].ref, is_panel(l, term.source), l.units[term.source_size]);
    }
    const Ref<T> to = w.places[p.dst].ref;
    const Ref<T> start = p.accumulate ? to : Ref<T>{l.biases[index], BLOCK<T>, 0};
    l.products[index].multiply(left, w.blocks[p.size], {to, is_panel(l, p.dst), l.units[p.size]}, start);
}

// to[row] = the parts of a row, one for each block, put together.
template <class T, class F> inline void put_together(Ref<T> parts, int64_t blocks, int64_t rows, T* to, F f) {
    for (int64_t r = 0; r < rows; ++r) {
        T whole = parts.at[r];
        for (int64_t b = 1; b < blocks; ++b) whole = f(whole, parts.at[b * parts.block + r]);
        to[r] = whole;
    }
}

template <class T> inline void run_number(const Layout<T>& l, const Worker<T>& w, const CarouselInstruction& in, Range rows, const Step& s) {
    const Ref<T> a = moved(w.places[in.a].ref, rows.begin);
    T* d = moved(w.places[in.dst].ref, rows.begin).at;
    const auto parts = [&] { return l.blocks[l.plan.buffers[l.plan.views[in.a].which].size]; };
    switch (in.op) {
        case TOTAL_SUM: return put_together(a, parts(), rows.size(), d, [](T x, T y) { return x + y; });
        case TOTAL_HIGHEST: return put_together(a, parts(), rows.size(), d, [](T x, T y) { return larger(x, y); });
        case LOAD_NUMBER: std::memcpy(d, a.at, rows.size() * sizeof(T)); return;
        case SAVE_NUMBER:  // by units every thread has computed it, and one writes it down
            if (!w.shares_rows || w.thread == 0) std::memcpy(d, a.at, rows.size() * sizeof(T));
            return;
    }
    if (in.op >= SPREAD && l.walk.each) return across_slots(in.op, l.walk.each, rows, d, w.places[in.a].ref);
    if (in.op >= SPREAD) return across_numbers(in.op, l, s, rows, d, w.places[in.a].ref.at);
    // Pointwise ops take numbers a block of rows at a time; what lies past the end is room for it.
    const auto block_of_rows = [&](int view) {
        return Ref<T>{moved(w.places[view].ref, rows.begin).at, 0, l.plan.views[view].kind == ROW ? BLOCK<T> : 0};
    };
    const Ref<T> refs[4] = {block_of_rows(in.dst), block_of_rows(in.a), block_of_rows(in.b), block_of_rows(in.c)};
    Kernels<T>::table[in.op](1, int(blocks_of<T>(rows.size())), refs);
}

template <class T>
inline void run_strip(const Layout<T>& l, const Worker<T>& w, const Step& s, int begin, int end, int size, int64_t block, int wide, int64_t row, int high, int64_t each) {
    const int64_t owner = row / each;  // whose members its rows are, if they are any
    const auto ref_of = [&](int view) {
        const Place<T>& p = w.places[view];
        // In scratch the blocks of a strip lie one after another.
        return Ref<T>{p.ref.at + block * p.strip_block + row * p.strip_row + owner * p.strip_owner,
                      l.plan.views[view].kind == LOCAL ? ptrdiff_t(high) * BLOCK<T> : p.ref.block, p.ref.row};
    };
    const int64_t units = l.units[size] - block * BLOCK<T>;
    for (int i = begin; i < end; ++i) {
        const CarouselInstruction& in = l.plan.instructions[i];
        const Ref<T> refs[4] = {ref_of(in.dst), ref_of(in.a), ref_of(in.b), ref_of(in.c)};
        if (in.op < POINTWISE_OPS && l.plan.views[in.a].kind == ROW)
            of_number<T>(in.op, wide, high, refs);
        else if (in.op < POINTWISE_OPS)
            Kernels<T>::table[in.op](wide, high, refs);
        else if (in.op == PARTIAL_DOT)
            partial_dot<T>(wide, high, refs[0].at, refs[0].block, refs[1], refs[2], units);
        else if (in.op == TOTAL_PRODUCT)
            add_products<T>(wide, high, row % each == 0, refs[0], refs[1], refs[2], l.plan.views[in.a].kind == ROW);
        else if (in.op >= SPREAD && l.walk.each)
            run_across_slots(in.op, l.walk.each, block, row, wide, high, units, refs[0], refs[1], w.places[in.a].ref);
        else if (in.op >= SPREAD)
            run_across(in.op, l, s, row, wide, high, refs[0], moved(refs[1], -row));
        else
            run_structural(in.op, wide, high, refs[0], refs[1], units);
    }
}

template <class T> inline void run_strips(const Layout<T>& l, const Worker<T>& w, const Step& s, int begin, int end, int size, Range rows, int64_t each) {
    if (begin == end || rows.size() == 0) return;
    const Range mine = w.blocks[size];
    const int64_t most = each > 1 ? each : rows.size(), high = most < STRIP<T> ? most : STRIP<T>, wide = STRIP<T> / high;
    const auto least = [](int64_t a, int64_t b) { return int(a < b ? a : b); };
    for (int64_t first = rows.begin; first < rows.end; first += most)  // a strip of members has those of one row
        for (int64_t b = mine.begin; b < mine.end; b += wide)
            for (int64_t r = first; r < first + most; r += high)
                run_strip(l, w, s, begin, end, size, b, least(mine.end - b, wide), r, least(first + most - r, high), each);
}

template <class T>
inline void run_products(const Layout<T>& l, const Worker<T>& w, const CarouselSegment& g, const Step& s, const Chunk& chunk, Range mine) {
    const int64_t each = g.members && l.walk.each ? l.walk.each : 1;
    if (g.products < g.products_end)
        for_stretches(l, w, s, chunk, mine, each, [&](Range rows) {
            for (int p = g.products; p < g.products_end; ++p) run_product(l, w, p, rows, s.offset < l.scan.leaves);
        });
}

// Its numbers and strips.
template <class T>
inline void run_pointwise(const Layout<T>& l, const Worker<T>& w, const CarouselSegment& g, const Step& s, const Chunk& chunk, Range mine) {
    const int64_t each = g.members && l.walk.each ? l.walk.each : 1;
    if (g.numbers < g.numbers_end)
        for_stretches(l, w, s, chunk, mine, each, [&](Range rows) {
            for (int i = g.numbers; i < g.numbers_end; ++i) run_number(l, w, l.plan.instructions[i], rows, s);
        });
    if (g.hidden == g.single_end) return;
    for_stretches(l, w, s, chunk, mine, each, [&](Range rows) {
        run_strips(l, w, s, g.hidden, g.hidden_end, HIDDEN, rows, each);
        run_strips(l, w, s, g.projection, g.projection_end, PROJECTION, rows, each);
        run_strips(l, w, s, g.further, g.further_end, FURTHER, rows, each);
        run_strips(l, w, s, g.single, g.single_end, SINGLE, rows, each);
    });
}

template <class T>
inline void run_segment(const Layout<T>& l, const Worker<T>& w, const CarouselSegment& g, const Step& s, const Chunk& chunk, Range mine) {
    run_products(l, w, g, s, chunk, mine);
    run_pointwise(l, w, g, s, chunk, mine);
}

}  // namespace
