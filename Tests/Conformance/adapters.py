"""Adapters beside those that PEFT saved: of llama.cpp and mlx-lm in `merge`, renumbered by `cut`, of experts, taken out of two models by `extract`."""

import adaptercuts
import adapterexperts
import adapterextract
import adaptermodels
import adapterpeers


def check(checks):
    with adaptermodels.workplace() as (work, bases):
        for name in ("peers", "cuts", "experts", "extract"):
            (work / name).mkdir()
        adapterpeers.check(checks, work / "peers")
        adaptercuts.check(checks, bases, work / "cuts")
        adapterexperts.check(checks, bases, work / "experts")
        adapterextract.check(checks, bases, work / "extract")
