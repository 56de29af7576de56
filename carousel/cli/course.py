"""carousel course"""

from pathlib import Path
from typing import Annotated

from cyclopts import Parameter


def course(
    *lessons: int,
    quick: Annotated[bool, Parameter(negative=())] = False,
    out: Path | None = None,
    data: Path | None = None,
) -> None:
    """List the lessons of the course, or run some: experiments that measure what lectures on RNN and LSTM state.

    For example:

    ```
    carousel course
    carousel course 5
    carousel course 5 --quick
    carousel course 1 2 3 --out pictures
    carousel course 15 --data pairs.tsv
    ```

    Parameters
    ----------
    lessons
        The numbers of the lessons to run. Without them, the lessons are listed.
    quick
        Small sizes: seconds in place of a minute or two.
    out
        A folder for the pictures, and for all numbers as JSON. It is made if it does not exist.
    data
        Real files, for a lesson that can read some in place of its own data; its text says which.
    """
    from carousel.cli.terminal import show
    from carousel.course import main_of, scripts, title_of
    from carousel.errors import DataError

    if not lessons:
        if quick or out is not None or data is not None:
            raise DataError("Which lessons? Name their numbers, as in carousel course 5 --out pictures.")
        for script in scripts().values():
            show(f"{title_of(script)}\n")
        show("\nRun one: carousel course 5 (a minute or two); carousel course 5 --quick --out pictures (seconds)\n")
        return
    mains = [main_of(number) for number in lessons]

    from carousel.course.lesson import conduct

    wrong = [
        number
        for number, main in zip(lessons, mains, strict=True)
        if not conduct(main, quick=quick, out=out, data=data)
    ]
    if wrong:
        raise DataError(f"A statement of lesson {', '.join(map(str, wrong))} does not hold here: see the lines above.")
