"""The steps of the line: NAME.py is pure, NAME_tfx.py its TFX glue."""
