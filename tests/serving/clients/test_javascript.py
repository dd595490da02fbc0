"""The JavaScript client, by Node.js and in a browser."""

import base64
import json
import shutil

import pytest

from components.base.fingerprint import ROOT
from tests.helpers import browser
from tests.helpers.client_checks import TOKEN, check_command, service

FILE = ROOT / "serving/clients/javascript/classify.mjs"


@pytest.fixture(scope="module")
def running(tmp_path_factory):
    with service(tmp_path_factory.mktemp("service")) as found:
        yield found


@pytest.mark.skipif(shutil.which("node") is None, reason="no node on PATH")
def test_the_command_prints_the_classes_of_the_model_and_the_errors_of_the_server(running):
    check_command(running, "node", str(FILE))


@pytest.mark.skipif(browser.found() is None, reason="no browser on PATH")
def test_the_class_works_in_a_page_of_the_same_origin(running):
    module = "data:text/javascript;base64," + base64.b64encode(FILE.read_bytes()).decode()
    image = running.images[3]
    encoded = base64.b64encode(image.read_bytes()).decode()
    with browser.browser(browser.found()) as page:
        page.open(f"{running.url}/v2/health/live", 400, 400, dark=False)
        page.evaluate(f"""
            import({json.dumps(module)}).then(async ({{ Client }}) => {{
                const bytes = Uint8Array.from(atob({json.dumps(encoded)}), c => c.charCodeAt());
                const client = new Client(location.origin, 'colours', {json.dumps(TOKEN)});
                window.classes = await client.classify(new Blob([bytes]), 2);
                window.failure = await client.classify(new Blob(['no'])).catch(e => e.message);
            }}).catch(error => {{ window.failure = String(error); }}), 0
        """)
        page.until("window.failure")
        assert "they are not an image" in page.evaluate("window.failure")
        found, expected = page.evaluate("window.classes"), running.expected("colours", image, 2)
    assert [label for label, _ in found] == [label for label, _ in expected]
    assert [share for _, share in found] == pytest.approx([share for _, share in expected])
