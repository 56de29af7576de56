// The engine's own tests, in C++, for sanitizers to watch: a program written by hand, forward and backward, against a
// plain loop and finite differences; over shapes that begin late, end early and fill no block.
//
// Built and run by tests/native/run.sh.
#include <atomic>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <string>
#include <thread>
#include <vector>

#include "plan.h"

extern "C" {
const char* carousel_isa_name(int isa);
const char* carousel_op_name(int isa, int op);
int carousel_isa_runs_here(int isa);
int carousel_block(int isa, int is_double);
int64_t carousel_saved_width(int isa, int is_double, const CarouselPlan*, int64_t hidden, int64_t projection, int64_t further, int members);
int64_t carousel_forward_workspace(int isa, const CarouselScan*);
int64_t carousel_backward_workspace(int isa, const CarouselScan*);
void carousel_forward(int isa, const CarouselScan*);
void carousel_backward(int isa, const CarouselScan*);
void carousel_forward_each(int isa, const CarouselScan* scans, int64_t count);
void carousel_backward_each(int isa, const CarouselScan* scans, int64_t count);
int64_t carousel_stepper_workspace(int isa, const CarouselScan*);
void carousel_stepper_open(int isa, const CarouselScan*);
void carousel_stepper_begin(int isa, const CarouselScan*);
void carousel_stepper_step(int isa, const CarouselScan*, const void* x, void* const* to);
void carousel_stepper_states(int isa, const CarouselScan*);
}

namespace {

using Numbers = std::vector<double>;

double noise(int64_t i) {  // the same everywhere, between -0.5 and 0.5
    return double(uint32_t(i * 2654435761u + 12345u) >> 8) / double(1 << 24) - 0.5;
}

Numbers draw(int64_t count, int64_t seed) {
    Numbers n(count);
    for (int64_t i = 0; i < count; ++i) n[i] = noise(i + 7919 * seed);
    return n;
}

// The number of an op: its place in ops.h, which changes when an op is added.
int op_called(const std::string& name) {
    for (int op = 0; const char* found = carousel_op_name(0, op); ++op)
        if (name == found) return op;
    std::printf("there is no op %s\n", name.c_str());
    std::exit(1);
}
const int ADD = op_called("add"), TANH = op_called("tanh"), TANH_GRAD = op_called("tanh_grad");

// h' = tanh(W x + b + U h), with h' kept as the scan's result.

struct Rnn {
    // views: 0 input panel, 1 previous h, 2 outputs, 3 and 4 scratch; in backward 5 carried, 6 upstream, 7 gradient panel
    CarouselView views[8] = {{BUFFER, 1}, {PREVIOUS, 0}, {BUFFER, 0}, {LOCAL, 0}, {LOCAL, 1}, {}, {}, {}};
    CarouselBuffer buffers[4] = {{ROWS, HIDDEN, ALWAYS, EXTERNAL, 0}, {PANEL, HIDDEN, CHUNK, WORKSPACE, -1}, {}, {}};
    CarouselInstruction instructions[6] = {{TANH, 3, 0, 0, 0}, {STORE_ROWS, 2, 3, 3, 3}, {}, {}, {}, {}};
    CarouselTerm terms[1] = {{1, HIDDEN, 2, 0, 0}};
    CarouselProduct products[1] = {{0, HIDDEN, 1, -1, -1, 0, 1}};
    CarouselSegment segments[2] = {{0, 1, 0, 0, 0, 2, 2, 2, 2, 2, 2, 2, 1}, {}};
    CarouselInput inputs[1] = {{1, 0, 1, -1, -1}};
    CarouselWeightGradient gradients[2] = {};
    int32_t carried[1] = {0}, forward_states[1] = {0}, sizes[1] = {HIDDEN};
    CarouselPlan plan{};

    explicit Rnn(bool backward) {
        if (backward) {
            // external rows: 0 outputs, 1 their gradient. buffers: 2 carried gradient, 3 gradient of the sum in tanh
            buffers[0] = {ROWS, HIDDEN, ALWAYS, EXTERNAL, 0};
            buffers[1] = {ROWS, HIDDEN, ALWAYS, EXTERNAL, 1};
            buffers[2] = {PANEL, HIDDEN, TWO, WORKSPACE, -1};
            buffers[3] = {PANEL, HIDDEN, CHUNK, WORKSPACE, -1};
            views[0] = {BUFFER, 3};
            views[1] = {FORWARD_PREVIOUS, 0};
            views[5] = {PREVIOUS, 0};
            views[6] = {BUFFER, 1};
            views[7] = {BUFFER, 2};
            instructions[0] = {LOAD_ROWS, 3, 6, 6, 6};
            instructions[1] = {ADD, 3, 5, 3, 3};
            instructions[2] = {LOAD_ROWS, 4, 2, 2, 2};
            instructions[3] = {TANH_GRAD, 0, 3, 4, 4};
            terms[0] = {0, HIDDEN, 2, 0, 1};
            products[0] = {7, HIDDEN, 0, -1, -1, 0, 1};
            segments[0] = {0, 0, 0, 0, 0, 4, 4, 4, 4, 4, 4, 4, 0};
            segments[1] = {0, 1, 4, 4, 4, 4, 4, 4, 4, 4, 4, 4, 1};
            inputs[0] = {3, 0, -1, -1, -1};
            gradients[0] = {-1, HIDDEN, 3, HIDDEN, 0, 0, 1};
            gradients[1] = {1, HIDDEN, 3, HIDDEN, 2, 0, -1};
            carried[0] = 2;
        }
        plan.views_count = 8, plan.views = views;
        plan.buffers_count = backward ? 4 : 2, plan.buffers = buffers;
        plan.instructions_count = 6, plan.instructions = instructions;
        plan.terms_count = 1, plan.terms = terms;
        plan.products_count = 1, plan.products = products;
        plan.segments_count = backward ? 2 : 1, plan.segments = segments;
        plan.inputs_count = 1, plan.inputs = inputs;
        plan.weight_gradients_count = backward ? 2 : 0, plan.weight_gradients = gradients;
        plan.carried_count = 1, plan.carried = carried;
        plan.forward_states_count = backward ? 1 : 0, plan.forward_states = forward_states;
        plan.state_sizes_count = 1, plan.state_sizes = sizes;
        plan.slots = 2, plan.gates = 1;
    }
};

struct Case {
    std::vector<int64_t> sizes;
    int64_t input, hidden;
    bool reverse;
};

struct Problem {
    Case c;
    int64_t rows = 0, batch;
    Numbers x, weight, bias, recurrent, first, upstream, upstream_last;

    explicit Problem(const Case& c) : c(c), batch(c.sizes[0]) {
        for (int64_t n : c.sizes) rows += n;
        x = draw(rows * c.input, 1), weight = draw(c.hidden * c.input, 2), bias = draw(c.hidden, 3);
        recurrent = draw(c.hidden * c.hidden, 4), first = draw(batch * c.hidden, 5);
        for (double& u : recurrent) u /= std::sqrt(double(c.hidden));
        upstream = draw(rows * c.hidden, 6), upstream_last = draw(batch * c.hidden, 7);
    }

    // sum(upstream * outputs) + sum(upstream_last * last), the plain way.
    double loss() const {
        const int64_t H = c.hidden, T = int64_t(c.sizes.size());
        Numbers h = first;
        double total = 0;
        std::vector<int64_t> offset(T + 1, 0);
        for (int64_t t = 0; t < T; ++t) offset[t + 1] = offset[t] + c.sizes[t];
        for (int64_t k = 0; k < T; ++k) {
            const int64_t t = c.reverse ? T - 1 - k : k;
            for (int64_t r = 0; r < c.sizes[t]; ++r) {
                Numbers next(H);
                for (int64_t j = 0; j < H; ++j) {
                    double sum = bias[j];
                    for (int64_t i = 0; i < c.input; ++i) sum += weight[j * c.input + i] * x[(offset[t] + r) * c.input + i];
                    for (int64_t i = 0; i < H; ++i) sum += recurrent[j * H + i] * h[r * H + i];
                    next[j] = std::tanh(sum);
                    total += next[j] * upstream[(offset[t] + r) * H + j];
                }
                for (int64_t j = 0; j < H; ++j) h[r * H + j] = next[j];
            }
        }
        for (int64_t i = 0; i < batch * H; ++i) total += h[i] * upstream_last[i];
        return total;
    }
};

std::atomic<int> failures{0};

void expect(bool holds, const char* what, double found, double wanted) {
    if (holds) return;
    ++failures;
    std::printf("FAILED %s: %.12g, not %.12g\n", what, found, wanted);
}

template <class Real> std::vector<Real> in(const Numbers& numbers) { return std::vector<Real>(numbers.begin(), numbers.end()); }

// Runs the problem; checks the loss against the plain loop and some of each gradient against finite differences.
// Real: double, or float with factors rounded to bfloat16, whose steps are 1/256.
template <class Real> void check(int isa, const Problem& given, int threads, int split) {
    constexpr bool fine = sizeof(Real) == sizeof(double);
    Problem p = given;
    const Case& c = p.c;
    const int64_t H = c.hidden;
    Rnn forward(false), backward(true);
    using Reals = std::vector<Real>;
    const Reals x = in<Real>(p.x), weight = in<Real>(p.weight), bias = in<Real>(p.bias), recurrent = in<Real>(p.recurrent);
    const Reals start = in<Real>(p.first), upstream = in<Real>(p.upstream), upstream_last = in<Real>(p.upstream_last);
    Reals outputs(p.rows * H, NAN), last(p.batch * H, NAN);
    CarouselScan s{};
    s.plan = &forward.plan;
    s.steps = int64_t(c.sizes.size()), s.rows = p.rows, s.batch = p.batch, s.input = c.input, s.hidden = H;
    s.batch_sizes = c.sizes.data();
    const void* parameters[3] = {weight.data(), bias.data(), recurrent.data()};
    const void* first[1] = {start.data()};
    void* rows[2] = {outputs.data(), const_cast<Real*>(upstream.data())};
    void* lasts[1] = {last.data()};
    s.x = x.data();
    s.parameters_count = 3, s.parameters = parameters, s.first = first, s.rows_of_steps = rows, s.last = lasts;
    s.reverse = c.reverse, s.threads = threads, s.split = split, s.is_double = fine, s.bfloat16 = !fine;
    std::vector<unsigned char> workspace(carousel_forward_workspace(isa, &s), 0xFF);  // NaN everywhere
    s.workspace = workspace.data();
    carousel_forward(isa, &s);
    double loss = 0, terms = 1;
    for (int64_t i = 0; i < p.rows * H; ++i) loss += double(outputs[i]) * p.upstream[i], terms += std::fabs(p.upstream[i]);
    for (int64_t i = 0; i < p.batch * H; ++i) loss += double(last[i]) * p.upstream_last[i], terms += std::fabs(p.upstream_last[i]);
    const double wanted = p.loss();
    expect(std::fabs(loss - wanted) < (fine ? 1e-12 : 1. / 256) * terms, "loss", loss, wanted);

    Reals dx(p.x.size(), NAN), dfirst(p.first.size(), NAN), dw(p.weight.size()), db(p.bias.size()), du(p.recurrent.size());
    const void* grad_last[1] = {upstream_last.data()};
    void* grad_first[1] = {dfirst.data()};
    void* grad_parameters[3] = {dw.data(), db.data(), du.data()};
    s.plan = &backward.plan;
    s.grad_last = grad_last, s.grad_x = dx.data(), s.grad_first = grad_first, s.grad_parameters = grad_parameters;
    std::vector<unsigned char> more(carousel_backward_workspace(isa, &s), 0xFF);
    s.workspace = more.data();
    carousel_backward(isa, &s);
    struct Pair { const char* name; Numbers* value; const Reals* gradient; };
    for (const Pair& pair : {Pair{"x", &p.x, &dx}, Pair{"first", &p.first, &dfirst}, Pair{"weight", &p.weight, &dw},
                             Pair{"bias", &p.bias, &db}, Pair{"recurrent", &p.recurrent, &du}}) {
        const size_t count = pair.value->size(), stride = count < 4 ? 1 : count / 4;
        for (size_t i = 0; i < count; i += stride) {
            const double kept = (*pair.value)[i], step = 1e-5;
            (*pair.value)[i] = kept + step;
            const double up = p.loss();
            (*pair.value)[i] = kept - step;
            const double down = p.loss();
            (*pair.value)[i] = kept;
            const double slope = (up - down) / (2 * step), found = double((*pair.gradient)[i]);
            expect(std::fabs(slope - found) < (fine ? 1e-6 : 8. / 256) * (1 + std::fabs(slope)), pair.name, found, slope);
        }
    }
}

// One step at a time, twice from the beginning, is the scan.
void check_stepping(int isa, int64_t batch, int64_t input, int64_t hidden, int threads, int split) {
    const int64_t steps = 5;
    const Problem p({std::vector<int64_t>(steps, batch), input, hidden, false});
    Rnn forward(false);
    Numbers outputs(p.rows * hidden, NAN), last(batch * hidden, NAN), pair(2 * batch * hidden, NAN), out(batch * hidden);
    const void* parameters[3] = {p.weight.data(), p.bias.data(), p.recurrent.data()};
    const void* first[1] = {p.first.data()};
    void* rows[1] = {outputs.data()};
    void* lasts[1] = {last.data()};
    CarouselScan s{};
    s.plan = &forward.plan;
    s.steps = steps, s.rows = p.rows, s.batch = batch, s.input = input, s.hidden = hidden;
    s.batch_sizes = p.c.sizes.data(), s.x = p.x.data();
    s.parameters_count = 3, s.parameters = parameters, s.first = first, s.rows_of_steps = rows, s.last = lasts;
    s.threads = threads, s.split = split, s.is_double = 1;
    std::vector<unsigned char> workspace(carousel_forward_workspace(isa, &s), 0xFF);
    s.workspace = workspace.data();
    carousel_forward(isa, &s);

    s.steps = 2, s.rows = 2 * batch, s.x = nullptr, rows[0] = pair.data();
    workspace.assign(carousel_stepper_workspace(isa, &s), 0xFF);
    s.workspace = workspace.data();
    carousel_stepper_open(isa, &s);
    void* to[1] = {out.data()};
    for (int round = 0; round < 2; ++round) {
        carousel_stepper_begin(isa, &s);
        carousel_stepper_states(isa, &s);
        for (int64_t i = 0; i < batch * hidden; ++i) expect(last[i] == p.first[i], "first state", last[i], p.first[i]);
        for (int64_t t = 0; t < steps; ++t) {
            carousel_stepper_step(isa, &s, p.x.data() + t * batch * input, to);
            carousel_stepper_states(isa, &s);
            for (int64_t i = 0; i < batch * hidden; ++i) {
                const double wanted = outputs[t * batch * hidden + i];
                expect(std::fabs(out[i] - wanted) < 1e-14, "a step's output", out[i], wanted);
                expect(last[i] == out[i], "a step's state", last[i], out[i]);
            }
        }
    }
}

// h' = tanh(W x + b + U (the sum of h over the children)), over trees: members, gathers, scatters, inputs at some nodes.

struct Sums {
    // buffers, forward: 0 outputs, 1 input panel, 2 members, 3 their sum (kept); backward: 0 outputs, 1 their gradient, 2
    // gradients of all nodes, 3 the sum of forward, 4 gradient panel, 5 gradient of the sum, 6 members of that
    CarouselBuffer buffers[7] = {{ROWS, HIDDEN, ALWAYS, EXTERNAL, 0, 0}};
    CarouselView views[9] = {{BUFFER, 0}, {BUFFER, 1}, {BUFFER, 2}, {BUFFER, 3}, {LOCAL, 0}, {LOCAL, 1}, {BUFFER, 4}, {BUFFER, 5}, {BUFFER, 6}};
    CarouselInstruction instructions[5] = {};
    CarouselTerm terms[1] = {};
    CarouselProduct products[1] = {};
    CarouselSegment segments[3] = {};
    CarouselInput inputs[1] = {};
    CarouselWeightGradient gradients[2] = {};
    CarouselGather gathers[1] = {}, scatters[1] = {};
    int32_t sizes[1] = {HIDDEN};
    CarouselPlan plan{};

    explicit Sums(bool backward) {
        if (!backward) {
            buffers[1] = {PANEL, HIDDEN, CHUNK, WORKSPACE, -1, 0};
            buffers[2] = {PANEL, HIDDEN, TWO, WORKSPACE, -1, 1};
            buffers[3] = {PANEL, HIDDEN, ALWAYS, SAVED, -1, 0};
            instructions[0] = {TOTAL, 3, 2, 2, 2};
            instructions[1] = {TANH, 4, 1, 1, 1};
            instructions[2] = {STORE_ROWS, 0, 4, 4, 4};
            terms[0] = {3, HIDDEN, 2, 0, 0};
            products[0] = {1, HIDDEN, 1, -1, -1, 0, 1, 1};
            segments[0] = {0, 0, 0, 0, 0, 1, 1, 1, 1, 1, 1, 1, 0, 0};
            segments[1] = {0, 1, 1, 1, 1, 3, 3, 3, 3, 3, 3, 3, 1, 0};
            inputs[0] = {1, 0, 1, -1, -1, 0};
            gathers[0] = {0, -1, 0, 2};
        } else {
            buffers[1] = {ROWS, HIDDEN, ALWAYS, EXTERNAL, 1, 0};
            buffers[2] = {PANEL, HIDDEN, ALWAYS, WORKSPACE, -1, 0};
            buffers[3] = {PANEL, HIDDEN, ALWAYS, SAVED, -1, 0};
            buffers[4] = {PANEL, HIDDEN, CHUNK, WORKSPACE, -1, 0};
            buffers[5] = {PANEL, HIDDEN, TWO, WORKSPACE, -1, 0};
            buffers[6] = {PANEL, HIDDEN, TWO, WORKSPACE, -1, 1};
            instructions[0] = {LOAD_ROWS, 4, 1, 1, 1};
            instructions[1] = {ADD, 4, 2, 4, 4};
            instructions[2] = {LOAD_ROWS, 5, 0, 0, 0};
            instructions[3] = {TANH_GRAD, 6, 4, 5, 5};
            instructions[4] = {SPREAD, 8, 7, 7, 7};
            terms[0] = {6, HIDDEN, 2, 0, 1};
            products[0] = {7, HIDDEN, 0, -1, -1, 0, 1, 1};
            segments[0] = {0, 0, 0, 0, 0, 4, 4, 4, 4, 4, 4, 4, 0, 0};
            segments[1] = {0, 1, 4, 4, 4, 4, 4, 4, 4, 4, 4, 4, 1, 0};
            segments[2] = {1, 1, 4, 4, 4, 5, 5, 5, 5, 5, 5, 5, 0, 1};
            inputs[0] = {4, 0, -1, -1, -1, 0};
            gradients[0] = {-1, HIDDEN, 4, HIDDEN, 0, 0, 1, 0};
            gradients[1] = {3, HIDDEN, 4, HIDDEN, 2, 0, -1, 1};
            scatters[0] = {0, -1, 2, 6};
        }
        plan.views_count = backward ? 9 : 6, plan.views = views;
        plan.buffers_count = backward ? 7 : 4, plan.buffers = buffers;
        plan.instructions_count = backward ? 5 : 3, plan.instructions = instructions;
        plan.terms_count = 1, plan.terms = terms;
        plan.products_count = 1, plan.products = products;
        plan.segments_count = backward ? 3 : 2, plan.segments = segments;
        plan.inputs_count = 1, plan.inputs = inputs;
        plan.weight_gradients_count = backward ? 2 : 0, plan.weight_gradients = gradients;
        plan.gathers_count = backward ? 0 : 1, plan.gathers = gathers;
        plan.scatters_count = backward ? 1 : 0, plan.scatters = scatters;
        plan.state_sizes_count = 1, plan.state_sizes = sizes;
        plan.slots = 2, plan.gates = 1;
    }
};

// A graph of 9 nodes, the first 4 of them leaves, one with two parents; inputs at some nodes.
struct Forest {
    static constexpr int64_t N = 9, H = 19, I = 3;
    std::vector<int64_t> sizes = {3, 1, 3, 1, 1}, first_edge = {0, 0, 0, 0, 0, 2, 4, 5, 8, 10}, sources = {0, 1, 1, 2, 3, 4, 5, 6, 7, 6};
    std::vector<int64_t> readers = {4, 4, 5, 5, 6, 7, 7, 7, 8, 8}, at = {0, 1, 3, 4, 7};
    Numbers x = draw(at.size() * I, 11), weight = draw(H * I, 12), bias = draw(H, 13), recurrent = draw(H * H, 14), upstream = draw(N * H, 15);

    double loss() const {
        Numbers h(N * H);
        double total = 0;
        for (int64_t n = 0, j = 0; n < N; ++n) {
            const bool given = j < int64_t(at.size()) && at[j] == n;
            for (int64_t u = 0; u < H; ++u) {
                double a = bias[u];
                for (int64_t i = 0; i < I && given; ++i) a += weight[u * I + i] * x[j * I + i];
                for (int64_t e = first_edge[n]; e < first_edge[n + 1]; ++e)
                    for (int64_t k = 0; k < H; ++k) a += recurrent[u * H + k] * h[sources[e] * H + k];
                total += (h[n * H + u] = std::tanh(a)) * upstream[n * H + u];
            }
            j += given;
        }
        return total;
    }
};

// Two threads, each with the whole forest and memory of its own.
void check_forest(int isa) {
    Forest f;
    Sums forward(false), backward(true);
    constexpr int64_t N = Forest::N, H = Forest::H, I = Forest::I;
    const int64_t width = carousel_saved_width(isa, 1, &forward.plan, H, 0, 0, 0);
    CarouselScan scans[2] = {};
    Numbers outputs[2], saved[2], dx[2], dw[2], db[2], du[2];
    const void* parameters[3] = {f.weight.data(), f.bias.data(), f.recurrent.data()};
    const void* first[1] = {nullptr};
    void *last[1] = {nullptr}, *rows[2][2], *grad_first[1] = {nullptr}, *grad_parameters[2][3];
    std::vector<unsigned char> workspace[2];
    for (int i = 0; i < 2; ++i) {
        outputs[i] = Numbers(N * H, NAN), saved[i] = Numbers(N * width, NAN), dx[i] = Numbers(f.x.size(), NAN);
        dw[i] = Numbers(H * I), db[i] = Numbers(H), du[i] = Numbers(H * H);
        rows[i][0] = outputs[i].data(), rows[i][1] = f.upstream.data();
        grad_parameters[i][0] = dw[i].data(), grad_parameters[i][1] = db[i].data(), grad_parameters[i][2] = du[i].data();
        CarouselScan& s = scans[i];
        s.plan = &forward.plan;
        s.steps = f.sizes.size(), s.rows = N, s.batch = 3, s.input = I, s.hidden = H;
        s.batch_sizes = f.sizes.data(), s.x = f.x.data(), s.threads = 1, s.is_double = 1;
        s.parameters_count = 3, s.parameters = parameters, s.first = first, s.last = last, s.rows_of_steps = rows[i];
        s.saved = saved[i].data(), s.grad_first = grad_first, s.grad_x = dx[i].data(), s.grad_parameters = grad_parameters[i];
        s.first_edge = f.first_edge.data(), s.sources = f.sources.data(), s.readers = f.readers.data(), s.at = f.at.data();
        s.edges = f.sources.size(), s.given = f.at.size(), s.leaves = 4;
    }
    for (bool back : {false, true}) {
        for (int i = 0; i < 2; ++i) {
            scans[i].plan = back ? &backward.plan : &forward.plan;
            workspace[i].assign((back ? carousel_backward_workspace : carousel_forward_workspace)(isa, &scans[i]), 0xFF);
            scans[i].workspace = workspace[i].data();
        }
        (back ? carousel_backward_each : carousel_forward_each)(isa, scans, 2);
    }
    for (int i = 0; i < 2; ++i) {
        double loss = 0;
        for (int64_t k = 0; k < N * H; ++k) loss += outputs[i][k] * f.upstream[k];
        expect(std::fabs(loss - f.loss()) < 1e-10, "loss of a forest", loss, f.loss());
        struct Pair { const char* name; Numbers* value; const Numbers* gradient; };
        for (const Pair& pair : {Pair{"x of nodes", &f.x, &dx[i]}, Pair{"weight over trees", &f.weight, &dw[i]},
                                 Pair{"bias over trees", &f.bias, &db[i]}, Pair{"recurrent over trees", &f.recurrent, &du[i]}})
            for (size_t k = 0; k < pair.value->size(); k += 5) {
                const double kept = (*pair.value)[k], step = 1e-5;
                (*pair.value)[k] = kept + step;
                const double up = f.loss();
                (*pair.value)[k] = kept - step;
                const double down = f.loss();
                (*pair.value)[k] = kept;
                const double slope = (up - down) / (2 * step), found = (*pair.gradient)[k];
                expect(std::fabs(slope - found) < 1e-5 * (1 + std::fabs(slope)), pair.name, found, slope);
            }
    }
}

}  // namespace

int main(int count, char** arguments) {
    const bool quick = count > 1 && std::string(arguments[1]) == "--quick";
    std::vector<Case> cases = {
        {{6, 5, 2, 2, 1}, 17, 70, false},
        {{5, 4, 4, 1}, 3, 9, true},
        {{1}, 1, 1, false},
        {{3, 3, 3}, 2, 7, false},
        {{4, 2}, 5, 130, true},
    };
    if (quick) cases.resize(2);
    for (int isa = 0; carousel_isa_name(isa); ++isa) {
        if (!carousel_isa_runs_here(isa)) continue;
        for (const Case& c : cases)
            for (int threads : {1, 2, 3})
                for (int split : {0, 1, 2}) {
                    check<double>(isa, Problem(c), threads, split);
                    check<float>(isa, Problem(c), threads, split);
                }
        for (int threads : {1, 2})
            for (int split : {1, 2}) {
                check_stepping(isa, 1, 3, 70, threads, split);
                check_stepping(isa, 4, 2, 9, threads, split);
            }
        check_forest(isa);
        // Several callers at once, each with a team of its own.
        std::vector<std::thread> callers;
        for (int i = 0; i < 3; ++i) callers.emplace_back([&, isa] { check<double>(isa, Problem(cases[0]), 2, 2); });
        for (std::thread& caller : callers) caller.join();
        std::printf("%s: %d failures\n", carousel_isa_name(isa), failures.load());
    }
    return failures != 0;
}
