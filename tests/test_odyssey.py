"""The variants of the LSTM that benchmarks/odyssey.py compares are what they are called."""

import importlib.util
import sys
from pathlib import Path

import torch

import carousel

FILE = Path(__file__).parents[1] / "benchmarks" / "odyssey.py"
SPEC = importlib.util.spec_from_file_location("odyssey", FILE)
odyssey = importlib.util.module_from_spec(SPEC)  # type: ignore[arg-type]
sys.modules["odyssey"] = odyssey  # dataclasses look for their module there
SPEC.loader.exec_module(odyssey)

X, H = 3, 5


def outputs(variant, cell, changed=None):
    """Of a variant and of a cell of the catalogue that has its weights."""
    torch.manual_seed(0)
    mine = carousel.Recurrent(odyssey.Variant(variant), X, H, dtype=torch.float64)
    other = carousel.Recurrent(cell, X, H, dtype=torch.float64)
    weights = {name.replace("weight_R_", "weight_"): value for name, value in mine.state_dict().items()}
    other.load_state_dict(weights if changed is None else changed(weights))
    x = torch.randn(7, 2, X, dtype=torch.float64)
    return mine(x)[0], other(x)[0]


def test_variants_are_the_cells_of_the_catalogue_where_it_has_them():
    for variant, cell in (("V", "peephole-lstm"), ("NP", "lstm"), ("FGR", "full-gate-recurrence-lstm")):
        torch.testing.assert_close(*outputs(variant, cell))


def test_a_gate_that_is_left_out_is_one():
    def with_open(place):
        def changed(weights):
            found = {}
            for name, value in weights.items():
                if name.startswith(("weight", "bias")):
                    rows = list(value.split(H))
                    rows.insert(place, torch.full_like(rows[0], 50.0 if name == "bias_ih_l0" else 0.0))
                    found[name] = torch.cat(rows)
                else:
                    found[name] = value
            return found | {f"p_{'ifgo'[place]}_l0": torch.zeros(H, dtype=torch.float64)}

        return changed

    for variant, place in (("NIG", 0), ("NFG", 1), ("NOG", 3)):
        torch.testing.assert_close(*outputs(variant, "peephole-lstm", with_open(place)))
