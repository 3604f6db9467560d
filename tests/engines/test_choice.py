"""engine=auto: the fastest that agrees, measured once; what is not worth trying is not tried."""

import json
import logging
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import torch
from small_networks import small
from torch import Tensor

from impasto.engines import Auto, Candidate, Run, eager
from impasto.engines import choice as module
from impasto.networks import Trained


class _Fake:
    """An engine that adds something to what eager gives, and says how long it took."""

    def __init__(self, seconds: float, *, gap: float = 0.0, error: Exception | None = None) -> None:
        self.seconds, self.gap, self.error, self.built = seconds, gap, error, 0

    def __call__(self, trained: Trained, *, precision: torch.dtype | None, device: str) -> Run:
        self.built += 1
        if self.error is not None:
            raise self.error
        run = eager(trained, precision=torch.float32, device=device)

        def faked(*inputs: Tensor) -> Tensor:
            result: Tensor = run(*inputs)
            return result + self.gap / 255

        faked.seconds = self.seconds  # type: ignore[attr-defined]
        return faked


@pytest.fixture(autouse=True)
def _own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setattr(module, "_seconds", lambda run, inputs, device: run.seconds)


def _auto(engines: Mapping[str, _Fake], *, starts: Mapping[str, float] | None = None, photographs: int = 1000) -> Auto:
    candidates = {name: Candidate(engine, (starts or {}).get(name, 0.0)) for name, engine in engines.items()}
    return Auto(candidates=candidates, mean=1.0, largest=8.0, photographs=photographs)


def _choose(auto: Auto, precision: torch.dtype | None = torch.float32) -> Any:
    return auto(small("stylizer"), precision=precision, device="cpu")


def test_the_fastest_is_chosen_and_said(caplog: pytest.LogCaptureFixture) -> None:
    engines = {"eager": _Fake(1.0), "openvino": _Fake(0.2), "onnxruntime": _Fake(0.5)}
    with caplog.at_level(logging.INFO):
        assert _choose(_auto(engines)).seconds == 0.2
    assert (
        "engine: openvino fp32 (deviates by 0.00 grey levels in the mean, 0.0 at most, 5.0 times as fast" in caplog.text
    )


@pytest.mark.parametrize("gap", [1.5, -20.0, float("nan")])
def test_one_that_does_not_agree_is_not_chosen(gap: float) -> None:
    engines = {"eager": _Fake(1.0), "openvino": _Fake(0.2, gap=gap)}
    assert _choose(_auto(engines)).seconds == 1.0


@pytest.mark.parametrize("error", [ImportError("no"), ValueError("cannot"), RuntimeError("out of order")])
def test_one_that_is_missing_or_cannot_is_passed_over(error: Exception) -> None:
    engines = {"eager": _Fake(1.0), "openvino": _Fake(0.2, error=error)}
    assert _choose(_auto(engines)).seconds == 1.0


def test_what_was_measured_is_remembered() -> None:
    engines = {"eager": _Fake(1.0), "openvino": _Fake(0.2)}
    _choose(_auto(engines))
    assert [engine.built for engine in engines.values()] == [1, 2]  # both tried, one then prepared
    _choose(_auto(engines))
    assert [engine.built for engine in engines.values()] == [1, 3]


def test_a_broken_memory_is_made_again(tmp_path: Path) -> None:
    engines = {"eager": _Fake(1.0)}
    _choose(_auto(engines))
    (file,) = (tmp_path / "impasto" / "engines").iterdir()
    rows = json.loads(file.read_text())
    assert [row["name"] for row in rows] == ["eager"]
    for content in ("{", "[1]", '[{"name": "eager"}]'):
        file.write_text(content)
        assert _choose(_auto(engines)).seconds == 1.0
        assert json.loads(file.read_text())[0]["name"] == "eager"


def test_a_slow_start_is_for_many_photographs_only() -> None:
    starts = {"compiled": 30.0}
    engines = {"eager": _Fake(1.0), "compiled": _Fake(0.2)}
    assert _choose(_auto(engines, starts=starts, photographs=1)).seconds == 1.0
    assert engines["compiled"].built == 0
    assert _choose(_auto(engines, starts=starts, photographs=1000)).seconds == 0.2


def test_none_that_agrees_is_one_sentence() -> None:
    with pytest.raises(ValueError, match="none of openvino computes this network as eager fp32 does"):
        _choose(_auto({"openvino": _Fake(0.2, gap=3.0)}))


def test_precisions_are_chosen_too_where_none_is_given(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "computes_bf16", lambda device: True)
    engine = _Fake(1.0)
    _choose(_auto({"eager": engine}), precision=None)
    assert engine.built == 3  # float32, bfloat16, and the one that was chosen


def test_another_gpu_is_measured_anew(monkeypatch: pytest.MonkeyPatch) -> None:
    names = []
    for name in ("NVIDIA H100", "NVIDIA T4", "NVIDIA H100"):
        monkeypatch.setattr(torch.cuda, "get_device_name", lambda device, name=name: name)
        names.append(_auto({})._machine("cuda:1"))
    assert names[0] == names[2] != names[1]
