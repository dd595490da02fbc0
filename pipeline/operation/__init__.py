"""What goes on around runs: who is told of them."""
