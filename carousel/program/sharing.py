"""Objects that all threads share are made once: the first thread that needs one makes it, and the others wait.

Programs, derivatives and plans are made when a layer first needs them, and several threads may need them at the same
moment. One reentrant lock guards them all. With two locks, two threads could each hold one and wait for the other.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable
from functools import wraps
from threading import RLock
from typing import Any, ParamSpec, TypeVar

LOCK = RLock()

P = ParamSpec("P")
R = TypeVar("R")


def made_once(at_most: int) -> Callable[[Callable[P, R]], Callable[P, R]]:
    """A decorator: for the same arguments the function is called once, by one thread, and its result is kept.

    The arguments are positional and hashable. At most `at_most` results are kept; the oldest is dropped first.
    """

    def decorate(make: Callable[P, R]) -> Callable[P, R]:
        made: dict[Hashable, Any] = {}

        @wraps(make)
        def get(*key: P.args, **named: P.kwargs) -> R:
            assert not named
            try:
                return made[key]  # without the lock, because nearly every call finds it
            except KeyError:
                pass
            with LOCK:
                if key in made:
                    return made[key]
                found = made[key] = make(*key, **named)
                while len(made) > at_most:
                    del made[next(iter(made))]
                return found

        return get

    return decorate
