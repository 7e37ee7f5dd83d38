# n builds nobody waits out: for cancelling, killing machines, races. Each says that it started.
{
  n ? 1,
  seconds ? "1000",
  salt ? "0",
}:
let
  leaf =
    i:
    derivation {
      name = "endless-${toString i}";
      system = builtins.currentSystem;
      builder = "/bin/sh";
      args = [
        "-c"
        "echo started; sleep $seconds; echo ${toString i} > $out"
      ];
      inherit seconds salt;
    };
in
derivation {
  name = "endless";
  system = builtins.currentSystem;
  builder = "/bin/sh";
  deps = builtins.genList leaf n;
  args = [
    "-c"
    "cat $deps > $out"
  ];
}
