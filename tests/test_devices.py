"""The device a run computes on."""

import time

import torch

from lossbench.devices import Idle


def test_only_the_making_of_things_counts_as_waiting_for_them():
    def slow():
        for number in range(3):
            time.sleep(0.02)
            yield number

    idle = Idle(torch.device("cpu"))
    began = time.perf_counter()
    seen = []
    for number in idle.awaiting(slow()):
        seen.append(number)
        time.sleep(0.05)
    assert seen == [0, 1, 2]
    assert 3 * 0.02 <= idle.seconds <= time.perf_counter() - began - 3 * 0.05
