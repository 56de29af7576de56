// The engine for one instruction set: CMakeLists.txt compiles this file once for each.
//
// Nothing here may be an inline function of the standard library that the linker could share with another instruction
// set's copy: hence plain arrays, and our own names inside a namespace per instruction set.
#include "scan_backward.h"
#include "scan_forward.h"
#include "table.h"

namespace carousel::CAROUSEL_ISA {

template <class T, template <class> class Direction> void run(const CarouselScan& scan) {
    Arena arena{reinterpret_cast<uintptr_t>(scan.workspace)};
    Direction<T> direction(scan, arena);
    run_team(scan.threads, [&](int thread, int threads, Barrier& meeting) { direction.run(thread, threads, meeting); });
}

template <class T, template <class> class Direction> int64_t workspace(const CarouselScan& scan) {
    Arena arena{0};
    Direction<T> direction(scan, arena);
    return arena.used;
}

template <class T> int64_t saved_width(const CarouselPlan& plan, int64_t hidden, int64_t projection) {
    const int64_t blocks[2] = {(hidden + BLOCK<T> - 1) / BLOCK<T>, (projection + BLOCK<T> - 1) / BLOCK<T>};
    int64_t width = 0;
    for (int64_t i = 0; i < plan.buffers_count; ++i)
        if (plan.buffers[i].place == SAVED) width += Machine<T>::saved_width(plan.buffers[i], blocks);
    return width;
}

// One op over `count` numbers, a multiple of BLOCK: for tests of accuracy.
template <class T> void apply(int op, int64_t count, const T* a, const T* b, const T* c, T* result) {
    for (int64_t i = 0; i < count; i += BLOCK<T>) {
        const Ref<T> refs[4] = {{result + i, 0, 0},
                                {const_cast<T*>(a + i), 0, 0},
                                {const_cast<T*>(b + i), 0, 0},
                                {const_cast<T*>(c + i), 0, 0}};
        Kernels<T>::table[op](1, 1, refs);
    }
}

// FMA limit: independent chains in registers, as many as hide the latency.
template <class T> double multiply_add_many(int64_t turns) {
    Vec<T> sum[12];
    for (int i = 0; i < 12; ++i) sum[i] = all(T(i));
    Vec<T> a = all(T(0.999)), b = all(T(0.001));
    for (int64_t n = 0; n < turns; ++n) {
#pragma GCC unroll 12
        for (int i = 0; i < 12; ++i) {
            sum[i] = sum[i] * a + b;
            CAROUSEL_OPAQUE(sum[i]);
        }
    }
    T total = 0;
    for (int i = 0; i < 12; ++i) total += sum_of_lanes<T>(sum[i]);
    return double(total);
}

const char* op_name(int op) {
    static const char* const names[] = {
#define CAROUSEL_TEXT(name, arity, value) #name,
        CAROUSEL_OPS(CAROUSEL_TEXT)
#undef CAROUSEL_TEXT
    };
    return op >= 0 && op < POINTWISE_OPS ? names[op] : nullptr;
}

int op_arity(int op) { return op >= 0 && op < POINTWISE_OPS ? ARITIES[op] : -1; }

extern const EngineTable table;
const EngineTable table = {
    &op_name,
    &op_arity,
    {BLOCK<float>, BLOCK<double>},
    {&run<float, Forward>, &run<double, Forward>},
    {&run<float, Backward>, &run<double, Backward>},
    {&workspace<float, Forward>, &workspace<double, Forward>},
    {&workspace<float, Backward>, &workspace<double, Backward>},
    {&saved_width<float>, &saved_width<double>},
    &apply<float>,
    &apply<double>,
    &multiply_add_many<float>,
    12 * lanes<float> * 2,
};

}  // namespace
