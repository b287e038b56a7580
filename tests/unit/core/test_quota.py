from __future__ import annotations

import pytest

from penult_server.core.datasets import Dataset, Quota, Split
from penult_server.core.errors import ResourceExhausted


@pytest.mark.parametrize(
    ("added", "size", "fits"), [(0, 0, True), (5, 900, True), (6, 0, False), (0, 901, False)]
)
def test_a_dataset_takes_up_to_its_quota(added: int, size: int, fits: bool) -> None:
    dataset = Dataset(1, "a", False, 0, 0, {Split.TRAIN: 3, Split.TEST: 2}, 100)
    quota = Quota(examples=10, bytes=1000)
    if fits:
        quota.check(dataset, added, size)
        return
    with pytest.raises(ResourceExhausted) as caught:
        quota.check(dataset, added, size)
    assert caught.value.reason == "DATASET_QUOTA"
