"""What data and models must be like before the line goes on."""
