"""What every cell computes, said a second time: published equations in NumPy, float64, one sequence at a time.

Nothing here knows torch or Carousel. A cell is its gates, in the order of their blocks in the stacked weights, and a
function (x, states, w) -> new states on plain vectors; `layer` runs it over time, layers and directions.
To add a cell, write its function from the paper, never from the package, and name it in `matrix.py`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Equations:
    """gates: those that read x and h; inputs: those of x alone, recurrents: of h alone, whose blocks come after."""

    gates: str
    step: Callable
    inputs: str = ""
    recurrents: str = ""


class Weights:
    """One layer's parameters in one direction: W, U, b and k by gate; anything else by its own name.

    Gate f is W[f] x + b[f] + U[f] h + k[f]. Without biases b and k are 0, and so is a vector named in w.shift(...).
    """

    def __init__(self, equations: Equations, parameters: Mapping[str, np.ndarray], bias: bool):
        def blocks(name: str) -> dict:
            gates = (*equations.gates, *(equations.inputs if name.endswith("ih") else equations.recurrents))
            if name not in parameters:  # a layer without biases, or a cell that has none
                return dict.fromkeys(gates, 0.0)
            return dict(zip(gates, np.split(parameters[name], len(gates)), strict=True))

        self.parameters, self.blocks, self.bias = parameters, blocks, bias
        self.W, self.U, self.b, self.k = map(blocks, ("weight_ih", "weight_hh", "bias_ih", "bias_hh"))

    def __getitem__(self, name: str) -> np.ndarray:
        return self.parameters[name]

    def shift(self, name: str) -> np.ndarray | float:
        return self.parameters[name] if self.bias else 0.0

    def gate(self, name: str, x: np.ndarray, h: np.ndarray) -> np.ndarray:
        return self.W[name] @ x + self.b[name] + self.U[name] @ h + self.k[name]


def sigmoid(a):
    return 0.5 * (1.0 + np.tanh(0.5 * a))


def relu(a):
    return np.maximum(a, 0.0)


# --- Elman (1990); torch.nn.RNN


def elman(nonlinearity: Callable) -> Equations:
    def step(x, states, w):
        (h,) = states
        return (nonlinearity(w.gate("n", x, h)),)

    return Equations("n", step)


# --- Hochreiter & Schmidhuber (1997), Gers & Schmidhuber (2000), Sak et al. (2014); torch.nn.LSTM, ONNX LSTM


def lstm(peepholes: str = "", coupled: bool = False, projected: bool = False) -> Equations:
    """peepholes: the gates that see the cell state, as a string, "ifo" for all of them."""

    def step(x, states, w):
        h, c = states
        f = sigmoid(w.gate("f", x, h) + (w["p_f"] * c if "f" in peepholes else 0.0))
        if coupled:
            i = 1.0 - f
        else:
            i = sigmoid(w.gate("i", x, h) + (w["p_i"] * c if "i" in peepholes else 0.0))
        c_next = f * c + i * np.tanh(w.gate("g", x, h))
        o = sigmoid(w.gate("o", x, h) + (w["p_o"] * c_next if "o" in peepholes else 0.0))
        m = o * np.tanh(c_next)
        return (w["weight_hr"] @ m if projected else m), c_next

    return Equations("fgo" if coupled else "ifgo", step)


# --- Cho et al. (2014); torch.nn.GRU, Keras GRU, ONNX GRU


def _gru_reset_after(x, states, w):
    (h,) = states
    r, z = sigmoid(w.gate("r", x, h)), sigmoid(w.gate("z", x, h))
    n = np.tanh(w.W["n"] @ x + w.b["n"] + r * (w.U["n"] @ h + w.k["n"]))
    return ((1.0 - z) * n + z * h,)


def _gru_reset_before(x, states, w):
    (h,) = states
    r, z = sigmoid(w.gate("r", x, h)), sigmoid(w.gate("z", x, h))
    n = np.tanh(w.W["n"] @ x + w.b["n"] + w.U["n"] @ (r * h) + w.k["n"])
    return ((1.0 - z) * n + z * h,)


gru_reset_after = Equations("rzn", _gru_reset_after)
gru_reset_before = Equations("rzn", _gru_reset_before)


# --- Ba, Kiros & Hinton (2016), with torch.nn.LayerNorm's 1e-5 under the root


def layer_norm(a):
    return (a - a.mean()) / np.sqrt(a.var() + 1e-5)


def _layer_norm_lstm(x, states, w):
    h, c = states
    a = w["scale_h"] * layer_norm(w["weight_hh"] @ h) + w["scale_x"] * layer_norm(w["weight_ih"] @ x) + w.shift("shift")
    i, f, g, o = np.split(a, 4)
    c = sigmoid(f) * c + sigmoid(i) * np.tanh(g)
    return sigmoid(o) * np.tanh(w["scale_c"] * layer_norm(c) + w.shift("shift_c")), c


def _layer_norm_gru(x, states, w):
    (h,) = states
    size = h.size

    def normalized(name, row):  # r and z as one vector, n by itself
        product = w[name] @ row
        return np.concatenate([layer_norm(product[: 2 * size]), layer_norm(product[2 * size :])])

    from_x = w["scale_x"] * normalized("weight_ih", x) + w.shift("shift")
    from_h = w["scale_h"] * normalized("weight_hh", h)
    r, z = np.split(sigmoid(from_x[: 2 * size] + from_h[: 2 * size]), 2)
    n = np.tanh(from_x[2 * size :] + r * from_h[2 * size :])
    return ((1.0 - z) * n + z * h,)


layer_norm_lstm = Equations("ifgo", _layer_norm_lstm)
layer_norm_gru = Equations("rzn", _layer_norm_gru)


# --- cells that a user might write (see matrix.py)


def _light_gru(x, states, w):
    """Ravanelli et al. (2018): no reset gate, a relu candidate."""
    (h,) = states
    z = sigmoid(w.gate("z", x, h))
    return (z * h + (1.0 - z) * relu(w.gate("n", x, h)),)


def _multiplicative_lstm(x, states, w):
    """Krause et al. (2016): every gate sees m = (W_m x) * (U_m h) where an LSTM sees h."""
    h, c = states
    m = (w.W["m"] @ x + w.b["m"]) * (w.U["m"] @ h + w.k["m"])
    i, f, o = (sigmoid(w.gate(name, x, m)) for name in "ifo")
    c = f * c + i * np.tanh(w.gate("g", x, m))
    return o * np.tanh(c), c


def _slstm(x, states, w):
    """Beck et al. (2024), equations 8 to 17: exponential gates, a normaliser n and a stabiliser m."""
    h, c, n, m = states
    i, f = w.gate("i", x, h), w.gate("f", x, h)
    log_f = -np.logaddexp(0.0, -f)
    m_next = np.maximum(log_f + m, i)
    i, f = np.exp(i - m_next), np.exp(log_f + m - m_next)
    c = f * c + i * np.tanh(w.gate("z", x, h))
    n = f * n + i
    return sigmoid(w.gate("o", x, h)) * c / n, c, n, m_next


def _low_rank_memory(x, states, w):
    """A hidden state, a narrow memory r that it writes and reads through two matrices, and a running mean s."""
    h, r, s = states
    r = np.tanh(w["weight_hr"] @ h + r)
    r = r - r.mean()
    n = np.tanh(w.gate("n", x, h) + w["weight_rh"] @ r)
    s = w["decay"] * s + (1.0 - w["decay"]) * n
    h = n + w["weight_hh2"] @ np.where(s > 0.0, s, 0.1 * s)
    return h / np.sqrt(1.0 + (h * h).mean()), r, s


def _competing(x, states, w):
    """Units compete for the update: the gate is a softmax over units, scaled and shifted per gate."""
    (h,) = states
    a = w.blocks("scale")["a"] * w.gate("a", x, h) + w.shift("shift")
    a = np.exp(a - a.max())
    a = a / a.sum()
    return (h + a * (w.blocks("scale")["v"] * np.sin(w.gate("v", x, h)) - h),)


def _ordered(x, states, w):
    """Shen et al. (2019): the gate is a cumulative softmax, so that units forget in their order."""
    (h,) = states
    z = np.exp(w.gate("z", x, h))
    z = np.cumsum(z / z.sum())
    return (z * h + (1.0 - z) * np.tanh(w.gate("n", x, h)),)


def _one_sided(x, states, w):
    (h,) = states
    f = sigmoid(w.gate("f", x, h))
    n = np.tanh(w.W["n"] @ x + w.b["n"] + w.U["u"] @ (f * h) + w.k["u"])
    return (f * h + (1.0 - f) * n,)


def _scan_alone(x, states, w):
    (h,) = states
    z = sigmoid(w.W["z"] @ x + w.b["z"])
    return ((1.0 - z) * h + z * (w.W["n"] @ x + w.b["n"]),)


def _antisymmetric(x, states, w):
    (h,) = states
    v = np.tanh(w.gate("n", x, h))
    back = w.U["n"].T @ (w["weight_hr"].T @ h)
    return (h + 0.1 * np.tanh(w["weight_hr"] @ v + back - 0.1 * h),)


light_gru = Equations("zn", _light_gru)
multiplicative_lstm = Equations("mifgo", _multiplicative_lstm)
slstm = Equations("zifo", _slstm)
low_rank_memory = Equations("n", _low_rank_memory)
competing = Equations("av", _competing)
ordered = Equations("zn", _ordered)
one_sided = Equations("f", _one_sided, inputs="n", recurrents="u")
antisymmetric = Equations("n", _antisymmetric)
scan_alone = Equations("", _scan_alone, inputs="zn")


# --- over time, directions and layers


def scan(equations: Equations, xs, states, w: Weights):
    """One direction over one sequence: (T, I) and a tuple of vectors -> (T, output), the last states."""
    outputs = []
    for x in xs:
        states = equations.step(x, states, w)
        outputs.append(states[0])
    return np.array(outputs).reshape(len(xs), -1), states


def layer(equations: Equations, xs, initial, parameters: Mapping[str, np.ndarray], bias: bool):
    """A whole layer over one sequence, its parameters named as torch.nn names them.

    initial: per state (layers * directions, size). Returns the output (T, directions * size) and the last states.
    """
    directions = ["", "_reverse"] if "weight_ih_l0_reverse" in parameters else [""]
    layers = sum(name.startswith("weight_ih_l") for name in parameters) // len(directions)
    last: list = []
    for k in range(layers):
        outputs = []
        for direction in directions:
            suffix = f"_l{k}{direction}"
            mine = {name.removesuffix(suffix): v for name, v in parameters.items() if name.endswith(suffix)}
            order = slice(None, None, -1 if direction else 1)
            states = tuple(state[len(last)] for state in initial)
            output, states = scan(equations, xs[order], states, Weights(equations, mine, bias))
            outputs.append(output[order])
            last.append(states)
        xs = np.concatenate(outputs, axis=1)
    return xs, tuple(np.array(states) for states in zip(*last, strict=True))
