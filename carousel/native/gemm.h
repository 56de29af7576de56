// Matrix products over packed panels: a register tile of 6 rows by one block of units.
//
// The right factor is a panel [depth][BLOCK]: contiguous, padded with zeros to the block. The left factor is any rows in
// memory, given as pieces of depth (a row of a state in panel form is one piece per block of units).
#pragma once

#include "thresholds.h"

namespace carousel::CAROUSEL_ISA {

// A(r, k) = at[r * row + k * step] for k < depth.
template <class T> struct Piece {
    const T* at;
    ptrdiff_t row, step;
    int depth;
};

// Where a product starts from: zeros (at == nullptr), the rows it is added to, or a bias (row == 0).
template <class T> struct Start {
    const T* at;
    ptrdiff_t row;
};

// From one panel to the next: how far its factor, its result and its start are away.
struct Next {
    ptrdiff_t panel, c, start;
};

// M rows times P panels. Out of line: where GCC 12 inlines it into a longer function, it keeps a part of the sums on the
// stack and loads and stores them at every k, which costs a third of the speed. A test takes the built library apart.
template <class T, int M, int P>
[[gnu::noinline]] void tile(const Piece<T>* piece, int pieces, ptrdiff_t first_row, const T* panel, T* c, ptrdiff_t c_row,
                            Start<T> start, Next next) {
    constexpr int WIDE = P * VECTORS;
    const auto column = [](int v, ptrdiff_t panel) { return v / VECTORS * panel + v % VECTORS * lanes<T>; };
    Vec<T> sum[M][WIDE];
    if (start.at == nullptr) {
#pragma GCC unroll 16
        for (int m = 0; m < M; ++m)
#pragma GCC unroll 16
            for (int v = 0; v < WIDE; ++v) sum[m][v] = Vec<T>{};
    } else {
#pragma GCC unroll 16
        for (int m = 0; m < M; ++m)
#pragma GCC unroll 16
            for (int v = 0; v < WIDE; ++v) sum[m][v] = load(start.at + m * start.row + column(v, next.start));
    }
    for (int p = 0; p < pieces; ++p) {
        const ptrdiff_t row = piece[p].row, step = piece[p].step;
        const T* a = piece[p].at + first_row * row;
        for (int k = 0; k < piece[p].depth; ++k) {
            // Of the two factors the one that takes fewer registers is held, or the sums would not all find one. Where a
            // product needs a register of its own before it is added, GCC finds room for the right factor only.
            if constexpr (FUSED && M < WIDE) {
                Vec<T> x[M];
#pragma GCC unroll 16
                for (int m = 0; m < M; ++m) x[m] = all(a[m * row]);
#pragma GCC unroll 16
                for (int v = 0; v < WIDE; ++v) {
                    const Vec<T> b = load(panel + column(v, next.panel));
#pragma GCC unroll 16
                    for (int m = 0; m < M; ++m) sum[m][v] += x[m] * b;
                }
            } else {
                Vec<T> b[WIDE];
#pragma GCC unroll 16
                for (int v = 0; v < WIDE; ++v) b[v] = load(panel + column(v, next.panel));
#pragma GCC unroll 16
                for (int m = 0; m < M; ++m) {
                    const Vec<T> x = all(a[m * row]);
#pragma GCC unroll 16
                    for (int v = 0; v < WIDE; ++v) sum[m][v] += x * b[v];
                }
            }
            a += step;
            panel += BLOCK<T>;
        }
    }
#pragma GCC unroll 16
    for (int m = 0; m < M; ++m)
#pragma GCC unroll 16
        for (int v = 0; v < WIDE; ++v) store(c + m * c_row + column(v, next.c), sum[m][v]);
}

template <class T>
inline void tile_of(int m, const Piece<T>* piece, int pieces, ptrdiff_t first_row, const T* panel, T* c,
                    ptrdiff_t c_row, Start<T> start) {
    switch (m) {
        case 1: return tile<T, 1, 1>(piece, pieces, first_row, panel, c, c_row, start, {});
        case 2: return tile<T, 2, 1>(piece, pieces, first_row, panel, c, c_row, start, {});
        case 3: return tile<T, 3, 1>(piece, pieces, first_row, panel, c, c_row, start, {});
        case 4: return tile<T, 4, 1>(piece, pieces, first_row, panel, c, c_row, start, {});
        case 5: return tile<T, 5, 1>(piece, pieces, first_row, panel, c, c_row, start, {});
        default: return tile<T, 6, 1>(piece, pieces, first_row, panel, c, c_row, start, {});
    }
}

// How many of the pieces go over a panel together: as many as are DEPTH deep, or one.
template <class A> inline int pieces_together(const Piece<A>* piece, int pieces, int* depth) {
    int count = 0;
    for (*depth = 0; count < pieces && (count == 0 || *depth + piece[count].depth <= DEPTH); ++count) *depth += piece[count].depth;
    return count;
}

// Rows [0, rows) of the left factor times one panel. columns: how many of the block exist in c (a panel has all of
// them; rows as torch stores them end earlier).
// A: what the factors are made of: T, or pairs of bfloat16 (pairs.h).
template <class T, class A>
inline void multiply(const Piece<A>* piece, int pieces, int64_t rows, const A* panel, T* c, ptrdiff_t c_row, int columns,
                     Start<T> start) {
    if (rows <= 0) return;
    // Rows are spread evenly: 7 rows are 4 + 3, not 6 + 1.
    const int64_t tiles = (rows + TILE_ROWS - 1) / TILE_ROWS;
    do {
        int depth;
        const int count = pieces_together(piece, pieces, &depth);
        for (int64_t i = 0, r = 0; i < tiles; ++i) {
            const int m = int(rows / tiles + (i < rows % tiles));
            Start<T> from = start;
            if (from.at) from.at += r * from.row;
            if (columns == BLOCK<T>) {
                tile_of<T>(m, piece, count, r, panel, c + r * c_row, c_row, from);
            } else {
                T edge[TILE_ROWS * BLOCK<T>];
                if (from.at && from.row) {
                    for (int j = 0; j < m; ++j)
                        for (int k = 0; k < BLOCK<T>; ++k)
                            edge[j * BLOCK<T> + k] = k < columns ? from.at[j * from.row + k] : T(0);
                    from = {edge, BLOCK<T>};
                }
                tile_of<T>(m, piece, count, r, panel, edge, BLOCK<T>, from);
                for (int j = 0; j < m; ++j)
                    for (int k = 0; k < columns; ++k) c[(r + j) * c_row + k] = edge[j * BLOCK<T> + k];
            }
            r += m;
        }
        panel += ptrdiff_t(depth) * BLOCK<T>;
        piece += count, pieces -= count;
        start = {c, c_row};
    } while (pieces > 0);
}

// How many panels few rows cross together. Each sum is over the same k in the same order as alone: a row has the same
// bits in any batch.
constexpr int64_t panels_across(int64_t rows) { return rows > FEW_ROWS ? 1 : rows == 1 ? ONE_ROW_ACROSS : FEW_ROWS_ACROSS; }

template <class T>
inline void tile_across(int64_t rows, const Piece<T>* piece, int pieces, const T* panel, T* c, ptrdiff_t c_row, Start<T> start, Next next) {
    static_assert(FEW_ROWS == 3, "there is a tile for each of so many rows");
    switch (rows) {
        case 1: return tile<T, 1, panels_across(1)>(piece, pieces, 0, panel, c, c_row, start, next);
        case 2: return tile<T, 2, panels_across(2)>(piece, pieces, 0, panel, c, c_row, start, next);
        default: return tile<T, 3, panels_across(3)>(piece, pieces, 0, panel, c, c_row, start, next);
    }
}

// As `multiply`, of `rows` <= FEW_ROWS rows and panels_across(rows) whole panels.
template <class T, class A>
inline void multiply_across(const Piece<A>* piece, int pieces, int64_t rows, const A* panel, T* c, ptrdiff_t c_row, Start<T> start,
                            Next next) {
    do {
        int depth;
        const int count = pieces_together(piece, pieces, &depth);
        tile_across(rows, piece, count, panel, c, c_row, start, next);
        panel += ptrdiff_t(depth) * BLOCK<T>;
        piece += count, pieces -= count;
        start = {c, c_row};
        next.start = next.c;
    } while (pieces > 0);
}

// clang and GCC from 12 on have the first, GCC before 12 the second.
#if __has_builtin(__builtin_shufflevector)
#define CAROUSEL_SHUFFLE(a, b, ...) __builtin_shufflevector(a, b, __VA_ARGS__)
#else
#define CAROUSEL_SHUFFLE(a, b, ...) __builtin_shuffle(a, b, Order{__VA_ARGS__})
#endif

// A square of numbers turned: SIDE<T> rows of so many numbers become columns, which are stored, or added to what is there.
// As many shuffles as numbers in four rows for the side of four, in three rows for the side of eight.
template <bool ADD, class V, class T> inline void put(V v, T* to) {
    if constexpr (ADD) {
        V there;
        std::memcpy(&there, to, sizeof(V));
        v = there + v;
    }
    std::memcpy(to, &v, sizeof(V));
}

#if CAROUSEL_VECTOR_BYTES >= 32
template <class T> constexpr int SIDE = sizeof(T) == 4 ? 8 : 4;
template <bool ADD> inline void turn_square(const float* from, ptrdiff_t from_row, float* to, ptrdiff_t to_row) {
    typedef float Eight __attribute__((vector_size(32)));
    typedef int32_t Order [[maybe_unused]] __attribute__((vector_size(32)));
    Eight r[8], s[8];
#pragma GCC unroll 8
    for (int i = 0; i < 8; ++i) std::memcpy(&r[i], from + i * from_row, sizeof(Eight));
#pragma GCC unroll 4
    for (int i = 0; i < 8; i += 2) {
        s[i] = CAROUSEL_SHUFFLE(r[i], r[i + 1], 0, 8, 1, 9, 4, 12, 5, 13);
        s[i + 1] = CAROUSEL_SHUFFLE(r[i], r[i + 1], 2, 10, 3, 11, 6, 14, 7, 15);
    }
#pragma GCC unroll 2
    for (int i = 0; i < 8; i += 4)
#pragma GCC unroll 2
        for (int j = 0; j < 2; ++j) {
            r[i + 2 * j] = CAROUSEL_SHUFFLE(s[i + j], s[i + j + 2], 0, 1, 8, 9, 4, 5, 12, 13);
            r[i + 2 * j + 1] = CAROUSEL_SHUFFLE(s[i + j], s[i + j + 2], 2, 3, 10, 11, 6, 7, 14, 15);
        }
#pragma GCC unroll 4
    for (int i = 0; i < 4; ++i) {
        put<ADD>(Eight(CAROUSEL_SHUFFLE(r[i], r[i + 4], 0, 1, 2, 3, 8, 9, 10, 11)), to + i * to_row);
        put<ADD>(Eight(CAROUSEL_SHUFFLE(r[i], r[i + 4], 4, 5, 6, 7, 12, 13, 14, 15)), to + (i + 4) * to_row);
    }
}
#else
template <class T> constexpr int SIDE = 4;
template <bool ADD> inline void turn_square(const float* from, ptrdiff_t from_row, float* to, ptrdiff_t to_row) {
    typedef float Four __attribute__((vector_size(16)));
    typedef int32_t Order [[maybe_unused]] __attribute__((vector_size(16)));
    Four r[4];
    for (int i = 0; i < 4; ++i) std::memcpy(&r[i], from + i * from_row, sizeof(Four));
    const Four a = CAROUSEL_SHUFFLE(r[0], r[1], 0, 4, 1, 5), b = CAROUSEL_SHUFFLE(r[2], r[3], 0, 4, 1, 5);
    const Four c = CAROUSEL_SHUFFLE(r[0], r[1], 2, 6, 3, 7), d = CAROUSEL_SHUFFLE(r[2], r[3], 2, 6, 3, 7);
    const Four columns[4] = {CAROUSEL_SHUFFLE(a, b, 0, 1, 4, 5), CAROUSEL_SHUFFLE(a, b, 2, 3, 6, 7),
                             CAROUSEL_SHUFFLE(c, d, 0, 1, 4, 5), CAROUSEL_SHUFFLE(c, d, 2, 3, 6, 7)};
    for (int i = 0; i < 4; ++i) put<ADD>(columns[i], to + i * to_row);
}
#endif
template <bool ADD> inline void turn_square(const double* from, ptrdiff_t from_row, double* to, ptrdiff_t to_row) {
    for (int i = 0; i < 4; ++i)
        for (int j = 0; j < 4; ++j) to[j * to_row + i] = ADD ? to[j * to_row + i] + from[i * from_row + j] : from[i * from_row + j];
}

// to[k][j] = from[j][k] for k < depth, j < columns: from a matrix to a panel; or, if ADD, += from a panel to a matrix.
template <bool ADD, class T>
inline void transpose(const T* from, ptrdiff_t from_row, int64_t depth, int64_t columns, T* to, ptrdiff_t to_row) {
    constexpr int S = SIDE<T>;
    const int64_t deep = depth / S * S, wide = columns / S * S;
    const auto turn = [&](int64_t j, int64_t k) { turn_square<ADD>(from + j * from_row + k, from_row, to + k * to_row + j, to_row); };
    // Along the rows of the matrix, which are far apart: each line of the cache is used up before the next.
    if constexpr (ADD) {
        for (int64_t k = 0; k < deep; k += S)
            for (int64_t j = 0; j < wide; j += S) turn(j, k);
    } else {
        for (int64_t j = 0; j < wide; j += S)
            for (int64_t k = 0; k < deep; k += S) turn(j, k);
    }
    for (int64_t k = 0; k < depth; ++k)
        for (int64_t j = k < deep ? wide : 0; j < columns; ++j)
            to[k * to_row + j] = ADD ? to[k * to_row + j] + from[j * from_row + k] : from[j * from_row + k];
}

// Appends to a panel [depth][BLOCK] the columns [first, first + columns) of the transpose of a matrix stored by rows:
// panel[k][j] = w[first + j][k], or of the matrix itself: panel[k][j] = w[k][first + j].
template <class T>
inline void pack_panel(const T* w, ptrdiff_t w_row, int64_t depth, int64_t first, int columns, bool turn, T* panel) {
    if (turn) {
        transpose<false>(w + first * w_row, w_row, depth, columns, panel, BLOCK<T>);
        for (int64_t k = 0; k < depth && columns < BLOCK<T>; ++k)
            for (int j = columns; j < BLOCK<T>; ++j) panel[k * BLOCK<T> + j] = T(0);
    } else {
        for (int64_t k = 0; k < depth; ++k) {
            const T* from = w + k * w_row + first;
            T* to = panel + k * BLOCK<T>;
            if (columns == BLOCK<T>) {  // a call of memcpy for so few bytes takes longer than the copy
                for (int v = 0; v < VECTORS; ++v) store(to + v * lanes<T>, load(from + v * lanes<T>));
                continue;
            }
            std::memcpy(to, from, columns * sizeof(T));
            for (int j = columns; j < BLOCK<T>; ++j) to[j] = T(0);
        }
    }
}

}  // namespace
