"""TLS in Envoy's words: transport sockets whose certificates come from files that Envoy itself watches.

Envoy reads a file again when something is moved into its folder (inotify's IN_MOVED_TO): a file renamed into place, or the
link `..data` of a Kubernetes volume. A file that is written in place is not noticed. Connections that are there go on; a pair
that does not fit is refused, with a warning, and the one before stays. Envoy's secrets (SDS) must come from files for that,
and it demands a name for itself then.
"""

import ipaddress
import json
from pathlib import Path
from typing import Any

from .tls import CertificateFiles, Upstream

Json = dict[str, Any]

_TLS = "type.googleapis.com/envoy.extensions.transport_sockets.tls.v3"
# Upstream, Envoy would stop at TLS 1.2 by itself.
_VERSIONS = {"tls_minimum_protocol_version": "TLSv1_2", "tls_maximum_protocol_version": "TLSv1_3"}
_NODE = {"id": "gateway", "cluster": "tenantry"}


def secure(config: Json, folder: Path, certificate: CertificateFiles | None, upstream: Upstream | None) -> None:
    """Puts TLS into Envoy's configuration: with a certificate on its listener, with an upstream to its cluster.

    The secrets' descriptions, without the secrets, are written into the folder.
    """
    resources = config["static_resources"]
    if certificate is not None:
        resources["listeners"][0]["filter_chains"][0]["transport_socket"] = _downstream(certificate, folder)
    if upstream is not None:
        resources["clusters"][0]["transport_socket"] = _upstream(upstream, folder)
    if certificate is not None or upstream is not None:
        config["node"] = _NODE


def _downstream(files: CertificateFiles, folder: Path) -> Json:
    secret: Json = {"certificate_chain": _file(files.chain), "private_key": _file(files.key)}
    if files.chain.parent == files.key.parent:
        # Both are read at once then. Without it, the folder of each is watched by itself.
        secret["watched_directory"] = _folder(files.chain)
    source = _secret(folder, "certificate", {"tls_certificate": secret})
    context = {"alpn_protocols": ["h2", "http/1.1"], "tls_certificate_sds_secret_configs": [source]}
    return _socket("DownstreamTlsContext", context)


def _upstream(upstream: Upstream, folder: Path) -> Json:
    """Verifies the server: without a certificate that fits there is no connection, never one in plaintext."""
    is_address = _is_address(upstream.server_name)
    name = {"san_type": "IP_ADDRESS" if is_address else "DNS", "matcher": {"exact": upstream.server_name}}
    secret = {
        "trusted_ca": _file(upstream.authorities),
        "watched_directory": _folder(upstream.authorities),
        "match_typed_subject_alt_names": [name],
    }
    source = _secret(folder, "authorities", {"validation_context": secret})
    context = {"alpn_protocols": ["h2"], "validation_context_sds_secret_config": source}
    return _socket("UpstreamTlsContext", context, **({} if is_address else {"sni": upstream.server_name}))


def _is_address(name: str) -> bool:
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return False
    return True


def _secret(folder: Path, name: str, content: Json) -> Json:
    """Describes a secret in a file of the folder. Answers with where Envoy finds it."""
    file = folder / f"{name}.json"
    file.write_text(json.dumps({"resources": [{"@type": f"{_TLS}.Secret", "name": name, **content}]}), encoding="utf-8")
    return {"name": name, "sds_config": {"resource_api_version": "V3", "path_config_source": {"path": str(file)}}}


def _socket(kind: str, context: Json, **more: str) -> Json:
    typed = {"@type": f"{_TLS}.{kind}", "common_tls_context": {"tls_params": _VERSIONS, **context}, **more}
    return {"name": "envoy.transport_sockets.tls", "typed_config": typed}


def _file(file: Path) -> Json:
    """Links are not followed: Envoy watches the folder that the path names."""
    return {"filename": str(file.absolute())}


def _folder(file: Path) -> Json:
    return {"path": str(file.absolute().parent)}
