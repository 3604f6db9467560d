"""Networks: plain modules from images to images, which know nothing of training."""

from impasto.networks.memory import activation_bytes
from impasto.networks.storage import Trained, load_network, save_network
from impasto.networks.stylizer import JohnsonStylizer, Stylizer

__all__ = ["JohnsonStylizer", "Stylizer", "Trained", "activation_bytes", "load_network", "save_network"]
