"""The report in a real browser, on a wide and a narrow screen, in light and dark."""

import re

import pytest

from pipeline.outcome import report
from tests.helpers import browser
from tests.helpers.browser import FAINT, WIDE_WITHOUT_A_BOX
from tests.helpers.report_cases import CASES

pytestmark = pytest.mark.skipif(
    browser.found() is None, reason=f"no browser on PATH (one of {', '.join(browser.NAMES)})"
)

SCREENS = {1300: 900, 400: 800}
CARDS_THAT_SCROLL = """
[...document.querySelectorAll('.scroll')].filter(
    e => e.querySelector('.cards') && e.scrollWidth > e.clientWidth
).map(e => e.textContent.slice(0, 200))
"""


@pytest.fixture(scope="module")
def page():
    with browser.browser(browser.found()) as tab:
        yield tab


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    """The reports of all cases, by name."""
    found = {}
    for name, make in CASES.items():
        directory = tmp_path_factory.mktemp("run")
        verdict = make(directory)
        found[name] = directory / "report.html"
        found[name].write_text(report.page(verdict, directory))
    return found


@pytest.mark.parametrize(
    "width, dark",
    [
        (1300, False),
        (400, True),
        pytest.param(1300, True, marks=pytest.mark.full),
        pytest.param(400, False, marks=pytest.mark.full),
    ],
)
@pytest.mark.parametrize("case", CASES)
def test_everything_is_on_screen_and_legible(page, files, case, width, dark):
    page.open(files[case], width, SCREENS[width], dark)
    assert page.evaluate("innerWidth") == width
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    assert page.evaluate(WIDE_WITHOUT_A_BOX) == [] == page.evaluate(CARDS_THAT_SCROLL)
    assert page.evaluate(FAINT) == []
    background = page.evaluate("getComputedStyle(document.body).backgroundColor")
    assert (background == "rgb(255, 255, 255)") is not dark
    assert page.messages == [] == page.requests
    pictures = page.evaluate("[...document.images].map(i => [i.alt, i.naturalWidth])")
    assert all(alt and width for alt, width in pictures)
    if case.startswith("refused") or case == "hundred classes":
        bottom = page.evaluate("document.querySelector('.gate').getBoundingClientRect().bottom")
        assert bottom <= SCREENS[width]


@pytest.mark.parametrize("case", CASES)
def test_the_file_is_complete_small_and_well_formed(page, files, case):
    text = files[case].read_text()
    assert len(text.encode()) < 3_000_000
    kinds = set(re.findall(r'(?:src|srcset)="([^,"]*)', text))
    assert kinds <= {"data:image/png;base64", "data:image/webp;base64"}
    links = re.findall(r'(?:href|action|url)\s*[=(]\s*["\']?([^"\'>)\s]+)', text)
    assert all(link.startswith(("#", "data:")) for link in links)
    page.open(files[case], 1300, 900, dark=False)
    twice = "[...document.querySelectorAll('[id]')].map(e => e.id)"
    ids = page.evaluate(twice)
    assert len(ids) == len(set(ids))
    assert page.evaluate("document.querySelectorAll('h1').length") == 1
    words = page.evaluate("document.body.textContent")
    assert not re.search(r"\bnan\b|\bNone\b", words, re.IGNORECASE)


def test_passed_gates_are_folded_and_failed_ones_come_first(page, files):
    page.open(files["refused"], 1300, 900, dark=False)
    titles = page.evaluate("[...document.querySelectorAll('.gate')].map(e => e.textContent)")
    assert "accuracy of torch" in titles[0] and "not computed" in titles[0]
    assert "0.85" in titles[1] and "gates.min_accuracy" in titles[1]
    folded = "document.querySelector('#gates ~ details')"
    assert page.evaluate(f"{folded}.open") is False
    assert page.evaluate(f"{folded}.textContent").strip().startswith("1 gate passed")


def test_the_account_of_the_images_comes_before_the_samples_and_says_why_files_are_out(page, files):
    page.open(files["released"], 1300, 900, dark=False)
    headings = page.evaluate("[...document.querySelectorAll('h2')].map(e => e.id)")
    assert headings == [
        "gates", "models", "data", "samples", "curves", "confusion", "classes", "calibration",
        "slices", "robustness", "mistakes", "artifacts", "contract", "lineage", "steps",
    ]  # fmt: skip
    page.open(files["refused data"], 400, 800, dark=False)
    text = page.evaluate("document.body.innerText")
    assert re.search(r"truncated\s+130", text) and re.search(r"too large\s+7", text)


def test_dark_samples_are_shown_in_the_dark(page, files):
    shown = {}
    for dark in (False, True):
        page.open(files["released"], 1300, 900, dark)
        shown[dark] = page.evaluate("document.querySelector('picture img').currentSrc")
    assert shown[False] != shown[True]
