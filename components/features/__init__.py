"""What a frozen backbone makes of images, once: features that heads are trained on."""
