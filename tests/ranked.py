"""The ranks of training programs, for `test_ranks`: `python ranked.py FOLDER SIZE...`, one program for each size.

Every rank trains every case of `cases.pickle`, and writes its records and its last state to `<size>-<rank>.pt`. Ranks
are forked, so that torch is imported once; no thread is ever started in their parent.
"""

import os
import pickle
import socket
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


def be(rank, size, port, folder):
    place = {"RANK": rank, "WORLD_SIZE": size, "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": port}
    os.environ |= {name: str(value) for name, value in place.items()}
    cases = pickle.loads((folder / "cases.pickle").read_bytes())
    store, *_ = next(rendezvous("env://"))
    outcome = {}
    for name, case in cases.items():
        dataset = data.load(case["spec"].preset.data, folder)
        with joined(PrefixStore(name, store), World(rank, size, case["largest"]), cuda=False) as world:
            outcome[name] = train(case, dataset, world)
    torch.save(outcome, folder / f"{size}-{rank}.pt")


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def main() -> None:
    torch.set_num_threads(1)
    folder, *sizes = sys.argv[1:]
    for size in map(int, sizes):
        port = free_port()
        ranks = []
        for rank in range(size):
            if (child := os.fork()) == 0:
                be(rank, size, port, Path(folder))
                os._exit(0)
            ranks.append(child)
        statuses = [os.waitpid(rank, 0)[1] for rank in ranks]
        if any(statuses):
            raise SystemExit(1)


if __name__ == "__main__":
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    main()
