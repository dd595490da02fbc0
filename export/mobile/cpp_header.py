"""contract.json as constants: C++ has no JSON of its own."""

import json

from serving.contract.release_files import FORMATS

CPP_HEADER = "cpp/contract.h"


def cpp_header(contract: dict) -> str:
    """cpp/contract.h of a bundle with this contract.json."""
    spec, golden, model = contract["image_spec"], contract["golden"], contract["files"]
    onnx = model.get(FORMATS["onnx"].file, {"bytes": 0, "tolerance": 0})
    height, width, channels = golden["photo_shape"]
    source = "written by `python -m export.mobile` from contract.json"
    return f"""// Of {_text(contract["model"])}, {source}.
#pragma once

namespace contract {{
// What the model takes: uint8, N x kHeight x kWidth x kChannels.
constexpr int kHeight = {spec["height"]};
constexpr int kWidth = {spec["width"]};
constexpr int kChannels = {spec["channels"]};
// An image is resized to a size that is larger by the margins, which are then cut off.
constexpr int kMarginHeight = {spec["margin_height"]};
constexpr int kMarginWidth = {spec["margin_width"]};
// What becomes of an image of another aspect ratio.
enum class Fit {{ crop, stretch, pad }};
constexpr Fit kFit = Fit::{spec["fit"]};
constexpr int kClasses = {len(contract["labels"])};
constexpr const char* kInput = {_text(contract["input"]["name"])};
constexpr const char* kOutput = {_text(contract["output"]["name"])};

// For the self-test.
constexpr int kGoldenImages = {golden["count"]};
constexpr int kPhotoHeight = {height};
constexpr int kPhotoWidth = {width};
constexpr int kPhotoChannels = {channels};
constexpr long long kOnnxBytes = {onnx["bytes"]};
constexpr float kOnnxTolerance = {onnx["tolerance"]:.9e}f;
}}  // namespace contract
"""


def _text(words: str) -> str:
    """A C++ literal of ASCII names; json's escapes are C++'s for these."""
    return json.dumps(words)
