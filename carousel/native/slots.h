// Members of which every row has as many, as a memory has slots: those of row r are r * each, r * each + 1, ...
//
// Threads divide rows, and a stretch of members begins and ends with those of a row.
#pragma once

#include "edges.h"

namespace carousel::CAROUSEL_ISA {

// to = op over a vector of `count` rows, one after another, and over `to` unless it is the first to come. Four rows at a
// time, since each op waits for the one before. at(m): the vector of row m.
template <class T, class At, class F> inline void gather_rows(T* to, bool first, int count, At at, F f) {
    Vec<T> whole = first ? at(0) : f(load(to), at(0));
    int m = 1;
    for (; m + 4 <= count; m += 4) whole = f(whole, f(f(at(m), at(m + 1)), f(at(m + 2), at(m + 3))));
    for (; m < count; ++m) whole = f(whole, at(m));
    store(to, whole);
}

// The same for a strip: d is the row that its members gather to.
template <class T, class At, class F> inline void gather_strip(int blocks, int rows, bool first, Ref<T> d, At at, F f) {
    for (int i = 0; i < blocks; ++i)
        for (int v = 0; v < VECTORS; ++v) gather_rows<T>(d.at + i * d.block + v * lanes<T>, first, rows, [&](int m) { return at(i, m, v); }, f);
}

// d += the sum over a strip's members of a * b; number: a has one number for each.
template <class T> inline void add_products(int blocks, int rows, bool first, Ref<T> d, Ref<T> a, Ref<T> b, bool number) {
    const auto plus = [](Vec<T> x, Vec<T> y) { return x + y; };
    if (number)
        gather_strip<T>(blocks, rows, first, d, [&](int i, int m, int v) { return all(a.at[m]) * vector_of_strip(b, i, m, v); }, plus);
    else
        gather_strip<T>(blocks, rows, first, d, [&](int i, int m, int v) { return vector_of_strip(a, i, m, v) * vector_of_strip(b, i, m, v); }, plus);
}

// A place among the members of rows, which moves from one to the next.
struct Slot {
    int64_t each, row, slot;  // how many a row has; whose member it is, and which of its members

    Slot(int64_t each, int64_t member) : each(each), row(member / each), slot(member % each) {}

    void next() {
        if (++slot == each) slot = 0, ++row;
    }

    // The member from which ROLL and ROLL_BACK take what this one receives.
    int64_t rolled(int op) const {
        if (op == ROLL) return row * each + (slot == 0 ? each - 1 : slot - 1);
        return row * each + (slot + 1 == each ? 0 : slot + 1);
    }
};

// d = op(a) for a strip of `wide` blocks from `block` on, and `high` rows from `row` on; `units` are left from its first
// block on. mine: a for the strip, the members of a row that d belongs to. a: at row 0 of the step and block 0.
template <class T>
inline void run_across_slots(int op, int64_t each, int64_t block, int64_t row, int wide, int high, int64_t units, Ref<T> d, Ref<T> mine, Ref<T> a) {
    const Slot first(each, row);
    const auto gather = [&](auto f) {
        gather_strip<T>(wide, high, first.slot == 0, d, [&](int i, int m, int v) { return vector_of_strip(mine, i, m, v); }, f);
    };
    if (op == TOTAL) return gather([](Vec<T> x, Vec<T> y) { return x + y; });
    if (op == GREATEST) return gather(greater<T>);
    for (int i = 0; i < wide; ++i, units -= BLOCK<T>) {
        const int count = int(units < BLOCK<T> ? units : BLOCK<T>);
        const int64_t unit = (block + i) * BLOCK<T>;
        const T* from = a.at + (block + i) * a.block;
        Slot at = first;
        for (int r = 0; r < high; ++r, at.next()) {
            T* to = d.at + i * d.block + r * d.row;
            switch (op) {
                case ROLL: case ROLL_BACK: std::memcpy(to, from + at.rolled(op) * a.row, BLOCK<T> * sizeof(T)); break;
                case TRANSPOSE:
                    for (int u = 0; u < BLOCK<T>; ++u)
                        to[u] = u < count ? a.at[at.slot / BLOCK<T> * a.block + (at.row * each + unit + u) * a.row + at.slot % BLOCK<T>] : T(0);
                    break;
                case AS_ROW:
                    for (int u = 0; u < BLOCK<T>; ++u) to[u] = u < count ? a.at[(row + r) * each + unit + u] : T(0);
                    break;
            }
        }
    }
}

template <class T, class F, class G> inline T gather_numbers(const T* a, int64_t count, F f, G g) {
    if (count < lanes<T>) {
        T whole = a[0];
        for (int64_t m = 1; m < count; ++m) whole = g(whole, a[m]);
        return whole;
    }
    Vec<T> some = load(a);
    int64_t m = lanes<T>;
    for (; m + lanes<T> <= count; m += lanes<T>) some = f(some, load(a + m));
    T whole = some[0];
    for (int i = 1; i < lanes<T>; ++i) whole = g(whole, some[i]);
    for (; m < count; ++m) whole = g(whole, a[m]);
    return whole;
}

// The same of one number for each: d at the first of `rows`, a at row 0 of the step.
template <class T> inline void across_slots(int op, int64_t each, Range rows, T* d, Ref<T> a) {
    const auto over_rows = [&](auto give) {  // of an op that gives members: give(to, r) for those of each row
        for (int64_t r = rows.begin / each; r < rows.end / each; ++r, d += each) give(d, r);
    };
    switch (op) {
        case SPREAD:
            return over_rows([&](T* to, int64_t r) {
                for (int64_t m = 0; m < each; ++m) to[m] = a.at[r];
            });
        case ROLL:
            return over_rows([&](T* to, int64_t r) {
                to[0] = a.at[r * each + each - 1];
                std::memcpy(to + 1, a.at + r * each, (each - 1) * sizeof(T));
            });
        case ROLL_BACK:
            return over_rows([&](T* to, int64_t r) {
                std::memcpy(to, a.at + r * each + 1, (each - 1) * sizeof(T));
                to[each - 1] = a.at[r * each];
            });
        case AS_MEMBERS:
            return over_rows([&](T* to, int64_t r) {
                for (int64_t m = 0; m < each; m += BLOCK<T>)
                    std::memcpy(to + m, a.at + m / BLOCK<T> * a.block + r * a.row, (each - m < BLOCK<T> ? each - m : BLOCK<T>) * sizeof(T));
            });
        case TOTAL:
            for (int64_t r = rows.begin; r < rows.end; ++r)
                *d++ = gather_numbers<T>(a.at + r * each, each, [](Vec<T> x, Vec<T> y) { return x + y; }, [](T x, T y) { return x + y; });
            return;
        case GREATEST:
            for (int64_t r = rows.begin; r < rows.end; ++r) *d++ = gather_numbers<T>(a.at + r * each, each, greater<T>, larger<T>);
            return;
    }
}

}  // namespace
