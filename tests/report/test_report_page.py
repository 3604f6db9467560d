"""The page: one file, nothing executable from the runs, bounded whatever it is given."""

import base64
import hashlib
import json
import os
import re
from collections.abc import Callable
from pathlib import Path

import pytest
from made_runs import HOSTILE, make_image, make_run, make_samples, write_metrics
from parsed_page import Parsed

from impasto.report import page as page_module
from impasto.report import record
from impasto.report.page import write_report
from impasto.report.record import count_statuses

ELEMENTS = set(
    re.findall(
        r"\w+",
        """html head meta title style body a header p h1 span nav main section div h2 label input output table thead tr
        th tbody td svg path noscript script h3 h4 h5 figure figcaption details summary pre strong code dl dt dd ul li
        img small footer""",
    )
)


def _write(tmp_path: Path, *sources: Path) -> tuple[str, Parsed]:
    path = tmp_path / "report.html"
    write_report([str(source) for source in sources], path)
    text = path.read_text(encoding="utf-8")
    return text, Parsed(text)


def _hostile_run(folder: Path, text: str, index: int) -> None:
    name = text.replace("/", "_")
    run = make_run(
        folder / f"{index} {name}"[:200],
        status="failed",
        command=text,
        config={"name": text, text: {text: [text]}, "images": text, "output": text},
        error=text,
        traceback=text * 3,
        started=text,
    )
    metrics = {f'"{text}"'.replace("\n", " "): [1.0, 2.0]}
    write_metrics(run, {key.replace(",", ";").replace('"', "'"): values for key, values in metrics.items()})
    (run / "benchmark.md").write_text(f"| {text} |\n| --- |\n| **{text}** |\n\n- {text}\n# {text}\n{text}\n")
    make_image(run / f"{name}.png")
    make_image(run / "samples/photographs" / f"{name}.png"), make_image(run / "samples/step_000001" / f"{name}.png")
    environment = json.loads((run / "environment.json").read_text())
    environment |= {"command": ["x", "--config-name", text, text], "packages": {text: text}, text: text}
    (run / "environment.json").write_text(json.dumps(environment))


def test_nothing_from_a_run_becomes_markup(tmp_path: Path) -> None:
    for index, text in enumerate(HOSTILE):
        _hostile_run(tmp_path / "outputs", text, index)
    text, parsed = _write(tmp_path, tmp_path / "outputs")
    assert parsed.open == []
    scripts = [attributes for tag, attributes in parsed.elements if tag == "script"]
    assert [s for s in scripts if s != {"type": "application/json"} and s.get("id") != "lines"] == [{}]
    for tag, attributes in parsed.elements:
        assert tag in ELEMENTS, tag
        assert not [name for name in attributes if name.startswith("on") or name == "style"]
        for name in ("src", "href"):
            assert attributes.get(name) is None or str(attributes[name]).startswith(("#", "data:image/webp;base64,"))
    assert "49" not in {*parsed.texts["h4"], *parsed.texts["td"], *parsed.texts["strong"]}
    assert "{{7*7}} {% raw %}" in "".join(parsed.texts["pre"])


def test_json_of_hostile_names_is_read_back(tmp_path: Path) -> None:
    for index, text in enumerate(HOSTILE):
        _hostile_run(tmp_path / "outputs", text, index)
    _, parsed = _write(tmp_path, tmp_path / "outputs")
    blocks = parsed.texts["script"]
    lines = json.loads(blocks[0])
    assert any("<_script><script>alert(1)" in title for _, _, title, _ in lines)
    assert all(json.loads(block) for block in blocks[1:-1])


def test_the_policy_allows_our_script_and_style_and_nothing_else(tmp_path: Path) -> None:
    make_run(tmp_path / "a", metrics={"train/loss": [1.0, 2.0]})
    text, parsed = _write(tmp_path, tmp_path / "a")
    policy = next(a["content"] for t, a in parsed.elements if t == "meta" and "http-equiv" in a)
    style, script = parsed.texts["style"][0], parsed.texts["script"][-1]
    hashes = [base64.b64encode(hashlib.sha256(part.encode()).digest()).decode() for part in (style, script)]
    assert policy == (
        f"default-src 'none'; img-src data:; style-src 'sha256-{hashes[0]}'; script-src 'sha256-{hashes[1]}'; "
        "base-uri 'none'; form-action 'none'"
    )
    assert "\r" not in text
    assert not re.findall(r"https?://(?!www\.w3\.org/2000/svg)", text)
    order = [t for t, a in parsed.elements if t in ("style", "script") or "http-equiv" in a]
    assert order[0] == "meta"  # before anything that it shall hold for


def test_every_state_of_a_run_is_said(tmp_path: Path) -> None:
    outputs = tmp_path / "outputs"
    make_run(outputs / "good", metrics={"train/loss": [1.0, 0.5]})
    make_run(outputs / "bad", status="failed", error="ValueError: no such style", traceback="Traceback: line 7")
    make_run(outputs / "stopped", status="interrupted")
    make_run(outputs / "killed", status="running")
    (outputs / "rubbish").mkdir()
    (outputs / "rubbish/status.json").write_bytes(b"\xff")
    path = tmp_path / "report.html"
    runs = write_report([str(outputs)], path)
    statuses = {"finished": 1, "interrupted": 1, "failed": 1, "died": 1, "unreadable": 1}
    assert count_statuses(runs) == statuses and list(count_statuses(runs)) == list(statuses)
    assert [run.folder for run in runs if run.problems] == [outputs / "rubbish"]
    text = path.read_text()
    for told in (
        "ValueError: no such style",
        "Traceback: line 7",
        f"impasto train resume={outputs}/stopped",
        f"impasto train resume={outputs}/killed",
        "ended without a word",
        "status.json: &#39;utf-8&#39; codec can&#39;t decode byte 0xff",
    ):
        assert told in text, told


@pytest.mark.parametrize(
    ("name", "content", "told"),
    [
        ("config.yaml", "name: {2020-01-01: x}", "config.yaml: is no YAML mapping: keys must be str"),
        ("config.yaml", "name: {? [1, 2] : x}", "config.yaml: is no YAML"),
        ("config.yaml", "name: {a: 2020-01-01, b: !!binary aGk=, c: !!set {d, e}}\nd: .nan", ""),
        ("config.yaml", f"name: 0x{'f' * 5000}", "config.yaml: is no YAML mapping: Exceeds the limit"),
        (".hydra/overrides.yaml", f"- 0x{'f' * 5000}", ""),
        (
            "environment.json",
            '{"a":' * 9000 + "1" + "}" * 9000,
            "environment.json: is no JSON object: maximum recursion",
        ),
        ("status.json", '{"status": "finished", "error": ' + "[" * 200 + "]" * 200 + "}", ""),
    ],
    ids=range(7),
)
def test_an_odd_run_folder_stops_nothing(tmp_path: Path, name: str, content: str, told: str) -> None:
    odd = make_run(tmp_path / "runs" / "odd", metrics={"train/loss": [1.0, 0.5]})
    (odd / ".hydra").mkdir()
    (odd / name).write_text(content)
    make_run(tmp_path / "runs" / "other", status="failed")
    run, other = write_report([str(tmp_path / "runs")], tmp_path / "report.html")
    assert (run.folder, other.problems) == (odd, [])
    assert [problem[: len(told)] for problem in run.problems] == ([told] if told else [])


def test_results_plots_and_pictures_are_in_it(tmp_path: Path) -> None:
    run = make_run(tmp_path / "a", command="benchmark")
    (run / "benchmark.md").write_text("| size | seconds |\n| --- | --- |\n| **256** | 1.5 |\n\n- note\n")
    (run / "evil.md").symlink_to("/etc/passwd")
    make_image(run / "benchmark.png")
    make_samples(run, photographs=2, steps=2)
    text, parsed = _write(tmp_path, run)
    assert "256" in parsed.texts["strong"] and "1.5" in parsed.texts["td"] and "note" in parsed.texts["li"]
    images = [attributes for tag, attributes in parsed.elements if tag == "img"]
    assert [i["data-label"] for i in images].count("photograph") == 2 and len(images) == 7
    assert {str(i["data-path"]) for i in images} >= {"benchmark.png", "samples/step_000200/photo_1.png"}
    assert "root:" not in text and "evil.md: is a link to" in text


def test_a_report_of_one_run_is_open_and_many_are_closed(tmp_path: Path) -> None:
    for name in "abc":
        make_run(tmp_path / "o" / name)
    _, one = _write(tmp_path, tmp_path / "o/a")
    _, many = _write(tmp_path, tmp_path / "o")
    assert [("open" in a) for t, a in one.elements if t == "details" and "data-run" in a] == [True]
    assert [("open" in a) for t, a in many.elements if t == "details" and "data-run" in a] == [False] * 3


def test_an_interrupt_leaves_the_older_page_as_it_was(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run, path = make_run(tmp_path / "a"), tmp_path / "report.html"
    path.write_text("older")

    def interrupt(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    for module, name in ((record, "read_run"), (page_module, "add_pictures")):
        with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
            patch.setattr(module, name, interrupt)
            write_report([str(run)], path)
    assert path.read_text() == "older"
    assert sorted(p.name for p in tmp_path.iterdir()) == ["a", "report.html"]


NAMES: dict[str, Callable[[Path], Path]] = {
    "no page": lambda p: p / "config.yaml",
    "folder": lambda p: p / "folder.html",
}


@pytest.mark.parametrize("name", NAMES)
def test_what_cannot_be_written_is_found_before_the_work(
    tmp_path: Path, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "folder.html").mkdir()
    monkeypatch.setattr(record, "read_run", None)
    with pytest.raises(ValueError, match=r"expected output=<file>\.html"):
        write_report([str(make_run(tmp_path / "a"))], NAMES[name](tmp_path))


def test_names_that_are_no_utf_8_are_written(tmp_path: Path) -> None:
    run = make_run(tmp_path / os.fsdecode(b"caf\xe9"))
    make_image(run / os.fsdecode(b"plot\xe9.png"))
    (run / os.fsdecode(b"t\xe9.md")).write_text("| a |\n")
    text, _ = _write(tmp_path, run)
    assert "caf?" in text and "plot?.png" in text and "t?.md" in text
