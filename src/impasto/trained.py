"""Trained networks by where they are: a run folder, a file, or the name of one that we ship."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

from impasto.engines import read_card
from impasto.files import sha256
from impasto.networks import ConditionalStylizer, Trained, build_network, load_network, network_card, norms_of
from impasto.run_folders import RunFolder
from impasto.suggest import did_you_mean

WEIGHTS = Path(__file__).parent / "weights"  # a folder a system
SYSTEMS = ("stylizer", "colorizer", "upscaler")  # of which we ship networks


def _files(system: str) -> dict[str, Path]:
    """The files of the shipped networks by name; a file of many styles has the names of all."""
    files: dict[str, Path] = {}
    for path in sorted((WEIGHTS / system).glob("*.safetensors")):
        names = [style["name"] for style in network_card(path).get("styles", [])]
        files |= dict.fromkeys(names or [path.stem], path)
    return files


def shipped(system: str) -> list[str]:
    """List what comes with the package: styles of "stylizer" in their order, networks of "colorizer" and "upscaler"."""
    return list(_files(system))


def shipped_styles() -> dict[str, dict[str, Any]]:
    """Title, painter and year of the styles that come with the package, by name."""
    cards = [network_card(path) for path in sorted((WEIGHTS / "stylizer").glob("*.safetensors"))]
    return {style["name"]: style for card in cards for style in styles_of(card)}


def styles_of(card: Mapping[str, Any]) -> list[dict[str, Any]]:
    """The styles of a stylizer's card: many, one, or none that it tells."""
    if "styles" in card:
        return list(card["styles"])
    return [card["style"]] if isinstance(card.get("style"), dict) else []


def load_shipped(name: str, *, system: str = "stylizer") -> Trained:
    """Load a network that we trained, of one for many styles the named style; FileNotFoundError without such a name."""
    trained = load_network(_shipped_file(name, system))
    return mixed_style(trained, {name: 1.0}) if "styles" in trained.card else trained


def _shipped_file(name: str, system: str) -> Path:
    files = _files(system)
    if name in files:
        return files[name]
    asked, words = {  # and how to train one
        "stylizer": (f"style={name}", f"style={name}"),
        "colorizer": (f"method.network={name}", "experiment=iizuka2016_scenes"),
        "upscaler": (f"upscaler {name}", f"experiment=upscaler network.factor={name[1:].replace('_', ' loss=')}"),
    }[system]
    known = ", ".join(sorted(files)) or "none"
    raise FileNotFoundError(
        f"no network is shipped for {asked}{did_you_mean(name, sorted(files))} (shipped: {known}); "
        f"'impasto train {words}' trains one, then give run=<its run folder>"
    )


def load_trunk(name: str) -> Trained:
    """Load a shipped network of many styles as one of a single style, their mean, for a new style to begin with.

    Of its parameters only the norms' are to be trained; its card has "network" and "trunk".
    """
    path = WEIGHTS / "stylizer" / f"{name}.safetensors"
    known = [file.stem for file in path.parent.glob("*.safetensors") if "styles" in network_card(file)]
    if name not in known:
        raise FileNotFoundError(f"no trunk '{name}' is shipped{did_you_mean(name, known)} ({', '.join(known)})")
    trained = load_network(path)
    mean = mixed_style(trained, {style["name"]: 1.0 for style in styles_of(trained.card)})
    mean.network.requires_grad_(False)
    for value in norms_of(mean.network).values():
        value.requires_grad_()
    return Trained(mean.network, {"network": mean.card["network"], "trunk": {"name": name, "sha256": sha256(path)}})


def load_mix(mix: Mapping[str, float]) -> Trained:
    """Load the shipped network that paints all of these styles (weights by name), as one that paints their mix."""
    paths = {_shipped_file(str(name), "stylizer") for name in mix}
    if len(paths) != 1:
        found = ", ".join(sorted(path.stem for path in paths)) or "none"
        raise ValueError(f"expected styles={{<name>: <weight>, ...}} of one network, got {found}")
    return mixed_style(load_network(paths.pop()), mix)


def mixed_style(trained: Trained, mix: Mapping[str, float]) -> Trained:
    """Return the network of one style, or of a mix of styles, out of one for many.

    Args:
        trained: a network for many styles.
        mix: weights by style; their sum is taken for the whole.

    Raises:
        ValueError: not a network for many styles, an unknown style, a weight below 0, or weights that sum to nothing.
    """
    network, styles = trained.network, styles_of(trained.card)
    names = [style["name"] for style in styles]
    if not isinstance(network, ConditionalStylizer) or network.styles is None:
        painted = ", ".join(names) or "one that its card does not name"
        raise ValueError(f"expected a network of several styles to choose from; this one paints {painted} alone")
    for name, weight in mix.items():
        if name not in names:
            raise ValueError(f"unknown style '{name}'{did_you_mean(str(name), names)} (it paints {', '.join(names)})")
        if not isinstance(weight, int | float) or not 0 <= weight < float("inf"):
            raise ValueError(f"expected styles={{{name}: <weight of at least 0>}}, got {weight}")
    total = sum(mix.values())
    if not total > 0:
        raise ValueError(f"expected weights of styles that sum to more than 0, got {dict(mix)}")
    single = network.single(torch.tensor([float(mix.get(name, 0.0)) for name in names]))
    card = {key: value for key, value in trained.card.items() if key != "styles"}
    card["network"] = {key: value for key, value in card["network"].items() if key != "styles"}
    title = ", ".join(f"{name} {100 * weight / total:.0f} %" for name, weight in mix.items() if weight)
    chosen = [style for style in styles if mix.get(style["name"])]
    card["style"] = chosen[0] if len(chosen) == 1 else {"name": title, "title": title}
    return Trained(single.eval(), card)


def load_named(text: str, *, system: str | None = None) -> Trained:
    """Load a network by what a user calls it: the name of a shipped one, a run folder, or a file.

    Args:
        text: what the user wrote; of a run or file of many styles also `<run or file>:<style>`.
        system: what the network must be, such as "stylizer"; None takes any.

    Raises:
        FileNotFoundError: no network there; names the nearest shipped one.
        ValueError: not a network that impasto wrote, or one of another system.
    """
    systems = {name: kind for kind in (SYSTEMS if system is None else (system,)) for name in shipped(kind)}
    if text in systems:
        return load_shipped(text, system=systems[text])
    path = Path(text).expanduser()
    place, _, style = text.rpartition(":")
    if place and not path.exists() and (many := Path(place).expanduser()).exists():
        return mixed_style(load_run(many, system=system), {style: 1.0})
    if not path.exists():
        raise FileNotFoundError(
            f"'{text}' is neither a run folder, a network file nor a shipped network{did_you_mean(text, systems)} "
            f"(shipped: {', '.join(systems)})"
        )
    return load_run(path, system=system)


def load_run(path: Path, *, system: str | None) -> Trained:
    """Load the network of a run folder, or of a file, as `load_named`; of an ONNX file its card, for the engines."""
    file = RunFolder(path).network_file if path.is_dir() else path
    if not path.exists():
        raise FileNotFoundError(f"no run folder {path}")
    if not file.is_file():
        raise FileNotFoundError(
            f"{path} holds no network.safetensors; expected the folder of an 'impasto train' run that has reached its "
            "first checkpoint"
        )
    if file.suffix == ".pt2":
        raise ValueError(f"{path} is for PyTorch's own torch.export.load; expected a run folder, or format=onnx's file")
    if file.suffix == ".onnx":
        card = read_card(file)
        trained = Trained(build_network(card["network"], file).eval(), card, file)
    elif (wanted := network_card(file).get("trunk")) is None:
        trained = load_network(file)
    else:  # a style, whose trunk is one that we ship
        trunk = load_trunk(wanted["name"])
        if (here := trunk.card["trunk"]) != wanted:
            ours, theirs = (f"{card['name']} {card['sha256'][:12]}" for card in (here, wanted))
            raise ValueError(f"{file} is a style for the trunk {theirs}, and here is {ours}; train it again")
        trained = load_network(file, onto=trunk.network)
    found = trained.card.get("system")
    if system is not None and found != system:
        found_one, expected = (f"{'an' if str(noun)[:1] in 'aeiou' else 'a'} {noun}" for noun in (found, system))
        raise ValueError(f"{file} holds {found_one}; expected {expected} (method={found} applies it)")
    return trained
