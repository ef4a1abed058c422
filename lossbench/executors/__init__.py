"""Where work runs: in this process, or in a pool of worker processes.

An executor is given groups of cells and yields their events. Every event is in a journal before it is yielded, so the
stream is for people; losing its reader loses a progress bar and nothing else.
"""

from lossbench.executors.inline import Inline
from lossbench.executors.pool import Pool, parse_gpus
from lossbench.executors.work import Executor, Group, Settings

__all__ = ["Executor", "Group", "Inline", "Pool", "Settings", "parse_gpus"]
