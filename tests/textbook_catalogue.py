"""The cells of the catalogue, said a second time: from their publications, in NumPy, one step on plain vectors.

As in `textbook.py`, nothing here knows torch or Carousel. Two columns of weights meet in a gate f: w.W[f] of the input,
w.U[f] of the state, with biases w.b[f] and w.k[f].
"""

from __future__ import annotations

import numpy as np
import textbook_memory
from textbook import Equations, relu, sigmoid

from carousel.cells.continuous.lem import LEM
from carousel.cells.deep.highway import RHN
from carousel.cells.gru.simple_gate import DSGU, SGU
from carousel.cells.gru.ugrnn import UGRNN
from carousel.cells.light.ind_rnn import IndRNN
from carousel.cells.lstm.janet import JANET
from carousel.cells.lstm.nas import NAS
from carousel.cells.lstm.phased import PhasedLSTM
from carousel.cells.lstm.slstm import SLSTM
from carousel.cells.rnn.clockwork import ClockworkRNN

tanh = np.tanh


def _x(w, name, x):
    return w.W[name] @ x + w.b[name]


def _u(w, name, h):
    return w.U[name] @ h + w.k[name]


# --- the LSTM's relatives


def _lstm_1997(x, states, w):
    h, c = states
    c_next = c + sigmoid(w.gate("i", x, h)) * tanh(w.gate("g", x, h))
    return sigmoid(w.gate("o", x, h)) * tanh(c_next), c_next


def _janet(beta):
    def step(x, states, w):
        """van der Westhuizen & Lasenby (2018): s = U h + V x + b, c = sigmoid(s) c + (1 - sigmoid(s - beta)) c~."""
        (c,) = states
        s = w.gate("f", x, c)
        return (sigmoid(s) * c + (1.0 - sigmoid(s - beta)) * tanh(w.gate("g", x, c)),)

    return Equations("fg", step)


def _multiplicative_lstm(x, states, w):
    h, c = states
    m = _x(w, "m", x) * _u(w, "m", h)
    c_next = sigmoid(w.gate("f", x, m)) * c + sigmoid(w.gate("i", x, m)) * tanh(w.gate("g", x, m))
    return tanh(c_next) * sigmoid(w.gate("o", x, m)), c_next


def _nas(product):
    def step(x, states, w):
        """Layers 1, 2 and 3 of NASCell: eight values of one activation each, four pairs, and what joins those."""
        h, s = states
        kinds = [("a", sigmoid), ("p", relu), ("c", sigmoid), ("q", relu), ("e", tanh), ("f", sigmoid)]
        kinds += [("g", tanh), ("k", sigmoid)]
        first = [f(_x(w, g, x) * _u(w, g, h) if g == "q" and product else w.gate(g, x, h)) for g, f in kinds]
        second = [tanh(first[0] * first[1]), tanh(first[2] + first[3]), tanh(first[4] * first[5])]
        second.append(sigmoid(first[6] + first[7]))
        second[0] = tanh(second[0] + s)
        s_next = second[0] * second[1]
        return tanh(s_next * tanh(second[2] + second[3])), s_next

    return Equations("apcqefgk", step)


def _working_memory(x, states, w):
    h, c = states
    i = sigmoid(w.gate("i", x, h) + tanh(w["weight_ci"] @ c))
    f = sigmoid(w.gate("f", x, h) + tanh(w["weight_cf"] @ c))
    c_next = f * c + i * tanh(w.gate("g", x, h))
    o = sigmoid(w.gate("o", x, h) + tanh(w["weight_co"] @ c_next))
    return o * tanh(c_next), c_next


def _memory_controller(x, states, w):
    _, v, c = states
    c_next = sigmoid(w.gate("f", x, v)) * c + sigmoid(w.gate("i", x, v)) * tanh(w.gate("g", x, v))
    return sigmoid(w.gate("o", x, v)) * tanh(c_next), sigmoid(w.gate("k", x, v)) * tanh(c_next), c_next


def _slstm(x, states, w):
    """Beck et al. (2024), equations 8 to 17; where nothing has been written yet, the input gate alone stabilises."""
    h, c, n, m = states
    i, f = w.gate("i", x, h), w.gate("f", x, h)
    log_f = np.minimum(f, 0.0) - np.log1p(np.exp(-np.abs(f)))
    new = n == 0.0
    m_next = np.where(new, i, np.maximum(log_f + m, i))
    i_prime = np.exp(i - m_next)
    f_prime = np.where(new, 0.0, np.exp(np.where(new, 0.0, log_f + m - m_next)))
    c_next = np.where(new, c, f_prime * c) + i_prime * tanh(w.gate("g", x, h))
    n_next = f_prime * n + i_prime
    return sigmoid(w.gate("o", x, h)) * (c_next / n_next), c_next, n_next, m_next


def _full_gate_recurrence(x, states, w):
    h, c, i, f, o = states

    def recurrence(gate):
        return w[f"weight_i{gate}"] @ i + w[f"weight_f{gate}"] @ f + w[f"weight_o{gate}"] @ o

    i_next = sigmoid(w.gate("i", x, h) + w["p_i"] * c + recurrence("i"))
    f_next = sigmoid(w.gate("f", x, h) + w["p_f"] * c + recurrence("f"))
    c_next = i_next * tanh(w.gate("g", x, h)) + f_next * c
    o_next = sigmoid(w.gate("o", x, h) + w["p_o"] * c_next + recurrence("o"))
    return o_next * tanh(c_next), c_next, i_next, f_next, o_next


# --- the GRU's relatives


def _mgu(x, states, w):
    (h,) = states
    f = sigmoid(w.gate("f", x, h))
    return ((1.0 - f) * h + f * tanh(w.gate("n", x, f * h)),)


def _ugrnn(bias):
    def step(x, states, w):
        (h,) = states
        g = sigmoid(w.gate("g", x, h) + bias)
        return (g * h + (1.0 - g) * tanh(w.gate("n", x, h)),)

    return Equations("ng", step)


def _mut2(x, states, w):
    (h,) = states
    z, r = sigmoid(w.gate("z", x, h)), sigmoid(w.gate("r", x, h))
    return (tanh(w.gate("n", x, r * h)) * z + h * (1.0 - z),)


def _mut3(x, states, w):
    (h,) = states
    z, r = sigmoid(w.gate("z", x, tanh(h))), sigmoid(w.gate("r", x, h))
    return (tanh(w.gate("n", x, r * h)) * z + h * (1.0 - z),)


def _li_gru(x, states, w):
    (h,) = states
    z = sigmoid(w.gate("z", x, h))
    return (z * h + (1.0 - z) * relu(w.gate("n", x, h)),)


def _sgrn(x, states, w):
    (h,) = states
    f = sigmoid(w.gate("f", x, h))
    return (tanh((1.0 - f) * _x(w, "f", x) + f * h),)


def _miru1(x, states, w):
    (h,) = states
    return (0.5 * h + 0.5 * tanh(w.gate("n", x, sigmoid(w.gate("r", x, h)) * h)),)


def _miru2(x, states, w):
    (h,) = states
    return (0.5 * h + 0.5 * tanh(w.gate("n", x, 0.5 * h)),)


# --- light, fast, continuous, deep


def _atr(x, states, w):
    (h,) = states
    p, q = _x(w, "p", x), _u(w, "p", h)
    return (sigmoid(p + q) * p + sigmoid(p - q) * h,)


def _fastrnn(x, states, w):
    (h,) = states
    return (sigmoid(w["alpha"]) * tanh(w.gate("n", x, h)) + sigmoid(w["beta"]) * h,)


def _fastgrnn(x, states, w):
    (h,) = states
    a = w.gate("z", x, h)
    z = sigmoid(a)
    return ((sigmoid(w["zeta"]) * (1.0 - z) + sigmoid(w["nu"])) * tanh(a + w.shift("d")) + z * h,)


def _cornn(x, states, w):
    """y'' = tanh(W y + W' y' + V u + b) - gamma y - epsilon y', the velocity first."""
    y, v = states
    dt, gamma, epsilon = 0.042, 2.7, 4.7
    v_next = v + dt * tanh(w.gate("n", x, y) + w["weight_zn"] @ v) - dt * gamma * y - dt * epsilon * v
    return y + dt * v_next, v_next


def _tau_gru(x, states, w):
    h, one, two, three = states
    u, z = tanh(w.gate("u", x, h)), tanh(w.gate("z", x, three))
    g, a = sigmoid(w.gate("g", x, h)), sigmoid(w.gate("a", x, h))
    return (1.0 - g) * h + g * (u + a * z), h, one, two


def _rhn(depth):
    def step(x, states, w):
        (s,) = states
        for k in range(1, depth + 1):
            if k == 1:
                a, b = w.gate("n", x, s), w.gate("t", x, s)
            else:
                a, b = (w[f"weight_{g}{k}"] @ s + w.shift(f"b_{g}{k}") for g in "nt")
            t = sigmoid(b)
            s = tanh(a) * t + s * (1.0 - t)
        return (s,)

    return Equations("nt", step)


# --- antisymmetric


def _antisymmetric(x, states, w):
    (h,) = states
    A = w.U["n"] - w.U["n"].T - 0.01 * np.eye(h.size)
    return (h + 0.1 * tanh(A @ h + _x(w, "n", x) + w.k["n"]),)


def _gated_antisymmetric(x, states, w):
    (h,) = states
    a = (w.U["n"] - w.U["n"].T - 0.01 * np.eye(h.size)) @ h + w.k["n"]
    return (h + 0.1 * sigmoid(a + _x(w, "z", x)) * tanh(a + _x(w, "n", x)),)


EQUATIONS = {
    "antisymmetric-rnn": Equations("n", _antisymmetric),
    "gated-antisymmetric-rnn": Equations("n", _gated_antisymmetric, inputs="z"),
    "lstm-1997": Equations("igo", _lstm_1997),
    "janet": _janet(1.0),
    "multiplicative-lstm": Equations("mifgo", _multiplicative_lstm),
    "nas": _nas(True),
    "working-memory-lstm": Equations("ifgo", _working_memory),
    "memory-controller-lstm": Equations("fiokg", _memory_controller),
    "slstm": Equations("ifgo", _slstm),
    "full-gate-recurrence-lstm": Equations("ifgo", _full_gate_recurrence),
    "mgu": Equations("fn", _mgu),
    "ugrnn": _ugrnn(0.0),
    "mut2": Equations("zrn", _mut2),
    "mut3": Equations("zrn", _mut3),
    "li-gru": Equations("zn", _li_gru),
    "sgrn": Equations("f", _sgrn),
    "miru1": Equations("rn", _miru1),
    "miru2": Equations("n", _miru2),
    "atr": Equations("p", _atr),
    "fastrnn": Equations("n", _fastrnn),
    "fastgrnn": Equations("z", _fastgrnn),
    "cornn": Equations("n", _cornn),
    "tau-gru": Equations("uzga", _tau_gru),
    "rhn": _rhn(3),
}

WITH_OPTIONS = {
    JANET(beta=0.0): _janet(0.0),
    NAS(product=False): _nas(False),
    UGRNN(bias=1.0): _ugrnn(1.0),
    RHN(depth=2): _rhn(2),
    RHN(depth=5): _rhn(5),
}


# --- gates of one side


def _mut1(x, states, w):
    (h,) = states
    z, r = sigmoid(_x(w, "z", x)), sigmoid(w.gate("r", x, h))
    return (tanh(_u(w, "n", r * h) + tanh(_x(w, "n", x))) * z + h * (1.0 - z),)


def _min_gru(x, states, w):
    (h,) = states
    z = sigmoid(_x(w, "z", x))
    return ((1.0 - z) * h + z * _x(w, "n", x),)


def _min_lstm(x, states, w):
    (h,) = states
    f, i = sigmoid(_x(w, "f", x)), sigmoid(_x(w, "i", x))
    return ((f * h + i * _x(w, "g", x)) / (f + i),)


def _sru(x, states, w):
    _, c = states
    f, r = (sigmoid(_x(w, g, x) + w[f"v_{g}"] * c) for g in "fr")
    c_next = f * c + (1.0 - f) * _x(w, "g", x)
    return r * c_next + (1.0 - r) * _x(w, "k", x), c_next


def _qrnn(x, states, w):
    _, c = states
    f = sigmoid(_x(w, "f", x))
    c_next = f * c + (1.0 - f) * tanh(_x(w, "g", x))
    return sigmoid(_x(w, "o", x)) * c_next, c_next


def _ran(x, states, w):
    h, c = states
    c_next = sigmoid(w.gate("i", x, h)) * _x(w, "g", x) + sigmoid(w.gate("f", x, h)) * c
    return tanh(c_next), c_next


def _cfn(x, states, w):
    (h,) = states
    return (sigmoid(w.gate("t", x, h)) * tanh(h) + sigmoid(w.gate("e", x, h)) * tanh(_x(w, "n", x)),)


def _star(x, states, w):
    (h,) = states
    k = sigmoid(w.gate("k", x, h))
    return (tanh((1.0 - k) * h + k * tanh(_x(w, "n", x))),)


def _light_ru(x, states, w):
    (h,) = states
    f = sigmoid(w.gate("f", x, h))
    return ((1.0 - f) * h + f * tanh(_x(w, "n", x)),)


def _minimal_rnn(x, states, w):
    (h,) = states
    z = tanh(_x(w, "n", x))
    u = sigmoid(_u(w, "u", h) + w["weight_zu"] @ z)
    return (u * h + (1.0 - u) * z,)


def _t_rnn(x, states, w):
    (h,) = states
    f = sigmoid(_x(w, "f", x))
    return (f * h + (1.0 - f) * _x(w, "n", x),)


def _typed(x, states, w):
    """z, f, o of W x_t + V x_{t-1} + b, and the three products that the next step adds."""
    before = states[-3:]
    z, f, o = (_x(w, gate, x) + last for gate, last in zip("zfo", before, strict=True))
    return z, sigmoid(f), tanh(o), tuple(_x(w, f"V_{gate}", x) for gate in "zfo")


def _t_gru(x, states, w):
    z, f, o, products = _typed(x, states, w)
    return f * states[0] + z * o, *products


def _t_lstm(x, states, w):
    z, f, o, products = _typed(x, states, w)
    c = f * states[1] + (1.0 - f) * z
    return c * o, c, *products


def _ind_rnn(nonlinearity):
    def step(x, states, w):
        (h,) = states
        return (nonlinearity(_x(w, "n", x) + w["u"] * h),)

    return Equations("", step, inputs="n")


def _brc(x, states, w):
    (h,) = states
    a = 1.0 + tanh(_x(w, "a", x) + w["w_a"] * h)
    c = sigmoid(_x(w, "c", x) + w["w_c"] * h)
    return (c * h + (1.0 - c) * tanh(_x(w, "n", x) + a * h),)


def _nbrc(x, states, w):
    (h,) = states
    a, c = 1.0 + tanh(w.gate("a", x, h)), sigmoid(w.gate("c", x, h))
    return (c * h + (1.0 - c) * tanh(_x(w, "n", x) + a * h),)


def _lem(dt):
    def step(x, states, w):
        """tk-rusch/LEM: the new z in the equation of y."""
        y, z = states
        dt_bar, step_of_z = dt * sigmoid(w.gate("a", x, y)), dt * sigmoid(w.gate("b", x, y))
        z = (1.0 - step_of_z) * z + step_of_z * tanh(w.gate("g", x, y))
        y = (1.0 - dt_bar) * y + dt_bar * tanh(w["weight_zn"] @ z + w.shift("d") + _x(w, "n", x))
        return y, z

    return Equations("abg", step, inputs="n")


def _unicornn(x, states, w):
    y, z = states
    scale = 0.1 * (0.5 + 0.5 * tanh(w["k"] / 2.0))
    z = z - scale * (tanh(w["w"] * y + _x(w, "n", x)) + 0.5 * y)
    return y + scale * z, z


def _scrn(x, states, w):
    h, s = states
    s = 0.05 * _x(w, "k", x) + 0.95 * s
    return sigmoid(w["weight_sn"] @ s + w.gate("n", x, h)), s


def _residual_lstm(x, states, w):
    h, c = states
    i = sigmoid(w.gate("i", x, h) + w["p_i"] * c)
    f = sigmoid(w.gate("f", x, h) + w["p_f"] * c)
    c_next = f * c + i * tanh(w.gate("g", x, h))
    o = sigmoid(w.gate("o", x, h) + w["p_o"] * c_next)
    return o * (w["weight_hm"] @ tanh(c_next) + _x(w, "r", x)), c_next


def _lru(x, states, w):
    """In complex numbers: lambda = exp(-exp(nu) + i exp(theta)), and inputs scaled by sqrt(1 - |lambda|^2)."""
    real, imaginary = states
    factor = np.exp(-np.exp(w["nu"]) + 1j * np.exp(w["theta"]))
    scale = np.sqrt(1.0 - np.abs(factor) ** 2)
    new = factor * (real + 1j * imaginary) + scale * (_x(w, "a", x) + 1j * _x(w, "b", x))
    return new.real, new.imag


TYPED = ("z", "f", "o", "V_z", "V_f", "V_o")

EQUATIONS |= {
    "mut1": Equations("rn", _mut1, inputs="z"),
    "mingru": Equations("", _min_gru, inputs="zn"),
    "minlstm": Equations("", _min_lstm, inputs="fig"),
    "sru": Equations("", _sru, inputs="gfrk"),
    "qrnn": Equations("", _qrnn, inputs="gfo"),
    "ran": Equations("if", _ran, inputs="g"),
    "cfn": Equations("te", _cfn, inputs="n"),
    "star": Equations("k", _star, inputs="n"),
    "light-ru": Equations("f", _light_ru, inputs="n"),
    "minimal-rnn": Equations("", _minimal_rnn, inputs="n", recurrents="u"),
    "t-rnn": Equations("", _t_rnn, inputs="nf"),
    "t-gru": Equations((), _t_gru, inputs=TYPED),  # type: ignore[arg-type]
    "t-lstm": Equations((), _t_lstm, inputs=TYPED),  # type: ignore[arg-type]
    "indrnn": _ind_rnn(relu),
    "brc": Equations("", _brc, inputs="acn"),
    "nbrc": Equations("ac", _nbrc, inputs="n"),
    "lem": _lem(1.0),
    "unicornn": Equations("", _unicornn, inputs="n"),
    "scrn": Equations("n", _scrn, inputs="k"),
    "residual-lstm": Equations("ifgo", _residual_lstm, inputs="r"),
    "lru": Equations("", _lru, inputs="ab"),
}
WITH_OPTIONS |= {LEM(dt=0.3): _lem(0.3), IndRNN("tanh"): _ind_rnn(tanh)}


# --- hard sigmoids: Keras' of 2016 has the slope 1/5, torch's 1/6


def _simple_gate(slope, deep):
    def step(x, states, w):
        (h,) = states
        scaled = tanh(w.U["g"] @ (_x(w, "g", x) * h) + w.k["g"]) * h
        n = sigmoid(w["weight_kn"] @ scaled) if deep else np.log(1.0 + np.exp(scaled))
        z = np.minimum(1.0, np.maximum(0.0, slope * w.gate("z", x, h) + 0.5))
        return ((1.0 - z) * h + z * n,)

    return Equations("gz", step)


EQUATIONS |= {"sgu": _simple_gate(0.2, False), "dsgu": _simple_gate(0.2, True)}
WITH_OPTIONS |= {SGU("torch"): _simple_gate(1 / 6, False), DSGU("torch"): _simple_gate(1 / 6, True)}


# --- cells that read parts of their input


def _intersection(x, states, w):
    _, h = states
    depth, update = sigmoid(w.gate("p", x, h)), sigmoid(w.gate("z", x, h))
    y = depth * x + (1.0 - depth) * relu(w.gate("a", x, h))
    return y, update * h + (1.0 - update) * tanh(w.gate("n", x, h))


def _gru_d(x, states, w):
    h, last = states
    value, mask, delta = np.split(x, 3)
    left = np.exp(-relu(w["d_k"] * delta + w.shift("b_k")))
    imputed = np.where(mask == 1.0, value, mask * value + (1.0 - mask) * (left * last + (1.0 - left) * w["mean"]))
    h = np.exp(-relu(w["weight_D"] @ delta + w.shift("bias_D"))) * h
    z = sigmoid(w["weight_R_z"] @ imputed + w.gate("z", mask, h))
    r = sigmoid(w["weight_R_r"] @ imputed + w.gate("r", mask, h))
    n = tanh(w["weight_R_n"] @ imputed + w.gate("n", mask, r * h))
    return h + z * (n - h), mask * value + (1.0 - mask) * last


def _phased_lstm(leak):
    def step(x, states, w):
        h, c = states
        x, time = x[:-1], x[-1]
        phase = np.mod(time - w["s"], w["tau"]) / w["tau"]
        half = w["r"] / 2.0
        openness = np.where(phase < half, phase / half, np.where(phase < w["r"], 2.0 - phase / half, leak * phase))
        i, f = sigmoid(w.gate("i", x, h) + w["p_i"] * c), sigmoid(w.gate("f", x, h) + w["p_f"] * c)
        proposed = f * c + i * tanh(w.gate("g", x, h))
        out = sigmoid(w.gate("o", x, h) + w["p_o"] * proposed) * tanh(proposed)
        return h + openness * (out - h), c + openness * (proposed - c)

    return Equations("ifgo", step)


def _lmu(x, states, w):
    h, m = states
    u = w["e_x"] @ x + w["e_h"] @ h + w["e_m"] @ m
    m = w["weight_A"] @ m + w["B"] * u
    return tanh(w.gate("n", x, h) + w["weight_M"] @ m), m


EQUATIONS |= {
    "intersection-rnn": Equations("anpz", _intersection),
    "gru-d": Equations("zrn", _gru_d),
    "phased-lstm": _phased_lstm(0.001),
    "lmu": Equations("n", _lmu),
}
WITH_OPTIONS |= {PhasedLSTM(leak=0.0): _phased_lstm(0.0)}


# --- recurrent matrices of which some numbers are zero


def _clockwork(modules):
    def step(x, states, w):
        """Koutnik et al. (2014), said for each unit: its group, its period, and the groups that it may read."""
        h, due = states
        units = len(h)
        group = [min(modules, units) * i // units for i in range(units)]
        u = np.array([[w.U["n"][i, j] if group[j] >= group[i] else 0.0 for j in range(units)] for i in range(units)])
        n = tanh(w.W["n"] @ x + w.b["n"] + u @ h + w.k["n"])
        period = np.array([2.0**g for g in group])
        return np.where(due == 0, n, h), np.mod(due + 1, period)

    return Equations("n", step)


def _with_heads(step, heads):
    """A step whose U are given as the blocks of their diagonals, one below the other."""

    def whole(x, states, w):
        def dense(blocks):
            width = blocks.shape[1]
            found = np.zeros((heads * width, heads * width))
            for head in range(heads):
                at = slice(head * width, (head + 1) * width)
                found[at, at] = blocks[at]
            return found

        w.U = {gate: u if u.shape[1] == len(u) else dense(u) for gate, u in w.U.items()}
        return step(x, states, w)

    return whole


EQUATIONS |= {"clockwork-rnn": _clockwork(4)}
WITH_OPTIONS |= {
    ClockworkRNN(2): _clockwork(2),
    SLSTM(heads=2): Equations("ifgo", _with_heads(_slstm, 2)),
}


# --- cells with a memory

EQUATIONS |= textbook_memory.EQUATIONS
WITH_OPTIONS |= textbook_memory.with_options()
