"""From the options of where cells run to the executor that runs them."""

from dataclasses import replace
from typing import TYPE_CHECKING

from lossbench.cli.options import How, Where
from lossbench.errors import UsageError

if TYPE_CHECKING:
    from lossbench.executors import Executor, Settings

__all__ = ["executor_for", "workers_of"]

WORKER_MIB = 300
"""What a worker process keeps to itself once PyTorch is loaded; the libraries are shared."""


def executor_for(where: Where, how: How, settings: "Settings") -> "Executor":
    """The executor that was asked for; one for a single process where the number is yet to be chosen.

    Raises:
        UsageError: options that do not go together, or a place that is not there.
    """
    from lossbench.executors import Inline, Pool, Ranks, launched, parse_gpus

    if where.engine == "slurm":
        raise UsageError("--engine slurm submits the cells of a plain `sweep`; for others use --emit-commands")
    devices = _devices(where, how)
    if where.slurm:
        raise UsageError(f"--slurm {where.slurm[0]} is for jobs of SLURM; add --engine slurm")
    if where.engine == "ray":
        return _ray(where, how, settings)
    if where.address is not None:
        raise UsageError(f"--address {where.address} is that of a Ray cluster; add --engine ray")
    workers = workers_of(where)
    _refuse_more_than_memory(max(workers, devices if launched() is None else 1))
    if devices > 1:
        return Ranks(settings, devices=devices)
    if where.gpus is None:
        if where.jobs_per_gpu > 1:
            raise UsageError("--jobs-per-gpu says how many cells share each GPU; name the GPUs too: --gpus 0,1")
        return Pool(settings, workers=workers) if workers > 1 else Inline(settings)
    if where.jobs != "1":
        raise UsageError("--jobs and --gpus both say how many workers there are; give --gpus and --jobs-per-gpu")
    if settings.device not in ("auto", "cuda"):
        raise UsageError(f"--device {settings.device} and --gpus {where.gpus} do not go together; leave one out")
    gpus = parse_gpus(where.gpus)
    return Pool(replace(settings, device="cuda"), workers=len(gpus) * where.jobs_per_gpu, gpus=gpus)


def _devices(where: Where, how: How) -> int:
    """How many devices each network is to be trained on.

    Raises:
        UsageError: options that do not go together, or a process that only follows another one.
    """
    from lossbench.executors import launched

    launch = launched()
    if launch is not None and launch.rank:
        raise UsageError("torchrun starts `run` and `sweep`; this command trains in one process")
    devices = launch.size if launch else how.devices or 1
    if launch and how.devices not in (None, launch.size):
        raise UsageError(f"--devices {how.devices}: torchrun has started {launch.size} processes; leave --devices out")
    if devices > 1 and (where.engine != "local" or where.gpus is not None or where.jobs != "1"):
        raise UsageError("a network on several devices takes them all; leave out --engine, --gpus and --jobs")
    return devices


def _ray(where: Where, how: How, settings: "Settings") -> "Executor":
    if where.gpus is not None or where.jobs != "1":
        raise UsageError("Ray decides how many cells run where; leave out --gpus and --jobs")
    try:
        from lossbench.executors.ray import Ray
    except ModuleNotFoundError:
        raise UsageError("--engine ray needs an extra that is not installed: pip install 'lossbench[ray]'") from None
    return Ray(settings, address=where.address, data_dir=how.data_dir, cells_per_gpu=where.jobs_per_gpu)


def workers_of(where: Where) -> int:
    """How many processes are asked for; one where the number is yet to be chosen.

    Raises:
        UsageError: the text is neither a number from 1 on nor auto.
    """
    if where.jobs == "auto":
        return 1
    if not where.jobs.isdecimal() or not int(where.jobs):
        raise UsageError(f"--jobs {where.jobs}: write a number from 1 on, or auto")
    return int(where.jobs)


def _refuse_more_than_memory(jobs: int) -> None:
    """
    Raises:
        UsageError: so many worker processes cannot be in memory together, whatever they train.
    """
    from lossbench.memory import available_mib

    free = available_mib()
    if free is not None and jobs > 1 and jobs * WORKER_MIB > free:
        raise UsageError(
            f"{jobs} jobs need {jobs * WORKER_MIB / 1024:,.1f} GiB of memory before they train anything, and "
            f"{free / 1024:,.1f} GiB are free; at most {max(1, int(free // WORKER_MIB))} fit"
        )
