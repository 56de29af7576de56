"""From torch.nn's recurrent modules to Carousel's and back: the same parameters, not copies of them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from torch import nn

from carousel.cells import Cell
from carousel.cells.gru import GRU as GRUEquations
from carousel.cells.lstm import LSTM as LSTMEquations
from carousel.cells.rnn import RNN as RNNEquations
from carousel.layers import GRU, LSTM, RNN, GRUCell, LSTMCell, Recurrent, RecurrentCell, RNNCell

# torch.nn's classes and ours, and the arguments that each constructor takes.
LAYER = ("input_size", "hidden_size", "num_layers", "bias", "batch_first", "dropout", "bidirectional")
CELL = ("input_size", "hidden_size", "bias")
PAIRS: list[tuple[type[nn.Module], type[nn.Module], tuple[str, ...]]] = [
    (nn.RNN, RNN, (*LAYER, "nonlinearity")),
    (nn.LSTM, LSTM, (*LAYER, "proj_size")),
    (nn.GRU, GRU, LAYER),
    (nn.RNNCell, RNNCell, (*CELL, "nonlinearity")),
    (nn.LSTMCell, LSTMCell, CELL),
    (nn.GRUCell, GRUCell, CELL),
]

HOOKS = (
    "_forward_hooks",
    "_forward_pre_hooks",
    "_backward_hooks",
    "_backward_pre_hooks",
    "_state_dict_hooks",
    "_state_dict_pre_hooks",
    "_load_state_dict_pre_hooks",
    "_load_state_dict_post_hooks",
)


@dataclass
class Conversion:
    """What a conversion did.

    module: the model; another object than the one that was given only where that itself was replaced.
    replaced: the names of the modules that were replaced, and by what. kept: of those that were not, and why.
    """

    module: nn.Module
    replaced: dict[str, str] = field(default_factory=dict)
    kept: dict[str, str] = field(default_factory=dict)

    def __str__(self) -> str:
        lines = [f"replaced {name or 'the module itself'}: {by}" for name, by in self.replaced.items()]
        lines += [f"kept {name or 'the module itself'}: {why}" for name, why in self.kept.items()]
        return "\n".join(lines) or "nothing recurrent was found"


def from_torch(module: nn.Module) -> Conversion:
    """Replaces every nn.RNN, nn.LSTM, nn.GRU and their cells in a model by Carousel's, in place.

        print(carousel.from_torch(model))

    The new modules hold the very Parameters of the old ones, so that optimizers, tied weights, devices, dtypes and
    `requires_grad` stay as they are, and compute the same function. A module that stands in several places is replaced
    once, by one. Kept, with the reason: subclasses, modules with hooks of their own, and those whose parameters are
    made by a parametrization or a hook (weight_norm, spectral_norm).

    module: any nn.Module; where it is itself one of these, `Conversion.module` is the new one.
    """
    return _convert(module, {old: (new, names) for old, new, names in PAIRS}, _why_not_ours)


def to_torch(module: nn.Module) -> Conversion:
    """The way back: every Carousel layer that torch.nn has becomes torch.nn's, in place, with the same Parameters.

    module: a model, or a layer itself. The `Conversion` that is returned says what was replaced and what was kept.
    Kept, with the reason: cells and options that torch.nn does not have (peepholes, coupled gates, layer norm, reset
    before the product, zoneout, learned initial states and the like).
    """
    table: dict[type[nn.Module], tuple[type[nn.Module], tuple[str, ...]]] = {
        new: (old, names) for old, new, names in PAIRS
    }
    return _convert(module, table, _why_not_torchs)


Table = Mapping[type[nn.Module], tuple[type[nn.Module], tuple[str, ...]]]


def _convert(module: nn.Module, table: Table, why_not: Callable[[nn.Module], str | None]) -> Conversion:
    done = Conversion(module)
    made: dict[int, nn.Module] = {}
    for name, old in list(module.named_modules(remove_duplicate=False)):
        if not isinstance(old, nn.RNNBase | nn.RNNCellBase) or _inside_another(name, done):
            continue
        if (because := why_not(old)) is not None:
            done.kept[name] = because
            continue
        if type(old) not in table:
            continue
        if id(old) not in made:
            made[id(old)] = _made_anew(old, *table[type(old)])
        done.replaced[name] = f"{type(old).__module__.split('.')[0]}'s {type(old).__name__} by {_title(made[id(old)])}"
        if not name:
            done.module = made[id(old)]
        else:
            parent, _, attribute = name.rpartition(".")
            setattr(module.get_submodule(parent), attribute, made[id(old)])
    return done


def _inside_another(name: str, done: Conversion) -> bool:
    """A module in one that was replaced, or in a cell of Carousel's own, is part of that one."""
    return any(name.startswith(f"{outer}.") for outer in done.replaced if outer)


def _title(module: nn.Module) -> str:
    return f"{type(module).__module__.split('.')[0]}.{type(module).__name__}"


def _made_anew(old: nn.Module, kind: type[nn.Module], names: tuple[str, ...]) -> nn.Module:
    arguments: dict[str, Any] = {name: _argument(old, name) for name in names}
    if arguments.get("proj_size") == 0:
        del arguments["proj_size"]
    new = kind(**arguments, device="meta")
    for name, parameter in old._parameters.items():
        new._parameters[name] = parameter
    if isinstance(new, nn.RNNBase) and not isinstance(new, Recurrent):
        new._init_flat_weights()  # torch.nn's layers hold their weights a second time
    return new.train(old.training)


def _argument(module: nn.Module, name: str) -> Any:
    if name == "nonlinearity" and isinstance(module, Recurrent | RecurrentCell):
        return getattr(module.cell, "nonlinearity", "tanh")
    return getattr(module, name)


def _why_not_ours(module: nn.Module) -> str | None:
    """Why a module of torch.nn stays; None where it is replaced, or is no module of torch.nn's."""
    if isinstance(module, Recurrent | RecurrentCell):
        return None
    kinds = [old for old, _, _ in PAIRS]
    if type(module) not in kinds:
        if hasattr(module, "parametrizations"):
            return "a parametrization makes its parameters; remove it first (torch.nn.utils.parametrize)"
        return f"{type(module).__name__} is a class of its own, which may compute something else"
    return _why_tied_to_itself(module)


def _why_tied_to_itself(module: nn.Module) -> str | None:
    if hooks := [name.strip("_") for name in HOOKS if getattr(module, name, None)]:
        return f"it has hooks ({', '.join(hooks)}), which belong to this object; remove them, convert, add them again"
    expected = list(getattr(module, "_flat_weights_names", module._parameters))
    if missing := [name for name in expected if name not in module._parameters]:
        return f"{missing[0]} is not a parameter (weight_norm or the like makes it); remove that first"
    return None


def _why_not_torchs(module: nn.Module) -> str | None:
    if not isinstance(module, Recurrent | RecurrentCell):
        return None
    cell = module.cell
    if not _is_torchs(cell):
        return f"torch.nn has no {cell!r}"
    if type(module) in (Recurrent, RecurrentCell):
        return f"it was built as carousel.{type(module).__name__}; build it as carousel.{_face_of(cell)}"
    if type(module) not in [new for _, new, _ in PAIRS]:
        return f"{type(module).__name__} is a class of its own, which may compute something else"
    for option in ("zoneout", "recurrent_dropout", "candidate_dropout", "input_dropout", "weight_drop"):
        if getattr(module, option, 0.0):
            return f"torch.nn has no {option}"
    if getattr(module, "initial_state", "zero") != "zero":
        return "torch.nn has no learned initial states"
    return _why_tied_to_itself(module)


def _is_torchs(cell: Cell) -> bool:
    if type(cell) is LSTMEquations:
        return not cell.peepholes and not cell.coupled
    if type(cell) is GRUEquations:
        return cell.reset == "after"
    return type(cell) is RNNEquations and cell.nonlinearity in ("tanh", "relu")


def _face_of(cell: Cell) -> str:
    return type(cell).__name__
