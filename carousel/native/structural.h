// Structural ops over strips: what goes across units or rows, and between strips and other layouts of memory.
#pragma once

#include "interpreter.h"
#include "pairs.h"

namespace carousel::CAROUSEL_ISA {

// dst[unit] = a, for every unit: a has one number per row.
template <class T> inline void expand(int blocks, int rows, Ref<T> dst, const T* a) {
    for (int i = 0; i < blocks; ++i)
        for (int r = 0; r < rows; ++r) {
            const Vec<T> x = all(a[r]);
            for (int v = 0; v < VECTORS; ++v) store(dst.at + i * dst.block + r * dst.row + v * lanes<T>, x);
        }
}

template <class T> inline T larger(T a, T b) { return b > a || b != b ? b : a; }

// dst[row] = the sum over the units of each block of what `at(i, r, v)` is in vector v of row r of block i; `units` of the
// last block exist, the rest is padding.
template <class T, class At> inline void partial_sums(int blocks, int rows, T* dst, ptrdiff_t dst_block, int64_t units, At at) {
    for (int i = 0; i < blocks; ++i, units -= BLOCK<T>) {
        Ints<T> exists[VECTORS];
        for (int u = 0; u < BLOCK<T>; ++u) exists[u / lanes<T>][u % lanes<T>] = u < units ? -1 : 0;
        for (int r = 0; r < rows; ++r) {
            Vec<T> sum = select<T>(exists[0], at(i, r, 0), Vec<T>{});
            for (int v = 1; v < VECTORS; ++v) sum += select<T>(exists[v], at(i, r, v), Vec<T>{});
            dst[i * dst_block + r] = sum_of_lanes<T>(sum);
        }
    }
}

template <class T> inline Vec<T> vector_of_strip(Ref<T> a, int block, int row, int v) { return load(a.at + block * a.block + row * a.row + v * lanes<T>); }

template <class T> inline void partial_sum(int blocks, int rows, T* dst, ptrdiff_t dst_block, Ref<T> a, int64_t units) {
    partial_sums<T>(blocks, rows, dst, dst_block, units, [&](int i, int r, int v) { return vector_of_strip(a, i, r, v); });
}

// The same of a * b.
template <class T> inline void partial_dot(int blocks, int rows, T* dst, ptrdiff_t dst_block, Ref<T> a, Ref<T> b, int64_t units) {
    partial_sums<T>(blocks, rows, dst, dst_block, units,
                    [&](int i, int r, int v) { return vector_of_strip(a, i, r, v) * vector_of_strip(b, i, r, v); });
}

// dst[row] = the largest number of a in each block, as partial_sum. NaN goes through.
template <class T> inline void partial_highest(int blocks, int rows, T* dst, ptrdiff_t dst_block, Ref<T> a, int64_t units) {
    for (int i = 0; i < blocks; ++i, units -= BLOCK<T>)
        for (int r = 0; r < rows; ++r) {
            const T* p = a.at + i * a.block + r * a.row;
            T highest = p[0];
            for (int64_t u = 1; u < (units < BLOCK<T> ? units : BLOCK<T>); ++u) highest = larger(highest, p[u]);
            dst[i * dst_block + r] = highest;
        }
}

// sums[unit] += the sum of a over the rows.
template <class T> inline void add_columns(int blocks, int rows, T* sums, Ref<T> a) {
    for (int i = 0; i < blocks && rows > 0; ++i) {
        const T* p = a.at + i * a.block;
        Vec<T> total[VECTORS];
        for (int v = 0; v < VECTORS; ++v) total[v] = load(p + v * lanes<T>);
        for (int r = 1; r < rows; ++r)
            for (int v = 0; v < VECTORS; ++v) total[v] += load(p + r * a.row + v * lanes<T>);
        T* s = sums + i * BLOCK<T>;
        for (int v = 0; v < VECTORS; ++v) store(s + v * lanes<T>, load(s + v * lanes<T>) + total[v]);
    }
}

// Copies the units that exist; `pad` fills the rest of the last block with zeros.
template <class T> inline void copy_units(Ref<T> d, Ref<T> a, int wide, int high, int64_t units, bool pad) {
    for (int i = 0; i < wide; ++i, units -= BLOCK<T>)
        for (int r = 0; r < high; ++r) {
            T* to = d.at + i * d.block + r * d.row;
            const T* from = a.at + i * a.block + r * a.row;
            if (units >= BLOCK<T>) {
                for (int v = 0; v < VECTORS; ++v) store(to + v * lanes<T>, load(from + v * lanes<T>));
                continue;
            }
            const int count = int(units);
            std::memcpy(to, from, count * sizeof(T));
            if (pad)
                for (int u = count; u < BLOCK<T>; ++u) to[u] = 0;
        }
}

// To or from bfloat16, which only plans in float have.
template <class T> inline void copy_halves(Ref<T> d, Ref<T> a, int wide, int high, void (*copy)(const float* from, float* to)) {
    if constexpr (sizeof(T) == sizeof(float))
        for (int i = 0; i < wide; ++i)
            for (int r = 0; r < high; ++r) copy(a.at + i * a.block + r * a.row, d.at + i * d.block + r * d.row);
}

// d = op(a) over a strip of `wide` blocks and `high` rows; `units` are left from its first block on.
template <class T> inline void run_structural(int op, int wide, int high, Ref<T> d, Ref<T> a, int64_t units) {
    switch (op) {
        case EXPAND: expand<T>(wide, high, d, a.at); break;
        case PARTIAL_HIGHEST: partial_highest<T>(wide, high, d.at, d.block, a, units); break;
        case PARTIAL_SUM: partial_sum<T>(wide, high, d.at, d.block, a, units); break;
        case ADD_COLUMNS: add_columns<T>(wide, high, d.at, a); break;
        case LOAD_ROWS: copy_units(d, a, wide, high, units, true); break;
        case STORE_ROWS: copy_units(d, a, wide, high, units, false); break;
        case LOAD_HALVES: copy_halves(d, a, wide, high, load_halves); break;
        case STORE_HALVES: copy_halves(d, a, wide, high, store_halves); break;
    }
}

}  // namespace
