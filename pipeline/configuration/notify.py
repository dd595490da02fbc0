"""The slice of configuration that says who is told of a run's verdict."""

from pydantic import Field, SecretStr, field_validator

from components.base.config import Slice


class NotifyConfig(Slice):
    """After every run that comes to a verdict, whichever it is."""

    command: str | None = Field(
        None, description="for the shell; verdict.json comes on its standard input"
    )
    webhook: SecretStr | None = Field(
        None, description="URL that verdict.json is posted to; it is written nowhere"
    )
    seconds: float = Field(10, gt=0, le=600, description="each of the two may take so long")

    @field_validator("webhook")
    @classmethod
    def _address(cls, url: SecretStr | None) -> SecretStr | None:
        if url is not None and not url.get_secret_value().startswith(("http://", "https://")):
            raise ValueError("expected a URL that begins with http:// or https://")
        return url
