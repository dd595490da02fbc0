"""Networks as descriptions, and as each framework builds them."""
