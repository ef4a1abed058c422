"""Which loss is better, by how much, and how sure that is. Decides; does not print."""

from lossbench.compare.check import check
from lossbench.compare.losses import compare_losses
from lossbench.compare.values import Across, Arm, Comparison, Contrast, Panel, Ranking, Rules, Verdict

__all__ = ["Across", "Arm", "Comparison", "Contrast", "Panel", "Ranking", "Rules", "Verdict", "check", "compare_losses"]
