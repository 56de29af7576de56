// A plan laid out in memory for one call: sizes, buffers, weights, states, and what each thread has of its own. All of it
// is decided once, before the first step.
#pragma once

#include "factors.h"
#include "structural.h"
#include "walk.h"

namespace carousel::CAROUSEL_ISA {

// Where a view's values are at the present step: those of block b, row r are at[b * block + r * row].
template <class T> struct Place {
    Ref<T> ref;
    ptrdiff_t strip_block, strip_row;  // how far a strip's place moves with its first block and row: 0 for LOCAL
    ptrdiff_t strip_owner;             // and with the row whose members it has: 0 but where they share that row
};

constexpr int SIZES = 4;  // as many as CarouselSize has

// For which rows a thread has placed its views: a stretch of a step.
struct Placed {
    int64_t offset, turn, carried_offset, going_on_offset, first_row, stretch;

    bool operator==(const Placed& o) const {
        return offset == o.offset && turn == o.turn && carried_offset == o.carried_offset && going_on_offset == o.going_on_offset &&
               first_row == o.first_row && stretch == o.stretch;
    }
};

// What is one thread's own.
template <class T> struct Worker {
    int thread, threads;
    Range blocks[SIZES];  // per CarouselSize: the blocks of units it computes
    bool shares_rows;   // others compute further blocks of the same rows
    Place<T>* places;   // per view
    Placed* placed;
    T* slots;           // LOCAL
    T* numbers;         // ROW
    T* column_sums;     // COLUMN_SUMS
    Scratch<T> scratch;
};

template <class T> inline int64_t blocks_of(int64_t units) { return (units + BLOCK<T> - 1) / BLOCK<T>; }

// How many numbers a buffer has for each row. blocks: per CarouselSize.
template <class T> inline int64_t width_of(const CarouselBuffer& b, const int64_t* blocks) {
    switch (b.layout) {
        case PANEL: return blocks[b.size] * BLOCK<T>;
        case HALVES: return blocks[b.size] * (BLOCK<T> / 2);
        case PARTIAL: return blocks[b.size];
    }
    return 1;
}

template <class T> struct Layout {
    const CarouselPlan& plan;
    const CarouselScan& scan;
    Walk walk;
    int threads;
    bool by_units;
    Format format;                // of the factors of products
    bool at_once;                 // whether right factors are packed where they are multiplied
    int64_t units[SIZES], blocks[SIZES];  // per CarouselSize
    int64_t chunk_rows;           // rows that a CHUNK buffer holds
    int64_t all_edges, most_edges, chunk_edges;  // members of rows: of all steps, of a step, and of a chunk
    int64_t number_rows;          // length of a ROW value

    Ref<T>* buffers;        // at this call's row 0
    T* zeros;               // every row of what nobody gave: gradients of results that are not used
    Factor<T>* products;    // packed weights
    T** biases;             // per product: [block][BLOCK], or null
    T** vectors;
    T* constants;
    Ref<T>* first;          // per carried state
    Ref<T>* forward_first;  // per forward state
    T** absent;             // over trees, per state: the row of a child that there is not
    T** childless;          // over trees, per buffer: of a panel of children, what all rows of leaves have there; else null
    int32_t* moving;        // views whose place changes from step to step
    int64_t moving_count = 0;
    Worker<T>* workers;

    Layout(const CarouselScan& scan, Arena& arena, bool backward) : plan(*scan.plan), scan(scan), threads(scan.threads) {
        units[HIDDEN] = scan.hidden, units[PROJECTION] = scan.projection, units[FURTHER] = scan.further, units[SINGLE] = 1;
        for (int s = 0; s < SIZES; ++s) blocks[s] = blocks_of<T>(units[s]);
        by_units = !scan.members && (scan.split == 2 || (scan.split == 0 && units_are_better()));
        format = sizeof(T) == sizeof(float) && scan.bfloat16 ? Format::PAIRS : Format::PLAIN;
        at_once = scan.steps == 1 && !scan.first_edge && scan.batch <= ROWS_TOGETHER && (threads == 1 || by_units);
        int64_t* offsets = arena.take<int64_t>(scan.steps + 1);
        if (!arena.counting()) {
            offsets[0] = 0;
            for (int64_t t = 0; t < scan.steps; ++t) offsets[t + 1] = offsets[t] + scan.batch_sizes[t];
        }
        walk = {scan.batch_sizes, offsets, scan.steps, (scan.reverse != 0) != backward, scan.first_edge, scan.first_edge && has_members(), scan.leaves,
                scan.members};
        chunk_rows = rows_of_a_chunk();
        all_edges = walk.each ? scan.rows * walk.each : scan.edges;
        most_edges = edges_of_a_step();
        chunk_edges = walk.each ? chunk_rows * walk.each : most_edges > chunk_rows ? most_edges : chunk_rows;
        number_rows = ((most_edges > chunk_rows ? most_edges : chunk_rows) / BLOCK<T> + 2) * BLOCK<T>;
        lay_out_buffers(arena);
        lay_out_weights(arena);
        lay_out_states(arena, backward);
        lay_out_workers(arena, backward);
    }

    // How many units of a block exist; the rest is padding.
    int columns(int size, int64_t block) const {
        const int64_t left = units[size] - block * BLOCK<T>;
        return int(left < BLOCK<T> ? left : BLOCK<T>);
    }

    // Room for one number for each unit, of whichever size there are more, in whole blocks.
    int64_t longest_vector() const {
        return blocks_of<T>(most_units()) * BLOCK<T>;
    }

    int64_t most_units() const {
        int64_t most = 0;
        for (int s = 0; s < SIZES; ++s) most = units[s] > most ? units[s] : most;
        return most;
    }

    // How many numbers a member has at most.
    int64_t widest_of_members() const {
        int64_t most = 1;
        for (int64_t i = 0; i < plan.buffers_count; ++i) {
            const int64_t width = plan.buffers[i].members ? width_of<T>(plan.buffers[i], blocks) : 1;
            most = width > most ? width : most;
        }
        return most;
    }

    // How many rows of a buffer there are for each row of a step, where that is the same for all.
    int64_t rows_each(const CarouselBuffer& b) const { return b.members && walk.each ? walk.each : 1; }

    // How many of the gates' input parts are computed: over trees whose leaves alone have inputs, those that leaves read.
    int64_t inputs_read() const {
        const int64_t given = scan.given;
        const bool at_leaves = scan.leaves > 0 && (scan.at ? given == 0 || scan.at[given - 1] < scan.leaves : scan.rows == scan.leaves);
        int64_t count = plan.inputs_count;
        while (at_leaves && count > 0 && plan.inputs[count - 1].idle) --count;
        return count;
    }

    // A gate's block of a parameter, or all of it.
    const T* parameter(int index, int gate, int64_t rows, int64_t row_length) const {
        const T* p = static_cast<const T*>(scan.parameters[index]);
        return gate < 0 ? p : p + gate * rows * row_length;
    }

    // A thread of a team, which may be smaller than was asked for.
    Worker<T> worker(int thread, int team) const {
        Worker<T> w = workers[thread];
        w.threads = team;
        w.shares_rows = by_units && team > 1;
        for (int s = 0; s < SIZES; ++s) w.blocks[s] = w.shares_rows ? share(blocks[s], thread, team) : Range{0, blocks[s]};
        return w;
    }

   private:
    bool units_are_better() const {  // thresholds.h has the reasons
        if (threads == 1) return false;
        const int64_t per_thread = (blocks[HIDDEN] + threads - 1) / threads;
        const int64_t rows_each = (scan.batch + threads - 1) / threads;
        int64_t longest = 0;  // rows of the thread that has most of them: sequences may end at different times
        for (int64_t t = 0; t < scan.steps; ++t) longest += scan.batch_sizes[t] < rows_each ? scan.batch_sizes[t] : rows_each;
        const double waste_units = double(per_thread * threads) / double(blocks[HIDDEN]);
        const double waste_rows = double(longest * threads) / double(scan.rows);
        return rows_each >= ROWS_FROM ? waste_units * UNITS_WIN_ABOVE < waste_rows : waste_units <= waste_rows * ROWS_WIN_ABOVE;
    }

    bool has_members() const {
        for (int64_t i = 0; i < plan.buffers_count; ++i)
            if (plan.buffers[i].members) return true;
        return false;
    }

    int64_t edges_of_a_step() const {
        if (walk.each) return scan.batch * walk.each;
        int64_t most = 0, offset = 0;
        for (int64_t t = 0; t < scan.steps && walk.members; offset += scan.batch_sizes[t++]) {
            const int64_t edges = scan.first_edge[offset + scan.batch_sizes[t]] - scan.first_edge[offset];
            if (edges > most) most = edges;
        }
        return most;
    }

    int64_t rows_of_a_chunk() const {
        int64_t bytes = 1;
        for (int64_t i = 0; i < plan.buffers_count; ++i)
            if (plan.buffers[i].time == CHUNK) bytes += rows_each(plan.buffers[i]) * width_of<T>(plan.buffers[i], blocks) * int64_t(sizeof(T));
        int64_t rows = CHUNK_BYTES / bytes;
        rows = rows < CHUNK_ROWS_LEAST ? CHUNK_ROWS_LEAST : rows > CHUNK_ROWS_MOST ? CHUNK_ROWS_MOST : rows;
        if (rows < scan.batch) rows = scan.batch;
        return rows < scan.rows ? rows : scan.rows;
    }

    void lay_out_buffers(Arena& arena) {
        buffers = arena.take<Ref<T>>(plan.buffers_count);
        zeros = arena.take<T>(longest_vector());
        for (int64_t u = 0; u < longest_vector() && !arena.counting(); ++u) zeros[u] = 0;
        int64_t saved = 0;
        for (int64_t i = 0; i < plan.buffers_count; ++i) {
            const CarouselBuffer& b = plan.buffers[i];
            const int64_t rows = b.members ? rows_for(b, all_edges, chunk_edges, most_edges) : rows_for(b, scan.rows, chunk_rows, scan.batch);
            const int64_t width = width_of<T>(b, blocks);
            T* at = nullptr;
            switch (b.place) {
                case WORKSPACE: at = arena.take<T>(rows * width); break;
                case SAVED:
                    at = static_cast<T*>(scan.saved) + saved;
                    saved += rows * width;
                    break;
                case EXTERNAL: at = arena.counting() ? nullptr : static_cast<T*>(scan.rows_of_steps[b.external]); break;
            }
            if (arena.counting()) continue;
            switch (b.layout) {
                case PANEL: buffers[i] = {at, rows * BLOCK<T>, BLOCK<T>}; break;
                case HALVES: buffers[i] = {at, rows * (BLOCK<T> / 2), BLOCK<T> / 2}; break;
                case ROWS: buffers[i] = at ? Ref<T>{at, BLOCK<T>, ptrdiff_t(units[b.size])} : Ref<T>{zeros, BLOCK<T>, 0}; break;
                case PARTIAL: buffers[i] = {at, rows, 1}; break;
                case NUMBER: buffers[i] = {at, 0, 1}; break;
            }
        }
    }

    static int64_t rows_for(const CarouselBuffer& b, int64_t all, int64_t chunk, int64_t step) {
        return b.time == ALWAYS ? all : b.time == CHUNK ? chunk : 2 * step;
    }

    // Of a product's column in its packed factor, in elements.
    int64_t length_of_product(const CarouselProduct& p) const {
        int64_t length = 0;
        for (int i = 0; i < p.terms; ++i) length += length_of<T>(format, units[plan.terms[p.first_term + i].source_size]);
        return length;
    }

    // What a term multiplies by. A gate's block of the parameter has as many rows as the product gives (`wide`), or as its
    // transpose takes.
    Part<T> part_of(const CarouselTerm& term, int64_t wide) const {
        const int64_t deep = units[term.source_size], row = term.transposed ? wide : deep;
        return {parameter(term.parameter, term.gate, term.transposed ? deep : wide, row), row, deep, wide, !term.transposed};
    }

    void lay_out_weights(Arena& arena) {
        products = arena.take<Factor<T>>(plan.products_count);
        biases = arena.take<T*>(plan.products_count);
        vectors = arena.take<T*>(plan.vectors_count);
        for (int64_t i = 0; i < plan.products_count; ++i) {
            const CarouselProduct& p = plan.products[i];
            const Factor<T> factor = Factor<T>::in(arena, format, blocks[p.size], length_of_product(p), p.terms, at_once);
            T* bias = p.bias_parameter >= 0 ? arena.take<T>(blocks[p.size] * BLOCK<T>) : nullptr;
            if (arena.counting()) continue;
            products[i] = factor, biases[i] = bias;
            for (int t = 0; t < p.terms; ++t) factor.parts[t] = part_of(plan.terms[p.first_term + t], units[p.size]);
        }
        for (int64_t i = 0; i < plan.vectors_count; ++i) {
            T* vector = arena.take<T>(blocks[plan.vectors[i].size] * BLOCK<T>);
            if (!arena.counting()) vectors[i] = vector;
        }
        constants = arena.take<T>(plan.constants_count * BLOCK<T>);
    }

    void lay_out_states(Arena& arena, bool backward) {
        absent = arena.take<T*>(scan.first_edge ? plan.state_sizes_count : 0);
        for (int64_t i = 0; i < plan.state_sizes_count && scan.first_edge; ++i) {
            T* row = arena.take<T>(longest_vector());
            if (!arena.counting()) absent[i] = row;
        }
        childless = arena.take<T*>(scan.first_edge ? plan.buffers_count : 0);
        for (int64_t i = 0; i < plan.buffers_count && scan.first_edge && !arena.counting(); ++i) childless[i] = nullptr;
        for (int64_t i = 0; i < plan.gathers_count && !arena.counting(); ++i)
            if (plan.gathers[i].panel >= 0) childless[plan.gathers[i].panel] = absent[plan.gathers[i].state];
        first = arena.take<Ref<T>>(plan.carried_count);
        for (int64_t i = 0; i < plan.carried_count; ++i)
            lay_out_first(arena, plan.buffers[plan.carried[i]], backward ? scan.grad_last[i] : scan.first[i], first[i]);
        forward_first = arena.take<Ref<T>>(plan.forward_states_count);
        for (int64_t i = 0; i < plan.forward_states_count; ++i)
            if (plan.forward_states[i] >= 0)
                lay_out_first(arena, plan.buffers[plan.forward_states[i]], scan.first[i], forward_first[i]);
    }

    // A state's rows before its first step: as they are where steps are stored the same way, else a panel of them.
    void lay_out_first(Arena& arena, const CarouselBuffer& b, const void* rows, Ref<T>& ref) {
        if (b.layout == ROWS || b.layout == NUMBER) {
            const ptrdiff_t row = b.layout == NUMBER ? 1 : ptrdiff_t(units[b.size]);
            if (!arena.counting()) ref = {static_cast<T*>(const_cast<void*>(rows)), BLOCK<T>, row};
        } else {
            const int64_t count = scan.batch * rows_each(b);
            T* panel = arena.take<T>(count * width_of<T>(b, blocks));
            if (!arena.counting()) ref = {panel, count * BLOCK<T>, BLOCK<T>};
        }
    }

    void lay_out_workers(Arena& arena, bool backward) {
        moving = arena.take<int32_t>(plan.views_count);
        workers = arena.take<Worker<T>>(threads);
        const ScratchSizes sizes = sizes_of_scratch(backward);
        for (int i = 0; i < threads; ++i) {
            Worker<T> w{i, threads, {}, false, arena.take<Place<T>>(plan.views_count), arena.take<Placed>(1), arena.take<T>(plan.slots * STRIP<T> * BLOCK<T>),
                        arena.take<T>(plan.numbers * number_rows),
                        arena.take<T>(plan.column_sums_count * longest_vector()), Scratch<T>::in(arena, format, sizes)};
            if (!arena.counting()) workers[i] = w, w.placed->offset = -1;
        }
        if (arena.counting()) return;
        for (int64_t v = 0; v < plan.views_count; ++v) {
            const int kind = plan.views[v].kind;
            if (kind == BUFFER || kind == PREVIOUS || kind == FORWARD_PREVIOUS) moving[moving_count++] = int32_t(v);
        }
    }

    // The most that any product of this call needs.
    ScratchSizes sizes_of_scratch(bool backward) const {
        const int64_t of_inputs = plan.inputs_count * length_of<T>(format, units[HIDDEN]);
        int64_t most_rows = scan.batch > most_edges ? scan.batch : most_edges;
        if (most_rows < ROWS_TOGETHER) most_rows = ROWS_TOGETHER;
        const int64_t deepest = scan.input > most_units() ? scan.input : most_units();
        int64_t rows = chunk_rows * (backward ? of_inputs : length_of<T>(format, scan.input));
        if (rows <= deepest) rows = deepest + 1;  // a row of a weight gradient's source, and its one
        int64_t longest = backward ? of_inputs : length_of<T>(format, scan.input);  // a factor's column
        int64_t pieces = backward ? plan.inputs_count * blocks[HIDDEN] : scan.input / DEPTH + 1;
        for (int64_t i = 0; i < plan.products_count; ++i) {
            const CarouselProduct& p = plan.products[i];
            const int64_t length = length_of_product(p), needs = most_rows * length;
            if (needs > rows) rows = needs;
            if (length > longest) longest = length;
            int64_t count = 0;
            for (int t = 0; t < p.terms; ++t) count += blocks[plan.terms[p.first_term + t].source_size];
            if (count > pieces) pieces = count;
        }
        return {pieces, rows, deepest, backward ? chunk_edges : 0, at_once ? longest * panels_across(scan.batch) * BLOCK<T> : 0};
    }
};

}  // namespace
