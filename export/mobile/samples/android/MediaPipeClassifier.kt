// UNTESTED: no test of the project compiles or runs this file.
//
// The same classifier with MediaPipe Tasks (com.google.mediapipe:tasks-vision), which reads labels
// and sizes out of the TFLite file in assets/. It takes RGB: model.tflite of a model for images in
// colour, model_rgb.tflite of one for grey images.
//
// ImageClassifier stretches a picture to the model's size: `middle` crops it before, as training did.
// Its filter is another, so small differences of probabilities to the other samples remain.

import android.content.Context
import android.graphics.Bitmap
import com.google.mediapipe.framework.image.BitmapImageBuilder
import com.google.mediapipe.tasks.core.BaseOptions
import com.google.mediapipe.tasks.vision.core.RunningMode
import com.google.mediapipe.tasks.vision.imageclassifier.ImageClassifier

class MediaPipeClassifier(context: Context, model: String, k: Int = 3) : AutoCloseable {
    private val classifier = ImageClassifier.createFromOptions(
        context,
        ImageClassifier.ImageClassifierOptions.builder()
            .setBaseOptions(BaseOptions.builder().setModelAssetPath(model).build())
            .setRunningMode(RunningMode.IMAGE)
            .setMaxResults(k)
            .build(),
    )

    /** Of an upright ARGB_8888 picture as `middle` gives it: the most probable classes. */
    fun classify(picture: Bitmap): List<Pair<String, Float>> =
        classifier.classify(BitmapImageBuilder(picture).build())
            .classificationResult().classifications().first().categories()
            .map { it.categoryName() to it.score() }

    override fun close() = classifier.close()
}

/** The part of a picture that the model was trained to see; the numbers are those of `image_spec`. */
fun middle(picture: Bitmap, height: Int, width: Int, marginHeight: Int = 0, marginWidth: Int = 0): Bitmap {
    val scale = minOf(
        picture.height.toDouble() / (height + marginHeight),
        picture.width.toDouble() / (width + marginWidth),
    )
    val boxHeight = (height * scale).toInt().coerceAtLeast(1)
    val boxWidth = (width * scale).toInt().coerceAtLeast(1)
    return Bitmap.createBitmap(
        picture, (picture.width - boxWidth) / 2, (picture.height - boxHeight) / 2, boxWidth, boxHeight,
    )
}
