# A build of two phases that says which one it is in, as the standard environment does. `feature` says where it can be built.
{
  feature ? "",
  salt ? "0",
}:
derivation {
  name = "phases";
  system = builtins.currentSystem;
  builder = "/bin/sh";
  requiredSystemFeatures = if feature == "" then [ ] else [ feature ];
  args = [
    "-c"
    ''
      for phase in first second; do
        echo "@nix { \"action\": \"setPhase\", \"phase\": \"$phase""Phase\" }" >&2
        echo "a line of the $phase phase"
      done
      echo > $out
    ''
  ];
  inherit salt;
}
