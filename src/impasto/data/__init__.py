"""DataModules: photographs for training and validation, as endless batches that resume where they stopped."""

from impasto.data.coco import Coco
from impasto.data.photographs import Batch, Photographs
from impasto.data.sample import sample_paths
from impasto.data.transforms import CentreCrop, RandomCrop, Squeeze

__all__ = ["Batch", "CentreCrop", "Coco", "Photographs", "RandomCrop", "Squeeze", "sample_paths"]
