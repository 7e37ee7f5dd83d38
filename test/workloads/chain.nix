# n trivial derivations, each needing the one before: nothing but what one derivation costs.
{
  n ? 31,
  salt ? "0",
}:
builtins.foldl'
  (
    before: i:
    derivation {
      name = "chain-${toString i}";
      system = builtins.currentSystem;
      builder = "/bin/sh";
      args = [
        "-c"
        "echo $before ${toString i} > $out"
      ];
      inherit before salt;
    }
  )
  null
  (builtins.genList (i: i) n)
