"""A page of one file: everything inside it, nothing fetched, no script or style but ours; values as texts."""

import base64
import hashlib
import json
import math
import time
from collections.abc import Sequence
from datetime import timedelta
from importlib import resources
from pathlib import Path

from jinja2 import Environment, PackageLoader, StrictUndefined
from markdown_it import MarkdownIt
from markupsafe import Markup

from impasto import __version__
from impasto.files import whole_file
from impasto.redaction import without_secrets


def write_page(path: Path, template: str, *, styles: Sequence[str], scripts: Sequence[str], **values: object) -> None:
    """Write a page, whole: a template with styles and scripts, names of assets, and values.

    The template is given `style`, `script`, `policy`, `made` and `version` besides.
    """
    assets = resources.files("impasto.report") / "assets"
    parts = ("".join((assets / name).read_text(encoding="utf-8") for name in names) for names in (styles, scripts))
    style, script = map(Markup, parts)
    hashes = [base64.b64encode(hashlib.sha256(text.encode("utf-8")).digest()).decode() for text in (style, script)]
    environment = Environment(
        loader=PackageLoader("impasto.report"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {"number": number, "duration": duration}
    environment.globals["seen"] = set[int]()  # pictures that the page holds already
    environment.policies["json.dumps_kwargs"] = {"separators": (",", ":"), "allow_nan": False}
    text = environment.get_template(template).render(
        style=style,
        script=script,
        policy=f"default-src 'none'; img-src data:; style-src 'sha256-{hashes[0]}'; script-src 'sha256-{hashes[1]}'; "
        "base-uri 'none'; form-action 'none'",
        made=time.strftime("%Y-%m-%d %H:%M %Z"),
        version=__version__,
        **values,
    )
    with whole_file(path) as temporary:
        temporary.write_bytes(text.encode("utf-8", "replace"))


def markdown(text: str) -> Markup:
    """Return Markdown as HTML: tables, lists, headings, emphasis; HTML and links in it stay text."""
    reader = MarkdownIt("js-default").disable(["link", "image", "autolink", "reference", "fence", "code"])
    tokens = reader.parse(text)
    for token in tokens:
        token.attrs.pop("style", None)  # of columns, which the page's policy refuses
        if token.type.startswith("heading_"):
            token.tag = "h5"
    return Markup(reader.renderer.render(tokens, reader.options, {}))


def flatten(value: object, name: str = "") -> dict[str, str]:
    """Return plain nested data as texts by keys with dots: `{"data.batch_size": "4"}`; a list is one text."""
    if not isinstance(value, dict) or not value:
        return {name: clean(value)}
    parts = [flatten(item, f"{name}.{key}" if name else str(key)) for key, item in value.items()]
    return {key: text for part in parts for key, text in part.items()}


def clean(value: object, most: int = 500) -> str:
    """Return a text that can be shown: without secrets, in UTF-8, and of at most so many characters."""
    plain = value if isinstance(value, str) else json.dumps(value, default=str, ensure_ascii=False)
    text = without_secrets(plain).encode("utf-8", "replace").decode("utf-8")
    return text if len(text) <= most else f"{text[:most]}\n... ({len(text) - most:,} more characters)"


def number(value: float) -> str:
    """Say a number with five significant digits: `"0.15231"`, `"1.0621e+06"`, `"nan"`."""
    whole = math.isfinite(value) and value == int(value) and abs(value) < 1e7
    return f"{int(value):,}" if whole else f"{value:.5g}"


def duration(seconds: float | None) -> str:
    """Say a time: `"9.5 s"`, `"0:03:05"`, `"3 days, 2:00:00"`; `"-"` for None."""
    if seconds is None or not 0 <= seconds < 1e12:
        return "-"
    return f"{seconds:.1f} s" if seconds < 60 else str(timedelta(seconds=round(seconds)))
