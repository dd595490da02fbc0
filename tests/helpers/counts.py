"""Right answers of images, for what chance explains: none, all, few, many."""

COUNTS = [
    (0, 1),
    (1, 1),
    (0, 10),
    (13, 13),
    (0, 80),
    (77, 80),
    (80, 80),
    (395, 404),
    (9_913, 10_000),
]
