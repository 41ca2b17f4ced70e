"""JSON as it goes over the wire: short, and not only ASCII."""

import json
from collections.abc import Mapping


def encode(value: object) -> str:
    """A value as JSON, without a space."""
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))


def decode_object(body: bytes) -> Mapping[str, object]:
    """The members of a JSON object; nothing is an empty one.

    Raises:
        ValueError: if it is no object, with a sentence for whoever sent it.
    """
    if not body.strip():
        return {}
    try:
        value = json.loads(body)
    except (ValueError, RecursionError) as exc:
        raise ValueError(f"The body must be JSON: {exc}.") from None
    if not isinstance(value, dict):
        raise ValueError('The body must be a JSON object, such as {"name":"/queue/a"}.')
    return value
