# A build with a child that takes `mb` MiB of memory at once and holds them for two seconds, as compilers and linkers do.
{
  mb ? 400,
  salt ? "0",
}:
derivation {
  name = "hungry";
  system = builtins.currentSystem;
  builder = "/bin/sh";
  args = [
    "-c"
    ''
      mkfifo pipe
      { sleep 2; cat > /dev/null; } < pipe &
      dd if=/dev/zero of=pipe bs=${toString mb}M count=1 || exit 1
      wait
      echo fed > $out
    ''
  ];
  inherit salt;
}
