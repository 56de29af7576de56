// Pointwise ops over strips: a few rows of a few blocks of units, small enough that all values of a strip stay in L1.
#pragma once

#include "memory.h"
#include "ops.h"
#include "plan.h"
#include "thresholds.h"

namespace carousel::CAROUSEL_ISA {

template <class T> constexpr int STRIP = STRIP_BYTES / int(sizeof(T)) / BLOCK<T>;  // rows of one block in a strip

// dst = op(a, b, c) over `blocks` blocks of `rows` rows. NUMBER: a has one number per row, for every unit.
template <class T> using Kernel = void (*)(int blocks, int rows, const Ref<T>* refs);

template <class T, int ARITY, bool NUMBER, class F> inline void over_strip(int blocks, int rows, const Ref<T>* refs, F f) {
    const Ref<T> d = refs[0], a = refs[1], b = refs[ARITY > 1 ? 2 : 1], c = refs[ARITY > 2 ? 3 : 1];
    for (int i = 0; i < blocks; ++i) {
        T* pd = d.at + i * d.block;
        const T *pa = a.at + i * a.block, *pb = b.at + i * b.block, *pc = c.at + i * c.block;
        for (int r = 0; r < rows; ++r) {
            Vec<T> result[VECTORS];
            const Vec<T> number = NUMBER ? all(*pa) : Vec<T>{};
#pragma GCC unroll 8
            for (int v = 0; v < VECTORS; ++v)
                result[v] = f(NUMBER ? number : load(pa + v * lanes<T>), ARITY > 1 ? load(pb + v * lanes<T>) : Vec<T>{},
                              ARITY > 2 ? load(pc + v * lanes<T>) : Vec<T>{});
#pragma GCC unroll 8
            for (int v = 0; v < VECTORS; ++v) store(pd + v * lanes<T>, result[v]);
            pd += d.row, pa += a.row, pb += b.row, pc += c.row;
        }
    }
}

#define CAROUSEL_KERNEL(name, arity, value)                                                  \
    template <class T, bool NUMBER = false> void kernel_##name(int blocks, int rows, const Ref<T>* refs) {  \
        over_strip<T, arity, NUMBER>(blocks, rows, refs,                                             \
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

// Those whose first operand may be a number per row; others take rows, to which EXPAND leads.
#define CAROUSEL_OF_NUMBER(OP) OP(add) OP(sub) OP(mul) OP(gt) OP(ge) OP(lt) OP(le) OP(eq) OP(ne) OP(mul_add) OP(mul_sub)

template <class T> inline void of_number(int op, int blocks, int rows, const Ref<T>* refs) {
    switch (op) {
#define CAROUSEL_CASE(name) case OP_##name: return kernel_##name<T, true>(blocks, rows, refs);
        CAROUSEL_OF_NUMBER(CAROUSEL_CASE)
#undef CAROUSEL_CASE
    }
}

constexpr int ARITIES[POINTWISE_OPS] = {
#define CAROUSEL_ARITY(name, arity, value) arity,
    CAROUSEL_OPS(CAROUSEL_ARITY)
#undef CAROUSEL_ARITY
};

}  // namespace
