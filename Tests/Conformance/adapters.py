"""Adapters beside those that PEFT saved: of llama.cpp and mlx-lm in `merge`, renumbered by `cut`, taken out of two models by `extract`."""

import pathlib

import torch

import adaptercuts
import adapterextract
import adaptermodels
import adapterpeers
from tools import folder


def check(checks):
    adaptermodels.quiet()
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        with folder() as work:
            work = pathlib.Path(work)
            bases = adaptermodels.Bases(work)
            for name in ("peers", "cuts", "extract"):
                (work / name).mkdir()
            adapterpeers.check(checks, work / "peers")
            adaptercuts.check(checks, bases, work / "cuts")
            adapterextract.check(checks, bases, work / "extract")
    finally:
        torch.set_num_threads(threads)
