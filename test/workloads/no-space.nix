# A build that says it has no room: the machine's fault, wherever it runs.
{
  salt ? "0",
}:
derivation {
  name = "no-space";
  system = builtins.currentSystem;
  builder = "/bin/sh";
  args = [
    "-c"
    "echo 'write error: No space left on device'; exit 1"
  ];
  inherit salt;
}
