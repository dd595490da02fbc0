// A released image classifier in C++17 on ONNX Runtime's C interface: copy this file and contract.h
// into your own program. Decoding a picture is yours, and turning it upright: it gets pixels.
//
//   Classifier classifier("bundle", "model.onnx");
//   for (auto& [label, probability] : classifier.classify(pixels)) ...
#pragma once

#include <onnxruntime_c_api.h>

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <filesystem>
#include <fstream>
#include <memory>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

#include "contract.h"

// height x width x channels values of 0 to 255, row by row, the channels of a pixel together.
struct Pixels {
  int height, width, channels;
  std::vector<uint8_t> values;

  uint8_t at(int y, int x, int c) const {
    return values[(static_cast<size_t>(y) * width + x) * channels + c];
  }
};

// What a triangle filter, whose support grows with the scale, makes of `in` at `size` places:
// Pillow's antialiased bilinear resize, along one axis. Every place is `first` and its weights.
struct Place {
  int first;
  std::vector<double> weights;
};

inline std::vector<Place> places(int in, int size) {
  std::vector<Place> found;
  const double scale = static_cast<double>(in) / size, support = std::max(scale, 1.0);
  for (int i = 0; i < size; ++i) {
    const double center = (i + 0.5) * scale;
    Place place{std::max(0, static_cast<int>(center - support + 0.5)), {}};
    const int end = std::min(in, static_cast<int>(center + support + 0.5));
    double sum = 0;
    for (int x = place.first; x < end; ++x) {
      place.weights.push_back(std::max(0.0, 1 - std::abs(x + 0.5 - center) / support));
      sum += place.weights.back();
    }
    for (double& weight : place.weights) weight /= sum;
    found.push_back(std::move(place));
  }
  return found;
}

// Resized first along rows, then along columns, each rounded to 0 to 255, as Pillow does.
inline Pixels resized(const Pixels& in, int height, int width) {
  const auto columns = places(in.width, width), rows = places(in.height, height);
  const int channels = in.channels;
  Pixels wide{in.height, width, channels, {}}, out{height, width, channels, {}};
  for (int y = 0; y < in.height; ++y)
    for (const Place& place : columns)
      for (int c = 0; c < channels; ++c) {
        double sum = 0.5;
        for (size_t i = 0; i < place.weights.size(); ++i)
          sum += place.weights[i] * in.at(y, place.first + static_cast<int>(i), c);
        wide.values.push_back(static_cast<uint8_t>(std::clamp(sum, 0.0, 255.0)));
      }
  for (const Place& place : rows)
    for (int x = 0; x < width; ++x)
      for (int c = 0; c < channels; ++c) {
        double sum = 0.5;
        for (size_t i = 0; i < place.weights.size(); ++i)
          sum += place.weights[i] * wide.at(place.first + static_cast<int>(i), x, c);
        out.values.push_back(static_cast<uint8_t>(std::clamp(sum, 0.0, 255.0)));
      }
  return out;
}

inline Pixels cropped(const Pixels& in, int top, int left, int height, int width) {
  Pixels out{height, width, in.channels, {}};
  for (int y = top; y < top + height; ++y) {
    const auto row = in.values.begin() + (static_cast<size_t>(y) * in.width + left) * in.channels;
    out.values.insert(out.values.end(), row, row + static_cast<size_t>(width) * in.channels);
  }
  return out;
}

// The same on black, at a place in a larger image.
inline Pixels padded(const Pixels& in, int top, int left, int height, int width) {
  Pixels out{height, width, in.channels, {}};
  out.values.resize(static_cast<size_t>(height) * width * in.channels);
  const size_t row = static_cast<size_t>(in.width) * in.channels;
  for (int y = 0; y < in.height; ++y)
    std::copy_n(in.values.begin() + y * row, row,
                out.values.begin() + (static_cast<size_t>(top + y) * width + left) * in.channels);
  return out;
}

// A box in the middle of something.
struct Box {
  int top, left, height, width;
};

// The largest one of height x width with an aspect ratio.
inline Box middle(int height, int width, int ratio_height, int ratio_width) {
  int box_height = height, box_width = width;
  if (int64_t{width} * ratio_height > int64_t{height} * ratio_width)
    box_width = std::max(1, static_cast<int>(int64_t{height} * ratio_width / ratio_height));
  else
    box_height = std::max(1, static_cast<int>(int64_t{width} * ratio_height / ratio_width));
  return {(height - box_height) / 2, (width - box_width) / 2, box_height, box_width};
}

// Grey (of 1, or of RGB by ITU-R BT.601) or RGB, as the model takes it; a fourth channel, alpha, is
// dropped.
inline Pixels recoloured(const Pixels& in) {
  if (in.channels != 1 && in.channels != 3 && in.channels != 4)
    throw std::invalid_argument("a picture has " + std::to_string(in.channels) +
                                " channels, expected 1, 3 or 4.");
  Pixels out{in.height, in.width, contract::kChannels, {}};
  for (int y = 0; y < in.height; ++y)
    for (int x = 0; x < in.width; ++x) {
      const int red = in.at(y, x, 0);
      const int green = in.channels == 1 ? red : in.at(y, x, 1);
      const int blue = in.channels == 1 ? red : in.at(y, x, 2);
      if (contract::kChannels == 1)
        out.values.push_back(
            static_cast<uint8_t>((19595 * red + 38470 * green + 7471 * blue + 32768) >> 16));
      else
        for (int value : {red, green, blue}) out.values.push_back(static_cast<uint8_t>(value));
    }
  return out;
}

// An upright picture, fitted to the model's size as kFit says.
inline Pixels preprocess(const Pixels& picture) {
  using namespace contract;
  const size_t expected = static_cast<size_t>(std::max(0, picture.height)) *
                          std::max(0, picture.width) * std::max(0, picture.channels);
  if (expected == 0 || picture.values.size() != expected)
    throw std::invalid_argument("a picture has " + std::to_string(picture.values.size()) +
                                " values, expected height x width x channels of them.");
  const int packed_height = kHeight + kMarginHeight, packed_width = kWidth + kMarginWidth;
  Box seen{0, 0, picture.height, picture.width}, put{0, 0, packed_height, packed_width};
  if (kFit == Fit::crop) seen = middle(seen.height, seen.width, packed_height, packed_width);
  if (kFit == Fit::pad) put = middle(packed_height, packed_width, seen.height, seen.width);
  const Pixels part = cropped(picture, seen.top, seen.left, seen.height, seen.width);
  const Pixels fitted = resized(recoloured(part), put.height, put.width);
  const Pixels packed = padded(fitted, put.top, put.left, packed_height, packed_width);
  return cropped(packed, kMarginHeight / 2, kMarginWidth / 2, kHeight, kWidth);
}

// ONNX Runtime's functions, or nullptr where its library is older than the header.
inline const OrtApi* ort() {
  static const OrtApi* const api = OrtGetApiBase()->GetApi(ORT_API_VERSION);
  return api;
}

// Releases objects of ONNX Runtime at the end of their life.
struct Release {
  void operator()(OrtEnv* it) const { ort()->ReleaseEnv(it); }
  void operator()(OrtSessionOptions* it) const { ort()->ReleaseSessionOptions(it); }
  void operator()(OrtSession* it) const { ort()->ReleaseSession(it); }
  void operator()(OrtMemoryInfo* it) const { ort()->ReleaseMemoryInfo(it); }
  void operator()(OrtValue* it) const { ort()->ReleaseValue(it); }
  void operator()(OrtTensorTypeAndShapeInfo* it) const { ort()->ReleaseTensorTypeAndShapeInfo(it); }
};
template <typename T>
using Owned = std::unique_ptr<T, Release>;

inline void check(OrtStatus* status) {
  if (status == nullptr) return;
  const std::string message = ort()->GetErrorMessage(status);
  ort()->ReleaseStatus(status);
  throw std::runtime_error(message);
}

// One ONNX file of a bundle; several threads may share it.
class Classifier {
 public:
  explicit Classifier(const std::filesystem::path& bundle, const std::string& model = "model.onnx",
                      int threads = 1) {
    if (ort() == nullptr)
      throw std::runtime_error("ONNX Runtime's library is older than the header it was built with.");
    OrtEnv* environment = nullptr;
    check(ort()->CreateEnv(ORT_LOGGING_LEVEL_WARNING, "classifier", &environment));
    environment_.reset(environment);
    OrtSessionOptions* options = nullptr;
    check(ort()->CreateSessionOptions(&options));
    const Owned<OrtSessionOptions> held(options);
    check(ort()->SetIntraOpNumThreads(options, threads));
    OrtSession* session = nullptr;
    check(ort()->CreateSession(environment, (bundle / model).c_str(), options, &session));
    session_.reset(session);
    OrtMemoryInfo* memory = nullptr;
    check(ort()->CreateCpuMemoryInfo(OrtArenaAllocator, OrtMemTypeDefault, &memory));
    memory_.reset(memory);

    std::ifstream file(bundle / "labels.txt");
    for (std::string line; std::getline(file, line);) labels_.push_back(line);
    if (labels_.size() != size_t{contract::kClasses})
      throw std::runtime_error("labels.txt has " + std::to_string(labels_.size()) +
                               " lines, contract.h says " + std::to_string(contract::kClasses) +
                               ": both must be of one bundle.");
  }

  // Of one image, as `preprocess` gives it: a probability for each class.
  std::vector<float> probabilities(const std::vector<uint8_t>& pixels) const {
    using namespace contract;
    if (pixels.size() != size_t{kHeight} * kWidth * kChannels)
      throw std::invalid_argument("an image has " + std::to_string(pixels.size()) +
                                  " values, expected height x width x channels of contract.h.");
    const int64_t shape[] = {1, kHeight, kWidth, kChannels};
    OrtValue* image = nullptr;  // which only reads them
    check(ort()->CreateTensorWithDataAsOrtValue(memory_.get(), const_cast<uint8_t*>(pixels.data()),
                                               pixels.size(), shape, 4,
                                               ONNX_TENSOR_ELEMENT_DATA_TYPE_UINT8, &image));
    const Owned<OrtValue> input(image);
    OrtValue* found = nullptr;
    check(ort()->Run(session_.get(), nullptr, &kInput, &image, 1, &kOutput, 1, &found));
    const Owned<OrtValue> output(found);

    OrtTensorTypeAndShapeInfo* info = nullptr;
    check(ort()->GetTensorTypeAndShape(found, &info));
    const Owned<OrtTensorTypeAndShapeInfo> described(info);
    size_t count = 0;
    check(ort()->GetTensorShapeElementCount(info, &count));
    if (count != labels_.size())
      throw std::runtime_error("the model gives " + std::to_string(count) +
                               " probabilities, expected one for each line of labels.txt.");
    void* values = nullptr;
    check(ort()->GetTensorMutableData(found, &values));
    return {static_cast<float*>(values), static_cast<float*>(values) + count};
  }

  // The k most probable classes of an upright picture of any size.
  std::vector<std::pair<std::string, float>> classify(const Pixels& picture, size_t k = 3) const {
    const auto found = probabilities(preprocess(picture).values);
    std::vector<std::pair<std::string, float>> classes;
    for (size_t i = 0; i < found.size(); ++i) classes.emplace_back(labels_[i], found[i]);
    std::stable_sort(classes.begin(), classes.end(),
                     [](auto& a, auto& b) { return a.second > b.second; });
    classes.resize(std::min(k, classes.size()));
    return classes;
  }

 private:
  Owned<OrtEnv> environment_;
  Owned<OrtSession> session_;
  Owned<OrtMemoryInfo> memory_;
  std::vector<std::string> labels_;
};
