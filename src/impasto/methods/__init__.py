"""Methods: a trained network as a function of photographs, with what it says of each."""

from collections.abc import Callable

from impasto.methods.colouring import Colouring, describe_scene, describe_scenes
from impasto.methods.method import PLAIN, Applied, ByStrips, Engine, Method, Seen
from impasto.methods.stylizing import Stylizing
from impasto.methods.upscaling import Upscaling
from impasto.networks import Trained

__all__ = [
    "PLAIN",
    "Applied",
    "ByStrips",
    "Colouring",
    "Engine",
    "Method",
    "Seen",
    "Stylizing",
    "Upscaling",
    "describe_scene",
    "describe_scenes",
    "method_of",
]


def method_of(trained: Trained, engine: Engine = PLAIN) -> Method:
    """Return what a trained network, computed by an engine, does to photographs: paints, colours or enlarges them.

    Raises:
        ValueError: a network of another system than "stylizer", "colorizer" and "upscaler".
    """
    kinds: dict[str, Callable[[Trained, Engine], Method]] = {
        "stylizer": Stylizing,
        "colorizer": Colouring,
        "upscaler": Upscaling,
    }
    system = str(trained.card.get("system"))
    if system not in kinds:
        raise ValueError(f"expected a network of {', '.join(kinds)}, got one of {system}")
    return kinds[system](trained, engine)
