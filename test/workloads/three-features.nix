# Three inputs, each for machines with a system feature of its own and by a builder script of its own, and what is made of them.
# `kind` says how outputs get their paths: `input` addressed, `fixed` hashes, or `floating` content addresses.
{
  kind ? "input",
  salt ? "0",
}:
let
  addressed =
    text:
    {
      input = { };
      fixed = {
        outputHashMode = "flat";
        outputHashAlgo = "sha256";
        outputHash = builtins.hashString "sha256" "${text} ${salt}\n";
      };
      floating = {
        __contentAddressed = true;
        outputHashMode = "recursive";
        outputHashAlgo = "sha256";
      };
    }
    .${kind};
  input =
    feature: text:
    derivation (
      {
        name = "input-${feature}";
        system = builtins.currentSystem;
        builder = "/bin/sh";
        args = [ (builtins.toFile "builder-${feature}-${salt}.sh" "echo ${text} ${salt} > $out") ];
        requiredSystemFeatures = [ feature ];
        inherit salt;
      }
      // addressed text
    );
in
derivation (
  {
    name = "three-features";
    system = builtins.currentSystem;
    builder = "/bin/sh";
    args = [
      "-c"
      "cat $foo $bar $baz > $out"
    ];
    foo = input "foo" "FOO";
    bar = input "bar" "BAR";
    baz = input "baz" "BAZ";
    inherit salt;
  }
  // (if kind == "floating" then addressed "" else { })
)
