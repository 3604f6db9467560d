"""What methods leave on pictures: grids, borders, spots, unsteadiness; and how near they come to a style."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import torch
from hydra.utils import instantiate
from omegaconf import DictConfig

from impasto.build.task import require
from impasto.commands.pictures import Figures, Picture, evaluate_pictures
from impasto.evaluation.artefacts import border_ratio, repeated_share, shift_response, spot_share
from impasto.evaluation.lpips import LPIPS
from impasto.losses import gram
from impasto.runs import shipped
from impasto.styles import Style


def evaluate_artefacts(
    cfg: DictConfig,
    *,
    methods: Mapping[str, str] | None,
    photographs: Sequence[str] | None,
    size: int,
    periods: Sequence[int],
    shifts: Sequence[int],
    lpips: str | None,
) -> None:
    """Measure the artefacts of each method on each photograph (`evaluate_pictures`).

    Args:
        cfg: the whole configuration.
        methods: as of `evaluate_pictures`; None takes all shipped styles. Folders have no response to a shift.
        photographs: as of `evaluate_pictures`.
        size: their longer side in pixels at most.
        periods: of the grids that are looked for, in pixels.
        shifts: of the photograph, in pixels.
        lpips: the file of its weights; None leaves LPIPS out.

    Raises:
        ValueError: a number out of range, or a method that is none.
        FileNotFoundError: no such photograph, method or weights.
    """
    for name, values in {"periods": periods, "shifts": shifts}.items():
        if not all(isinstance(value, int) and value >= 1 for value in values):
            raise ValueError(f"expected evaluation.{name} to be of whole numbers of at least 1, got {values}")
    metric = None if lpips is None else LPIPS(Path(str(lpips)))

    def measure(picture: Picture) -> Figures:
        image, photo, network = picture
        figures: Figures = {f"repeated {period} px, %": repeated_share(image, period) for period in periods}
        figures |= {"border": border_ratio(image, photo), "spots, %": spot_share(image, photo)}
        for shift in shifts:
            moved = None if network is None else shift_response(network, photo, shift)
            figures[f"shift {shift} px, levels"] = moved
        if metric is not None:
            figures["LPIPS"] = float(metric(image[None], photo[None]))
        return figures

    named = {"photograph": "photograph"} | dict(methods or {name: name for name in shipped("stylizer")})
    evaluate_pictures(cfg, measure, name="artefacts", methods=named, photographs=photographs, size=size)


def evaluate_gram_errors(
    cfg: DictConfig,
    *,
    methods: Mapping[str, str] | None,
    photographs: Sequence[str] | None,
    size: int,
    style_sizes: Sequence[int],
    layers: Sequence[str],
) -> None:
    """Measure how far the Gram matrices of pictures are from the style's, relative to them (`evaluate_pictures`).

    Args:
        cfg: the whole configuration; its features and style judge.
        methods: as of `evaluate_pictures`; None takes the shipped network of the style.
        photographs: as of `evaluate_pictures`.
        size: their longer side in pixels at most.
        style_sizes: longer sides of the style image; of each picture and layer the best one counts.
        layers: of the loss network.

    Raises:
        ValueError: a number out of range, a method that is none, or an unknown layer.
        FileNotFoundError: no such photograph, method, style or weights.
    """
    require(cfg, style=None, features=None)
    style: Style = instantiate(cfg.style)
    features = instantiate(cfg.features)(style.image(cfg.style_size))
    features.depth_of(layers)
    with torch.inference_mode():
        images = [style.image(int(side)) for side in style_sizes]
        targets = [{layer: gram(found)[0] for layer, found in features(image, layers).items()} for image in images]

    @torch.inference_mode()
    def measure(picture: Picture) -> Figures:
        own = {layer: gram(found)[0] for layer, found in features(picture.image[None], layers).items()}
        errors: Figures = {}
        for layer in layers:
            errors[layer] = min(float((own[layer] - t[layer]).norm() / t[layer].norm()) for t in targets)
        return errors

    named = {"photograph": "photograph"} | dict(methods or {"network": style.name})
    evaluate_pictures(cfg, measure, name="gram_errors", methods=named, photographs=photographs, size=size)
