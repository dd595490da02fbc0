"""The pages of the server: what they may do, and what a person sees in a real browser."""

import base64
import hashlib
import io
import re
import shutil
import subprocess
import urllib.request

import numpy as np
import pytest
from PIL import Image

from serving.store.store import Store
from tests.helpers import browser
from tests.helpers.browser import FAINT, WIDE_WITHOUT_A_BOX
from tests.helpers.colour_release import colour_release
from tests.helpers.serving_fixtures import digits, digits_release, request, server

PAGES = ("/", "/docs")
SCREENS = {1300: 900, 400: 800}
TOKEN = "only-for-those-who-know"

needs_browser = pytest.mark.skipif(
    browser.found() is None, reason=f"no browser on PATH (one of {', '.join(browser.NAMES)})"
)


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    """The models colours and digits."""
    directory = tmp_path_factory.mktemp("line")
    store = Store(directory / "out/serving")
    store.publish("digits", digits_release(directory / "digits"))
    store.publish("colours", colour_release(directory / "colours"))
    return directory / "out"


@pytest.fixture(scope="module")
def url(root):
    with server(root, "--threads", "1", "--allow-load") as (base, _, _):
        yield base


@pytest.fixture(scope="module")
def page():
    with browser.browser(browser.found()) as tab:
        yield tab


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    """A picture that is blue, one of a seven, and a text."""
    directory = tmp_path_factory.mktemp("files")
    Image.new("RGB", (90, 60), "blue").save(directory / "it's blue.png")
    Image.fromarray(digits()[0][7, :, :, 0]).save(directory / "seven.png")
    (directory / "notes.txt").write_text("no picture")
    return directory


def opened(page, address, width=1300, dark=False):
    page.messages.clear()
    page.requests.clear()
    page.open(address, width, SCREENS[width], dark)
    return page


def tried(page, url, width=1300, dark=False):
    """The page to try images, ready."""
    opened(page, f"{url}/", width, dark).until("document.querySelector('#version').textContent")
    return page


def answered(page, file, model="colours"):
    page.choose("#file", file)
    page.until(f"document.querySelector('#name').textContent == {file.name!r}")
    page.until(f"document.querySelector('#facts').textContent.includes('{model} version 1')")


def text(page, selector):
    return page.evaluate(f"document.querySelector({selector!r}).textContent")


@pytest.mark.parametrize("path", PAGES)
def test_a_page_is_one_file_in_which_only_its_own_scripts_run(url, path):
    with urllib.request.urlopen(url + path) as response:
        headers, body = response.headers, response.read().decode()
    policy = headers["content-security-policy"]
    assert {"default-src 'none'", "frame-ancestors 'none'", "base-uri 'none'"} <= set(
        policy.split("; ")
    )
    assert "unsafe" not in policy
    for kind in ("script", "style"):
        parts = re.findall(f"<{kind}>(.*?)</{kind}>", body, re.DOTALL)
        digests = [base64.b64encode(hashlib.sha256(part.encode()).digest()) for part in parts]
        allowed = " ".join(f"'sha256-{digest.decode()}'" for digest in digests)
        assert parts and f"{kind}-src {allowed};" in policy
    assert headers["x-content-type-options"] == "nosniff"
    assert headers["referrer-policy"] == "no-referrer"
    elements = re.sub("<(script|style)>.*?</", "", body, flags=re.DOTALL)
    assert not re.search(r"<(script|link)[^>]+(src|stylesheet)|\son\w+=|\sstyle=", elements)
    assert len(body) < 40_000


@needs_browser
def test_an_image_is_chosen_and_its_labels_are_shown(page, url, files):
    tried(page, url)
    answered(page, files / "it's blue.png")
    assert text(page, "#first") == "blue"
    shares = page.evaluate("[...document.querySelectorAll('#classes li')].map(e => e.innerText)")
    assert [re.split(r"\s+", share)[0] for share in shares] == ["blue", "red", "green"]
    assert all(re.search(r"\d\.\d %$", share.strip()) for share in shares)
    assert re.search(r"colours version 1, \d+(\.\d)? m?s$", text(page, "#facts"))
    page.until("document.querySelector('#picture').naturalWidth == 90")
    assert page.messages == []
    assert all(asked.startswith((url, "blob:")) for asked in page.requests)


@needs_browser
def test_the_shown_command_gives_the_same_answer(page, url, files):
    if shutil.which("curl") is None:
        pytest.skip("no curl on PATH")
    tried(page, url)
    answered(page, files / "it's blue.png")
    command = text(page, "#command pre")
    done = subprocess.run(["sh", "-c", command], cwd=files, capture_output=True, check=True)
    assert b'"classes":[{"label":"blue"' in done.stdout


@needs_browser
def test_another_model_answers_for_the_same_image(page, url, files):
    tried(page, url)
    answered(page, files / "seven.png")
    page.evaluate("document.querySelector('#model').value = 'digits'")
    page.evaluate("document.querySelector('#model').dispatchEvent(new Event('change'))")
    page.until("document.querySelector('#facts').textContent.includes('digits version 1')")
    assert text(page, "#first") == "7"
    assert page.messages == []


@needs_browser
@pytest.mark.parametrize("event", ["drop", "paste"])
def test_an_image_is_dropped_or_pasted(page, url, event):
    tried(page, url)
    file = io.BytesIO()
    Image.fromarray(np.full((9, 9, 3), (0, 250, 0), np.uint8)).save(file, "PNG")
    data = base64.b64encode(file.getvalue()).decode()
    member, kind = {
        "drop": ("dataTransfer", "DragEvent"),
        "paste": ("clipboardData", "ClipboardEvent"),
    }[event]
    page.evaluate(f"""
        const transfer = new DataTransfer();
        const bytes = Uint8Array.from(atob('{data}'), c => c.charCodeAt(0));
        transfer.items.add(new File([bytes], 'leaf.png', {{type: 'image/png'}}));
        const made = {{{member}: transfer, bubbles: true, cancelable: true}};
        document.body.dispatchEvent(new {kind}('{event}', made));
        0
    """)
    page.until("document.querySelector('#first').textContent == 'green'")
    assert text(page, "#name") == "leaf.png"


@needs_browser
def test_of_a_file_that_is_no_image_the_servers_sentence_is_shown(page, url, files):
    tried(page, url)
    answered(page, files / "seven.png")
    page.choose("#file", files / "notes.txt")
    page.until("!document.querySelector('#problem').hidden")
    assert text(page, "#problem") == ("notes.txt: cannot decode 10 bytes: they are not an image.")
    page.until("document.querySelector('#result').hidden")  # the answer was another image's
    # The browser itself reports each answer that is an error; the page says nothing.
    assert (
        len(page.messages) == 1 and "the server responded with a status of 400" in page.messages[0]
    )
    answered(page, files / "it's blue.png")
    assert page.evaluate("document.querySelector('#problem').hidden")


@needs_browser
@pytest.mark.parametrize("dark", [False, True])
@pytest.mark.parametrize("width", SCREENS)
def test_everything_is_on_screen_and_legible(page, url, files, width, dark):
    def check():
        assert page.evaluate("document.documentElement.scrollWidth") <= width
        assert page.evaluate(WIDE_WITHOUT_A_BOX) == []
        assert page.evaluate(FAINT) == []
        ids = page.evaluate("[...document.querySelectorAll('[id]')].map(e => e.id)")
        assert len(ids) == len(set(ids))

    tried(page, url, width, dark)
    check()
    answered(page, files / "it's blue.png")
    check()
    page.choose("#file", files / "notes.txt")
    page.until("!document.querySelector('#problem').hidden")
    check()
    opened(page, f"{url}/docs", width, dark).until("document.querySelector('details')")
    page.evaluate("document.querySelectorAll('details').forEach(e => e.open = true)")
    check()
    assert page.messages == []


@needs_browser
def test_every_control_has_a_name_and_is_reached_by_keyboard(page, url, files):
    tried(page, url)
    answered(page, files / "seven.png")
    for selector in ("#file", "#camera", "#model", "#token"):
        assert page.evaluate(f"document.querySelector('{selector}').labels.length") == 1, selector
    page.evaluate("document.querySelector('#file').focus()")
    outline = "getComputedStyle(document.querySelector('#file').parentElement).outlineStyle"
    assert page.evaluate("document.activeElement.id") == "file"
    assert page.evaluate(outline) == "solid"
    capture = "document.querySelector('#camera').getAttribute('capture')"
    assert page.evaluate(capture) == "environment"
    assert page.evaluate("!!document.querySelector('#first').closest('[aria-live]')")


@needs_browser
def test_the_token_is_asked_for_and_kept_in_memory_only(page, root, files, tmp_path):
    (tmp_path / "token").write_text(TOKEN)
    with server(root, "--threads", "1", "--token-file", str(tmp_path / "token")) as (url, _, _):

        def give(token):
            page.evaluate(f"document.querySelector('#token').value = '{token}'")
            page.evaluate("document.querySelector('#login button').click()")

        opened(page, f"{url}/").until("!document.querySelector('#login').hidden")
        assert page.evaluate("document.activeElement.id") == "token"
        assert page.evaluate("document.querySelector('#classifier').hidden")
        give("another-token-entirely")
        page.until("document.querySelector('#login-reason').textContent.includes('not the')")
        page.until("!document.querySelector('#login').hidden")
        give(TOKEN)
        page.until("document.querySelector('#version').textContent")
        answered(page, files / "seven.png")
        assert '-H "Authorization: Bearer $TOKEN"' in text(page, "#command pre")
        assert TOKEN not in page.evaluate("document.documentElement.outerHTML")
        kept = "localStorage.length + sessionStorage.length + document.cookie.length"
        assert page.evaluate(kept) == 0
        opened(page, f"{url}/docs").until("!document.querySelector('#login').hidden")
        give(TOKEN)
        page.until("document.querySelector('details')")
        commands = page.evaluate(
            "[...document.querySelectorAll('.command pre')].map(e => e.textContent)"
        )
        assert all(("$TOKEN" in line) == ("/health/" not in line) for line in commands[:10])


@needs_browser
def test_a_server_without_models_says_so(page, tmp_path, files):
    store = Store(tmp_path / "out/serving")
    store.publish("digits", digits_release(tmp_path / "digits"))
    with server(tmp_path / "out", "--threads", "1", "--allow-load") as (url, _, _):
        tried(page, url)
        assert page.evaluate("document.querySelector('#model').hidden")  # one is no choice
        assert text(page, "#model-label") == "Model digits"
        assert request(f"{url}/v2/repository/models/digits/unload", b"")[0] == 200
        page.choose("#file", files / "seven.png")
        page.until("document.querySelector('#problem').textContent.includes('unknown model')")
        opened(page, f"{url}/").until("!document.querySelector('#problem').hidden")
        assert text(page, "#problem") == "No model is served at the moment."


@needs_browser
def test_every_operation_is_on_the_page_with_a_command_that_works(page, url, files, tmp_path):
    opened(page, f"{url}/docs").until("document.querySelectorAll('details').length > 10")
    shown = set(
        page.evaluate("[...document.querySelectorAll('#operations code')].map(e => e.textContent)")
    )
    assert set(request(f"{url}/openapi.json")[1]["paths"]) <= shown
    commands = page.evaluate("""
        [...document.querySelectorAll('details')].flatMap(e => {
            const select = e.querySelector('select');
            const line = () => e.querySelector('.command pre').textContent;
            return select ? [...select.options].map(option => {
                select.value = option.value;
                select.dispatchEvent(new Event('change'));
                return line();
            }) : [line()];
        })
    """)
    assert len(commands) == len(set(commands)) > 20
    if shutil.which("curl") is None:
        pytest.skip("no curl on PATH")
    shutil.copy(files / "seven.png", tmp_path / "image.png")
    (tmp_path / "pixels.raw").write_bytes(bytes(64 * 64 * 3))
    # The model is unloaded last.
    for command in sorted(commands, key=lambda command: command.endswith("/unload")):
        line = command.replace("curl ", "curl --silent --show-error --fail-with-body ", 1)
        done = subprocess.run(["sh", "-c", line], cwd=tmp_path, capture_output=True, text=True)
        assert done.returncode == 0, (command[:300], done.stdout[-500:], done.stderr)
    assert b"probabilities" in (tmp_path / "answer.bin").read_bytes()
