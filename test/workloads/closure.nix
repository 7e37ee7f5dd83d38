# Folders that name one another: `top` refers to the level below it, that to the next, down to level 0. `walk` sees only what Nix
# gives its sandbox, the closure of `top`, and follows the names all the way down. With `features` (taken in turn) the levels are
# built by different machines.
{
  levels ? 6,
  features ? [ ],
  salt ? "0",
}:
let
  count = builtins.length features;
  level =
    below: i:
    derivation {
      name = "level-${toString i}";
      system = builtins.currentSystem;
      builder = "/bin/sh";
      requiredSystemFeatures =
        if count == 0 then [ ] else [ (builtins.elemAt features (i - i / count * count)) ];
      args = [
        "-c"
        "mkdir $out; echo \"$below\" > $out/below"
      ];
      inherit below salt;
    };
in
rec {
  top = builtins.foldl' level "" (builtins.genList (i: i) levels);
  walk = derivation {
    name = "walk";
    system = builtins.currentSystem;
    builder = "/bin/sh";
    args = [
      "-c"
      "set -e; at=$top; n=0; while [ -n \"$at\" ]; do read -r at < $at/below; n=$((n + 1)); done; echo $n levels > $out"
    ];
    inherit top;
  };
}
