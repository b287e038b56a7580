from __future__ import annotations

import json

import pytest

from penult_server.core.errors import InvalidArgument
from penult_server.core.indexes import (
    ItemFaultError,
    check_item_id,
    check_label_field,
    check_metadata,
    label_of,
)


def test_metadata_is_kept_in_one_form() -> None:
    assert check_metadata('{ "a" : 1,\n"größe": "L", "a": 1.0 }') == '{"a":1.0,"größe":"L"}'
    assert check_metadata("") == check_metadata("{}") == ""


@pytest.mark.parametrize(
    "text",
    [
        "[]", "3", "{", '{"a": NaN}', '{"a": 1e999}', '{"a": 9223372036854775808}', r'{"a": "\u0000"}',
        r'{"a": "\ud800"}', r'{"\u0000": 1}',
        '{"a":' * 40 + "1" + "}" * 40, json.dumps({"a": "x" * (16 << 10)}),
        '{"a": ' + "[" * 5000 + "]" * 5000 + "}",
    ],
)  # fmt: skip
def test_metadata_that_does_not_travel_is_refused(text: str) -> None:
    with pytest.raises(ItemFaultError) as caught:
        check_metadata(text)
    assert caught.value.fault == "METADATA_INVALID"


@pytest.mark.parametrize("item_id", ["", "a\nb", "\0", "x" * 513, "é" * 257])
def test_ids_that_are_none(item_id: str) -> None:
    with pytest.raises(ItemFaultError) as caught:
        check_item_id(item_id)
    assert caught.value.fault == "ID_INVALID"


def test_ids_may_be_paths() -> None:
    assert check_item_id("photos/é 1.jpg") == "photos/é 1.jpg"


def test_labels_are_text_of_a_field() -> None:
    assert label_of('{"label":"cat","class":3}', "label") == "cat"
    assert label_of('{"label":"cat","class":3}', "class") == ""
    assert label_of("", "label") == ""
    assert check_label_field("") == "label"
    with pytest.raises(InvalidArgument):
        check_label_field('a"b')
