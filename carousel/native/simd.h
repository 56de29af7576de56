// Vectors of the machine: as wide as this file's instruction set, written with the compiler's own vector types.
//
// engine.cpp is compiled once per instruction set; CAROUSEL_VECTOR_BYTES says how wide. Everything above this file is
// written once, over `Vec<T>`.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <utility>

#if defined(__AVX512F__) || defined(__AVX2__)
#include <immintrin.h>
#endif

#ifndef CAROUSEL_VECTOR_BYTES
#define CAROUSEL_VECTOR_BYTES 16
#endif

namespace carousel::CAROUSEL_ISA {

using std::ptrdiff_t;

template <class T> struct vector_of;
template <> struct vector_of<float> {
    typedef float type __attribute__((vector_size(CAROUSEL_VECTOR_BYTES)));
    typedef int32_t integers __attribute__((vector_size(CAROUSEL_VECTOR_BYTES)));
    typedef int32_t integer;
};
template <> struct vector_of<double> {
    typedef double type __attribute__((vector_size(CAROUSEL_VECTOR_BYTES)));
    typedef int64_t integers __attribute__((vector_size(CAROUSEL_VECTOR_BYTES)));
    typedef int64_t integer;
};

template <class T> using Vec = typename vector_of<T>::type;
template <class T> using Ints = typename vector_of<T>::integers;
template <class T> constexpr int lanes = CAROUSEL_VECTOR_BYTES / sizeof(T);

// A block of units is VECTORS vectors wide; a register tile of the matrix product is TILE_ROWS rows of one block.
// 32 registers hold 6 x 4 sums; 16 hold 6 x 2.
#if CAROUSEL_VECTOR_BYTES == 64 || defined(__aarch64__)
constexpr int VECTORS = 4;
#else
constexpr int VECTORS = 2;
#endif
constexpr int TILE_ROWS = 6;

// Whether a multiply-add is one instruction.
#if defined(__FMA__) || defined(__AVX512F__) || defined(__aarch64__)
constexpr bool FUSED = true;
#else
constexpr bool FUSED = false;
#endif

template <class T> constexpr int BLOCK = VECTORS * lanes<T>;

template <class T> inline Vec<T> load(const T* p) {
    Vec<T> v;
    std::memcpy(&v, p, sizeof v);  // an unaligned load
    return v;
}

template <class T> inline void store(T* p, Vec<T> v) { std::memcpy(p, &v, sizeof v); }

// x - 0 is x for every x, -0 and NaN too, so that nothing but the broadcast is left of it.
template <class T> inline Vec<T> all(T x) { return x - Vec<T>{}; }

template <class T> inline Vec<T> select(Ints<T> mask, Vec<T> yes, Vec<T> no) { return mask ? yes : no; }

// Applies a function of libm to every lane: for ops too rare to deserve a polynomial.
template <class T, class F> inline Vec<T> by_lane(Vec<T> a, F f) {
    for (int i = 0; i < lanes<T>; ++i) a[i] = f(a[i]);
    return a;
}

// Halves are added to one another until one number is left. Lane i meets lane i ^ n, which few instructions need.
#if defined(__clang__) || __GNUC__ >= 12
template <int N, class V, int... I> inline V exchanged(V a, std::integer_sequence<int, I...>) { return __builtin_shufflevector(a, a, (I ^ N)...); }

template <class T, int N = lanes<T> / 2> inline T sum_of_lanes(Vec<T> a) {
    if constexpr (N == 0) return a[0];
    else return sum_of_lanes<T, N / 2>(a + exchanged<N>(a, std::make_integer_sequence<int, lanes<T>>{}));
}
#else
template <class T> inline T sum_of_lanes(Vec<T> a) {
    for (int n = lanes<T> / 2; n > 0; n /= 2)
        for (int i = 0; i < n; ++i) a[i] += a[i + n];
    return a[0];
}
#endif

// 1 / d for an ordinary d (not 0, infinite or tiny): an estimate and a Newton step are cheaper than a division.
template <class T> inline Vec<T> reciprocal(Vec<T> d) { return T(1) / d; }
#if CAROUSEL_VECTOR_BYTES == 64
template <> inline Vec<float> reciprocal<float>(Vec<float> d) {
    Vec<float> r = (Vec<float>)_mm512_rcp14_ps((__m512)d);
    return r + r * (1.0f - d * r);
}
#elif CAROUSEL_VECTOR_BYTES == 32
template <> inline Vec<float> reciprocal<float>(Vec<float> d) {
    Vec<float> r = (Vec<float>)_mm256_rcp_ps((__m256)d);
    return r + r * (1.0f - d * r);
}
#endif

}  // namespace
