"""A function of all parameters, which takes them one by one."""

import inspect
import re
from collections.abc import Callable, Iterable
from difflib import get_close_matches
from functools import wraps
from typing import ParamSpec, TypeVar, get_type_hints

P = ParamSpec("P")
M = TypeVar("M")
R = TypeVar("R")


def with_parameters_of(
    model: Callable[P, M], *, is_flow: bool = False
) -> Callable[[Callable[[M], R]], Callable[P, R]]:
    """Return a decorator: the function takes the parameters of a model instead of one model.

    Args:
        model: A dataclass whose docstring describes its attributes.
        is_flow: Whether the types keep their checks and JSON schemas, which Prefect reads. They
            would fill pages of Python's help.
    """

    def decorate(function: Callable[[M], R]) -> Callable[P, R]:
        signature = inspect.signature(model)

        @wraps(function)
        def call(*args: P.args, **kwargs: P.kwargs) -> R:
            if unknown := kwargs.keys() - signature.parameters.keys():
                name = min(unknown)
                raise TypeError(
                    f"{function.__name__}() got an unexpected keyword argument {name!r}"
                    f"{did_you_mean(name, signature.parameters)}"
                )
            return function(model(*args, **kwargs))

        result = inspect.signature(function).return_annotation
        types = get_type_hints(model, include_extras=is_flow)
        types = {name: types[name] for name in signature.parameters}
        call.__signature__ = signature.replace(  # type: ignore[attr-defined]
            parameters=[
                each.replace(annotation=types[name]) for name, each in signature.parameters.items()
            ],
            return_annotation=result,
        )
        call.__annotations__ = {**types, "return": result}
        summary, raises, errors = (inspect.getdoc(function) or "").partition("\n\nRaises:")
        attributes = re.search(
            r"Attributes:(.*?)\n\nRaises:", inspect.getdoc(model) or "", re.DOTALL
        )
        call.__doc__ = f"{summary}\n\nArgs:{attributes[1] if attributes else ''}{raises}{errors}"
        return call

    return decorate


def did_you_mean(name: str, names: Iterable[str]) -> str:
    """Return a question about the most similar of some names; "" if none is similar."""
    similar = get_close_matches(name.lower(), [*names], 1)
    return f". Did you mean {similar[0]!r}?" if similar else ""
