#!/usr/bin/env bash
# Builds the image and runs it, without a Docker engine and without an image registry: for CI and for machines
# that have neither. Debian, as root; `apt-get install buildah debootstrap` first.
#
#   deploy/image-test.sh          the Dockerfile with the light client only: minutes, 1 GB of disk
#   FULL=1 deploy/image-test.sh   the whole image, a server in it, its health check and its drain: long, 25 GB where layers can be overlaid, else 40
#
# The official Python base image is stood in for by a minimal Debian with a CPython 3.12 from this machine:
# that of PYTHON_TREE (a folder with bin, include and lib), else that of `python3.12`.
set -euo pipefail
cd "$(dirname "$0")/.."

for command in buildah debootstrap; do
    command -v "$command" > /dev/null || { echo "image-test: $command is missing (apt-get install $command)" >&2; exit 2; }
done
tree=${PYTHON_TREE:-$(python3.12 -c 'import sys; print(sys.base_prefix)' 2> /dev/null || true)}
[ -x "$tree/bin/python3.12" ] || { echo "image-test: set PYTHON_TREE to a CPython 3.12" >&2; exit 2; }

work=${WORK:-$(mktemp -d)}
mkdir -p "$work/tmp"
export TMPDIR="$work/tmp"  # where buildah puts layers under way
base=$(sed -n 's/^ARG PYTHON_IMAGE=//p' Dockerfile)
started=
# vfs works everywhere and copies every layer; overlay, where this machine can mount one, copies none.
mkdir -p "$work/try/"{lower,upper,work,merged}
driver=vfs
if mount -t overlay overlay -o "lowerdir=$work/try/lower,upperdir=$work/try/upper,workdir=$work/try/work" "$work/try/merged" 2> /dev/null; then
    umount "$work/try/merged"
    driver=overlay
fi
build() { buildah --root "$work/storage" --runroot "$work/run" --storage-driver "$driver" "$@"; }
clean() {
    status=$?
    [ -z "$started" ] || kill "$started" 2> /dev/null || true
    build rm --all > /dev/null 2>&1 || true
    rm -rf "$work"
    exit $status
}
trap clean EXIT
must() { # must WHAT EXPECTED FOUND
    [ "$2" = "$3" ] || { echo "image-test: $1 is '$3', not '$2'" >&2; exit 1; }
    echo "ok    $1: $3"
}

echo "==    a stand-in for $base"
debootstrap --variant=minbase --include=ca-certificates,libssl3,libffi8,libsqlite3-0,zlib1g,libbz2-1.0,liblzma5,libreadline8,libexpat1,libuuid1,libncursesw6,netbase,tzdata \
    bookworm "$work/rootfs" > "$work/debootstrap.log" || { tail "$work/debootstrap.log" >&2; exit 1; }
cp -a "$tree/bin" "$tree/include" "$tree/lib" "$work/rootfs/usr/local/"
find "$work/rootfs/usr/local/bin" -type f -exec sed -i "1s|^#!$tree/bin/|#!/usr/local/bin/|" {} +
ln -sf python3.12 "$work/rootfs/usr/local/bin/python"
ln -sf python3.12 "$work/rootfs/usr/local/bin/python3"
echo /usr/local/lib > "$work/rootfs/etc/ld.so.conf.d/local.conf"
chroot "$work/rootfs" ldconfig
container=$(build from scratch)
build copy -q "$container" "$work/rootfs" / > /dev/null
build config --env PATH=/usr/local/bin:/usr/local/sbin:/usr/sbin:/usr/bin:/sbin:/bin "$container"
build commit -q "$container" "docker.io/library/$base" > /dev/null
build rm "$container" > /dev/null
rm -rf "$work/rootfs"

echo "==    build"
[ -n "${FULL:-}" ] && extras=server,bundled,postgres || extras=
version=$(sed -n 's/^__version__ = "\(.*\)"/\1/p' clients/python/penult/_version.py)
printf '[global]\ncert = /etc/ssl/certs/ca-certificates.crt\n' > "$work/pip.conf"
build bud --isolation chroot --format docker --network host --pull-never --build-arg "EXTRAS=$extras" --build-arg "VERSION=$version" \
    -v /etc/ssl/certs:/etc/ssl/certs:ro -v "$work/pip.conf:/etc/pip.conf:ro" -t penult:test . > "$work/build.log" 2>&1 \
    || { tail -30 "$work/build.log" >&2; exit 1; }

echo "==    what it says of itself"
said() { build inspect --type image --format "{{$1}}" penult:test; }
must user 10001:10001 "$(said .Docker.Config.User)"
must entrypoint "[penult-server serve]" "$(said .Docker.Config.Entrypoint)"
must "health check" "[CMD penult health]" "$(said .Docker.Config.Healthcheck.Test)"
must volume "map[/data:{}]" "$(said .Docker.Config.Volumes)"
label() { said "index .Docker.Config.Labels \"org.opencontainers.image.$1\""; }
must licence Apache-2.0 "$(label licenses)"
must "version's label" "$version" "$(label version)"
must "base's label" "$base" "$(label base.name)"

echo "==    what is in it"
container=$(build from --pull-never penult:test)
inside() { build run --isolation chroot --network host "$container" -- "$@"; }
must "user inside" 10001 "$(inside id -u)"
must version "penult-server $version" "$(inside penult-server version)"
must "files that the user may change" /data "$(inside find / -xdev \( -path /proc -o -path /sys -o -path /dev -o -path /tmp -o -path /var/tmp -o -path /run \) -prune -o -writable ! -type l -print 2> /dev/null || true)"
must "settings of pip, keys and certificates' keys left" "" "$(inside find / -xdev \( -path /proc -o -path /sys -o -path /dev \) -prune -o \( -name pip.conf -size +0 -o -name '*.key' -o -name '.netrc' -o -name '.env' \) -print 2> /dev/null || true)"
must "wheels and caches left" "" "$(inside find /opt/penult /data /tmp /var/tmp /var/cache/pip /src \( -name '*.whl' -o -path '*/.cache/*' \) -print 2> /dev/null || true)"

if [ -n "${FULL:-}" ]; then
    echo "==    a server"
    inside penult-server serve --no-allow-download > "$work/server.log" 2>&1 &
    started=$!
    for _ in $(seq 120); do
        inside penult health > /dev/null 2>&1 && break
        kill -0 "$started" 2> /dev/null || { tail "$work/server.log" >&2; exit 1; }
        sleep 2
    done
    must "health check's answer" SERVING "$(inside penult health)"
    must "a feature from it" "(1, 1280) float32" "$(inside python -c 'import numpy, penult
features = penult.Client().extract([numpy.full((300, 400, 3), 200, numpy.uint8)])
print(features.shape, features.dtype)')"
    inside penult-server keys list > /dev/null
    # Not buildah, which would not pass the signal on, but the server itself.
    server=$started
    while below=$(pgrep -o -P "$server") && ! grep -q penult-server "/proc/$server/comm"; do server=$below; done
    kill -TERM "$server"
    wait "$started" && status=0 || status=$?
    must "exit status after SIGTERM" 0 "$status"
    must drained 1 "$(grep -c '"event": "stopped"' "$work/server.log")"
    started=
fi
echo "image-test: passed"
