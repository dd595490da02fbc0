"""The run's page: one HTML file that can be sent as it is, the verdict on top.

The sections are templates/*.html.j2, the tables are from facts.py and data_facts.py, the figures
from figures.py, and the pictures from gallery.py.
"""

import json
import re
from pathlib import Path
from typing import Any

import jinja2
import markupsafe

from components.base import atomic
from pipeline.outcome import data_facts, facts, words
from pipeline.outcome.verdict import MISTAKES, SAMPLES, SAMPLES_DARK, Verdict

_HEADING = re.compile(r'<h2 id="([^"]+)">([^<]+)</h2>')
_TITLE = re.compile(r"<title>.*?</title>", re.DOTALL)
_HEADER = re.compile(r"<header .*?</header>\n?", re.DOTALL)
_TEMPLATES = Path(__file__).with_name("templates")


def write(verdict: Verdict, directory: Path) -> None:
    """Writes `report.html`; what the run's directory holds beside it (`samples.png`,
    `preview.png`, `mistakes.json`, `findings.csv`) is inside it as far as it is there.

    A verdict that repeats another takes that run's page, and only its own words are new: to draw
    the figures again would take longer than to find that nothing changed.
    """
    found = json.loads(verdict.to_json())
    before = directory.parent / verdict.repeats / "report.html" if verdict.repeats else None
    html = (before and _repeated(found, before)) or page(found, directory)
    # Names of files may hold what UTF-8 cannot.
    atomic.write(directory / "report.html", html.encode(errors="backslashreplace"))


def _repeated(verdict: dict[str, Any], before: Path) -> str | None:
    """The page of the run before under this verdict's title and sentence, or None where it is
    gone, or is none of this version's."""
    heading, sentence = facts.heading(verdict), words.sentence(verdict["sentence"])
    template = _environment().get_template("verdict.html.j2")
    header = template.render(verdict=verdict, heading=heading, sentence=sentence)
    try:
        html, count = _HEADER.subn(lambda _: header, before.read_text(), count=1)
    except (OSError, UnicodeError):
        return None
    title = f"<title>{markupsafe.escape(heading)} ({verdict['run_id']})</title>"
    return _TITLE.sub(lambda _: title, html, count=1) if count else None


def _environment() -> jinja2.Environment:
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(_TEMPLATES),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["number"] = words.number
    environment.filters["headings"] = _HEADING.findall
    return environment


def page(verdict: dict[str, Any], directory: Path) -> str:
    """The HTML of a verdict as JSON has it."""
    from pipeline.outcome import confusion, figures, gallery
    from pipeline.outcome.doubtful_labels import read_doubtful

    models, data = verdict["models"], verdict["data"]
    calibrated = {
        framework: found
        for framework, model in models.items()
        if (found := (model.get("metrics") or {}).get("calibration"))
    }
    return (
        _environment()
        .get_template("report.html.j2")
        .render(
            verdict=verdict,
            heading=facts.heading(verdict),
            sentence=words.sentence(verdict["sentence"]),
            warnings=[words.computed(text) for text in verdict.get("warnings") or []],
            failed=facts.gates(verdict, passed=False),
            passed=facts.gates(verdict, passed=True),
            models=facts.models(verdict),
            comparisons=facts.comparisons(verdict),
            reasons=data_facts.reasons(data, directory / "findings.csv") if data else None,
            splits=data_facts.splits(data) if data else None,
            came_and_went=data_facts.came_and_went(data) if data else None,
            drift=data_facts.drift(data) if data else None,
            account=data_facts.account(data) if data else None,
            findings=data_facts.findings(data) if data else [],
            balance=data_facts.balance(data) if data else None,
            samples=gallery.picture(directory / SAMPLES),
            samples_dark=gallery.picture(directory / SAMPLES_DARK),
            preview=gallery.picture(directory / "preview.png"),
            curves=figures.learning_curves(models),
            matrices=confusion.matrices(models),
            classes=confusion.class_rows(models),
            few=confusion.FEW,
            calibrated=calibrated,
            reliability={
                framework: figures.reliability(framework, found["bins"])
                for framework, found in calibrated.items()
            },
            robustness=facts.robustness(verdict),
            slices=facts.slices(verdict),
            mistakes=gallery.read_mistakes(directory / MISTAKES),
            cross_validation=verdict.get("cross_validation") or {},
            doubtful=read_doubtful(directory),
            artifacts=facts.artifacts(verdict),
            contract=verdict.get("contract") or {},
            lineage=facts.lineage(verdict),
            steps=facts.steps(verdict),
        )
    )
