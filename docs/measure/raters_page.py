"""Print the figures of the raters' page: simulated raters at once over HTTP, with a kill in the middle if wanted.

Starts the real `impasto study serve` as a process of its own: python docs/measure/raters_page.py seconds=120 kill=true
"""

import asyncio
import os
import random
import secrets
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx

from impasto.data import sample_path
from impasto.files import sha256
from impasto.images import read_image, resize_longer_side
from impasto.study.answers import read_answers
from impasto.study.folder import (
    RATED,
    Question,
    Rule,
    Stimulus,
    Study,
    Trial,
    image_file,
    read_tokens,
    write_study,
)
from impasto.study.pictures import write_blinded

PHOTOGRAPHS = ["astronaut.png", "chelsea.png", "coffee.png", "rocket.jpg"]
WAITS = [0.5, 1, 2, 4, 8, 15]  # s, as of study.js


def build(folder: Path, *, raters: int, trials: int, seed: int) -> None:
    """Write a study of two methods, the photograph and its grey version, at 512 px."""
    stimuli: dict[str, Stimulus] = {}
    for name in PHOTOGRAPHS:
        photo = resize_longer_side(read_image(Path(sample_path(name))), 512)
        shown = {"photograph": photo, "grey": photo.mean(0, keepdim=True).expand(3, -1, -1)}
        ids = {method: secrets.token_hex(8) for method in shown}
        write_blinded({image_file(folder, ids[method]): image for method, image in shown.items()})
        for method, picture in ids.items():
            digest = sha256(image_file(folder, picture))
            _, height, width = photo.shape
            stimuli[picture] = Stimulus(photograph=name, method=method, width=width, height=height, sha256=digest)
    generator = random.Random(seed)
    sessions = [
        [Trial(kind=RATED, pictures=(generator.choice(list(stimuli)),)) for _ in range(trials)] for _ in range(raters)
    ]
    study = Study(
        title="Simulated raters",
        question=Question(text="Does this image look natural to you?", pictures=1, answers=("Not natural", "Natural")),
        methods=("photograph", "grey"),
        stimuli=stimuli,
        sessions=sessions,
        rule=Rule(least_catches=0, least_repeats=None, least_milliseconds=0, least_done=0),
        break_every=None,
        seed=seed,
        created="now",
    )
    write_study(folder, study)


@dataclass
class Server:
    """`impasto study serve` as a process."""

    folder: Path
    port: int
    process: subprocess.Popen[bytes] | None = None

    async def start(self) -> None:
        """Start it and wait until it answers."""
        command = [sys.executable, "-m", "impasto.cli", "study", "serve", str(self.folder), f"port={self.port}"]
        self.process = subprocess.Popen(command, stdout=subprocess.DEVNULL)
        async with httpx.AsyncClient(verify=False) as asking:
            while True:
                try:
                    await asking.get(f"http://127.0.0.1:{self.port}/")
                    return
                except httpx.TransportError:
                    assert self.process.poll() is None, "the server ended"
                    await asyncio.sleep(0.02)

    def kill(self) -> None:
        """End it as `kill -9` does."""
        assert self.process is not None
        self.process.kill()
        self.process.wait()


@dataclass
class Seen:
    """What the raters saw."""

    acknowledged: dict[tuple[int, int], int] = field(default_factory=dict)
    milliseconds: list[float] = field(default_factory=list)
    retried: int = 0
    stored_unheard: int = 0
    pictures: int = 0
    seconds: float = 0


async def ask(asking: httpx.AsyncClient, seen: Seen, path: str, given: dict[str, int] | None = None) -> httpx.Response:
    """Ask until there is an acknowledgement, as the page does."""
    for attempt in range(1000):
        try:
            response = await (asking.get(path) if given is None else asking.post(path, json=given))
            if response.status_code in (200, 409):
                return response
            assert response.status_code >= 500, response.text
        except httpx.TransportError:
            pass
        seen.retried += 1
        await asyncio.sleep(WAITS[min(attempt, len(WAITS) - 1)])
    raise AssertionError("no acknowledgement after 1000 attempts")


async def rate(link: str, rater: int, seen: Seen, *, end: float, think: tuple[float, float], seed: int) -> None:
    """Be a rater until the time is over, or the session."""
    generator = random.Random(seed * 1000 + rater)
    fetched: set[str] = set()

    async def fetch(paths: Sequence[str]) -> None:
        for path in set(paths) - fetched:
            response = await ask(asking, seen, f"{link}/{path}")
            assert response.headers["content-type"] == "image/png"
            fetched.add(path)
            seen.pictures += 1

    async with httpx.AsyncClient(timeout=15, verify=False) as asking:
        if think[1]:
            await asyncio.sleep(generator.uniform(0, 1))  # nobody comes at the same moment
            origin = link.partition("/r/")[0]
            for page in (link, f"{origin}/static/study.css", f"{origin}/static/study.js"):
                await ask(asking, seen, page)
        state = (await ask(asking, seen, f"{link}/trial")).json()
        while "position" in state and time.monotonic() < end:
            position = state["position"]
            if think[1]:
                await fetch(state["pictures"])
                await fetch(state["next"])
                await asyncio.sleep(generator.uniform(*think))
            given = {"position": position, "answer": generator.randrange(2), "milliseconds": 1000, "pauses": 0}
            began = time.perf_counter()
            response = await ask(asking, seen, f"{link}/answers", given)
            seen.milliseconds.append(1000 * (time.perf_counter() - began))
            state = response.json()
            assert state.get("position", position + 1) == position + 1, "not sent on to the next trial"
            seen.stored_unheard += response.status_code == 409
            assert (rater, position) not in seen.acknowledged
            seen.acknowledged[rater, position] = given["answer"]


async def run(folder: Path, *, raters: int, seconds: float, think: tuple[float, float], kill: bool, seed: int) -> Seen:
    """Serve the study to all raters at once."""
    with socket.create_server(("127.0.0.1", 0)) as probe:
        server = Server(folder, probe.getsockname()[1])
    await server.start()
    seen, began = Seen(), time.monotonic()
    links = [f"http://127.0.0.1:{server.port}/r/{token}" for token in read_tokens(folder)]
    rating = [
        rate(link, number, seen, end=began + seconds, think=think, seed=seed) for number, link in enumerate(links, 1)
    ]

    async def strike() -> None:
        await asyncio.sleep(seconds / 2)
        server.kill()
        struck = time.monotonic()
        await server.start()
        tell(f"killed in the middle; answering again after {time.monotonic() - struck:.1f} s")

    try:
        await asyncio.gather(*rating, *([strike()] if kill else []))
        seen.seconds = time.monotonic() - began
    finally:
        server.kill()
    return seen


def check(folder: Path, seen: Seen) -> None:
    """Print what is stored beside what was acknowledged."""
    answers = read_answers(folder)
    stored = {(a.rater, a.position): a.answer for a in answers}
    lost = [key for key in seen.acknowledged if key not in stored]
    altered = [key for key, answer in seen.acknowledged.items() if stored.get(key, answer) != answer]
    order: dict[int, list[int]] = {}
    for answer in sorted(answers, key=lambda a: a.received):
        order.setdefault(answer.rater, []).append(answer.position)
    disordered = sum(positions != list(range(len(positions))) for positions in order.values())
    doubled = sum(count - 1 for count in Counter((a.rater, a.position) for a in answers).values())
    tell(
        f"answers: {len(seen.acknowledged)} acknowledged, {len(answers)} stored, {len(lost)} lost, {doubled} doubled, "
        f"{len(altered)} altered; raters with answers out of order: {disordered}; "
        f"requests tried again: {seen.retried}, answers stored whose acknowledgement was lost: {seen.stored_unheard}"
    )


def tell_latency(seen: Seen) -> None:
    """Print how long answers took, from the first attempt to the acknowledgement."""
    times = sorted(seen.milliseconds)
    tell(
        f"answer: median {statistics.median(times):.1f} ms, 95 % {times[int(0.95 * len(times))]:.1f} ms, "
        f"longest {times[-1]:.0f} ms"
    )


def tell(text: str) -> None:
    """Print a line."""
    sys.stdout.write(text + "\n")
    sys.stdout.flush()


def main() -> None:
    """Measure raters who think 0.5-1.5 s, then, without a kill, requests as fast as they go."""
    options: dict[str, Any] = {"seconds": "120", "raters": "50", "kill": "false", "seed": "0"}
    options |= dict(word.split("=", 1) for word in sys.argv[1:])
    seconds, raters, seed, kill = (
        float(options["seconds"]),
        int(options["raters"]),
        int(options["seed"]),
        options["kill"] == "true",
    )
    load = f"{os.getloadavg()[0]:.1f} on {os.cpu_count()} processors"
    tell(f"{raters} raters at once, {seconds:g} s; load of the machine before: {load}")
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place) / "study"
        build(folder, raters=raters, trials=int(seconds * 2) + 1, seed=seed)
        seen = asyncio.run(run(folder, raters=raters, seconds=seconds, think=(0.5, 1.5), kill=kill, seed=seed))
        check(folder, seen)
        tell_latency(seen)
        tell(f"pictures fetched: {seen.pictures}; load of the machine after: {os.getloadavg()[0]:.1f}")
    if kill:
        return
    with tempfile.TemporaryDirectory() as place:
        folder, brief = Path(place) / "study", min(seconds, 20.0)
        build(folder, raters=raters, trials=2000, seed=seed)
        seen = asyncio.run(run(folder, raters=raters, seconds=brief, think=(0, 0), kill=False, seed=seed))
        tell(f"without thinking: {len(seen.acknowledged) / seen.seconds:.0f} answers a second")
        check(folder, seen)
        tell_latency(seen)


if __name__ == "__main__":
    main()
