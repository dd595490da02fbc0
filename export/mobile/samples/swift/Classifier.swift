// UNTESTED: no test of the project compiles or runs this file. Run `selfTest` on a device first.
//
// A released image classifier in Swift on LiteRT (CocoaPods or SwiftPM: TensorFlowLiteSwift): copy
// this file into your own app, and the bundle as a folder reference.
//
//   let classifier = try Classifier(bundle: folder, model: "model.tflite")
//   let classes = try classifier.classify(Pixels(image))      // a CGImage that is upright
//   print(try classifier.selfTest())

import CoreGraphics
import Foundation
import TensorFlowLite

/// What the samples need of contract.json.
struct Contract: Decodable {
  struct ImageSpec: Decodable {
    enum Fit: String, Decodable { case crop, stretch, pad }

    let height, width, channels, marginHeight, marginWidth: Int
    let fit: Fit

    enum CodingKeys: String, CodingKey {
      case height, width, channels, fit
      case marginHeight = "margin_height"
      case marginWidth = "margin_width"
    }
  }

  struct File: Decodable {
    let bytes, channels: Int
    let tolerance: Float
  }

  struct Golden: Decodable {
    let images, probabilities, photoRaw, photoPixels: String
    let count: Int
    let photoShape: [Int]

    enum CodingKeys: String, CodingKey {
      case images, probabilities, count
      case photoRaw = "photo_raw"
      case photoShape = "photo_shape"
      case photoPixels = "photo_pixels"
    }
  }

  let imageSpec: ImageSpec
  let labels: [String]
  let files: [String: File]
  let golden: Golden

  enum CodingKeys: String, CodingKey {
    case labels, files, golden
    case imageSpec = "image_spec"
  }
}

/// height x width x channels values of 0 to 255, row by row, the channels of a pixel together.
struct Pixels {
  let height, width, channels: Int
  var values: [UInt8]

  init(height: Int, width: Int, channels: Int, values: [UInt8]) {
    precondition(values.count == height * width * channels, "values do not fill the picture")
    (self.height, self.width, self.channels, self.values) = (height, width, channels, values)
  }

  /// Of an image that is upright: draw a UIImage whose imageOrientation is not .up anew before.
  init(_ image: CGImage) throws {
    let (height, width) = (image.height, image.width)
    var values = [UInt8](repeating: 0, count: height * width * 4)
    let drawn = values.withUnsafeMutableBytes { buffer -> Bool in
      guard
        let context = CGContext(
          data: buffer.baseAddress, width: width, height: height, bitsPerComponent: 8,
          bytesPerRow: width * 4, space: CGColorSpace(name: CGColorSpace.sRGB)!,
          bitmapInfo: CGImageAlphaInfo.noneSkipLast.rawValue)
      else { return false }
      context.draw(image, in: CGRect(x: 0, y: 0, width: width, height: height))
      return true
    }
    guard drawn else { throw ClassifierError.failed("the picture cannot be drawn") }
    self.init(height: height, width: width, channels: 4, values: values)
  }

  func at(_ y: Int, _ x: Int, _ c: Int) -> Int { Int(values[(y * width + x) * channels + c]) }

  func cropped(top: Int, left: Int, height: Int, width: Int) -> Pixels {
    var out = [UInt8]()
    for y in top..<(top + height) {
      let first = (y * self.width + left) * channels
      out += values[first..<(first + width * channels)]
    }
    return Pixels(height: height, width: width, channels: channels, values: out)
  }

  /// The same on black, at a place in a larger picture.
  func padded(top: Int, left: Int, height: Int, width: Int) -> Pixels {
    var out = [UInt8](repeating: 0, count: height * width * channels)
    let row = self.width * channels
    for y in 0..<self.height {
      let first = ((top + y) * width + left) * channels
      out.replaceSubrange(first..<(first + row), with: values[(y * row)..<((y + 1) * row)])
    }
    return Pixels(height: height, width: width, channels: channels, values: out)
  }

  /// Grey (of RGB by ITU-R BT.601) or RGB; a fourth channel is dropped.
  func recoloured(channels wanted: Int) -> Pixels {
    var out = [UInt8]()
    for y in 0..<height {
      for x in 0..<width {
        let red = at(y, x, 0)
        let green = channels == 1 ? red : at(y, x, 1)
        let blue = channels == 1 ? red : at(y, x, 2)
        if wanted == 1 {
          out.append(UInt8((19595 * red + 38470 * green + 7471 * blue + 32768) >> 16))
        } else {
          out += [UInt8(red), UInt8(green), UInt8(blue)]
        }
      }
    }
    return Pixels(height: height, width: width, channels: wanted, values: out)
  }

  /// Pillow's antialiased bilinear resize: along rows, then along columns, each rounded.
  func resized(height newHeight: Int, width newWidth: Int) -> Pixels {
    var wide = [UInt8]()
    let columns = places(from: width, to: newWidth)
    for y in 0..<height {
      for (first, weights) in columns {
        for c in 0..<channels {
          var sum = 0.5
          for (i, weight) in weights.enumerated() { sum += weight * Double(at(y, first + i, c)) }
          wide.append(UInt8(min(max(sum, 0), 255)))
        }
      }
    }
    let rows = Pixels(height: height, width: newWidth, channels: channels, values: wide)
    var out = [UInt8]()
    for (first, weights) in places(from: height, to: newHeight) {
      for x in 0..<newWidth {
        for c in 0..<channels {
          var sum = 0.5
          for (i, weight) in weights.enumerated() {
            sum += weight * Double(rows.at(first + i, x, c))
          }
          out.append(UInt8(min(max(sum, 0), 255)))
        }
      }
    }
    return Pixels(height: newHeight, width: newWidth, channels: channels, values: out)
  }
}

/// A triangle filter, whose support grows with the scale, at `size` places: first and weights.
private func places(from count: Int, to size: Int) -> [(Int, [Double])] {
  let scale = Double(count) / Double(size)
  let support = max(scale, 1)
  return (0..<size).map { i in
    let center = (Double(i) + 0.5) * scale
    let first = max(0, Int(center - support + 0.5))
    let end = min(count, Int(center + support + 0.5))
    let weights = (first..<end).map { max(0, 1 - abs(Double($0) + 0.5 - center) / support) }
    let sum = weights.reduce(0, +)
    return (first, weights.map { $0 / sum })
  }
}

/// A box in the middle of something.
private struct Box {
  var top = 0
  var left = 0
  var height, width: Int

  /// All of it.
  init(height: Int, width: Int) { (self.height, self.width) = (height, width) }

  /// The largest one with the aspect ratio of `ratio`.
  func middle(of ratio: Box) -> Box {
    var box = self
    if width * ratio.height > height * ratio.width {
      box.width = max(1, height * ratio.width / ratio.height)
    } else {
      box.height = max(1, width * ratio.height / ratio.width)
    }
    (box.top, box.left) = ((height - box.height) / 2, (width - box.width) / 2)
    return box
  }
}

enum ClassifierError: Error { case failed(String) }

/// One TFLite file of a bundle; not for several threads at once.
final class Classifier {
  let contract: Contract
  private let bundle: URL
  private let model: String
  private let interpreter: Interpreter

  init(bundle: URL, model: String = "model.tflite", threads: Int = 1) throws {
    (self.bundle, self.model) = (bundle, model)
    let json = try Data(contentsOf: bundle.appendingPathComponent("contract.json"))
    contract = try JSONDecoder().decode(Contract.self, from: json)
    var options = Interpreter.Options()
    options.threadCount = threads
    let path = bundle.appendingPathComponent(model).path
    interpreter = try Interpreter(modelPath: path, options: options)
    try interpreter.allocateTensors()
  }

  /// An upright picture, fitted to the model's size.
  func preprocess(_ picture: Pixels) -> Pixels {
    let spec = contract.imageSpec
    let whole = Box(height: picture.height, width: picture.width)
    let packed = Box(
      height: spec.height + spec.marginHeight, width: spec.width + spec.marginWidth)
    let seen = spec.fit == .crop ? whole.middle(of: packed) : whole
    let put = spec.fit == .pad ? packed.middle(of: whole) : packed
    return
      picture
      .cropped(top: seen.top, left: seen.left, height: seen.height, width: seen.width)
      .recoloured(channels: spec.channels)
      .resized(height: put.height, width: put.width)
      .padded(top: put.top, left: put.left, height: packed.height, width: packed.width)
      .cropped(
        top: spec.marginHeight / 2, left: spec.marginWidth / 2, height: spec.height,
        width: spec.width)
  }

  /// Of one image, as `preprocess` gives it: a probability for each class.
  func probabilities(_ pixels: Pixels) throws -> [Float] {
    let channels = contract.files[model]?.channels ?? pixels.channels
    let taken = channels == pixels.channels ? pixels : pixels.recoloured(channels: channels)
    try interpreter.copy(Data(taken.values), toInputAt: 0)
    try interpreter.invoke()
    let found = floats(try interpreter.output(at: 0).data)
    guard found.count == contract.labels.count else {
      throw ClassifierError.failed("the model gives \(found.count) probabilities")
    }
    return found
  }

  /// The k most probable classes of an upright picture of any size.
  func classify(_ picture: Pixels, k: Int = 3) throws -> [(label: String, probability: Float)] {
    let found = try probabilities(preprocess(picture))
    return zip(contract.labels, found).sorted { $0.1 > $1.1 }.prefix(k).map { ($0.0, $0.1) }
  }

  /// Replays the golden images: a line that begins with `ok:` or `FAILED:`.
  func selfTest() throws -> String {
    let (spec, golden) = (contract.imageSpec, contract.golden)
    guard let file = contract.files[model] else { return "FAILED: no file \(model) in contract.json" }
    let images = try read(golden.images)
    let expected = floats(try read(golden.probabilities))
    let size = spec.height * spec.width * spec.channels
    let classes = contract.labels.count
    guard images.count == golden.count * size, expected.count == golden.count * classes else {
      return "FAILED: golden files have other sizes than contract.json says"
    }
    var difference: Float = 0
    for i in 0..<golden.count {
      let image = Pixels(
        height: spec.height, width: spec.width, channels: spec.channels,
        values: [UInt8](images[(i * size)..<((i + 1) * size)]))
      for (j, probability) in try probabilities(image).enumerated() {
        let apart = abs(probability - expected[i * classes + j])
        difference = max(difference, apart.isNaN ? .infinity : apart)
      }
    }
    let photo = Pixels(
      height: golden.photoShape[0], width: golden.photoShape[1], channels: golden.photoShape[2],
      values: [UInt8](try read(golden.photoRaw)))
    let right = [UInt8](try read(golden.photoPixels))
    let levels = zip(preprocess(photo).values, right).map { abs(Int($0) - Int($1)) }.max() ?? 255
    let good = difference <= file.tolerance && levels <= 1
    return "\(good ? "ok" : "FAILED"): \(model): \(golden.count) golden images, largest difference "
      + "\(difference) (at most \(file.tolerance)); \(golden.photoRaw): largest difference "
      + "\(levels) of 255"
  }

  private func read(_ name: String) throws -> Data {
    try Data(contentsOf: bundle.appendingPathComponent(name))
  }
}

/// Little-endian float32, as every iPhone and Mac has them.
private func floats(_ data: Data) -> [Float] {
  var found = [Float](repeating: 0, count: data.count / MemoryLayout<Float>.stride)
  _ = found.withUnsafeMutableBytes { data.copyBytes(to: $0) }
  return found
}
