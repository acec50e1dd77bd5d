#!/usr/bin/env bash
# Images that stand in for the upstream ones where no image registry can be reached. Each is a Debian root file system
# made here and now (mmdebstrap) and imported under a name that says what it is: lanjie-standin/....
#
#   python      this machine's CPython 3.11 under /usr/local, as in python:3.11-slim
#   kafka       the jars of deploy/kafka-local, started by Kafka's own KafkaDockerWrapper, as in apache/kafka
#   prometheus, alertmanager      Debian's packages, at the paths of prom/...
#
# Needs root, Debian, mmdebstrap, Maven and a Docker engine. An image is made again when this folder or the pom changes.
#
# shellcheck disable=SC2016 # $1 in a hook is mmdebstrap's
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
docker=${DOCKER:-docker}
python=${PYTHON:-python3.11}
work=$here/../../.lanjie/standin
pom=$here/../kafka-local/pom.xml
digest=$(cat "$here"/build.sh "$here"/kafka/* "$pom" | sha256sum | cut -c1-16)
kafka_version=$(sed -n '/kafka_2.13/,/version/s/.*<version>\(.*\)<.*/\1/p' "$pom")
tar=$work/root.tar
mkdir -p "$work"
trap 'rm -f "$tar"' EXIT

# made NAME: whether the image is there and of this script
made() {
  [ "$("$docker" image inspect --format '{{index .Config.Labels "lanjie.standin"}}' "$1" 2>/dev/null)" = "$digest" ]
}

# root TAR INCLUDE [MMDEBSTRAP OPTION...]: a root file system, from where this machine's apt fetches
root() {
  local tar=$1 include=$2 release sources=/etc/apt/sources.list.d/debian.sources
  shift 2
  release=$(sed -n 's/^VERSION_CODENAME=//p' /etc/os-release)
  [ -f "$sources" ] || sources=/etc/apt/sources.list
  mmdebstrap --quiet --variant=minbase --include="$include" \
    --dpkgopt=force-unsafe-io --dpkgopt='path-exclude=/usr/share/man/*' --dpkgopt='path-exclude=/usr/share/doc/*' \
    --aptopt='Acquire::Languages "none"' "$@" "$release" "$tar" "$sources"
}

# import TAR NAME CHANGE...
import() {
  local tar=$1 name=$2 change options=()
  shift 2
  for change in "LABEL lanjie.standin=$digest" "$@"; do options+=(--change "$change"); done
  "$docker" import "${options[@]}" "$tar" "$name" >/dev/null
  echo "made $name"
}

make_python() {
  local prefix tree=$work/python.tar
  prefix=$("$python" -c 'import sys; print(sys.base_prefix)')
  if [ "$prefix" = /usr ]; then
    echo "$python is Debian's own, which keeps packages elsewhere than upstream's image: name one with a prefix of its" \
      "own (pyenv, python-build) by PYTHON=/path/to/python3.11" >&2
    exit 1
  fi
  tar -C "$prefix" -cf "$tree" --exclude='__pycache__' --exclude='lib/python3.11/test' \
    --exclude='lib/python3.11/config-*' --exclude='lib/python3.11/site-packages/*' \
    bin/python bin/python3 bin/python3.11 lib
  tar -C "$prefix" -rf "$tree" lib/python3.11/site-packages/pip
  root "$tar" ca-certificates,netbase,tzdata,libssl3,libffi8,libsqlite3-0,libbz2-1.0,liblzma5,libreadline8,libuuid1 \
    --customize-hook="tar-in $tree /usr/local" --customize-hook='chroot "$1" ldconfig'
  import "$tar" lanjie-standin/python:3.11-slim 'CMD ["python3"]'
  rm "$tree"
}

make_kafka() {
  mvn -q -B -f "$pom" dependency:copy-dependencies -DoutputDirectory="$work/kafka-$kafka_version"
  # update-alternatives wants the folder of manual pages
  root "$tar" openjdk-17-jre-headless,procps --essential-hook='mkdir -p "$1/usr/share/man/man1"' \
    --customize-hook='mkdir -p "$1/opt/kafka/libs" "$1/opt/kafka/config" "$1/etc/kafka/docker" "$1/mnt/shared/config" "$1/var/lib/kafka/data"' \
    --customize-hook="sync-in $work/kafka-$kafka_version /opt/kafka/libs" \
    --customize-hook="sync-in $here/kafka /etc/kafka/docker" \
    --customize-hook='chroot "$1" useradd --uid 1000 --create-home appuser' \
    --customize-hook='chroot "$1" chown -R 1000:1000 /opt/kafka/config /mnt/shared/config /var/lib/kafka /etc/kafka'
  import "$tar" "lanjie-standin/kafka:$kafka_version" 'USER appuser' 'EXPOSE 9092' 'VOLUME ["/var/lib/kafka/data"]' \
    'CMD ["/etc/kafka/docker/run"]'
}

make_monitoring() {
  local name
  root "$tar" prometheus,prometheus-alertmanager,busybox,ca-certificates \
    --customize-hook='ln -s prometheus-alertmanager "$1/usr/bin/alertmanager"' \
    --customize-hook='ln -s busybox "$1/usr/bin/wget"' \
    --customize-hook='mkdir "$1/prometheus" "$1/alertmanager"; chown 65534:65534 "$1/prometheus" "$1/alertmanager"'
  for name in prometheus alertmanager; do
    import "$tar" "lanjie-standin/$name:debian" 'USER nobody' "WORKDIR /$name" "VOLUME [\"/$name\"]" \
      "ENTRYPOINT [\"/bin/$name\"]"
  done
}

made lanjie-standin/python:3.11-slim || make_python
made "lanjie-standin/kafka:$kafka_version" || make_kafka
if ! made lanjie-standin/prometheus:debian || ! made lanjie-standin/alertmanager:debian; then make_monitoring; fi
