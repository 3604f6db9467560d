"""The index beside shards: what `impasto pack` wrote, and whether it is still there."""

import hashlib
import json
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, NamedTuple
from urllib.error import HTTPError

from impasto.data.shard_source import Source

FILE = "index.json"
_AT_ONCE = 16  # questions to a web server
_BLOCK = 1 << 20


class Shard(NamedTuple):
    """One tar file.

    Attributes:
        name: in the folder.
        samples: photographs in it.
        bytes: of the file.
        sha256: of the file.
    """

    name: str
    samples: int
    bytes: int
    sha256: str


class ShardIndex(NamedTuple):
    """What was packed.

    Attributes:
        classes: names of the scenes; none where nobody told them.
        train: shards to train on.
        val: shards held out.
        settings: of `impasto pack`.
    """

    classes: list[str]
    train: list[Shard]
    val: list[Shard]
    settings: dict[str, Any]


def load_index(source: Source) -> ShardIndex:
    """Read the index.

    Raises:
        FileNotFoundError: there is none.
        ConnectionError: it cannot be reached.
        ValueError: it is not one of `impasto pack`.
    """
    url = source.url(FILE)
    try:
        content = source.read(FILE)
    except (FileNotFoundError, NotADirectoryError) as error:
        raise FileNotFoundError(f"no {url}; 'impasto pack' writes it beside the shards") from error
    except HTTPError as error:
        what = f"no {url} ({error})" if error.code == 404 else f"{url} cannot be read: {error}"
        raise ConnectionError(f"{what}; 'impasto pack' writes it beside the shards") from error
    except OSError as error:
        raise ConnectionError(f"{url} cannot be reached: {getattr(error, 'reason', error)}") from error
    return parse_index(content, url)


def parse_index(content: bytes, name: str) -> ShardIndex:
    """Read an index from the bytes of its file.

    Args:
        content: JSON.
        name: what messages call it.

    Raises:
        ValueError: it is not one of `impasto pack`.
    """
    try:
        told = json.loads(content)
        train, val = ([Shard(*(shard[key] for key in Shard._fields)) for shard in told[k]] for k in ("train", "val"))
        index = ShardIndex([str(name) for name in told["classes"]], train, val, dict(told["settings"]))
        for shard in (*train, *val):  # a name may become a part of a path, an address or a command
            if not re.fullmatch(r"[A-Za-z0-9][\w.-]*\.tar", shard.name) or {type(shard.samples), type(shard.bytes)} != {
                int
            }:
                raise ValueError(f"a shard {tuple(shard)}")
    except (ValueError, TypeError, KeyError) as error:
        raise ValueError(f"{name} is no index of 'impasto pack' ({error!r})") from error
    if not train or not val or any(shard.samples < 1 for shard in (*train, *val)):
        raise ValueError(f"{name} lists no shards to train or to validate on")
    return index


def check_shards(source: Source, shards: Sequence[Shard]) -> None:
    """Ask whether all shards are there with the right sizes, without reading them.

    Raises:
        ValueError: names the first that is not.
    """
    if not (found := _findings(lambda shard: size_finding(source, shard), shards)):
        return
    (name, finding), more = next(iter(found.items())), len(found) - 1
    raise ValueError(f"shard {source.url(name)} {finding}" + (f"; {more} more are wrong" if more else ""))


def compare_checksums(source: Source, shards: Sequence[Shard], tell: Callable[[int], None]) -> dict[str, str]:
    """Read all shards and compare their checksums.

    Args:
        source: where they lie.
        shards: of the index.
        tell: is called with the number of shards that are done.

    Returns:
        By name, what is wrong; the sound ones are left out.
    """
    found: dict[str, str] = {}
    for done, shard in enumerate(shards, start=1):
        if finding := size_finding(source, shard) or _content_finding(source, shard):
            found[shard.name] = finding
        tell(done)
    return found


def size_finding(source: Source, shard: Shard) -> str:
    """Return "" for a shard of the right size, or what is wrong."""
    try:
        size = source.size(shard.name)
    except FileNotFoundError:
        return "is missing"
    except HTTPError as error:
        return "is missing" if error.code == 404 else f"cannot be reached: {error}"
    except OSError as error:
        return f"cannot be reached: {getattr(error, 'reason', error)}"
    return "" if size in (None, shard.bytes) else f"has {size} bytes; {FILE} says {shard.bytes}"


def _content_finding(source: Source, shard: Shard) -> str:
    digest = hashlib.sha256()
    try:
        stream = source.open(shard.name, shard.bytes)
        try:
            while block := stream.read(_BLOCK):
                digest.update(block)
        finally:
            stream.close()
    except OSError as error:
        return f"cannot be read: {error}"
    return "" if digest.hexdigest() == shard.sha256 else "has another checksum"


def _findings(find: Callable[[Shard], str], shards: Iterable[Shard]) -> Mapping[str, str]:
    with ThreadPoolExecutor(_AT_ONCE) as pool:
        told = list(zip(shards, pool.map(find, shards), strict=True))
    return {shard.name: finding for shard, finding in told if finding}
