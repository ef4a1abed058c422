"""A user's own loss: a function in a file, `./my_loss.py:my_fn`, or in an installed package, `package.module:fn`."""

import functools
import importlib.util
import inspect
import linecache
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from lossbench.errors import UsageError
from lossbench.knobs import SWITCH, Fixed, Source
from lossbench.losses._registry import Loss

__all__ = ["is_user_loss", "load", "read", "try_out"]


def is_user_loss(name: str) -> bool:
    """Whether a name means a function of the user's rather than an entry of the catalogue."""
    return ":" in name


def read(name: str) -> str:
    """The source text of a user's loss.

    Raises:
        UsageError: there is no such file or module.
    """
    place, _ = _parts(name)
    path = Path(place) if place.endswith(".py") else _file_of_module(place, name)
    try:
        return path.expanduser().read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is not UTF-8 text"
        raise UsageError(f"loss {name}: cannot read {path}: {reason}") from error


@functools.cache
def load(name: str, code: str) -> Loss:
    """The loss made from the source text of a user's file.

    Raises:
        UsageError: the text does not run, has no such function, or the function is not of the form of a loss.
    """
    place, function_name = _parts(name)
    label = f"<loss {place} {abs(hash(code)):x}>"
    # Tracebacks out of a user's function then show its lines, whatever the file on disk has become.
    linecache.cache[label] = (len(code), None, code.splitlines(keepends=True), label)
    package = "" if place.endswith(".py") else place.rpartition(".")[0]
    scope: dict[str, Any] = {"__name__": Path(place).stem, "__file__": place, "__package__": package}
    try:
        exec(compile(code, label, "exec"), scope)
    except Exception as error:
        raise UsageError(f"loss {name}: the file does not import: {type(error).__name__}: {error}") from error
    function = scope.get(function_name)
    if not callable(function):
        found = sorted(
            key for key, value in scope.items() if inspect.isfunction(value) and value.__module__ == scope["__name__"]
        )
        raise UsageError(f"loss {name}: there is no function {function_name}; found: {', '.join(found) or 'none'}")
    return Loss(
        name=name,
        steps=(function,),
        knobs=_knobs(name, function),
        family="softmax",
        broadcasts=False,
        doc=inspect.getdoc(function) or "",
    )


def try_out(name: str, function: Callable[[Tensor, Tensor], Tensor]) -> None:
    """Call a user's loss once on ordinary logits.

    Raises:
        UsageError: it raises, or its result is not one finite number per sample.
    """
    logits = torch.tensor([[0.5, -1.0, 2.0], [1.5, 0.25, -0.5]])
    try:
        result = function(logits, torch.tensor([2, 1]))
    except Exception as error:
        raise UsageError(f"loss {name}: called on logits [2, 3] it raises {type(error).__name__}: {error}") from error
    shape = list(result.shape) if isinstance(result, Tensor) else type(result).__name__
    if shape != [2]:
        raise UsageError(f"loss {name}: expected one number per sample, shape [2] for 2 samples, got {shape}")
    if not result.isfinite().all():
        raise UsageError(f"loss {name}: not finite on ordinary logits, got {result.tolist()}")


def _parts(name: str) -> tuple[str, str]:
    place, _, function = name.rpartition(":")
    if not re.fullmatch(r"[A-Za-z_]\w*", function) or not place:
        raise UsageError(f"loss {name!r} is not of the form ./file.py:function or package.module:function")
    return place, function


def _file_of_module(module: str, name: str) -> Path:
    if "/" in module:
        raise UsageError(f"loss {name}: {module} is no Python file; its name must end with .py")
    try:
        spec = importlib.util.find_spec(module)
    except (ImportError, ValueError) as error:
        raise UsageError(f"loss {name}: no module {module!r} is installed: {error}") from error
    if spec is None or spec.origin is None:
        raise UsageError(f"loss {name}: no module {module!r} is installed")
    if not spec.origin.endswith(".py"):
        raise UsageError(f"loss {name}: module {module!r} has no Python source")
    return Path(spec.origin)


def _knobs(name: str, function: Callable[..., Tensor]) -> dict[str, Source]:
    """Keyword-only parameters with a default are knobs; numbers may be scheduled and learned like any other."""
    knobs: dict[str, Source] = {}
    positional = 0
    for parameter in inspect.signature(function).parameters.values():
        if parameter.kind in (parameter.POSITIONAL_ONLY, parameter.POSITIONAL_OR_KEYWORD):
            positional += 1
        elif parameter.kind is parameter.KEYWORD_ONLY:
            if not re.fullmatch(r"[A-Za-z0-9_]{1,100}", parameter.name):
                raise UsageError(f"loss {name}: knob {parameter.name} has to be named by at most 100 letters of ASCII")
            default = parameter.default
            if isinstance(default, bool):
                knobs[parameter.name] = Fixed(default, SWITCH)
            elif isinstance(default, int | float):
                knobs[parameter.name] = Fixed(float(default))
            else:
                raise UsageError(f"loss {name}: knob {parameter.name} needs a number, true or false as its default")
    if positional != 2:
        raise UsageError(
            f"loss {name}: expected a function (logits, target, *, knobs), got {positional} positional parameters"
        )
    return knobs
