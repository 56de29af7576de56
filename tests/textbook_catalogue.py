"""The cells of the catalogue, said a second time: from their publications, in NumPy, one step on plain vectors.

As in `textbook.py`, nothing here knows torch or Carousel. Two columns of weights meet in a gate f: w.W[f] of the input,
w.U[f] of the state, with biases w.b[f] and w.k[f].
"""

from __future__ import annotations

import numpy as np
from textbook import Equations, relu, sigmoid

from carousel.cells.deep.highway import RHN
from carousel.cells.gru.ugrnn import UGRNN
from carousel.cells.lstm.janet import JANET
from carousel.cells.lstm.nas import NAS

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


EQUATIONS = {
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
