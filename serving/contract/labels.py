"""Class names as a text file, for readers that know nothing else; contract.json is exact."""


def labels_text(labels: list[str]) -> bytes:
    """One label per line as UTF-8.

    Labels are folder names, which may hold anything: a character that would end the line, or that
    has no UTF-8 form, is written as its Python escape, so that line n is always label n.
    """
    lines = []
    for label in labels:
        if len(f"{label}.".splitlines()) > 1:
            label = "".join(
                c if len(f"{c}.".splitlines()) == 1 else c.encode("unicode_escape").decode()
                for c in label
            )
        lines.append(label + "\n")
    return "".join(lines).encode("utf-8", errors="backslashreplace")
