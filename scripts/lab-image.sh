#!/bin/sh
# Makes one host image of the lab: lab-image.sh SUITE DIR [MIRROR]
# With BASE (another image) and PACKAGES in the environment: a copy of that one with these packages.
# Run by scripts/lab-images.mjs inside mount and PID namespaces of its own, so whatever this mounts or starts ends with it.
set -eu
suite=$1 dir=$2 mirror=${3:-}

if [ -n "${BASE:-}" ]; then
  cp -a "$BASE" "$dir"
else
  debootstrap --variant=minbase "$suite" "$dir" ${mirror:+"$mirror"}
fi

# Packages come by the machine's own way to its mirror (names, certificates, apt's configuration); none of it stays.
mkdir -p "$dir/etc/ssl/certs" "$dir/tmp/apt.conf.d"
cp -L /etc/apt/apt.conf.d/* "$dir/tmp/apt.conf.d/" 2>/dev/null || true
cp "$dir"/etc/apt/apt.conf.d/* "$dir/tmp/apt.conf.d/" 2>/dev/null || true
cp -L /etc/resolv.conf "$dir/etc/resolv.conf"
mount -t proc proc "$dir/proc"
mount --bind "$dir/tmp/apt.conf.d" "$dir/etc/apt/apt.conf.d"
[ ! -d /etc/ssl/certs ] || mount --bind /etc/ssl/certs "$dir/etc/ssl/certs"

printf '#!/bin/sh\nexit 101\n' >"$dir/usr/sbin/policy-rc.d" && chmod 755 "$dir/usr/sbin/policy-rc.d"
cat >"$dir/etc/dpkg/dpkg.cfg.d/lab" <<'C'
force-unsafe-io
path-exclude=/usr/share/doc/*
path-exclude=/usr/share/man/*
path-exclude=/usr/share/locale/*
C
DEBIAN_FRONTEND=noninteractive LC_ALL=C chroot "$dir" sh -euc '
  apt-get update -qq
  apt-get install -y -qq --no-install-recommends \
    nix-bin openssh-server openssh-client iproute2 busybox-static gcc libc6-dev make perl xz-utils bzip2 patch \
    ${PACKAGES:-}
  nix-daemon --version'

umount "$dir/etc/apt/apt.conf.d" "$dir/proc"
! mountpoint -q "$dir/etc/ssl/certs" || umount "$dir/etc/ssl/certs"
rm -rf "$dir/tmp/apt.conf.d" "$dir"/var/cache/apt/* "$dir"/var/lib/apt/lists/* "$dir"/var/log/* "$dir"/etc/ssh/ssh_host_*
rm -rf "$dir/nix" "$dir/usr/share/doc" "$dir/usr/share/man" "$dir/usr/share/locale"
: >"$dir/etc/resolv.conf"

# Build users as a multi-user Nix wants them. A build kills every process of its user when it ends.
grep -q ^nixbld: "$dir/etc/group" || chroot "$dir" groupadd -r nixbld
for k in 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16; do
  grep -q "^nixbld$k:" "$dir/etc/passwd" ||
    chroot "$dir" useradd -r -g nixbld -G nixbld -d /var/empty -s /usr/sbin/nologin "nixbld$k"
done
mkdir -p "$dir/nix" "$dir/run/sshd" "$dir/root/.ssh"
chmod 700 "$dir/root/.ssh"
