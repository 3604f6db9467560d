"""The eager engine on a GPU that is not there (`fake_gpu`)."""

from importlib import import_module
from typing import Any

import pytest
import torch
from fake_gpu import fake_gpu
from small_networks import KINDS, small

from impasto.engines import eager
from impasto.networks.rewriting import rewritten


@pytest.mark.parametrize("precision", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("kind", KINDS)
def test_a_network_runs_there_and_its_results_come_back(
    kind: str, precision: torch.dtype, monkeypatch: pytest.MonkeyPatch
) -> None:
    trained = small(kind)
    module: Any = import_module("impasto.engines.engines")
    ready = module._lowered(rewritten(trained.network), precision)  # copies of fake tensors have no storage
    monkeypatch.setattr(module, "rewritten", lambda network: network)
    monkeypatch.setattr(module, "_lowered", lambda *_: ready)
    with fake_gpu() as kernels:
        run = eager(trained, precision=precision, device="cuda")
        kernels.waits.clear()
        photo = torch.empty(1, 1 if kind == "colorizer" else 3, 48, 64)
        found: Any = run(photo)
        results = [x for x in (found if isinstance(found, tuple) else (found,)) if x is not None]
        assert all(x.device.type == "cpu" and x.dtype == torch.float32 for x in results)
        inputs = 2 if kind == "colorizer" else 1
        assert len(kernels.waits) == inputs + len(results)
