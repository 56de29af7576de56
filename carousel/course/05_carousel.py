"""5. The carousel: a cell state that hands its gradient on

An LSTM adds to its cell state instead of overwriting it:

    c_t = f_t c_{t-1} + i_t g_t,        h_t = o_t tanh(c_t)

While the gates do not look back, the derivative of c_t by c_{t-k} is the product of the k forget gates between, unit by
unit. Without a forget gate (as in 1997) it is 1, for ever: the constant error carousel. Training then gives the gates
their meaning: f shuts where something is to be forgotten, i opens where something is to be written, o where it is to be
shown.

Only in part: the gates of a full LSTM read h_{t-1}, and with it c_{t-1}; those paths come on top of the product, and
in a trained network they can outweigh it. A forget gate of 0.99 is no carousel either: 0.99^100 = 0.37. And a network
may spread one meaning over several units, or keep it with its sign turned.
"""

import torch
from torch import sigmoid, tanh

import carousel
from carousel.course.learning import layer_of, store, store_network
from carousel.course.lesson import LOOKS, Lesson, spread, teach


class FirstLSTM(carousel.Cell):
    """The LSTM of 1997, before it could forget."""

    states = "h", "c"
    gates = "i", "g", "o"

    def step(self, c, i, g, o):
        c = c + sigmoid(i) * tanh(g)
        return sigmoid(o) * tanh(c), c


def blind(layer):
    """The same layer with gates that do not look back."""
    with torch.no_grad():
        layer.weight_hh_l0.zero_()
    return layer


def jacobian_and_forget_gates(layer, x, h, c):
    """d c_T / d c_0 of one sequence, (H, H), and the product of its forget gates, (H)."""
    c = c.detach().requires_grad_()
    with layer.record("forget") as gates:
        last = layer(x, (h, c))[1][1]
    rows = [torch.autograd.grad(unit, c, retain_graph=True)[0][0, 0] for unit in last[0, 0]]
    return torch.stack(rows), gates["forget"][0, :, 0].detach().prod(0)


def exact_where_gates_are_blind(lesson):
    layer = blind(carousel.LSTM(3, 16, dtype=torch.float64))
    x, start = torch.randn(50, 1, 3, dtype=torch.float64), torch.randn(1, 1, 16, dtype=torch.float64)
    jacobian, product = jacobian_and_forget_gates(layer, x, start, start)
    apart = (jacobian - torch.diag(product)).norm().item() / product.norm().item()
    lesson.fact(
        f"Blind gates: dc_t/dc_(t-50) is the product of the 50 forget gates between, to {apart:.1e} (float64).",
        apart < 1e-13,
    )

    first = blind(carousel.Recurrent(FirstLSTM, 3, 16, dtype=torch.float64))
    c = torch.zeros(1, 1, 16, dtype=torch.float64, requires_grad=True)
    first(torch.randn(1000, 1, 3, dtype=torch.float64), (start, c))[1][1].sum().backward()
    lesson.fact(
        f"Without a forget gate it is {c.grad.min().item():g} after 1,000 steps, in every unit, to the last bit.",
        bool((c.grad == 1).all()),
    )


def share_beside_the_product(layer, x, lags):
    """How much of d c_t / d c_{t-k} is not the product of forget gates: |J - diag(prod f)| / |J|, for each lag."""
    with torch.no_grad():
        _, _, states = layer(x, return_states=True)
    end, shares = len(x), []
    for k in lags:
        h, c = (states[name][:, end - k - 1] for name in ("h", "c"))
        jacobian, product = jacobian_and_forget_gates(layer, x[end - k :], h, c)
        shares.append(((jacobian - torch.diag(product)).norm() / jacobian.norm()).item())
    return shares


def gates_at_work(network):
    """Means of the gates of the unit that holds the stored number, by what was ordered; the errors; one sequence."""
    x, stored, answer = store(40, 400)
    with torch.no_grad(), network.layer.record("forget", "input", "output", "c") as values:
        error = (network(x)[0][..., 0] - answer).square().mean().item()
    c = values["c"][0].flatten(0, 1)
    unit = int(torch.corrcoef(torch.cat([stored.reshape(1, -1), c.T]))[0, 1:].abs().argmax())
    gate = {name: values[name][0, ..., unit] for name in values}
    write, erase, show = (x[..., n] > 0 for n in (1, 2, 3))
    means = {
        "f, write or erase": gate["forget"][write | erase],
        "f, else": gate["forget"][~(write | erase)],
        "i, write": gate["input"][write],
        "i, else": gate["input"][~write],
        "o, show": gate["output"][show],
        "o, else": gate["output"][~show],
    }
    one = {"number": x[:, 0, 0], "stored": stored[:, 0]} | {name: value[:, 0] for name, value in gate.items()}
    orders = {"write": write[:, 0], "erase": erase[:, 0], "show": show[:, 0]}
    return {k: v.mean().item() for k, v in means.items()}, error / answer.square().mean().item(), one, orders


def main(lesson: Lesson) -> None:
    exact_where_gates_are_blind(lesson)

    networks = [store_network(seed, lesson.full(2000, quick=600)) for seed in range(lesson.full(5, quick=1))]
    x = store(40, 1)[0]
    x[..., 1:3] = 0  # nothing is written or erased
    lags = [1, 2, 5, 10, 20]
    torch.manual_seed(0)
    beside = {"before": share_beside_the_product(layer_of("LSTM", 4, 8), x, lags)}
    beside["after"] = share_beside_the_product(networks[0].layer, x, lags)
    rows = [[when, *(round(share, 3) for share in shares)] for when, shares in beside.items()]
    lesson.table(
        "Full LSTM, nothing to write or erase: the share of dc_t/dc_(t-k) that is not the product of forget gates",
        ["training", *(f"k = {k}" for k in lags)],
        rows,
    )
    lesson.fact(
        f"In a full LSTM, over 20 steps, {beside['before'][-1]:.0%} of the derivative goes other ways than the product "
        f"before training, {beside['after'][-1]:.0%} after.",
        min(beside["before"][1:] + beside["after"][1:]) > 1e-3 and beside["before"][0] < 1e-6,
    )

    found = [gates_at_work(network) for network in networks]
    means = {name: [means[name] for means, *_ in found] for name in found[0][0]}
    lesson.table(
        "Gates of the unit that holds the number, mean by what was ordered: median (range) of the seeds",
        ["gate, order", "mean"],
        [[name, spread(values)] for name, values in means.items()],
    )
    lesson.numbers["means of gates by seed"] = means
    errors = [error for _, error, *_ in found]
    lesson.fact(
        f"The trained LSTM answers with a squared error of {spread(errors, 3)} of that of always saying 0.",
        max(errors) < lesson.full(0.1, quick=0.5),
    )
    for gate, order, larger in (("f", "write or erase", False), ("i", "write", True), ("o", "show", True)):
        there, elsewhere = means[f"{gate}, {order}"], means[f"{gate}, else"]
        agree = sum((a > b) == larger for a, b in zip(there, elsewhere, strict=True))
        lesson.fact(
            f'{gate} is {"larger" if larger else "smaller"} at "{order}" than elsewhere in {agree} of {len(networks)} '
            f"networks: {spread(there)} against {spread(elsewhere)}.",
            agree >= 0.8 * len(networks),
        )

    _, _, one, orders = found[0]
    memory, gates, paths = lesson.picture(
        "Left: one sequence; the stored number as steps, and the cell state of the unit that holds it, which follows: "
        "it jumps at every order to write, falls to 0 at every order to erase and stays level between. Middle: that "
        "unit's gates; f drops and i rises at orders to write, o rises where the number is to be shown. Right: the "
        "share of the derivative that does not go through the product of forget gates, rising with the lag.",
        panels=3,
    )
    steps = range(len(one["stored"]))
    sign = 1 if torch.corrcoef(torch.stack([one["c"], one["stored"]]))[0, 1] > 0 else -1
    memory.step(steps, one["stored"], where="mid", color=LOOKS["plain"]["color"], label="stored")
    memory.plot(steps, sign * one["c"], color=LOOKS["LSTM"]["color"], label="c" if sign > 0 else "-c")
    for order, marker in (("write", "v"), ("erase", "x"), ("show", "o")):
        at = orders[order].nonzero().flatten()
        memory.plot(at, one["stored"][at], marker, color=LOOKS["RNN"]["color"], fillstyle="none", label=order)
        height = {"write": 1.1, "erase": 1.1, "show": 1.2}[order]
        gates.plot(at, [height] * len(at), marker, color=LOOKS["plain"]["color"], fillstyle="none", markersize=4)
    for gate, name in (("forget", "RNN"), ("input", "LSTM"), ("output", "GRU")):
        gates.plot(steps, one[gate], color=LOOKS[name]["color"], marker=LOOKS[name]["marker"], markersize=3, label=gate)
    for (when, shares), look in zip(beside.items(), (LOOKS["coupled LSTM"], LOOKS["LSTM"]), strict=True):
        paths.plot(lags, shares, label=f"{when} training", **look)
    memory.set(title="what is stored, and a unit's state", xlabel="step")
    gates.set(title="that unit's gates", xlabel="step", ylim=(-0.05, 1.3))
    paths.set(title="derivative beside the product", xlabel="steps k", xscale="log", ylim=(0, 1))
    for axes in (memory, gates, paths):
        axes.legend(frameon=False, fontsize=7)


if __name__ == "__main__":
    teach(main)
