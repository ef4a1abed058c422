"""`lossbench stop`: end runs in good order from elsewhere."""

from lossbench.cli.app import HomeOption, WhereOption, app, reading
from lossbench.cli.selecting import RunsArgument, pick
from lossbench.cli.terminal import note
from lossbench.errors import LossbenchError


@app.command("stop")
def stop(runs: RunsArgument = None, where: WhereOption = None, home: HomeOption = None) -> None:
    """Ask runs on this machine to stop in good order.

    Their processes finish the batch and keep a checkpoint. A process that trains several runs at once stops them
    all. Ask twice to stop at once.

    \b
    Examples:
      lossbench stop @last
      lossbench stop --where "preset = 'cifar100-resnet18' and status = 'running'"
    """
    from lossbench.processes import terminate
    from lossbench.store import Selection, queries

    with reading(home) as store:
        ids = pick(store, runs, where)
        states = {row.run_id: row for row in queries.runs(store, Selection(runs=tuple(ids)))}
        identities = queries.provenances(store, Selection(runs=tuple(ids)))
    stopped, problems = 0, []
    # A cohort is one process: it is asked once, for a second signal would stop it at once.
    asked: set[object] = set()
    for run_id in ids:
        row, identity = states.get(run_id), identities.get(run_id, {})
        if row is None or row.status != "running":
            problems.append(f"run {run_id} is {row.status if row else 'removed'}, not running")
        elif identity.get("pid") in asked or terminate(identity):
            asked.add(identity.get("pid"))
            stopped += 1
        else:
            problems.append(f"run {run_id} belongs to {row.host}, where it has to be stopped")
    if stopped:
        note(f"asked {stopped} of {len(ids)} run{'' if len(ids) == 1 else 's'} to stop after the present batch")
    if problems:
        raise LossbenchError("\n".join(problems))
