# A derivation for machines that offer the system feature `feature` only, and one that needs it and runs anywhere.
{
  feature ? "foo",
  salt ? "0",
}:
rec {
  special = derivation {
    name = "special";
    system = builtins.currentSystem;
    builder = "/bin/sh";
    requiredSystemFeatures = [ feature ];
    args = [
      "-c"
      "echo built where ${feature} is > $out"
    ];
    inherit salt;
  };
  dependant = derivation {
    name = "dependant";
    system = builtins.currentSystem;
    builder = "/bin/sh";
    inherit special salt;
    args = [
      "-c"
      "cat $special > $out"
    ];
  };
}
