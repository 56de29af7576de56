// The engine for one instruction set: CMakeLists.txt compiles this file once for each.
//
// Nothing here may be an inline function of the standard library that the linker could share with another instruction
// set's copy: hence plain arrays, and our own names inside a namespace per instruction set.
#include "scan_backward.h"
#include "stepping.h"
#include "table.h"

namespace carousel::CAROUSEL_ISA {

template <class T, template <class> class Direction> void run(const CarouselScan& scan) {
    Arena arena{reinterpret_cast<uintptr_t>(scan.workspace)};
    Direction<T> direction(scan, arena);
    run_team(scan.alone ? 1 : scan.threads, [&](int thread, int threads, Barrier& meeting) { direction.run(thread, threads, meeting); });
}

template <class T, template <class> class Direction> int64_t workspace(const CarouselScan& scan) {
    Arena arena{0};
    Direction<T> direction(scan, arena);
    return arena.used;
}

// Scans that share nothing but a team, of whose threads each runs its own.
template <class T, template <class> class Direction> void run_each(const CarouselScan* scans, int64_t count, bool alone) {
    run_team(alone ? 1 : int(count), [&](int thread, int threads, Barrier&) {
        for (int64_t i = thread; i < count; i += threads) {
            Arena arena{reinterpret_cast<uintptr_t>(scans[i].workspace)};
            Direction<T> direction(scans[i], arena);
            Barrier own(1);
            direction.run(0, 1, own);
        }
    });
}

template <class T> bool by_units(const CarouselScan& scan) {
    Arena arena{0};
    return Forward<T>(scan, arena).machine.layout.by_units;
}

template <class T> int64_t saved_width(const CarouselPlan& plan, const int64_t* units, bool members) {
    int64_t blocks[SIZES];
    for (int s = 0; s < SIZES; ++s) blocks[s] = blocks_of<T>(units[s]);
    int64_t width = 0;
    for (int64_t i = 0; i < plan.buffers_count; ++i)
        if (plan.buffers[i].place == SAVED && (plan.buffers[i].members != 0) == members) width += width_of<T>(plan.buffers[i], blocks);
    return width;
}

template <class T> constexpr StepperTable stepper_table() {
    using S = Stepping<T>;
    return {&S::workspace, &S::open, &S::begin, &S::step, &S::states};
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

// FMA limit: independent chains, as many as hide the latency, each vector a name of its own so that it stays in a register.
template <class T> double multiply_add_many(int64_t turns) {
    // All begin differently, or the compiler would do the work once for all.
    Vec<T> s0 = all(T(0)), s1 = all(T(1)), s2 = all(T(2)), s3 = all(T(3)), s4 = all(T(4));
    Vec<T> s5 = all(T(5)), s6 = all(T(6)), s7 = all(T(7)), s8 = all(T(8)), s9 = all(T(9));
    Vec<T> a = all(T(0.999)), b = all(T(0.001));
    for (int64_t n = 0; n < turns; ++n) {
        s0 = s0 * a + b, s1 = s1 * a + b, s2 = s2 * a + b, s3 = s3 * a + b, s4 = s4 * a + b;
        s5 = s5 * a + b, s6 = s6 * a + b, s7 = s7 * a + b, s8 = s8 * a + b, s9 = s9 * a + b;
    }
    return double(sum_of_lanes<T>(s0 + s1 + s2 + s3 + s4 + s5 + s6 + s7 + s8 + s9));
}

// Reads `count` floats, a multiple of BLOCK, and adds them up: as fast as they come from where they are.
template <class T> double read_all(const T* from, int64_t count) {
    Vec<T> s[VECTORS] = {};
    for (int64_t i = 0; i < count; i += BLOCK<T>)
        for (int v = 0; v < VECTORS; ++v) s[v] += load(from + i + v * lanes<T>);
    for (int v = 1; v < VECTORS; ++v) s[0] += s[v];
    return double(sum_of_lanes<T>(s[0]));
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
    &has_dots,
    {&run<float, Forward>, &run<double, Forward>},
    {&run<float, Backward>, &run<double, Backward>},
    {&run_each<float, Forward>, &run_each<double, Forward>},
    {&run_each<float, Backward>, &run_each<double, Backward>},
    {&workspace<float, Forward>, &workspace<double, Forward>},
    {&workspace<float, Backward>, &workspace<double, Backward>},
    {&by_units<float>, &by_units<double>},
    {stepper_table<float>(), stepper_table<double>()},
    {&saved_width<float>, &saved_width<double>},
    &apply<float>,
    &apply<double>,
    &multiply_add_many<float>,
    &read_all<float>,
    10 * lanes<float> * 2,
};

}  // namespace
