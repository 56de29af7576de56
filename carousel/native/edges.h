// Scans over trees: what a step goes on from are rows of any steps before it, its children's.
//
// Edges are sorted by the row whose children they lead to, so that those of a step, and of a chunk of steps, lie
// together as its rows do. All else is the walk over time: a step reads panels, whoever has filled them.
#pragma once

#include "places.h"

namespace carousel::CAROUSEL_ISA {

// The row that a gather reads for row `at` of all nodes; of members, for edge `at`. -1 if there is no such child.
inline int64_t source_of(const CarouselScan& scan, const CarouselGather& g, int64_t at) {
    if (g.slot < 0) return scan.sources[at];
    const int64_t edge = scan.first_edge[at] + g.slot;
    return edge < scan.first_edge[at + 1] ? scan.sources[edge] : -1;
}

template <class T> inline Ref<T> child_of(const Layout<T>& l, const CarouselGather& g, int64_t at) {
    const int64_t row = source_of(l.scan, g, at);
    return row < 0 ? Ref<T>{l.absent[g.state], BLOCK<T>, 0} : moved(l.buffers[g.nodes], row);
}

// The states of a step's children, to its panel. Of leaves one row stands for all, which `find` knows.
template <class T> inline void gather(const Layout<T>& l, const CarouselGather& g, const Step& s, const Chunk& chunk) {
    if (g.panel < 0 || s.offset < l.scan.leaves) return;
    const Ref<T> to = of_step(l, g.panel, s, chunk);
    const int size = l.plan.state_sizes[g.state];
    const int64_t rows = g.slot < 0 ? s.edges : s.rows, first = g.slot < 0 ? s.first_edge : s.offset;
    for (int64_t r = 0; r < rows; ++r)
        copy_units(moved(to, r), child_of(l, g, first + r), int(l.blocks[size]), 1, l.units[size], true);
}

template <class T> inline void add_to(T* to, const T* from) {
    for (int v = 0; v < VECTORS; ++v) store(to + v * lanes<T>, load(to + v * lanes<T>) + load(from + v * lanes<T>));
}

// Its panel, added to the gradients of the children's states, in the order of the edges.
template <class T> inline void scatter(const Layout<T>& l, const CarouselGather& g, const Step& s, const Chunk& chunk) {
    if (s.offset < l.scan.leaves) return;
    const Ref<T> from = of_step(l, g.panel, s, chunk);
    const int size = l.plan.state_sizes[g.state];
    const int64_t rows = g.slot < 0 ? s.edges : s.rows, first = g.slot < 0 ? s.first_edge : s.offset;
    T* of_first = static_cast<T*>(l.scan.grad_first[g.state]);
    for (int64_t r = 0; r < rows; ++r) {
        const int64_t row = source_of(l.scan, g, first + r);
        const Ref<T> mine = moved(from, r);
        if (row >= 0) {
            const Ref<T> to = moved(l.buffers[g.nodes], row);
            for (int64_t b = 0; b < l.blocks[size]; ++b) add_to(to.at + b * to.block, mine.at + b * mine.block);
        } else if (of_first) {
            for (int64_t u = 0; u < l.units[size]; ++u) of_first[u] += mine.at[u / BLOCK<T> * mine.block + u % BLOCK<T>];
        }
    }
}

// The greater of two, unit by unit; NaN goes through.
template <class T> inline Vec<T> greater(Vec<T> a, Vec<T> b) { return select<T>((b > a) | (b != b), b, a); }

// d = op(a) for a strip whose first row is `row` of the step's, its members' if op is SPREAD. a: at row 0 of the step.
template <class T> inline void run_across(int op, const Layout<T>& l, const Step& s, int64_t row, int wide, int high, Ref<T> d, Ref<T> a) {
    if (op == SPREAD) {
        const int64_t* reader = l.scan.readers + s.first_edge + row;
        for (int r = 0; r < high; ++r) copy_units(moved(d, r), moved(a, reader[r] - s.offset), wide, 1, int64_t(wide) * BLOCK<T>, false);
        return;
    }
    const int64_t* edge = l.scan.first_edge + s.offset + row;
    for (int r = 0; r < high; ++r)
        for (int i = 0; i < wide; ++i) {
            Vec<T> whole[VECTORS] = {};
            for (int64_t e = edge[r]; e < edge[r + 1]; ++e) {
                const T* from = a.at + i * a.block + (e - s.first_edge) * a.row;
                for (int v = 0; v < VECTORS; ++v) {
                    const Vec<T> one = load(from + v * lanes<T>);
                    whole[v] = e == edge[r] ? one : op == TOTAL ? whole[v] + one : greater<T>(whole[v], one);
                }
            }
            for (int v = 0; v < VECTORS; ++v) store(d.at + i * d.block + r * d.row + v * lanes<T>, whole[v]);
        }
}

// The same of one number for each row and each member.
template <class T> inline void across_numbers(int op, const Layout<T>& l, const Step& s, Range rows, T* d, const T* a) {
    for (int64_t r = rows.begin; r < rows.end; ++r, ++d) {
        if (op == SPREAD) {
            *d = a[l.scan.readers[s.first_edge + r] - s.offset];
            continue;
        }
        const int64_t* edge = l.scan.first_edge + s.offset + r;
        *d = 0;
        for (int64_t e = edge[0]; e < edge[1]; ++e) {
            const T one = a[e - s.first_edge];
            *d = e == edge[0] ? one : op == TOTAL ? *d + one : larger(*d, one);
        }
    }
}

// The first input of row `row` or later.
inline int64_t first_given(const CarouselScan& scan, int64_t row) {
    int64_t low = 0, high = scan.given;
    while (low < high) {
        const int64_t middle = (low + high) / 2;
        if (scan.at[middle] < row) low = middle + 1;
        else high = middle;
    }
    return low;
}

// Calls work(rows, away) for the rows of x that belong to rows `mine` of a chunk, wherever both follow one another: row r of
// x is row r + away of the chunk. Where every row has an input, x is the chunk's own, and nothing is away.
template <class Work> inline void for_runs(const CarouselScan& scan, const Chunk& c, Range mine, Work work) {
    if (!scan.at) return work(mine, int64_t(0));
    for (int64_t j = first_given(scan, c.first_row + mine.begin), end; j < scan.given && scan.at[j] < c.first_row + mine.end; j = end) {
        for (end = j + 1; end < scan.given && scan.at[end] == scan.at[end - 1] + 1 && scan.at[end] < c.first_row + mine.end;) ++end;
        work(Range{j, end}, scan.at[j] - c.first_row - j);
    }
}

}  // namespace
