"""A page of one file: everything inside it, nothing fetched, and no script or style but ours."""

import base64
import hashlib
import time
from collections.abc import Sequence
from importlib import resources

from jinja2 import Environment, PackageLoader, StrictUndefined
from markdown_it import MarkdownIt
from markupsafe import Markup

from impasto import __version__
from impasto.report.texts import duration, number


def render_page(template: str, *, styles: Sequence[str], scripts: Sequence[str], **values: object) -> bytes:
    """Return a page in UTF-8: a template with styles and scripts, names of assets, and values.

    The template is given `style`, `script`, `policy`, `made` and `version` besides.
    """
    style, script = ("".join(map(_asset, names)) for names in (styles, scripts))
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
        style=Markup(style),
        script=Markup(script),
        policy=_policy(style, script),
        made=time.strftime("%Y-%m-%d %H:%M %Z"),
        version=__version__,
        **values,
    )
    return text.encode("utf-8", "replace")


def markdown(text: str) -> Markup:
    """Return Markdown as HTML: tables, lists, headings, emphasis; HTML and links in it stay text."""
    reader = MarkdownIt("js-default").disable(["link", "image", "autolink", "reference", "fence", "code"])
    tokens = reader.parse(text)
    for token in tokens:
        token.attrs.pop("style", None)  # of columns, which the page's policy refuses
        if token.type.startswith("heading_"):
            token.tag = "h5"
    return Markup(reader.renderer.render(tokens, reader.options, {}))


def _asset(name: str) -> str:
    return resources.files("impasto.report").joinpath("assets", name).read_text(encoding="utf-8")


def _policy(style: str, script: str) -> str:
    """The content security policy: nothing but what is in the page, and only the script and the style that we wrote."""
    hashes = [base64.b64encode(hashlib.sha256(text.encode("utf-8")).digest()).decode() for text in (style, script)]
    return (
        f"default-src 'none'; img-src data:; style-src 'sha256-{hashes[0]}'; script-src 'sha256-{hashes[1]}'; "
        "base-uri 'none'; form-action 'none'"
    )
