"""Sets of options: how a command takes one as a value, and how one is written on a command line."""

import functools
import inspect
from collections.abc import Callable
from dataclasses import fields, is_dataclass
from typing import Any, get_args

from lossbench.cli.options import Again, How

__all__ = ["arguments", "takes_sets"]


def takes_sets(command: Callable[..., None]) -> Callable[..., None]:
    """Put the single options of the sets that a command takes into its signature, where Typer reads them."""
    sets: dict[str, tuple[Callable[..., Any], list[str]]] = {}
    parameters = []
    for parameter in inspect.signature(command).parameters.values():
        kind = parameter.annotation
        if isinstance(kind, type) and is_dataclass(kind):
            options = fields(kind)
            sets[parameter.name] = (kind, [option.name for option in options])
            parameters += [
                inspect.Parameter(
                    option.name, inspect.Parameter.KEYWORD_ONLY, default=option.default, annotation=option.type
                )
                for option in options
            ]
        else:
            parameters.append(parameter.replace(kind=inspect.Parameter.KEYWORD_ONLY))

    @functools.wraps(command)
    def spread(**values: Any) -> None:
        for name, (set_of_options, names) in sets.items():
            values[name] = set_of_options(**{each: values.pop(each) for each in names})
        command(**values)

    spread.__annotations__ = {parameter.name: parameter.annotation for parameter in parameters}
    vars(spread)["__signature__"] = inspect.Signature(parameters)
    return spread


def arguments(options: Again | How) -> list[str]:
    """The command-line arguments that say what a set of options says, without those left at their defaults."""
    given: list[str] = []
    for option in fields(options):
        value = getattr(options, option.name)
        if value == option.default:
            continue
        flag = get_args(option.type)[1].default
        match value:
            case bool():
                given.append(flag)
            case list():
                given += [word for each in value for word in (flag, str(each))]
            case _:
                given += [flag, str(value)]
    return given
