"""`lossbench claims`: what papers report, what their numbers allow, and what our runs say."""

from typing import TYPE_CHECKING, Annotated

import typer

from lossbench.cli.app import FormatOption, HomeOption, app, reading, show, show_document
from lossbench.cli.options import Again, How, Where
from lossbench.cli.terminal import note
from lossbench.errors import UsageError

if TYPE_CHECKING:
    from lossbench.spec import RunSpec

claims_app = typer.Typer(rich_markup_mode=None, invoke_without_command=True)
app.add_typer(claims_app, name="claims")

PaperArgument = Annotated[str, typer.Argument(metavar="ID", help="An arXiv number, such as 2501.13709.")]


@claims_app.callback()
def claims(context: typer.Context, format: FormatOption = "table") -> None:
    """List the papers whose published figures are kept here.

    \b
    Examples:
      lossbench claims
      lossbench claims show 2501.13709
      lossbench claims run 2501.13709
    """
    if context.invoked_subcommand is not None:
        return
    from lossbench.compare.claims import papers
    from lossbench.render.claims import papers_table

    show(papers_table(papers()), format)


@claims_app.command("show")
def show_claims(name: PaperArgument, home: HomeOption = None, format: FormatOption = "table") -> None:
    """Print what a paper says, what its seeds and test set allow, and the measured difference where runs exist.

    \b
    Examples:
      lossbench claims show 2507.10574
      lossbench claims show 2109.05635 --format csv
    """
    from lossbench.compare.claims import measured, paper
    from lossbench.render.claims import paper_document

    found = paper(name)
    with reading(home) as store:
        ours = measured(store, found.claims)
    show_document(paper_document(found, ours), format)


@claims_app.command("run")
def run_claims(name: PaperArgument, home: HomeOption = None, format: FormatOption = "table") -> None:
    """Plan what tests a paper's claims, and name the commands that carry it out.

    \b
    Examples:
      lossbench claims run 2501.13709
    """
    from lossbench.cli.training import cells_of, train
    from lossbench.compare.claims import paper
    from lossbench.losses import resolve
    from lossbench.sweep import cells, expand, parse_seeds, request

    suites = paper(name).suites
    if not suites:
        raise UsageError(f"no suite tests the claims of {name}")
    wanted: dict[RunSpec, None] = {}
    for suite in suites:
        note(f"`lossbench sweep suite:{suite}` trains its part of this plan")
        asked = request([f"suite:{suite}"], (), None, ())
        losses = [resolve(text) for text in asked.losses]
        wanted |= dict.fromkeys(cells(expand(asked.presets, (), asked.grid), losses, parse_seeds(asked.seeds)))
    train(cells_of([*wanted], Again()), How(dry_run=True, home=home), Where(), format)
