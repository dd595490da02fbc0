"""The run's page: curves and pictures, whatever a run left."""

from PIL import Image

from pipeline.outcome import report
from pipeline.outcome.verdict import Verdict


def rows(epochs: int, **more) -> list[dict]:
    return [
        {
            "epoch": n, "loss": 2 / n, "accuracy": 1 - 1 / (n + 1), "val_loss": 1 / n,
            "val_accuracy": 1 - 1 / (n + 2), "learning_rate": 10.0**-n, "seconds": 1.0,
            "images_per_second": 1000.0, **more,
        }
        for n in range(1, epochs + 1)
    ]  # fmt: skip


def test_curves_of_both_frameworks_are_in_one_picture_with_the_learning_rate():
    svg = report.learning_curves({"keras": {"history": rows(5)}, "torch": {"history": rows(3)}})
    assert svg.startswith("<svg") and svg.count('id="axes_') == 3
    for words in ("keras train", "keras val", "torch train", "torch val", "learning rate"):
        assert f"<!-- {words} -->" in svg


def test_curves_do_with_one_epoch_missing_values_and_keys_of_other_versions():
    one = report.learning_curves({"keras": {"history": rows(1, ema_accuracy=0.5)}})
    assert one.startswith("<svg") and "<use" in one  # points, for a line of one is invisible
    old = [{key: row[key] for key in ("epoch", "loss", "val_loss")} for row in rows(3)]
    old[1]["val_loss"] = None
    assert report.learning_curves({"torch": {"history": old}}).startswith("<svg")
    flat = rows(2, learning_rate=0.0)
    assert report.learning_curves({"torch": {"history": flat}}).startswith("<svg")
    assert report.learning_curves({"keras": {"history": []}, "torch": {}}) == ""


def test_the_page_holds_the_pictures_that_the_run_has(tmp_path):
    verdict = Verdict("1", "digits", "digits")
    report.write(verdict, tmp_path)
    assert "<h2>Samples</h2>" not in (tmp_path / "report.html").read_text()
    Image.new("RGB", (2, 2)).save(tmp_path / "samples.png")
    report.write(verdict, tmp_path)
    page = (tmp_path / "report.html").read_text()
    assert "<h2>Samples</h2>" in page and page.count('src="data:image/png;base64,') == 1
