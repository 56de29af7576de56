"""A tagger as it is exported: not yet."""

from typing import NoReturn

from carousel.errors import ProgramError
from carousel.training.run_folder import RunFolder


def portable(folder: RunFolder) -> NoReturn:
    """Raises ProgramError: the two recurrences of a tagger, over characters and over words, have no common form yet."""
    raise ProgramError(
        f"exporting {folder.path}: a tagger has no ONNX or C form. Its recurrent layer has one: "
        f"carousel.export.to_onnx(carousel.Tagger.load({str(folder.path)!r}).trained.network.recurrent, 'layer.onnx')."
    )
