"""Networks as plain C: `to_c` writes one header and one source that need no library."""

from __future__ import annotations

import copy
import re
from pathlib import Path

import torch
from torch import nn

from carousel.errors import DataError, ProgramError
from carousel.export.c import sources
from carousel.export.c.convolutions import BesideConvolutions
from carousel.export.c.numbers import DOUBLE, SINGLE
from carousel.export.c.pools import pool_of
from carousel.export.c.products import Products, quantized
from carousel.export.c.stages import Affine, Lookup, Softmax, Stage, Standardize, layers_of
from carousel.export.ensembles import members_of
from carousel.files import write_atomically
from carousel.layers import Recurrent
from carousel.models.label_model import Ensemble, LabelModel
from carousel.models.pooling import Attention
from carousel.models.quantile_forecaster import QuantileForecaster
from carousel.models.token_model import TokenModel

# Names that mean something else in C99 or in the files themselves.
TAKEN = """
auto break case char const continue default do double else enum extern float for goto if inline int long main register
restrict return short signed sizeof static struct switch typedef union unsigned void volatile while
affine highest larger real remember sigmoid sign smaller softplus sum
"""


def to_c(module: nn.Module, folder: str | Path, *, name: str = "model", int8: bool = False) -> list[Path]:
    """Writes `name.h` and `name.c` into a folder: C99, no dependency but <math.h>, no allocation, weights as constants.

        carousel.export.to_c(carousel.LSTM(40, 64), "firmware", name="listener")

    module: a `Recurrent` of any cell that traces, in one direction and any number of layers (LSTM, GRU and RNN are
        such), or a model of the package that reads one step after another: `TokenModel`, which gives the probabilities
        of the next symbol, `LabelModel` and `Ensemble`, which give those of the classes for the steps so far.
    The header declares a struct with the states, `name_reset`, and `name_step(state, input, output)`: one time step of
    one sequence in evaluation mode. A float64 module becomes `double`, every other `float`.
    int8: matrices as whole numbers with one scale per row, a quarter of the memory of float.

    Returns the two paths. Raises ProgramError for a cell that is not a program, a bidirectional layer and weights that
    are not finite; DataError for a name that is not a C identifier; TypeError for other modules. Nothing is written
    then.
    """
    texts, _ = c_sources(module, name=name, int8=int8)
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    paths = []
    for file, text in texts.items():
        write_atomically(folder / file, text.encode())
        paths.append(folder / file)
    return paths


def c_sources(module: nn.Module, *, name: str = "model", int8: bool = False) -> tuple[dict[str, str], Products]:
    """{file name: text} of what `to_c` writes, and its constants."""
    if not re.fullmatch(r"[A-Za-z][A-Za-z0-9_]*", name) or name in TAKEN.split():
        raise DataError(f"exporting to C: the name {name!r} must be a free C identifier, such as 'model'")
    precision = DOUBLE if next(module.parameters()).dtype == torch.float64 else SINGLE
    products = Products(precision, int8)
    chains, inputs, gives = _chains(module)
    return sources.files(name, type(module).__name__, chains, inputs, gives, products), products


def rounded(module: nn.Module) -> nn.Module:
    """A copy of a module whose matrices are those that the C code with int8=True computes with.

    The context of an attention is a vector there, and stays as it is.
    """
    copied = copy.deepcopy(module)
    contexts = [part.context for part in copied.modules() if isinstance(part, Attention)]
    for part in copied.modules():
        if any(part is context for context in contexts):
            continue
        for name, values in part.named_parameters(recurse=False):
            if values.dim() == 2 or (isinstance(part, nn.Conv1d) and name == "weight"):
                rows = values.detach().flatten(1).to("cpu", torch.float64).numpy()
                whole, scale = quantized(rows)
                with torch.no_grad():
                    values.copy_(torch.from_numpy(whole * scale[:, None]).reshape(values.shape))
    return copied


def _chains(module: nn.Module) -> tuple[list[list[Stage]], int, str]:
    """The networks of a module as stages, how many numbers or symbols a step may be, and what the result is."""
    if isinstance(module, Recurrent):
        return [layers_of("", module)], module.input_size, "the output of the last layer"
    if isinstance(module, TokenModel):
        symbols = module.embedding.num_embeddings
        chain: list[Stage] = [Lookup("embedding", module.embedding), *layers_of("recurrent", module.recurrent)]
        chain += [Affine("head", module.head), Softmax("probabilities", symbols)]
        return [chain], symbols, "the probabilities of the next symbol"
    if isinstance(module, LabelModel | Ensemble):
        members = members_of(module, to="C")
        several = len(members) > 1
        chains = [_of_labels(f"network{k}_" if several else "", member) for k, member in enumerate(members)]
        first = members[0]
        inputs = first.embedding.num_embeddings if first.embedding is not None else len(first.mean)
        return chains, inputs, "the probabilities of the classes after the steps so far"
    if isinstance(module, QuantileForecaster):
        raise ProgramError(
            "exporting to C: a forecaster reads a history and then decodes all steps ahead at once, while the C code "
            "reads one step after another; export it to ONNX"
        )
    raise TypeError(
        f"exporting to C: {type(module).__name__} has no C form; give a carousel.Recurrent (or LSTM, GRU, RNN), or a "
        "TokenModel, LabelModel or Ensemble of carousel.models"
    )


def _of_labels(prefix: str, model: LabelModel) -> list[Stage]:
    first: Stage
    if model.embedding is not None:
        first = Lookup(f"{prefix}embedding", model.embedding)
    else:
        first = Standardize(f"{prefix}standardize", model.mean, model.scale)
    pool = pool_of(f"{prefix}pooling", model.pooling)
    chain: list[Stage] = [first, *layers_of(f"{prefix}recurrent", model.recurrent), pool]
    if model.convolutions is not None:
        chain.append(BesideConvolutions(f"{prefix}convolutions", model.convolutions, first, pool.width))
    return [
        *chain,
        Affine(f"{prefix}head", model.head),
        Softmax(f"{prefix}probabilities", model.head.out_features),
    ]


__all__ = ["c_sources", "rounded", "to_c"]
