"""Models of torch.nn's recurrent modules become Carousel's, in place and with the same parameters; and back."""

from __future__ import annotations

import pytest
import torch
from matrix import assert_close
from torch import nn
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence

import carousel

T, B = 7, 3


class LanguageModel(nn.Module):
    """An embedding, two LSTM layers and a head that shares its weights with the embedding."""

    def __init__(self):
        super().__init__()
        self.embedding = nn.Embedding(11, 8)
        self.rnn = nn.LSTM(8, 8, 2, dropout=0.3)
        self.head = nn.Linear(8, 11)
        self.head.weight = self.embedding.weight

    def forward(self, tokens):
        output, (h, c) = self.rnn(self.embedding(tokens))
        return self.head(output), h, c


class Tagger(nn.Module):
    """A bidirectional GRU over packed sequences."""

    def __init__(self):
        super().__init__()
        self.rnn = nn.GRU(5, 6, bidirectional=True, batch_first=True)

    def forward(self, x):
        packed = pack_padded_sequence(x, torch.tensor([7, 2, 4]), batch_first=True, enforce_sorted=False)
        output, h = self.rnn(packed)
        return pad_packed_sequence(output, batch_first=True)[0], h


class Translator(nn.Module):
    """Encoder and decoder; the decoder is a cell in a loop."""

    def __init__(self):
        super().__init__()
        self.parts = nn.ModuleDict({"encoder": nn.RNN(5, 6, nonlinearity="relu"), "decoder": nn.GRUCell(5, 6)})

    def forward(self, x):
        _, h = self.parts["encoder"](x)
        h, found = h[0], []
        for row in x:
            h = self.parts["decoder"](row, h)
            found.append(h)
        return torch.stack(found)


class Player(nn.Module):
    """One step at a time, as in reinforcement learning, from a state that is kept."""

    def __init__(self):
        super().__init__()
        self.core = nn.LSTMCell(5, 6)
        self.value = nn.Linear(6, 1)

    def forward(self, x):
        h = c = x.new_zeros(x.shape[1], 6)
        found = []
        for row in x:
            h, c = self.core(row, (h, c))
            found.append(self.value(h))
        return torch.stack(found)


class Forecaster(nn.Module):
    """Two recurrent layers in a Sequential of its own, with a projection, and one shared module."""

    def __init__(self):
        super().__init__()
        self.first = nn.LSTM(5, 6, proj_size=5)
        self.second = self.first

    def forward(self, x):
        return self.second(self.first(x)[0])[0]


MODELS = {
    "language model": (LanguageModel, lambda: torch.randint(11, (T, B)), {"rnn"}),
    "tagger": (Tagger, lambda: torch.randn(B, T, 5), {"rnn"}),
    "translator": (Translator, lambda: torch.randn(T, B, 5), {"parts.encoder", "parts.decoder"}),
    "player": (Player, lambda: torch.randn(T, B, 5), {"core"}),
    "forecaster": (Forecaster, lambda: torch.randn(T, B, 5), {"first", "second"}),
}


def outputs(model, x):
    found = model(x)
    return found if isinstance(found, tuple) else (found,)


@pytest.mark.filterwarnings("ignore:LSTM with projections is not supported with oneDNN")
@pytest.mark.parametrize(("model", "make", "names"), MODELS.values(), ids=MODELS)
def test_a_model_computes_the_same_and_keeps_its_parameters(model, make, names):
    model, x = model().eval(), make()
    before, parameters = outputs(model, x), dict(model.named_parameters())
    done = carousel.from_torch(model)
    assert done.module is model
    assert set(done.replaced) == names
    assert not done.kept
    for there, here in zip(outputs(model, x), before, strict=True):
        assert_close(there, here, terms=500)
    after = dict(model.named_parameters())
    assert after.keys() == parameters.keys()
    assert all(after[n] is p for n, p in parameters.items())
    assert not any(isinstance(m, nn.LSTM | nn.GRU | nn.RNN | nn.LSTMCell | nn.GRUCell) for m in model.modules())
    # And back again.
    assert set(carousel.to_torch(model).replaced) == names
    assert all(dict(model.named_parameters())[n] is p for n, p in parameters.items())
    assert not any(isinstance(m, carousel.Recurrent | carousel.RecurrentCell) for m in model.modules())
    for there, here in zip(outputs(model, x), before, strict=True):
        assert_close(there, here, terms=500)


def test_an_optimizer_goes_on_with_the_parameters_that_it_has():
    model = LanguageModel()
    optimizer = torch.optim.Adam(model.parameters())
    carousel.from_torch(model)
    before = model.rnn.weight_hh_l1.clone()
    model(torch.randint(11, (T, B)))[0].sum().backward()
    optimizer.step()
    assert not torch.equal(before, model.rnn.weight_hh_l1)  # type: ignore[arg-type]
    assert model.rnn.training
    assert model.rnn.dropout == 0.3


def test_one_module_in_two_places_stays_one():
    model = Forecaster()
    carousel.from_torch(model)
    assert model.first is model.second
    assert type(model.first) is carousel.LSTM
    assert model.first.proj_size == 5


def test_the_module_itself_and_its_settings():
    old = nn.RNN(3, 4, 2, nonlinearity="relu", bias=False, batch_first=True, dtype=torch.float64).requires_grad_(False)
    done = carousel.from_torch(old)
    new = done.module
    assert type(new) is carousel.RNN
    assert new.batch_first
    assert not new.bias
    assert new.cell.nonlinearity == "relu"
    assert new.weight_ih_l0.dtype == torch.float64
    assert not new.weight_ih_l0.requires_grad
    assert str(done) == "replaced the module itself: torch's RNN by carousel.RNN"
    assert str(carousel.from_torch(nn.Linear(2, 2))) == "nothing recurrent was found"


class Own(nn.LSTM):
    def forward(self, x):  # type: ignore[override]
        return super().forward(x.flip(0))


def test_what_may_compute_something_else_is_kept_and_the_reason_said():
    model = nn.ModuleDict({"own": Own(2, 3), "hooked": nn.GRU(2, 3), "normed": nn.GRU(2, 3), "plain": nn.GRU(2, 3)})
    model["hooked"].register_forward_hook(lambda *_: None)
    model["normed"] = nn.utils.parametrizations.weight_norm(model["normed"], "weight_hh_l0")
    done = carousel.from_torch(model)
    assert set(done.replaced) == {"plain"}
    assert done.kept["own"] == "Own is a class of its own, which may compute something else"
    assert done.kept["hooked"].startswith("it has hooks (forward_hooks)")
    assert done.kept["normed"].startswith("a parametrization makes its parameters")
    assert "kept hooked: it has hooks" in str(done)


@pytest.mark.parametrize(
    ("layer", "words"),
    [
        (lambda: carousel.LSTM(2, 3, peepholes="all"), "torch.nn has no LSTM"),
        (lambda: carousel.GRU(2, 3, reset="before"), "torch.nn has no GRU"),
        (lambda: carousel.GRU(2, 3, zoneout=0.1), "torch.nn has no zoneout"),
        (lambda: carousel.GRU(2, 3, initial_state="learned"), "no learned initial states"),
        (lambda: carousel.GRU(2, 3, layer_norm=True), "torch.nn has no"),
        (lambda: carousel.Recurrent("gru", 2, 3), "build it as carousel.GRU"),
    ],
)
def test_what_torch_does_not_have_stays(layer, words):
    done = carousel.to_torch(nn.Sequential(layer()))
    assert not done.replaced
    assert words in done.kept["0"]
