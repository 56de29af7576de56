// Packed factors of matrix products, whatever format their numbers have. The machine, the forward and the backward pass
// call Left, Factor and Turned, and know no format; a further format is one class here, and a line in `in_format`.
#pragma once

#include "memory.h"
#include "pairs.h"
#include "threads.h"

namespace carousel::CAROUSEL_ISA {

enum class Format { PLAIN, PAIRS };

// A part of a parameter, stored by rows: columns [first, first + columns) of its transpose if `turn`, else of itself.
template <class T> struct Matrix {
    const T* at;
    ptrdiff_t row;
    int64_t depth, first;
    int columns;
    bool turn;
};

// The most that any product of a call needs: pieces, elements of its rows, the depth of a panel, rows of a gradient,
// elements of the panels that are packed where they are multiplied.
struct ScratchSizes {
    int64_t pieces, rows, panel, gradient, at_once;
};

// What a thread needs to read and convert factors. A format that converts nothing has only the pieces.
template <class T> struct Scratch {
    void* pieces;    // of a left factor: Piece<Element>
    void* rows;      // a left factor that was converted, [row][element]
    T* panel;        // a panel on its way to another format
    void* gradient;  // a panel of gradients that was converted
    void* at_once;   // panels that are packed where they are multiplied

    static Scratch in(Arena& arena, Format format, const ScratchSizes& sizes);
};

// ---- the formats
//
// Element: what a packed factor consists of. CONVERTS: whether factors are converted before they are multiplied.
// length(depth): elements for so many numbers along the depth. tile_of and tile_across know the element.

// Numbers as they are, and rows where they are.
template <class T> struct Plain {
    using Element = T;
    static constexpr bool CONVERTS = false;
    static int64_t length(int64_t depth) { return depth; }

    static void pack(const Matrix<T>& m, T* to, T*) { pack_panel(m.at, m.row, m.depth, m.first, m.columns, m.turn, to); }

    // Rows of a left factor, the first at `from`, as pieces of depth: rows in memory end at DEPTH, a panel's at each block.
    static int read(Ref<T> from, bool panel, int64_t, int64_t depth, Piece<T>* pieces, T*, int64_t) {
        const int64_t each = panel ? BLOCK<T> : DEPTH;
        int count = 0;
        for (int64_t k = 0; k < depth; k += each)
            pieces[count++] = {panel ? from.at + k / each * from.block : from.at + k, from.row, 1, int(depth - k < each ? depth - k : each)};
        return count;
    }

    static const T* gradient_panel(const T* gradient, int64_t, T*) { return gradient; }

    // Row n of a chunk of `rows`, turned.
    static void turn(Ref<T> from, int64_t n, int64_t rows, int64_t units, T* turned, T*) {
        T* to = turned + n * TILE_ROWS;
        const int64_t whole = from.block == BLOCK<T> ? units / TILE_ROWS : 0;  // groups of a row that lies in one piece
        for (int64_t g = 0; g < whole; ++g) std::memcpy(to + g * rows * TILE_ROWS, from.at + g * TILE_ROWS, TILE_ROWS * sizeof(T));
        for (int64_t u = whole * TILE_ROWS, b = u / BLOCK<T>; u < units; ++b) {
            const T* row = from.at + b * from.block;
            const int64_t end = u + BLOCK<T> < units ? u + BLOCK<T> : units;
            for (; u < end; ++u) to[u / TILE_ROWS * rows * TILE_ROWS + u % TILE_ROWS] = row[u - b * BLOCK<T>];
        }
        to[units / TILE_ROWS * rows * TILE_ROWS + units % TILE_ROWS] = 1;
    }
};

// Floats rounded to bfloat16, in pairs along the depth.
struct Pairs {
    using Element = Pair;
    static constexpr bool CONVERTS = true;
    static int64_t length(int64_t depth) { return pairs_of(depth); }

    static void pack(const Matrix<float>& m, Pair* to, float* panel) {
        Plain<float>::pack(m, panel, nullptr);
        pair_panel(panel, m.depth, to);
    }

    static int read(Ref<float> from, bool panel, int64_t rows, int64_t depth, Piece<Pair>* pieces, Pair* to, int64_t to_row) {
        const int64_t each = panel ? BLOCK<float> : depth;
        for (int64_t r = 0; r < rows; ++r)
            for (int64_t b = 0, k = 0; k < depth; ++b, k += each)
                pair_row(from.at + r * from.row + b * from.block, depth - k < each ? depth - k : each, to + r * to_row + k / 2);
        int count = 0;
        for (int64_t k = 0; k < pairs_of(depth); k += DEPTH)
            pieces[count++] = {to + k, to_row, 1, int(pairs_of(depth) - k < DEPTH ? pairs_of(depth) - k : DEPTH)};
        return count;
    }

    static const Pair* gradient_panel(const float* gradient, int64_t rows, Pair* to) {
        pair_panel(gradient, rows, to);
        return to;
    }

    static void turn(Ref<float> from, int64_t n, int64_t rows, int64_t units, Pair* turned, Pair* scratch) {
        for (int64_t b = 0, k = 0; k < units; ++b, k += BLOCK<float>)
            pair_row(from.at + b * from.block, units - k < BLOCK<float> ? units - k : BLOCK<float>, scratch + k / 2);
        uint16_t* row = reinterpret_cast<uint16_t*>(scratch);
        row[units] = 0x3f80;  // 1
        uint16_t* to = reinterpret_cast<uint16_t*>(turned) + n / 2 * TILE_ROWS * 2 + n % 2;
        const bool single = n + 1 == rows && n % 2 == 0;  // the last row has no other to pair with
        for (int64_t u = 0; u <= units; to += pairs_of(rows) * TILE_ROWS * 2)
            for (int64_t j = 0; j < TILE_ROWS && u <= units; ++j, ++u) {
                to[2 * j] = row[u];
                if (single) to[2 * j + 1] = 0;
            }
    }
};

// Calls `work` with a format; only float has others than its own.
template <class T, class Work> inline auto in_format(Format format, Work work) {
    if constexpr (sizeof(T) == sizeof(float))
        if (format == Format::PAIRS) return work(Pairs{});
    return work(Plain<T>{});
}

template <class T> inline int64_t length_of(Format format, int64_t depth) {
    return in_format<T>(format, [&](auto f) { return f.length(depth); });
}

// Room for `count` elements of a format.
template <class T> inline void* room_for(Arena& arena, Format format, int64_t count) {
    return in_format<T>(format, [&](auto f) { return arena.bytes(count * int64_t(sizeof(typename decltype(f)::Element))); });
}

template <class T> inline Scratch<T> Scratch<T>::in(Arena& arena, Format format, const ScratchSizes& sizes) {
    const int64_t some = in_format<T>(format, [](auto f) { return f.CONVERTS; });  // 1, or 0 for no converted factor at all
    return {arena.take<Piece<T>>(sizes.pieces), room_for<T>(arena, format, some * sizes.rows), arena.take<T>(some * sizes.panel * BLOCK<T>),
            room_for<T>(arena, format, some * length_of<T>(format, sizes.gradient) * BLOCK<T>),
            room_for<T>(arena, format, sizes.at_once)};
}

// ---- what is called

// Rows that products read, one source beside another.
template <class T> struct Left {
    Format format;
    const Scratch<T>& scratch;
    Range rows;
    int64_t length;    // of all sources, in elements
    int64_t done = 0;  // of those that are here
    int pieces = 0;

    // Rows as torch stores them, or those of a panel: `depth` units of each.
    void add(Ref<T> from, bool panel, int64_t depth) {
        in_format<T>(format, [&](auto f) {
            using Element = typename decltype(f)::Element;
            Element* to = static_cast<Element*>(scratch.rows) + done;
            Piece<Element>* next = static_cast<Piece<Element>*>(scratch.pieces) + pieces;
            pieces += f.read(moved(from, rows.begin), panel, rows.size(), depth, next, to, length);
            done += f.length(depth);
        });
    }
};

// Where a product's rows go: a panel, or rows as torch stores them, whose last block may end early.
template <class T> struct Target {
    Ref<T> at;
    bool panel;
    int64_t units;

    int columns(int64_t block) const {
        const int64_t left = units - block * BLOCK<T>;
        return panel || left > BLOCK<T> ? BLOCK<T> : int(left);
    }
    int64_t whole_blocks() const { return (units + (panel ? BLOCK<T> - 1 : 0)) / BLOCK<T>; }
};

// A part of a right factor's column: `depth` numbers for each of `units` units, in a matrix or, if `turn`, its transpose.
template <class T> struct Part {
    const T* at;
    ptrdiff_t row;
    int64_t depth, units;
    bool turn;
};

// A right factor, packed: [block][element][BLOCK]. What a call multiplies by only once is not packed before: each of its
// panels is made where it is multiplied, and still in L1 then.
template <class T> struct Factor {
    Format format;
    int64_t length;  // of a block's column, in elements
    Part<T>* parts;  // of a column, one below another
    int count;
    void* at;  // null where panels are made at once

    static Factor in(Arena& arena, Format format, int64_t blocks, int64_t length, int count, bool at_once) {
        Part<T>* parts = arena.take<Part<T>>(count);
        return {format, length, parts, count, at_once ? nullptr : room_for<T>(arena, format, blocks * length * BLOCK<T>)};
    }

    // Packs the blocks that are to be packed before they are multiplied.
    void pack(Range blocks, const Scratch<T>& scratch) const {
        for (int64_t b = blocks.begin; b < blocks.end && at; ++b) pack_to(at, b, b, scratch);
    }

    // to = start + left x this, for some blocks. start.at is null for zeros, and to.at to add.
    void multiply(const Left<T>& left, Range blocks, const Target<T>& to, Ref<T> start) const {
        const int64_t rows = left.rows.size(), across = panels_across(rows);
        const int64_t whole = to.whole_blocks() < blocks.end ? to.whole_blocks() : blocks.end;
        if (rows <= 0) return;
        in_format<T>(format, [&](auto f) {
            using Element = typename decltype(f)::Element;
            const Piece<Element>* pieces = static_cast<const Piece<Element>*>(left.scratch.pieces);
            for (int64_t b = blocks.begin, wide; b < blocks.end; b += wide) {
                wide = b + across <= whole ? across : 1;
                for (int64_t i = 0; i < wide && !at; ++i) pack_to(left.scratch.at_once, i, b + i, left.scratch);
                const Element* panel = at ? static_cast<const Element*>(at) + b * length * BLOCK<T> : static_cast<const Element*>(left.scratch.at_once);
                T* c = to.at.at + b * to.at.block + left.rows.begin * to.at.row;
                const Start<T> from{start.at ? start.at + b * start.block + left.rows.begin * start.row : nullptr, start.row};
                if (wide > 1)
                    multiply_across(pieces, left.pieces, rows, panel, c, to.at.row, from,
                                    {ptrdiff_t(length) * BLOCK<T>, to.at.block, start.block});
                else
                    carousel::CAROUSEL_ISA::multiply(pieces, left.pieces, rows, panel, c, to.at.row, to.columns(b), from);
            }
        });
    }

   private:
    // A block's column, as that of block `as`.
    void pack_to(void* panels, int64_t as, int64_t block, const Scratch<T>& scratch) const {
        in_format<T>(format, [&](auto f) {
            auto* to = static_cast<typename decltype(f)::Element*>(panels) + as * length * BLOCK<T>;
            for (int i = 0; i < count; ++i) {
                const Part<T>& p = parts[i];
                const int64_t first = block * BLOCK<T>, left = p.units - first;
                f.pack({p.at, p.row, p.depth, first, int(left < BLOCK<T> ? left : BLOCK<T>), p.turn}, to, scratch.panel);
                to += f.length(p.depth) * BLOCK<T>;
            }
        });
    }
};

// The rows that a weight's gradient is summed over, turned so that TILE_ROWS units of one row lie together, and a one
// under each row's units: the bias's gradient falls out of the same product. [group of TILE_ROWS units][row][TILE_ROWS]
template <class T> struct Turned {
    Format format;
    int64_t units;
    void* at;

    static int64_t groups(int64_t units) { return (units + 1 + TILE_ROWS - 1) / TILE_ROWS; }

    static Turned in(Arena& arena, Format format, int64_t units, int64_t rows) {
        return {format, units, room_for<T>(arena, format, groups(units) * TILE_ROWS * length_of<T>(format, rows))};
    }

    // Rows [rows.begin, rows.end) of a chunk's `count`; row n is row n + shift of `from`.
    void turn(Ref<T> from, int64_t shift, Range rows, int64_t count, const Scratch<T>& scratch) const {
        in_format<T>(format, [&](auto f) {
            using Element = typename decltype(f)::Element;
            for (int64_t n = rows.begin; n < rows.end; ++n)
                f.turn(moved(from, n + shift), n, count, units, static_cast<Element*>(at), static_cast<Element*>(scratch.rows));
        });
    }

    // sum, [unit, and one for the bias][BLOCK], += the turned rows times a panel of `count` rows, for some groups of units.
    // rows: those that were turned. The first of them is even, and so is the end unless it is the last of all.
    void add_products(Range some, const T* gradient, int64_t count, Range rows, T* sum, const Scratch<T>& scratch) const {
        if (some.size() <= 0 || rows.size() <= 0) return;
        in_format<T>(format, [&](auto f) {
            using Element = typename decltype(f)::Element;
            const Element* panel = f.gradient_panel(gradient, count, static_cast<Element*>(scratch.gradient));
            const int64_t length = f.length(count), end = f.length(rows.end);
            for (int64_t n = f.length(rows.begin); n < end; n += DEPTH)
                for (int64_t g = some.begin; g < some.end; ++g) {
                    const Element* from = static_cast<const Element*>(at) + (g * length + n) * TILE_ROWS;
                    const Piece<Element> piece{from, 1, TILE_ROWS, int(end - n < DEPTH ? end - n : DEPTH)};
                    const int64_t u = g * TILE_ROWS, left = units + 1 - u;
                    T* to = sum + u * BLOCK<T>;
                    tile_of<T>(int(left < TILE_ROWS ? left : TILE_ROWS), &piece, 1, 0, panel + n * BLOCK<T>, to, BLOCK<T>, {to, BLOCK<T>});
                }
        });
    }
};

}  // namespace
