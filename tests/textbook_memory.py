"""Cells with a memory, and decoders with attention, said a second time: from their publications, in NumPy.

As in `textbook.py`, nothing here knows torch or Carousel. States of members are vectors, which are folded here.
"""

from __future__ import annotations

import numpy as np
from textbook import Equations, relu, sigmoid

tanh = np.tanh


def softmax(a):
    e = np.exp(a - a.max())
    return e / e.sum()


def softplus(a):
    return np.logaddexp(0.0, a)


def _affine(w, name, row):
    """W row + b of a matrix; b is 0 in a layer without biases."""
    return w[f"weight_{name}"] @ row + w.parameters.get(f"bias_{name}", 0.0)


def _gate(w, name, x, fed):
    """Of gates that read several states: the first is h, the others are named."""
    (_, h), *others = fed
    found = w.gate(name, x, h)
    for state, row in others:
        found = found + w.blocks(f"weight_{state}h")[name] @ row
    return found


def _controller(w, x, c, fed):
    i, f, o = (sigmoid(_gate(w, name, x, fed)) for name in "ifo")
    c = f * c + i * tanh(_gate(w, "g", x, fed))
    return o * tanh(c), c


# --- neural Turing machine


def cosine(memory, key):
    lengths = np.sqrt((memory * memory).sum(1)) * np.sqrt(key @ key)
    return memory @ key / np.maximum(lengths, 1e-8)


def ntm_address(memory, before, key, strength, gate, shifts, sharpness):
    """Graves et al. (2014), equations 5 to 9; shifts[k] moves the weighting by k - 1 slots ahead, in a circle."""
    content = softmax(strength * cosine(memory, key))
    between = gate * content + (1.0 - gate) * before
    slots = len(between)
    moved = np.zeros(slots)
    for i in range(slots):
        for k, shift in enumerate(shifts):
            moved[(i + k - 1) % slots] += shift * between[i]
    powers = moved**sharpness
    return powers / powers.sum()


def _ntm(heads):
    def step(x, states, w):
        _, h, c, *rest = states
        reads, (memory,), weightings = rest[:heads], rest[heads : heads + 1], rest[heads + 1 :]
        width = len(reads[0])
        memory = memory.reshape(-1, width)
        h, c = _controller(w, x, c, [("h", h), *((f"r{k}", r) for k, r in enumerate(reads))])
        names = [*(f"a{k}" for k in range(heads)), *(f"b{k}" for k in range(heads))]

        def head(name, before):
            number = {
                n: _affine(w, f"{n}_{name}", h)[0] for n in ("strength", "gate", "back", "stay", "ahead", "sharp")
            }
            shifts = softmax(np.array([number["back"], number["stay"], number["ahead"]]))
            how = softplus(number["strength"]), sigmoid(number["gate"]), shifts, 1.0 + softplus(number["sharp"])
            return ntm_address(memory, before, _affine(w, f"key_{name}", h), *how)

        weightings = [head(name, before) for name, before in zip(names, weightings, strict=True)]
        reads = [a @ memory for a in weightings[:heads]]
        written = memory
        for name, b in zip(names[heads:], weightings[heads:], strict=True):
            written = written * (1.0 - np.outer(b, sigmoid(_affine(w, f"erase_{name}", h))))
        for name, b in zip(names[heads:], weightings[heads:], strict=True):
            written = written + np.outer(b, _affine(w, f"add_{name}", h))
        y = h + sum(w[f"weight_r{k}"] @ r for k, r in enumerate(reads))
        return y, h, c, *reads, written.ravel(), *weightings

    return Equations("ifgo", step)


# --- differentiable neural computer

DELTA = 1e-6


def dnc_content(memory, key, strength):
    lengths = (np.sqrt((memory * memory).sum(1)) + DELTA) * (np.sqrt(key @ key) + DELTA)
    return softmax(strength * (memory @ key) / (lengths + DELTA / len(key)))


def dnc_free(usage):
    """Equation of the allocation weighting: slots in the order of their usage, the least used first."""
    usage = DELTA + (1.0 - DELTA) * usage
    order = np.argsort(usage, kind="stable")
    free, product = np.zeros(len(usage)), 1.0
    for slot in order:
        free[slot] = (1.0 - usage[slot]) * product
        product *= usage[slot]
    return free


def dnc_memory(memory, usage, precedence, link, write, reads, of):
    """A step of the memory (Graves et al. 2016, Methods). of: the interface, by name, as it is applied."""
    usage = usage + write - usage * write
    for k, weighting in enumerate(reads):
        usage = usage * (1.0 - of[f"free_{k}"] * weighting)
    by_content = dnc_content(memory, of["key"], of["strength"])
    share = of["allocation_gate"]
    write = of["write_gate"] * (share * dnc_free(usage) + (1.0 - share) * by_content)
    memory = memory * (1.0 - np.outer(write, of["erase"])) + np.outer(write, of["write"])
    slots = len(usage)
    next_link = np.zeros((slots, slots))
    for i in range(slots):
        for j in range(slots):
            if i != j:
                next_link[i, j] = (1.0 - write[i] - write[j]) * link[i, j] + write[i] * precedence[j]
    precedence = (1.0 - write.sum()) * precedence + write
    found = []
    for k, weighting in enumerate(reads):
        backward, forward, content = of[f"modes_{k}"]
        by = dnc_content(memory, of[f"key_{k}"], of[f"strength_{k}"])
        found.append(backward * (next_link.T @ weighting) + content * by + forward * (next_link @ weighting))
    return memory, usage, precedence, next_link, write, found


def _dnc(heads):
    def step(x, states, w):
        _, h, c, *rest = states
        reads, (memory, usage, precedence, link, write), before = (
            rest[:heads],
            rest[heads : heads + 5],
            rest[heads + 5 :],
        )
        slots, width = len(usage), len(reads[0])
        h, c = _controller(w, x, c, [("h", h), *((f"r{k}", r) for k, r in enumerate(reads))])

        def number(name):
            return _affine(w, name, h)[0]

        of = {
            "key": _affine(w, "key_w", h),
            "strength": 1.0 + softplus(number("strength_w")),
            "erase": sigmoid(_affine(w, "erase", h)),
            "write": _affine(w, "write", h),
            "write_gate": sigmoid(number("write_gate")),
            "allocation_gate": sigmoid(number("allocation_gate")),
        }
        for k in range(heads):
            modes = np.array([number(f"{mode}_a{k}") for mode in ("backward", "forward", "content")])
            of |= {f"free_{k}": sigmoid(number(f"free_a{k}")), f"modes_{k}": softmax(modes)}
            of |= {f"key_{k}": _affine(w, f"key_a{k}", h), f"strength_{k}": 1.0 + softplus(number(f"strength_a{k}"))}
        memory, link = memory.reshape(slots, width), link.reshape(slots, slots)
        memory, usage, precedence, link, write, found = dnc_memory(memory, usage, precedence, link, write, before, of)
        reads = [a @ memory for a in found]
        y = h + sum(w[f"weight_r{k}"] @ r for k, r in enumerate(reads))
        return y, h, c, *reads, memory.ravel(), usage, precedence, link.ravel(), write, *found

    return Equations("ifgo", step)


# --- memories that are matrices


def _x(w, name, x):
    return w.W[name] @ x + w.b[name]


def _mlstm(x, states, w):
    """Beck et al. (2024), equations 19 to 27, with the stabiliser of equation 15."""
    h, memory, n, m = states
    size = len(h)
    memory = memory.reshape(size, size)
    q, k, v, o = (_x(w, name, x) for name in "qkvo")
    k = k / np.sqrt(size)
    s, log_f = _affine(w, "i", x), -softplus(-_affine(w, "f", x))
    m_next = np.maximum(log_f + m, s)
    f, i = np.exp(log_f + m - m_next), np.exp(s - m_next)
    memory = f * memory + i * np.outer(v, k)
    n = f * n + i * k
    h = sigmoid(o) * (memory @ q) / np.maximum(np.abs(n @ q), np.exp(-m_next))
    return h, memory.ravel(), n, m_next


def _delta_net(x, states, w):
    h, memory = states
    memory = memory.reshape(len(h), len(h))
    q, k, v = (_x(w, name, x) for name in "qkv")
    q, k = (a * sigmoid(a) for a in (q, k))
    q, k = (a / (np.sqrt(a @ a) + 1e-6) for a in (q, k))
    memory = memory + sigmoid(_affine(w, "b", x)) * np.outer(v - memory @ k, k)
    return memory @ q, memory.ravel()


def _linear_attention(x, states, w):
    h, memory, z = states
    memory = memory.reshape(len(h), len(h))
    q, k = (np.where(a > 0, a + 1.0, np.exp(np.minimum(a, 0.0))) for a in (_x(w, "q", x), _x(w, "k", x)))
    memory, z = memory + np.outer(_x(w, "v", x), k), z + k
    return memory @ q / (z @ q + 1e-6), memory.ravel(), z


def _norm(a):
    return (a - a.mean()) / np.sqrt(a.var() + 1e-5)


def _fast_weights(decay, rate, steps):
    def step(x, states, w):
        h, fast = states
        fast = decay * fast.reshape(len(h), len(h)) + rate * np.outer(h, h)
        n = w.gate("n", x, h)
        s = relu(_norm(n))
        for _ in range(steps):
            s = relu(_norm(n + fast @ s))
        return s, fast.ravel()

    return Equations("n", step)


EQUATIONS = {
    "ntm": _ntm(1),
    "dnc": _dnc(1),
    "mlstm": Equations("", _mlstm, inputs="qkvo"),
    "delta-net": Equations("", _delta_net, inputs="qkv"),
    "linear-attention": Equations("", _linear_attention, inputs="qkv"),
    "fast-weights": _fast_weights(0.95, 0.5, 1),
}


def with_options():
    """Cells of the catalogue with options that change their equations."""
    from carousel.cells.memory.dnc import DNC
    from carousel.cells.memory.fast_weights import FastWeights
    from carousel.cells.memory.ntm import NTM

    return {NTM(2): _ntm(2), DNC(2): _dnc(2), FastWeights(0.9, 0.3, 2): _fast_weights(0.9, 0.3, 2)}


# --- decoders: a step takes the context too, (positions, units)


def bahdanau(x, states, context, w):
    """Bahdanau, Cho & Bengio (2015), appendix A.2.2."""
    (h,) = states
    energies = np.array([w["v"] @ tanh(w["weight_a"] @ h + w["weight_m"] @ m) for m in context])
    summary = softmax(energies) @ context
    r = sigmoid(w.gate("r", x, h) + w["weight_sr"] @ summary)
    z = sigmoid(w.gate("z", x, h) + w["weight_sz"] @ summary)
    n = tanh(_x(w, "n", x) + w.U["n"] @ (r * h) + w.k["n"] + w["weight_sn"] @ summary)
    return ((1.0 - z) * h + z * n,)


def luong(score):
    def step(x, states, context, w):
        """Luong, Pham & Manning (2015), equations 5 to 8 and section 3.3."""
        a, h, c = states
        h, c = _controller(w, x, c, [("h", h), ("a", a)])
        keys = [w["weight_a"] @ m for m in context]
        scores = [h @ key if score == "general" else w["v"] @ tanh(w["weight_q"] @ h + key) for key in keys]
        summary = softmax(np.array(scores)) @ context
        return tanh(w["weight_s"] @ summary + w["weight_h"] @ h), h, c

    return step


ATTENTION = {
    "bahdanau-gru": Equations("rzn", bahdanau),
    "luong-lstm": Equations("ifgo", luong("general")),
    "luong-lstm concat": Equations("ifgo", luong("concat")),
}
