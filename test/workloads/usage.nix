# A build that holds 200 MiB for some seconds and computes meanwhile. The buffer stays while its reader sleeps.
{
  salt ? "0",
}:
derivation {
  name = "usage";
  system = builtins.currentSystem;
  builder = "/bin/sh";
  args = [
    "-c"
    "dd if=/dev/zero bs=200M count=1 2>/dev/null | { sleep 3; cat >/dev/null; } & head -c 300000000 /dev/zero | sha256sum; i=0; while [ $i -lt 300000 ]; do i=$((i+1)); done; wait; echo > $out"
  ];
  inherit salt;
}
