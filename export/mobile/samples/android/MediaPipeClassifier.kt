// UNTESTED: no test of the project compiles or runs this file.
//
// The same classifier with MediaPipe Tasks (com.google.mediapipe:tasks-vision), which reads labels
// and sizes out of the TFLite file in assets/. It takes RGB: model.tflite of a model for images in
// colour, model_rgb.tflite of one for grey images.
//
// ImageClassifier stretches a picture to the model's size: `fitted` crops or pads it before, as training
// did. Its filter is another, so small differences of probabilities to the other samples remain, but
// for pictures of the model's size.

import android.content.Context
import android.graphics.Bitmap
import android.graphics.Canvas
import android.graphics.Color
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

    /** Of an upright ARGB_8888 picture as `fitted` gives it: the most probable classes. */
    fun classify(picture: Bitmap): List<Pair<String, Float>> =
        classifier.classify(BitmapImageBuilder(picture).build())
            .classificationResult().classifications().first().categories()
            .map { it.categoryName() to it.score() }

    override fun close() = classifier.close()
}

/**
 * What the model was trained to see of a picture, on black where that is more than the picture. The
 * numbers and `fit` (crop, stretch or pad) are those of `image_spec` in contract.json.
 */
fun fitted(
    picture: Bitmap, fit: String, height: Int, width: Int, marginHeight: Int = 0, marginWidth: Int = 0,
): Bitmap {
    val rows = picture.height.toDouble() / (height + marginHeight)
    val columns = picture.width.toDouble() / (width + marginWidth)
    val (down, across) = when (fit) {
        "crop" -> minOf(rows, columns).let { it to it }
        "stretch" -> rows to columns
        "pad" -> maxOf(rows, columns).let { it to it }
        else -> throw IllegalArgumentException("fit is $fit, expected crop, stretch or pad")
    }
    val boxHeight = (height * down).toInt().coerceAtLeast(1)
    val boxWidth = (width * across).toInt().coerceAtLeast(1)
    val box = Bitmap.createBitmap(boxWidth, boxHeight, Bitmap.Config.ARGB_8888)
    box.density = picture.density // else it would be drawn larger or smaller
    val canvas = Canvas(box)
    canvas.drawColor(Color.BLACK)
    val (top, left) = (boxHeight - picture.height) / 2 to (boxWidth - picture.width) / 2
    canvas.drawBitmap(picture, left.toFloat(), top.toFloat(), null)
    return box
}
