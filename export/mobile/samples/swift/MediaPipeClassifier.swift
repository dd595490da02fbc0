// UNTESTED: no test of the project compiles or runs this file.
//
// The same classifier with MediaPipe Tasks (CocoaPods: MediaPipeTasksVision), which reads labels and
// sizes out of the TFLite file. It takes RGB: model.tflite of a model for images in colour,
// model_rgb.tflite of one for grey images.
//
// MediaPipe stretches a picture to the model's size: `middle` crops it before, as training did. Its
// filter is another, so small differences of probabilities to the other samples remain.

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

  /// Of a picture as `middle` gives it: the most probable classes.
  func classify(_ picture: UIImage) throws -> [(label: String, probability: Float)] {
    let result = try classifier.classify(image: try MPImage(uiImage: picture))
    let categories = result.classificationResult.classifications.first?.categories ?? []
    return categories.map { ($0.categoryName ?? "", $0.score) }
  }
}

/// The part of an upright picture that the model was trained to see. The numbers are those of
/// `image_spec` in contract.json.
func middle(
  _ picture: CGImage, height: Int, width: Int, marginHeight: Int = 0, marginWidth: Int = 0
) -> CGImage? {
  let (packedHeight, packedWidth) = (Double(height + marginHeight), Double(width + marginWidth))
  let scale = min(Double(picture.height) / packedHeight, Double(picture.width) / packedWidth)
  let size = CGSize(width: Double(width) * scale, height: Double(height) * scale)
  let origin = CGPoint(
    x: (Double(picture.width) - size.width) / 2, y: (Double(picture.height) - size.height) / 2)
  return picture.cropping(to: CGRect(origin: origin, size: size).integral)
}
