// A plan laid out in memory for one call, and one step of it: what forward and backward share.
#pragma once

#include "interpreter.h"
#include "pairs.h"
#include "plan.h"
#include "walk.h"

namespace carousel::CAROUSEL_ISA {

// Memory given out from one piece. With nothing to give out (base 0) it only counts.
struct Arena {
    uintptr_t base;
    int64_t used = 0;

    template <class U> U* take(int64_t count) {
        U* p = reinterpret_cast<U*>(base + used);
        used += (count * int64_t(sizeof(U)) + 63) / 64 * 64;
        return p;
    }
    bool counting() const { return base == 0; }
};

// Where a view's values are at the present step: those of block b, row r are at[b * block + r * row].
template <class T> struct Place {
    Ref<T> ref;
    ptrdiff_t strip_block, strip_row;  // how far a strip's place moves with its first block and row: 0 for LOCAL
};

// What is one thread's own.
template <class T> struct Worker {
    int thread, threads;
    Range blocks[2];         // per CarouselSize: the blocks of units it computes
    bool shares_rows;        // others compute further blocks of the same rows
    Place<T>* places;        // per view
    T* slots;                // LOCAL
    T* numbers;              // ROW
    T* column_sums;          // COLUMN_SUMS
    Segment<T>* segments;    // the left factor of a product
    int64_t segments_count;
    Pair* pairs;             // the left factor of a product in bfloat16, [row][pair]
    Pair* paired;            // the right factor of a weight's gradient in bfloat16, one panel of a chunk's rows
    T* panel;                // a panel on its way to bfloat16
};

// Rows that go through a chunk's segments together.
constexpr int64_t FEW = 4 * TILE_ROWS;

template <class T> constexpr bool PAIRS = sizeof(T) == sizeof(float);

template <class T> struct Machine {
    const CarouselPlan& plan;
    const CarouselScan& scan;
    Walk walk;
    int threads;
    bool by_units;
    int64_t units[2], blocks[2];  // per CarouselSize
    int64_t chunk_rows;           // rows that a CHUNK buffer holds
    int64_t number_rows;          // length of a ROW value

    Ref<T>* buffers;        // at this call's row 0
    bool in_pairs;          // products in bfloat16
    T** products;           // packed weights: [block][depth][BLOCK]
    Pair** paired;          // the same in bfloat16, one or the other
    T** biases;             // per product: [block][BLOCK], or null
    T** vectors;
    T* constants;
    Ref<T>* first;          // per carried state
    Ref<T>* forward_first;  // per forward state
    int32_t* moving;        // views whose place changes from step to step
    int64_t moving_count = 0;
    Worker<T>* workers;

    Machine(const CarouselScan& scan, Arena& arena, bool backward)
        : plan(*scan.plan), scan(scan), threads(scan.threads) {
        units[HIDDEN] = scan.hidden, units[PROJECTION] = scan.projection;
        for (int s = 0; s < 2; ++s) blocks[s] = (units[s] + BLOCK<T> - 1) / BLOCK<T>;
        by_units = scan.split == 2 || (scan.split == 0 && units_are_better());
        int64_t* offsets = arena.take<int64_t>(scan.steps + 1);
        if (!arena.counting()) {
            offsets[0] = 0;
            for (int64_t t = 0; t < scan.steps; ++t) offsets[t + 1] = offsets[t] + scan.batch_sizes[t];
        }
        walk = {scan.batch_sizes, offsets, scan.steps, (scan.reverse != 0) != backward};
        in_pairs = PAIRS<T> && scan.bfloat16;
        chunk_rows = rows_of_a_chunk();
        number_rows = (chunk_rows / BLOCK<T> + 2) * BLOCK<T>;
        lay_out_buffers(arena);
        lay_out_weights(arena);
        lay_out_states(arena, backward);
        lay_out_workers(arena, backward);
    }

    // By rows each thread runs its own rows and never waits within a chunk, so that it hardly matters when another process
    // takes a core for a while; by units each keeps its blocks' weights in its own cache, and all meet at every step.
    // Rows pay from a dozen a thread on, which keep the register tiles of a product full; units before.
    bool units_are_better() const {
        if (threads == 1) return false;
        const int64_t per_thread = (blocks[HIDDEN] + threads - 1) / threads;
        const int64_t rows_each = (scan.batch + threads - 1) / threads;
        int64_t longest = 0;  // rows of the thread that has most of them: sequences may end at different times
        for (int64_t t = 0; t < scan.steps; ++t) longest += scan.batch_sizes[t] < rows_each ? scan.batch_sizes[t] : rows_each;
        const double waste_units = double(per_thread * threads) / double(blocks[HIDDEN]);
        const double waste_rows = double(longest * threads) / double(scan.rows);
        return rows_each >= 2 * TILE_ROWS ? waste_units * 1.15 < waste_rows : waste_units <= waste_rows * 1.25;
    }

    // Long chunks make long products; short ones stay in cache, those of few rows even where a cell keeps many values.
    int64_t rows_of_a_chunk() const {
        int64_t bytes = 1;
        for (int64_t i = 0; i < plan.buffers_count; ++i)
            if (plan.buffers[i].time == CHUNK) bytes += width(plan.buffers[i]) * int64_t(sizeof(T));
        int64_t rows = (4 << 20) / bytes;
        rows = rows < 128 ? 128 : rows > 512 ? 512 : rows;
        if (rows < scan.batch) rows = scan.batch;
        return rows < scan.rows ? rows : scan.rows;
    }

    int64_t width(const CarouselBuffer& b) const { return saved_width(b, blocks); }

    static int64_t saved_width(const CarouselBuffer& b, const int64_t* blocks) {
        switch (b.layout) {
            case PANEL: return blocks[b.size] * BLOCK<T>;
            case HALVES: return blocks[b.size] * (BLOCK<T> / 2);
            case PARTIAL: return blocks[b.size];
        }
        return 1;
    }

    void lay_out_buffers(Arena& arena) {
        buffers = arena.take<Ref<T>>(plan.buffers_count);
        int64_t saved = 0;
        for (int64_t i = 0; i < plan.buffers_count; ++i) {
            const CarouselBuffer& b = plan.buffers[i];
            const int64_t rows = b.time == ALWAYS ? scan.rows : b.time == CHUNK ? chunk_rows : 2 * scan.batch;
            T* at = nullptr;
            switch (b.place) {
                case WORKSPACE: at = arena.take<T>(rows * width(b)); break;
                case SAVED:
                    at = static_cast<T*>(scan.saved) + scan.rows * saved;
                    saved += width(b);
                    break;
                case EXTERNAL: at = arena.counting() ? nullptr : static_cast<T*>(scan.rows_of_steps[b.external]); break;
            }
            if (arena.counting()) continue;
            switch (b.layout) {
                case PANEL: buffers[i] = {at, rows * BLOCK<T>, BLOCK<T>}; break;
                case HALVES: buffers[i] = {at, rows * (BLOCK<T> / 2), BLOCK<T> / 2}; break;
                case ROWS: buffers[i] = {at, BLOCK<T>, ptrdiff_t(units[b.size])}; break;
                case PARTIAL: buffers[i] = {at, rows, 1}; break;
                case NUMBER: buffers[i] = {at, 0, 1}; break;
            }
        }
    }

    int64_t depth_of(const CarouselTerm& t) const { return units[t.source_size]; }

    int64_t depth_of(const CarouselProduct& p) const {
        int64_t depth = 0;
        for (int i = 0; i < p.terms; ++i) depth += depth_of(plan.terms[p.first_term + i]);
        return depth;
    }

    int64_t pairs_of_product(const CarouselProduct& p) const {
        int64_t depth = 0;
        for (int i = 0; i < p.terms; ++i) depth += pairs_of(depth_of(plan.terms[p.first_term + i]));
        return depth;
    }

    void lay_out_weights(Arena& arena) {
        paired = arena.take<Pair*>(plan.products_count);
        products = arena.take<T*>(plan.products_count);
        biases = arena.take<T*>(plan.products_count);
        vectors = arena.take<T*>(plan.vectors_count);
        for (int64_t i = 0; i < plan.products_count; ++i) {
            const CarouselProduct& p = plan.products[i];
            T* panels = arena.take<T>(in_pairs ? 0 : blocks[p.size] * depth_of(p) * BLOCK<T>);
            Pair* pairs = arena.take<Pair>(in_pairs ? blocks[p.size] * pairs_of_product(p) * BLOCK<T> : 0);
            T* bias = p.bias_parameter >= 0 ? arena.take<T>(blocks[p.size] * BLOCK<T>) : nullptr;
            if (!arena.counting()) products[i] = panels, paired[i] = pairs, biases[i] = bias;
        }
        for (int64_t i = 0; i < plan.vectors_count; ++i) {
            T* vector = arena.take<T>(blocks[HIDDEN] * BLOCK<T>);
            if (!arena.counting()) vectors[i] = vector;
        }
        constants = arena.take<T>(plan.constants_count * BLOCK<T>);
    }

    void lay_out_states(Arena& arena, bool backward) {
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
        if (b.layout == ROWS) {
            if (!arena.counting()) ref = {static_cast<T*>(const_cast<void*>(rows)), BLOCK<T>, ptrdiff_t(units[b.size])};
        } else {
            T* panel = arena.take<T>(scan.batch * width(b));
            if (!arena.counting()) ref = {panel, scan.batch * BLOCK<T>, BLOCK<T>};
        }
    }

    void lay_out_workers(Arena& arena, bool backward) {
        moving = arena.take<int32_t>(plan.views_count);
        workers = arena.take<Worker<T>>(threads);
        int64_t most = 1;
        int64_t left = chunk_rows * (backward ? plan.inputs_count * pairs_of(units[HIDDEN]) : pairs_of(scan.input));
        int64_t deepest = scan.input > units[HIDDEN] ? scan.input : units[HIDDEN];
        if (units[PROJECTION] > deepest) deepest = units[PROJECTION];
        if (left <= deepest) left = deepest + 1;  // a row of a weight gradient's source, and its one
        for (int64_t i = 0; i < plan.products_count; ++i) {
            const int64_t needs = (scan.batch > FEW ? scan.batch : FEW) * pairs_of_product(plan.products[i]);
            if (needs > left) left = needs;
            int64_t count = 0;
            for (int t = 0; t < plan.products[i].terms; ++t)
                count += segments_of(units[plan.terms[plan.products[i].first_term + t].source_size]);
            if (count > most) most = count;
        }
        for (int i = 0; i < threads; ++i) {
            Worker<T> w{i, threads, {}, false, arena.take<Place<T>>(plan.views_count), arena.take<T>(plan.slots * STRIP<T> * BLOCK<T>),
                        arena.take<T>(plan.numbers * number_rows),
                        arena.take<T>(plan.column_sums_count * blocks[HIDDEN] * BLOCK<T>),
                        arena.take<Segment<T>>(most), most, arena.take<Pair>(in_pairs ? left : 0),
                        arena.take<Pair>(in_pairs && backward ? pairs_of(chunk_rows) * BLOCK<T> : 0),
                        arena.take<T>(in_pairs ? deepest * BLOCK<T> : 0)};
            if (!arena.counting()) workers[i] = w;
        }
        if (arena.counting()) return;
        for (int64_t v = 0; v < plan.views_count; ++v) {
            const int kind = plan.views[v].kind;
            if (kind == BUFFER || kind == PREVIOUS || kind == FORWARD_PREVIOUS) moving[moving_count++] = int32_t(v);
        }
    }

    static int64_t segments_of(int64_t depth) { return (depth + BLOCK<T> - 1) / BLOCK<T>; }

    // A thread of a team, which may be smaller than was asked for.
    Worker<T> worker(int thread, int team) const {
        Worker<T> w = workers[thread];
        w.threads = team;
        w.shares_rows = by_units && team > 1;
        for (int s = 0; s < 2; ++s) w.blocks[s] = w.shares_rows ? share(blocks[s], thread, team) : Range{0, blocks[s]};
        return w;
    }

    // ---- once a call, by the whole team

    const T* parameter(int index, int gate, int64_t rows, int64_t row_length) const {
        const T* p = static_cast<const T*>(scan.parameters[index]);
        return gate < 0 ? p : p + gate * rows * row_length;
    }

    // One row per unit, padded with zeros to whole blocks.
    void fill_vector(T* to, int parameter_index, int gate, int64_t count, int64_t padded, bool add) const {
        const T* from = parameter(parameter_index, gate, count, 1);
        for (int64_t u = 0; u < padded; ++u) to[u] = (add ? to[u] : T(0)) + (u < count ? from[u] : T(0));
    }

    static void to_pairs(const T* panel, int64_t depth, Pair* to) {
        if constexpr (PAIRS<T>) pair_panel(panel, depth, to);
    }

    void prepare(const Worker<T>& w) const {
        for (int64_t i = 0; i < plan.products_count; ++i) {
            const CarouselProduct& p = plan.products[i];
            const int64_t depth = depth_of(p);
            const Range mine = share(blocks[p.size], w.thread, w.threads);
            for (int64_t b = mine.begin; b < mine.end; ++b) {
                T* panel = in_pairs ? w.panel : products[i] + b * depth * BLOCK<T>;
                Pair* pairs = in_pairs ? paired[i] + b * pairs_of_product(p) * BLOCK<T> : nullptr;
                for (int t = 0; t < p.terms; ++t) {
                    const CarouselTerm& term = plan.terms[p.first_term + t];
                    const int64_t deep = depth_of(term), wide = units[p.size];
                    // A gate's block of the parameter has as many rows as the product gives, or as its transpose takes.
                    const int64_t matrix_rows = term.transposed ? deep : wide, row = term.transposed ? wide : deep;
                    pack_panel(parameter(term.parameter, term.gate, matrix_rows, row), row, deep, b * BLOCK<T>,
                               columns(p.size, b), !term.transposed, panel);
                    if (in_pairs) {
                        to_pairs(panel, deep, pairs);
                        pairs += pairs_of(deep) * BLOCK<T>;
                    } else {
                        panel += deep * BLOCK<T>;
                    }
                }
            }
            if (biases[i] && w.thread == 0)
                fill_vector(biases[i], p.bias_parameter, p.bias_gate, units[p.size], blocks[p.size] * BLOCK<T>, false);
        }
        for (int64_t i = 0; i < plan.vectors_count; ++i)
            if (i % w.threads == w.thread)
                fill_vector(vectors[i], plan.vectors[i].parameter, plan.vectors[i].gate, units[HIDDEN],
                            blocks[HIDDEN] * BLOCK<T>, false);
        if (w.thread == 0)
            for (int64_t i = 0; i < plan.constants_count; ++i) {
                const CarouselConstant& c = plan.constants[i];
                const T value = T(c.per < 0 ? c.value : 1.0 / double(units[c.per]));
                for (int u = 0; u < BLOCK<T>; ++u) constants[i * BLOCK<T> + u] = value;
            }
        for (int64_t i = 0; i < plan.column_sums_count * blocks[HIDDEN] * BLOCK<T>; ++i) w.column_sums[i] = 0;
        for (int64_t v = 0; v < plan.views_count; ++v) place_fixed(w, v);
    }

    // Rows as torch stores them -> a panel.
    void pack_first(const Worker<T>& w, const Ref<T>& to, const void* rows, int size) const {
        const T* from = static_cast<const T*>(rows);
        const Range mine = share(scan.batch, w.thread, w.threads);
        for (int64_t b = 0; b < blocks[size]; ++b)
            for (int64_t r = mine.begin; r < mine.end; ++r)
                for (int u = 0; u < BLOCK<T>; ++u)
                    to.at[b * to.block + r * to.row + u] =
                        u < columns(size, b) ? from[r * units[size] + b * BLOCK<T> + u] : T(0);
    }

    void prepare_states(const Worker<T>& w, bool backward) const {
        for (int64_t i = 0; i < plan.carried_count; ++i)
            if (plan.buffers[plan.carried[i]].layout == PANEL)
                pack_first(w, first[i], backward ? scan.grad_last[i] : scan.first[i], plan.state_sizes[i]);
        for (int64_t i = 0; i < plan.forward_states_count; ++i)
            if (plan.forward_states[i] >= 0 && plan.buffers[plan.forward_states[i]].layout == PANEL)
                pack_first(w, forward_first[i], scan.first[i], plan.state_sizes[i]);
    }

    // How many units of a block exist; the rest is padding.
    int columns(int size, int64_t block) const {
        const int64_t left = units[size] - block * BLOCK<T>;
        return int(left < BLOCK<T> ? left : BLOCK<T>);
    }

    // ---- where things are

    void place_fixed(const Worker<T>& w, int64_t v) const {
        const CarouselView& view = plan.views[v];
        const int64_t padded = blocks[HIDDEN] * BLOCK<T>;
        switch (view.kind) {
            case LOCAL: w.places[v] = {{w.slots + view.which * STRIP<T> * BLOCK<T>, 0, BLOCK<T>}, 0, 0}; break;
            case VECTOR: set(w.places[v], {vectors[view.which], BLOCK<T>, 0}); break;
            case CONSTANT: set(w.places[v], {constants + view.which * BLOCK<T>, 0, 0}); break;
            case ROW: set(w.places[v], {w.numbers + view.which * number_rows, 0, 1}); break;
            case COLUMN_SUMS: set(w.places[v], {w.column_sums + view.which * padded, BLOCK<T>, 0}); break;
        }
    }

    static void set(Place<T>& place, Ref<T> ref) { place = {ref, ref.block, ref.row}; }

    static Ref<T> moved(Ref<T> ref, int64_t rows) { return {ref.at + rows * ref.row, ref.block, ref.row}; }

    int64_t row_of(const CarouselBuffer& b, int64_t offset, int64_t turn, const Chunk& chunk) const {
        return b.time == ALWAYS ? offset : b.time == CHUNK ? offset - chunk.first_row : turn * scan.batch;
    }

    Ref<T> find(const CarouselView& view, const Step& s, const Chunk& chunk, int64_t row) const {
        if (view.kind == BUFFER) {
            const CarouselBuffer& b = plan.buffers[view.which];
            return moved(buffers[view.which], row_of(b, s.offset, s.turn, chunk));
        }
        if (view.kind == PREVIOUS) {
            if (row >= s.carried) return first[view.which];
            const int32_t i = plan.carried[view.which];
            return moved(buffers[i], row_of(plan.buffers[i], s.carried_offset, 1 - s.turn, chunk));
        }
        // The forward scan came from where this walk goes on to.
        if (row >= s.going_on) return forward_first[view.which];
        return moved(buffers[plan.forward_states[view.which]], s.going_on_offset);
    }

    // Places all moving views for the rows from `row` on, up to the next row where a state begins or ends.
    void place_moving(const Worker<T>& w, const Step& s, const Chunk& chunk, int64_t row) const {
        for (int64_t i = 0; i < moving_count; ++i)
            set(w.places[moving[i]], find(plan.views[moving[i]], s, chunk, row));
    }

    // ---- one step

    Range rows_of(const Worker<T>& w, int64_t rows) const {
        if (w.shares_rows) return {0, rows};
        return overlap(share(scan.batch, w.thread, w.threads), {0, rows});
    }

    // Calls work(rows) for the stretches of `mine` in which every state has one place.
    template <class Work> void for_pieces(const Worker<T>& w, const Step& s, const Chunk& chunk, Range mine, Work work) const {
        int64_t row = mine.begin;
        while (row < mine.end) {
            int64_t end = mine.end;
            if (row < s.carried && s.carried < end) end = s.carried;
            if (plan.forward_states_count && row < s.going_on && s.going_on < end) end = s.going_on;
            place_moving(w, s, chunk, row);
            work(Range{row, end});
            row = end;
        }
    }

    void run_step(const Worker<T>& w, const Step& s, const Chunk& chunk, Barrier& barrier) const {
        const Range rows = rows_of(w, s.rows);
        for (int64_t i = plan.before; i < plan.segments_count - plan.after; ++i) {
            if (w.shares_rows && plan.segments[i].waits) barrier.wait();
            run_segment(w, plan.segments[i], s, chunk, rows);
        }
    }

    void run_before(const Worker<T>& w, const Chunk& chunk) const { run_chunk(w, chunk, 0, plan.before); }
    void run_after(const Worker<T>& w, const Chunk& chunk) const {
        run_chunk(w, chunk, plan.segments_count - plan.after, plan.segments_count);
    }

    // Segments that know no steps: the chunk's rows as those of one step, divided among the threads, and so few at a time
    // that what one segment leaves is in cache when the next one comes.
    void run_chunk(const Worker<T>& w, const Chunk& chunk, int64_t first, int64_t last) const {
        Worker<T> own = w;
        own.shares_rows = false;
        for (int s = 0; s < 2; ++s) own.blocks[s] = {0, blocks[s]};
        const Step all{chunk.rows, chunk.first_row, chunk.rows, 0, chunk.rows, 0, 0};
        const Range mine = share(chunk.rows, w.thread, w.threads, TILE_ROWS);
        for (int64_t r = mine.begin; r < mine.end; r += FEW)
            for (int64_t i = first; i < last; ++i)
                run_segment(own, plan.segments[i], all, chunk, overlap(mine, {r, r + FEW}));
    }

    void run_segment(const Worker<T>& w, const CarouselSegment& g, const Step& s, const Chunk& chunk, Range mine) const {
        if (g.products < g.products_end)
            for_pieces(w, s, chunk, mine, [&](Range rows) {
                for (int p = g.products; p < g.products_end; ++p) run_product(w, p, rows);
            });
        if (g.numbers < g.numbers_end && mine.size() > 0) {
            place_moving(w, s, chunk, mine.begin);
            run_numbers(w, g, mine);
        }
        for_pieces(w, s, chunk, mine, [&](Range rows) {
            run_strips(w, g.hidden, g.hidden_end, HIDDEN, rows);
            run_strips(w, g.projection, g.projection_end, PROJECTION, rows);
        });
    }

    // The left factor's segments: rows in memory are one, a panel is one per block.
    int add_segments(Segment<T>* to, Ref<T> ref, bool panel, int64_t depth) const {
        int count = 0;
        if (!panel) {
            for (int64_t k = 0; k < depth; k += DEPTH)
                to[count++] = {ref.at + k, ref.row, 1, int(depth - k < DEPTH ? depth - k : DEPTH)};
        } else {
            for (int64_t k = 0; k < depth; k += BLOCK<T>)
                to[count++] = {ref.at + k / BLOCK<T> * ref.block, ref.row, 1,
                               int(depth - k < BLOCK<T> ? depth - k : BLOCK<T>)};
        }
        return count;
    }

    bool is_panel(int view) const {
        const CarouselView& v = plan.views[view];
        const int32_t buffer = v.kind == BUFFER ? v.which : v.kind == PREVIOUS ? plan.carried[v.which] : plan.forward_states[v.which];
        return plan.buffers[buffer].layout == PANEL;
    }

    // The rows that a product reads, in bfloat16, its terms one beside another.
    void pair_factors(const Worker<T>& w, const CarouselProduct& p, Range rows) const {
        const int64_t depth = pairs_of_product(p);
        int64_t done = 0;
        for (int t = 0; t < p.terms; ++t) {
            const CarouselTerm& term = plan.terms[p.first_term + t];
            pair_rows(w.places[term.source].ref, is_panel(term.source), rows, depth_of(term), w.pairs + done, depth);
            done += pairs_of(depth_of(term));
        }
    }

    static void pair_rows(Ref<T> from, bool panel, Range rows, int64_t depth, Pair* to, int64_t to_row) {
        if constexpr (PAIRS<T>)
            for (int64_t r = rows.begin; r < rows.end; ++r, to += to_row) {
                if (!panel) pair_row(from.at + r * from.row, depth, to);
                for (int64_t k = 0; panel && k < depth; k += BLOCK<T>)
                    pair_row(from.at + k / BLOCK<T> * from.block + r * from.row, depth - k < BLOCK<T> ? depth - k : BLOCK<T>, to + k / 2);
            }
    }

    void run_product(const Worker<T>& w, int index, Range rows) const {
        const CarouselProduct& p = plan.products[index];
        int count = 0;
        for (int t = 0; t < p.terms; ++t) {
            const CarouselTerm& term = plan.terms[p.first_term + t];
            count += add_segments(w.segments + count, w.places[term.source].ref, is_panel(term.source), depth_of(term));
        }
        const int64_t depth = depth_of(p);
        const Range mine = w.blocks[p.size];
        const Ref<T> to = w.places[p.dst].ref;
        const bool panel = is_panel(p.dst);
        if (in_pairs) pair_factors(w, p, rows);
        // Panels that few rows cross together; the last block of rows as torch stores them may be a part of one.
        const int across = panels_across(rows.size());
        const int64_t whole = in_pairs || rows.size() > FEW_ROWS ? 0 : panel ? blocks[p.size] : units[p.size] / BLOCK<T>;
        for (int64_t b = mine.begin, wide; b < mine.end; b += wide) {
            wide = b + across <= (mine.end < whole ? mine.end : whole) ? across : 1;
            T* c = to.at + b * to.block;
            Start<T> start{nullptr, 0};
            if (p.accumulate) start = {c, to.row};
            else if (biases[index]) start = {biases[index] + b * BLOCK<T>, 0};
            if constexpr (PAIRS<T>)
                if (in_pairs) {
                    const int64_t deep = pairs_of_product(p);
                    if (start.at) start.at += rows.begin * start.row;
                    multiply_pairs(w.pairs, deep, rows.size(), paired[index] + b * deep * BLOCK<T>, c + rows.begin * to.row, to.row,
                                   panel ? BLOCK<T> : columns(p.size, b), start);
                    continue;
                }
            const T* factor = products[index] + b * depth * BLOCK<T>;
            if (wide > 1)
                multiply_across(w.segments, count, rows.begin, rows.size(), factor, c, to.row, start,
                                {ptrdiff_t(depth) * BLOCK<T>, to.block, p.accumulate ? to.block : BLOCK<T>});
            else
                multiply(w.segments, count, rows.begin, rows.end, factor, c, to.row, panel ? BLOCK<T> : columns(p.size, b), start);
        }
    }

    void run_numbers(const Worker<T>& w, const CarouselSegment& g, Range rows) const {
        for (int i = g.numbers; i < g.numbers_end; ++i) {
            const CarouselInstruction& in = plan.instructions[i];
            const Ref<T> d = moved(w.places[in.dst].ref, rows.begin), a = moved(w.places[in.a].ref, rows.begin);
            switch (in.op) {
                case TOTAL_SUM: {
                    const int64_t parts = blocks[plan.buffers[plan.views[in.a].which].size];
                    for (int64_t r = 0; r < rows.size(); ++r) {
                        T total = a.at[r];
                        for (int64_t b = 1; b < parts; ++b) total += a.at[b * a.block + r];
                        d.at[r] = total;
                    }
                    break;
                }
                case TOTAL_HIGHEST: {
                    const int64_t parts = blocks[plan.buffers[plan.views[in.a].which].size];
                    for (int64_t r = 0; r < rows.size(); ++r) {
                        T highest = a.at[r];
                        for (int64_t b = 1; b < parts; ++b) highest = larger(highest, a.at[b * a.block + r]);
                        d.at[r] = highest;
                    }
                    break;
                }
                case LOAD_NUMBER:
                    for (int64_t r = 0; r < rows.size(); ++r) d.at[r] = a.at[r];
                    break;
                case SAVE_NUMBER:  // by units every thread has computed it, and one writes it down
                    if (!w.shares_rows || w.thread == 0)
                        for (int64_t r = 0; r < rows.size(); ++r) d.at[r] = a.at[r];
                    break;
                default: {
                    // Numbers are taken a block of rows at a time; what lies past the end is room for it.
                    auto block_of_rows = [&](int view) {
                        const Ref<T> r = moved(w.places[view].ref, rows.begin);
                        return Ref<T>{r.at, 0, plan.views[view].kind == ROW ? BLOCK<T> : 0};
                    };
                    const Ref<T> refs[4] = {block_of_rows(in.dst), block_of_rows(in.a), block_of_rows(in.b), block_of_rows(in.c)};
                    Kernels<T>::table[in.op](1, int((rows.size() + BLOCK<T> - 1) / BLOCK<T>), refs);
                }
            }
        }
    }

    void run_strips(const Worker<T>& w, int begin, int end, int size, Range rows) const {
        if (begin == end || rows.size() == 0) return;
        const Range mine = w.blocks[size];
        const int64_t high = rows.size() < STRIP<T> ? rows.size() : STRIP<T>, wide = STRIP<T> / high;
        for (int64_t b = mine.begin; b < mine.end; b += wide)
            for (int64_t r = rows.begin; r < rows.end; r += high)
                run_strip(w, begin, end, size, b, int(mine.end - b < wide ? mine.end - b : wide), r,
                          int(rows.end - r < high ? rows.end - r : high));
    }

    void run_strip(const Worker<T>& w, int begin, int end, int size, int64_t block, int wide, int64_t row, int high) const {
        auto ref_of = [&](int view) {
            const Place<T>& p = w.places[view];
            // In scratch the blocks of a strip lie one after another.
            return Ref<T>{p.ref.at + block * p.strip_block + row * p.strip_row,
                          plan.views[view].kind == LOCAL ? ptrdiff_t(high) * BLOCK<T> : p.ref.block, p.ref.row};
        };
        for (int i = begin; i < end; ++i) {
            const CarouselInstruction& in = plan.instructions[i];
            const Ref<T> refs[4] = {ref_of(in.dst), ref_of(in.a), ref_of(in.b), ref_of(in.c)};
            if (in.op < POINTWISE_OPS) {
                Kernels<T>::table[in.op](wide, high, refs);
                continue;
            }
            switch (in.op) {
                case EXPAND: expand<T>(wide, high, refs[0], refs[1].at); break;
                case PARTIAL_HIGHEST:
                    partial_highest<T>(wide, high, refs[0].at, refs[0].block, refs[1], units[size] - block * BLOCK<T>);
                    break;
                case PARTIAL_SUM:
                    partial_sum<T>(wide, high, refs[0].at, refs[0].block, refs[1], units[size] - block * BLOCK<T>);
                    break;
                case ADD_COLUMNS: add_columns<T>(wide, high, refs[0].at, refs[1]); break;
                case LOAD_ROWS: copy_units(refs[0], refs[1], wide, high, units[size] - block * BLOCK<T>, true); break;
                case STORE_ROWS: copy_units(refs[0], refs[1], wide, high, units[size] - block * BLOCK<T>, false); break;
                case LOAD_HALVES: copy_halves(refs[0], refs[1], wide, high, load_halves); break;
                case STORE_HALVES: copy_halves(refs[0], refs[1], wide, high, store_halves); break;
            }
        }
    }

    static void copy_halves(Ref<T> d, Ref<T> a, int wide, int high, void (*copy)(const float* from, float* to)) {
        if constexpr (PAIRS<T>)
            for (int i = 0; i < wide; ++i)
                for (int r = 0; r < high; ++r) copy(a.at + i * a.block + r * a.row, d.at + i * d.block + r * d.row);
    }

    // Copies the units that exist; `pad` fills the rest of the last block with zeros.
    static void copy_units(Ref<T> d, Ref<T> a, int wide, int high, int64_t units, bool pad) {
        for (int i = 0; i < wide; ++i, units -= BLOCK<T>)
            for (int r = 0; r < high; ++r) {
                T* to = d.at + i * d.block + r * d.row;
                const T* from = a.at + i * a.block + r * a.row;
                const int count = int(units < BLOCK<T> ? units : BLOCK<T>);
                std::memcpy(to, from, count * sizeof(T));
                if (pad)
                    for (int u = count; u < BLOCK<T>; ++u) to[u] = 0;
            }
    }

    // States of the rows that end at this step, as rows: from the carried buffers.
    void take_leaving(const Worker<T>& w, const Step& s, const Chunk& chunk, void* const* to) const {
        if (s.going_on == s.rows) return;
        const Range rows = overlap(rows_of(w, s.rows), {s.going_on, s.rows});
        for (int64_t i = 0; i < plan.carried_count; ++i) {
            if (to[i] == nullptr) continue;
            const int size = plan.state_sizes[i];
            const CarouselBuffer& buffer = plan.buffers[plan.carried[i]];
            const Ref<T> from = moved(buffers[plan.carried[i]], row_of(buffer, s.offset, s.turn, chunk));
            const Range mine = w.blocks[size];
            for (int64_t b = mine.begin; b < mine.end; ++b)
                for (int64_t r = rows.begin; r < rows.end; ++r)
                    std::memcpy(static_cast<T*>(to[i]) + r * units[size] + b * BLOCK<T>, from.at + b * from.block + r * from.row,
                                columns(size, b) * sizeof(T));
        }
    }
};

}  // namespace
