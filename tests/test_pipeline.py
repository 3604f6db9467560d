"""Photographs as a pipeline: one size together, one failure alone, bounded memory, nothing half-written."""

import threading
from contextlib import closing
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from torch import Tensor

from impasto.methods import Applied, Seen
from impasto.pipeline import Done, Job, Pipeline


class _Method:
    """Inverts, and remembers what it saw."""

    def __init__(self) -> None:
        self.seen: list[tuple[int, ...]] = []

    def __call__(self, photos: Tensor) -> list[Applied]:
        self.seen.append(tuple(photos.shape))
        return [Applied(1 - photo, Seen((("inverted", 1.0),))) for photo in photos]


def _jobs(folder: Path, sizes: list[tuple[int, int]]) -> list[Job]:
    folder.mkdir()
    jobs = []
    for number, (width, height) in enumerate(sizes):
        source = folder / f"{number:03}.png"
        Image.new("RGB", (width, height), (number % 256, 10, 20)).save(source)
        jobs.append(Job(source, folder.parent / "out" / source.name))
    return jobs


def _red(path: Path) -> int:
    with Image.open(path) as image:
        return int(np.asarray(image)[0, 0, 0])


@pytest.mark.parametrize("batch", [1, 3, 100])
def test_every_photograph_gets_its_own_result(tmp_path: Path, batch: int) -> None:
    jobs = _jobs(tmp_path / "in", [(8, 6), (5, 5), (8, 6), (6, 8), (8, 6), (5, 5), (8, 6)])
    method = _Method()
    pipeline = Pipeline(method, size=None, batch=batch)
    done = list(pipeline(jobs))
    assert sorted(d.job for d in done) == sorted(jobs) and all(d.error is None for d in done)
    assert {d.seen.scenes for d in done} == {(("inverted", 1.0),)}
    for number, job in enumerate(jobs):
        assert _red(job.target) == 255 - number
    assert sorted(pipeline.written) == sorted(job.target for job in jobs)
    assert max(shape[0] for shape in method.seen) == min(batch, 4) and sum(shape[0] for shape in method.seen) == 7


def test_sizes_are_batched_as_far_as_they_fit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("impasto.pipeline._BATCH", 100)
    method = _Method()
    list(Pipeline(method, size=None, batch=8)(_jobs(tmp_path / "in", [(10, 5)] * 4 + [(20, 20)] * 2)))
    assert sorted(method.seen) == [(1, 3, 20, 20)] * 2 + [(2, 3, 5, 10)] * 2


def test_one_that_fails_costs_itself_only(tmp_path: Path) -> None:
    class Fails(_Method):
        def __call__(self, photos: Tensor) -> list[Applied]:
            if bool((photos[:, 0, 0, 0] == 3 / 255).any()):
                raise RuntimeError("no 3, please")
            return super().__call__(photos)

    jobs = _jobs(tmp_path / "in", [(8, 6)] * 6)
    jobs[1].source.write_bytes(b"no image")
    done = {d.job: d for d in Pipeline(Fails(), size=None, batch=6)(jobs)}
    assert [str(done[job].error) for job in jobs if done[job].error is not None][1] == "no 3, please"
    assert [job.source.stem for job in jobs if done[job].error is not None] == ["001", "003"]
    assert sorted(p.stem for p in (tmp_path / "out").iterdir()) == ["000", "002", "004", "005"]


def test_a_photograph_is_never_its_own_result(tmp_path: Path) -> None:
    (job,) = _jobs(tmp_path / "in", [(8, 6)])
    before = job.source.read_bytes()
    (done,) = Pipeline(_Method(), size=None, batch=1)([Job(job.source, job.source)])
    assert isinstance(done.error, ValueError) and job.source.read_bytes() == before


def test_a_result_that_cannot_be_written_is_told(tmp_path: Path) -> None:
    jobs = _jobs(tmp_path / "in", [(8, 6)] * 2)
    (tmp_path / "out").mkdir()
    jobs[0].target.mkdir()
    done = {d.job: d.error for d in Pipeline(_Method(), size=None, batch=2)(jobs)}
    assert isinstance(done[jobs[0]], OSError) and done[jobs[1]] is None


def test_decoding_goes_on_while_the_network_computes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The network of the first photograph waits until another one was read: it would wait for ever in a plain loop."""
    read, second = [], threading.Event()
    plain = Pipeline._read

    def reading(self: Pipeline, job: Job) -> object:
        read.append(job)
        if len(read) >= 2:
            second.set()
        return plain(self, job)

    class Waits(_Method):
        def __call__(self, photos: Tensor) -> list[Applied]:
            assert second.wait(timeout=30)
            return super().__call__(photos)

    monkeypatch.setattr(Pipeline, "_read", reading)
    done = list(Pipeline(Waits(), size=None, batch=1)(_jobs(tmp_path / "in", [(8, 6), (6, 8), (4, 4)])))
    assert all(d.error is None for d in done)


def test_no_more_is_decoded_than_waits_for_the_network(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    jobs = _jobs(tmp_path / "in", [(20 + number, 20) for number in range(40)])  # no two of one size
    monkeypatch.setattr("impasto.pipeline._HELD", 5 * 20 * 20)
    lock, held, most = threading.Lock(), 0, 0
    plain = Pipeline._read

    def reading(self: Pipeline, job: Job) -> object:
        nonlocal held, most
        found = plain(self, job)
        with lock:
            held += 1
            most = max(most, held)
        return found

    class Counts(_Method):
        def __call__(self, photos: Tensor) -> list[Applied]:
            nonlocal held
            with lock:
                held -= len(photos)
            return super().__call__(photos)

    monkeypatch.setattr(Pipeline, "_read", reading)
    assert len(list(Pipeline(Counts(), size=None, batch=2)(jobs))) == 40
    assert most <= 5 + 2 + 2 + 1  # what may wait, and what was on its way


def test_closing_early_leaves_whole_files_only(tmp_path: Path) -> None:
    jobs = _jobs(tmp_path / "in", [(64, 64)] * 20)
    pipeline = Pipeline(_Method(), size=None, batch=1)
    with closing(pipeline(jobs)) as running:
        first = next(running)
    assert isinstance(first, Done) and first.job.target.exists()
    there = sorted((tmp_path / "out").iterdir())
    assert there == sorted(pipeline.written) and 1 <= len(there) < 20
    for path in there:
        assert _red(path) == 255 - int(path.stem)


def test_photographs_are_made_smaller_before_they_are_compared(tmp_path: Path) -> None:
    method = _Method()
    list(Pipeline(method, size=16, batch=2)(_jobs(tmp_path / "in", [(32, 16), (16, 8)])))
    assert method.seen == [(2, 3, 8, 16)]


def test_what_does_not_fit_beside_the_others_is_done_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    tried: list[str] = []
    plain = Pipeline._read

    def reading(self: Pipeline, job: Job) -> object:
        tried.append(job.source.stem)
        if job.source.stem == "002" or (tried.count(job.source.stem) < 2 and job.source.stem == "001"):
            return Done(job, error=MemoryError())
        return plain(self, job)

    monkeypatch.setattr(Pipeline, "_read", reading)
    jobs = _jobs(tmp_path / "in", [(8, 6)] * 4)
    done = {d.job.source.stem: d.error for d in Pipeline(_Method(), size=None, batch=4)(jobs)}
    assert tried[4:] == ["001", "002"]
    assert {name for name, error in done.items() if error is None} == {"000", "001", "003"}
    assert isinstance(done["002"], MemoryError)
