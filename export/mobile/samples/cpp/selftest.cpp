// Replays the bundle's golden images: `selftest BUNDLE`. Prints one line. Exit codes: 0 all agree,
// 1 something does not.
#include <cstdio>
#include <cstring>
#include <exception>
#include <iterator>

#include "classifier.h"

namespace fs = std::filesystem;

static std::vector<uint8_t> bytes(const fs::path& path, size_t expected) {
  std::ifstream file(path, std::ios::binary);
  std::vector<uint8_t> found{std::istreambuf_iterator<char>(file), {}};
  if (!file || found.size() != expected)
    throw std::runtime_error(path.string() + " has " + std::to_string(found.size()) +
                             " bytes, expected " + std::to_string(expected));
  return found;
}

static int check(const fs::path& bundle) {
  using namespace contract;
  const size_t pixels = static_cast<size_t>(kHeight) * kWidth * kChannels;
  const auto images = bytes(bundle / "golden/images.bin", kGoldenImages * pixels);
  const auto raw = bytes(bundle / "golden/probabilities.bin", kGoldenImages * kClasses * 4);
  std::vector<float> expected(kGoldenImages * kClasses);
  std::memcpy(expected.data(), raw.data(), raw.size());  // little endian, as phones and PCs are
  bytes(bundle / "model.onnx", kOnnxBytes);

  Classifier classifier(bundle, "model.onnx");
  float difference = 0;
  for (int i = 0; i < kGoldenImages; ++i) {
    const auto found =
        classifier.probabilities({images.begin() + i * pixels, images.begin() + (i + 1) * pixels});
    for (int j = 0; j < kClasses; ++j) {
      const float apart = std::abs(found[j] - expected[i * kClasses + j]);
      difference = std::max(difference, std::isnan(apart) ? INFINITY : apart);
    }
  }

  const Pixels photo{kPhotoHeight, kPhotoWidth, kPhotoChannels,
                     bytes(bundle / "golden/photo_raw.bin",
                           static_cast<size_t>(kPhotoHeight) * kPhotoWidth * kPhotoChannels)};
  const auto right = bytes(bundle / "golden/photo.bin", pixels);
  const auto received = preprocess(photo).values;
  int levels = 0;
  for (size_t i = 0; i < pixels; ++i)
    levels = std::max(levels, std::abs(int{received[i]} - int{right[i]}));

  const bool good = difference <= kOnnxTolerance && levels <= 1;
  std::printf(
      "%s: model.onnx: %d golden images, largest difference %.1e (at most %.0e); "
      "golden/photo_raw.bin: largest difference %d of 255\n",
      good ? "ok" : "FAILED", kGoldenImages, difference, kOnnxTolerance, levels);
  return good ? 0 : 1;
}

int main(int count, char** arguments) {
  if (count != 2) {
    std::fprintf(stderr, "usage: selftest BUNDLE\n");
    return 2;
  }
  try {
    return check(arguments[1]);
  } catch (const std::exception& error) {
    std::printf("FAILED: %s\n", error.what());
    return 1;
  }
}
