"""What scikit-learn expects of an estimator's parameters, for the models that users fit."""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from typing import Any, Self


class Estimator:
    """An object whose constructor only stores its arguments, each under its own name.

    So it can be cloned, and searched over by `GridSearchCV`; scikit-learn itself is not needed.
    """

    @classmethod
    def _parameters(cls) -> dict[str, inspect.Parameter]:
        return {name: one for name, one in inspect.signature(cls.__init__).parameters.items() if name != "self"}

    def _store(self, given: Mapping[str, Any]) -> None:
        """Stores the arguments of the constructor. given: its local variables, among which they are."""
        for name in self._parameters():
            setattr(self, name, given[name])

    def get_params(self, deep: bool = True) -> dict[str, Any]:  # noqa: ARG002 (no parameter has parameters of its own)
        """The arguments of the constructor, by name.

        deep: as scikit-learn asks; it changes nothing, because no argument has parameters of its own.
        """
        return {name: getattr(self, name) for name in self._parameters()}

    def set_params(self, **parameters: Any) -> Self:
        """Changes arguments for the next `fit`, and returns this object.

        parameters: new values, by name. Raises ValueError for a name that is none of the constructor's arguments.
        """
        known = self._parameters()
        for name, value in parameters.items():
            if name not in known:
                raise ValueError(f"{type(self).__name__} has no parameter {name!r}; it has {', '.join(known)}")
            setattr(self, name, value)
        return self

    def __repr__(self) -> str:
        """The constructor's call, with the arguments that differ from their defaults."""
        defaults = self._parameters()
        changed = {name: value for name, value in self.get_params().items() if value != defaults[name].default}
        return f"{type(self).__name__}({', '.join(f'{name}={value!r}' for name, value in changed.items())})"
