# A build that fails, one that needs it and can never start, and one that has nothing to do with either.
{
  salt ? "0",
}:
let
  step =
    name: deps: script:
    derivation {
      inherit name deps salt;
      system = builtins.currentSystem;
      builder = "/bin/sh";
      args = [
        "-c"
        script
      ];
    };
in
rec {
  failing = step "failing" [ ] "echo this line comes before the failure; exit 1";
  dependant = step "dependant" [ failing ] "echo never > $out";
  independent = step "independent" [ ] "sleep 1; echo built > $out";
  all = step "all" [ dependant independent ] "echo never > $out";
}
