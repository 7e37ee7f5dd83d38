# A derivation of three outputs, one of which names itself and another one, and a derivation that needs two of them.
{
  salt ? "0",
}:
let
  multi = derivation {
    name = "multi";
    system = builtins.currentSystem;
    builder = "/bin/sh";
    outputs = [
      "out"
      "lib"
      "doc"
    ];
    args = [
      "-c"
      ''
        mkdir $out $lib $doc
        echo "$out refers to itself and to $lib" > $out/references
        echo library > $lib/text
        echo documentation > $doc/text
      ''
    ];
    inherit salt;
  };
in
{
  inherit multi;
  dependant = derivation {
    name = "multi-dependant";
    system = builtins.currentSystem;
    builder = "/bin/sh";
    inherit (multi) lib doc;
    args = [
      "-c"
      "cat $lib/text $doc/text > $out"
    ];
  };
}
