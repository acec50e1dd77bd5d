#!/usr/bin/env bash
# What `make test-deploy` needs of Debian: installed where it is missing and this is root, else named.
set -euo pipefail
missing=()

# need PROGRAM PACKAGE
need() {
  command -v "$1" >/dev/null || missing+=("$2")
}

docker info >/dev/null 2>&1 || need dockerd docker.io
docker compose version >/dev/null 2>&1 || need docker-compose docker-compose
need iptables iptables
need mmdebstrap mmdebstrap
need promtool prometheus
need amtool prometheus-alertmanager
need mvn maven
[ ${#missing[@]} -eq 0 ] && exit 0
install=(apt-get install --yes --no-install-recommends "${missing[@]}")
if [ "$(id -u)" -ne 0 ] || ! command -v apt-get >/dev/null; then
  echo "make test-deploy needs what is not installed here; on Debian, as root: ${install[*]}" >&2
  exit 1
fi
echo "installing ${missing[*]}"
apt-get update -qq
DEBIAN_FRONTEND=noninteractive "${install[@]}" -qq -o DPkg::Lock::Timeout=300 >/dev/null
