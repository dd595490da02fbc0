import java.io.IOException;
import java.io.PrintStream;
import java.net.URI;
import java.net.URLEncoder;
import java.net.http.HttpClient;
import java.net.http.HttpRequest;
import java.net.http.HttpRequest.BodyPublishers;
import java.net.http.HttpResponse;
import java.net.http.HttpResponse.BodyHandlers;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Locale;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import java.util.stream.Collectors;

/**
 * Asks a Darkroom server for the classes of images. Java 17 or newer, nothing else:
 * {@code java Classify.java URL MODEL IMAGE... [--top K] [--token TOKEN]}, or as a class:
 *
 * <pre>new Classify("http://127.0.0.1:8080", "digits", null).classify(bytesOfAPhoto, 3)</pre>
 */
public class Classify {
    /** A label with its probability. */
    public record Label(String name, double probability) {}

    /** How many bytes in front of binary tensors are JSON: the protocol's binary data extension. */
    private static final String HEADER = "Inference-Header-Content-Length";
    private static final String TEXT = "\"((?:[^\"\\\\]|\\\\.)*+)\"";
    // The few answers that are read here are flat and their form is fixed: no JSON library.
    private static final Pattern ERROR = Pattern.compile("\"error\":" + TEXT);
    private static final Pattern CLASS = Pattern.compile(
            "\\{\"label\":" + TEXT + ",\"index\":\\d+,\"probability\":([^,}]+)\\}");

    private final HttpClient http =
            HttpClient.newBuilder().connectTimeout(Duration.ofSeconds(10)).build();
    private final String model;
    private final String token;

    /** {@code token}: what the server's --token-file holds; null or empty where it has none. */
    public Classify(String url, String model, String token) {
        String name = URLEncoder.encode(model, StandardCharsets.UTF_8).replace("+", "%20");
        this.model = url.replaceAll("/+$", "") + "/v2/models/" + name + "/";
        this.token = token;
    }

    /**
     * The {@code top} most probable classes of an encoded image (JPEG, PNG, GIF, BMP, WEBP), the
     * most probable first. The server turns and fits it. An IOException holds the
     * server's own sentence where it refuses.
     */
    public List<Label> classify(byte[] image, int top) throws IOException, InterruptedException {
        HttpRequest.Builder request = HttpRequest.newBuilder(URI.create(model + "classify?top=" + top));
        String body = text(send(request, image).body());
        List<Label> labels = new ArrayList<>();
        for (Matcher found = CLASS.matcher(body); found.find(); ) {
            double probability = found.group(2).equals("null") ? Double.NaN : Double.parseDouble(found.group(2));
            labels.add(new Label(unescaped(found.group(1)), probability));
        }
        return labels;
    }

    /**
     * The probabilities of all classes, a row for each image. {@code pixels} are uint8 of the shape
     * (images, height, width, channels), in this order: the size that the model takes.
     */
    public float[][] infer(byte[] pixels, int images, int height, int width, int channels)
            throws IOException, InterruptedException {
        byte[] header = String.format(Locale.ROOT,
                "{\"inputs\":[{\"name\":\"image\",\"datatype\":\"UINT8\",\"shape\":[%d,%d,%d,%d],"
                + "\"parameters\":{\"binary_data_size\":%d}}],\"parameters\":{\"binary_data_output\":true}}",
                images, height, width, channels, pixels.length).getBytes(StandardCharsets.UTF_8);
        byte[] body = Arrays.copyOf(header, header.length + pixels.length);
        System.arraycopy(pixels, 0, body, header.length, pixels.length);
        HttpResponse<byte[]> answer = send(HttpRequest.newBuilder(URI.create(model + "infer"))
                .header(HEADER, String.valueOf(header.length)), body);
        int start = (int) answer.headers().firstValueAsLong(HEADER)
                .orElseThrow(() -> new IOException("the answer has no binary tensor behind its JSON"));
        ByteBuffer values = ByteBuffer.wrap(answer.body()).position(start).slice().order(ByteOrder.LITTLE_ENDIAN);
        float[][] rows = new float[images][values.remaining() / 4 / images];
        for (float[] row : rows) {
            for (int i = 0; i < row.length; i++) row[i] = values.getFloat();
        }
        return rows;
    }

    private HttpResponse<byte[]> send(HttpRequest.Builder request, byte[] body)
            throws IOException, InterruptedException {
        request.timeout(Duration.ofMinutes(1)).POST(BodyPublishers.ofByteArray(body));
        if (token != null && !token.isEmpty()) request.header("Authorization", "Bearer " + token);
        HttpResponse<byte[]> response = http.send(request.build(), BodyHandlers.ofByteArray());
        if (response.statusCode() == 200) return response;
        Matcher error = ERROR.matcher(text(response.body()));
        throw new IOException(error.find() ? unescaped(error.group(1))
                : response.uri() + " answered " + response.statusCode());
    }

    private static String text(byte[] bytes) {
        return new String(bytes, StandardCharsets.UTF_8);
    }

    /** What a JSON string without its quotes stands for. */
    private static String unescaped(String text) {
        return Pattern.compile("\\\\(u[0-9a-fA-F]{4}|.)").matcher(text).replaceAll(escape -> {
            String code = escape.group(1);
            int simple = "bfnrt".indexOf(code.charAt(0));
            if (code.length() > 1) code = String.valueOf((char) Integer.parseInt(code.substring(1), 16));
            else if (simple >= 0) code = "\b\f\n\r\t".substring(simple, simple + 1);
            return Matcher.quoteReplacement(code);
        });
    }

    public static void main(String[] arguments) throws InterruptedException {
        List<String> words = new ArrayList<>();
        int top = 3;
        String token = System.getenv("DARKROOM_TOKEN");
        try {
            for (int i = 0; i < arguments.length; i++) {
                if (arguments[i].equals("--top")) top = Integer.parseInt(arguments[++i]);
                else if (arguments[i].equals("--token")) token = arguments[++i];
                else words.add(arguments[i]);
            }
            if (words.size() < 3) throw new IllegalArgumentException();
        } catch (IllegalArgumentException | ArrayIndexOutOfBoundsException error) {
            System.err.println("usage: Classify URL MODEL IMAGE... [--top K] [--token TOKEN]");
            System.exit(2);
        }
        PrintStream output = new PrintStream(System.out, true, StandardCharsets.UTF_8);
        try {
            Classify client = new Classify(words.get(0), words.get(1), token);
            for (String image : words.subList(2, words.size())) {
                String labels = client.classify(Files.readAllBytes(Path.of(image)), top).stream()
                        .map(label -> String.format(Locale.ROOT, "%s %.4f", label.name(), label.probability()))
                        .collect(Collectors.joining(", "));
                output.println(image + ": " + labels);
            }
        } catch (IOException | IllegalArgumentException error) {
            System.err.println(error instanceof java.net.ConnectException ? words.get(0) + " gives no answer: it cannot be reached"
                    : error instanceof java.nio.file.NoSuchFileException ? "no such file: " + error.getMessage()
                    : error.getMessage());
            System.exit(1);
        }
    }
}
