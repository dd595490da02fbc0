"""The slice of configuration that says where runs are recorded, beside the output root."""

from urllib.parse import urlsplit

from pydantic import Field, ValidationInfo, field_validator

from components.base.config import Slice

_CREDENTIALS = {
    "mlflow": "MLFLOW_TRACKING_USERNAME and MLFLOW_TRACKING_PASSWORD",
    "openlineage": "OPENLINEAGE_API_KEY",
}
_SCHEMES = {"mlflow": ("http", "https", "sqlite"), "openlineage": ("http", "https", "file")}


class TrackingConfig(Slice):
    """After every run that comes to a verdict, whichever it is; each needs an extra."""

    mlflow: str | None = Field(
        None, description="MLflow's tracking URI: http://HOST:PORT or sqlite:////PATH/mlflow.db"
    )
    experiment: str = Field("darkroom", min_length=1, description="the experiment in MLflow")
    openlineage: str | None = Field(
        None, description="where OpenLineage events go: http://HOST:PORT, or appended to file:PATH"
    )
    namespace: str = Field("darkroom", min_length=1, description="of the job in OpenLineage")
    seconds: float = Field(60, gt=0, le=600, description="each of the two may take so long")

    @field_validator("mlflow", "openlineage")
    @classmethod
    def _address(cls, address: str | None, info: ValidationInfo) -> str | None:
        if address is None:
            return None
        key = str(info.field_name)
        parts, schemes = urlsplit(address), _SCHEMES[key]
        if parts.scheme not in schemes:
            raise ValueError(f"expected an address that begins with one of {', '.join(schemes)}")
        if parts.password is not None:
            # The address is written into config.args and shown.
            raise ValueError(
                f"expected an address without a password: set {_CREDENTIALS[key]} in "
                "the environment"
            )
        return address
