"""Print what training the paper's colorizer on Places in a day on eight GPUs asks for, from what is measured here.

    python docs/measure/loading_speed.py data_root=<data> output=<folder>   # seconds of the loader
    python docs/measure/scaling.py <that folder>

Measured: operations of the network (counted), its gradients' bytes, the loaders' rates, photographs per second of the
training on this machine. On paper: what eight GPUs and the network between them would have to do.
"""

import json
import sys
import time
from pathlib import Path
from statistics import median

import torch
from hydra import compose
from hydra.utils import instantiate
from torch.utils.flop_counter import FlopCounterMode

from impasto.cli import conf_dir
from impasto.hardware import describe_machine
from impasto.launch.composition import initialize

PHOTOGRAPHS = 2.3e6  # Places205, Iizuka 2016
EPOCHS = 11
GPUS = 8
BATCH = 128  # over all GPUs
DAY = 86_400
SIZE = 224
HERE = 8  # photographs in a batch on this machine


def main() -> None:
    """Measure and print a table."""
    folder = Path(sys.argv[1])
    with initialize(conf_dir()):
        cfg = compose("train", ["experiment=iizuka2016_places365", "data.root=."])
    network = instantiate(cfg.network)(classes=205, channels=2)
    lightness = torch.rand(HERE, 1, SIZE, SIZE)
    with FlopCounterMode(display=False) as counter:
        _step(network, lightness)
    operations = counter.get_total_flops() / HERE
    seconds = []
    for _ in range(4):
        begin = time.perf_counter()
        _step(network, lightness)
        seconds.append(time.perf_counter() - begin)
    rows = json.loads((folder / "loading.json").read_text(encoding="utf-8"))["rows"]
    shards = [row for row in rows if row["reader"] == "shards"]
    one = next(row["images_per_second"] for row in shards if row["workers"] == 0)
    parameters = sum(p.numel() for p in network.parameters())
    machine = describe_machine()
    sys.stdout.write(f"{machine['processor']}, {machine['threads']} threads, torch {machine['torch']}\n\n")
    sys.stdout.write(f"measured: {operations / 1e9:.0f} GFLOP a photograph, forward and backward ({SIZE} px)\n")
    sys.stdout.write(
        f"measured: {parameters / 1e6:.1f} M parameters, {4 * parameters / 1e6:.0f} MB of gradients a step\n"
    )
    sys.stdout.write(
        f"measured: {HERE / median(seconds[1:]):.2f} photographs a second in training on this machine, float32\n"
    )
    sys.stdout.write(f"measured: {one:.0f} photographs a second that one process reads out of shards\n\n")
    sys.stdout.write("| Places in a day on 8 GPUs | one pass | the paper's 11 |\n|---|---|---|\n")
    table: dict[str, list[str]] = {}
    for epochs in (1, EPOCHS):
        rate = PHOTOGRAPHS * epochs / DAY / GPUS
        steps = rate * GPUS / BATCH
        traffic = 2 * (GPUS - 1) / GPUS * 4 * parameters * steps
        shown = {
            "photographs a second and GPU": f"{rate:.1f}",
            "TFLOP/s a GPU must sustain": f"{rate * operations / 1e12:.2f}",
            "processes that read, a GPU": f"{rate / one:.2f}",
            "MB/s of gradients in and out of each GPU": f"{traffic / 1e6:.0f}",
            "times as fast as this machine, each GPU": f"{rate / (HERE / median(seconds[1:])):.1f}",
        }
        for name, value in shown.items():
            table.setdefault(name, []).append(value)
    for name, values in table.items():
        sys.stdout.write(f"| {name} | {' | '.join(values)} |\n")


def _step(network: torch.nn.Module, lightness: torch.Tensor) -> None:
    network.zero_grad()
    outputs = network(lightness)
    sum(output.float().sum() for output in outputs if output is not None).backward()


if __name__ == "__main__":
    main()
