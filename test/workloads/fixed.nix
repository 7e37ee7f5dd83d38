# A fixed-output derivation, a dependant of it, and one whose announced hash is not what it makes.
# `salt` is in the text itself, so every salt is another fixed output.
{
  salt ? "0",
}:
let
  text = "fixed ${salt}\n";
  hashed =
    name: hashOf:
    derivation {
      inherit name;
      system = builtins.currentSystem;
      builder = "/bin/sh";
      outputHashMode = "flat";
      outputHashAlgo = "sha256";
      outputHash = builtins.hashString "sha256" hashOf;
      inherit text;
      args = [
        "-c"
        ''printf %s "$text" > $out''
      ];
    };
in
rec {
  fixed = hashed "fixed" text;
  mismatch = hashed "mismatch" "something else";
  dependant = derivation {
    name = "fixed-dependant";
    system = builtins.currentSystem;
    builder = "/bin/sh";
    inherit fixed salt;
    args = [
      "-c"
      "cat $fixed > $out"
    ];
  };
}
