"""What all threads share and nobody has made yet: it is made once, by the first who asks, while the others wait.

Programs, their derivatives and what engines prepare for them are made when a layer first needs them, and threads may
need them at the same moment. There is one lock for all of these, which a thread may take again while it holds it: two
locks could be taken in two orders.
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
    """A decorator: the function is called once for the same arguments, by one thread, and its result is kept.

    The arguments are given by place and can be hashed. Of more than `at_most` results those made first are let go.
    """

    def decorate(make: Callable[P, R]) -> Callable[P, R]:
        made: dict[Hashable, Any] = {}

        @wraps(make)
        def get(*key: P.args, **named: P.kwargs) -> R:
            assert not named
            try:
                return made[key]  # without the lock: it is here at nearly every call
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
