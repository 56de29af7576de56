// The alphabet, in C++: what each pointwise op of carousel/program/ops.py computes, once, in a stable form.
//
// CAROUSEL_OPS lists them: name, arity, and the value over vectors a, b, c. A test compares the names and arities with
// the table in ops.py. The functions that need more than a line stand above the list.
#pragma once

#include <cmath>
#include <limits>

#include "simd.h"

// Hides a value from the optimiser, which would otherwise cancel an addition against a subtraction.
#if defined(__AVX512F__)
#define CAROUSEL_OPAQUE(value) asm("" : "+v"(value))
#elif defined(__x86_64__)
#define CAROUSEL_OPAQUE(value) asm("" : "+x"(value))
#else
#define CAROUSEL_OPAQUE(value) asm("" : "+w"(value))
#endif

namespace carousel::CAROUSEL_ISA {

// 2^n for whole n in [-126, 127] (float), [-1022, 1023] (double): n goes where the exponent's bits are.
inline Vec<float> power_of_two(Vec<float> n) {
    return (Vec<float>)((__builtin_convertvector(n, Ints<float>) + 127) << 23);
}
inline Vec<double> power_of_two(Vec<double> n) {
    return (Vec<double>)((__builtin_convertvector(n, Ints<double>) + 1023) << 52);
}

// The nearest whole number: adding 1.5 * 2^23 (2^52) pushes the fraction out of the mantissa.
inline Vec<float> nearest(Vec<float> x) {
    Vec<float> shifted = x + 12582912.0f;
    CAROUSEL_OPAQUE(shifted);
    return shifted - 12582912.0f;
}
inline Vec<double> nearest(Vec<double> x) {
    Vec<double> shifted = x + 6755399441055744.0;
    CAROUSEL_OPAQUE(shifted);
    return shifted - 6755399441055744.0;
}

// e^r for |r| <= ln(2)/2. Float: the polynomial of Cephes' expf. Double: the Taylor series to r^13, whose error is 4e-18.
inline Vec<float> exp_reduced(Vec<float> r) {
    Vec<float> p = r * 1.9875691500E-4f + 1.3981999507E-3f;
    p = p * r + 8.3334519073E-3f;
    p = p * r + 4.1665795894E-2f;
    p = p * r + 1.6666665459E-1f;
    p = p * r + 5.0000001201E-1f;
    return p * (r * r) + r + 1.0f;
}
inline Vec<double> exp_reduced(Vec<double> r) {
    Vec<double> p = r * (1.0 / 6227020800) + 1.0 / 479001600;
    p = p * r + 1.0 / 39916800;
    p = p * r + 1.0 / 3628800;
    p = p * r + 1.0 / 362880;
    p = p * r + 1.0 / 40320;
    p = p * r + 1.0 / 5040;
    p = p * r + 1.0 / 720;
    p = p * r + 1.0 / 120;
    p = p * r + 1.0 / 24;
    p = p * r + 1.0 / 6;
    p = p * r + 1.0 / 2;
    return p * (r * r) + r + 1.0;
}

template <class T> struct Exponent;
template <> struct Exponent<float> {
    // ln(2) in two parts, the first short enough that n times it is exact.
    static constexpr float high = 0.693359375f, low = -2.12194440e-4f, inverse = 1.44269504088896341f;
    static constexpr float largest = 89.0f, smallest = -104.0f, normal = -87.0f;
};
template <> struct Exponent<double> {
    static constexpr double high = 6.93145751953125E-1, low = 1.42860682030941723212E-6,
                            inverse = 1.4426950408889634073599;
    static constexpr double largest = 710.0, smallest = -746.0, normal = -708.0;
};

// e^x over the whole range: 0 and infinity at the ends, denormals between, NaN for NaN.
template <class T> inline Vec<T> exponential(Vec<T> x) {
    using E = Exponent<T>;
    x = select<T>(x > E::largest, all(E::largest), x);
    x = select<T>(x < E::smallest, all(E::smallest), x);
    Vec<T> n = nearest(x * E::inverse);
    Vec<T> r = x - n * E::high - n * E::low;
    // 2^n in two factors, since 2^128 and 2^-140 are no ordinary numbers.
    Vec<T> half = nearest(n * T(0.5));
    return exp_reduced(r) * power_of_two(half) * power_of_two(n - half);
}

// e^x for x in [normal, 0]; below, e^normal, which is 0 beside 1.
template <class T> inline Vec<T> exponential_of_negative(Vec<T> x) {
    using E = Exponent<T>;
    x = select<T>(x < E::normal, all(E::normal), x);
    Vec<T> n = nearest(x * E::inverse);
    Vec<T> r = x - n * E::high - n * E::low;
    return exp_reduced(r) * power_of_two(n);
}

template <class T> inline Vec<T> absolute(Vec<T> x) {
    return (Vec<T>)((Ints<T>)x & std::numeric_limits<typename vector_of<T>::integer>::max());
}

// With e = exp(-|x|): 1 / (1 + e) for x >= 0, e / (1 + e) below. Nothing overflows, and small results stay exact.
template <class T> inline Vec<T> logistic(Vec<T> x) {
    Vec<T> e = exponential_of_negative<T>(-absolute<T>(x));
    Vec<T> r = reciprocal<T>(T(1) + e);
    return select<T>(x < T(0), e * r, r);
}

// A ratio of polynomials in x, of degree 13 and 6 (the coefficients are Eigen's), exact to 2 ulp; beyond 7.9 it is 1.
inline Vec<float> hyperbolic_tangent(Vec<float> x) {
    x = select<float>(x > 7.90531110763549805f, all(7.90531110763549805f), x);
    x = select<float>(x < -7.90531110763549805f, all(-7.90531110763549805f), x);
    Vec<float> z = x * x;
    Vec<float> p = z * -2.76076847742355e-16f + 2.00018790482477e-13f;
    p = p * z + -8.60467152213735e-11f;
    p = p * z + 5.12229709037114e-08f;
    p = p * z + 1.48572235717979e-05f;
    p = p * z + 6.37261928875436e-04f;
    p = p * z + 4.89352455891786e-03f;
    Vec<float> q = z * 1.19825839466702e-06f + 1.18534705686654e-04f;
    q = q * z + 2.26843463243900e-03f;
    q = q * z + 4.89352518554385e-03f;
    Vec<float> y = x * p * reciprocal<float>(q);
    return select<float>(absolute<float>(x) < 4e-4f, x, y);  // where x^3 / 3 is beneath the last bit
}
// Cephes: below 0.625 a ratio of polynomials in x^2, above 1 - 2 / (e^2|x| + 1) with x's sign.
inline Vec<double> hyperbolic_tangent(Vec<double> x) {
    Vec<double> a = absolute<double>(x), z = x * x;
    Vec<double> p = (z * -9.64399179425052238628E-1 - 9.92877231001918586564E1) * z - 1.61468768441708447952E3;
    Vec<double> q = ((z + 1.12811678491632931402E2) * z + 2.23548839060100448583E3) * z + 4.84406305325125486048E3;
    Vec<double> near = x + x * z * (p / q);
    Vec<double> e = exponential_of_negative<double>(-2.0 * a);
    Vec<double> far = (1.0 - e) / (1.0 + e);
    return select<double>(a < 0.625, near, select<double>(x < 0.0, -far, far));
}

template <class T> inline Vec<T> softplus(Vec<T> x) {
    return by_lane<T>(x, [](T a) { return a > 20 ? a : std::log1p(std::exp(a)); });
}

// Cephes' logf: x = 2^e (1 + m) with 1 + m between sqrt(1/2) and sqrt(2), and a polynomial of m.
inline Vec<float> logarithm(Vec<float> x) {
    const float infinity = std::numeric_limits<float>::infinity();
    const Ints<float> tiny = x < std::numeric_limits<float>::min();  // too small for the exponent's bits to say its size
    const Ints<float> bits = (Ints<float>)select<float>(tiny, x * 8388608.0f, x);
    Ints<float> e = ((bits >> 23) & 255) - 126 - (tiny & 23);
    Vec<float> m = (Vec<float>)((bits & 0x7fffff) | 0x3f000000);
    const Ints<float> low = m < 0.707106781186547524f;
    e += low;  // which is -1 where it holds
    m = select<float>(low, m + m, m) - 1.0f;
    Vec<float> z = m * m, n = __builtin_convertvector(e, Vec<float>);
    Vec<float> p = m * 7.0376836292E-2f - 1.1514610310E-1f;
    p = p * m + 1.1676998740E-1f;
    p = p * m - 1.2420140846E-1f;
    p = p * m + 1.4249322787E-1f;
    p = p * m - 1.6668057665E-1f;
    p = p * m + 2.0000714765E-1f;
    p = p * m - 2.4999993993E-1f;
    p = p * m + 3.3333331174E-1f;
    Vec<float> y = m + (p * m * z + n * Exponent<float>::low - z * 0.5f) + n * Exponent<float>::high;
    y = select<float>((x == infinity) | (x != x), x, y);
    y = select<float>(x < 0.0f, all(std::numeric_limits<float>::quiet_NaN()), y);
    return select<float>(x == 0.0f, all(-infinity), y);
}
inline Vec<double> logarithm(Vec<double> x) { return by_lane<double>(x, [](double a) { return std::log(a); }); }

// What is left of a whole number of times b, exactly, with b's sign: torch's remainder and Python's %.
template <class T> inline Vec<T> remainder(Vec<T> a, Vec<T> b) {
    for (int i = 0; i < lanes<T>; ++i) {
        const T left = std::fmod(a[i], b[i]);
        a[i] = left != 0 && (left < 0) != (b[i] < 0) ? left + b[i] : left;
    }
    return a;
}

template <class T> inline Vec<T> truth(Ints<T> mask) { return select<T>(mask, all(T(1)), all(T(0))); }

// name, arity, value. A comparison gives 1 or 0, which only `where` asks for. NaN goes through: max and relu pass it on.
#define CAROUSEL_OPS(OP)                                                             \
    OP(add, 2, a + b)                                                                \
    OP(sub, 2, a - b)                                                                \
    OP(mul, 2, a * b)                                                                \
    OP(div, 2, a / b)                                                                \
    OP(neg, 1, -a)                                                                   \
    OP(abs, 1, absolute<T>(a))                                                       \
    OP(sign, 1, truth<T>(a > T(0)) - truth<T>(a < T(0)))                             \
    OP(maximum, 2, select<T>((a > b) | (a != a), a, b))                              \
    OP(minimum, 2, select<T>((a < b) | (a != a), a, b))                              \
    OP(exp, 1, exponential<T>(a))                                                    \
    OP(log, 1, logarithm(a))                                                         \
    OP(sqrt, 1, by_lane<T>(a, [](T x) { return std::sqrt(x); }))                     \
    OP(rsqrt, 1, by_lane<T>(a, [](T x) { return T(1) / std::sqrt(x); }))             \
    OP(sin, 1, by_lane<T>(a, [](T x) { return std::sin(x); }))                       \
    OP(cos, 1, by_lane<T>(a, [](T x) { return std::cos(x); }))                       \
    OP(log1p, 1, by_lane<T>(a, [](T x) { return std::log1p(x); }))                   \
    OP(expm1, 1, by_lane<T>(a, [](T x) { return std::expm1(x); }))                   \
    OP(erf, 1, by_lane<T>(a, [](T x) { return std::erf(x); }))                       \
    OP(atan, 1, by_lane<T>(a, [](T x) { return std::atan(x); }))                     \
    OP(floor, 1, by_lane<T>(a, [](T x) { return std::floor(x); }))                   \
    OP(remainder, 2, remainder<T>(a, b))                                             \
    OP(detach, 1, a)                                                                 \
    OP(sigmoid, 1, logistic<T>(a))                                                   \
    OP(tanh, 1, hyperbolic_tangent(a))                                               \
    OP(relu, 1, select<T>(a < T(0), all(T(0)), a))                                   \
    OP(softplus, 1, softplus<T>(a))                                                  \
    OP(logsigmoid, 1, by_lane<T>(a, [](T x) { return (x < 0 ? x : T(0)) - std::log1p(std::exp(x < 0 ? x : -x)); })) \
    OP(sigmoid_grad, 2, a * (b * (T(1) - b)))                                        \
    OP(tanh_grad, 2, a * (T(1) - b * b))                                             \
    OP(relu_grad, 2, select<T>(b > T(0), a, all(T(0))))                              \
    OP(gt, 2, truth<T>(a > b))                                                       \
    OP(ge, 2, truth<T>(a >= b))                                                      \
    OP(lt, 2, truth<T>(a < b))                                                       \
    OP(le, 2, truth<T>(a <= b))                                                      \
    OP(eq, 2, truth<T>(a == b))                                                      \
    OP(ne, 2, truth<T>(a != b))                                                      \
    OP(where, 3, select<T>(a != T(0), b, c))                                         \
    /* The engine's own: two ops in one pass over a strip. */                        \
    OP(copy, 1, a)                                                                   \
    OP(mul_add, 3, a * b + c)                                                        \
    OP(mul_sub, 3, c - a * b)

enum Op : int32_t {
#define CAROUSEL_NAME(name, arity, value) OP_##name,
    CAROUSEL_OPS(CAROUSEL_NAME)
#undef CAROUSEL_NAME
    POINTWISE_OPS,
};

}  // namespace
