# Two roots that need the same slow derivation, and one of its own each: two jobs should build the slow one once.
{
  seconds ? "3",
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
  root =
    name:
    step name [
      slow
      (step "${name}-own" [ ] "sleep 1; echo own > $out")
    ] "cat $deps > $out";
  slow = step "slow" [ ] "echo slow runs; sleep ${seconds}; echo slow > $out";
in
{
  inherit slow;
  left = root "left";
  right = root "right";
}
