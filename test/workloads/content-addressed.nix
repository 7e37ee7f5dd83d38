# A derivation whose path is known only when it is built (Nix must have the experimental feature ca-derivations), and one that
# needs it.
{
  salt ? "0",
}:
rec {
  addressed = derivation {
    name = "addressed";
    system = builtins.currentSystem;
    builder = "/bin/sh";
    __contentAddressed = true;
    outputHashMode = "recursive";
    outputHashAlgo = "sha256";
    args = [
      "-c"
      "echo content of $salt > $out"
    ];
    inherit salt;
  };
  dependant = derivation {
    name = "addressed-dependant";
    system = builtins.currentSystem;
    builder = "/bin/sh";
    args = [
      "-c"
      "cat $addressed > $out"
    ];
    inherit addressed;
  };
}
