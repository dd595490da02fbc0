import ai.onnxruntime.OnnxJavaType
import ai.onnxruntime.OnnxTensor
import ai.onnxruntime.OrtEnvironment
import ai.onnxruntime.OrtSession
import com.google.gson.JsonParser
import java.awt.image.BufferedImage
import java.awt.image.IndexColorModel
import java.io.File
import java.nio.ByteBuffer
import kotlin.math.abs
import kotlin.math.max
import kotlin.math.min

/**
 * A released image classifier in Kotlin on the JVM, by ONNX Runtime: copy this file. Several threads
 * may share one. Pictures come upright: ImageIO does not turn them as EXIF says.
 *
 *     Classifier(File("bundle"), "model.onnx").classify(ImageIO.read(file))
 */
class Classifier(bundle: File, model: String) : AutoCloseable {
    private val contract = JsonParser.parseString(bundle.resolve("contract.json").readText()).asJsonObject
    private val preprocessing = contract.getAsJsonObject("image_spec").let { spec ->
        fun number(name: String) = spec[name].asInt
        Preprocessing(
            number("height"), number("width"), number("channels"),
            number("margin_height"), number("margin_width"), spec["fit"].asString,
        )
    }
    private val labels = contract.getAsJsonArray("labels").map { it.asString }
    private val input = contract.getAsJsonObject("input")["name"].asString
    private val environment = OrtEnvironment.getEnvironment()
    private val session = OrtSession.SessionOptions().use { options ->
        options.setIntraOpNumThreads(1)
        environment.createSession(bundle.resolve(model).path, options)
    }

    /** uint8, height x width x channels, of an upright picture. */
    fun preprocess(picture: BufferedImage): ByteArray {
        val (height, width) = picture.height to picture.width
        val rgb = IntArray(height * width)
        if (picture.raster.numBands < 3 && picture.colorModel !is IndexColorModel) {
            picture.raster.getSamples(0, 0, width, height, 0, rgb)  // getRGB would change their brightness
            val most = (1 shl picture.sampleModel.getSampleSize(0)) - 1
            for (i in rgb.indices) rgb[i] = (rgb[i] * 255 + most / 2) / most * 0x010101
        } else {
            picture.getRGB(0, 0, width, height, rgb, 0, width)
        }
        return preprocessing.apply(rgb, height, width)
    }

    /** Of one image, as `preprocess` gives it: a probability for each class. */
    fun probabilities(pixels: ByteArray): FloatArray {
        val shape = with(preprocessing) { longArrayOf(1, height.toLong(), width.toLong(), channels.toLong()) }
        OnnxTensor.createTensor(environment, ByteBuffer.wrap(pixels), shape, OnnxJavaType.UINT8).use { image ->
            session.run(mapOf(input to image)).use { found ->
                return (found[0].value as Array<*>).single() as FloatArray
            }
        }
    }

    /** The k most probable classes of an upright picture of any size, each with its probability. */
    fun classify(picture: BufferedImage, k: Int = 3): List<Pair<String, Float>> =
        labels.zip(probabilities(preprocess(picture)).asIterable()).sortedByDescending { it.second }.take(k)

    override fun close() = session.close()
}

/**
 * From an upright picture to the input; the numbers and `fit` (crop, stretch or pad) are those of
 * `image_spec` in contract.json.
 */
class Preprocessing(
    val height: Int, val width: Int, val channels: Int, val marginHeight: Int, val marginWidth: Int,
    val fit: String,
) {
    init {
        require(fit in setOf("crop", "stretch", "pad")) { "fit is $fit, expected crop, stretch or pad" }
    }

    /** In the middle of something. */
    private class Box(val top: Int, val left: Int, val height: Int, val width: Int)

    /** The largest one of `height` x `width` with an aspect ratio. */
    private fun middle(height: Int, width: Int, ratioHeight: Int, ratioWidth: Int): Box {
        // How much of one side the other one fills; Long, as a product of sides may be beyond an Int.
        fun filled(side: Int, other: Int, ratioSide: Int, ratioOther: Int) =
            (other.toLong() * ratioSide / ratioOther).coerceIn(1, side.toLong()).toInt()
        val boxHeight = filled(height, width, ratioHeight, ratioWidth)
        val boxWidth = filled(width, height, ratioWidth, ratioHeight)
        return Box((height - boxHeight) / 2, (width - boxWidth) / 2, boxHeight, boxWidth)
    }

    /** uint8, height x width x channels, of `rgb`, whose pixels are 0xAARRGGBB. */
    fun apply(rgb: IntArray, pictureHeight: Int, pictureWidth: Int): ByteArray {
        require(rgb.isNotEmpty() && rgb.size.toLong() == pictureHeight.toLong() * pictureWidth) {
            "a picture has ${rgb.size} pixels, expected $pictureHeight x $pictureWidth"
        }
        val (packedHeight, packedWidth) = height + marginHeight to width + marginWidth
        val seen = when (fit) {
            "crop" -> middle(pictureHeight, pictureWidth, packedHeight, packedWidth)
            else -> Box(0, 0, pictureHeight, pictureWidth)
        }
        val put = when (fit) {
            "pad" -> middle(packedHeight, packedWidth, pictureHeight, pictureWidth)
            else -> Box(0, 0, packedHeight, packedWidth)
        }

        val part = ByteArray(seen.height * seen.width * channels)
        var at = 0
        for (y in seen.top until seen.top + seen.height) {
            for (x in seen.left until seen.left + seen.width) {
                val pixel = rgb[y * pictureWidth + x]
                val (red, green, blue) = Triple(pixel shr 16 and 255, pixel shr 8 and 255, pixel and 255)
                if (channels == 1) {
                    part[at++] = (19595 * red + 38470 * green + 7471 * blue + 32768 shr 16).toByte()
                } else {
                    for (value in intArrayOf(red, green, blue)) part[at++] = value.toByte()
                }
            }
        }
        // Along rows first, then along columns, rounded in between, as Pillow does.
        val wide = resized(part, seen.height, seen.width, put.width, channels)
        val fitted = resized(wide, 1, seen.height, put.height, put.width * channels)
        val packed = ByteArray(packedHeight * packedWidth * channels)
        for (y in 0 until put.height) {
            val to = ((put.top + y) * packedWidth + put.left) * channels
            fitted.copyInto(packed, to, y * put.width * channels, (y + 1) * put.width * channels)
        }
        val input = ByteArray(height * width * channels)
        for (y in 0 until height) {
            val from = ((marginHeight / 2 + y) * packedWidth + marginWidth / 2) * channels
            packed.copyInto(input, y * width * channels, from, from + width * channels)
        }
        return input
    }

    /**
     * `from` (rows x length x step) along its middle axis, to `size`: a triangle filter whose support
     * grows with the scale, which is Pillow's antialiased bilinear resize.
     */
    private fun resized(from: ByteArray, rows: Int, length: Int, size: Int, step: Int): ByteArray {
        val to = ByteArray(rows * size * step)
        val scale = length.toDouble() / size
        val support = max(scale, 1.0)
        for (i in 0 until size) {
            val center = (i + 0.5) * scale
            val first = max(0, (center - support + 0.5).toInt())
            val end = min(length, (center + support + 0.5).toInt())
            val weights = DoubleArray(end - first) { max(0.0, 1 - abs(first + it + 0.5 - center) / support) }
            val sum = weights.sum()
            for (row in 0 until rows) {
                for (c in 0 until step) {
                    var value = 0.0
                    for (x in weights.indices) {
                        value += weights[x] * (from[(row * length + first + x) * step + c].toInt() and 255)
                    }
                    to[(row * size + i) * step + c] = min(255, (value / sum + 0.5).toInt()).toByte()
                }
            }
        }
        return to
    }
}
