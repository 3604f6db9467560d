"""Quantise the shipped style network to int8, and compare: python docs/measure/int8.py, after pip install nncf.

NNCF calibrates on four of scikit-image's sample photographs, which are also mirrored; two others are painted. Seconds
are of 512 x 512 pixels on one thread, medians of repeats in turns. Deviations are grey levels from OpenVINO's float32.
"""

import sys
import time
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from typing import Any

import nncf
import numpy as np
import openvino
from numpy.typing import NDArray

from impasto.data import sample_paths
from impasto.engines import form_of
from impasto.engines.formats import write_onnx
from impasto.images import read_image
from impasto.trained import load_shipped

CALIBRATION = ("coffee.png", "rocket.jpg", "motorcycle_left.png", "motorcycle_right.png")
PAINTED = ("astronaut.png", "chelsea.png")
REPEATS = 15


def photographs(names: tuple[str, ...], multiple: int) -> list[NDArray[Any]]:
    """Read photographs at 512 px, cut to multiples of what the network halves, (1, 3, H, W)."""
    images = [read_image(Path(path), at_most=512)[None] for path in sample_paths(names)]
    return [image[..., *(slice(side // multiple * multiple) for side in image.shape[-2:])].numpy() for image in images]


def main() -> None:
    """Print a table in Markdown."""
    form = form_of(load_shipped("starry_night").network)
    core = openvino.Core()
    with TemporaryDirectory() as folder:
        path = Path(folder) / "style.onnx"
        write_onnx(form, path)
        calibration = photographs(CALIBRATION, form.multiple)
        calibration += [image[..., ::-1].copy() for image in calibration]
        plain = core.read_model(path)
        quantised = nncf.quantize(core.read_model(path), nncf.Dataset(calibration), subset_size=len(calibration))
        models = {
            f"{name}{precision}": core.compile_model(
                model, "CPU", {"INFERENCE_PRECISION_HINT": hint, "INFERENCE_NUM_THREADS": 1}
            )
            for name, model in (("", plain), ("int8, the rest ", quantised))
            for precision, hint in (("fp32", "f32"), ("bf16", "bf16"))
        }
    painted = photographs(PAINTED, form.multiple)
    results = {name: [model([image])[0].copy() for image in painted] for name, model in models.items()}
    seconds: dict[str, list[float]] = {name: [] for name in models}
    for _ in range(REPEATS):
        for name, model in models.items():
            start = time.perf_counter()
            model([painted[0]])
            seconds[name].append(time.perf_counter() - start)
    lines = ["| | seconds | times as fast as fp32 | deviation: mean | largest |", "| --- | --- | --- | --- | --- |"]
    for name, images in results.items():
        gaps = [255 * np.abs(image - exact) for image, exact in zip(images, results["fp32"], strict=True)]
        mean, largest = np.mean([gap.mean() for gap in gaps]), max(gap.max() for gap in gaps)
        taken = median(seconds[name])
        lines.append(f"| {name} | {taken:.3g} | {median(seconds['fp32']) / taken:.2f} | {mean:.2f} | {largest:.1f} |")
    sys.stdout.write("\n".join(lines) + "\n")


if __name__ == "__main__":
    main()
