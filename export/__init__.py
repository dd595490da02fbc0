"""From trained models to verified artifacts and a release."""
