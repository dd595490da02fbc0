"""The JavaScript sample in a real browser, with nothing but the bundle and its two runtimes."""

import json
import re
import shutil
import subprocess
import urllib.error
import urllib.request

import numpy as np
import pytest
from PIL import Image

from serving.contract.image_spec import ImageSpec, decode
from tests.helpers import browser, mobile_releases
from tests.helpers.browser import FAINT, WIDE_WITHOUT_A_BOX
from tests.helpers.browser_samples import packages, served
from tests.helpers.images import encode


@pytest.fixture(scope="module")
def node_modules(tmp_path_factory):
    return packages(tmp_path_factory.mktemp("npm"))


@pytest.fixture(scope="module")
def folders(bundles, tmp_path_factory):
    """Copies of the bundles: their servers' packages lie in them."""
    root = tmp_path_factory.mktemp("served")
    return {name: shutil.copytree(path, root / name) for name, path in bundles.items()}


@pytest.fixture(scope="module")
def digits(folders, node_modules):
    with served(folders["digits"], node_modules) as url:
        yield url


@pytest.fixture(scope="module")
def linear(folders, node_modules):
    with served(folders["linear"], node_modules) as url:
        yield url


@pytest.fixture(scope="module")
def page(node_modules):
    with browser.browser(browser.found()) as tab:
        yield tab


def self_tested(page, url, runtime, file) -> str:
    page.requests.clear()
    page.open(f"{url}?selftest&runtime={runtime}&file={file}", 1300, 900, dark=False)
    page.until("/^(ok|FAILED)/.test(document.title)")
    assert page.evaluate("document.querySelector('#tested').textContent == document.title")
    origin = url.removesuffix("/javascript/")
    assert all(asked.startswith((origin, "blob:")) for asked in page.requests)
    return page.evaluate("document.title")


OK = (
    r"ok: {} golden images, largest difference \d\.\de-0[67] \(at most {}\);"
    r" photo.png: largest difference [012] of 255"
)


@pytest.mark.parametrize("runtime", ["litert", "mediapipe"])
def test_the_self_test_passes_in_both_runtimes_and_asks_no_other_server(page, linear, runtime):
    for file, most in (("model.tflite", "1e-04"), ("model_float16.tflite", "3e-02")):
        line = self_tested(page, linear, runtime, file)
        assert re.fullmatch(OK.format(5, most), line), line


def test_a_grey_model_of_any_batch_size_passes_in_litert_and_is_refused_by_mediapipe(page, digits):
    line = self_tested(page, digits, "litert", "model.tflite")
    assert re.fullmatch(OK.format(100, "1e-04"), line), line
    line = self_tested(page, digits, "mediapipe", "model.tflite")
    assert line == (
        "FAILED: model.tflite takes grey images, MediaPipe only RGB ones: use model_rgb.tflite"
    )


def test_what_was_altered_is_found_and_named(page, linear, folders):
    golden = folders["linear"] / "golden"
    for name, dtype, by, sentence in (
        ("probabilities.bin", "<f4", 0.2, "difference 2.0e-01 (at most 1e-04)"),
        ("probabilities.bin", "<f4", np.nan, "difference NaN"),
        ("photo.bin", "u1", 3, "photo.png: largest difference 3 of 255"),
    ):
        before = (golden / name).read_bytes()
        values = np.frombuffer(before, dtype).copy()
        index = int(np.argmin(values))
        values[index] += np.array(by, dtype)
        (golden / name).write_bytes(values.tobytes())
        try:
            line = self_tested(page, linear, "litert", "model.tflite")
        finally:
            (golden / name).write_bytes(before)
        assert line.startswith("FAILED: ") and sentence in line, line
    line = self_tested(page, linear, "litert", "absent.tflite")
    assert line == "FAILED: contract.json does not name absent.tflite"


@pytest.mark.parametrize("model", ["digits", "linear"])
def test_pictures_of_every_kind_and_shape_are_preprocessed_as_by_the_server(
    model, request, page, folders, tmp_path
):
    url, random = request.getfixturevalue(model), np.random.default_rng(1)
    contract = json.loads((folders[model] / "contract.json").read_text())
    spec = ImageSpec.from_dict(contract["image_spec"])
    page.open(url, 1300, 900, dark=False)
    page.evaluate("""
        import('./classifier.js').then(async ({ load }) => {
            const classifier = await load('../', 'model.tflite', 'litert');
            window.made = async (file) => [...await classifier.preprocess(file)];
            window.prepared = true;
        }), 0
    """)
    page.until("window.prepared")
    cases = [(mode, 40, 90, 1) for mode in ("L", "RGB", "P")]
    cases += [("RGB", *size, 1) for size in ((90, 41), (5, 3), (15, 24), (1, 200), (8, 8))]
    cases += [("RGB", 50, 31, turn) for turn in range(2, 9)]
    for mode, height, width, turn in cases:
        pixels = random.integers(0, 256, (height, width, 3), np.uint8)
        picture, file = Image.fromarray(pixels).convert(mode), tmp_path / "picture.png"
        exif = picture.getexif()
        exif[0x0112] = turn
        picture.save(file, exif=exif)
        page.choose("#picture", file)
        page.evaluate("""
            window.pixels = null;
            made(document.querySelector('#picture').files[0]).then((all) => { pixels = all; }), 0
        """)
        page.until("window.pixels")
        found = np.array(page.evaluate("window.pixels"), np.uint8).reshape(spec.shape)
        expected = decode(file.read_bytes(), spec)
        np.testing.assert_array_equal(found, expected, err_msg=str((mode, height, width, turn)))


_DRIVER = """
import { readFileSync } from 'node:fs';
import { fitted } from './pixels.mjs';

const { spec, pictures } = JSON.parse(readFileSync(0));
const made = pictures.map(({ rgba, width, height }) => [...fitted(rgba, width, height, spec)]);
process.stdout.write(JSON.stringify(made));
"""


@pytest.mark.parametrize("fit", ["crop", "stretch", "pad"])
def test_pixels_are_fitted_as_the_contract_says(fit, fitted_bundles, tmp_path):
    """Without a browser: pixels.js is plain JavaScript."""
    if not shutil.which("node"):
        pytest.skip("node is not installed")
    bundle = fitted_bundles[fit]
    shutil.copyfile(bundle / "javascript/pixels.js", tmp_path / "pixels.mjs")
    (tmp_path / "driver.mjs").write_text(_DRIVER)
    values = json.loads((bundle / "contract.json").read_text())["image_spec"]
    random, pictures = np.random.default_rng(2), []
    for height, width in ((40, 90), (90, 41), (5, 3), (15, 24), (1, 200), (301, 7), (200, 1)):
        pictures.append(random.integers(0, 256, (height, width, 4), np.uint8))
    for channels in (3, 1):
        spec = ImageSpec.from_dict(values | {"channels": channels, "mean": [], "std": []})
        asked = [
            {"rgba": p.ravel().tolist(), "height": p.shape[0], "width": p.shape[1]}
            for p in pictures
        ]
        done = subprocess.run(
            ["node", tmp_path / "driver.mjs"],
            input=json.dumps({"spec": values | {"channels": channels}, "pictures": asked}),
            check=True, capture_output=True, text=True, timeout=60,
        )  # fmt: skip
        for picture, found in zip(pictures, json.loads(done.stdout)):
            expected = decode(encode(Image.fromarray(picture), "PNG"), spec)
            np.testing.assert_array_equal(np.reshape(found, spec.shape), expected)


def test_a_person_chooses_a_picture_and_sees_the_three_most_probable_classes(
    page, linear, tmp_path
):
    image = mobile_releases.images()[:1]
    large = np.pad(image[0], ((1, 2), (2, 2), (0, 0)))  # the model's margins
    Image.fromarray(large).save(tmp_path / "it's.png")
    expected = mobile_releases.expected(image)[0]
    order = np.argsort(-expected)[:3]
    (tmp_path / "notes.png").write_text("no picture")
    for width, height in ((1300, 900), (400, 800)):
        for dark in (False, True):
            page.open(linear, width, height, dark)
            page.until("'ready' in document.documentElement.dataset")
            page.choose("#picture", tmp_path / "it's.png")
            for runtime, title in (("litert", "LiteRT.js"), ("mediapipe", "MediaPipe Tasks")):
                page.evaluate(f"""
                    document.querySelector('#runtime').value = '{runtime}';
                    document.querySelector('#runtime').dispatchEvent(new Event('change'));
                """)
                page.until(f"document.querySelector('#facts').textContent.startsWith('{title}, ')")
                assert page.evaluate(
                    "[...document.querySelectorAll('li')].map(e => e.innerText.split('\\n'))"
                ) == [[mobile_releases.LABELS[i], f"{100 * expected[i]:.1f} %"] for i in order]
            assert page.evaluate(WIDE_WITHOUT_A_BOX) == []
            assert page.evaluate(FAINT) == []
    page.choose("#picture", tmp_path / "notes.png")
    page.until("!document.querySelector('#problem').hidden")
    assert page.evaluate("document.querySelector('#problem').textContent").startswith("notes.png: ")
    assert page.evaluate("document.querySelectorAll('li').length") == 0


def test_its_server_serves_the_bundle_and_nothing_else(digits, folders):
    (folders["digits"] / "javascript/out.txt").symlink_to("/etc/hostname")
    root = digits.removesuffix("/javascript/")
    with urllib.request.urlopen(f"{root}/") as response:
        assert response.url == digits
    wasm = f"{digits}node_modules/@litertjs/core/wasm/litert_wasm_internal.wasm"
    with urllib.request.urlopen(wasm) as response:
        assert response.headers["content-type"] == "application/wasm"
    for path in ("/../../../etc/hostname", "/%2e%2e%2f%2e%2e%2fetc/hostname", "/absent", "/golden",
                 "/javascript/out.txt", "/%00", "/%"):  # fmt: skip
        with pytest.raises(urllib.error.HTTPError, match="404"):
            urllib.request.urlopen(root + path)
