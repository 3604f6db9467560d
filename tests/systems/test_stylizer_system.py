"""Tests of training a style network: two real steps, checkpoints without VGG, and resuming bit for bit."""

from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from lightning import Trainer
from lightning.pytorch.callbacks import LambdaCallback
from PIL import Image
from tiny import tiny_vgg
from torch import Tensor, nn
from torch.optim import Adam
from torch.optim.lr_scheduler import LRScheduler, OneCycleLR
from trainers import small_trainer

from impasto.data import Batch, CentreCrop, Photographs, RandomCrop
from impasto.images import from_uint8
from impasto.losses import PerceptualLoss, mean_square, repeated_share, squared_frobenius
from impasto.networks import ConditionalStylizer, JohnsonStylizer, Stylizer
from impasto.systems import Augmentation, StylizerSystem
from impasto.systems.augmentation import VIEWS, turned

pytestmark = [
    # Lightning 2.6 builds a deprecated class of PyTorch's: https://github.com/Lightning-AI/pytorch-lightning/issues/21326
    pytest.mark.filterwarnings("ignore:.*LeafSpec.* is deprecated:FutureWarning"),
    # On three cores and more it advises workers, and the tests read in the training process:
    # https://github.com/Lightning-AI/pytorch-lightning/pull/1378
    pytest.mark.filterwarnings("ignore:.*does not have many workers"),
]

WEIGHTS = {"content": 1.0, "style": 10.0, "tv": 0.1}
one_cycle = partial(OneCycleLR, max_lr=2e-3, total_steps=4)


def _loss(weights: Mapping[str, float] = WEIGHTS, *, views: int = 1) -> PerceptualLoss:
    style = torch.rand(1, 3, 24, 20, generator=torch.Generator().manual_seed(2))
    return PerceptualLoss(
        tiny_vgg(),
        [turned(style, view) for view in range(views)],
        content_layers={"relu2_2": 1.0},
        style_layers={"relu1_2": 1.0, "relu2_2": 1.0},
        weights=weights,
        content_distance=mean_square,
        style_distance=squared_frobenius,
    )


def _stylizer() -> nn.Module:
    return Stylizer(width=4, blocks=1)


def _system(
    *,
    network: Callable[[], nn.Module] = _stylizer,
    weights: Mapping[str, float] = WEIGHTS,
    scheduler: Callable[..., LRScheduler] | None = None,
    channels_last: bool = False,
    augmentation: Augmentation = Augmentation(),  # noqa: B008 (it cannot be changed)
    grid: float = 0.0,
) -> StylizerSystem:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        return StylizerSystem(
            network(),
            _loss(weights, views=augmentation.views),
            augmentation=augmentation,
            grid=grid,
            optimizer=partial(Adam, lr=1e-3),
            scheduler=scheduler,
            channels_last=channels_last,
            compiled=False,
        )


@pytest.fixture(scope="module")
def photographs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Five small photographs of noise."""
    folder = tmp_path_factory.mktemp("photographs")
    for seed in range(5):
        generator = torch.Generator().manual_seed(seed)
        pixels = torch.randint(0, 256, (50, 60, 3), generator=generator, dtype=torch.uint8)
        Image.fromarray(pixels.numpy()).save(folder / f"{seed}.png")
    return folder


def _data(photographs: Path, *, size: int = 24) -> Photographs:
    return Photographs(
        train=[str(photographs)],
        val=[str(photographs)],
        train_transform=RandomCrop(size=size, scale=0.5, flip=True),
        val_transform=CentreCrop(size=size),
        batch_size=2,
        num_workers=0,
        seed=3,
        val_limit=3,
        skip=None,
    )


def _copy(module: nn.Module) -> dict[str, Tensor]:
    """Every parameter and buffer, also those that no state dict holds."""
    return {name: value.detach().clone() for name, value in [*module.named_parameters(), *module.named_buffers()]}


def _trained_path(tmp_path: Path, photographs: Path, *, accumulate: int = 1, **options: Any) -> Path:
    """A checkpoint after two of four steps."""
    trainer = small_trainer(tmp_path, accumulate_grad_batches=accumulate)
    trainer.fit(_system(**options), datamodule=_data(photographs))
    trainer.save_checkpoint(tmp_path / "last.ckpt")
    return tmp_path / "last.ckpt"


# ---------------------------------------------------------------- two steps


@pytest.mark.parametrize("channels_last", [False, True])
def test_two_steps_move_the_network_and_nothing_of_the_loss(
    tmp_path: Path, photographs: Path, channels_last: bool
) -> None:
    system = _system(channels_last=channels_last)
    network, loss = _copy(system.network), _copy(system.loss)
    trainer = small_trainer(tmp_path)
    trainer.fit(system, datamodule=_data(photographs))
    assert trainer.global_step == 2
    moved = [name for name, value in _copy(system.network).items() if not torch.equal(value, network[name])]
    assert {name for name in network if name.endswith("conv.weight")} <= set(moved)
    assert "to_rgb.1.weight" in moved
    assert len(loss) == 2 * 4 + 2 + 2  # weights and biases, mean and std, two Gram matrices
    assert all(torch.equal(value, loss[name]) for name, value in _copy(system.loss).items())


def test_terms_are_logged_and_add_up_to_the_loss(tmp_path: Path, photographs: Path) -> None:
    trainer = small_trainer(tmp_path)
    trainer.fit(_system(), datamodule=_data(photographs))
    logged = {name: value.item() for name, value in trainer.callback_metrics.items()}
    assert set(logged) == {"train/content", "train/style", "train/tv", "train/loss"}
    assert all(0 < value < float("inf") for value in logged.values())
    parts = sum(value for name, value in logged.items() if name != "train/loss")
    assert logged["train/loss"] == pytest.approx(parts, rel=1e-5)


def test_loss_falls_on_one_photograph() -> None:
    system = _system()
    optimizer = system.configure_optimizers()
    photo = torch.rand(1, 3, 24, 24, generator=torch.Generator().manual_seed(4))
    losses = []
    for _ in range(12):
        optimizer.zero_grad()
        total = torch.stack(list(system.loss(system(photo), system.loss.targets(photo)).values())).sum()
        total.backward()
        optimizer.step()
        losses.append(total.item())
    assert losses[-1] < 0.9 * losses[0]


def test_validation_logs_the_mean_over_the_photographs(tmp_path: Path, photographs: Path) -> None:
    system, data = _system(), _data(photographs)
    trainer = small_trainer(tmp_path, limit_val_batches=1.0)
    trainer.validate(system, data, verbose=False)
    logged = {name: value.item() for name, value in trainer.callback_metrics.items()}
    assert set(logged) == {"val/content", "val/style", "val/tv", "val/loss"}
    photos = torch.cat([from_uint8(batch.image) for batch in data.val_dataloader()])
    assert len(photos) == 3  # a batch of two and one of one: the mean is that of the photographs
    with torch.no_grad():
        terms = system.loss(system.network(photos), system.loss.targets(photos))
    for name, value in terms.items():
        assert logged[f"val/{name}"] == pytest.approx(value.item(), rel=1e-4)
    assert logged["val/loss"] == pytest.approx(sum(value.item() for value in terms.values()), rel=1e-4)


def test_validation_moves_nothing(tmp_path: Path, photographs: Path) -> None:
    system = _system(network=lambda: JohnsonStylizer(width=2))  # its batch norm has statistics that could move
    before = _copy(system)
    small_trainer(tmp_path, limit_val_batches=1.0).validate(system, _data(photographs, size=44), verbose=False)
    assert all(torch.equal(value, before[name]) for name, value in _copy(system).items())


def test_bfloat16_training_is_finite(tmp_path: Path, photographs: Path) -> None:
    system = _system(channels_last=True)
    trainer = small_trainer(tmp_path, precision="bf16-mixed")
    trainer.fit(system, datamodule=_data(photographs))
    assert trainer.global_step == 2
    assert all(value.isfinite() for value in trainer.callback_metrics.values())
    for parameter in system.network.parameters():
        assert parameter.dtype == torch.float32
        assert parameter.isfinite().all()


# ---------------------------------------------------------------- optimiser and checkpoints


def test_optimiser_holds_the_networks_parameters_only() -> None:
    system = _system()
    optimizer = system.configure_optimizers()
    held = [id(parameter) for group in optimizer.param_groups for parameter in group["params"]]
    assert held == [id(parameter) for parameter in system.network.parameters()]


def test_schedule_is_stepped_every_step(tmp_path: Path, photographs: Path) -> None:
    trainer = small_trainer(tmp_path, steps=3)
    trainer.fit(_system(scheduler=one_cycle), datamodule=_data(photographs))
    parameter = nn.Parameter(torch.zeros(1))
    optimizer = Adam([parameter], lr=1e-3)
    expected = one_cycle(optimizer)
    for _ in range(3):
        optimizer.step()
        expected.step()
    assert trainer.optimizers[0].param_groups[0]["lr"] == pytest.approx(expected.get_last_lr()[0])


def test_checkpoint_holds_no_key_of_the_loss_network(tmp_path: Path, photographs: Path) -> None:
    path = _trained_path(tmp_path, photographs)
    checkpoint = torch.load(path, weights_only=True)
    keys = set(checkpoint["state_dict"])
    assert keys == {f"network.{name}" for name in _stylizer().state_dict()}
    saved = sum(value.numel() for value in checkpoint["state_dict"].values())
    moments = sum(
        value.numel()
        for state in checkpoint["optimizer_states"][0]["state"].values()
        for value in state.values()
        if value.numel() > 1
    )
    assert moments <= 2 * saved


@pytest.mark.parametrize(
    ("scheduler", "accumulate"), [(None, 1), (one_cycle, 1), (None, 2)], ids=["constant", "one_cycle", "accumulated"]
)
def test_resumed_training_equals_the_uninterrupted(
    tmp_path: Path, photographs: Path, scheduler: Callable[..., LRScheduler] | None, accumulate: int
) -> None:
    whole = _system(scheduler=scheduler)
    small_trainer(tmp_path, steps=4, accumulate_grad_batches=accumulate).fit(whole, datamodule=_data(photographs))
    path = _trained_path(tmp_path, photographs, scheduler=scheduler, accumulate=accumulate)
    resumed = _system(scheduler=scheduler)
    trainer = small_trainer(tmp_path, steps=4, accumulate_grad_batches=accumulate)
    trainer.fit(resumed, datamodule=_data(photographs), ckpt_path=path, weights_only=True)
    assert trainer.global_step == 4
    after_two = torch.load(path, weights_only=True)["state_dict"]
    expected = whole.state_dict()
    assert not torch.equal(after_two["network.to_rgb.1.weight"], expected["network.to_rgb.1.weight"])
    for name, value in resumed.state_dict().items():
        assert torch.equal(value, expected[name]), name


def test_resumed_training_shows_the_loss_the_same_views(tmp_path: Path, photographs: Path) -> None:
    def system() -> StylizerSystem:
        return _system(augmentation=Augmentation(jitter=8, views=8))

    torch.manual_seed(3)  # as seed_everything has it at the start of a run, and of one that is resumed
    whole, upright, resumed = system(), _system(), system()
    small_trainer(tmp_path, steps=4).fit(whole, datamodule=_data(photographs))
    small_trainer(tmp_path, steps=4).fit(upright, datamodule=_data(photographs))
    torch.manual_seed(3)
    trainer = small_trainer(tmp_path, steps=2)
    trainer.fit(system(), datamodule=_data(photographs))
    trainer.save_checkpoint(tmp_path / "last.ckpt")
    torch.manual_seed(3)
    trainer = small_trainer(tmp_path, steps=4)
    trainer.fit(resumed, datamodule=_data(photographs), ckpt_path=tmp_path / "last.ckpt", weights_only=True)
    for name, value in resumed.state_dict().items():
        assert torch.equal(value, whole.state_dict()[name]), name
    assert not torch.equal(*(x.state_dict()["network.to_rgb.1.weight"] for x in (whole, upright)))


def test_resumed_batch_norm_training_equals_the_uninterrupted(tmp_path: Path, photographs: Path) -> None:
    options: dict[str, Any] = {"network": lambda: JohnsonStylizer(width=2)}
    whole, resumed = _system(**options), _system(**options)
    small_trainer(tmp_path, steps=2).fit(whole, datamodule=_data(photographs, size=44))
    trainer = small_trainer(tmp_path, steps=1)
    trainer.fit(_system(**options), datamodule=_data(photographs, size=44))
    trainer.save_checkpoint(tmp_path / "last.ckpt")
    small_trainer(tmp_path, steps=2).fit(
        resumed, datamodule=_data(photographs, size=44), ckpt_path=tmp_path / "last.ckpt", weights_only=True
    )
    for name, value in resumed.state_dict().items():
        assert torch.equal(value, whole.state_dict()[name]), name


# ---------------------------------------------------------------- errors


@pytest.mark.parametrize("term", ["content", "style", "tv"])
@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_term_that_is_not_finite_stops_the_training_and_is_named(
    tmp_path: Path, photographs: Path, term: str, value: float
) -> None:
    system = _system(weights=WEIGHTS | {term: value})
    before = _copy(system.network)
    with pytest.raises(FloatingPointError, match=f"loss term '{term}' became {value} at step 0"):
        small_trainer(tmp_path).fit(system, datamodule=_data(photographs))
    assert all(torch.equal(new, before[name]) for name, new in _copy(system.network).items())


def test_network_with_a_larger_output_is_refused_with_both_shapes(tmp_path: Path, photographs: Path) -> None:
    system = _system(network=lambda: JohnsonStylizer(width=2))  # 42 px become 44, the next multiple of four
    with pytest.raises(ValueError, match=r"relu2_2 .*\(2, 128, 22, 22\).*\(2, 128, 21, 21\)"):
        small_trainer(tmp_path).fit(system, datamodule=_data(photographs, size=42))


Shown = tuple[Tensor, Tensor, list[int]]


def _shown(monkeypatch: pytest.MonkeyPatch, photo: Tensor, *, jitter: int, views: int) -> list[Shown]:
    """What twenty steps of training and, last, validation show the loss: outputs, photographs and their views."""
    system = _system(network=nn.Identity, augmentation=Augmentation(jitter=jitter, views=views))
    seen: list[Shown] = []

    def spy(output: Tensor, targets: Any, *, styles: list[int]) -> dict[str, Tensor]:
        seen.append((output, targets, styles))  # of a single style, the numbers are those of its views
        return {"content": output.mean()}

    monkeypatch.setattr(system.loss, "forward", spy)
    monkeypatch.setattr(system.loss, "targets", lambda photo: photo)
    steps = iter(range(20))
    monkeypatch.setattr(StylizerSystem, "global_step", property(lambda self: next(steps)))
    for _ in range(20):
        system._terms(photo, lambda x: x.clone(), torch.zeros(len(photo), dtype=torch.long))
    system.eval()
    system._terms(photo, lambda x: x.clone(), torch.zeros(len(photo), dtype=torch.long))
    return seen


def test_jitter_cuts_photograph_and_output_alike_and_only_in_training(monkeypatch: pytest.MonkeyPatch) -> None:
    photo = torch.rand(1, 3, 24, 24)
    *seen, last = _shown(monkeypatch, photo, jitter=8, views=1)
    assert all(output.shape == (1, 3, 16, 16) and torch.equal(output, target) for output, target, _ in seen)
    corners = {tuple(output[0, :, 0, 0].tolist()) for output, _, _ in seen}
    assert len(corners) > 10 and corners <= {tuple(photo[0, :, y, x].tolist()) for y in range(9) for x in range(9)}
    assert torch.equal(last[0], photo)


def test_views_turn_photograph_and_output_alike_and_only_in_training(monkeypatch: pytest.MonkeyPatch) -> None:
    photo = torch.rand(1, 3, 24, 24)
    *seen, last = _shown(monkeypatch, photo, jitter=0, views=8)
    for output, target, (view,) in seen:
        assert torch.equal(output, target) and torch.equal(output, turned(photo, view))
    assert len({view for _, _, (view,) in seen}) > 4
    assert torch.equal(last[0], photo) and last[2] == [0]


@pytest.mark.parametrize("view", range(VIEWS))
def test_the_loss_compares_with_the_style_in_the_view_that_it_sees(view: int) -> None:
    style = torch.rand(1, 3, 24, 20, generator=torch.Generator().manual_seed(2))
    shown = turned(style, view)
    loss = _loss(views=VIEWS)
    found = [float(loss(shown, loss.targets(shown), styles=[other])["style"]) for other in range(VIEWS)]
    assert found[view] < 1e-9 and min(value for other, value in enumerate(found) if other != view) > 1e-6


# ---------------------------------------------------------------- many styles, and averaged weights


def _many(**options: Any) -> StylizerSystem:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        styles = [torch.rand(1, 3, 24, 20, generator=torch.Generator().manual_seed(seed)) for seed in range(3)]
        loss, coarse = (
            PerceptualLoss(
                tiny_vgg(),
                styles,
                content_layers={"relu2_2": 1.0},
                style_layers={"relu1_2": 1.0, "relu2_2": 1.0},
                weights={**WEIGHTS, "content": content},
                content_distance=mean_square,
                style_distance=squared_frobenius,
                equal_shares=True,
                photographs=torch.rand(2, 3, 24, 24),
            )
            for content in (1.0, 0.0)
        )
        arguments: dict[str, Any] = {
            "coarse": coarse,
            "optimizer": partial(Adam, lr=1e-2),
            "scheduler": None,
            "channels_last": True,
            "compiled": False,
        }
        return StylizerSystem(ConditionalStylizer(width=2, styles=3), loss, **arguments | options)


@pytest.mark.slow
def test_training_of_many_styles_logs_the_coarse_term_and_resumes_bit_for_bit(
    tmp_path: Path, photographs: Path
) -> None:
    torch.manual_seed(3)
    whole, resumed = _many(average=0.5), _many(average=0.5)
    trainer = small_trainer(tmp_path, steps=4)
    trainer.fit(whole, datamodule=_data(photographs))
    assert "train/coarse" in trainer.callback_metrics
    torch.manual_seed(3)
    trainer = small_trainer(tmp_path, steps=2)
    trainer.fit(_many(average=0.5), datamodule=_data(photographs))
    trainer.save_checkpoint(tmp_path / "last.ckpt")
    trainer = small_trainer(tmp_path, steps=4)
    torch.manual_seed(3)
    trainer.fit(resumed, datamodule=_data(photographs), ckpt_path=tmp_path / "last.ckpt", weights_only=True)
    for name, value in resumed.state_dict().items():
        assert torch.equal(value, whole.state_dict()[name]), name


def test_a_step_moves_the_styles_that_it_shows_and_no_other(tmp_path: Path, photographs: Path) -> None:
    system = _many()
    before = _copy(system.network)
    small_trainer(tmp_path, steps=1).fit(system, datamodule=_data(photographs))
    rows = [~(value == before[name]).all(dim=1) for name, value in _copy(system.network).items() if "norm" in name]
    moved = torch.stack(rows).any(dim=0)
    assert 1 <= int(moved.sum()) <= 2  # two photographs


def test_the_average_follows_the_network(tmp_path: Path, photographs: Path) -> None:
    system = _many(average=0.75)
    assert system.trained is system.average
    before = _copy(system.network)
    small_trainer(tmp_path, steps=1).fit(system, datamodule=_data(photographs))
    mean = dict(system.trained.named_parameters())
    for name, value in system.network.named_parameters():
        torch.testing.assert_close(mean[name], 0.75 * before[name] + 0.25 * value)
    assert not any(parameter.requires_grad for parameter in mean.values())


def test_each_photograph_is_shown_in_every_style() -> None:
    system, photos = _many(), torch.rand(2, 3, 48, 50)
    with torch.no_grad():
        outputs = system(photos)
        assert outputs.shape == (6, 3, 48, 50)
        one = system.network(photos[1:], torch.tensor([[0.0, 0.0, 1.0]]))
    torch.testing.assert_close(outputs[5:], one, atol=1e-5, rtol=0)


@pytest.mark.parametrize("average", [0.0, 1.0])
def test_a_decay_out_of_range_is_refused(average: float) -> None:
    with pytest.raises(ValueError, match=f"expected system.average between 0 and 1, or null, got {average}"):
        _many(average=average)


def test_each_process_has_views_of_its_own_and_the_first_those_of_a_single_one(monkeypatch: pytest.MonkeyPatch) -> None:
    photo, found = torch.rand(8, 3, 24, 24), []
    for rank in (None, 0, 1):
        system = _system()
        torch.manual_seed(3)
        if rank is not None:
            monkeypatch.setattr(StylizerSystem, "global_rank", rank)
            system.on_train_start()
        found.append([Augmentation(views=8)(photo, photo, step=step)[2] for step in range(4)])
    assert found[0] == found[1] != found[2]


@pytest.mark.parametrize(("every", "expected"), [(1, 4), (2, 2), (0, 0)])
def test_losses_are_reduced_over_processes_in_one_call_where_they_are_logged(
    tmp_path: Path, photographs: Path, monkeypatch: pytest.MonkeyPatch, every: int, expected: int
) -> None:
    trainer, reduced = small_trainer(tmp_path, steps=4, log_every_n_steps=every), []
    monkeypatch.setattr(Trainer, "world_size", 2)
    monkeypatch.setattr(torch.distributed, "all_reduce", lambda values: reduced.append(values.clone()))
    system = _system()
    trainer.fit(system, datamodule=_data(photographs))
    assert len(reduced) == expected
    assert all(values.shape == (5,) and values[4] == 0 for values in reduced)  # three terms, their sum, whether to stop


@pytest.mark.parametrize("size", [1, 2, 3])
def test_a_held_out_photograph_has_its_style_whichever_process_has_it(
    monkeypatch: pytest.MonkeyPatch, size: int
) -> None:
    system, found = _many(), {}
    monkeypatch.setattr(system, "log_validation", lambda *_, **__: None)
    system.trainer = SimpleNamespace(world_size=size)  # type: ignore[assignment]
    for rank in range(size):
        chosen: list[int] = []
        monkeypatch.setattr(StylizerSystem, "global_rank", rank)
        monkeypatch.setattr(system, "_terms", lambda _, __, styles, chosen=chosen: chosen.extend(styles.tolist()))
        system.on_validation_epoch_start()
        for index, count in enumerate((2, 2, 1)):
            system.validation_step(Batch(torch.rand(count, 3, 8, 8), None, None), index)  # type: ignore[arg-type]
        found |= {rank + number * size: style for number, style in enumerate(chosen)}
    assert found == {number: number % system.styles for number in range(5 * size)}


def test_processes_agree_to_stop_where_losses_are_logged(
    tmp_path: Path, photographs: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def ask(values: Tensor) -> None:
        values[-1] += 1  # the other process was asked to

    found: list[tuple[int, bool]] = []
    after = LambdaCallback(on_train_batch_end=lambda t, s, *_: found.append((t.global_step, s.stopping)))
    trainer = small_trainer(tmp_path, steps=4, log_every_n_steps=2, callbacks=[after])
    monkeypatch.setattr(Trainer, "world_size", 2)
    monkeypatch.setattr(torch.distributed, "all_reduce", ask)
    trainer.fit(_system(), datamodule=_data(photographs))
    assert found == [(1, False), (2, True), (3, False), (4, True)]


def test_the_grid_term_is_the_share_that_repeats_every_8_px_and_its_gradient_reaches_the_network() -> None:
    system = _system(grid=3.0)
    photos = torch.rand(2, 3, 32, 40, generator=torch.Generator().manual_seed(1))
    styles = torch.zeros(2, dtype=torch.int64)
    terms = system._terms(photos, system.network, styles)
    torch.testing.assert_close(terms["grid"], 3 * repeated_share(system.network(photos), 8).mean())
    (gradient,) = torch.autograd.grad(terms["grid"], [next(iter(system.network.parameters()))])
    assert gradient.abs().max() > 0
    assert "grid" not in _system()._terms(photos, system.network, styles)


def test_a_grid_is_not_asked_for() -> None:
    with pytest.raises(ValueError, match=r"expected system\.grid of at least 0, got -1"):
        _system(grid=-1)
