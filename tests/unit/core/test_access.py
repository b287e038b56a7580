from __future__ import annotations

from collections.abc import Sequence

import pytest

from penult_server.core.access import AccessControl, ApiKey, Scope, exposure, is_loopback, make_key
from penult_server.core.errors import InvalidArgument, PenultError, PermissionDenied, Unauthenticated
from penult_server.core.wall_clock import Forwards


class Keys:
    def __init__(self) -> None:
        self.kept: list[ApiKey] = []
        self.reads = 0

    def all(self) -> Sequence[ApiKey]:
        self.reads += 1
        return list(self.kept)

    def add(self, key: ApiKey) -> None:
        self.kept.append(key)

    def revoke(self, key_id: str, now: float) -> ApiKey:
        raise NotImplementedError


class Clock:
    now = 1000.0

    def __call__(self) -> float:
        return self.now


def control(*keys: ApiKey) -> tuple[AccessControl, Keys, Clock]:
    store, clock = Keys(), Clock()
    store.kept = list(keys)
    return AccessControl(store, wall=clock, clock=clock), store, clock


async def reason(access: AccessControl, text: str | None, scope: Scope = Scope.READ) -> str:
    with pytest.raises(PenultError) as caught:
        await access.authorize(text, scope)
    return caught.value.reason


async def test_a_server_without_keys_is_open_and_one_with_a_key_is_not() -> None:
    access, store, clock = control()
    assert await access.authorize(None, Scope.ADMIN) is None
    assert await access.authorize("anything", Scope.ADMIN) is None
    key, text = make_key("first", [Scope.READ], clock.now)
    store.add(key)
    clock.now += 1.0
    assert await reason(access, None) == "API_KEY_MISSING"
    assert await access.authorize(text, Scope.READ) == key
    assert access.closed


async def test_revoking_the_last_key_does_not_open_the_server() -> None:
    key, text = make_key("gone", [Scope.READ], 0.0)
    access, _, _ = control(ApiKey(key.id, key.name, key.digest, key.scopes, 0.0, None, revoked=1.0))
    assert await reason(access, None) == "API_KEY_MISSING"
    assert await reason(access, text) == "API_KEY_REVOKED"


async def test_only_the_whole_key_counts() -> None:
    key, text = make_key("a", [Scope.ADMIN], 0.0)
    access, _, _ = control(key)
    other, _ = make_key("b", [Scope.ADMIN], 0.0)
    for wrong in (
        text[:-1],
        text + "x",
        text.upper(),
        key.id,
        f"penult_{key.id}",
        f"penult_{key.id}_",
        "_",
        " ",
        text.replace(key.id, other.id),
        "other" + text[6:],
    ):
        assert await reason(access, wrong) == "API_KEY_UNKNOWN"


@pytest.mark.parametrize("scope", Scope)
async def test_a_key_may_do_what_its_scope_says_and_admin_everything(scope: Scope) -> None:
    key, text = make_key("a", [scope], 0.0)
    access, _, _ = control(key)
    for needed in Scope:
        if needed is scope or scope is Scope.ADMIN:
            assert await access.authorize(text, needed) is key
        else:
            with pytest.raises(PermissionDenied) as caught:
                await access.authorize(text, needed)
            assert caught.value.metadata == {"scope": needed.value}


async def test_a_key_expires_and_a_long_call_notices() -> None:
    key, text = make_key("a", [Scope.READ], Clock.now, lifetime=10.0)
    access, _, clock = control(key)
    assert await access.authorize(text, Scope.READ) == key
    await access.check_again(key)
    clock.now += 10.0
    assert await reason(access, text) == "API_KEY_EXPIRED"
    with pytest.raises(Unauthenticated):
        await access.check_again(key)
    await access.check_again(None)


async def test_a_revocation_by_another_process_counts_within_a_second_and_reads_are_few() -> None:
    key, text = make_key("a", [Scope.READ], 0.0)
    access, store, clock = control(key)
    for _ in range(50):
        await access.authorize(text, Scope.READ)
    assert store.reads == 1
    store.kept = [ApiKey(key.id, key.name, key.digest, key.scopes, 0.0, None, revoked=1.0)]
    clock.now += 1.0
    with pytest.raises(Unauthenticated) as caught:
        await access.check_again(key)
    assert caught.value.reason == "API_KEY_REVOKED"
    assert store.reads == 2


def test_keys_are_random_and_their_text_is_not_kept() -> None:
    made = [make_key("a", [Scope.READ], 0.0) for _ in range(20)]
    assert len({text for _, text in made}) == len({key.id for key, _ in made}) == 20
    for key, text in made:
        assert len(text) >= 55
        assert text.split("_", 2)[2] not in repr(key)
        assert "digest" not in repr(key)


@pytest.mark.parametrize(
    ("name", "scopes", "lifetime"),
    [("Bad Name", [Scope.READ], None), ("a", [], None), ("a", [Scope.READ], 0.0)],
)
def test_keys_that_make_no_sense_are_refused(name: str, scopes: list[Scope], lifetime: float | None) -> None:
    with pytest.raises(InvalidArgument):
        make_key(name, scopes, 0.0, lifetime)


@pytest.mark.parametrize(
    ("address", "loopback"),
    [
        ("127.0.0.1:1", True),
        ("127.9.9.9:1", True),
        ("[::1]:1", True),
        ("localhost:1", True),
        ("0.0.0.0:1", False),
        ("[::]:1", False),
        ("192.168.1.5:1", False),
        ("example.org:1", False),
    ],
)
def test_what_only_this_machine_can_reach(address: str, loopback: bool) -> None:
    assert is_loopback(address) is loopback
    assert bool(exposure(address, encrypted=False, closed=False)) is not loopback


def test_an_open_network_wants_both_encryption_and_callers_who_prove_themselves() -> None:
    assert exposure("0.0.0.0:1", encrypted=True, closed=True) == ""
    assert "TLS" in exposure("0.0.0.0:1", encrypted=False, closed=True)
    assert "API keys" in exposure("0.0.0.0:1", encrypted=True, closed=False)


async def test_a_key_that_has_expired_does_not_come_back_when_the_clock_is_put_back() -> None:
    key, text = make_key("brief", [Scope.READ], 1000.0, 60.0)
    store, wall, elapsed = Keys(), Clock(), Clock()
    store.kept = [key]
    access = AccessControl(store, wall=Forwards(wall, elapsed), clock=elapsed)
    assert await access.authorize(text, Scope.READ) == key
    wall.now, elapsed.now = 1070.0, 1070.0
    assert await reason(access, text) == "API_KEY_EXPIRED"
    wall.now, elapsed.now = 10.0, 1080.0
    assert await reason(access, text) == "API_KEY_EXPIRED"
