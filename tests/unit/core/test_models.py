from __future__ import annotations

import pytest

from penult_server.core.errors import InvalidArgument
from penult_server.core.models import ModelReference, check_alias


@pytest.mark.parametrize(
    ("text", "reference"),
    [
        ("clothes", ModelReference("clothes")),
        ("clothes@3", ModelReference("clothes", version=3)),
        ("clothes@production", ModelReference("clothes", alias="production")),
        ("clothes@v1", ModelReference("clothes", alias="v1")),
    ],
)
def test_a_reference_is_read_and_written(text: str, reference: ModelReference) -> None:
    assert ModelReference.parse(text) == reference
    assert str(reference) == text


@pytest.mark.parametrize(
    "text", ["", "@1", "a@", "A", "a@B", "a@0", "a@01", "a@-1", "a@b@c", "../a", "a@../b"]
)
def test_what_is_none_is_refused(text: str) -> None:
    with pytest.raises(InvalidArgument) as caught:
        ModelReference.parse(text, "models[1]")
    assert caught.value.field == "models[1]"


def test_an_alias_is_no_number() -> None:
    check_alias("production")
    for wrong in ("3", "٣", "a b", ""):
        with pytest.raises(InvalidArgument):
            check_alias(wrong)
