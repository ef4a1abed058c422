"""What is known of a run, as people read it."""

__all__ = ["text"]


def text(value: object) -> str:
    """A value in few words; the formats that are not for people have it whole."""
    if value is None:
        return "nothing"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float):
        return f"{value:.6g}"
    if isinstance(value, list) and value and isinstance(value[0], list):
        return f"{len(value)} x {len(value[0])} numbers; --format json shows them"
    if isinstance(value, str) and "\n" in value:
        return f"{len(value.splitlines())} lines; --format json shows them"
    return " ".join(map(str, value)) if isinstance(value, list) else str(value)
