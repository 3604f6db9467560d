"""Write JSON schemas of the configuration, by which editors complete and check the YAML files: python docs/schema.py.

A command's schema is that of its file and of its experiments; a group's, of its choices. Each file of conf/ names its
own in the first lines, for yaml-language-server. Keys and their meanings come from the files themselves; types and
ranges from the signatures of what `_target_` names, and from the commands' settings.
"""

import importlib
import inspect
import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any, Unpack, get_args, get_origin, get_type_hints

import yaml
from hydra.utils import get_object
from pydantic import BaseModel, TypeAdapter
from pydantic.errors import PydanticSchemaGenerationError

from impasto.build.settings import Settings
from impasto.launch.help import experiment_command

sys.path.insert(0, str(Path(__file__).parent))
from reference import CONF, _commands, _group, _groups, _keys, _shared

FOLDER = Path(__file__).parent / "schema"
MODELINE = "# yaml-language-server: $schema="
_DRAFT = "http://json-schema.org/draft-07/schema#"
_LATER = {"type": "string", "pattern": r"\$\{|^\?\?\?$"}  # an interpolation, or a value that is still to be given
_RESERVED = ("_target_", "_partial_", "_recursive_", "_convert_", "_args_", "defaults")
_PLAIN = {bool: "boolean", int: "number", float: "number"}
Schema = dict[str, Any]


def schemas() -> dict[str, Schema]:
    """Return every schema by the name of its file."""
    groups = {group: _values(_loaded_choices(group)) for group in _groups() if _choices(group)}
    groups |= {
        f"{path.parent.name}_all": {"type": "object", "additionalProperties": {"$ref": f"{path.parent.name}.json"}}
        for path in CONF.glob("*/_all.yaml")
    }
    return {
        name: {"$schema": _DRAFT, **found} for name, found in ({c: _command(c) for c in _commands()} | groups).items()
    }


def schema_of(path: Path) -> str:
    """Name the schema of a file of conf/."""
    if path.parent == CONF:
        return path.stem
    if path.parent.name == "experiment":
        return experiment_command(CONF, path.stem) or "train"
    if path.name == "_all.yaml":
        return f"{path.parent.name}_all"
    return "train" if _is_global(path) else path.parent.name


def _is_global(path: Path) -> bool:
    """Whether a choice sets keys of the command, and not of its group."""
    return "# @package _global_" in path.read_text(encoding="utf-8")


def _choices(group: str, *, of_command: bool = False) -> list[Path]:
    return [path for path in sorted((CONF / group).glob("*.yaml")) if _is_global(path) == of_command]


def _loaded_choices(group: str) -> list[dict[str, Any]]:
    """The choices of a group, of which one file may hold several."""
    loaded = [(_loaded(path), path.name == "_all.yaml") for path in _choices(group)]
    return [choice for found, several in loaded for choice in (found.values() if several else [found])]


def _command(command: str) -> Schema:
    """The keys of a command's file, of the groups that it takes and of those that its experiments bring."""
    path = CONF / f"{command}.yaml"
    files = [path, *(CONF / f"{name}.yaml" for name in _shared(path))]
    own = [_loaded(file) for file in files]
    groups = {_group(word.removeprefix("override ")) for word in _words(own[0]) if "@" not in word} & set(_groups())
    owned = [file for file in sorted((CONF / "experiment").glob("*.yaml")) if schema_of(file) == command]
    owned += [path for group in sorted(groups) for path in _choices(group, of_command=True)]
    brought = [_loaded(file) for file in owned]
    keys = sorted({key for found in own + brought for key in found} - set(_RESERVED))
    properties = {key: _values([found[key] for found in own + brought if key in found]) for key in keys}
    properties |= {group: {"$ref": f"{group}.json"} for group in groups if _choices(group)}
    properties |= {key: found for key, found in _settings(command).items() if key in properties}
    meanings = {key.name: key.meaning for file in reversed(files) for key in _keys(file) if key.meaning}
    properties |= {key: properties[key] | {"description": text} for key, text in meanings.items() if key in properties}
    known = properties | {"defaults": {}, "hydra": {}}
    return {"type": "object", "properties": known, "additionalProperties": False}


def _words(loaded: dict[str, Any]) -> list[str]:
    return [word for entry in loaded.get("defaults", []) if isinstance(entry, dict) for word in entry]


def _settings(command: str) -> dict[str, Schema]:
    """Types and ranges of the values that a command reads itself."""
    module = importlib.import_module(f"impasto.commands.{command}")
    models = [kind for kind in vars(module).values() if isinstance(kind, type) and issubclass(kind, Settings)]
    return {name: found for model in models for name, found in _fields(model).items() if found}


def _fields(model: type[BaseModel]) -> dict[str, Schema]:
    return {
        name: _typed(Annotated[(field.annotation, *field.metadata, "")]) for name, field in model.model_fields.items()
    }


def _values(values: Sequence[Any]) -> Schema:
    """The schema of a key out of the values that files have at it; of anything where one of them says too little."""
    nodes = [value for value in values if isinstance(value, dict)]
    if nodes:
        targets = sorted({str(node["_target_"]) for node in nodes if "_target_" in node})
        if not targets:
            return _or_later({"type": "object", "properties": _inner(nodes)})
        plain = [{"not": {"type": "object"}}] if any(v is not None and not isinstance(v, dict) for v in values) else []
        other = {"type": "object", "required": ["_target_"], "properties": {"_target_": {"not": {"enum": targets}}}}
        return _or_later(*(_built(target, nodes) for target in targets), other, *plain)
    kinds = {_PLAIN.get(type(value)) for value in values if value is not None}
    return _or_later(*({"type": kind} for kind in sorted(map(str, kinds)))) if kinds and None not in kinds else {}


def _inner(nodes: Sequence[dict[str, Any]]) -> dict[str, Schema]:
    keys = sorted({key for node in nodes for key in node} - set(_RESERVED))
    return {key: _values([node[key] for node in nodes if key in node]) for key in keys}


def _built(target: str, nodes: Sequence[dict[str, Any]]) -> Schema:
    """The schema of what builds a target: its arguments, with what files have at them."""
    whole: Schema = {
        "type": "object",
        "properties": _inner([node for node in nodes if node.get("_target_", target) == target]),
    }
    known = _parameters(target)
    if known is not None:
        arguments = whole["properties"]
        whole["properties"] = {key: kind or arguments.get(key, {}) for key, kind in known.items()}
        whole["properties"] |= {key: {} for key in _RESERVED}
        whole["additionalProperties"] = False
    whole["properties"]["_target_"] = {"const": target}
    return whole


def _parameters(target: str) -> dict[str, Schema] | None:
    """What a target takes, by name; None where it takes anything."""
    built = get_object(target)
    if isinstance(built, type) and issubclass(built, BaseModel):
        return _fields(built)
    try:
        parameters = inspect.signature(built).parameters
        hints = get_type_hints(built.__init__ if isinstance(built, type) else built, include_extras=True)
    except (ValueError, TypeError, NameError):
        return None
    found: dict[str, Schema] = {}
    for name, parameter in parameters.items():
        if parameter.kind is not inspect.Parameter.VAR_KEYWORD:
            found[name] = _typed(hints[name]) if hints.get(name) in (bool, int, float) else {}
        elif get_origin(hints.get(name)) is Unpack:
            found |= {key: {} for key in get_args(hints[name])[0].__annotations__}
        else:
            return None
    return found


def _typed(annotation: Any) -> Schema:  # noqa: ANN401 (any type)
    """The schema of an annotation; nothing where it takes more than what it says, or is none of JSON's."""
    if "BeforeValidator" in repr(annotation):
        return {}
    try:
        found = TypeAdapter(annotation).json_schema()
    except (PydanticSchemaGenerationError, ValueError, TypeError, RuntimeError):
        return {}
    return {} if "$defs" in found else _or_later(found)


def _or_later(*kinds: Schema) -> Schema:
    return {"anyOf": [*kinds, {"type": "null"}, _LATER]}


def _loaded(path: Path) -> dict[str, Any]:
    found: dict[str, Any] = yaml.safe_load(path.read_text(encoding="utf-8")) or {}
    return found


def main() -> None:
    """Write the schemas, and the first line of each file of conf/."""
    FOLDER.mkdir(exist_ok=True)
    for name, schema in schemas().items():
        text = json.dumps(schema, sort_keys=True)
        (FOLDER / f"{name}.json").write_text(f"{text}\n", encoding="utf-8")
    for path in CONF.rglob("*.yaml"):
        name = schema_of(path)
        if (FOLDER / f"{name}.json").is_file():
            lines = [line for line in path.read_text(encoding="utf-8").splitlines() if not line.startswith(MODELINE)]
            place = int(lines[0].startswith("# @package"))  # which Hydra reads in the first line alone
            lines.insert(place, f"{MODELINE}{'../' * len(path.relative_to(CONF).parts)}docs/schema/{name}.json")
            path.write_text("\n".join([*lines, ""]), encoding="utf-8")


if __name__ == "__main__":
    main()
