"""A function of all parameters, which takes them one by one."""

import inspect
import re
from collections.abc import Callable
from functools import wraps
from typing import ParamSpec, TypeVar

P = ParamSpec("P")
M = TypeVar("M")
R = TypeVar("R")


def with_parameters_of(model: Callable[P, M]) -> Callable[[Callable[[M], R]], Callable[P, R]]:
    """Return a decorator: the function takes the parameters of a model instead of one model.

    Prefect reads the names, types, defaults and descriptions of a flow's parameters from its
    function.
    """

    def decorate(function: Callable[[M], R]) -> Callable[P, R]:
        @wraps(function)
        def call(*args: P.args, **kwargs: P.kwargs) -> R:
            return function(model(*args, **kwargs))

        signature = inspect.signature(model)
        result = inspect.signature(function).return_annotation
        call.__signature__ = signature.replace(return_annotation=result)  # type: ignore[attr-defined]
        types = {name: each.annotation for name, each in signature.parameters.items()}
        call.__annotations__ = {**types, "return": result}
        summary, raises, errors = (inspect.getdoc(function) or "").partition("\n\nRaises:")
        attributes = re.search(
            r"Attributes:(.*?)\n\nRaises:", inspect.getdoc(model) or "", re.DOTALL
        )
        call.__doc__ = f"{summary}\n\nArgs:{attributes[1] if attributes else ''}{raises}{errors}"
        return call

    return decorate
