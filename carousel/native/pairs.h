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

// As `tile` (gemm.h), for processors that do not multiply bfloat16 themselves.
template <int M, int P>
[[gnu::noinline]] void tile_widened(const Piece<Pair>* piece, int pieces, ptrdiff_t first_row, const Pair* panel, float* c, ptrdiff_t c_row,
                                    Start<float> start, Next next) {
    constexpr int WIDE = P * VECTORS;
    const auto column = [](int v, ptrdiff_t panel) { return v / VECTORS * panel + v % VECTORS * lanes<float>; };
    Vec<float> sum[M][WIDE];
    for (int m = 0; m < M; ++m)
        for (int v = 0; v < WIDE; ++v) sum[m][v] = start.at ? load(start.at + m * start.row + column(v, next.start)) : Vec<float>{};
    for (int p = 0; p < pieces; ++p) {
        const ptrdiff_t row = piece[p].row, step = piece[p].step;
        const Pair* a = piece[p].at + first_row * row;
        for (int k = 0; k < piece[p].depth; ++k, a += step, panel += BLOCK<float>)
#pragma GCC unroll 16
            for (int v = 0; v < WIDE; ++v) {
                Ints<float> both;
                std::memcpy(&both, panel + column(v, next.panel), sizeof both);
                const Vec<float> early = (Vec<float>)(both << 16), late = (Vec<float>)(both & int32_t(0xffff0000));
#pragma GCC unroll 16
                for (int m = 0; m < M; ++m) {
                    const uint32_t bits = a[m * row].bits, halves[2] = {bits << 16, bits & 0xffff0000u};
                    float x[2];
                    std::memcpy(x, halves, sizeof x);
                    sum[m][v] += all(x[0]) * early;
                    sum[m][v] += all(x[1]) * late;
                }
            }
    }
    for (int m = 0; m < M; ++m)
        for (int v = 0; v < WIDE; ++v) store(c + m * c_row + column(v, next.c), sum[m][v]);
}

#if CAROUSEL_VECTOR_BYTES == 64
inline bool has_dots() {
    static const bool has = __builtin_cpu_supports("avx512bf16");
    return has;
}

template <int M, int P>
[[gnu::noinline, gnu::target("avx512bf16")]] void tile_dots(const Piece<Pair>* piece, int pieces, ptrdiff_t first_row, const Pair* panel,
                                                            float* c, ptrdiff_t c_row, Start<float> start, Next next) {
    constexpr int WIDE = P * VECTORS;
    __m512 sum[M][WIDE];
#pragma GCC unroll 16
    for (int m = 0; m < M; ++m)
#pragma GCC unroll 16
        for (int v = 0; v < WIDE; ++v)
            sum[m][v] = start.at ? _mm512_loadu_ps(start.at + m * start.row + v / VECTORS * next.start + v % VECTORS * 16) : _mm512_setzero_ps();
    for (int p = 0; p < pieces; ++p) {
        const ptrdiff_t row = piece[p].row, step = piece[p].step;
        const Pair* a = piece[p].at + first_row * row;
        for (int k = 0; k < piece[p].depth; ++k, a += step, panel += BLOCK<float>) {
            __m512i b[WIDE];
#pragma GCC unroll 16
            for (int v = 0; v < WIDE; ++v) b[v] = _mm512_loadu_si512(panel + v / VECTORS * next.panel + v % VECTORS * 16);
#pragma GCC unroll 16
            for (int m = 0; m < M; ++m) {
                const __m512i x = _mm512_set1_epi32(int(a[m * row].bits));
#pragma GCC unroll 16
                for (int v = 0; v < WIDE; ++v) sum[m][v] = _mm512_dpbf16_ps(sum[m][v], (__m512bh)x, (__m512bh)b[v]);
            }
        }
    }
#pragma GCC unroll 16
    for (int m = 0; m < M; ++m)
#pragma GCC unroll 16
        for (int v = 0; v < WIDE; ++v) _mm512_storeu_ps(c + m * c_row + v / VECTORS * next.c + v % VECTORS * 16, sum[m][v]);
}
#else
inline bool has_dots() { return false; }
#endif

template <int M, int P>
inline void tile_pairs(const Piece<Pair>* piece, int pieces, ptrdiff_t first_row, const Pair* panel, float* c, ptrdiff_t c_row,
                       Start<float> start, Next next) {
#if CAROUSEL_VECTOR_BYTES == 64
    if (has_dots()) return tile_dots<M, P>(piece, pieces, first_row, panel, c, c_row, start, next);
#endif
    // The halves of a panel take registers that sums of more panels would need.
    constexpr int TOGETHER = CAROUSEL_VECTOR_BYTES == 64 || P == 1 ? 1 : 2;
    for (int p = 0; p < P; p += TOGETHER) {
        tile_widened<M, TOGETHER>(piece, pieces, first_row, panel, c, c_row, start, next);
        panel += TOGETHER * next.panel, c += TOGETHER * next.c;
        if (start.at) start.at += TOGETHER * next.start;
    }
}

// As for floats (gemm.h).
template <class T>
inline void tile_of(int m, const Piece<Pair>* piece, int pieces, ptrdiff_t first_row, const Pair* panel, T* c, ptrdiff_t c_row, Start<T> start) {
    switch (m) {
        case 1: return tile_pairs<1, 1>(piece, pieces, first_row, panel, c, c_row, start, {});
        case 2: return tile_pairs<2, 1>(piece, pieces, first_row, panel, c, c_row, start, {});
        case 3: return tile_pairs<3, 1>(piece, pieces, first_row, panel, c, c_row, start, {});
        case 4: return tile_pairs<4, 1>(piece, pieces, first_row, panel, c, c_row, start, {});
        case 5: return tile_pairs<5, 1>(piece, pieces, first_row, panel, c, c_row, start, {});
        default: return tile_pairs<6, 1>(piece, pieces, first_row, panel, c, c_row, start, {});
    }
}

inline void tile_across(int64_t rows, const Piece<Pair>* piece, int pieces, const Pair* panel, float* c, ptrdiff_t c_row, Start<float> start,
                        Next next) {
    switch (rows) {
        case 1: return tile_pairs<1, panels_across(1)>(piece, pieces, 0, panel, c, c_row, start, next);
        case 2: return tile_pairs<2, panels_across(2)>(piece, pieces, 0, panel, c, c_row, start, next);
        default: return tile_pairs<3, panels_across(3)>(piece, pieces, 0, panel, c, c_row, start, next);
    }
}

}  // namespace
