/**
 * From a picture to a model's input; the JDK's core only, so that Android takes this file too.
 * The numbers are those of {@code image_spec} in contract.json. A picture comes upright.
 */
public record Preprocessing(int height, int width, int channels, int marginHeight, int marginWidth) {

    /** uint8, height x width x channels: the middle of {@code rgb}, whose pixels are 0xAARRGGBB. */
    public byte[] apply(int[] rgb, int pictureHeight, int pictureWidth) {
        if (pictureHeight < 1 || pictureWidth < 1 || rgb.length != (long) pictureHeight * pictureWidth)
            throw new IllegalArgumentException("a picture has " + rgb.length + " pixels, expected "
                    + pictureHeight + " x " + pictureWidth);
        int packedHeight = height + marginHeight, packedWidth = width + marginWidth;
        int boxHeight = pictureHeight, boxWidth = pictureWidth;
        if ((long) pictureWidth * packedHeight > (long) pictureHeight * packedWidth)
            boxWidth = Math.max(1, (int) ((long) pictureHeight * packedWidth / packedHeight));
        else boxHeight = Math.max(1, (int) ((long) pictureWidth * packedHeight / packedWidth));
        int top = (pictureHeight - boxHeight) / 2, left = (pictureWidth - boxWidth) / 2;

        byte[] middle = new byte[boxHeight * boxWidth * channels];
        for (int y = 0, at = 0; y < boxHeight; y++) {
            for (int x = 0; x < boxWidth; x++) {
                int pixel = rgb[(top + y) * pictureWidth + left + x];
                int red = pixel >> 16 & 255, green = pixel >> 8 & 255, blue = pixel & 255;
                if (channels == 1) {
                    middle[at++] = (byte) (19595 * red + 38470 * green + 7471 * blue + 32768 >> 16);
                } else {
                    middle[at++] = (byte) red;
                    middle[at++] = (byte) green;
                    middle[at++] = (byte) blue;
                }
            }
        }
        // Along rows first, then along columns, rounded in between, as Pillow does.
        byte[] wide = resized(middle, boxHeight, boxWidth, packedWidth, channels);
        byte[] packed = resized(wide, 1, boxHeight, packedHeight, packedWidth * channels);
        byte[] input = new byte[height * width * channels];
        for (int y = 0; y < height; y++) {
            int from = ((marginHeight / 2 + y) * packedWidth + marginWidth / 2) * channels;
            System.arraycopy(packed, from, input, y * width * channels, width * channels);
        }
        return input;
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
