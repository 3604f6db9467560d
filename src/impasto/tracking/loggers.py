"""logger=tensorboard and logger=trackio: dashboards in a browser that need no account."""

import contextlib
import io
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from lightning.pytorch.loggers import Logger, TensorBoardLogger
from lightning.pytorch.utilities import rank_zero_only
from PIL import Image

Row = Mapping[str, Any]


class TensorBoardRun(TensorBoardLogger):
    """Lightning's logger of TensorBoard, with pictures, in the run folder's tensorboard/<name>."""

    def __init__(self, *, folder: Path, run_id: str, name: str, config: Row) -> None:
        super().__init__(save_dir=folder, name="tensorboard", version=name)
        self.log_hyperparams(dict(config))

    @rank_zero_only
    def log_image(self, key: str, images: Sequence[Any], step: int = 0, caption: Sequence[str] = ()) -> None:
        """Log pictures: files, or uint8 arrays (H, W, 3)."""
        for name, image in _named(key, images, caption):
            self.experiment.add_image(name, image, step, dataformats="HWC")


class TrackioRun(Logger):
    """A run in trackio's store (a folder), which `impasto dashboard` shows; a run of the same name is continued."""

    name, version = "trackio", ""  # not used for paths

    def __init__(
        self, *, folder: Path, run_id: str, name: str, config: Row, project: str, store: str, group: str | None
    ) -> None:
        super().__init__()
        self._trackio = import_trackio(Path(store))
        options: Row = {"resume": "allow", "embed": False, "auto_log_gpu": False, "auto_log_cpu": False}
        with contextlib.redirect_stdout(io.StringIO()):  # it says at every run how to look at it
            self.run = self._trackio.init(project, name, group, config=dict(config), **options)

    def log_hyperparams(self, *args: object, **kwargs: object) -> None:
        """Nothing: trackio has the configuration."""

    @rank_zero_only
    def log_metrics(self, metrics: Row, step: int | None = None) -> None:
        """Log numbers."""
        self.run.log(dict(metrics), step=step)

    @rank_zero_only
    def log_image(self, key: str, images: Sequence[Any], step: int | None = None, caption: Sequence[str] = ()) -> None:
        """Log pictures: files, or uint8 arrays (H, W, 3)."""
        self.log_metrics({n: self._trackio.Image(image) for n, image in _named(key, images, caption)}, step)


def import_trackio(store: Path) -> Any:  # noqa: ANN401 (a module without types)
    """Import trackio, which reads where its folder is when it is imported."""
    os.environ |= {"TRACKIO_DIR": str(store.expanduser().resolve()), "HF_HUB_OFFLINE": "1"}
    for name in ("TRACKIO_SERVER_URL", "TRACKIO_SPACE_ID", "TRACKIO_STORAGE_MODE"):  # would send the runs elsewhere
        os.environ.pop(name, None)
    import trackio

    return trackio


def show_trackio(project: str, store: Path, *, host: str, port: int) -> Any:  # noqa: ANN401 (trackio's server)
    """Serve the dashboard in the background, without rights to change it; the server's `close()` ends it."""
    show = import_trackio(store).show
    options: Row = {"open_browser": False, "block_thread": False, "share": False, "mcp_server": False}
    with contextlib.redirect_stdout(io.StringIO()):  # it would print an address with which the store can be changed
        server, *_ = show(project, host=host, server_port=port, **options)
    return server


def _named(key: str, images: Sequence[Any], captions: Sequence[str]) -> list[tuple[str, np.ndarray]]:
    names = captions or [str(number) if len(images) > 1 else "" for number in range(len(images))]
    pixels = (np.asarray(Image.open(x).convert("RGB") if isinstance(x, str) else x) for x in images)
    return [(f"{key}/{name}".rstrip("/"), image) for name, image in zip(names, pixels, strict=True)]
