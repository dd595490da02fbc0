"""The run's page: one HTML file that can be sent as it is, the verdict on top.

The sections are templates/*.html.j2, the tables are from facts.py and data_facts.py, the figures
from figures.py, and the pictures from gallery.py.
"""

import json
import re
from pathlib import Path
from typing import Any

import jinja2

from components.base import atomic
from pipeline.outcome import confusion, data_facts, facts, figures, gallery, words
from pipeline.outcome.verdict import MISTAKES, SAMPLES, SAMPLES_DARK, Verdict

_HEADING = re.compile(r'<h2 id="([^"]+)">([^<]+)</h2>')
_TEMPLATES = Path(__file__).with_name("templates")


def write(verdict: Verdict, directory: Path) -> None:
    """Writes `report.html`; what the run's directory holds beside it (`samples.png`,
    `preview.png`, `mistakes.json`, `findings.csv`) is inside it as far as it is there."""
    html = page(json.loads(verdict.to_json()), directory)
    # Names of files may hold what UTF-8 cannot.
    atomic.write(directory / "report.html", html.encode(errors="backslashreplace"))


def page(verdict: dict[str, Any], directory: Path) -> str:
    """The HTML of a verdict as JSON has it."""
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(_TEMPLATES),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["number"] = words.number
    environment.filters["headings"] = _HEADING.findall
    models, data = verdict["models"], verdict["data"]
    calibrated = {
        framework: found
        for framework, model in models.items()
        if (found := (model.get("metrics") or {}).get("calibration"))
    }
    return environment.get_template("report.html.j2").render(
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
        artifacts=facts.artifacts(verdict),
        contract=verdict.get("contract") or {},
        lineage=facts.lineage(verdict),
        steps=facts.steps(verdict),
    )
