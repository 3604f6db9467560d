"""DataModules: photographs for training and validation, as endless batches that resume where they stopped."""

from impasto.data.batches import Batch
from impasto.data.layouts import class_folders, places205, places365, sample_path, sample_paths
from impasto.data.patches import PatchBatch, Patches
from impasto.data.photographs import Coco, Photographs
from impasto.data.places import Places
from impasto.data.shards import Shards
from impasto.data.transforms import CentreCrop, CentrePatch, RandomCrop, RandomPatch, Squeeze, SqueezeAndCrop

__all__ = [
    "Batch",
    "CentreCrop",
    "CentrePatch",
    "Coco",
    "PatchBatch",
    "Patches",
    "Photographs",
    "Places",
    "RandomCrop",
    "RandomPatch",
    "Shards",
    "Squeeze",
    "SqueezeAndCrop",
    "class_folders",
    "places205",
    "places365",
    "sample_path",
    "sample_paths",
]
