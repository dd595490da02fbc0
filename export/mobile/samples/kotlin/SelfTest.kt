// Replays the golden images of a bundle, whose folder is the argument. Exit codes: 0 ok, 1 not.

import com.google.gson.JsonParser
import java.io.File
import java.nio.ByteBuffer
import java.nio.ByteOrder
import java.security.MessageDigest
import java.util.HexFormat
import java.util.Locale
import javax.imageio.ImageIO
import kotlin.math.abs
import kotlin.system.exitProcess

private const val MODEL = "model.onnx"

fun main(words: Array<String>) {
    val line = try {
        check(File(words.firstOrNull() ?: "."))
    } catch (error: Exception) {
        "FAILED: $MODEL: $error"
    }
    println(line)
    exitProcess(if (line.startsWith("ok")) 0 else 1)
}

private fun check(bundle: File): String {
    val contract = JsonParser.parseString(bundle.resolve("contract.json").readText()).asJsonObject
    val facts = contract.getAsJsonObject("files").getAsJsonObject(MODEL)
    val golden = contract.getAsJsonObject("golden")
    fun bytes(name: String) = bundle.resolve(golden[name].asString).readBytes()

    val digest = MessageDigest.getInstance("SHA-256").digest(bundle.resolve(MODEL).readBytes())
    if (HexFormat.of().formatHex(digest) != facts["sha256"].asString) {
        return "FAILED: $MODEL: its SHA-256 is not that of contract.json"
    }
    val most = facts["tolerance"].asDouble
    val count = golden["count"].asInt
    val photo = golden["photo"].asString
    val images = bytes("images")
    val expected = ByteBuffer.wrap(bytes("probabilities")).order(ByteOrder.LITTLE_ENDIAN)
    val size = images.size / count
    var difference = 0f
    Classifier(bundle, MODEL).use { classifier ->
        for (i in 0 until count) {
            for (found in classifier.probabilities(images.copyOfRange(i * size, (i + 1) * size))) {
                difference = maxOf(difference, abs(found - expected.float))  // NaN stays
            }
        }
        val pixels = classifier.preprocess(ImageIO.read(bundle.resolve(photo)))
        val right = bytes("photo_pixels")
        check(pixels.size == right.size) { "$photo became ${pixels.size} values, expected ${right.size}" }
        val levels = right.indices.maxOf { abs((pixels[it].toInt() and 255) - (right[it].toInt() and 255)) }
        return String.format(
            Locale.ROOT,
            "%s: %s: %d golden images, largest difference %.1e (at most %.0e); %s: largest difference %d of 255",
            if (difference <= most && levels <= 1) "ok" else "FAILED", MODEL, count, difference, most, photo, levels,
        )
    }
}
