import com.google.gson.JsonObject;
import com.google.gson.JsonParser;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.file.Files;
import java.nio.file.Path;
import java.security.MessageDigest;
import java.util.Arrays;
import java.util.HexFormat;
import java.util.Locale;
import javax.imageio.ImageIO;

/** Replays the golden images of a bundle, whose folder is the argument. Exit codes: 0 ok, 1 not. */
public class SelfTest {
    private static final String MODEL = "model.onnx";

    public static void main(String[] words) {
        String line;
        try {
            line = check(Path.of(words.length > 0 ? words[0] : "."));
        } catch (Exception error) {
            line = "FAILED: " + MODEL + ": " + error;
        }
        System.out.println(line);
        System.exit(line.startsWith("ok") ? 0 : 1);
    }

    private static String check(Path bundle) throws Exception {
        JsonObject contract = JsonParser.parseString(Files.readString(bundle.resolve("contract.json"))).getAsJsonObject();
        JsonObject facts = contract.getAsJsonObject("files").getAsJsonObject(MODEL);
        JsonObject golden = contract.getAsJsonObject("golden");
        byte[] digest = MessageDigest.getInstance("SHA-256").digest(Files.readAllBytes(bundle.resolve(MODEL)));
        if (!HexFormat.of().formatHex(digest).equals(facts.get("sha256").getAsString()))
            return "FAILED: " + MODEL + ": its SHA-256 is not that of contract.json";

        int count = golden.get("count").getAsInt();
        double most = facts.get("tolerance").getAsDouble(), difference = 0;
        byte[] images = Files.readAllBytes(bundle.resolve(golden.get("images").getAsString()));
        byte[] answers = Files.readAllBytes(bundle.resolve(golden.get("probabilities").getAsString()));
        ByteBuffer expected = ByteBuffer.wrap(answers).order(ByteOrder.LITTLE_ENDIAN);
        int size = images.length / count, levels = 0;
        try (Classifier classifier = new Classifier(bundle, MODEL)) {
            for (int i = 0; i < count; i++)
                for (float found : classifier.probabilities(Arrays.copyOfRange(images, i * size, (i + 1) * size)))
                    difference = Math.max(difference, Math.abs(found - expected.getFloat()));  // NaN stays
            byte[] pixels = classifier.preprocess(ImageIO.read(bundle.resolve(golden.get("photo").getAsString()).toFile()));
            byte[] right = Files.readAllBytes(bundle.resolve(golden.get("photo_pixels").getAsString()));
            for (int i = 0; i < right.length; i++)
                levels = Math.max(levels, Math.abs((pixels[i] & 255) - (right[i] & 255)));
        }
        return String.format(Locale.ROOT,
                "%s: %s: %d golden images, largest difference %.1e (at most %.0e); %s: largest difference %d of 255",
                difference <= most && levels <= 1 ? "ok" : "FAILED", MODEL, count, difference, most,
                golden.get("photo").getAsString(), levels);
    }
}
