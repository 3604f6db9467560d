"""Every engine gives what eager float32 gives, for every kind of network, in several sizes; what it cannot is said."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from small_networks import KINDS, small
from torch import Tensor

from impasto.engines import ENGINES, eager, form_of, onnxruntime
from impasto.networks import Prediction, Trained
from impasto.trained import load_shipped

pytestmark = pytest.mark.slow

LIBRARIES = ("onnxruntime", "openvino")
SIZES = [(1, 48, 64), (2, 40, 56)]
SHIPPED = [
    ("stylizer", "starry_night"),
    ("colorizer", "scenes"),
    ("upscaler", "x4_feature"),
]


def _as_trained(trained: Trained, *inputs: Tensor) -> list[Tensor]:
    with torch.inference_mode():
        return _tensors(trained.network(*inputs))


def _tensors(result: Tensor | Prediction) -> list[Tensor]:
    return [result] if isinstance(result, Tensor) else [x for x in result if x is not None]


def _image(trained: Trained, count: int, height: int, width: int) -> Tensor:
    return form_of(trained.network).examples(count, height, width)[0]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("engine", ["eager", "openvino"])  # ONNX Runtime: tests/engines/test_export.py
def test_engines_agree_with_the_network_as_it_was_trained(engine: str, kind: str) -> None:
    trained = small(kind)
    run = ENGINES[engine](trained, precision=torch.float32, device="cpu")
    for size in SIZES:
        image = _image(trained, *size)
        for ours, theirs in zip(_tensors(run(image)), _as_trained(trained, image), strict=True):
            torch.testing.assert_close(ours, theirs, rtol=1e-3, atol=5e-4)


@pytest.mark.parametrize(("system", "name"), SHIPPED)
@pytest.mark.parametrize("engine", ["eager", *LIBRARIES])
def test_shipped_networks_run_on_every_engine(engine: str, system: str, name: str) -> None:
    trained = load_shipped(name, system=system)
    run = ENGINES[engine](trained, precision=torch.float32, device="cpu")
    image = _image(trained, 1, 40, 56)
    gap = 255 * (_tensors(run(image))[0] - _as_trained(trained, image)[0]).abs()
    assert gap.mean() < 0.05 and gap.max() < 0.5  # grey levels


def test_a_compiled_network_agrees() -> None:
    """A single layer: compiling a network takes a minute. The benchmark compiles whole ones, and compares."""
    trained = Trained(torch.nn.Conv2d(3, 3, 3, padding=1).eval(), {})
    run = ENGINES["compiled"](trained, precision=torch.float32, device="cpu")
    image = torch.rand(1, 3, 24, 32)
    torch.testing.assert_close(run(image), _as_trained(trained, image)[0], rtol=1e-3, atol=1e-5)


@pytest.mark.parametrize("kind", KINDS)
def test_what_is_compiled_is_what_eager_computes(kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("torch.compile", lambda module: module)
    trained = small(kind)
    image = _image(trained, *SIZES[0])
    found, expected = (
        _tensors(ENGINES[engine](trained, precision=torch.float32, device="cpu")(image))[0]
        for engine in ("compiled", "eager")
    )
    assert torch.equal(found, expected)


@pytest.mark.parametrize("kind", KINDS)
def test_bfloat16_is_near(kind: str) -> None:
    trained = small(kind)
    image = _image(trained, *SIZES[0])
    expected = _as_trained(trained, image)[0]
    run = eager(trained, precision=torch.bfloat16, device="cpu")
    found = _tensors(run(image))[0]
    assert found.dtype == torch.float32 and (found - expected).abs().mean() < 0.02
    assert next(trained.network.parameters()).dtype == torch.float32  # a copy was lowered


@pytest.mark.parametrize("engine", ["eager", *LIBRARIES])
def test_a_colorizer_takes_the_global_features_of_another_photograph(engine: str) -> None:
    trained = small("colorizer")
    photo, other = torch.rand(1, 1, 48, 64), torch.rand(1, 1, 80, 32)
    run = ENGINES[engine](trained, precision=torch.float32, device="cpu")
    for ours, theirs in zip(_tensors(run(photo, other)), _as_trained(trained, photo, other), strict=True):
        torch.testing.assert_close(ours, theirs, rtol=1e-3, atol=5e-4)


@pytest.mark.parametrize("engine", LIBRARIES)
def test_engines_for_the_cpu_refuse_a_gpu(engine: str) -> None:
    with pytest.raises(ValueError, match=f"engine={engine} runs on the CPU; expected device=cpu, or engine=compiled"):
        ENGINES[engine](small("stylizer"), precision=None, device="cuda")


def test_onnxruntime_refuses_bfloat16() -> None:
    with pytest.raises(ValueError, match="engine=onnxruntime computes in float32 only; expected precision=fp32"):
        onnxruntime(small("stylizer"), precision=torch.bfloat16, device="cpu")


@pytest.mark.parametrize("engine", ["eager", *LIBRARIES])
def test_sides_that_are_no_multiples_are_refused(engine: str) -> None:
    run = ENGINES[engine](small("colorizer"), precision=torch.float32, device="cpu")
    with pytest.raises(
        ValueError, match=r"expected lightness \(N, 1, H, W\) with multiples of 8, got \(1, 1, 45, 51\)"
    ):
        run(torch.rand(1, 1, 45, 51))


def test_an_image_that_an_engine_refuses_is_named() -> None:
    run = onnxruntime(small("stylizer"), precision=torch.float32, device="cpu")
    with pytest.raises(ValueError, match=r"engine=onnxruntime refuses an image of 51 x 45 pixels: .*engine=eager may"):
        run(torch.rand(1, 5, 45, 51))


def test_a_file_of_an_export_is_for_other_engines(tmp_path: Path) -> None:
    trained = small("stylizer")._replace(exported=tmp_path / "x.onnx")
    with pytest.raises(ValueError, match="is an exported network; expected engine=onnxruntime or engine=openvino"):
        eager(trained, precision=None, device="cpu")


def test_a_network_that_cannot_be_compiled_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    class BackendError(Exception):
        pass

    BackendError.__module__ = "torch._inductor.exc"

    def fails(module: torch.nn.Module) -> torch.nn.Module:
        class Broken(torch.nn.Module):
            def forward(self, *inputs: Tensor) -> Tensor:
                raise BackendError("no g++\nfound")

        return Broken()

    monkeypatch.setattr("torch.compile", fails)
    run = ENGINES["compiled"](small("stylizer"), precision=torch.float32, device="cpu")
    with pytest.raises(
        ValueError, match=r"could not compile the network \(no g\+\+ found\); expected a C\+\+ compiler"
    ):
        run(torch.rand(1, 3, 16, 16))


def test_nothing_of_the_engines_is_imported_before_it_is_used() -> None:
    code = "import impasto.engines, json, sys; print(json.dumps([m for m in sys.modules if '.' not in m]))"
    told = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert not {"onnxruntime", "openvino", "onnxscript", "onnx"} & set(json.loads(told.stdout))
