# A build that logs `lines` lines, numbered, so that one lost or out of place shows.
{
  lines ? 10000,
  salt ? "0",
}:
derivation {
  name = "noisy";
  system = builtins.currentSystem;
  builder = "/bin/sh";
  args = [
    "-c"
    ''
      i=0
      while [ $i -lt ${toString lines} ]; do i=$((i + 1)); echo "line $i of a build that talks a lot"; done
      echo $i > $out
    ''
  ];
  inherit salt;
}
