# Three parts, each for machines that offer one system feature (foo, bar, baz) and made by a script of its own, and what puts them
# together. `mode` is how outputs are addressed: `input`, `fixed` (their hashes are given) or `floating` (content-addressed; Nix must
# have the experimental feature ca-derivations).
{
  mode ? "input",
  salt ? "0",
}:
let
  words = {
    foo = "FOO";
    bar = "BAR";
    baz = "BAZ";
  };
  addressed =
    text:
    {
      input = { };
      fixed = {
        outputHashMode = "flat";
        outputHashAlgo = "sha256";
        outputHash = builtins.hashString "sha256" text;
      };
      floating = {
        __contentAddressed = true;
        outputHashMode = "recursive";
        outputHashAlgo = "sha256";
      };
    }
    .${mode};
  part =
    feature:
    derivation (
      {
        name = "part-${feature}";
        system = builtins.currentSystem;
        builder = "/bin/sh";
        requiredSystemFeatures = [ feature ];
        args = [
          (builtins.toFile "build-${feature}.sh" ''
            echo '@nix { "action": "setPhase", "phase": "${feature}Phase" }' >&2
            echo hello from ${feature}
            echo ${words.${feature}} ${salt} > $out
          '')
        ];
      }
      // addressed "${words.${feature}} ${salt}\n"
    );
  parts = builtins.mapAttrs (feature: _: part feature) words;
in
parts
// {
  whole = derivation (
    {
      name = "whole";
      system = builtins.currentSystem;
      builder = "/bin/sh";
      inherit (parts) foo bar baz;
      args = [
        "-c"
        "read -r f _ < $foo; read -r b _ < $bar; read -r z s < $baz; echo $f $b $z $s > $out"
      ];
    }
    // addressed "FOO BAR BAZ ${salt}\n"
  );
}
