# Leaves that are built soon, a slow derivation, and a root that needs both: when the machine that has the leaves is lost meanwhile,
# they must be built again.
{
  n ? 4,
  seconds ? "4",
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
  leaf = i: step "leaf-${toString i}" [ ] "echo ${toString i} > $out";
  slow = step "slow" [ ] "echo slow runs; sleep ${seconds}; echo slow > $out";
  leaves = builtins.genList leaf n;
in
{
  inherit leaves;
  late = step "late" ([ slow ] ++ leaves) "cat $deps > $out";
}
