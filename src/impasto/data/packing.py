"""Photographs into shards that litdata streams; interrupted anywhere, the same call goes on behind the last shard."""

import io
import json
import time
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

from PIL import Image
from torch.utils.data import DataLoader

from impasto.data.layouts import Labelled
from impasto.data.shards import INDEX, Sample, ShardIndex, checksum, read_index
from impasto.files import write_text
from impasto.images import read_image, resize, to_uint8
from impasto.images.pixels import scaled

_UNFINISHED = "unfinished.json"
_SEEN_AT = 64  # pixels in which a photograph is decoded to see whether it is sound


class Packing(NamedTuple):
    """How photographs are packed."""

    classes: Sequence[str]  # names of the scenes; none where they are not known
    shorter_side: int | None  # pixels to which larger photographs are made smaller; None keeps all files as they are
    shard_bytes: int  # a shard is full when its photographs have as many
    workers: int  # processes that read
    settings: Mapping[str, Any]  # plain JSON, by which the same pack is known again
    progress: Callable[[int], None]  # is called with how many photographs are done


def pack(items: Sequence[Labelled], folder: Path, packing: Packing) -> ShardIndex:
    """Write the shards of one split into its folder, photographs in order, that are not there yet; at last the index.

    Raises:
        ValueError: not one photograph can be read, or the folder holds a pack with other settings.
    """
    from litdata.streaming.writer import BinaryWriter  # Cache's would do, but for a __del__ in which a Ctrl-C is lost

    index, unfinished = folder / INDEX, folder / _UNFINISHED
    state: dict[str, Any] = {"chunks": [], "left_out": [], "done": 0, "settings": packing.settings}
    if file := next((file for file in (index, unfinished) if file.is_file()), None):
        state = json.loads(file.read_text(encoding="utf-8"))
        if changed := [key for key in packing.settings if state["settings"].get(key) != packing.settings[key]]:
            raise ValueError(f"{folder} is a pack with another {', '.join(changed)}; give another output=<folder>")
        if file == index:
            return read_index(index)
    build: Callable[..., DataLoader[Sample | str]] = DataLoader
    read = partial(_sample, shorter_side=packing.shorter_side)
    loader = build(items[state["done"] :], batch_size=None, collate_fn=read, num_workers=packing.workers)
    samples, size = list[Sample](), 0
    for number, found in enumerate(loader, start=state["done"] + 1):
        if isinstance(found, str):
            state["left_out"].append(found)
        else:
            samples.append(found)
            size += len(found["content"])
        packing.progress(number)
        if samples and (size >= packing.shard_bytes or number == len(items)):
            writer = BinaryWriter(str(folder), chunk_size=len(samples), chunk_index=len(state["chunks"]))
            for place, sample in enumerate(samples):
                writer[place] = sample
            writer.done()
            written = json.loads((folder / f"0.{INDEX}").read_text(encoding="utf-8"))  # litdata's, of this shard
            state |= {"chunks": state["chunks"] + written["chunks"], "config": written["config"], "done": number}
            write_text(unfinished, json.dumps(state))
            samples, size = [], 0
    if not state["chunks"]:
        raise ValueError(f"none of the {len(items)} photographs can be read: {state['left_out'][0]}")
    state |= {"classes": list(packing.classes), "updated_at": str(time.time())}
    write_text(index, json.dumps(state) + "\n")
    for leftover in (unfinished, folder / f"0.{INDEX}", *folder.glob(".*.part.json")):  # the last of a kill -9
        leftover.unlink(missing_ok=True)
    return read_index(index)


def _sample(item: Labelled, shorter_side: int | None) -> Sample | str:
    """Read a photograph as it is packed; of a broken one, say what is wrong with it."""
    name = item.path.name.encode(errors="backslashreplace").decode()
    try:
        content = _smaller(item.path.read_bytes(), item.path.name, shorter_side)
    except OSError as error:
        return f"{name}: {error.strerror}"
    except ValueError as error:
        return str(error)
    return Sample(content=content, label=item.label, name=name, checksum=checksum(content, item.label, name))


def _smaller(content: bytes, name: str, shorter_side: int | None) -> bytes:
    """Encode a photograph anew if it is too large; in any case see whether it is sound."""
    image = read_image(content, name=name, at_least=shorter_side or _SEEN_AT)
    with Image.open(io.BytesIO(content)) as opened:
        if shorter_side is None or min(opened.size) <= shorter_side:
            return content
    height, width = image.shape[-2:]
    smaller = resize(image, scaled((height, width), shorter_side / min(height, width)))
    with io.BytesIO() as file:
        # Colours at full resolution, for they are what a colorizer learns.
        Image.fromarray(to_uint8(smaller)).save(file, "JPEG", quality=95, subsampling=0)
        return file.getvalue()
