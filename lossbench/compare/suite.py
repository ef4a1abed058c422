"""A suite as something to compare: its presets, losses and tuned fields, and the figures that were published."""

from collections.abc import Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase

from lossbench.errors import UsageError, unknown
from lossbench.spec import Published
from lossbench.store import Store, queries

__all__ = ["Asked", "asked"]

_SUITE = "suite:"


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """What a comparison is asked for, suites resolved."""

    presets: tuple[str, ...]
    losses: tuple[str, ...]
    tuned: tuple[str, ...]
    published: tuple[Published, ...] = ()


def asked(store: Store, presets: Sequence[str], losses: Sequence[str], tuned: Sequence[str]) -> Asked:
    """Fill in from `suite:NAME`, losses as far as there are runs; patterns beside it choose among its presets.

    Raises:
        UsageError: no such suite, more than one, or a pattern that none of its presets fits.
    """
    named = [each for each in presets if each.startswith(_SUITE)]
    if not named:
        return Asked(presets=tuple(presets), losses=tuple(losses), tuned=tuple(tuned))
    # Suites bring the validation of presets, which an ordinary comparison does without.
    from lossbench import suites

    if len(named) > 1:
        raise UsageError(f"{' and '.join(named)}: compare one suite at a time")
    suite = suites.load(named[0].removeprefix(_SUITE))
    patterns = [each for each in presets if each not in named]
    for pattern in patterns:
        if not any(fnmatchcase(preset, pattern) for preset in suite.presets):
            raise unknown(f"preset of {named[0]}", pattern, suite.presets)
    known = queries.known(store, "loss")
    return Asked(
        presets=tuple(each for each in suite.presets if any(fnmatchcase(each, pattern) for pattern in patterns or "*")),
        losses=tuple(losses) or tuple(each for each in suite.losses if each in known),
        tuned=tuple(tuned) or suite.tuned,
        published=suite.published,
    )
