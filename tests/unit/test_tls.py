"""Certificates in files: which pairs can be used, when files are read again, and what keeps the pair that was good."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any
from unittest.mock import Mock

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    PrivateFormat,
    load_pem_private_key,
)
from support.certificates import LOCAL, Authority, Leaf, Mounted, Placed, replace

from tenantry_server import tls
from tenantry_server.tls import Pair, TlsError, Watched, read_authorities, read_pair

AUTHORITY = Authority()


def signed(key: Any = None) -> Leaf:
    """A pair that fits."""
    return AUTHORITY.sign(*LOCAL, key=key)


ONE, OTHER = signed(), signed()


def encrypted(leaf: Leaf) -> bytes:
    """Its key, under a password."""
    key: Any = load_pem_private_key(leaf.key, None)
    return bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, BestAvailableEncryption(b"secret")))


# -- pairs -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "make",
    [
        lambda: rsa.generate_private_key(65537, 2048),
        lambda: ec.generate_private_key(ec.SECP256R1()),
        lambda: ec.generate_private_key(ec.SECP384R1()),
    ],
    ids=["RSA 2048", "P-256", "P-384"],
)
def test_a_pair_of_a_usual_kind_can_be_used(tmp_path: Path, make: Callable[[], Any]) -> None:
    leaf = signed(make())
    files = Placed(tmp_path / "tls", Leaf(leaf.chain + AUTHORITY.pem, leaf.key)).files
    assert read_pair(files.chain, files.key) == Pair(leaf.chain + AUTHORITY.pem, leaf.key)


@pytest.mark.parametrize(
    "key",
    [rsa.generate_private_key(65537, 1024), ec.generate_private_key(ec.SECP521R1()), ec.generate_private_key(ec.SECP256K1())],
    ids=["RSA 1024", "P-521", "secp256k1"],
)
def test_a_key_that_handshakes_would_fail_with_is_refused_at_once(tmp_path: Path, key: Any) -> None:
    files = Placed(tmp_path / "tls", signed(key)).files
    with pytest.raises(TlsError, match="must be an RSA key from 2048 bits, or ECDSA on P-256 or P-384"):
        read_pair(files.chain, files.key)


def test_an_ed25519_key_is_refused_too(tmp_path: Path) -> None:
    leaf = signed(ed25519.Ed25519PrivateKey.generate())
    files = Placed(tmp_path / "tls", leaf).files
    with pytest.raises(TlsError, match="must be an RSA key"):
        read_pair(files.chain, files.key)


@pytest.mark.parametrize(
    ("chain", "key", "text"),
    [
        (ONE.chain, OTHER.key, "tls.crt does not belong to "),
        (AUTHORITY.pem + ONE.chain, ONE.key, "tls.crt does not belong to "),
        (b"", ONE.key, "tls.crt holds no certificate in PEM"),
        (b"\xff\0", ONE.key, "tls.crt holds no certificate in PEM"),
        (ONE.key, ONE.key, "tls.crt holds no certificate in PEM"),
        (ONE.chain[:300], ONE.key, "tls.crt holds no certificate in PEM"),
        (ONE.chain + AUTHORITY.pem[:300], ONE.key, "tls.crt is not complete"),
        (ONE.chain, b"", "tls.key holds no private key in PEM, unencrypted"),
        (ONE.chain, ONE.key[:100], "tls.key holds no private key in PEM, unencrypted"),
        (ONE.chain, ONE.chain, "tls.key holds no private key in PEM, unencrypted"),
        (ONE.chain, encrypted(ONE), "tls.key holds no private key in PEM, unencrypted"),
        (None, ONE.key, "tls.crt cannot be read: No such file or directory"),
        (ONE.chain, None, "tls.key cannot be read: No such file or directory"),
    ],
    ids=lambda part: part if isinstance(part, str) else "",  # the others are not the same in every process
)
def test_a_pair_that_cannot_be_used_is_refused_by_its_file(
    tmp_path: Path, chain: bytes | None, key: bytes | None, text: str
) -> None:
    for name, content in (("tls.crt", chain), ("tls.key", key)):
        if content is not None:
            (tmp_path / name).write_bytes(content)
    with pytest.raises(TlsError) as refusal:
        read_pair(tmp_path / "tls.crt", tmp_path / "tls.key")
    assert text in str(refusal.value)
    assert "PRIVATE" not in str(refusal.value)


def test_authorities_are_certificates(tmp_path: Path) -> None:
    both = tmp_path / "both.pem"
    both.write_bytes(AUTHORITY.pem + Authority().pem)
    assert read_authorities(both) == both.read_bytes()
    replace(tmp_path / "key.pem", ONE.key)
    with pytest.raises(TlsError, match="holds no certificate in PEM"):
        read_authorities(tmp_path / "key.pem")


# -- files that change -------------------------------------------------------------------------------------------------


class Reader:
    """Reads pairs, and counts how often."""

    def __init__(self) -> None:
        self.times = 0

    def __call__(self, *files: Path) -> Pair:
        self.times += 1
        return read_pair(*files)


@pytest.fixture(params=[Placed, Mounted])
def placed(request: pytest.FixtureRequest, tmp_path: Path) -> Any:
    """A pair, by files that are renamed into place, and by a volume of Kubernetes."""
    return request.param(tmp_path / "tls", ONE)


@pytest.fixture
def log(monkeypatch: pytest.MonkeyPatch) -> Mock:
    """What is logged."""
    monkeypatch.setattr(tls, "log", Mock())
    return tls.log


def told(log: Mock) -> list[tuple[str, str]]:
    """Level and event of what was logged since the last time."""
    lines = [(name, arguments[0]) for name, arguments, _ in log.method_calls]
    log.reset_mock()
    return lines


RELOADED, KEPT = ("info", "certificates reloaded"), ("warning", "certificates kept")


def test_what_has_not_changed_is_not_read_again(placed: Placed) -> None:
    reader = Reader()
    watched = Watched(reader, placed.files.chain, placed.files.key)
    assert {watched.current() for _ in range(100)} == {Pair(ONE.chain, ONE.key)}
    assert reader.times == 1


def test_another_pair_is_there_with_the_next_look(placed: Placed, log: Mock) -> None:
    watched = Watched(read_pair, placed.files.chain, placed.files.key)
    for leaf in (OTHER, ONE, signed()):
        placed.place(leaf)
        assert watched.current() == Pair(leaf.chain, leaf.key)
        assert watched.current() == Pair(leaf.chain, leaf.key)
        assert told(log) == [RELOADED]


def test_a_renewed_certificate_for_the_same_key_is_taken(tmp_path: Path) -> None:
    placed = Placed(tmp_path / "tls", ONE)
    watched = Watched(read_pair, placed.files.chain, placed.files.key)
    renewed = signed(load_pem_private_key(ONE.key, None))
    placed.place_chain(renewed.chain)
    assert watched.current() == Pair(renewed.chain, ONE.key)


@pytest.mark.parametrize("content", [OTHER.chain, b"", OTHER.chain[:300], None], ids=["another's", "empty", "half", "gone"])
def test_what_is_no_good_keeps_the_old_pair_and_warns_once(tmp_path: Path, log: Mock, content: bytes | None) -> None:
    placed = Placed(tmp_path / "tls", ONE)
    reader = Reader()
    watched = Watched(reader, placed.files.chain, placed.files.key)
    if content is None:
        placed.files.chain.unlink()
    else:
        placed.files.chain.write_bytes(content)
    assert {watched.current() for _ in range(10)} == {Pair(ONE.chain, ONE.key)}
    assert reader.times == 2
    placed.place_chain(OTHER.chain[:100])  # another state that is no good
    assert watched.current() == Pair(ONE.chain, ONE.key)
    assert told(log) == [KEPT]
    placed.place(OTHER)
    assert watched.current() == Pair(OTHER.chain, OTHER.key)
    placed.place_chain(b"")
    assert watched.current() == Pair(OTHER.chain, OTHER.key)
    assert told(log) == [RELOADED, KEPT]


def test_a_change_while_it_is_read_is_seen_the_next_time(tmp_path: Path) -> None:
    placed = Placed(tmp_path / "tls", ONE)
    coming = [OTHER]

    def overtaken(*files: Path) -> Pair:
        pair = read_pair(*files)
        if coming:
            placed.place(coming.pop())
        return pair

    watched = Watched(overtaken, placed.files.chain, placed.files.key)
    assert watched.current() == Pair(OTHER.chain, OTHER.key)


def test_files_that_are_no_good_from_the_beginning_are_an_error(tmp_path: Path) -> None:
    with pytest.raises(TlsError):
        Watched(read_pair, tmp_path / "tls.crt", tmp_path / "tls.key")
