"""Runs of pairs are not exported."""

from carousel.errors import ProgramError
from carousel.tasks.portable import Portable
from carousel.training.run_folder import RunFolder


def portable(folder: RunFolder) -> Portable:
    """Raises ProgramError: a text is written by a search, which neither ONNX nor C has here."""
    raise ProgramError(
        f"exporting {folder.path}: what a run of pairs writes is found by a beam search, which no exported form "
        f"has. Its layers can be exported alone: carousel.export.to_onnx(model.network.encoder, 'encoder.onnx')."
    )
