"""engine=auto: the first of the installed engines that agrees with eager float32; a file is made for many only."""

import logging
from pathlib import Path
from typing import Any

import pytest
import torch
from small_networks import small
from torch import Tensor

from impasto.engines import Run, auto, eager
from impasto.engines import engines as module
from impasto.engines.export import onnx_file
from impasto.networks import Trained


class _Fake:
    """An engine that adds something to what eager gives."""

    def __init__(self, *, gap: float = 0.0, error: Exception | None = None) -> None:
        self.gap, self.error = gap, error

    def __call__(self, trained: Trained, *, precision: torch.dtype | None, device: str) -> Run:
        if self.error is not None:
            raise self.error
        run = eager(trained, precision=torch.float32, device=device)

        def faked(*inputs: Tensor) -> Tensor:
            result: Tensor = run(*inputs)
            return result + self.gap / 255

        return faked


@pytest.fixture(autouse=True)
def _own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))


def _chosen(monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, **engines: Any) -> str:
    monkeypatch.setattr(module, "_ON_CPU", engines)
    with caplog.at_level(logging.INFO):
        auto(small("stylizer"), precision=torch.float32, device="cpu", photographs=1000)
    return caplog.messages[-1].removeprefix("engine: ")


def test_the_first_is_chosen_and_said(monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> None:
    assert _chosen(monkeypatch, caplog, openvino=_Fake(), onnxruntime=_Fake()) == "openvino fp32"


@pytest.mark.parametrize("gap", [1.5, -20.0, float("nan")])
def test_one_that_does_not_agree_is_not_chosen(
    gap: float, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    assert _chosen(monkeypatch, caplog, openvino=_Fake(gap=gap), onnxruntime=_Fake()) == "onnxruntime fp32"


@pytest.mark.parametrize("error", [ImportError("no"), ValueError("cannot"), RuntimeError("out of order")])
def test_one_that_is_missing_or_cannot_is_passed_over(
    error: Exception, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    assert _chosen(monkeypatch, caplog, openvino=_Fake(error=error)) == "eager fp32"


@pytest.mark.slow
def test_a_single_photograph_uses_an_exported_file_but_does_not_wait_for_one(caplog: pytest.LogCaptureFixture) -> None:
    pytest.importorskip("onnxscript")
    pytest.importorskip("onnxruntime")
    with caplog.at_level(logging.INFO):
        auto(small("stylizer"), precision=torch.float32, device="cpu", photographs=1)
        onnx_file(small("stylizer"))
        auto(small("stylizer"), precision=torch.float32, device="cpu", photographs=1)
    assert caplog.messages[0] == "engine: eager fp32"
    assert caplog.messages[-1] != "engine: eager fp32"
