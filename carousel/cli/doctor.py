"""carousel doctor"""

import re
from collections.abc import Iterator

DISTRIBUTION = "carousel-rnn"


def doctor() -> None:
    """Say what is installed, what is missing, and why.

    For example:

    ```
    carousel doctor
    ```
    """
    import os
    import platform
    import sys
    from importlib.metadata import PackageNotFoundError, version

    from carousel.errors import CarouselError
    from carousel.training.terminal import write_line

    write_line(f"python       {platform.python_version()} ({sys.executable})")
    write_line(f"system       {platform.platform()}, {os.cpu_count()} processors")
    missing = []
    for name, extra in packages():
        try:
            write_line(f"{name:<12} {version(name)}")
        except PackageNotFoundError:
            if extra is None:
                missing.append(name)
            write_line(f"{name:<12} missing: pip install " + (f"'{DISTRIBUTION}[{extra}]'" if extra else name))
    if missing:
        raise CarouselError(f"Carousel does not run without {', '.join(missing)}: pip install {' '.join(missing)}")
    _describe_engines()


def packages() -> Iterator[tuple[str, str | None]]:
    """Yields (package, extra) for Carousel and the packages that it declares. extra is None for required packages."""
    from importlib.metadata import PackageNotFoundError, requires

    yield DISTRIBUTION, None
    try:
        needed = requires(DISTRIBUTION) or []
    except PackageNotFoundError:  # it runs from its source, without installation
        return
    for requirement in needed:
        name, extra = re.match(r"[\w.-]+", requirement), re.search(r"extra == ['\"]([\w-]+)", requirement)
        if name and not (extra and extra[1] == "test"):
            yield name[0], extra and extra[1]


def _describe_engines() -> None:
    import torch

    from carousel import engines
    from carousel.engines import native
    from carousel.layers import LSTM
    from carousel.training.terminal import write_line

    write_line(f"threads      {torch.get_num_threads()}")
    cuda = torch.cuda.is_available()
    write_line(f"cuda         {torch.cuda.get_device_name() if cuda else 'no device that torch can use'}")
    program = LSTM(1, 1).program
    for device in ("cpu", "cuda") if cuda else ("cpu",):
        for name, engine in engines.ENGINES.items():
            reason = engine.why_not(program, torch.float32, torch.device(device))
            write_line(f"{device} engine   {name}: {'ready' if reason is None else f'not ready, {reason}'}")
    for what, value in native.status().items():
        write_line(f"{what}: {value}")
