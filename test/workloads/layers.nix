# Layers of small derivations, each naming two of the layer below in its output: a wide and deep closure, made by many machines.
{
  layers ? 6,
  width ? 6,
  seconds ? "0.2",
  salt ? "0",
}:
let
  step =
    name: deps:
    derivation {
      inherit
        name
        deps
        salt
        seconds
        ;
      system = builtins.currentSystem;
      builder = "/bin/sh";
      args = [
        "-c"
        "for dep in $deps; do read -r line < $dep || exit 1; done; sleep $seconds; echo \"${name} $deps\" > $out"
      ];
    };
  pick = list: i: builtins.elemAt list (i - i / width * width);
  layer =
    below: l:
    builtins.genList (
      i:
      step "layer-${toString l}-${toString i}" (
        if below == [ ] then
          [ ]
        else
          [
            (pick below i)
            (pick below (i + 1))
          ]
      )
    ) width;
in
step "layers" (builtins.foldl' layer [ ] (builtins.genList (l: l) layers))
