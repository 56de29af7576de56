"""The errors Carousel raises on purpose: what was being done, what must hold, what was found, what to try."""


class CarouselError(Exception):
    """Something the caller can put right. The command line prints its message and no traceback."""


class ProgramError(CarouselError):
    """A cell's step is outside the language that engines run (see `carousel.program.ops`)."""


class DataError(CarouselError, ValueError):
    """A file or a value given as data cannot be used as it is."""


class RunError(CarouselError):
    """A run folder cannot be read, written or resumed."""
