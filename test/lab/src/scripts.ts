/*
 * The shell side of a lab. Parameters come in as environment variables (MESH_LAB, DIR, …), never as pasted text.
 *
 * One process tree holds everything: the supervisor is init of a PID namespace, and owner of the mount and network
 * namespaces, that all hosts live under. When it ends the kernel ends every process below it, and with the last of them
 * go the mounts, the tmpfs with all files and the bridge. It ends when its standard input closes, so with its owner,
 * however that dies.
 */

/** Outlives the supervisor by a moment to remove the two things that are not in a namespace: folder and cgroups. */
export const WATCHER = `
trap '' INT TERM HUP
unshare --mount --net --pid --uts --ipc --fork --kill-child sh -c "$SUPERVISOR"
for group in /sys/fs/cgroup/cpu/mesh-lab-$MESH_LAB.* /sys/fs/cgroup/cpuacct/mesh-lab-$MESH_LAB.* \\
  /sys/fs/cgroup/memory/mesh-lab-$MESH_LAB.* /sys/fs/cgroup/mesh-lab-$MESH_LAB.* /sys/fs/cgroup/unified/mesh-lab-$MESH_LAB.*; do
  # The parents of its commands, outside the namespaces, take a moment to follow. A host with systemd has a tree of groups.
  tries=0
  while [ -d "$group" ] && ! find "$group" -depth -type d -exec rmdir {} + 2>/dev/null && [ "$tries" -lt 200 ]; do tries=$((tries + 1)); sleep 0.05; done
done
rm -rf "$DIR"
`;

export const SUPERVISOR = `
set -e
trap '' INT TERM HUP
mount -t tmpfs -o mode=755 mesh-lab "$DIR/files"
mount -t proc proc /proc
mount -t tmpfs -o mode=755 mesh-lab /run/netns 2>/dev/null || true
ip link set lo up
ip link add br0 type bridge mcast_snooping 0
ip link set br0 up
echo ready
exec >/dev/null 2>&1
read -r _ || true
`;

/**
 * Makes the file system of host $HOST from $IMAGE. A mount of the supervisor, so that it outlives the host's processes:
 * a host that is killed can be looked into and booted again. /nix is a tmpfs, mode 755 (Nix refuses a writable one).
 */
export const PREPARE = `
set -e
d=$DIR/files/$HOST r=$DIR/files/$HOST/root
mkdir -p "$d/upper" "$d/work" "$r"
mount -t overlay overlay -o "lowerdir=$IMAGE,upperdir=$d/upper,workdir=$d/work" "$r"
mount -t tmpfs -o mode=755 nix "$r/nix"
echo "$HOST" >"$r/etc/hostname"
echo "$MACHINE_ID" >"$r/etc/machine-id"
echo "$HOSTS_FILE" >"$r/etc/hosts"
: >"$r/etc/resolv.conf"
mkdir -p "$r/etc/nix" "$r/root/.ssh" "$r/usr/local/bin"
echo "$NIX_CONF" >"$r/etc/nix/nix.conf"
ln -sf "$REPOSITORY/apps/mesh/bin/mesh" "$r/usr/local/bin/mesh"
if [ -n "$SSHD" ]; then
  chmod 700 "$r/root/.ssh"
  cp "$DIR/files/ssh/id_ed25519" "$r/root/.ssh/"
  cp "$DIR/files/ssh/id_ed25519.pub" "$r/root/.ssh/authorized_keys"
  cp "$DIR/files/ssh/known_hosts" "$r/etc/ssh/ssh_known_hosts"
  rm -f "$r"/etc/ssh/ssh_host_*
  cp "$DIR/files/ssh/host" "$r/etc/ssh/ssh_host_ed25519_key"
fi
`;

/** One key for root everywhere and one host key for all: they protect nothing and cost 10 ms each. */
export const MAKE_SSH_KEYS = `
set -e
mkdir -p "$DIR/files/ssh"
cd "$DIR/files/ssh"
ssh-keygen -q -t ed25519 -N '' -C mesh-lab -f id_ed25519 </dev/null
ssh-keygen -q -t ed25519 -N '' -C mesh-lab -f host </dev/null
echo "$SSH_NAMES $(cut -d' ' -f1,2 host.pub)" >known_hosts
`;

/** Takes a host's cable end away from the bridge's side, so that its number can be plugged in again at once. */
export const BOOT = `
set -e
ip link del "$PORT" 2>/dev/null || true
exec 9</proc/self/ns/net
exec unshare --mount --net --pid --uts --ipc --fork --kill-child sh -c "$INIT"
`;

/**
 * A host's init, first in the machine's file system (with its own iproute2), then in the host's. File descriptor 9 is
 * the network namespace with the bridge. /proc of the machine is still there until \`pivot_root\`.
 */
export const INIT = `
set -e
r=$DIR/files/$HOST/root
hostname "$HOST"
ip link set lo up
ip link add eth0 type veth peer name "$PORT" netns /proc/self/fd/9
nsenter --net=/proc/self/fd/9 sh -c "$PLUG_IN" sh "$PORT"
exec 9<&-
ip address add "$ADDRESS" dev eth0
ip link set eth0 up
ip route add 224.0.0.0/4 dev eth0
mount -t tmpfs -o mode=1777 tmp "$r/tmp"
mount -t tmpfs -o mode=755 run "$r/run"
mount -t tmpfs -o mode=755 dev "$r/dev"
mkdir -p "$r/dev/pts" "$r/dev/shm" "$r/run/sshd" "$r/run/lock"
cp -a /dev/null /dev/zero /dev/full /dev/random /dev/urandom /dev/tty "$r/dev/"
mount -t devpts -o newinstance,ptmxmode=0666,mode=620,gid=5 devpts "$r/dev/pts"
mount -t tmpfs -o mode=1777 shm "$r/dev/shm"
ln -s pts/ptmx "$r/dev/ptmx"
ln -s /proc/self/fd "$r/dev/fd"
ln -s fd/0 "$r/dev/stdin"
ln -s fd/1 "$r/dev/stdout"
ln -s fd/2 "$r/dev/stderr"
mount -t proc proc "$r/proc"
mount -t sysfs -o ro sysfs "$r/sys"
mkdir -p "$r$REPOSITORY"
mount --bind "$REPOSITORY" "$r$REPOSITORY"
mount -o remount,bind,ro "$r$REPOSITORY"
if [ -n "$SYSTEMD" ]; then
  group=/sys/fs/cgroup/unified
  [ -d "$group" ] || group=/sys/fs/cgroup
  group=$group/mesh-lab-$MESH_LAB.$HOST.systemd
  mkdir -p "$group"
  echo 0 >"$group/cgroup.procs"
fi
cd "$r"
pivot_root . mnt
cd /
umount -l /mnt
[ -z "$SYSTEMD" ] || exec unshare --cgroup env -i PATH="$HOST_PATH" MESH_LAB="$MESH_LAB" container=lab /bin/sh -c "$SYSTEMD_INIT"
exec env -i HOME=/root PATH="$HOST_PATH" MESH_LAB="$MESH_LAB" SSHD="$SSHD" /bin/sh -c '
  exec </dev/null 2>/var/log/init.log
  [ -z "$SSHD" ] || /usr/sbin/sshd -o UseDNS=no -o MaxStartups=100 -o MaxSessions=100
  unset SSHD
  nix-daemon >/var/log/nix-daemon.log 2>&1 &
  echo booted
  exec >/dev/null
  while :; do sleep 3600 & wait; done'
`;

/**
 * The rest of `INIT` where systemd is the init. What belongs to the machine as a whole (sysctl, binfmt_misc) is read-only until
 * systemd has set up what it takes for its own; then not, as no sandbox gets a /proc while parts of another one are covered.
 */
export const SYSTEMD_INIT = `
set -e
mount -t cgroup2 -o nosuid,nodev,noexec cgroup2 /sys/fs/cgroup
mount --bind /proc/sys /proc/sys
mount -o remount,bind,ro /proc/sys
cd /etc/systemd/system
for unit in systemd-logind systemd-binfmt systemd-sysctl systemd-modules-load systemd-udevd systemd-journal-flush modprobe@ getty@ \\
  console-getty systemd-firstboot systemd-journal-catalog-update ldconfig e2scrub_reap; do ln -sf /dev/null "$unit.service"; done
for unit in proc-sys-fs-binfmt_misc.automount dev-hugepages.mount dev-mqueue.mount sys-kernel-debug.mount sys-kernel-tracing.mount \\
  sys-kernel-config.mount sys-fs-fuse-connections.mount tmp.mount; do ln -sf /dev/null "$unit"; done
printf '%s\\n' '[Unit]' 'DefaultDependencies=no' 'After=sysinit.target' 'Before=basic.target' '[Service]' 'Type=oneshot' \\
  'RemainAfterExit=yes' 'ExecStart=umount -l /proc/sys' >lab-proc.service
mkdir -p basic.target.wants
ln -sf ../lab-proc.service basic.target.wants/
echo booted
exec </dev/null >/dev/null 2>/var/log/init.log
exec /lib/systemd/systemd --system --log-target=console --show-status=no
`;

/** Starts the daemon again after it was stopped. */
export const START_DAEMON = `setsid nix-daemon >>/var/log/nix-daemon.log 2>&1 </dev/null &`;
