# A build that says how many cores it may use, then is silent for `seconds`, for machines that offer `feature`.
{
  feature ? "",
  seconds ? "0",
  salt ? "0",
}:
derivation {
  name = "limited";
  system = builtins.currentSystem;
  builder = "/bin/sh";
  requiredSystemFeatures = if feature == "" then [ ] else [ feature ];
  args = [
    "-c"
    "echo started; sleep $seconds; echo $NIX_BUILD_CORES > $out"
  ];
  inherit seconds salt;
}
