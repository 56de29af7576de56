// Where the values of a plan's views are: those that stay for a whole call, and those that move from step to step.
#pragma once

#include "layout.h"

namespace carousel::CAROUSEL_ISA {

template <class T> inline void place(Place<T>& to, Ref<T> ref) { to = {ref, ref.block, ref.row, 0}; }

// A row that its members share.
template <class T> inline void place_shared(Place<T>& to, Ref<T> ref) { to = {{ref.at, ref.block, 0}, ref.block, 0, ref.row}; }

template <class T> inline void place_fixed(const Layout<T>& l, const Worker<T>& w) {
    const int64_t padded = l.longest_vector();
    for (int64_t v = 0; v < l.plan.views_count; ++v) {
        const int32_t which = l.plan.views[v].which;
        switch (l.plan.views[v].kind) {
            case LOCAL: w.places[v] = {{w.slots + which * STRIP<T> * BLOCK<T>, 0, BLOCK<T>}, 0, 0, 0}; break;
            case VECTOR: place(w.places[v], {l.vectors[which], BLOCK<T>, 0}); break;
            case CONSTANT: place(w.places[v], {l.constants + which * BLOCK<T>, 0, 0}); break;
            case ROW: place(w.places[v], {w.numbers + which * l.number_rows, 0, 1}); break;
            case COLUMN_SUMS: place(w.places[v], {w.column_sums + which * padded, BLOCK<T>, 0}); break;
        }
    }
}

// Where a step's first row is in a buffer. offset: among those of all steps.
template <class T>
inline int64_t row_of(const Layout<T>& l, const CarouselBuffer& b, int64_t offset, int64_t turn, const Chunk& chunk) {
    if (b.time == TWO) return turn * (b.members ? l.most_edges : l.scan.batch);
    return b.time == ALWAYS ? offset : offset - (b.members ? chunk.first_edge : chunk.first_row);
}

template <class T> inline Ref<T> of_step(const Layout<T>& l, int32_t buffer, const Step& s, const Chunk& chunk) {
    const CarouselBuffer& b = l.plan.buffers[buffer];
    return moved(l.buffers[buffer], row_of(l, b, b.members ? s.first_edge : s.offset, s.turn, chunk));
}

// A state after this step.
template <class T> inline Ref<T> state_after(const Layout<T>& l, int64_t state, const Step& s, const Chunk& chunk) {
    const int32_t i = l.plan.carried[state];
    const CarouselBuffer& b = l.plan.buffers[i];
    return moved(l.buffers[i], row_of(l, b, s.offset * l.rows_each(b), s.turn, chunk));
}

// The place of a view that moves, for row `row` of a step and for those after it that states have in common with it.
template <class T> inline Ref<T> find(const Layout<T>& l, const CarouselView& view, const Step& s, const Chunk& chunk, int64_t row) {
    if (view.kind == BUFFER) {
        if (s.offset < l.scan.leaves && l.childless[view.which]) return {l.childless[view.which], BLOCK<T>, 0};
        return of_step(l, view.which, s, chunk);
    }
    if (view.kind == PREVIOUS) {
        if (row >= s.carried) return l.first[view.which];
        const int32_t i = l.plan.carried[view.which];
        const CarouselBuffer& b = l.plan.buffers[i];
        return moved(l.buffers[i], row_of(l, b, s.carried_offset * l.rows_each(b), 1 - s.turn, chunk));
    }
    // The forward scan came from where this walk goes on to.
    if (row >= s.going_on) return l.forward_first[view.which];
    const int32_t i = l.plan.forward_states[view.which];
    return moved(l.buffers[i], s.going_on_offset * l.rows_each(l.plan.buffers[i]));
}

// Places all moving views for the rows from `row` on, up to the next row where a state begins or ends, unless they are.
template <class T> inline void place_moving(const Layout<T>& l, const Worker<T>& w, const Step& s, const Chunk& chunk, int64_t row) {
    const int64_t stretch = (row >= s.carried) + 2 * (row >= s.going_on);
    const Placed now{s.offset, s.turn, s.carried_offset, s.going_on_offset, chunk.first_row, stretch};
    if (*w.placed == now) return;
    *w.placed = now;
    for (int64_t i = 0; i < l.moving_count; ++i) {
        const CarouselView& view = l.plan.views[l.moving[i]];
        (view.of_row ? place_shared<T> : place<T>)(w.places[l.moving[i]], find(l, view, s, chunk, row));
    }
}

// Calls work(rows) for the stretches of `mine` in which every state has one place. each: as `mine` counts them, a row of the
// step has so many.
template <class T, class Work>
inline void for_stretches(const Layout<T>& l, const Worker<T>& w, const Step& s, const Chunk& chunk, Range mine, int64_t each, Work work) {
    int64_t row = mine.begin;
    while (row < mine.end) {
        int64_t end = mine.end;
        const int64_t carried = s.carried * each, going_on = s.going_on * each;
        if (row < carried && carried < end) end = carried;
        if (l.plan.forward_states_count && row < going_on && going_on < end) end = going_on;
        place_moving(l, w, s, chunk, row / each);
        work(Range{row, end});
        row = end;
    }
}

// Whether a view's values lie in panels, and not in rows as torch stores them.
template <class T> inline bool is_panel(const Layout<T>& l, int view) {
    const CarouselView& v = l.plan.views[view];
    const int32_t buffer = v.kind == BUFFER ? v.which : v.kind == PREVIOUS ? l.plan.carried[v.which] : l.plan.forward_states[v.which];
    return l.plan.buffers[buffer].layout == PANEL;
}

}  // namespace
