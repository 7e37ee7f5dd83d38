# A derivation for a system and system features (separated by spaces), with an input, two outputs, a self reference, and a log.
{
  system ? builtins.currentSystem,
  features ? "",
  fails ? false,
  salt ? "0",
}:
let
  input = derivation {
    name = "routed-input";
    inherit system salt;
    builder = "/bin/sh";
    args = [
      "-c"
      "echo from an input > $out"
    ];
  };
in
derivation {
  name = "routed";
  inherit system salt input;
  outputs = [
    "out"
    "more"
  ];
  requiredSystemFeatures = builtins.filter builtins.isString (
    builtins.filter (word: word != "") (builtins.split " " features)
  );
  builder = "/bin/sh";
  args = [
    "-c"
    "echo a line of the log; ${if fails then "exit 3;" else ""} echo $more > $more; while read -r line; do echo $line $more; done < $input > $out"
  ];
}
