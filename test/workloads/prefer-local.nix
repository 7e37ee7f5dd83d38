# A derivation that says it is not worth sending away, and a dependant that does not say so.
{
  salt ? "0",
}:
rec {
  local = derivation {
    name = "prefer-local";
    system = builtins.currentSystem;
    builder = "/bin/sh";
    preferLocalBuild = true;
    args = [
      "-c"
      "echo local > $out"
    ];
    inherit salt;
  };
  dependant = derivation {
    name = "prefer-local-dependant";
    system = builtins.currentSystem;
    builder = "/bin/sh";
    inherit local salt;
    args = [
      "-c"
      "sleep 1; cat $local > $out"
    ];
  };
}
