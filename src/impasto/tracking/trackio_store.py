"""trackio's store, filled from run folders: each run once, and again when it has changed."""

import contextlib
import io
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from enum import Enum
from typing import Any

from impasto.tracking.recorded_run import RecordedRun


class Put(Enum):
    """What became of a run."""

    ADDED = "added"
    REPLACED = "replaced"
    KEPT = "unchanged"


class TrackioStore:
    """One project of the store that the variable TRACKIO_DIR names, which trackio reads when it is imported.

    Args:
        project: its name.

    Raises:
        ValueError: a name that trackio keeps for itself.
    """

    def __init__(self, project: str) -> None:
        import trackio
        from trackio.sqlite_storage import SQLiteStorage

        SQLiteStorage.validate_project_name(project)
        self.project = project
        self._trackio: Any = trackio
        self._storage: Any = SQLiteStorage
        self._known = {str((run.config or {}).get("identity", run.name)): run for run in self._runs()}

    def _runs(self) -> list[Any]:
        try:
            return list(self._trackio.Api().runs(self.project))
        except ValueError:  # no such project yet
            return []

    def put(self, run: RecordedRun) -> Put:
        """Bring a run into the store.

        Raises:
            OSError: the store did not take everything.
        """
        steps = sorted(set(run.rows) | set(run.sheets))
        known = self._known.get(run.identity)
        if known is not None:
            stored = self._storage.get_log_count(self.project, known.name, run_id=known.id)
            if known.config and known.config.get("digest") == run.digest and stored == len(steps):
                return Put.KEPT
            self._delete(known)
        name = self._unused(run.name)
        config = run.config | {"identity": run.identity, "digest": run.digest, "folder": str(run.folder)}
        with _silence():
            session = self._trackio.init(
                project=self.project, name=name, config=config, embed=False, auto_log_gpu=False, auto_log_cpu=False
            )
            for step in steps:
                picture = run.sheets.get(step)
                pictures = {} if picture is None else {"samples": self._trackio.Image(picture, caption=f"step {step}")}
                session.log(run.rows.get(step, {}) | pictures, step=step)
            self._trackio.finish()
        stored = self._storage.get_log_count(self.project, name, run_id=session.id)
        if stored != len(steps):
            raise OSError(f"trackio's store took {stored} of {len(steps)} rows of {run.folder}; is the disk full?")
        self._known[run.identity] = next(each for each in self._runs() if each.id == session.id)
        return Put.ADDED if known is None else Put.REPLACED

    def _delete(self, known: Any) -> None:  # noqa: ANN401 (trackio's)
        known.delete()
        shutil.rmtree(self._trackio.media.get_project_media_path(self.project, known.name))  # which trackio leaves

    def _unused(self, name: str) -> str:
        taken = {run.name for run in self._runs()}
        unused, count = name, 2
        while unused in taken:
            unused, count = f"{name}-{count}", count + 1
        return unused


@contextmanager
def _silence() -> Iterator[None]:
    """Keep trackio from telling at every run how to look at it."""
    with contextlib.redirect_stdout(io.StringIO()):
        yield


def show_trackio(project: str, *, host: str, port: int) -> Any:  # noqa: ANN401 (trackio's server)
    """Serve the dashboard in the background, without rights to change it.

    Returns:
        The server; `close()` ends it.
    """
    import trackio

    with _silence():  # it would print an address with which the store can be changed
        server, *_ = trackio.show(
            project,
            host=host,
            server_port=port,
            open_browser=False,
            block_thread=False,
            share=False,
            mcp_server=False,
        )
    return server
