"""A model's own predictions, and TFMA's metrics of them."""
