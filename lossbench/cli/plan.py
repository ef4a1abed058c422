"""How a plan looks before it is carried out."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from lossbench.cli.app import Format, show

if TYPE_CHECKING:
    from lossbench.sweep import Planned

__all__ = ["show_plan"]


def show_plan(planned: Sequence["Planned"], format: Format) -> None:
    from lossbench.render import Column, Table

    columns = (
        Column(key="key", title="cell", anchor=True),
        Column(key="preset", title="preset"),
        Column(key="loss", title="loss"),
        Column(key="seed", title="seed", kind="integer"),
        Column(key="action", title="action"),
        Column(key="status", title="status"),
        Column(key="epoch", title="epoch", kind="integer"),
        Column(key="epochs", title="of", kind="integer"),
        Column(key="run_id", title="run"),
    )
    rows = tuple(
        (
            each.spec.key,
            each.spec.preset.name,
            str(each.spec.loss),
            each.spec.seed,
            each.action,
            each.status,
            each.epoch,
            each.spec.preset.epochs,
            each.run_id,
        )
        for each in planned
    )
    show(Table(name="plan", columns=columns, rows=rows), format)
