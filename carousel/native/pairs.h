// bfloat16: matrix products of rounded numbers whose sums stay in float. Numbers lie in pairs along the depth, as the
// instruction vdpbf16ps takes them; where the processor lacks it, a pair is widened to two floats.
#pragma once

#include "gemm.h"

namespace carousel::CAROUSEL_ISA {

// Two neighbours in depth, the earlier in the lower half.
struct Pair {
    uint32_t bits;
};

inline int64_t pairs_of(int64_t depth) { return (depth + 1) / 2; }

// The upper half of a float's bits, rounded to the nearest, ties to even; NaN stays NaN.
inline Ints<float> rounded(Vec<float> x) {
    const Ints<float> bits = (Ints<float>)x, up = bits + 0x7fff + ((bits >> 16) & 1);
    return ((x != x ? bits | 0x400000 : up) >> 16) & 0xffff;
}
inline uint16_t rounded(float x) {
    uint32_t bits;
    std::memcpy(&bits, &x, sizeof bits);
    return uint16_t((x != x ? bits | 0x400000u : bits + 0x7fffu + (bits >> 16 & 1)) >> 16);
}

typedef uint16_t Halves __attribute__((vector_size(CAROUSEL_VECTOR_BYTES / 2)));

// A block of floats to and from bfloat16, which lies in the first half of as many bytes.
inline void store_halves(const float* from, float* to) {
    for (int v = 0; v < VECTORS; ++v) {
        const Halves halves = __builtin_convertvector(rounded(load(from + v * lanes<float>)), Halves);
        std::memcpy(reinterpret_cast<char*>(to) + v * sizeof halves, &halves, sizeof halves);
    }
}
inline void load_halves(const float* from, float* to) {
    for (int v = 0; v < VECTORS; ++v) {
        Halves halves;
        std::memcpy(&halves, reinterpret_cast<const char*>(from) + v * sizeof halves, sizeof halves);
        store(to + v * lanes<float>, (Vec<float>)(__builtin_convertvector(halves, Ints<float>) << 16));
    }
}

// A row of floats as pairs; the last one's later half is 0 if their number is odd.
inline void pair_row(const float* from, int64_t count, Pair* to) {
    char* at = reinterpret_cast<char*>(to);
    int64_t k = 0;
    for (; k + lanes<float> <= count; k += lanes<float>) {
        const Halves halves = __builtin_convertvector(rounded(load(from + k)), Halves);
        std::memcpy(at + 2 * k, &halves, sizeof halves);
    }
    for (; k < 2 * pairs_of(count); ++k) {
        const uint16_t half = k < count ? rounded(from[k]) : uint16_t(0);
        std::memcpy(at + 2 * k, &half, sizeof half);
    }
}

// A panel [depth][BLOCK] of floats as [pairs][BLOCK].
inline void pair_panel(const float* from, int64_t depth, Pair* to) {
    for (int64_t k = 0; k < pairs_of(depth); ++k)
        for (int v = 0; v < BLOCK<float>; v += lanes<float>) {
            const float* at = from + 2 * k * BLOCK<float> + v;
            Ints<float> both = rounded(load(at));
            if (2 * k + 1 < depth) both |= rounded(load(at + BLOCK<float>)) << 16;
            std::memcpy(to + k * BLOCK<float> + v, &both, sizeof both);
        }
}

// Out of line, as `tile` is.
template <int M>
[[gnu::noinline]] void tile_widened(const Segment<Pair>& s, ptrdiff_t first_row, const Pair* panel, float* c, ptrdiff_t c_row, Start<float> start) {
    Vec<float> sum[M][VECTORS];
    for (int m = 0; m < M; ++m)
        for (int v = 0; v < VECTORS; ++v) sum[m][v] = start.at ? load(start.at + m * start.row + v * lanes<float>) : Vec<float>{};
    const Pair* a = s.at + first_row * s.row;
    for (int k = 0; k < s.depth; ++k, a += s.step, panel += BLOCK<float>)
#pragma GCC unroll 8
        for (int v = 0; v < VECTORS; ++v) {
            Ints<float> both;
            std::memcpy(&both, panel + v * lanes<float>, sizeof both);
            const Vec<float> early = (Vec<float>)(both << 16), late = (Vec<float>)(both & int32_t(0xffff0000));
#pragma GCC unroll 8
            for (int m = 0; m < M; ++m) {
                const uint32_t bits = a[m * s.row].bits, halves[2] = {bits << 16, bits & 0xffff0000u};
                float x[2];
                std::memcpy(x, halves, sizeof x);
                sum[m][v] += all(x[0]) * early;
                sum[m][v] += all(x[1]) * late;
            }
        }
    for (int m = 0; m < M; ++m)
        for (int v = 0; v < VECTORS; ++v) store(c + m * c_row + v * lanes<float>, sum[m][v]);
}

#if CAROUSEL_VECTOR_BYTES == 64
inline bool has_dots() {
    static const bool has = __builtin_cpu_supports("avx512bf16");
    return has;
}

template <int M>
[[gnu::noinline, gnu::target("avx512bf16")]] void tile_dots(const Segment<Pair>& s, ptrdiff_t first_row, const Pair* panel, float* c,
                                                            ptrdiff_t c_row, Start<float> start) {
    __m512 sum[M][VECTORS];
#pragma GCC unroll 8
    for (int m = 0; m < M; ++m)
#pragma GCC unroll 8
        for (int v = 0; v < VECTORS; ++v) sum[m][v] = start.at ? _mm512_loadu_ps(start.at + m * start.row + v * 16) : _mm512_setzero_ps();
    const Pair* a = s.at + first_row * s.row;
    for (int k = 0; k < s.depth; ++k, a += s.step, panel += BLOCK<float>) {
        __m512i b[VECTORS];
#pragma GCC unroll 8
        for (int v = 0; v < VECTORS; ++v) b[v] = _mm512_loadu_si512(panel + v * 16);
#pragma GCC unroll 8
        for (int m = 0; m < M; ++m) {
            const __m512i x = _mm512_set1_epi32(int(a[m * s.row].bits));
#pragma GCC unroll 8
            for (int v = 0; v < VECTORS; ++v) sum[m][v] = _mm512_dpbf16_ps(sum[m][v], (__m512bh)x, (__m512bh)b[v]);
        }
    }
#pragma GCC unroll 8
    for (int m = 0; m < M; ++m)
#pragma GCC unroll 8
        for (int v = 0; v < VECTORS; ++v) _mm512_storeu_ps(c + m * c_row + v * 16, sum[m][v]);
}
#else
inline bool has_dots() { return false; }
#endif

template <int M>
inline void tile_pairs(const Segment<Pair>& s, ptrdiff_t first_row, const Pair* panel, float* c, ptrdiff_t c_row, Start<float> start) {
#if CAROUSEL_VECTOR_BYTES == 64
    if (has_dots()) return tile_dots<M>(s, first_row, panel, c, c_row, start);
#endif
    tile_widened<M>(s, first_row, panel, c, c_row, start);
}

// As for floats (gemm.h); a row of pairs is one segment.
template <class T>
inline void tile_of(int m, const Segment<Pair>* segment, int, ptrdiff_t first_row, const Pair* panel, T* c, ptrdiff_t c_row, Start<T> start) {
    switch (m) {
        case 1: return tile_pairs<1>(*segment, first_row, panel, c, c_row, start);
        case 2: return tile_pairs<2>(*segment, first_row, panel, c, c_row, start);
        case 3: return tile_pairs<3>(*segment, first_row, panel, c, c_row, start);
        case 4: return tile_pairs<4>(*segment, first_row, panel, c, c_row, start);
        case 5: return tile_pairs<5>(*segment, first_row, panel, c, c_row, start);
        default: return tile_pairs<6>(*segment, first_row, panel, c, c_row, start);
    }
}

// Rows [0, rows) of `depth` pairs each times one panel, as much of the depth at a time as stays in L2.
inline void multiply_pairs(const Pair* left, int64_t depth, int64_t rows, const Pair* panel, float* c, ptrdiff_t c_row, int columns,
                           Start<float> start) {
    for (int64_t k = 0; k == 0 || k < depth; k += DEPTH) {
        const Segment<Pair> part{left + k, depth, 1, int(depth - k < DEPTH ? depth - k : DEPTH)};
        multiply(&part, 1, 0, rows, panel + k * BLOCK<float>, c, c_row, columns, start);
        start = {c, c_row};
    }
}

}  // namespace
