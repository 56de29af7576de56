"""What a layer adds to a cell: regularisers, modified states, read-outs. Each against a loop that does it by hand.

The loop calls `RecurrentCell` step by step: the meaning of every option is one line between two calls.
"""

from __future__ import annotations

import inspect

import pytest
import torch
from torch import nn
from torch.nn.utils.rnn import pack_sequence

import carousel
from carousel.cells import Cell
from carousel.engines import ENGINES
from carousel.engines.native import binding as native_binding
from carousel.layers import faces

I, H, T, B = 3, 4, 6, 2

ENGINES_HERE = [name for name in ENGINES if name != "native" or not isinstance(native_binding.find(), str)]


class ThreeStates(Cell):
    """A user's cell: h follows c, and m remembers the largest h."""

    states = "h", "c", "m"
    gates = "f", "g"

    def step(self, h, c, m, f, g):
        f = torch.sigmoid(f)
        c = f * c + (1 - f) * torch.tanh(g)
        h = torch.tanh(c + 0.1 * m)
        return h, c, torch.maximum(m, h)


CELLS = ["lstm", "gru", "gru-reset-before", "peephole-lstm", "layer-norm-lstm", "rnn", ThreeStates]


def pair(cell, **options):
    """A layer, and its cell as one step with the same weights."""
    torch.manual_seed(0)
    layer = carousel.Recurrent(cell, I, H, dtype=torch.float64, **options)
    step = carousel.RecurrentCell(cell, I, H, dtype=torch.float64)
    step.load_state_dict({n.removesuffix("_l0"): p for n, p in layer.state_dict().items()})
    return layer, step


def as_tuple(hx):
    return hx if isinstance(hx, tuple) else (hx,)


def by_hand(step, x, between=lambda t, old, new: new, before=lambda t, states: states):
    """A loop over time: states before step t go through `before`, those after it through `between`."""
    states = tuple(x.new_zeros(x.shape[1], H) for _ in step.program.states)
    outputs = []
    for t in range(len(x)):
        old = before(t, states)
        new = as_tuple(step(x[t], old if len(old) > 1 else old[0]))
        states = between(t, old, new)
        outputs.append(states)
    return [torch.stack(values) for values in zip(*outputs, strict=True)]


def example():
    torch.manual_seed(1)
    return torch.randn(T, B, I, dtype=torch.float64)


@pytest.mark.parametrize("cell", CELLS)
class TestRegularizers:
    def test_zoneout_in_training_keeps_units(self, cell):
        layer, step = pair(cell, zoneout=0.4)
        x = example()
        torch.manual_seed(5)
        output, last = layer(x)
        torch.manual_seed(5)  # the masks are drawn state by state, for all steps at once
        zones = [x.new_empty(T * B, H).bernoulli_(0.4).view(T, B, H) for _ in step.program.states]

        def between(t, old, new):
            return tuple(torch.where(z[t] == 1, o, n) for z, o, n in zip(zones, old, new, strict=True))

        expected = by_hand(step, x, between)
        torch.testing.assert_close(output, expected[0])
        for ours, theirs in zip(as_tuple(last), expected, strict=True):
            torch.testing.assert_close(ours[0], theirs[-1])

    def test_zoneout_in_evaluation_takes_the_mean(self, cell):
        layer, step = pair(cell, zoneout={"h": 0.3})
        x = example()

        def between(_t, old, new):
            return (0.3 * old[0] + 0.7 * new[0], *new[1:])

        torch.testing.assert_close(layer.eval()(x)[0], by_hand(step, x, between)[0])

    def test_recurrent_dropout_is_one_mask_a_sequence(self, cell):
        layer, step = pair(cell, recurrent_dropout=0.5)
        x = example()
        torch.manual_seed(5)
        output, last = layer(x)
        torch.manual_seed(5)
        mask = nn.functional.dropout(torch.ones(B, H, dtype=torch.float64), 0.5)
        program = carousel.program.rewrite.recurrent_dropout(step.program)
        assert set(program.states) == {*step.program.states, "drop_h"}
        if cell in ("rnn", "lstm", "gru"):  # where the state itself is all that U multiplies
            weight = step.weight_hh.detach().clone()
            states = tuple(x.new_zeros(B, H) for _ in step.program.states)
            for t in range(T):  # U (m * h) for each row of the batch is (U diag(m)) h
                rows = []
                for b in range(B):
                    with torch.no_grad():
                        step.weight_hh.copy_(weight * mask[b])
                    row = tuple(s[b] for s in states)
                    rows.append(as_tuple(step(x[t, b], row if len(row) > 1 else row[0])))
                states = tuple(torch.stack(s) for s in zip(*rows, strict=True))
                torch.testing.assert_close(output[t], states[0])
            step.weight_hh.data.copy_(weight)
        assert len(as_tuple(last)) == len(step.program.states)
        assert torch.equal(layer.eval()(x)[0], layer(x)[0])

    def test_input_dropout_is_one_mask_a_sequence(self, cell):
        layer, _ = pair(cell, input_dropout=0.5)
        x = example()
        torch.manual_seed(5)
        output, _ = layer(x)
        torch.manual_seed(5)
        mask = nn.functional.dropout(torch.ones(B, I, dtype=torch.float64), 0.5)
        torch.testing.assert_close(output, layer.eval()(x * mask)[0])

    def test_weight_drop_drops_elements_of_u(self, cell):
        layer, step = pair(cell, weight_drop=0.5)
        x = example()
        torch.manual_seed(5)
        output, _ = layer(x)
        torch.manual_seed(5)
        step.weight_hh.data = nn.functional.dropout(step.weight_hh.data, 0.5)
        torch.testing.assert_close(output, by_hand(step, x)[0])


@pytest.mark.parametrize("engine", ENGINES_HERE)
@pytest.mark.parametrize(
    "cell", ["lstm", "peephole-lstm", "layer-norm-lstm", "gru", "gru-reset-before", "layer-norm-gru"]
)
def test_candidate_dropout_drops_what_a_step_writes(cell, engine):
    """By the published equations, c = f c + i (m g) and h = (1 - z) (m n) + z h, from what was recorded."""
    layer, _ = pair(cell, candidate_dropout=0.5, engine=engine)
    x = example().requires_grad_()
    torch.manual_seed(5)
    memory = layer.program.states.keys() & {"c"} or {"h"}
    gates = ["input", "forget"] if memory == {"c"} else ["update"]
    with layer.record(*gates, "candidate", *memory) as v:
        output, _ = layer(x)
    torch.manual_seed(5)
    mask = nn.functional.dropout(torch.ones(T * B, H, dtype=torch.float64), 0.5).view(T, B, H)
    after = v[min(memory)][0]
    before = torch.cat([torch.zeros_like(after[:1]), after[:-1]])
    written = mask * v["candidate"][0]
    if memory == {"c"}:
        torch.testing.assert_close(after, v["forget"][0] * before + v["input"][0] * written)
    else:
        torch.testing.assert_close(after, (1 - v["update"][0]) * written + v["update"][0] * before)
    assert torch.autograd.grad(output.sum(), x)[0].any()
    assert torch.equal(layer.eval()(x)[0], pair(cell)[0](x)[0]) or engine == "reference"


def test_candidate_dropout_wants_a_candidate():
    with pytest.raises(
        ValueError, match=r"a state of which it keeps a share, as g in f \* c \+ i \* g, and RNN has no such value"
    ):
        carousel.RNN(I, H, candidate_dropout=0.1)


@pytest.mark.parametrize("cell", CELLS)
class TestModifiedStates:
    def test_keep_and_add(self, cell):
        layer, step = pair(cell)
        x = example()
        keep, add = torch.rand(T, B, H, dtype=torch.float64), torch.randn(T, B, H, dtype=torch.float64)

        def before(t, states):
            return tuple(keep[t] * s + add[t] for s in states)

        given = [keep.requires_grad_(), add.requires_grad_()]
        ours, theirs = layer(x, keep=keep, add=add)[0], by_hand(step, x, before=before)[0]
        torch.testing.assert_close(ours, theirs)
        for a, b in zip(torch.autograd.grad(ours.sum(), given), torch.autograd.grad(theirs.sum(), given), strict=True):
            torch.testing.assert_close(a, b)

    def test_keep_zero_is_a_reset(self, cell):
        layer, _ = pair(cell)
        x = example()
        reset = torch.rand(T, B) < 0.3
        torch.testing.assert_close(layer(x, keep=(~reset).double())[0], layer(x, reset=reset)[0])

    def test_one_state_of_several(self, cell):
        layer, step = pair(cell)
        x = example()
        add = torch.randn(T, B, dtype=torch.float64)

        def before(t, states):
            return (states[0] + add[t][:, None], *states[1:])

        torch.testing.assert_close(layer(x, add={"h": add})[0], by_hand(step, x, before=before)[0])


@pytest.mark.parametrize("cell", CELLS)
class TestReadOuts:
    def test_every_state_of_every_step(self, cell):
        layer, step = pair(cell)
        x = example()
        output, last, states = layer(x, return_states=True)
        assert list(states) == list(step.program.states)
        assert torch.equal(states["h"][0], output)
        for ours, theirs, final in zip(states.values(), by_hand(step, x), as_tuple(last), strict=True):
            torch.testing.assert_close(ours[0], theirs)
            assert torch.equal(ours[:, -1], final)

    def test_recording_changes_nothing(self, cell):
        layer, _ = pair(cell)
        x = example()
        with layer.record("h") as values:
            output, _ = layer(x)
        assert torch.equal(output, layer(x)[0])
        assert torch.equal(values["h"][0], output)
        assert not layer._recordings


class TestRecordedGates:
    """Recorded values satisfy the equations that the program prints."""

    @pytest.mark.parametrize("cell", ["lstm", "peephole-lstm", "coupled-lstm", "layer-norm-lstm"])
    def test_lstm(self, cell):
        layer, _ = pair(cell)
        with layer.record("input", "f", "candidate", "output", "c") as v:
            output, _ = layer(example())
        i, f, g, o, c = (v[name][0] for name in ("input", "f", "candidate", "output", "c"))
        before = torch.cat([torch.zeros_like(c[:1]), c[:-1]])
        torch.testing.assert_close(c, f * before + i * g)
        if cell != "layer-norm-lstm":
            torch.testing.assert_close(output, o * torch.tanh(c))

    def test_gru_in_both_directions_and_layers(self):
        layer = carousel.GRU(I, H, 2, bidirectional=True, batch_first=True)
        x = torch.randn(B, T, I)
        with layer.record("update", "candidate", "h") as v:
            output, _ = layer(x)
        assert {n: t.shape for n, t in v.items()} == dict.fromkeys(v, (4, B, T, H))
        z, n, h = v["update"], v["candidate"], v["h"]
        assert torch.equal(torch.cat([h[2], h[3]], -1), output)
        before = torch.cat([torch.zeros_like(h[:, :, :1]), h[:, :, :-1]], 2)
        after = torch.cat([h[:, :, 1:], torch.zeros_like(h[:, :, :1])], 2)
        previous = torch.stack([before[0], after[1], before[2], after[3]])
        torch.testing.assert_close(h, (1 - z) * n + z * previous)

    def test_gradients_flow_through_read_outs(self):
        layer, _ = pair("lstm")
        x = example().requires_grad_()

        def gates(x):
            with layer.record("forget", "c") as v:
                layer(x)
            return v["forget"], v["c"]

        assert torch.autograd.gradcheck(gates, x)

    def test_packed_and_ragged(self):
        layer = carousel.LSTM(I, H)
        sequences = [torch.randn(n, I) for n in (3, 5)]
        packed = pack_sequence(sequences, enforce_sorted=False)
        with layer.record("c") as v:
            layer(packed)
        rows = v["c"][0]
        padded = nn.utils.rnn.pad_sequence(sequences)
        with layer.record("c") as v:
            layer(padded, lengths=[3, 5])
        expected, _ = nn.utils.rnn.pad_packed_sequence(nn.utils.rnn.PackedSequence(rows, *packed[1:]))
        torch.testing.assert_close(v["c"][0], expected)

    def test_says_what_there_is(self):
        with pytest.raises(
            ValueError, match="GRU: there is nothing called 'forget' to record in GRU; there is h, n, r, z"
        ):
            carousel.GRU(I, H).record("forget")


REFUSED = {
    "zoneout of h must be a probability, from 0 to 1, but 2 was given": {"zoneout": 2},
    "recurrent_dropout must be a probability": {"recurrent_dropout": -0.1},
    "weight_drop must be a probability, from 0 to 1, but True was given": {"weight_drop": True},
    "zoneout is for the states h of GRU; it has no state 'c'": {"zoneout": {"c": 0.1}},
}


@pytest.mark.parametrize(("match", "options"), REFUSED.items(), ids=range(len(REFUSED)))
def test_refused_options(match, options):
    with pytest.raises(ValueError, match=match):
        carousel.GRU(I, H, **options)


def test_refused_modifications():
    layer = carousel.GRU(I, H)
    with pytest.raises(ValueError, match="keep and add are for the states h; there is no state 'c'"):
        layer(torch.zeros(T, B, I), keep={"c": torch.ones(T, B)})
    with pytest.raises(
        ValueError, match=r"keep_h must have the shape \(6, 2\), \(6, 2, 1\) or \(6, 2, 4\), got \(2, 6\)"
    ):
        layer(torch.zeros(T, B, I), keep=torch.ones(B, T))


def test_options_are_printed():
    assert repr(carousel.GRU(I, H, zoneout=0.1, weight_drop=0.2)) == "GRU(3, 4, zoneout=0.1, weight_drop=0.2)"


def test_the_same_seed_gives_the_same_masks():
    layer = carousel.LSTM(I, H, 2, zoneout=0.2, recurrent_dropout=0.3, input_dropout=0.1, weight_drop=0.1)
    x = torch.randn(T, B, I)
    outputs = []
    for _ in range(2):
        torch.manual_seed(3)
        outputs.append(layer(x)[0])
    assert torch.equal(*outputs)
    assert not torch.equal(layer(x)[0], outputs[0])


class TestCheckpointing:
    """Law: running steps again when gradients are asked for changes no value and no gradient."""

    @pytest.mark.parametrize("cell", CELLS)
    @pytest.mark.parametrize("every", [1, 2, 4, 100])
    def test_checkpointed_is_plain(self, cell, every):
        results = []
        for checkpoint in (None, every):
            torch.manual_seed(2)
            layer = carousel.Recurrent(
                cell, I, H, 2, bidirectional=True, zoneout=0.2, checkpoint=checkpoint, dtype=torch.float64
            )
            sequences = [torch.randn(n, I, dtype=torch.float64, requires_grad=True) for n in (7, 2, 5)]
            output, last = layer(pack_sequence(sequences, enforce_sorted=False))
            values = [output.data, *as_tuple(last)]
            loss = sum((v * torch.linspace(-1, 1, v.numel(), dtype=v.dtype).view_as(v)).sum() for v in values)
            results.append(values + list(torch.autograd.grad(loss, [*sequences, *layer.parameters()])))
        for plain, checkpointed in zip(*results, strict=True):
            torch.testing.assert_close(plain, checkpointed)

    def test_keeps_fewer_values(self):
        """Counts the bytes that autograd holds on to between forward and backward."""
        held = {}
        for checkpoint in (None, 16):
            layer = carousel.LSTM(I, 32, checkpoint=checkpoint)
            x = torch.randn(256, 4, I)
            kept: dict[int, int] = {}

            def pack(t, kept=kept):
                kept[t.untyped_storage().data_ptr()] = t.untyped_storage().nbytes()
                return t

            with torch.autograd.graph.saved_tensors_hooks(pack, lambda t: t):
                layer(x)[0].sum()
            held[checkpoint] = sum(kept.values())
        assert held[16] < held[None] / 3

    @pytest.mark.parametrize("engine", ENGINES_HERE)
    @pytest.mark.parametrize("cell", CELLS)
    def test_an_engine_knows_what_it_keeps(self, engine, cell):
        """Against the bytes that autograd holds on to; the reference's is a rough count."""
        layer = carousel.Recurrent(cell, I, 32, engine=engine)
        steps, batch = 64, 4
        kept: dict[int, int] = {}

        def pack(t):
            kept[t.untyped_storage().data_ptr()] = t.untyped_storage().nbytes()
            return t

        with torch.autograd.graph.saved_tensors_hooks(pack, lambda t: t):
            _output = layer(torch.randn(steps, batch, I))
        parameters = sum(p.numel() * 4 for p in layer.parameters())
        held = sum(kept.values()) - parameters
        said = ENGINES[engine].kept(layer.program, layer.sizes, torch.float32) * steps * batch
        assert said / 2 < held < 2 * said
        if engine == "native":
            assert said <= held < 1.2 * said

    def test_auto_leaves_small_scans_alone(self):
        from carousel.engines.chunks import BUDGET, chunk_length

        assert chunk_length("auto", 10_000, lambda: BUDGET) is None
        assert chunk_length("auto", 10_000, lambda: BUDGET + 1) == 100
        with pytest.raises(ValueError, match="checkpoint must be None, 'auto' or a number of steps above 0, but got 0"):
            carousel.LSTM(I, H, checkpoint=0)


class TestInitialisation:
    def test_orthogonal(self):
        layer = carousel.LSTM(I, H, 2, bidirectional=True)
        layer.initialize("orthogonal")
        for suffix in layer.suffixes():
            for u in layer.get_parameter("weight_hh" + suffix).chunk(4):
                torch.testing.assert_close(u @ u.T, torch.eye(H))

    def test_identity_copies_the_state(self):
        layer = carousel.RNN(I, H, nonlinearity="relu")
        layer.initialize("identity")
        h = torch.rand(1, B, H)
        assert torch.equal(layer(torch.zeros(T, B, I), h)[1], h)

    @pytest.mark.parametrize("options", [{}, {"coupled": True}, {"layer_norm": True}], ids=str)
    def test_forget_bias(self, options):
        layer = carousel.LSTM(I, H, 2, **options)
        layer.initialize("forget-bias")
        place = layer.program.gates.index("f")
        names = ["shift"] if options.get("layer_norm") else ["bias_ih", "bias_hh"]
        for k in range(2):
            total = sum(layer.get_parameter(f"{n}_l{k}").chunk(len(layer.program.gates))[place] for n in names)
            assert torch.equal(total, torch.ones(H))  # type: ignore[arg-type]

    def test_chrono_spans_the_time_constants(self):
        layer = carousel.LSTM(I, 512)
        layer.initialize("chrono", longest=100)
        i, f, _, _ = (layer.bias_ih_l0 + layer.bias_hh_l0).chunk(4)
        assert torch.equal(i, -f)
        constants = f.detach().exp()
        assert constants.min() >= 1
        assert constants.max() <= 99
        assert 40 < constants.mean() < 60
        gru = carousel.GRU(I, H)
        gru.initialize("chrono", longest=10)
        assert gru.bias_ih_l0.chunk(3)[1].min() >= 0

    @pytest.mark.parametrize(
        ("name", "match"),
        [
            ("xavier", "there is no initialisation 'xavier'; there is orthogonal"),
            ("forget-bias", r"forget-bias is for cells with a gate that keeps a state, as f in .*, and RNN has none"),
            ("chrono", "chrono needs longest="),
        ],
    )
    def test_refusals(self, name, match):
        with pytest.raises(ValueError, match=match):
            carousel.RNN(I, H).initialize(name)
        with pytest.raises(ValueError, match="has no bias for its gate f"):
            carousel.LSTM(I, H, bias=False).initialize("forget-bias")


def test_a_recording_names_what_it_reads():
    layer = carousel.LSTM(2, 3)
    with pytest.raises(ValueError, match="LSTM: name what to record; in LSTM there is c, f, g, h, i, o"):
        layer.record()
    with layer.record("c") as values:
        with pytest.raises(KeyError, match="'c' was not recorded: call the layer inside the `with` first"):
            values["c"]
        layer(torch.zeros(1, 1, 2))
    with pytest.raises(KeyError, match="'forget' was not recorded: there is c"):
        values["forget"]


def test_a_step_in_plain_python_may_write_into_its_states():
    """Neither the caller's state nor the outputs of the steps before are changed."""

    class Pure(carousel.Cell):
        states = "h"
        gates = ("z", "n")

        def step(self, h, z, n):
            return torch.cumsum(h * torch.sigmoid(z) + torch.tanh(n), -1) / h.shape[-1]

    class InPlace(Pure):
        def step(self, h, z, n):
            return h.mul_(torch.sigmoid(z)).add_(torch.tanh(n)).cumsum_(-1).div_(h.shape[-1])

    torch.manual_seed(0)
    pure, in_place = (carousel.Recurrent(cell(), 2, 3, engine="reference") for cell in (Pure, InPlace))
    in_place.load_state_dict(pure.state_dict())
    x, start = torch.randn(5, 2, 2), torch.randn(1, 2, 3)
    given = start.clone()
    for mode in (torch.enable_grad, torch.no_grad):
        with mode():
            torch.testing.assert_close(in_place(x, given), pure(x, start))
        assert torch.equal(given, start)
    losses = [layer(x, start)[0].square().sum() for layer in (pure, in_place)]
    found = [
        torch.autograd.grad(loss, layer.weight_hh_l0)  # type: ignore[arg-type]
        for loss, layer in zip(losses, (pure, in_place), strict=True)
    ]
    torch.testing.assert_close(*found)


def test_recordings_may_be_nested():
    layer = carousel.LSTM(I, H)
    with layer.record("c") as outer:
        with layer.record("c") as inner:
            layer(torch.randn(T, B, I))
        assert torch.equal(outer["c"], inner["c"])
        first = outer["c"]
        layer(torch.randn(T, B, I))
    assert not torch.equal(outer["c"], first)
    assert torch.equal(inner["c"], first)
    assert not layer._recordings


def test_options_may_be_changed_between_calls():
    layer = carousel.GRU(I, H)
    x = torch.randn(T, B, I)
    plain = layer(x)[0]
    layer.recurrent_dropout = 0.5
    assert not torch.equal(layer(x)[0], plain)
    layer.recurrent_dropout = 0.0
    assert torch.equal(layer(x)[0], plain)
    layer.zoneout = 2
    with pytest.raises(ValueError, match="zoneout of h must be a probability"):
        layer(x)


def test_nothing_to_run_gives_zero_gradients():
    layer = carousel.LSTM(I, H, 2)
    layer(torch.randn(T, B, I), lengths=[0, 0])[0].sum().backward()
    assert all(p.grad is not None and not p.grad.any() for p in layer.parameters())


@pytest.mark.parametrize("engine", ["auto", "reference"])
def test_autocast_keeps_states_in_float32(engine):
    model = nn.ModuleList([nn.Linear(I, I), carousel.LSTM(I, H, engine=engine)])
    with torch.autocast("cpu", dtype=torch.bfloat16):
        x = model[0](torch.randn(T, B, I))
        assert x.dtype == torch.bfloat16
        output, (h, c) = model[1](x)
    assert output.dtype == h.dtype == c.dtype == torch.float32
    output.sum().backward()


def test_says_what_keep_must_be():
    layer = carousel.GRU(I, H)
    with pytest.raises(ValueError, match="keep_h must be a Tensor of torch.float32, got float"):
        layer(torch.zeros(T, B, I), keep=0.5)
    with pytest.raises(ValueError, match="keep_h must be a Tensor of torch.float32, got torch.float64"):
        layer(torch.zeros(T, B, I), keep=torch.zeros(T, B, dtype=torch.float64))
    with pytest.raises(TypeError, match="LSTM: hx must hold Tensors, got int"):
        carousel.LSTM(I, H)(torch.zeros(T, B, I), (1, 2))


@pytest.mark.parametrize("face", [carousel.RNN, carousel.LSTM, carousel.GRU])
def test_a_face_names_itself_and_the_nearest_option(face):
    with pytest.raises(
        TypeError, match=rf"^{face.__name__}\(\) got an unexpected keyword argument 'zone_out'. Did you mean "
    ):
        face(I, H, zone_out=0.1)
    with pytest.raises(TypeError, match=rf"^{face.__name__}\(\) got an unexpected keyword argument 'x'$"):
        face(I, H, x=1)
    with pytest.raises(TypeError, match="Did you mean 'num_layers'"):
        face(I, H, num_layer=1)


def test_faces_take_the_options_of_recurrent():
    parameters = inspect.signature(carousel.Recurrent).parameters.values()
    options = {p.name: p.annotation for p in parameters if p.kind is p.KEYWORD_ONLY}
    del options["units"]  # the sizes of a cell's own, which those of torch.nn do not have
    assert {name: a.__forward_arg__ for name, a in faces.Options.__annotations__.items()} == options
