"""Trained networks by where they are: a run folder, a file, or the name of one that we ship."""

from pathlib import Path

from impasto.engines import read_card
from impasto.networks import Trained, build_network, load_network
from impasto.suggest import did_you_mean

WEIGHTS = Path(__file__).parent / "weights"  # a folder a system
SYSTEMS = ("stylizer", "colorizer", "upscaler")  # of which we ship networks


def shipped(system: str) -> list[str]:
    """List the networks of a system ("stylizer", "colorizer", "upscaler") that come with the package."""
    return sorted(path.stem for path in (WEIGHTS / system).glob("*.safetensors"))


def load_shipped(name: str, *, system: str = "stylizer") -> Trained:
    """Load a network that we trained.

    Raises:
        FileNotFoundError: none of that name is shipped; says how to train one.
    """
    if name not in shipped(system):
        asked, words = {
            "stylizer": (f"style={name}", f"style={name}"),
            "colorizer": (f"method.network={name}", "experiment=iizuka2016_scenes"),
            "upscaler": (f"upscaler {name}", f"experiment=upscaler_{name.replace('_', ' loss=')}"),
        }[system]
        known = ", ".join(shipped(system)) or "none"
        raise FileNotFoundError(
            f"no network is shipped for {asked}{did_you_mean(name, shipped(system))} (shipped: {known}); "
            f"'impasto train {words}' trains one, then give run=<its run folder>"
        )
    return load_network(WEIGHTS / system / f"{name}.safetensors")


def load_named(text: str, *, system: str | None = None) -> Trained:
    """Load a network by what a user calls it.

    Args:
        text: the name of a shipped network, a run folder, or a .safetensors file.
        system: what the network must be; None takes any.

    Raises:
        FileNotFoundError: neither a shipped name nor a path; names the nearest shipped one.
        ValueError: not a network that impasto wrote, or one of another system.
    """
    systems = SYSTEMS if system is None else (system,)
    for kind in systems:
        if text in shipped(kind):
            return load_shipped(text, system=kind)
    path = Path(text).expanduser()
    if not path.exists():
        known = [name for kind in systems for name in shipped(kind)]
        raise FileNotFoundError(
            f"'{text}' is neither a run folder, a network file nor a shipped network{did_you_mean(text, known)} "
            f"(shipped: {', '.join(known)})"
        )
    return load_run(path, system=system)


def load_run(path: Path, *, system: str | None) -> Trained:
    """Load the network of a run.

    Args:
        path: a run folder, or a .safetensors file.
        system: what the network must be, such as "stylizer"; None takes any.

    Raises:
        FileNotFoundError: nothing is there, or the run has not saved a network yet.
        ValueError: not a network that impasto wrote, or one of another system.
    """
    if not path.exists():
        raise FileNotFoundError(f"no run folder {path}")
    if path.suffix in (".onnx", ".pt2") and path.is_file():
        return _of_system(load_exported(path), path, system)
    file = path / "network.safetensors" if path.is_dir() else path
    if not file.is_file():
        raise FileNotFoundError(
            f"{path} holds no network.safetensors; expected the folder of an 'impasto train' run that has reached its "
            "first checkpoint"
        )
    return _of_system(load_network(file), file, system)


def load_exported(path: Path) -> Trained:
    """Load what `impasto export format=onnx` wrote, for the engines that read it.

    Returns:
        An untrained network of the same kind, the card, and the file in which the weights are.

    Raises:
        FileNotFoundError: no file, or no card beside it.
        ValueError: a file that was changed, or one of torch.export, which executes what it holds.
    """
    if path.suffix == ".pt2":
        raise ValueError(f"{path} is for PyTorch's own torch.export.load; expected a run folder, or format=onnx's file")
    card = read_card(path)
    return Trained(build_network(card["network"], path).eval(), card, path)


def _of_system(trained: Trained, path: Path, system: str | None) -> Trained:
    found = trained.card.get("system")
    if system is not None and found != system:
        raise ValueError(f"{path} holds {_a(found)}; expected {_a(system)} (method={found} applies it)")
    return trained


def _a(noun: object) -> str:
    return f"{'an' if str(noun)[:1] in 'aeiou' else 'a'} {noun}"
