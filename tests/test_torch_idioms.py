"""What public projects do with torch.nn's recurrent layers, done with Carousel's: the idioms, in a few lines each.

Each runs with both libraries from the same weights and must give the same. To add one, add a test over PAIRS or FACES.
"""

from __future__ import annotations

import io
import warnings
from abc import ABC

import numpy as np
import pytest
import torch
from matrix import FIRST
from torch import nn
from torch.nn import functional as F
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence

import carousel

T, B, I, H = 6, 3, 4, 5
FACES = pytest.mark.parametrize("kind", ["RNN", "LSTM", "GRU"])
CELLS = pytest.mark.parametrize("kind", ["RNNCell", "LSTMCell", "GRUCell"])


def both(kind, *args, **options):
    """The same module of both libraries, from one seed; torch.nn's last."""
    made = []
    for library in (carousel, nn):
        torch.manual_seed(0)
        made.append(getattr(library, kind)(*args, **options))
    return made


def close(ours, theirs):
    torch.testing.assert_close(ours, theirs, rtol=2e-6, atol=2e-6)


def first(hx):
    return hx[0] if isinstance(hx, tuple) else hx


# --- weights by name: a weight-dropped language model, a scan of one's own, initialisation loops


class WeightDrop(nn.Module):
    """As in AWD-LSTM: U is kept aside, and before each call a plain tensor, dropped, stands in its place."""

    def __init__(self, module, names, p):
        super().__init__()
        self.module, self.names, self.p = module, names, p
        if issubclass(type(module), nn.RNNBase):
            module.flatten_parameters = lambda *_: None
        for name in names:
            weight = getattr(module, name)
            del module._parameters[name]
            module.register_parameter(f"{name}_raw", nn.Parameter(weight.data))

    def forward(self, *args):
        for name in self.names:
            raw = getattr(self.module, f"{name}_raw")
            setattr(self.module, name, F.dropout(raw, p=self.p, training=self.training))
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # torch.nn's says that its weights are no one chunk of memory
            return self.module.forward(*args)


@FACES
def test_weight_drop(kind):
    found = []
    for layer in both(kind, I, H, 2):
        dropped = WeightDrop(layer, ["weight_hh_l0", "weight_hh_l1"], 0.5)
        torch.manual_seed(1)
        output, _ = dropped(torch.ones(T, B, I))
        output.square().sum().backward()
        found.append([output, *(layer.get_parameter(f"weight_hh_l{k}_raw").grad for k in (0, 1))])
    for ours, theirs in zip(*found, strict=True):
        close(ours, theirs)


@FACES
def test_a_list_of_weights_may_be_refreshed(kind):
    """`_flat_weights`, set after a parameter was changed; another list would not be used, and is refused."""
    layer, theirs = both(kind, I, H)
    assert layer._flat_weights_names == theirs._flat_weights_names
    layer.weight_hh_l0 = nn.Parameter(torch.zeros_like(layer.weight_hh_l0))
    layer._flat_weights = [getattr(layer, name) for name in layer._flat_weights_names]
    assert layer._flat_weights[1] is layer.weight_hh_l0
    with pytest.raises(ValueError, match="_flat_weights is made of the parameters at every call.*weight_ih_l0"):
        layer._flat_weights = [weight.clone() for weight in layer._flat_weights]


def test_a_scan_of_ones_own_reads_the_weights_by_name():
    """As backends that replace the layer's loop do: `_all_weights` of each layer, in pairs of matrices and biases."""
    layer, theirs = both("LSTM", I, H, 2, batch_first=True)
    assert layer._all_weights == theirs._all_weights
    x = torch.randn(B, T, I)
    rows = x
    for names in layer._all_weights:
        w_ih, w_hh, b_ih, b_hh = (getattr(layer, name) for name in names)
        h = c = torch.zeros(B, H)
        outputs = []
        for step in rows.unbind(1):
            i, f, g, o = (F.linear(step, w_ih, b_ih) + F.linear(h, w_hh, b_hh)).chunk(4, -1)
            c = torch.sigmoid(f) * c + torch.sigmoid(i) * torch.tanh(g)
            h = torch.sigmoid(o) * torch.tanh(c)
            outputs.append(h)
        rows = torch.stack(outputs, 1)
    close(layer(x)[0], rows)


@FACES
def test_loops_over_modules_that_draw_weights_anew(kind):
    for layer in both(kind, I, H, 2, bidirectional=True):
        model = nn.Sequential(nn.Linear(2, I), layer)
        for module in model.modules():
            if isinstance(module, nn.RNNBase):
                for names in module._all_weights:
                    for name in names:
                        if "bias" in name:
                            bias = getattr(module, name)
                            bias.data.fill_(0.0)
                            bias.data[len(bias) // 4 : len(bias) // 2].fill_(1.0)
                        elif "weight_hh" in name:
                            nn.init.orthogonal_(getattr(module, name))
        bias = layer.bias_hh_l1_reverse.detach()
        assert bias.sum() == len(bias) // 2 - len(bias) // 4
        square = layer.weight_hh_l0.t() @ layer.weight_hh_l0
        torch.testing.assert_close(square, torch.eye(H), rtol=0, atol=1e-5)


# --- torch.nn.RNNBase and its helpers


@FACES
def test_a_mixin_of_rnn_base_goes_before_the_layer(kind):
    """As forecasting libraries write them: one abstract base that packs, for both kinds of layer."""
    found = []
    for library in (carousel, nn):

        class Base(ABC, nn.RNNBase):
            def forward(self, x, hx=None, lengths=None):
                if lengths is None:
                    return super().forward(x, hx=hx)
                packed = pack_padded_sequence(x, lengths, batch_first=self.batch_first, enforce_sorted=False)
                output, hidden = super().forward(packed, hx=hx)
                return pad_packed_sequence(output, batch_first=self.batch_first)[0], hidden

        mine = type("Mine", (Base, getattr(library, kind)), {})
        torch.manual_seed(0)
        layer = mine(input_size=I, hidden_size=H, batch_first=True)
        assert isinstance(layer, nn.RNNBase)
        torch.manual_seed(1)
        x = torch.randn(B, T, I)
        found.append([layer(x)[0], layer(x, lengths=torch.tensor([2, T, 3]))[0], layer.mode])
    assert found[0][2] == found[1][2]
    close(found[0][0], found[1][0])
    close(found[0][1], found[1][1])


@FACES
@pytest.mark.parametrize("options", [{}, {"batch_first": True}, {"num_layers": 2, "bidirectional": True}], ids=repr)
def test_the_helpers_of_rnn_base(kind, options):
    """Private names that scripts and subclasses call: the same answers and the same refusals."""
    layer, theirs = both(kind, I, H, **options)
    assert not set(dir(theirs)) - set(dir(layer)) - {"__annotations__"}
    assert layer.mode == theirs.mode
    x, sizes = torch.randn(T, B, I), torch.tensor([3, 2])
    for arguments in ((x, None), (x[0], sizes)):
        wanted = theirs.get_expected_hidden_size(*arguments)
        assert layer.get_expected_hidden_size(*arguments) == wanted
        layer.check_input(*arguments)
        h = torch.randn(wanted)
        order = torch.randperm(wanted[1])
        hx = (h, h + 1) if kind == "LSTM" else h
        layer.check_forward_args(arguments[0], hx, arguments[1])
        assert layer.permute_hidden(hx, None) is hx
        ours, their = first(layer.permute_hidden(hx, order)), first(theirs.permute_hidden(hx, order))
        assert torch.equal(ours, their)
        wrong = torch.zeros(1, 7, H)
        for refusing in ("check_hidden_size", "check_forward_args"):
            hx = (h, wrong) if kind == "LSTM" else wrong
            given = (wrong, wanted) if refusing == "check_hidden_size" else (arguments[0], hx, arguments[1])
            with pytest.raises(RuntimeError) as expected:
                getattr(theirs, refusing)(*given)
            with pytest.raises(RuntimeError) as found:
                getattr(layer, refusing)(*given)
            assert str(found.value) == str(expected.value)
    if kind == "LSTM":
        assert layer.get_expected_cell_size(x, None) == theirs.get_expected_cell_size(x, None)


@pytest.mark.parametrize("cell", FIRST)
def test_every_layer_is_an_rnn_base(cell):
    layer = carousel.Recurrent(cell, I, H, proj_size=2 if "proj" in cell else 0)
    assert isinstance(layer, nn.RNNBase)
    assert not isinstance(layer, nn.RNN | nn.LSTM | nn.GRU)  # see the next test
    assert [len(names) for names in layer._all_weights] == [len(weights) for weights in layer.all_weights]
    layer.double().to("cpu").half().float()  # nothing of nn.RNNBase's own list comes in between
    assert all(a is b for a, b in zip(layer._flat_weights, layer.parameters(), strict=True))


@pytest.mark.filterwarnings("ignore:torch.ao.quantization is deprecated", "ignore:.*TypedStorage")
@pytest.mark.parametrize("options", [{"peepholes": "all"}, {"layer_norm": True}, {"coupled": True}, {}], ids=repr)
def test_tools_that_swap_layers_drop_no_option(options):
    """They leave the layer as it is: they look for torch.nn's own classes. A subclass of nn.LSTM they would replace."""
    layer = carousel.LSTM(I, H, **options)
    model = nn.Sequential(layer).eval()
    x = torch.randn(T, B, I)
    wanted = model(x)[0]
    swapped = torch.ao.quantization.quantize_dynamic(model, {nn.LSTM, nn.GRU, nn.RNNBase, nn.Linear})
    assert type(swapped[0]) is carousel.LSTM
    assert torch.equal(swapped(x)[0], wanted)


def test_every_cell_is_an_rnn_cell_base():
    for kind in ("RNNCell", "LSTMCell", "GRUCell"):
        cell = getattr(carousel, kind)(I, H)
        assert isinstance(cell, nn.RNNCellBase)
        assert not isinstance(cell, getattr(nn, kind))


# --- cells whose arguments are no plain numbers


SIZES = {
    "bias is 1": (I, H, 1),
    "bias is 0": (I, H, 0),
    "NumPy's bias": (I, H, np.bool_(True)),
    "NumPy's sizes": (np.int64(I), np.int32(H)),
    "a product of a shape": (torch.prod(torch.tensor([2, I // 2])), torch.tensor(H)),
}


@CELLS
@pytest.mark.parametrize("arguments", SIZES.values(), ids=SIZES.keys())
def test_cells_take_sizes_of_any_integer(kind, arguments):
    ours, theirs = both(kind, *arguments)
    assert list(ours.state_dict()) == list(theirs.state_dict())
    x = torch.randn(B, I)
    close(first(ours(x)), first(theirs(x)))
    assert type(ours.hidden_size) is int


@CELLS
@pytest.mark.parametrize("size", [2.5, "4", None, torch.ones(2)], ids=repr)
def test_cells_refuse_what_is_no_size(kind, size):
    with pytest.raises(TypeError, match="hidden_size should be of type int, got: "):
        getattr(carousel, kind)(I, size)


@FACES
@pytest.mark.parametrize("two", [np.int64(2), torch.tensor(2)], ids=["NumPy", "tensor"])
def test_a_number_of_layers_is_any_integer(kind, two):
    """torch.nn's take them too, but only the constructor does."""
    ours = both(kind, I, H, two, bidirectional=np.bool_(True))[0]
    theirs = both(kind, I, H, 2, bidirectional=True)[1]
    x = torch.randn(T, B, I)
    close(ours(x)[0], theirs(x)[0])


def test_a_decoder_of_cells_with_attention():
    """As in Tacotron 2: two LSTM cells a step, a location-free attention between them, bias given by place as 1."""
    found = []
    for library in (carousel, nn):
        torch.manual_seed(0)
        attending, decoding = library.LSTMCell(2 + 8, 6, 1), library.LSTMCell(6 + 8, 7, 1)
        query = nn.Linear(6, 8, bias=False)
        memory = torch.randn(B, T, 8)
        states = [torch.zeros(B, n) for n in (6, 6, 7, 7)]
        context, outputs = torch.zeros(B, 8), []
        for step in torch.randn(4, B, 2):
            states[:2] = attending(torch.cat((step, context), -1), (states[0], states[1]))
            weights = torch.softmax((memory @ query(states[0]).unsqueeze(-1)).squeeze(-1), -1)
            context = torch.bmm(weights.unsqueeze(1), memory).squeeze(1)
            states[2:] = decoding(torch.cat((states[0], context), -1), (states[2], states[3]))
            outputs.append(states[2])
        loss = torch.stack(outputs).square().sum()
        found.append([loss, *torch.autograd.grad(loss, [*attending.parameters(), *decoding.parameters()])])
    for ours, theirs in zip(*found, strict=True):
        close(ours, theirs)


# --- a language model over windows of a stream


@pytest.mark.parametrize("kind", ["LSTM", "GRU", "RNN"])
def test_a_language_model_that_carries_its_state(kind):
    def repackage(hidden):
        if isinstance(hidden, torch.Tensor):
            return hidden.detach()
        return tuple(repackage(part) for part in hidden)

    class Model(nn.Module):
        def __init__(self, library):
            super().__init__()
            self.encoder, self.decoder = nn.Embedding(9, I), nn.Linear(H, 9)
            self.rnn = getattr(library, kind)(I, H, 2, dropout=0.0)

        def begin(self, batch):
            weight = next(self.parameters())
            h = weight.new_zeros(self.rnn.num_layers, batch, self.rnn.hidden_size)
            return (h, h.clone()) if kind == "LSTM" else h

        def forward(self, tokens, hidden):
            output, hidden = self.rnn(self.encoder(tokens), hidden)
            return F.log_softmax(self.decoder(output), -1), hidden

    tokens, losses = torch.randint(9, (4 * T + 1, B)), []
    for library in (carousel, nn):
        torch.manual_seed(0)
        model, losses_here = Model(library), []
        hidden = model.begin(B)
        for begin in range(0, len(tokens) - 1, T):
            hidden = repackage(hidden)
            model.zero_grad()
            scores, hidden = model(tokens[begin : begin + T], hidden)
            loss = F.nll_loss(scores.flatten(0, 1), tokens[begin + 1 : begin + T + 1].flatten())
            loss.backward()
            torch.nn.utils.clip_grad_norm_(model.parameters(), 0.25)
            for p in model.parameters():
                p.data.add_(p.grad, alpha=-5.0)  # type: ignore[arg-type]
            losses_here.append(loss.detach())
        file = io.BytesIO()
        torch.save(model.state_dict(), file)
        file.seek(0)
        model.load_state_dict(torch.load(file, weights_only=True))
        model.rnn.flatten_parameters()
        losses.append(torch.stack(losses_here))
    torch.testing.assert_close(*losses, rtol=0, atol=1e-4)
