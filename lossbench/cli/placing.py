"""From the options of where cells run to the executor that runs them."""

from dataclasses import replace
from typing import TYPE_CHECKING

from lossbench.cli.options import How, Where
from lossbench.errors import UsageError

if TYPE_CHECKING:
    from lossbench.executors import Executor, Settings

__all__ = ["executor_for"]


def executor_for(where: Where, how: How, settings: "Settings") -> "Executor":
    """The executor that was asked for.

    Raises:
        UsageError: options that do not go together, or a place that is not there.
    """
    from lossbench.executors import Inline, Pool, parse_gpus

    if where.engine == "slurm":
        raise UsageError("--engine slurm submits the cells of a plain `sweep`; for others use --emit-commands")
    if where.slurm:
        raise UsageError(f"--slurm {where.slurm[0]} is for jobs of SLURM; add --engine slurm")
    if where.engine == "ray":
        return _ray(where, how, settings)
    if where.address is not None:
        raise UsageError(f"--address {where.address} is that of a Ray cluster; add --engine ray")
    if where.gpus is None:
        if where.jobs_per_gpu > 1:
            raise UsageError("--jobs-per-gpu says how many cells share each GPU; name the GPUs too: --gpus 0,1")
        return Pool(settings, workers=where.jobs) if where.jobs > 1 else Inline(settings)
    if where.jobs > 1:
        raise UsageError("--jobs and --gpus both say how many workers there are; give --gpus and --jobs-per-gpu")
    if settings.device not in ("auto", "cuda"):
        raise UsageError(f"--device {settings.device} and --gpus {where.gpus} do not go together; leave one out")
    gpus = parse_gpus(where.gpus)
    return Pool(replace(settings, device="cuda"), workers=len(gpus) * where.jobs_per_gpu, gpus=gpus)


def _ray(where: Where, how: How, settings: "Settings") -> "Executor":
    if where.gpus is not None or where.jobs > 1:
        raise UsageError("Ray decides how many cells run where; leave out --gpus and --jobs")
    try:
        from lossbench.executors.ray import Ray
    except ModuleNotFoundError:
        raise UsageError("--engine ray needs an extra that is not installed: pip install 'lossbench[ray]'") from None
    return Ray(settings, address=where.address, data_dir=how.data_dir, cells_per_gpu=where.jobs_per_gpu)
