"""Keras's recurrent layers and ours: what their configurations mean, and how their weights are laid out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from carousel.errors import DataError
from carousel.layers import GRU, LSTM, RNN, Recurrent

# Of each Keras layer: our gates in Keras's order.
GATES = {"SimpleRNN": "n", "LSTM": "ifgo", "GRU": "zrn"}
# What a configuration must say where Carousel has one form only, and what that form is.
FIXED = {
    "go_backwards": (False, "turn the input round yourself"),
    "stateful": (False, "hand hx from call to call"),
}
ACTIVATIONS = {"SimpleRNN": ("tanh", "relu", "sigmoid"), "LSTM": ("tanh",), "GRU": ("tanh",)}


@dataclass(frozen=True)
class KerasScan:
    """One Keras layer or cell in one direction: its class, its configuration, its weights in Keras's order."""

    kind: str
    config: Mapping[str, Any]
    weights: Sequence[np.ndarray]


def kind_of(class_name: str) -> str:
    """SimpleRNN, LSTM or GRU, of a layer or of its cell. Raises DataError for any other class."""
    kind = class_name.removesuffix("Cell")
    if kind not in GATES:
        raise DataError(
            f"reading a Keras layer: it must be a SimpleRNN, LSTM or GRU, a Bidirectional of one, or an RNN of their "
            f"cells, but is a {class_name}"
        )
    return kind


def require_concat(config: Mapping[str, Any], reading: str) -> None:
    """Raises DataError for a Bidirectional whose two directions are not laid side by side, as ours are."""
    if (mode := config.get("merge_mode", "concat")) != "concat":
        raise DataError(
            f"{reading}: merge_mode must be 'concat', but is {mode!r}; add or average the two halves of the output "
            "yourself"
        )


def layer_of(scans: Sequence[Sequence[KerasScan]]) -> Recurrent:
    """A Carousel layer. scans: for each layer from below, its directions, forward first.

    batch_first, as Keras lays out its input. Raises DataError for what Carousel does not have, by Keras's name.
    """
    first = scans[0][0]
    options = _options(first)
    for layer in scans:
        for scan in layer:
            if scan.kind != first.kind or _options(scan) != options:
                raise DataError(
                    f"reading Keras layers: all of a stack must be of one class and have the same settings, but one is "
                    f"{first.kind} {options} and another {scan.kind} {_options(scan)}; convert them one by one"
                )
    inputs, hidden = first.weights[0].shape[0], options["units"]
    bias = options["use_bias"]
    face: dict[str, Any] = {"num_layers": len(scans), "bias": bias, "bidirectional": len(scans[0]) == 2}
    face |= {"batch_first": True, "dtype": torch.from_numpy(np.asarray(first.weights[0])[:0]).dtype}
    face |= {"input_dropout": options["dropout"], "recurrent_dropout": options["recurrent_dropout"]}
    made: Recurrent
    if first.kind == "SimpleRNN":
        made = RNN(inputs, hidden, nonlinearity=options["activation"], **face)
    elif first.kind == "LSTM":
        made = LSTM(inputs, hidden, **face)
    else:
        made = GRU(inputs, hidden, reset="after" if options["reset_after"] else "before", **face)
    suffixes = list(made.suffixes())
    with torch.no_grad():
        for suffix, scan in zip(suffixes, [scan for layer in scans for scan in layer], strict=True):
            for name, values in ours(scan, made.cell.gates).items():
                made.get_parameter(name + suffix).copy_(torch.from_numpy(values))
    return made


def _options(scan: KerasScan) -> dict[str, Any]:
    config, kind = scan.config, scan.kind
    for name, (value, instead) in FIXED.items():
        if config.get(name, value) != value:
            raise DataError(f"reading a Keras {kind}: Carousel has no {name}={config[name]}; {instead}")
    found: dict[str, Any] = {
        name: _activation(config.get(name, default), kind, name) for name, default in _activations(kind).items()
    }
    found |= {"units": int(config["units"]), "use_bias": bool(config.get("use_bias", True))}
    found |= {name: float(config.get(name, 0.0)) for name in ("dropout", "recurrent_dropout")}
    return found | ({"reset_after": bool(config.get("reset_after", True))} if kind == "GRU" else {})


def _activations(kind: str) -> dict[str, str]:
    """The settings that name functions, and Keras's defaults."""
    return {"activation": "tanh"} | ({} if kind == "SimpleRNN" else {"recurrent_activation": "sigmoid"})


def _activation(given: Any, kind: str, name: str) -> str:
    possible = ACTIVATIONS[kind] if name == "activation" else ("sigmoid",)
    chosen = "linear" if given is None else given
    if chosen not in possible:
        raise DataError(
            f"reading a Keras {kind}: its {name} must be {' or '.join(possible)}, but is {chosen}; write a cell with "
            "those equations (carousel.Cell) and copy the weights"
        )
    return str(chosen)


def ours(scan: KerasScan, gates: Sequence[str]) -> dict[str, np.ndarray]:
    """Our parameters of one scan. Keras's kernels are transposed and have their own order of gates.

    One bias of Keras becomes b, with c = 0; GRU with reset_after has both.
    """
    weights = [np.asarray(w) for w in scan.weights]
    order = [GATES[scan.kind].index(gate) for gate in gates]

    def reordered(values: np.ndarray) -> np.ndarray:
        return np.concatenate([np.split(values, len(order))[k] for k in order])

    found = {"weight_ih": reordered(weights[0].T), "weight_hh": reordered(weights[1].T)}
    if len(weights) == 3:
        bias = weights[2]
        both = (bias[0], bias[1]) if bias.ndim == 2 else (bias, np.zeros_like(bias))
        found |= {"bias_ih": reordered(both[0]), "bias_hh": reordered(both[1])}
    return found


def theirs(layer: Recurrent) -> list[np.ndarray]:
    """The weights of a layer as `set_weights` of the same Keras layer takes them, all layers and directions in order.

    Raises DataError for a cell that Keras does not have.
    """
    kind = keras_kind(layer)
    two_biases = kind == "GRU" and getattr(layer.cell, "reset", "") == "after"
    gates = list(layer.cell.gates)
    found = []
    for suffix in layer.suffixes():

        def reordered(name: str, suffix: str = suffix) -> np.ndarray:
            blocks = np.split(layer.get_parameter(name + suffix).detach().cpu().numpy(), len(gates))
            return np.concatenate([blocks[gates.index(gate)] for gate in GATES[kind]])

        found += [np.ascontiguousarray(reordered("weight_ih").T), np.ascontiguousarray(reordered("weight_hh").T)]
        if layer.bias:
            b, c = reordered("bias_ih"), reordered("bias_hh")
            found.append(np.stack([b, c]) if two_biases else b + c)
    return found


def keras_kind(layer: Recurrent) -> str:
    """The Keras layer that computes what a layer does. Raises DataError where there is none."""
    kind = {RNN: "SimpleRNN", LSTM: "LSTM", GRU: "GRU"}.get(type(layer))
    extras = [name for name in ("peepholes", "coupled", "layer_norm") if getattr(layer, name, None)]
    extras += ["proj_size"] if layer.proj_size else []
    extras += [name for name in ("zoneout", "candidate_dropout", "weight_drop") if getattr(layer, name)]
    extras += ["initial_state='learned'"] if layer.initial_state == "learned" else []
    if kind is None or extras:
        what = f"a {type(layer).__name__} of {layer.cell!r}" if kind is None else f"the option {extras[0]}"
        raise DataError(f"writing weights for Keras: Keras has no layer for {what}")
    return kind
