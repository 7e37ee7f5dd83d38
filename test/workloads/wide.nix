# n derivations that sleep, side by side, and one that needs them all: what a mesh should spread over every slot it has.
{
  n ? 24,
  seconds ? "1",
  salt ? "0",
}:
let
  leaf =
    i:
    derivation {
      name = "wide-${toString i}";
      system = builtins.currentSystem;
      builder = "/bin/sh";
      args = [
        "-c"
        "sleep $seconds; echo ${toString i} > $out"
      ];
      inherit seconds salt;
    };
in
derivation {
  name = "wide";
  system = builtins.currentSystem;
  builder = "/bin/sh";
  deps = builtins.genList leaf n;
  args = [
    "-c"
    "cat $deps > $out"
  ];
}
