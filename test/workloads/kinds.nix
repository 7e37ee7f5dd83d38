# Every kind of derivation for every machine that is named by a system feature: three outputs with a self reference there, a step on the
# next machine that needs two of them and a fixed output; a floating content-addressed output there, where `floating`. `all` needs them
# all, and its name is built while it is evaluated.
{
  machines ? [ ],
  floating ? false,
  salt ? "0",
}:
let
  step =
    name: feature: attrs: script:
    derivation (
      {
        inherit name salt;
        system = builtins.currentSystem;
        builder = "/bin/sh";
        requiredSystemFeatures = if feature == null then [ ] else [ feature ];
        args = [
          "-c"
          script
        ];
      }
      // attrs
    );
  of =
    feature: next:
    let
      text = "fixed for ${feature} ${salt}\n";
      contents = {
        outputHashMode = "recursive";
        outputHashAlgo = "sha256";
      };
    in
    rec {
      many =
        step "many-${feature}" feature
          {
            outputs = [
              "out"
              "lib"
              "doc"
            ];
          }
          ''
            echo "first line of $name"
            mkdir $out $lib $doc
            echo "$out $lib" > $out/references
            echo library > $lib/text
            echo documentation > $doc/text
            echo "last line of $name"
          '';
      fixed = step "fixed" null (
        contents
        // {
          inherit text;
          outputHashMode = "flat";
          outputHash = builtins.hashString "sha256" text;
        }
      ) ''printf %s "$text" > $out'';
      last = step "last-${feature}" next {
        inherit (many) lib doc;
        inherit fixed;
      } ''echo "first line of $name"; cat $lib/text $doc/text $fixed > $out; echo "last line of $name"'';
      addressed = step "addressed-${feature}" feature (
        contents // { __contentAddressed = true; }
      ) ''echo "addressed on ${feature}" > $out'';
    };
  count = builtins.length machines;
  next = index: if index + 1 == count then 0 else index + 1;
  each = builtins.genList (
    index: of (builtins.elemAt machines index) (builtins.elemAt machines (next index))
  ) count;
in
rec {
  many = map ({ many, ... }: many) each;
  last = map ({ last, ... }: last) each;
  addressed = if floating then map ({ addressed, ... }: addressed) each else [ ];
  needed = step "needed" null { } ''printf "imported" > $out'';
  all = step (builtins.readFile needed) null {
    inherit many;
    parts = last ++ addressed;
  } ''cat $parts > $out'';
}
