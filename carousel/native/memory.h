// The memory of one call: given out from one piece, and addressed by rows of blocks of units.
#pragma once

#include <cstddef>
#include <cstdint>

namespace carousel::CAROUSEL_ISA {

using std::ptrdiff_t;

// Memory given out from one piece. With nothing to give out (base 0) it only counts.
struct Arena {
    uintptr_t base;
    int64_t used = 0;

    template <class U> U* take(int64_t count) { return static_cast<U*>(bytes(count * int64_t(sizeof(U)))); }

    void* bytes(int64_t count) {
        void* p = reinterpret_cast<void*>(base + used);
        used += (count + 63) / 64 * 64;
        return p;
    }

    bool counting() const { return base == 0; }
};

// Rows of blocks of units in memory: unit u of block b of row r is at[b * block + r * row + u].
template <class T> struct Ref {
    T* at;
    ptrdiff_t block, row;
};

template <class T> inline Ref<T> moved(Ref<T> ref, int64_t rows) { return {ref.at + rows * ref.row, ref.block, ref.row}; }

}  // namespace
