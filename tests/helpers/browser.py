"""A real browser without a screen: headless Chromium, by its DevTools protocol.

https://chromedevtools.github.io/devtools-protocol/
"""

import base64
import contextlib
import json
import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from websockets.sync.client import ClientConnection, connect

NAMES = ("chromium", "chromium-browser", "google-chrome")
_PATIENCE = 60  # seconds

# What a page should have none of: scripts that list elements.
WIDE_WITHOUT_A_BOX = """
[...document.querySelectorAll('body *')].filter(e => {
    const box = e.getBoundingClientRect();
    return box.width && box.right > innerWidth + 0.5 && !e.closest('.scroll');
}).map(e => e.outerHTML.slice(0, 200))
"""
# WCAG 2.2, contrast ratio, of every element with words of its own against what lies below it.
FAINT = """
(() => {
    const canvas = document.createElement('canvas').getContext('2d', {willReadFrequently: true});
    const shown = (colours) => {
        canvas.fillStyle = '#fff'; canvas.fillRect(0, 0, 1, 1);
        for (const c of colours) { canvas.fillStyle = c; canvas.fillRect(0, 0, 1, 1); }
        const [r, g, b] = [...canvas.getImageData(0, 0, 1, 1).data].slice(0, 3).map(v => {
            v /= 255; return v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4;
        });
        return 0.2126 * r + 0.7152 * g + 0.0722 * b;
    };
    const faint = [];
    for (const e of document.querySelectorAll('body, body *')) {
        const own = [...e.childNodes].some(n => n.nodeType == 3 && n.textContent.trim());
        if (!own || !e.checkVisibility() || e.closest('style')) continue;
        const below = [];
        for (let a = e; a; a = a.parentElement) below.unshift(getComputedStyle(a).backgroundColor);
        const style = getComputedStyle(e);
        const ink = shown([...below, e.closest('svg') ? style.fill : style.color]);
        const paper = shown(below);
        const ratio = (Math.max(ink, paper) + 0.05) / (Math.min(ink, paper) + 0.05);
        if (ratio < 4.5) faint.push(ratio.toFixed(2) + ' ' + e.outerHTML.slice(0, 150));
    }
    return faint;
})()
"""


def found() -> str | None:
    """The browser on PATH, if any."""
    return next((path for name in NAMES if (path := shutil.which(name))), None)


class Page:
    """One tab. `messages` are what the page's console said and what it threw, `requests` the
    addresses that it asked for, other than its own and data: ones."""

    def __init__(self, connection: ClientConnection, session: str):
        self._connection, self._session, self._sent = connection, session, 0
        self._loaded = False
        self.messages: list[str] = []
        self.requests: list[str] = []
        for domain in ("Page", "Runtime", "Log", "Network"):
            self._call(f"{domain}.enable")

    def _call(self, method: str, **parameters: Any) -> dict:
        self._sent += 1
        message = {"id": self._sent, "method": method, "params": parameters}
        self._connection.send(json.dumps(message | {"sessionId": self._session}))
        while True:
            answer = json.loads(self._connection.recv(timeout=_PATIENCE))
            if answer.get("id") == self._sent and "method" not in answer:
                assert "error" not in answer, (method, answer)
                return answer["result"]
            self._heard(answer)

    def _heard(self, event: dict) -> None:
        kind, said = event.get("method"), event.get("params", {})
        if kind == "Page.loadEventFired":
            self._loaded = True
        elif kind in ("Runtime.consoleAPICalled", "Runtime.exceptionThrown", "Log.entryAdded"):
            self.messages.append(json.dumps(said))
        elif kind == "Network.requestWillBeSent":
            url = said["request"]["url"]
            if not url.startswith(("data:", "file:")):
                self.requests.append(url)

    def open(self, page: Path | str, width: int, height: int, dark: bool) -> None:
        """Opens a file or an address in a window of that size, as a person who prefers light or
        dark sees it."""
        self._call(
            "Emulation.setDeviceMetricsOverride",
            width=width, height=height, deviceScaleFactor=1, mobile=False,
        )  # fmt: skip
        scheme = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
        self._call("Emulation.setEmulatedMedia", features=[scheme])
        self._loaded = False
        self._call("Page.navigate", url=page if isinstance(page, str) else page.resolve().as_uri())
        end = time.monotonic() + _PATIENCE
        while not self._loaded:
            assert time.monotonic() < end, f"{page} did not load"
            self._heard(json.loads(self._connection.recv(timeout=_PATIENCE)))

    def evaluate(self, script: str) -> Any:
        """The value of a JavaScript expression."""
        answer = self._call("Runtime.evaluate", expression=script, returnByValue=True)
        assert "exceptionDetails" not in answer, answer
        return answer["result"].get("value")

    def until(self, script: str) -> None:
        """Waits until a JavaScript expression is true."""
        end = time.monotonic() + _PATIENCE
        while not self.evaluate(f"Boolean({script})"):
            assert time.monotonic() < end, f"never true: {script}"
            time.sleep(0.02)

    def choose(self, selector: str, file: Path) -> None:
        """Gives a file to an input, as a person who chooses it."""
        found = self._call("Runtime.evaluate", expression=f"document.querySelector({selector!r})")
        handle = {"objectId": found["result"]["objectId"]}
        self._call("DOM.setFileInputFiles", files=[str(file.resolve())], **handle)

    def screenshot(self, file: Path) -> None:
        """A PNG of the whole page, however long."""
        answer = self._call("Page.captureScreenshot", captureBeyondViewport=True)
        file.write_bytes(base64.b64decode(answer["data"]))


@contextlib.contextmanager
def browser(command: str) -> Iterator[Page]:
    """An empty tab of a browser of its own, which ends with it."""
    with tempfile.TemporaryDirectory(prefix="darkroom-", ignore_cleanup_errors=True) as profile:
        process = subprocess.Popen(
            [
                command, "--headless=new", "--no-sandbox", "--disable-gpu", "--no-first-run",
                "--disable-dev-shm-usage", "--disable-background-networking", "--hide-scrollbars",
                "--remote-debugging-port=0", f"--user-data-dir={profile}", "about:blank",
            ],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )  # fmt: skip
        try:
            with connect(_address(process, Path(profile)), max_size=None) as connection:
                target = _ask(connection, "Target.createTarget", url="about:blank")["targetId"]
                attach = {"targetId": target, "flatten": True}
                session = _ask(connection, "Target.attachToTarget", **attach)["sessionId"]
                yield Page(connection, session)
        finally:
            process.terminate()
            process.wait(timeout=_PATIENCE)


def _address(process: subprocess.Popen, profile: Path) -> str:
    """Of the browser's socket, which it writes down when it listens."""
    end = time.monotonic() + _PATIENCE
    while time.monotonic() < end:
        with contextlib.suppress(OSError, ValueError):
            port, path = (profile / "DevToolsActivePort").read_text().split()
            return f"ws://127.0.0.1:{port}{path}"
        assert process.poll() is None, f"the browser ended at once with {process.returncode}"
        time.sleep(0.05)
    raise TimeoutError("the browser does not listen")


def _ask(connection: ClientConnection, method: str, **parameters: Any) -> dict:
    """The answer of the browser itself, before there is a session."""
    connection.send(json.dumps({"id": 0, "method": method, "params": parameters}))
    while True:
        answer = json.loads(connection.recv(timeout=_PATIENCE))
        if answer.get("id") == 0 and "sessionId" not in answer:
            assert "error" not in answer, answer
            return answer["result"]
