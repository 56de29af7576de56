// What crosses the border: a program made ready for running (Plan), one call (Scan). Plain C, mirrored by
// carousel/engines/native/binding.py.
#pragma once

#include <cstdint>

extern "C" {

// Where an instruction finds or leaves a value.
enum CarouselKind : int32_t {
    LOCAL,             // scratch of one strip, by slot
    BUFFER,            // a buffer, at this step
    PREVIOUS,          // a carried state, as the step before in this walk left it
    FORWARD_PREVIOUS,  // in backward: a state of the forward scan, as its step before this one left it
    VECTOR,            // a learned vector: the same for every row
    CONSTANT,          // a number: the same everywhere
    ROW,               // one number per row, private to a thread
    COLUMN_SUMS,       // sums over all rows, per unit
    CHILD,             // over trees, of a weight's gradient: what a gather reads, where it is
};

// of_row: of members, it is the row whose members they are.
struct CarouselView {
    int32_t kind, which, of_row;
};

enum CarouselLayout : int32_t {
    PANEL,    // [block of units][row][unit of the block]
    ROWS,     // [row][unit], as torch stores it
    PARTIAL,  // [block of units][row]: one number for each, parts of a sum over units
    NUMBER,   // [row]
    HALVES,   // as PANEL, of bfloat16; strips load and store it
};

enum CarouselTime : int32_t {
    ALWAYS,  // every step has its own rows
    CHUNK,   // every step of the current chunk of steps
    TWO,     // this step and the one before
};

enum CarouselPlace : int32_t { WORKSPACE, SAVED, EXTERNAL };

// SINGLE: rows of one unit.
enum CarouselSize : int32_t { HIDDEN, PROJECTION, FURTHER, SINGLE };

struct CarouselBuffer {
    int32_t layout, size, time, place;
    int32_t external;  // which of the scan's rows_of_steps it is, where place is EXTERNAL
    int32_t members;   // whether it has a row for each member of a row: over trees, for each edge to a child; else for
                       // each of the scan's `members`
};

struct CarouselConstant {
    double value;       // the number, or
    int32_t per;        // CarouselSize: 1 / units of that size, or
    int32_t parameter;  // the first number of a parameter; both -1 where value counts
};

struct CarouselVector {
    int32_t parameter, gate;  // gate: which block of units of the parameter; -1 for all of it
    int32_t size;             // CarouselSize
};

// dst = op(a, b, c). Beside the pointwise ops of ops.h (whose numbers come first) there are the structural ones.
enum CarouselStructural : int32_t {
    EXPAND = 1000,  // a number per row, for every unit
    PARTIAL_SUM,    // over the units of a block
    TOTAL_SUM,      // over the blocks
    ADD_COLUMNS,    // over the rows
    SAVE_NUMBER, LOAD_NUMBER,  // between a thread's own numbers per row and a buffer
    LOAD_ROWS, STORE_ROWS,     // between strips and rows whose length is no multiple of a block
    LOAD_HALVES, STORE_HALVES,  // between strips and bfloat16
    PARTIAL_HIGHEST, TOTAL_HIGHEST,  // as the sums, of the largest number; NaN where there is one
    SPREAD, TOTAL, GREATEST,         // between a row and its members: a copy for each, their sum, the greatest or 0
    ROLL, ROLL_BACK, TRANSPOSE,      // among as many members of each row: the one before, the one after, unit m of each
    AS_ROW, AS_MEMBERS,              // their numbers, one for each, as the units of a row, and the reverse
    PARTIAL_DOT, TOTAL_PRODUCT,      // as PARTIAL_SUM and TOTAL, of a * b; in TOTAL_PRODUCT a may be a number of each
};

struct CarouselInstruction {
    int32_t op, dst, a, b, c;  // views
};

// One factor of a matrix product: rows of `source` times a parameter's block, or its transpose.
struct CarouselTerm {
    int32_t source, source_size, parameter, gate, transposed;
};

// dst (+)= bias + the sum of its terms. size: of the rows of dst. idle: at leaves there is nothing to multiply, or nothing
// that is read.
struct CarouselProduct {
    int32_t dst, size, accumulate, bias_parameter, bias_gate, first_term, terms, idle;
};

// A stretch of one step between two points where all threads must have arrived: products, then per-row numbers, then strips.
// The plan's first segments need no state, and run once for all rows of a chunk before its steps; its last ones are
// needed by no later step, and run once after them.
// members: all of it is for the members of rows.
struct CarouselSegment {
    int32_t products, products_end, numbers, numbers_end, hidden, hidden_end, projection, projection_end, further, further_end, single,
        single_end, waits, members;
};

// In forward: the input part of a gate. In backward: its gradient. biases: parameters that start it, or -1. idle: leaves do
// not depend on it; those that are come last.
struct CarouselInput {
    int32_t buffer, gate, bias, recurrent_bias, recurrent_gate, idle;
};

// The gradient of a weight: the sum over all rows of (gradient row) x (source row). idle: leaves add to that of its bias
// alone.
struct CarouselWeightGradient {
    int32_t source, source_size, gradient, size, parameter, gate, bias_parameter, idle;
};

// Over trees, what a step goes on from: the states of its rows' children number `slot`, or of all their members (-1). A
// gather brings them from the buffer of all nodes to a panel of the step, before it (unless panel is -1, where no step
// reads them); a scatter adds the panel to the children's rows after it.
struct CarouselGather {
    int32_t state, slot, nodes, panel;
};

#define CAROUSEL_LIST(type, name) \
    int64_t name##_count;         \
    const type* name

struct CarouselPlan {
    CAROUSEL_LIST(CarouselView, views);
    CAROUSEL_LIST(CarouselBuffer, buffers);
    CAROUSEL_LIST(CarouselConstant, constants);
    CAROUSEL_LIST(CarouselVector, vectors);
    CAROUSEL_LIST(CarouselInstruction, instructions);
    CAROUSEL_LIST(CarouselTerm, terms);
    CAROUSEL_LIST(CarouselProduct, products);
    CAROUSEL_LIST(CarouselSegment, segments);
    CAROUSEL_LIST(CarouselInput, inputs);
    CAROUSEL_LIST(CarouselWeightGradient, weight_gradients);
    CAROUSEL_LIST(int32_t, carried);        // for each state of this walk: the buffer it is carried in
    CAROUSEL_LIST(int32_t, forward_states);  // in backward, for each forward state: its buffer, or -1
    CAROUSEL_LIST(int32_t, state_sizes);     // for each state: CarouselSize
    CAROUSEL_LIST(CarouselVector, column_sums);  // in backward: whose gradients they are
    CAROUSEL_LIST(CarouselGather, gathers);
    CAROUSEL_LIST(CarouselGather, scatters);
    int64_t slots;                           // LOCAL values alive at once
    int64_t numbers;                         // ROW values
    int64_t gates;
    int64_t before, after;                   // segments that are run once a chunk, before and after its steps
};

// One call. Null where there is nothing: a parameter that is absent, a gradient that nobody asked for.
struct CarouselScan {
    const CarouselPlan* plan;
    int64_t steps, rows, batch, input, hidden, projection, further;
    int64_t members;             // how many each row has, as many everywhere; 0 if none, and over trees
    const int64_t* batch_sizes;  // [steps]
    int64_t parameters_count;    // parameters[0] is the input matrix (gates * hidden, input)
    int32_t reverse, threads, split, is_double;  // split: 0 chosen from the shape, 1 by rows, 2 by units
    int32_t bfloat16;                // round the factors of matrix products; all else, sums too, stays float
    int32_t alone;                   // set by dispatch.cpp where there can be no team
    const void* x;                   // [rows][input]
    const void* const* parameters;
    const void* const* first;        // per state: [batch][size]
    void* const* rows_of_steps;      // the EXTERNAL buffers: streams, what the scan emits, its gradients; [rows][size]. A
                                     // gradient that is null is zero
    void* const* last;               // per state: [batch][size]
    void* saved;                     // rows * carousel_saved_width(...) numbers
    void* workspace;                 // carousel_workspace(...) bytes, in any state
    // backward
    const void* const* grad_last;
    void* grad_x;
    void* const* grad_first;
    void* const* grad_parameters;    // zeros on entry
    // over trees: null and 0 in sequences. Rows are nodes in the order of the scan, and a step goes on from any rows of
    // earlier steps; steps may have any number of rows, of which batch is the largest. States before the first step are
    // one row for all, and null for zeros; `last` and `grad_last` are not used. One thread runs such a scan.
    const int64_t* first_edge;       // [rows + 1]: where the edges of each row begin
    const int64_t* sources;          // [edges]: the row that each edge comes from
    const int64_t* readers;          // [edges]: the row whose edge it is
    const int64_t* at;               // [given]: the rows that have an input, rising; x and grad_x have no others. Null: all
    int64_t edges, given;
    int64_t leaves;                  // so many rows come first that have no edges and go on from zeros
};

}  // extern "C"
