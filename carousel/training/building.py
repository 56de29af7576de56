"""The network of a run, built from its config.json.

A config may come from a stranger, and ask for a billion units. So the network is first built without memory, on torch's
device "meta", which gives the shapes of its tensors. Where these fit the weights of the run and the memory of the
machine, it is built again on the CPU.
"""

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, TypeVar

import torch
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

from carousel.cells import find
from carousel.errors import CarouselError, DataError, RunError
from carousel.training.run_folder import CONFIG, RunFolder

MOST_PARTS = 10_000  # layers and networks of a run, multiplied

Network = TypeVar("Network", bound=nn.Module)


def build(folder: RunFolder, make: Callable[[], Network], *, trained: bool) -> Network:
    """The network that `make` makes, on the CPU. trained: with the best weights of the run.

    Raises RunError where the weights do not fit the network, and where the machine has no memory for it."""
    with folder.reading_config():
        with torch.device("meta"), _Unfilled(), torch.random.fork_rng(devices=[]):
            expected = make().state_dict()
        _require_memory(folder, sum(tensor.nbytes for tensor in expected.values()))
    weights = folder.read_model(expected) if trained else None
    with folder.reading_config():
        network = make()
    if weights is not None:
        network.load_state_dict(weights)
    return network


class _Unfilled(TorchFunctionMode):
    """Leaves out that tensors are filled. On the device "meta" they have no memory, and torch imports its compiler, for
    seconds, to fill them with normal numbers."""

    def __torch_function__(
        self, function: Any, types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        if function is Tensor.normal_ or getattr(function, "__module__", None) == nn.init.__name__:
            return args[0] if args else (kwargs or {})["tensor"]
        return function(*args, **kwargs or {})


def require_counts(**counts: Any) -> None:
    """Checks how many layers, networks and the like a config asks for. Raises ValueError unless each is a whole number,
    1 or more, and their product at most MOST_PARTS."""
    parts = 1
    for name, count in counts.items():
        if not isinstance(count, int) or isinstance(count, bool) or count < 1:
            raise ValueError(f"{name} must be a whole number, 1 or more, not {count!r:.40}")
        parts *= count
    if parts > MOST_PARTS:
        raise ValueError(f"{' times '.join(f'{count:,} {name}' for name, count in counts.items())} are too many")


def _require_memory(folder: RunFolder, needed: int) -> None:
    try:
        there = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (AttributeError, ValueError, OSError):  # Windows
        return
    if needed > there:
        raise RunError(
            f"The network that {folder.path / CONFIG} describes has {needed / 1e9:,.0f} GB of weights, and this "
            f"machine has {there / 1e9:,.0f} GB of memory."
        )


@contextmanager
def naming_cell(cell: str, whose: str) -> Iterator[None]:
    """Around the construction of a network. A ValueError in it becomes a DataError that names the cell as the cause.

    whose: what the network is: "classifier". Raises DataError too for a cell that reads a context, of which these
    networks have none to give."""
    if isinstance(cell, str) and (context := find(cell).context):
        raise DataError(
            f"The cell {cell!r} cannot be that of the {whose}: it attends to a context, {', '.join(context)}, that is "
            f"given once for a whole sequence, such as the outputs of an encoder, which the {whose} does not give. "
            "Name another cell (`carousel cells` lists them). Pairs of texts are learnt with an attention beside any "
            "other cell (--task pairs --form attention). In Python, carousel.Recurrent(cell, ...)(x, context=...) runs "
            "this one."
        )
    try:
        yield
    except CarouselError:
        raise
    except ValueError as problem:
        raise DataError(f"The cell {cell!r} cannot be that of the {whose}: {problem}") from None


def parameter_count(network: nn.Module) -> int:
    """How many numbers the parameters of a network are."""
    return sum(parameter.numel() for parameter in network.parameters())
