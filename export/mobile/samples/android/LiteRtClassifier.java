// COMPILED, NOT RUN: the project's tests compile this file; no device has run it for them.

import android.content.res.AssetManager;
import android.graphics.Bitmap;
import android.graphics.BitmapFactory;
import java.io.ByteArrayOutputStream;
import java.io.IOException;
import java.io.InputStream;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Locale;
import org.json.JSONArray;
import org.json.JSONException;
import org.json.JSONObject;
import org.tensorflow.lite.InterpreterApi;

/**
 * A released image classifier on Android, by LiteRT (com.google.ai.edge.litert:litert 1.x, or
 * org.tensorflow:tensorflow-lite): copy this file and ../java/Preprocessing.java, and the bundle's
 * contract.json, model and golden/ into assets/. Not for several threads at once. Bitmaps come
 * upright and not of Config.HARDWARE: ImageDecoder turns as EXIF says, BitmapFactory does not.
 *
 * <pre>new LiteRtClassifier(context.getAssets(), "model.tflite").classify(bitmap, 3)</pre>
 */
public class LiteRtClassifier implements AutoCloseable {
    /** A class with its probability. */
    public record Label(String name, float probability) {}

    private final AssetManager assets;
    private final JSONObject contract;
    private final JSONArray labels;
    private final String model;
    private final Preprocessing preprocessing;
    private final InterpreterApi interpreter;

    public LiteRtClassifier(AssetManager assets, String model) throws IOException, JSONException {
        this.assets = assets;
        this.model = model;
        contract = new JSONObject(new String(read("contract.json"), "UTF-8"));
        labels = contract.getJSONArray("labels");
        JSONObject spec = contract.getJSONObject("image_spec");
        preprocessing = new Preprocessing(spec.getInt("height"), spec.getInt("width"), spec.getInt("channels"),
                spec.getInt("margin_height"), spec.getInt("margin_width"), spec.getString("fit"));
        interpreter = InterpreterApi.create(direct(read(model)), new InterpreterApi.Options().setNumThreads(1));
    }

    /** uint8, height x width x channels, of an upright picture. */
    public byte[] preprocess(Bitmap picture) {
        int height = picture.getHeight(), width = picture.getWidth();
        int[] rgb = new int[height * width];
        picture.getPixels(rgb, 0, width, 0, 0, width, height);
        return preprocessing.apply(rgb, height, width);
    }

    /** Of one image, as {@code preprocess} gives it: a probability for each class. */
    public float[] probabilities(byte[] pixels) {
        int channels = interpreter.getInputTensor(0).shape()[3];
        if (channels > preprocessing.channels()) {  // model_rgb takes grey thrice
            byte[] grey = pixels;
            pixels = new byte[grey.length * channels];
            for (int i = 0; i < pixels.length; i++) pixels[i] = grey[i / channels];
        }
        float[][] found = new float[1][labels.length()];
        interpreter.run(direct(pixels), found);
        return found[0];
    }

    /** The k most probable classes of an upright picture of any size. */
    public List<Label> classify(Bitmap picture, int k) throws JSONException {
        float[] found = probabilities(preprocess(picture));
        List<Label> classes = new ArrayList<>();
        for (int i = 0; i < found.length; i++) classes.add(new Label(labels.getString(i), found[i]));
        classes.sort((a, b) -> Float.compare(b.probability(), a.probability()));
        return classes.subList(0, Math.min(k, classes.size()));
    }

    /** Replays the golden images on this device: a line that begins with ok or FAILED. */
    public String selfTest() throws IOException, JSONException {
        JSONObject golden = contract.getJSONObject("golden");
        double most = contract.getJSONObject("files").getJSONObject(model).getDouble("tolerance"), difference = 0;
        int count = golden.getInt("count"), levels = 0;
        byte[] images = read(golden.getString("images"));
        ByteBuffer expected = direct(read(golden.getString("probabilities")));
        int size = images.length / count;
        for (int i = 0; i < count; i++)
            for (float found : probabilities(Arrays.copyOfRange(images, i * size, (i + 1) * size)))
                difference = Math.max(difference, Math.abs(found - expected.getFloat()));  // NaN stays
        byte[] photo = read(golden.getString("photo")), right = read(golden.getString("photo_pixels"));
        byte[] pixels = preprocess(BitmapFactory.decodeByteArray(photo, 0, photo.length));
        for (int i = 0; i < right.length; i++)
            levels = Math.max(levels, Math.abs((pixels[i] & 255) - (right[i] & 255)));
        return String.format(Locale.ROOT,
                "%s: %s: %d golden images, largest difference %.1e (at most %.0e); %s: largest difference %d of 255",
                difference <= most && levels <= 1 ? "ok" : "FAILED", model, count, difference, most,
                golden.getString("photo"), levels);
    }

    @Override
    public void close() {
        interpreter.close();
    }

    private byte[] read(String name) throws IOException {
        try (InputStream file = assets.open(name)) {
            ByteArrayOutputStream bytes = new ByteArrayOutputStream();
            byte[] part = new byte[1 << 16];
            for (int n; (n = file.read(part)) > 0; ) bytes.write(part, 0, n);
            return bytes.toByteArray();
        }
    }

    private static ByteBuffer direct(byte[] bytes) {
        ByteBuffer buffer = ByteBuffer.allocateDirect(bytes.length).order(ByteOrder.LITTLE_ENDIAN);
        buffer.put(bytes).rewind();
        return buffer;
    }
}
