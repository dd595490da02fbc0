// UNTESTED: no test of the project compiles or runs this file.
//
// The same classifier with MediaPipe Tasks (CocoaPods: MediaPipeTasksVision), which reads labels and
// sizes out of the TFLite file. It takes RGB: model.tflite of a model for images in colour,
// model_rgb.tflite of one for grey images.
//
// MediaPipe stretches a picture to the model's size: `fitted` crops or pads it before, as training
// did. Its filter is another, so small differences of probabilities to the other samples remain, but
// for pictures of the model's size.

import CoreGraphics
import MediaPipeTasksVision
import UIKit

final class MediaPipeClassifier {
  private let classifier: ImageClassifier

  init(modelPath: String, k: Int = 3) throws {
    let options = ImageClassifierOptions()
    options.baseOptions.modelAssetPath = modelPath
    options.runningMode = .image
    options.maxResults = k
    classifier = try ImageClassifier(options: options)
  }

  /// Of a picture as `fitted` gives it: the most probable classes.
  func classify(_ picture: UIImage) throws -> [(label: String, probability: Float)] {
    let result = try classifier.classify(image: try MPImage(uiImage: picture))
    let categories = result.classificationResult.classifications.first?.categories ?? []
    return categories.map { ($0.categoryName ?? "", $0.score) }
  }
}

/// What the model was trained to see of an upright picture, on black where that is more than the
/// picture. The numbers and `fit` (crop, stretch or pad) are those of `image_spec` in contract.json.
func fitted(
  _ picture: CGImage, fit: String, height: Int, width: Int, marginHeight: Int = 0,
  marginWidth: Int = 0
) -> CGImage? {
  var down = Double(picture.height) / Double(height + marginHeight)
  var across = Double(picture.width) / Double(width + marginWidth)
  switch fit {
  case "crop": (down, across) = (min(down, across), min(down, across))
  case "pad": (down, across) = (max(down, across), max(down, across))
  default: precondition(fit == "stretch", "fit is \(fit), expected crop, stretch or pad")
  }
  let boxHeight = max(1, Int(Double(height) * down))
  let boxWidth = max(1, Int(Double(width) * across))
  guard
    let context = CGContext(
      data: nil, width: boxWidth, height: boxHeight, bitsPerComponent: 8, bytesPerRow: 0,
      space: CGColorSpace(name: CGColorSpace.sRGB)!,
      bitmapInfo: CGImageAlphaInfo.noneSkipLast.rawValue)
  else { return nil }
  context.setFillColor(red: 0, green: 0, blue: 0, alpha: 1)
  context.fill(CGRect(x: 0, y: 0, width: boxWidth, height: boxHeight))
  context.draw(
    picture,
    in: CGRect(
      x: (boxWidth - picture.width) / 2, y: (boxHeight - picture.height) / 2,
      width: picture.width, height: picture.height))
  return context.makeImage()
}
