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
    int64_t first_edge, edges;  // where rows have members: theirs; over trees those to the rows' children
};

struct Walk {
    const int64_t* sizes;
    const int64_t* offsets;  // [steps + 1]
    int64_t steps;
    bool down;  // from the last step to the first
    const int64_t* first_edge;  // over trees: of each row; else null
    bool members;               // whether rows have members: then edges are counted
    int64_t leaves;             // the rows before this one and those from it on are never in one chunk
    int64_t each;               // how many members every row has; 0 if none, and over trees

    int64_t time(int64_t k) const { return down ? steps - 1 - k : k; }

    Step step(int64_t k) const {
        const int64_t t = time(k), before = down ? t + 1 : t - 1, after = down ? t - 1 : t + 1;
        Step s{};
        s.rows = sizes[t];
        s.offset = offsets[t];
        s.turn = k & 1;
        s.first_edge = s.offset * each, s.edges = s.rows * each;
        if (first_edge) {
            if (members) s.first_edge = first_edge[s.offset], s.edges = first_edge[s.offset + s.rows] - s.first_edge;
            s.going_on = s.rows;  // no row leaves: the states of all are results
            return s;
        }
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
    int64_t begin, end, first_row, rows, first_edge, edges;
};

inline Chunk next_chunk(const Walk& walk, int64_t begin, int64_t rows, int64_t edges) {
    Chunk c{begin, begin, 0, 0, 0, 0};
    while (c.end < walk.steps) {
        const Step s = walk.step(c.end);
        const bool too_many = c.rows + s.rows > rows || c.edges + s.edges > edges;
        if (c.end > begin && (too_many || (s.offset < walk.leaves) != (c.first_row < walk.leaves))) break;
        c.first_row = c.end > begin && c.first_row < s.offset ? c.first_row : s.offset;
        c.rows += s.rows, c.edges += s.edges;
        ++c.end;
    }
    c.first_edge = walk.members ? walk.first_edge[c.first_row] : c.first_row * walk.each;
    return c;
}

}  // namespace
