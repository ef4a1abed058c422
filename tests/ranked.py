"""One rank of a training program, for `test_ranks`: `python ranked.py FOLDER`, under the environment of a rank.

Trains every case of `cases.pickle`, and writes its records and its last state to `<size>-<rank>.pt`.
"""

import os
import pickle
import sys
from pathlib import Path

import torch
from torch.distributed import PrefixStore, rendezvous

from lossbench import data
from lossbench.ranks import World, joined
from lossbench.trainer import Trainer


def train(case, dataset, world):
    trainer = Trainer(case["spec"], dataset, device="cpu", world=world)
    if case["state"] is not None:
        trainer.load(case["state"])
    records = [record[0].values for record in trainer.epochs()]
    return {"records": records, "state": trainer.state()}


def main() -> None:
    torch.set_num_threads(1)
    folder = Path(sys.argv[1])
    cases = pickle.loads((folder / "cases.pickle").read_bytes())
    store, rank, size = next(rendezvous("env://"))
    outcome = {}
    for name, case in cases.items():
        dataset = data.load(case["spec"].preset.data, folder)
        with joined(PrefixStore(name, store), World(rank, size, case["largest"]), cuda=False) as world:
            outcome[name] = train(case, dataset, world)
    torch.save(outcome, folder / f"{size}-{rank}.pt")


if __name__ == "__main__":
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    main()
