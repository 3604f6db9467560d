"""What every training shares: a network in its memory format, an optimiser, and the logging of a loss."""

import copy
import math
from collections.abc import Callable, Iterable, Mapping
from typing import Any, NotRequired, TypedDict, Unpack

import torch
from lightning import LightningModule
from torch import Tensor, nn
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LambdaLR, LRScheduler
from torchmetrics import MetricCollection
from torchmetrics.image import PeakSignalNoiseRatio, StructuralSimilarityIndexMeasure

_STEPS_TO_AGREE = 50  # where nothing is logged


class Training(TypedDict):
    """How a network is trained: the arguments that every system passes on to `System`."""

    optimizer: Callable[[Iterable[nn.Parameter]], Optimizer]
    scheduler: Callable[[Optimizer], LRScheduler] | None  # stepped every step; None keeps the rate
    channels_last: bool  # of weights and activations; faster with bf16
    compiled: bool  # before the first step, with `torch.compile`
    average: NotRequired[float | None]  # decay, as 0.999, of a mean of the weights: what is validated and saved


class System(LightningModule):
    """One network that is trained as `Training` says; what a step is, each subclass says.

    Attributes:
        asked_to_stop: whether this process was, which it tells the others at the next step that is logged.
        stopping: whether any was, at a step that is logged; the same in all processes.

    A term of the loss that is not finite is a FloatingPointError, which names it and the step.
    """

    def __init__(self, network: nn.Module, **training: Unpack[Training]) -> None:
        super().__init__()
        self.build_optimizer, self.build_scheduler = training["optimizer"], training["scheduler"]
        self.memory_format = torch.channels_last if training["channels_last"] else torch.contiguous_format
        self.network = network.to(memory_format=self.memory_format)
        self.decay = training.get("average")
        if self.decay is not None and not 0 < self.decay < 1:
            raise ValueError(f"expected system.average between 0 and 1, or null, got {self.decay}")
        self.asked_to_stop = self.stopping = False
        self.average = None if self.decay is None else copy.deepcopy(self.network).requires_grad_(False)
        if training["compiled"]:
            self.network.compile()  # in place: the keys of the state dict stay as they are

    @property
    def trained(self) -> nn.Module:
        """The network as it is validated, sampled and saved."""
        return self.network if self.average is None else self.average

    def optimizer_step(self, *args: Any, **options: Any) -> None:  # noqa: ANN401 (Lightning's signature)
        """Step, and let the average follow."""
        super().optimizer_step(*args, **options)
        if self.average is not None and self.decay is not None:
            with torch.no_grad():
                states = self.average.state_dict(), self.network.state_dict()
                for mean, value in zip(*(state.values() for state in states), strict=True):
                    if mean.is_floating_point():
                        mean.lerp_(value, 1 - self.decay)
                    else:
                        mean.copy_(value)  # a count

    def on_train_start(self) -> None:
        """Let chance differ between processes, which were all given one seed: their photographs differ, too."""
        torch.manual_seed(torch.initial_seed() + self.global_rank)

    def log_training(self, terms: Mapping[str, Tensor], *, weights: Mapping[str, float] | None = None) -> Tensor:
        """Log the terms of a step's loss and return their sum, with these weights if any.

        What is logged every `log_every_n_steps` is the mean of all processes, which agree there on whether to stop; the
        steps between have no other collective than the gradients'.
        """
        total = _total(terms, weights)
        asked = total.new_full((), float(self.asked_to_stop))
        found = torch.stack([*terms.values(), total, asked]).detach()
        every = self.trainer.log_every_n_steps or _STEPS_TO_AGREE  # type: ignore[attr-defined]
        together = self.trainer.world_size > 1 and (self.global_step + 1) % every == 0
        if together:
            torch.distributed.all_reduce(found)  # Lightning's own reduction has a barrier before it
            found /= self.trainer.world_size
        *means, asked = found.cpu()  # the only time that a step waits for a GPU
        self.stopping = together and bool(asked)
        values = dict(zip([*terms, "loss"], means, strict=True))
        for name, value in values.items():
            if not value.isfinite():
                raise FloatingPointError(f"loss term '{name}' became {value.item()} at step {self.global_step}")
        self.log_dict({f"train/{name}": value for name, value in values.items()})
        return total

    def log_validation(
        self, terms: Mapping[str, Tensor], *, count: int, weights: Mapping[str, float] | None = None
    ) -> None:
        """Log the terms of a batch of so many held-out photographs, and their sum, as means on every rank alike."""
        named = {**terms, "loss": _total(terms, weights)}
        # Processes may have different numbers of photographs; the mean of whole numbers would be cut to a whole one.
        weight: Any = float(count)
        self.log_dict({f"val/{name}": value for name, value in named.items()}, batch_size=weight, sync_dist=True)

    def configure_optimizers(self) -> Any:  # noqa: ANN401 (one of seven shapes, says Lightning)
        """Build the optimiser over the network's parameters that are not frozen; a schedule is stepped every step."""
        optimizer = self.build_optimizer(p for p in self.network.parameters() if p.requires_grad)
        if self.build_scheduler is None:
            return optimizer
        schedule = {"scheduler": self.build_scheduler(optimizer), "interval": "step"}
        return {"optimizer": optimizer, "lr_scheduler": schedule}


def _total(terms: Mapping[str, Tensor], weights: Mapping[str, float] | None) -> Tensor:
    return torch.stack([value * weights[name] if weights else value for name, value in terms.items()]).sum()


def image_metrics(data_range: float) -> MetricCollection:
    """PSNR and SSIM of validation images."""
    psnr = PeakSignalNoiseRatio(data_range=data_range, dim=(1, 2, 3))
    ssim = StructuralSimilarityIndexMeasure(data_range=data_range)
    return MetricCollection({"psnr": psnr, "ssim": ssim}, prefix="val/", compute_groups=False)


def warm_up_cosine(optimizer: Optimizer, *, steps: int, warm_up: float) -> LambdaLR:
    """Let the rate rise in a line to the optimiser's own, then fall along a cosine to a hundredth of it.

    It is a function of the step, so that a run can be made longer; `warm_up` is the part of all steps that it rises in.
    """
    if not 0 <= warm_up < 1:
        raise ValueError(f"expected system.scheduler.warm_up of 0 to below 1, got {warm_up}")
    rising = round(warm_up * steps)

    def factor(step: int) -> float:
        if step < rising:
            return (step + 1) / (rising + 1)
        part = min(1.0, (step - rising) / (steps - rising))
        return 0.01 + 0.99 * (1 + math.cos(math.pi * part)) / 2

    return LambdaLR(optimizer, factor)
