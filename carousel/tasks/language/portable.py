"""A language model as it is exported."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, cast

import numpy as np
import torch
from torch import Tensor, nn

from carousel.errors import ProgramError
from carousel.export.answering import Answer
from carousel.models import FillModel, TokenModel
from carousel.tasks.language.language_model import LanguageModel, trained_network
from carousel.tasks.portable import Figures, Portable, require_data
from carousel.training.run_folder import RunFolder


def portable(folder: RunFolder) -> Portable:
    network, symbols = trained_network(folder)
    if isinstance(network, FillModel):
        raise ProgramError(
            f"exporting {folder.path}: a model that fills in words has no ONNX or C form. Each of its two layers has "
            f"one: carousel.export.to_onnx(model.network.forwards, 'forwards.onnx')."
        )

    def judge(answer: Answer, data: Sequence[Path]) -> Figures:
        require_data(data, folder.path)
        states = list(network.recurrent.program.states)
        result = LanguageModel(cast(TokenModel, _Answering(answer, states)), symbols).evaluate(data)
        return {"bits per character": result.bits_per_character, "perplexity": result.perplexity}

    means = "a symbol is the place of a piece of text in the vocabulary; probabilities are those of the next symbol"
    return Portable(network, {"vocabulary": symbols.to_json(), "meaning": means}, judge)


class _Answering(nn.Module):
    """Answers of another program in the place of a `TokenModel`."""

    def __init__(self, answer: Answer, states: list[str]) -> None:
        super().__init__()
        self.answer, self.states = answer, states
        self.on_cpu = nn.Parameter(torch.zeros(()))

    def forward(self, symbols: Tensor, state: Any = None) -> tuple[Tensor, Any]:
        probabilities, *last = self.answer({"symbols": symbols.numpy(), **(state or {})})
        smallest = np.finfo(probabilities.dtype).tiny
        scores = torch.from_numpy(np.log(np.maximum(probabilities, smallest)))
        return scores, dict(zip(self.states, last, strict=True))
