#!/usr/bin/env bash
# Installs Debian's PostgreSQL, Patroni, etcd and HAProxy, for the part of `make test-ha` that is about fail-over. Starts nothing,
# and makes no database. Where that is impossible it says why; only in CI it fails then.
set -euo pipefail

PACKAGES=(postgresql patroni etcd-server etcd-client haproxy iproute2 nftables)
PORTS=(2379 2380 5432 8008)
POLICY=/usr/sbin/policy-rc.d
CLUSTERS=/etc/postgresql-common/createcluster.d

skip() {
  echo "Fail-over will not be tested: $1"
  [[ ${CI:-} == true ]] && exit 1 || exit 0
}

is_missing() { [[ $(dpkg-query -W -f '${db:Status-Status}' "$1" 2>/dev/null) != installed ]]; }

answering() {
  for port in "${PORTS[@]}"; do
    if (exec 3<>"/dev/tcp/127.0.0.1/$port") 2>/dev/null; then echo "$port"; fi
  done
}

command -v apt-get >/dev/null || skip "its packages are Debian's, and there is no apt-get"
missing=()
for package in "${PACKAGES[@]}"; do if is_missing "$package"; then missing+=("$package"); fi; done
((${#missing[@]})) || exit 0
((UID == 0)) || skip "${missing[*]} must be installed, by root"

before=$(answering)
undo() { rm -f "$CLUSTERS/none.conf"; [[ -z ${policy:-} ]] || rm -f "$POLICY"; }
trap undo EXIT
mkdir -p "$CLUSTERS"
echo "create_main_cluster = false" >"$CLUSTERS/none.conf"
if [[ ! -e $POLICY ]]; then
  policy=ours
  printf '#!/bin/sh\nexit 101\n' >"$POLICY"
  chmod +x "$POLICY"
fi
export DEBIAN_FRONTEND=noninteractive
apt-get -q update
apt-get -qy install --no-install-recommends -o Dpkg::Options::=--force-confold "${missing[@]}"
after=$(answering)
[[ $before == "$after" ]] || { echo "Something listens that did not before: ${after//$'\n'/ }"; exit 1; }
