/**
 * From a picture to a model's input; the JDK's core only, so that Android takes this file too.
 * The numbers and the fit (crop, stretch or pad) are those of {@code image_spec} in contract.json.
 * A picture comes upright.
 */
public record Preprocessing(
        int height, int width, int channels, int marginHeight, int marginWidth, String fit) {

    /** In the middle of something. */
    private record Box(int top, int left, int height, int width) {
        /** The largest one of {@code height} x {@code width} with an aspect ratio. */
        static Box of(int height, int width, int ratioHeight, int ratioWidth) {
            int boxHeight = height, boxWidth = width;
            if ((long) width * ratioHeight > (long) height * ratioWidth)
                boxWidth = Math.max(1, (int) ((long) height * ratioWidth / ratioHeight));
            else boxHeight = Math.max(1, (int) ((long) width * ratioHeight / ratioWidth));
            return new Box((height - boxHeight) / 2, (width - boxWidth) / 2, boxHeight, boxWidth);
        }
    }

    public Preprocessing {
        if (!fit.equals("crop") && !fit.equals("stretch") && !fit.equals("pad"))
            throw new IllegalArgumentException("fit is " + fit + ", expected crop, stretch or pad");
    }

    /** uint8, height x width x channels, of {@code rgb}, whose pixels are 0xAARRGGBB. */
    public byte[] apply(int[] rgb, int pictureHeight, int pictureWidth) {
        if (pictureHeight < 1 || pictureWidth < 1 || rgb.length != (long) pictureHeight * pictureWidth)
            throw new IllegalArgumentException("a picture has " + rgb.length + " pixels, expected "
                    + pictureHeight + " x " + pictureWidth);
        int packedHeight = height + marginHeight, packedWidth = width + marginWidth;
        Box seen = new Box(0, 0, pictureHeight, pictureWidth), put = new Box(0, 0, packedHeight, packedWidth);
        if (fit.equals("crop")) seen = Box.of(pictureHeight, pictureWidth, packedHeight, packedWidth);
        if (fit.equals("pad")) put = Box.of(packedHeight, packedWidth, pictureHeight, pictureWidth);

        byte[] part = new byte[seen.height * seen.width * channels];
        for (int y = 0, at = 0; y < seen.height; y++) {
            for (int x = 0; x < seen.width; x++) {
                int pixel = rgb[(seen.top + y) * pictureWidth + seen.left + x];
                int red = pixel >> 16 & 255, green = pixel >> 8 & 255, blue = pixel & 255;
                if (channels == 1) {
                    part[at++] = (byte) (19595 * red + 38470 * green + 7471 * blue + 32768 >> 16);
                } else {
                    part[at++] = (byte) red;
                    part[at++] = (byte) green;
                    part[at++] = (byte) blue;
                }
            }
        }
        // Along rows first, then along columns, rounded in between, as Pillow does.
        byte[] wide = resized(part, seen.height, seen.width, put.width, channels);
        byte[] fitted = resized(wide, 1, seen.height, put.height, put.width * channels);
        byte[] packed = new byte[packedHeight * packedWidth * channels];
        copy(fitted, put.width, 0, 0, packed, packedWidth, put.top, put.left, put.height, put.width);
        byte[] input = new byte[height * width * channels];
        copy(packed, packedWidth, marginHeight / 2, marginWidth / 2, input, width, 0, 0, height, width);
        return input;
    }

    /** {@code rows} x {@code columns} of pixels to another place in another image. */
    private void copy(byte[] from, int fromWidth, int fromTop, int fromLeft,
            byte[] to, int toWidth, int toTop, int toLeft, int rows, int columns) {
        for (int y = 0; y < rows; y++)
            System.arraycopy(from, ((fromTop + y) * fromWidth + fromLeft) * channels,
                    to, ((toTop + y) * toWidth + toLeft) * channels, columns * channels);
    }

    /**
     * {@code from} (rows x in x step) along its middle axis, to {@code size}: a triangle filter whose
     * support grows with the scale, which is Pillow's antialiased bilinear resize.
     */
    private static byte[] resized(byte[] from, int rows, int in, int size, int step) {
        byte[] to = new byte[rows * size * step];
        double scale = (double) in / size, support = Math.max(scale, 1);
        for (int i = 0; i < size; i++) {
            double center = (i + 0.5) * scale, sum = 0;
            int first = Math.max(0, (int) (center - support + 0.5));
            int end = Math.min(in, (int) (center + support + 0.5));
            double[] weights = new double[end - first];
            for (int x = 0; x < weights.length; x++) {
                weights[x] = Math.max(0, 1 - Math.abs(first + x + 0.5 - center) / support);
                sum += weights[x];
            }
            for (int row = 0; row < rows; row++) {
                for (int c = 0; c < step; c++) {
                    double value = 0;
                    for (int x = 0; x < weights.length; x++)
                        value += weights[x] * (from[(row * in + first + x) * step + c] & 255);
                    to[(row * size + i) * step + c] = (byte) Math.min(255, (int) (value / sum + 0.5));
                }
            }
        }
        return to;
    }
}
