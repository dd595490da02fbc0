"""Augmentation policies, the balance of classes, and the training index."""
