# Builds that take as long as the machine they run on says: its `/pace` in seconds (sandbox-paths must have it). `fixed` and `local`
# never leave home, `unlike` gives other bytes on a machine of another pace.
{
  salt ? "0",
}:
let
  step =
    name: attributes: script:
    derivation (
      {
        inherit name salt;
        system = builtins.currentSystem;
        builder = "/bin/sh";
        args = [
          "-c"
          "read -r pace < /pace; sleep $pace; ${script}"
        ];
      }
      // attributes
    );
in
rec {
  even = step "even" { } "echo even > $out";
  unlike = step "unlike" { } "echo $pace > $out";
  local = step "local" { preferLocalBuild = true; } "echo local > $out";
  fixed = step "fixed" {
    outputHashMode = "flat";
    outputHashAlgo = "sha256";
    outputHash = builtins.hashString "sha256" salt;
  } "printf %s $salt > $out";
}
