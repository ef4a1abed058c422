"""Where work runs: in this process, in a pool of worker processes, or one network on several devices.

An executor is given groups of cells and yields their events. Every event is in a journal before it is yielded, so the
stream is for people; losing its reader loses a progress bar and nothing else.
"""

from lossbench.executors.inline import Inline
from lossbench.executors.pool import Pool, parse_gpus
from lossbench.executors.ranks import Ranks, assist, launched, leading
from lossbench.executors.work import Executor, Group, Settings

__all__ = ["Executor", "Group", "Inline", "Pool", "Ranks", "Settings", "assist", "launched", "leading", "parse_gpus"]
