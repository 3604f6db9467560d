"""Pages that are made when the documentation is built: commands and keys out of conf/, the Python pages out of src/.

MkDocs calls `on_files` (mkdocs.yml, `hooks`). Nothing is imported and no configuration is composed: the comments of the
YAML files are the text, so that a key is described in one place.
"""

import ast
import re
import textwrap
from pathlib import Path
from typing import Any, NamedTuple

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files

ROOT = Path(__file__).parents[1]
CONF = ROOT / "conf"
PACKAGES = ("networks", "losses", "features", "gatys", "color", "methods")
_ENTRY = re.compile(r"^( *)([\w.]+):(?: +([^# ].*?))?(?: +# (.*))?$")


class Key(NamedTuple):
    """A key of a command, as its YAML file has it."""

    name: str
    default: str
    meaning: str


def on_files(files: Files, *, config: MkDocsConfig) -> Files:
    """Add the pages of the reference and of the Python interface, and name them in the navigation."""
    pages = {f"reference/{name.replace('_', '-')}.md": _command_page(name) for name in _commands()}
    groups = {f"reference/groups/{name}.md": _group_page(name) for name in _groups()}
    python = {f"python/{name}.md": _package_page(name) for name in PACKAGES}
    for path, text in {"reference/index.md": _overview(), **pages, **groups, **python}.items():
        files.append(File.generated(config, path, content=text))
    sections: Any = config.nav
    sections[_place(sections, "Reference")] = {
        "Reference": ["reference/index.md", {"Commands": list(pages)}, {"Groups of choices": list(groups)}]
    }
    sections[_place(sections, "Python")] = {"Python": ["python/index.md", *python]}
    return files


def _place(sections: list[Any], title: str) -> int:
    return next(i for i, section in enumerate(sections) if title in section)


def _commands() -> dict[str, str]:
    """Commands with the sentence that their file begins with; what others are made of (`base`) is none."""
    files = [path for path in sorted(CONF.glob("*.yaml")) if "\ndefaults:" in _text(path)]
    shared = {name for path in files for name in _shared(path)}
    return {path.stem: _summary(_text(path)) for path in files if path.stem not in shared}


def _shared(path: Path) -> list[str]:
    """Files that a command's file is made of, the nearest first."""
    names = [name for name in re.findall(r"^  - ([a-z_]+)$", _text(path), flags=re.MULTILINE) if name != "_self_"]
    return [found for name in names for found in (name, *_shared(CONF / f"{name}.yaml"))]


def _groups() -> list[str]:
    """Groups whose choices a command or an experiment takes."""
    folders = [path.name for path in sorted(CONF.iterdir()) if path.is_dir()]
    return [name for name in folders if name not in ("experiment", "hydra")]


def _choices(group: str) -> dict[str, str]:
    """Choices of a group with the sentence that each begins with."""
    return {name: _summary(text) for name, text in _files(group).items()}


def _files(group: str) -> dict[str, str]:
    """What stands in the file of each choice of a group; or below its name in the file of all."""
    found = {path.stem: _text(path) for path in (CONF / group).glob("[!_]*.yaml")}
    for path in (CONF / group).glob("_all.yaml"):
        for comment, name, body in re.findall(r"^(# .*\n)(\w+):\n((?:  .*\n)+)", _text(path), flags=re.MULTILINE):
            found[name] = comment + textwrap.dedent(body)
    return dict(sorted(found.items()))


def _experiments(command: str) -> dict[str, str]:
    """Experiments of a command, which the sentence that they begin with names; those for tests are left out."""
    begin = f"{command.replace('_', ' ')}: "
    found = {name: line for name, line in _choices("experiment").items() if line.startswith(begin)}
    return {n: line.removeprefix(begin) for n, line in found.items() if not line.startswith(f"{begin}For the tests")}


def _overview() -> str:
    commands = {f"[`impasto {c.replace('_', ' ')}`]({c.replace('_', '-')}.md)": line for c, line in _commands().items()}
    groups = {f"[`{group}=`](groups/{group}.md)": _listed(_choices(group)) for group in _groups()}
    parts = [
        "# Commands and keys\n",
        "These pages are made from the comments of the files in `conf/` each time the documentation is built. "
        "`impasto <command> --help` prints the same in a terminal, `impasto <command> --cfg job` the whole "
        "configuration that a command line leads to.\n",
        _table("command", "what it does", commands),
        "\n## Groups of choices\n\nA group is chosen by `group=choice`; a key of the choice follows as "
        "`group.key=value`.\n",
        _table("group", "choices", groups),
        "\n## Experiments\n\n`experiment=<name>` sets many groups and keys at once. A number from a paper stands in "
        "one of these files, with its source beside it.\n",
    ]
    for command in _commands():
        if experiments := _experiments(command):
            parts.append(f"\n### impasto {command.replace('_', ' ')}\n")
            parts.append(_table("experiment=", "", {f"`{name}`": line for name, line in experiments.items()}))
    return "\n".join(parts)


def _command_page(command: str) -> str:
    path = CONF / f"{command}.yaml"
    words = command.replace("_", " ")
    parts = [f"# impasto {words}\n", f"{_summary(_text(path))}\n", "```bash\nimpasto " + words + " --help\n```\n"]
    found = [key for part in (path, *(CONF / f"{name}.yaml" for name in _shared(path))) for key in _keys(part)]
    keys = {key.name: key for key in reversed(found) if key.name not in _defaults(path)}  # a command's own count most
    rows = "\n".join(f"| `{k.name}` | {_code(k.default)} | {_cell(k.meaning)} |" for k in reversed(keys.values()))
    parts.append(f"## Keys\n\n| key | default | meaning |\n|---|---|---|\n{rows}\n")
    if groups := _defaults(path):
        text = {
            f"[`{w}=`](groups/{_group(w)}.md)": f"`{c}` | {_listed(_choices(_group(w)))}" for w, c in groups.items()
        }
        parts.append("## Groups of choices\n\n| group | default | choices |\n|---|---|---|")
        parts.append("\n".join(f"| {group} | {line} |" for group, line in text.items()) + "\n")
    if experiments := _experiments(command):
        parts.append("## Experiments\n")
        parts.append(_table("experiment=", "", {f"`{name}`": line for name, line in experiments.items()}))
    return "\n".join(parts)


def _group_page(group: str) -> str:
    taken = [c.replace("_", " ") for c in _commands() if group in map(_group, _defaults(CONF / f"{c}.yaml"))]
    choices, files = _choices(group), _files(group)
    where = "_all.yaml" if (CONF / group / "_all.yaml").is_file() else "<choice>.yaml"
    by = f" of {', '.join(f'`impasto {command}`' for command in taken)}" if taken else ""
    head = f"# {group}=\n\nChoices{by}. What stands below is what `conf/{group}/{where}` has of each.\n"
    rows = _table("choice", "", {f"[`{name}`](#{name})": line for name, line in choices.items()})
    parts = [f"## {name} {{ #{name} }}\n\n```yaml\n{text}```\n" for name, text in files.items()]
    return "\n".join([head, rows, *parts])


def _package_page(package: str) -> str:
    """One heading for each public name, the sentences being those of the docstrings."""
    tree = ast.parse(_text(ROOT / "src" / "impasto" / package / "__init__.py"))
    (names,) = [
        ast.literal_eval(node.value)
        for node in tree.body
        if isinstance(node, ast.Assign) and getattr(node.targets[0], "id", "") == "__all__"
    ]
    described = "\n\n".join(f"::: impasto.{package}.{name}" for name in sorted(names, key=str.isupper))
    return f"# impasto.{package}\n\n{ast.get_docstring(tree)}\n\n{described}\n"


def _keys(path: Path) -> list[Key]:
    """Keys of a command's file with their comments; a mapping's keys are dotted."""
    found: list[Key] = []
    parents: list[str] = []
    body = re.sub(r"\ndefaults:\n(?:  .*\n|#.*\n)*", "\n", _text(path))
    for line in body.splitlines():
        if not (match := _ENTRY.match(line)) or line.lstrip().startswith(("#", "-")):
            continue
        indent, name, default, meaning = match.groups()
        depth = len(indent) // 2
        parents = [*parents[:depth], name]
        if parents[0] != "hydra" and name != "_target_":
            found.append(Key(".".join(parents), default or "", meaning or ""))
    inner = {key.name.rpartition(".")[0] for key in found}
    return [key for key in found if key.default or key.meaning or key.name not in inner]


def _defaults(path: Path) -> dict[str, str]:
    """Groups that a command chooses from (`group` or `group@place`), with the choice that it has by itself."""
    lines = re.findall(r"^  - ([a-z_]+(?:@[\w.]+)?): (\w+)", _text(path), flags=re.MULTILINE)
    return {group: choice for group, choice in lines if _group(group) in _groups()}


def _group(word: str) -> str:
    """The group of `group@place`."""
    return word.partition("@")[0]


def _summary(text: str) -> str:
    """The first sentence of a file, which says what it is."""
    lines = [line for line in text.splitlines() if not line.startswith(("# @package", "# yaml-language-server"))]
    return lines[0].removeprefix("# ")


def _listed(choices: dict[str, str]) -> str:
    return ", ".join(f"`{name}`" for name in choices)


def _table(first: str, second: str, rows: dict[str, str]) -> str:
    return "\n".join(
        [f"| {first} | {second} |", "|---|---|", *(f"| {key} | {_cell(text)} |" for key, text in rows.items()), ""]
    )


def _code(text: str) -> str:
    return f"`{_cell(text)}`" if text else ""


def _cell(text: str) -> str:
    return text.replace("|", "\\|").replace("<", "&lt;") if "`" not in text else text.replace("|", "\\|")


def _text(path: Path) -> str:
    return path.read_text(encoding="utf-8")
