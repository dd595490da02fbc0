import ai.onnxruntime.OnnxJavaType;
import ai.onnxruntime.OnnxTensor;
import ai.onnxruntime.OrtEnvironment;
import ai.onnxruntime.OrtException;
import ai.onnxruntime.OrtSession;
import com.google.gson.JsonObject;
import com.google.gson.JsonParser;
import java.awt.image.BufferedImage;
import java.awt.image.IndexColorModel;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.Map;
import java.util.stream.IntStream;

/**
 * A released image classifier on the JVM, by ONNX Runtime: copy this file and Preprocessing.java.
 * Several threads may share one. Pictures come upright: ImageIO does not turn them as EXIF says.
 *
 * <pre>new Classifier(Path.of("bundle"), "model.onnx").classify(ImageIO.read(file), 3)</pre>
 */
public class Classifier implements AutoCloseable {
    /** A class with its probability. */
    public record Label(String name, float probability) {}

    private final OrtEnvironment environment = OrtEnvironment.getEnvironment();
    private final OrtSession session;
    private final Preprocessing preprocessing;
    private final List<String> labels;
    private final String input;

    public Classifier(Path bundle, String model) throws IOException, OrtException {
        JsonObject contract = JsonParser.parseString(Files.readString(bundle.resolve("contract.json"))).getAsJsonObject();
        JsonObject spec = contract.getAsJsonObject("image_spec");
        preprocessing = new Preprocessing(
                spec.get("height").getAsInt(), spec.get("width").getAsInt(), spec.get("channels").getAsInt(),
                spec.get("margin_height").getAsInt(), spec.get("margin_width").getAsInt(),
                spec.get("fit").getAsString());
        labels = contract.getAsJsonArray("labels").asList().stream().map(label -> label.getAsString()).toList();
        input = contract.getAsJsonObject("input").get("name").getAsString();
        try (OrtSession.SessionOptions options = new OrtSession.SessionOptions()) {
            options.setIntraOpNumThreads(1);
            session = environment.createSession(bundle.resolve(model).toString(), options);
        }
    }

    /** uint8, height x width x channels, of an upright picture. */
    public byte[] preprocess(BufferedImage picture) {
        int height = picture.getHeight(), width = picture.getWidth();
        int[] rgb = new int[height * width];
        boolean grey = picture.getRaster().getNumBands() < 3 && !(picture.getColorModel() instanceof IndexColorModel);
        if (!grey) {
            picture.getRGB(0, 0, width, height, rgb, 0, width);
        } else {  // getRGB would change the brightness of grey ones
            picture.getRaster().getSamples(0, 0, width, height, 0, rgb);
            int bits = picture.getSampleModel().getSampleSize(0);
            for (int i = 0; i < rgb.length; i++)
                rgb[i] = (bits == 16 ? (rgb[i] + 128) / 257 : rgb[i] * 255 / ((1 << bits) - 1)) * 0x010101;
        }
        return preprocessing.apply(rgb, height, width);
    }

    /** Of one image, as {@code preprocess} gives it: a probability for each class. */
    public float[] probabilities(byte[] pixels) throws OrtException {
        long[] shape = {1, preprocessing.height(), preprocessing.width(), preprocessing.channels()};
        try (OnnxTensor image = OnnxTensor.createTensor(environment, ByteBuffer.wrap(pixels), shape, OnnxJavaType.UINT8);
                OrtSession.Result found = session.run(Map.of(input, image))) {
            return ((float[][]) found.get(0).getValue())[0];
        }
    }

    /** The k most probable classes of an upright picture of any size. */
    public List<Label> classify(BufferedImage picture, int k) throws OrtException {
        float[] found = probabilities(preprocess(picture));
        return IntStream.range(0, found.length).mapToObj(i -> new Label(labels.get(i), found[i]))
                .sorted((a, b) -> Float.compare(b.probability(), a.probability())).limit(k).toList();
    }

    @Override
    public void close() throws OrtException {
        session.close();
    }
}
