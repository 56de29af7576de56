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
    """Write captions for images with a model that was trained on captions. Writes one line for each image.

    For example:

    ```
    carousel caption runs/captions cat.png
    carousel caption runs/captions cat.png --n-best 3 --alignment picture.png
    carousel caption runs/captions *.jpg > captions.txt
    ```

    Parameters
    ----------
    run
        A run folder that `carousel train` wrote.
    image
        The images: files of any size and mode.
    alignment
        A picture (.png, .svg, .pdf) of the places of the image that each symbol attended to; for one image.
    """
    from carousel.errors import DataError
    from carousel.tasks.files import require_existing
    from carousel.tasks.pairs.captioner import Captioner

    if not image:
        raise DataError(f"The images to caption must be named: carousel caption {run} cat.png")
    picture = Alignment(alignment)
    picture.require_one(len(image), "image")
    require_existing(image)
    model = Captioner.load(run, **own.allowed)
    picture.require_attention(model)
    found = model.caption(list(image), **search.arguments)
    search.show(found)
    picture.draw(model, image[0], found[0][0])
