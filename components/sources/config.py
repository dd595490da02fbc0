"""The slice of configuration that says where images come from."""

from pydantic import Field

from components.base.config import Slice


class DataConfig(Slice):
    """Where images come from and how they are split."""

    source: str = Field(description="digits, tfds:NAME, folder:PATH, tar:PATH or zip:PATH")
    dir: str | None = Field(None, description="TFDS data directory (default: TFDS's own)")
    label: str = Field(
        "label", min_length=1, description="TFDS feature with the class, e.g. attributes/Smiling"
    )
    val_fraction: float = Field(0.1, gt=0, lt=0.5, description="share of train held out by hash")
    test_fraction: float = Field(0.2, gt=0, lt=0.5, description="share, where there is no test")
    max_file_mib: float = Field(20, gt=0, description="larger files are quarantined")
    # Pillow itself refuses larger ones.
    max_megapixels: float = Field(50, gt=0, le=178, description="larger images are quarantined")
    # The attribute is not called like the key because pydantic has a method of that name.
    schema_path: str | None = Field(
        None, alias="schema", description="TFDV schema (text protobuf) that the data gate enforces"
    )
    accept_classes: bool = Field(
        False, description="release other classes than the current release has"
    )
    verify: bool = Field(
        False, description="read all images again, also where sizes and times say none changed"
    )
    limit: int | None = Field(
        None, ge=1, description="train on that many images, drawn once; val and test stay whole"
    )
