// Pointwise ops over strips: a few rows of a few blocks of units, small enough that all values of a strip stay in L1.
#pragma once

#include "ops.h"
#include "plan.h"

namespace carousel::CAROUSEL_ISA {

constexpr int STRIP_BYTES = 4096;
template <class T> constexpr int STRIP = STRIP_BYTES / int(sizeof(T)) / BLOCK<T>;  // rows of one block in a strip

// Rows of blocks of units in memory: unit u of block b of row r is at[b * block + r * row + u].
template <class T> struct Ref {
    T* at;
    ptrdiff_t block, row;
};

// dst = op(a, b, c) over `blocks` blocks of `rows` rows.
template <class T> using Kernel = void (*)(int blocks, int rows, const Ref<T>* refs);

template <class T, int ARITY, class F> inline void over_strip(int blocks, int rows, const Ref<T>* refs, F f) {
    const Ref<T> d = refs[0], a = refs[1], b = refs[ARITY > 1 ? 2 : 1], c = refs[ARITY > 2 ? 3 : 1];
    for (int i = 0; i < blocks; ++i) {
        T* pd = d.at + i * d.block;
        const T *pa = a.at + i * a.block, *pb = b.at + i * b.block, *pc = c.at + i * c.block;
        for (int r = 0; r < rows; ++r) {
            Vec<T> result[VECTORS];
#pragma GCC unroll 8
            for (int v = 0; v < VECTORS; ++v)
                result[v] = f(load(pa + v * lanes<T>), ARITY > 1 ? load(pb + v * lanes<T>) : Vec<T>{},
                              ARITY > 2 ? load(pc + v * lanes<T>) : Vec<T>{});
#pragma GCC unroll 8
            for (int v = 0; v < VECTORS; ++v) store(pd + v * lanes<T>, result[v]);
            pd += d.row, pa += a.row, pb += b.row, pc += c.row;
        }
    }
}

#define CAROUSEL_KERNEL(name, arity, value)                                                  \
    template <class T> void kernel_##name(int blocks, int rows, const Ref<T>* refs) {        \
        over_strip<T, arity>(blocks, rows, refs,                                             \
                             [](Vec<T> a, [[maybe_unused]] Vec<T> b, [[maybe_unused]] Vec<T> c) -> Vec<T> { return value; }); \
    }
CAROUSEL_OPS(CAROUSEL_KERNEL)
#undef CAROUSEL_KERNEL

template <class T> struct Kernels {
    static constexpr Kernel<T> table[POINTWISE_OPS] = {
#define CAROUSEL_ENTRY(name, arity, value) &kernel_##name<T>,
        CAROUSEL_OPS(CAROUSEL_ENTRY)
#undef CAROUSEL_ENTRY
    };
};

constexpr int ARITIES[POINTWISE_OPS] = {
#define CAROUSEL_ARITY(name, arity, value) arity,
    CAROUSEL_OPS(CAROUSEL_ARITY)
#undef CAROUSEL_ARITY
};

// dst[unit] = a, for every unit: a has one number per row.
template <class T> inline void expand(int blocks, int rows, Ref<T> dst, const T* a) {
    for (int i = 0; i < blocks; ++i)
        for (int r = 0; r < rows; ++r) {
            const Vec<T> x = all(a[r]);
            for (int v = 0; v < VECTORS; ++v) store(dst.at + i * dst.block + r * dst.row + v * lanes<T>, x);
        }
}

template <class T> inline T larger(T a, T b) { return b > a || b != b ? b : a; }

// dst[row] = the sum of a over the units of each block; `units` of the last block exist, the rest is padding.
template <class T> inline void partial_sum(int blocks, int rows, T* dst, ptrdiff_t dst_block, Ref<T> a, int64_t units) {
    for (int i = 0; i < blocks; ++i, units -= BLOCK<T>)
        for (int r = 0; r < rows; ++r) {
            const T* p = a.at + i * a.block + r * a.row;
            T total;
            if (units >= BLOCK<T>) {
                Vec<T> sum = load(p);
                for (int v = 1; v < VECTORS; ++v) sum += load(p + v * lanes<T>);
                total = sum_of_lanes<T>(sum);
            } else {
                total = 0;
                for (int64_t u = 0; u < units; ++u) total += p[u];
            }
            dst[i * dst_block + r] = total;
        }
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
    for (int i = 0; i < blocks; ++i) {
        const T* p = a.at + i * a.block;
        Vec<T> total[VECTORS];
        for (int v = 0; v < VECTORS; ++v) total[v] = load(p + v * lanes<T>);
        for (int r = 1; r < rows; ++r)
            for (int v = 0; v < VECTORS; ++v) total[v] += load(p + r * a.row + v * lanes<T>);
        T* s = sums + i * BLOCK<T>;
        for (int v = 0; v < VECTORS; ++v) store(s + v * lanes<T>, load(s + v * lanes<T>) + total[v]);
    }
}

}  // namespace
