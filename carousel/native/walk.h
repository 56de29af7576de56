// The order of steps: forward or backward in time, with rows that begin late and end early.
//
// Steps are stored one after another, step t with size[t] rows, never more than the step before. Walking up in time rows
// only leave; walking down they only enter: one rule serves both, and backpropagation is the same walk turned round.
#pragma once

#include "threads.h"

namespace carousel::CAROUSEL_ISA {

struct Step {
    int64_t rows;      // how many
    int64_t offset;    // the first of them, among the rows of all steps
    int64_t carried;   // rows [0, carried) come from the step before in this walk, the others begin here
    int64_t carried_offset;
    int64_t going_on;  // rows [0, going_on) go on to the next step of this walk, the others end here
    int64_t going_on_offset;
    int64_t turn;      // 0, 1, 0, 1, ...: which half of a buffer of two steps
};

struct Walk {
    const int64_t* sizes;
    const int64_t* offsets;  // [steps + 1]
    int64_t steps;
    bool down;  // from the last step to the first

    int64_t time(int64_t k) const { return down ? steps - 1 - k : k; }

    Step step(int64_t k) const {
        const int64_t t = time(k), before = down ? t + 1 : t - 1, after = down ? t - 1 : t + 1;
        Step s{};
        s.rows = sizes[t];
        s.offset = offsets[t];
        s.turn = k & 1;
        if (before >= 0 && before < steps) {
            s.carried = sizes[before] < s.rows ? sizes[before] : s.rows;
            s.carried_offset = offsets[before];
        }
        if (after >= 0 && after < steps) {
            s.going_on = sizes[after] < s.rows ? sizes[after] : s.rows;
            s.going_on_offset = offsets[after];
        }
        return s;
    }
};

// Consecutive steps [begin, end) of a walk with about `rows` rows; first_row is the lowest of them.
struct Chunk {
    int64_t begin, end, first_row, rows;
};

inline Chunk next_chunk(const Walk& walk, int64_t begin, int64_t rows) {
    Chunk c{begin, begin, 0, 0};
    while (c.end < walk.steps) {
        const int64_t more = walk.sizes[walk.time(c.end)];
        if (c.end > begin && c.rows + more > rows) break;
        c.rows += more;
        ++c.end;
    }
    const int64_t a = walk.time(begin), b = walk.time(c.end - 1);
    c.first_row = walk.offsets[a < b ? a : b];
    return c;
}

}  // namespace
