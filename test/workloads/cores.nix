# n derivations that write down how many cores they were given, side by side, and one that collects what they wrote.
{
  n ? 24,
  seconds ? "1",
  salt ? "0",
}:
let
  leaf =
    i:
    derivation {
      name = "cores-${toString i}";
      system = builtins.currentSystem;
      builder = "/bin/sh";
      args = [
        "-c"
        "sleep $seconds; echo $NIX_BUILD_CORES > $out"
      ];
      inherit seconds salt;
    };
in
derivation {
  name = "cores";
  system = builtins.currentSystem;
  builder = "/bin/sh";
  deps = builtins.genList leaf n;
  args = [
    "-c"
    "cat $deps > $out"
  ];
}
