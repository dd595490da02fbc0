"""Why a command ends without what it was asked for, as errors that own their exit codes.

Standard library only.
"""


class Refusal(ValueError):
    """Something expected stands in the way; the message is one sentence for the user."""

    exit_code = 1


class ConfigError(Refusal):
    """The user's configuration or surroundings are wrong."""

    exit_code = 2


class DataRefused(Refusal):
    """The data cannot be trained on.

    `gates` holds the checks that were made, as `GateResult.to_json` gives them; `data` the
    accounting, where it got that far, `findings` the content of a findings.csv when the step that
    wrote it is the one that refuses.
    """

    exit_code = 4

    def __init__(self, sentence: str, gates: tuple[dict, ...] = (), data: dict | None = None):
        super().__init__(sentence)
        self.gates = gates
        self.data = data or {}
        self.findings = b""


class Locked(Refusal):
    """Another run holds the output root."""

    exit_code = 75
