"""The frameworks. On their own, so that what only counts them does not depend on networks."""

FRAMEWORKS = ("keras", "torch")
