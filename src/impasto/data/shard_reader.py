"""Photographs out of tar shards, one after another; what is broken becomes a sample that says so."""

import re
import tarfile
from collections import deque
from collections.abc import Iterator, Sequence
from contextlib import suppress
from typing import Any, NamedTuple

import numpy as np

from impasto.data.photographs import UNKNOWN
from impasto.data.shard_index import Shard
from impasto.data.shard_source import Source

LABEL = "cls"
_KEY = re.compile(r"(\d++)[^.]*\.(\w+)$")
_BLOCK = 1 << 18


class Sample(NamedTuple):
    """A photograph as it lies in a shard.

    Attributes:
        shard: name of the tar file.
        key: number and name in it.
        content: bytes of the image file; None if they cannot be found.
        label: index of the scene; -1 where nobody told it.
    """

    shard: str
    key: str
    content: bytes | None
    label: int


class Reader(NamedTuple):
    """Reads shards of one place.

    Attributes:
        source: where they lie.
        classes: how many scenes there are; 0 where nobody told them.
    """

    source: Source
    classes: int

    def read(self, shards: Sequence[Shard], wanted: np.ndarray) -> Iterator[tuple[int, Sample]]:
        """Read photographs in the order in which they lie in the shards.

        Args:
            shards: in the order in which they are read; one of which nothing is wanted is not opened.
            wanted: by number of the photograph, all shards taken together, whether it is wanted: (total,), bool.

        Yields:
            Each wanted photograph and its number, also those that a damaged shard has lost.

        Raises:
            ConnectionError: a shard cannot be read any more.
        """
        begin = 0
        for shard in shards:
            numbers = np.flatnonzero(wanted[begin : begin + shard.samples]).tolist()
            for number, sample in self._read_shard(shard, numbers) if numbers else ():
                yield begin + number, sample
            begin += shard.samples

    def _read_shard(self, shard: Shard, numbers: list[int]) -> Iterator[tuple[int, Sample]]:
        left = deque(numbers)
        stream: Any = self.source.open(shard.name, shard.bytes)
        local = self.source.folder is not None  # not read where it is skipped
        try:
            # tarfile and not webdataset's reader: at the first header that is damaged that one ends the shard without a
            # word, while ignore_zeros goes on to the next header that is sound.
            with (
                suppress(tarfile.TarError),
                tarfile.open(fileobj=stream, mode="r:" if local else "r|", ignore_zeros=True, bufsize=_BLOCK) as tar,
            ):
                for number, sample in self._samples(tar, shard.name, set(numbers)):
                    while left and left[0] < number:
                        yield left[0], _lost(shard, left.popleft())
                    if left and left[0] == number:
                        yield left.popleft(), sample
                    if not left:
                        return
        finally:
            stream.close()
        for number in left:
            yield number, _lost(shard, number)

    def _samples(self, tar: tarfile.TarFile, shard: str, wanted: set[int]) -> Iterator[tuple[int, Sample]]:
        """Put the members of one photograph together: its file and its label."""
        current, key = -1, ""
        parts: dict[str, bytes] = {}
        while (member := tar.next()) is not None:
            tar.members.clear()  # type: ignore[attr-defined]  # it would keep one for each file
            found = _KEY.match(member.name)
            if found is None or not member.isfile() or int(found[1]) not in wanted:  # a link leads anywhere, or nowhere
                continue
            if int(found[1]) != current:
                if parts:
                    yield current, self._sample(shard, key, parts)
                current, key, parts = int(found[1]), member.name.partition(".")[0], {}
            opened = tar.extractfile(member)
            if opened is not None:
                parts[found[2]] = opened.read()
        if parts:
            yield current, self._sample(shard, key, parts)

    def _sample(self, shard: str, key: str, parts: dict[str, bytes]) -> Sample:
        content = next((content for suffix, content in parts.items() if suffix != LABEL), None)
        if not self.classes:
            return Sample(shard, key, content, UNKNOWN)
        try:
            label = int(parts[LABEL])
        except (KeyError, ValueError):  # without its label it would count as one whose scene nobody told
            return Sample(shard, key, None, UNKNOWN)
        return Sample(shard, key, content if UNKNOWN <= label < self.classes else None, label)


def _lost(shard: Shard, number: int) -> Sample:
    return Sample(shard.name, f"{number:06d}", None, UNKNOWN)
