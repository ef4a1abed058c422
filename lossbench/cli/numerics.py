"""The options that change by which arithmetic a preset is trained."""

from dataclasses import dataclass, fields
from typing import Annotated, Literal

import typer

__all__ = ["Numerics"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Numerics:
    """By which arithmetic a preset is trained; part of what a run is asked."""

    precision: Annotated[
        Literal["fp32", "bf16"] | None,
        typer.Option("--precision", help="Short for -s precision=VALUE. [default: the preset's]", show_default=False),
    ] = None
    compile: Annotated[
        Literal["auto", "on", "off"] | None,
        typer.Option(
            "--compile",
            help="Short for -s compile=VALUE; auto compiles long trainings. [default: the preset's]",
            show_default=False,
        ),
    ] = None

    def overrides(self) -> list[str]:
        """The fields of the preset that are to change, as `field=value`."""
        return [f"{field.name}={value}" for field in fields(self) if (value := getattr(self, field.name)) is not None]
