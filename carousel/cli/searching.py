"""The options for a beam search, its answers, and the picture of what they attended to."""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cyclopts import Group, Parameter

if TYPE_CHECKING:
    from collections.abc import Sequence

    from carousel.tasks.pairs.pairs_model import PairsModel
    from carousel.tasks.pairs.written import Written


@Parameter(name="*", group=Group("Search", sort_key=5))
@dataclass(frozen=True)
class Searching:
    """How texts are searched for. Every command that writes texts for sources has these options.

    Parameters
    ----------
    beam
        How many hypotheses the search follows at once; 1 is greedy search.
    n_best
        Texts for each source, best first, each after its score.
    length_penalty
        With 0 the likeliest text is the best; the more, the longer the texts.
    coverage_penalty
        The more, the more of the source must have been attended to.
    shortest
        Symbols of a text at least.
    longest
        Symbols of a text at most. Without it: ten more than twice those of its source, or of the longest text learnt
        where sources are no texts.
    """

    beam: int = 5
    n_best: int = 1
    length_penalty: float = 0.6
    coverage_penalty: float = 0.0
    shortest: int = 0
    longest: int | None = None

    @property
    def arguments(self) -> dict[str, Any]:
        """The arguments of the method of a model that searches."""
        return {
            "beam": self.beam,
            "best": self.n_best,
            "length_penalty": self.length_penalty,
            "coverage_penalty": self.coverage_penalty,
            "shortest": self.shortest,
            "longest": self.longest,
        }

    def show(self, found: "Sequence[Sequence[Written]]") -> None:
        """Shows the texts of each source: a line for each, so that line n of the output belongs to source n; of several
        texts, each after its score."""
        from carousel.cli.terminal import show_exactly

        for mine in found:
            show_exactly("".join(map(_line if self.n_best == 1 else _scored, mine)))


USUAL = Searching()


@dataclass(frozen=True)
class Alignment:
    """Where --alignment draws what the symbols of a text attended to; nowhere, if `path` is None."""

    path: Path | None

    def require_one(self, count: int, what: str) -> None:
        """Raises DataError unless a picture can be written there, of one source. what: "text"."""
        from carousel.errors import DataError
        from carousel.insight.saving import PICTURES
        from carousel.tasks.files import require_writable

        require_writable(self.path, PICTURES)
        if self.path is not None and count != 1:
            raise DataError(f"--alignment draws the alignment of one {what}, and {count} are given.")

    def require_attention(self, model: "PairsModel") -> None:
        """Raises DataError where a picture is asked for, and the model has no attention to draw."""
        from carousel.errors import DataError

        if self.path is not None and model.network.form == "summary":
            raise DataError(
                "--alignment draws what each symbol attended to, and a model of the form summary attends to nothing: "
                "leave --alignment out, or train a model with --form attention."
            )

    def draw(self, model: "PairsModel", item: Any, one: "Written") -> None:
        """Writes the picture for a source and the text that was written for it."""
        from carousel.insight.saving import save

        if self.path is not None and one.alignment is not None:
            source = model.trained.source
            save(source.alignment_figure(one.alignment, source.keep(item), one.pieces, one.text)(), self.path)


def _line(one: "Written") -> str:
    return " ".join(one.text.splitlines()) + "\n"


def _scored(one: "Written") -> str:
    return f"{one.score:8.3f}  {_line(one)}"
