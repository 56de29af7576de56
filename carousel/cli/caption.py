"""carousel caption"""

from pathlib import Path

from carousel.cli.own_cell import NOT_ASKED, OwnCell
from carousel.cli.searching import USUAL, Alignment, Searching


def caption(
    run: Path,
    /,
    *image: Path,
    search: Searching = USUAL,
    alignment: Path | None = None,
    own: OwnCell = NOT_ASKED,
) -> None:
    """Write texts for images, or for series of numbers, with a model that learnt it. Writes one line for each.

    For example:

    ```
    carousel caption runs/captions cat.png
    carousel caption runs/captions cat.png --n-best 3 --alignment picture.png
    carousel caption runs/captions *.jpg > captions.txt
    carousel caption runs/notes readings.csv
    ```

    Parameters
    ----------
    run
        A run folder that `carousel train` wrote.
    image
        The images: files of any size and mode, or a table that lists them. Or tables of series, with the columns of
        the training.
    alignment
        A picture (.png, .svg, .pdf) of what each symbol attended to: places of the image, steps of the series; for
        one of them.
    """
    from carousel.errors import DataError
    from carousel.tasks.files import require_existing
    from carousel.tasks.pairs.captioner import Captioner

    if not image:
        raise DataError(f"The files to caption must be named: carousel caption {run} cat.png")
    picture = Alignment(alignment)
    require_existing(image)
    model = Captioner.load(run, **own.allowed)
    picture.require_attention(model)
    sources = list(model.read(image, asked=True).sources)
    picture.require_one(len(sources), model.trained.source.kind)
    found = model.caption(sources, **search.arguments)
    search.show(found)
    picture.draw(model, sources[0], found[0][0])
