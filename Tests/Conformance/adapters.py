"""Adapters beside those that PEFT saved: of llama.cpp and mlx-lm in `merge`, renumbered by `cut`, of experts in all their forms, taken out of two models by `extract`."""

import adaptercuts
import adapterexperts
import adapterextract
import adaptermodels
import adapterpeers
import adapterstacks


def check(checks):
    with adaptermodels.workplace() as (work, bases):
        for name in ("peers", "cuts", "experts", "stacks", "extract"):
            (work / name).mkdir()
        adapterpeers.check(checks, work / "peers")
        adaptercuts.check(checks, bases, work / "cuts")
        adapterexperts.check(checks, bases, work / "experts")
        adapterstacks.check(checks, bases, work / "stacks")
        adapterextract.check(checks, bases, work / "extract")
