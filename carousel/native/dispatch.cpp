// The library's face: plain C functions. The instruction set is an index into ISAS, chosen by the caller.
#include "table.h"

#include <unistd.h>

#if defined(__linux__)
#include <sys/mman.h>
#endif

#ifdef _OPENMP
#include <omp.h>
#endif

namespace carousel {
namespace portable { extern const EngineTable table; }
#ifdef CAROUSEL_X86
namespace avx2 { extern const EngineTable table; }
namespace avx512 { extern const EngineTable table; }
#endif

namespace {

struct Isa {
    const char* name;
    const EngineTable* table;
    bool (*runs_here)();
};

const Isa ISAS[] = {
#ifdef CAROUSEL_X86
    {"avx512", &avx512::table,
     [] {
         return __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512dq") &&
                __builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512vl") && __builtin_cpu_supports("fma");
     }},
    {"avx2", &avx2::table, [] { return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma"); }},
#endif
    {"portable", &portable::table, [] { return true; }},
};
constexpr int COUNT = sizeof ISAS / sizeof ISAS[0];

const pid_t first_process = getpid();

// OpenMP's pool does not survive a fork; a child works alone.
bool alone() {
#if defined(_OPENMP) || defined(CAROUSEL_STD_THREADS)
    return getpid() != first_process;
#else
    return true;
#endif
}

CarouselScan allowed(const CarouselScan* scan) {
    CarouselScan s = *scan;
    s.alone = alone();
    return s;
}

const StepperTable& stepper_of(int isa, const CarouselScan* scan) { return ISAS[isa].table->stepper[scan->is_double]; }

}  // namespace
}  // namespace carousel

using namespace carousel;

#define CAROUSEL_API extern "C" __attribute__((visibility("default")))

// Instruction sets, best first; null past the end.
CAROUSEL_API const char* carousel_isa_name(int isa) { return isa >= 0 && isa < COUNT ? ISAS[isa].name : nullptr; }
CAROUSEL_API int carousel_isa_runs_here(int isa) { return ISAS[isa].runs_here(); }

CAROUSEL_API const char* carousel_op_name(int isa, int op) { return ISAS[isa].table->op_name(op); }
CAROUSEL_API int carousel_op_arity(int isa, int op) { return ISAS[isa].table->op_arity(op); }

// What the library was built from (CMakeLists.txt): the version of the package, and a digest of the files of this folder.
CAROUSEL_API const char* carousel_version() { return CAROUSEL_VERSION; }
CAROUSEL_API const char* carousel_sources() { return CAROUSEL_SOURCES; }

// Sizes of the structures of plan.h, for the binding to compare with its own.
CAROUSEL_API int64_t carousel_sizeof_plan() { return sizeof(CarouselPlan); }
CAROUSEL_API int64_t carousel_sizeof_scan() { return sizeof(CarouselScan); }

// Units in a block.
CAROUSEL_API int carousel_block(int isa, int is_double) { return ISAS[isa].table->block[is_double]; }

// Whether the processor multiplies bfloat16 itself, with this instruction set; otherwise they are widened first.
CAROUSEL_API int carousel_multiplies_bfloat16(int isa) { return ISAS[isa].table->has_dots(); }

// Numbers that a forward scan keeps for backward, per row, or per member of a row.
CAROUSEL_API int64_t carousel_saved_width(int isa, int is_double, const CarouselPlan* plan, int64_t hidden, int64_t projection, int64_t further, int members) {
    const int64_t units[4] = {hidden, projection, further, 1};
    return ISAS[isa].table->saved_width[is_double](*plan, units, members != 0);
}

// Bytes of workspace that a call needs.
CAROUSEL_API int64_t carousel_forward_workspace(int isa, const CarouselScan* scan) {
    return ISAS[isa].table->forward_workspace[scan->is_double](allowed(scan));
}
CAROUSEL_API int64_t carousel_backward_workspace(int isa, const CarouselScan* scan) {
    return ISAS[isa].table->backward_workspace[scan->is_double](allowed(scan));
}

// How a team would divide a call: 0 one thread alone, 1 by rows, 2 by units.
CAROUSEL_API int carousel_division(int isa, const CarouselScan* scan) {
    const CarouselScan s = allowed(scan);
    if (s.alone || s.threads == 1) return 0;
    return ISAS[isa].table->by_units[s.is_double](s) ? 2 : 1;
}

CAROUSEL_API void carousel_forward(int isa, const CarouselScan* scan) {
    ISAS[isa].table->forward[scan->is_double](allowed(scan));
}
CAROUSEL_API void carousel_backward(int isa, const CarouselScan* scan) {
    ISAS[isa].table->backward[scan->is_double](allowed(scan));
}

// Several scans of one program, each by one thread.
CAROUSEL_API void carousel_forward_each(int isa, const CarouselScan* scans, int64_t count) {
    ISAS[isa].table->forward_each[scans->is_double](scans, count, alone());
}
CAROUSEL_API void carousel_backward_each(int isa, const CarouselScan* scans, int64_t count) {
    ISAS[isa].table->backward_each[scans->is_double](scans, count, alone());
}

// One step at a time. The scan is of two steps, each with a row for every sequence; x is not read. Its workspace holds
// the stepper, which keeps the states: `open` packs the weights, `begin` takes the states from scan->first,
// `step` reads x, [batch][input], and leaves each state at to[state], unless that is null; `states` writes scan->last.
CAROUSEL_API int64_t carousel_stepper_workspace(int isa, const CarouselScan* scan) { return stepper_of(isa, scan).workspace(*scan); }
CAROUSEL_API void carousel_stepper_open(int isa, const CarouselScan* scan) { stepper_of(isa, scan).open(*scan); }
CAROUSEL_API void carousel_stepper_begin(int isa, const CarouselScan* scan) { stepper_of(isa, scan).begin(*scan); }
CAROUSEL_API void carousel_stepper_step(int isa, const CarouselScan* scan, const void* x, void* const* to) {
    stepper_of(isa, scan).step(*scan, scan->threads == 1 || alone(), x, to);
}
CAROUSEL_API void carousel_stepper_states(int isa, const CarouselScan* scan) { stepper_of(isa, scan).states(*scan); }

CAROUSEL_API void carousel_apply_float(int isa, int op, int64_t count, const float* a, const float* b, const float* c, float* result) {
    ISAS[isa].table->apply_float(op, count, a, b, c, result);
}
CAROUSEL_API void carousel_apply_double(int isa, int op, int64_t count, const double* a, const double* b, const double* c, double* result) {
    ISAS[isa].table->apply_double(op, count, a, b, c, result);
}

// `turns` turns of independent multiply-adds in float; returns how many operations one turn is.
CAROUSEL_API int carousel_multiply_adds(int isa, int64_t turns) {
    static volatile double sink;
    sink = ISAS[isa].table->multiply_add_many(turns);
    return ISAS[isa].table->operations_per_turn;
}

// Reads `count` floats, a multiple of carousel_block, `times` times: the time that no use of them can be below.
CAROUSEL_API void carousel_read(int isa, const float* from, int64_t count, int64_t times) {
    static volatile double sink;
    for (int64_t i = 0; i < times; ++i) sink = ISAS[isa].table->read_all(from, count);
}

// Asks for pages of 2 MB under memory not yet written to: the kernel then clears some dozen of them, rather than
// stopping at every 4 KB.
CAROUSEL_API void carousel_prefer_large_pages(void* memory, int64_t bytes) {
#if defined(__linux__)
    const uintptr_t page = 4096, begin = (reinterpret_cast<uintptr_t>(memory) + page - 1) / page * page;
    const uintptr_t end = (reinterpret_cast<uintptr_t>(memory) + bytes) / page * page;
    if (end > begin) madvise(reinterpret_cast<void*>(begin), end - begin, MADV_HUGEPAGE);
#else
    (void)memory, (void)bytes;
#endif
}

// Threads of the OpenMP runtime this library found, 0 without one.
CAROUSEL_API int carousel_openmp_threads() {
#ifdef _OPENMP
    return omp_get_max_threads();
#else
    return 0;
#endif
}
