"""What an engine computes of a network: tensors in, a tuple of tensors out; and files of that, ONNX or torch."""

import logging
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from impasto.networks import LightnessNetwork, Prediction
from impasto.suggest import did_you_mean

_TRACED = (2, 45, 70)  # N, height and width of what a network is traced with: nothing is 1, no side needs no padding


Run = Callable[..., Any]  # what a network is called with, and what it returns
Compute = Callable[..., tuple[Tensor, ...]]  # the tensors of a form


class Form(NamedTuple):
    """A network as an engine sees it."""

    module: nn.Module  # from the inputs to a tuple of the outputs
    inputs: tuple[str, ...] = ("image",)  # names; the first is (N, C, H, W), a second one has a fixed size
    outputs: tuple[str, ...] = ("result",)
    channels: int = 3  # of the first input
    multiple: int = 1  # of which its height and width must be multiples
    square: int | None = None  # side of the second input, (N, 1, square, square); None where there is none

    def examples(self, count: int, height: int, width: int) -> tuple[Tensor, ...]:
        """Inputs of a size, random from a fixed seed."""
        generator = torch.Generator().manual_seed(0)
        sizes = [(self.channels, height, width)] + ([(1, self.square, self.square)] if self.square else [])
        return tuple(torch.rand(count, *size, generator=generator) for size in sizes)


def form_of(network: nn.Module) -> Form:
    """Return the form of a network: images to images, or lightness to colour and scenes."""
    if not isinstance(network, LightnessNetwork):
        return Form(_Tuple(network))
    if network.global_size is None:
        return Form(_Tuple(network), ("lightness",), ("colour",), 1, network.MULTIPLE)
    inputs, outputs = ("lightness", "global_lightness"), ("colour", "logits")
    return Form(_Tuple(network), inputs, outputs, 1, network.MULTIPLE, network.global_size)


class _Tuple(nn.Module):  # no branch depends on a size
    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(self, image: Tensor, square: Tensor | None = None) -> tuple[Tensor, ...]:
        if not isinstance(self.network, LightnessNetwork):
            return (self.network(image),)
        colour, logits = self.network.predict(image, square)
        return (colour,) if logits is None else (colour, logits)


def as_called(network: nn.Module, compute: Compute) -> Run:
    """Return a function with the network's own arguments and results, of one from its form's inputs to its outputs."""
    if not isinstance(network, LightnessNetwork):
        return lambda image: compute(image)[0]

    def predict(lightness: Tensor, global_lightness: Tensor | None = None) -> Prediction:
        network.check(lightness, global_lightness)
        if network.global_size is None:
            return Prediction(compute(lightness)[0], None)
        square = network.square(lightness if global_lightness is None else global_lightness)
        return Prediction(*compute(lightness, square))

    return predict


class Format(NamedTuple):
    """A kind of file."""

    suffix: str
    write: Callable[[Form, Path], None]
    read: Callable[[Path], Compute]  # as a function of the form's tensors, on the CPU in float32


def write_onnx(form: Form, path: Path) -> None:
    """Write a form as ONNX; refuse an operation that its exporter does not know, by name."""
    import onnxscript  # noqa: F401 (torch would say much about its absence)

    with _exporting("onnx"):
        program = torch.onnx.export(
            form.module.eval(),
            _example(form),
            dynamo=True,
            dynamic_shapes=_dynamic(form),
            input_names=list(form.inputs),
            output_names=list(form.outputs),
            verbose=False,
        )
    assert program is not None
    program.save(path)


def read_onnx(path: Path) -> Compute:
    """Read an ONNX file with ONNX Runtime."""
    import onnxruntime as runtime

    options = runtime.SessionOptions()
    options.intra_op_num_threads = torch.get_num_threads()
    options.log_severity_level = 3  # errors; warnings are for programmers
    try:
        session = runtime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
    except Exception as error:  # ONNX Runtime's exceptions have no base of their own
        raise ValueError(f"{path} cannot be read by ONNX Runtime: {one_line(error)}") from error
    names = [entry.name for entry in session.get_inputs()]

    def compute(*inputs: Tensor) -> tuple[Tensor, ...]:
        given = {name: value.float().contiguous().numpy() for name, value in zip(names, inputs, strict=True)}
        try:
            results: Any = session.run(None, given)
        except Exception as error:
            raise refusal("onnxruntime", inputs[0], error) from error
        return tuple(torch.from_numpy(result) for result in results)

    return compute


def write_torch_export(form: Form, path: Path) -> None:
    """Write a form as `torch.export` does (.pt2); refuse an operation or a branch that cannot be exported, by name."""
    with _exporting("torch_export"):
        program = torch.export.export(form.module.eval(), _example(form), dynamic_shapes=_dynamic(form))
        torch.export.save(program, path)


def read_torch_export(path: Path) -> Compute:
    """Read a file that `write_torch_export` wrote."""
    with _quiet():
        module = torch.export.load(path).module()
    compute: Compute = torch.inference_mode()(module.forward)
    return compute


FORMATS = {
    "onnx": Format(".onnx", write_onnx, read_onnx),
    "torch_export": Format(".pt2", write_torch_export, read_torch_export),
}


def format_of(name: str) -> Format:
    """Return a format by its name."""
    if name not in FORMATS:
        raise ValueError(f"expected format={' or format='.join(FORMATS)}, got {name}{did_you_mean(name, FORMATS)}")
    return FORMATS[name]


def refusal(engine: str, image: Tensor, error: Exception) -> ValueError:
    """Say that an engine refused an image."""
    size = f"{image.shape[-1]} x {image.shape[-2]} pixels"
    return ValueError(f"engine={engine} refuses an image of {size}: {one_line(error)}; engine=eager may take it")


def one_line(error: Exception) -> str:
    """The message of an error as one line of at most 200 characters."""
    return " ".join(str(error).split())[:200]


def _dynamic(form: Form) -> tuple[dict[int, Any], ...]:
    """Any number of images, of any height and width that are multiples of what the network halves."""
    any_size: Any = torch.export.Dim.DYNAMIC
    sides = [any_size if form.multiple == 1 else form.multiple * torch.export.Dim(name) for name in ("h", "w")]
    return ({0: any_size, 2: sides[0], 3: sides[1]}, *[{0: any_size}] * (len(form.inputs) - 1))


def _example(form: Form) -> tuple[Tensor, ...]:
    count, *sides = _TRACED
    height, width = (-(-side // form.multiple) * form.multiple for side in sides)
    return form.examples(count, height, width)


@contextmanager
def _quiet() -> Iterator[None]:
    """Silence the exporters, which speak to programmers."""
    before = logging.root.manager.disable
    logging.disable(logging.WARNING)
    try:
        with warnings.catch_warnings(action="ignore"):
            yield
    finally:
        logging.disable(before)


@contextmanager
def _exporting(kind: str) -> Iterator[None]:
    """Export quietly, and say in one sentence which operation stood in the way."""
    try:
        with _quiet(), torch.no_grad():
            yield
    except Exception as error:
        causes: list[BaseException] = [error]
        while causes[-1].__cause__ is not None:
            causes.append(causes[-1].__cause__)
        reason = next((str(c) for c in reversed(causes) if "translating node" in str(c)), str(causes[-1]))
        raise ValueError(f"the network cannot be exported as {kind}: {' '.join(reason.split())[:300]}") from error
