"""A GPU that is not there: tensors that claim to lie on one, what its kernels demand, and each wait for it."""

from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from random import Random
from typing import Any
from unittest.mock import patch

import torch
from torch import Tensor, nn
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

_aten = torch.ops.aten
_OF_UNKNOWN_SIZE = {_aten.nonzero.default, _aten.masked_select.default, _aten.equal.default}


class Kernels(TorchDispatchMode):
    """Demands what CUDA's kernels demand and shapes alone do not show, and notes where the host waits for them."""

    def __init__(self) -> None:
        super().__init__()
        self.waits: list[str] = []
        self.values = Random(0)

    def __torch_dispatch__(self, func: Any, types: Any, args: Sequence[Any] = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        if torch.is_inference_mode_enabled() and func.namespace == "aten":  # it hands over what is several kernels
            with self:
                if (result := func.decompose(*args, **kwargs)) is not NotImplemented:
                    return result
        given = [x for x in tree_leaves(args) if isinstance(x, Tensor)]
        on_gpu = any(x.is_cuda for x in given)
        if func in (_aten.native_group_norm.default, _aten.convolution.default):
            assert len({x.dtype for x in given}) == 1, f"{func} wants one dtype, got {[x.dtype for x in given]}"
        if func is _aten._local_scalar_dense.default:  # a fake tensor has no values: some that may be
            if on_gpu:
                self.waits.append(str(func))
            dtype = args[0].dtype
            return self.values.random() if dtype.is_floating_point else dtype == torch.bool or 0
        indices = [x for x in args[1] if x is not None] if func is _aten.index.Tensor else []
        result = func(*args, **kwargs)
        found = [x for x in tree_leaves(result) if isinstance(x, Tensor)]
        copied = func in (_aten._to_copy.default, _aten.copy_.default) and not kwargs.get("non_blocking")
        if (
            (copied and len({x.device.type for x in [*given, *found]}) > 1)
            or (on_gpu and func in _OF_UNKNOWN_SIZE)
            or (on_gpu and any(x.dtype == torch.bool or not x.is_cuda for x in indices))
        ):
            self.waits.append(str(func))
        return result


@contextmanager
def fake_gpu() -> Iterator[Kernels]:
    """Let `device="cuda"` be used; forward passes alone, since autograd's engine does not start without a device."""
    with ExitStack() as stack:
        for patched in (
            patch.object(nn.Module, "_apply", _apply),
            patch("torch.cuda.amp.common.amp_definitely_not_available", lambda: False),
            patch.object(torch.cuda, "is_bf16_supported", lambda *a, **k: True),
            patch.object(torch.cuda, "get_device_name", lambda *a: "NVIDIA H100"),
            patch.object(torch.autograd, "grad", lambda total, inputs, *a: [torch.empty_like(x) for x in _all(inputs)]),
        ):
            stack.enter_context(patched)
        stack.enter_context(FakeTensorMode(allow_non_fake_inputs=True))
        yield stack.enter_context(Kernels())


def on_gpu(module: nn.Module) -> Any:
    """Put a module's parameters and buffers there."""
    return module._apply(lambda x: torch.empty_strided(x.size(), x.stride(), dtype=x.dtype, device="cuda"))


def _all(inputs: Tensor | Sequence[Tensor]) -> Sequence[Tensor]:
    return [inputs] if isinstance(inputs, Tensor) else inputs


def _apply(self: nn.Module, fn: Any, recurse: bool = True) -> nn.Module:
    """Wrap anew: a fake tensor cannot take a real one's place."""
    for child in self.children():
        child._apply(fn)
    for name, value in self._parameters.items():
        if value is not None:
            self._parameters[name] = nn.Parameter(fn(value.detach()), requires_grad=value.requires_grad)
    for name, buffer in self._buffers.items():
        self._buffers[name] = None if buffer is None else fn(buffer)
    return self
